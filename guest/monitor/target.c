/* SPDX-License-Identifier: Apache-2.0 */
/* What driver/dirql.h offers to test cases: interrupts from the guest itself, vectors, threads, the machine's options, assertions. */
#include "monitor.h"

#include "../hal/hal.h"
#include "../ke/ki.h"
#include "../ke/thread.h"
#include "../ke/verify.h"
#include "../trace/trace.h"

#define FIRST_VECTOR 0x10

VOID NTAPI DirqlInterrupt(ULONG Cpu, ULONG Vector) {
    if (Cpu >= KiProcessorCount) {
        KeBugCheckEx(DIRQL_MISUSE, DirqlMisuseNoSuchCpu, Cpu, KiProcessorCount, 0);
    }
    if (Vector < FIRST_VECTOR || Vector > 0xff) {
        KeBugCheckEx(DIRQL_MISUSE, DirqlMisuseVector, Vector, 0, 0);
    }
    trace(TraceIpiSend, Vector, Cpu);
    if (Cpu == KiCurrentPrcb()->Number) {
        lapic_self(Vector);
    } else {
        lapic_send(KiPcr[Cpu].Prcb.ApicId, Vector);
    }
}
NT_EXPORT(DirqlInterrupt);

ULONG NTAPI DirqlAllocateVector(KIRQL Irql) {
    return Irql >= VECTOR_IRQL(FIRST_DEVICE_VECTOR) && Irql <= VECTOR_IRQL(LAST_DEVICE_VECTOR) ? KiAllocateVector(Irql)
                                                                                               : 0;
}
NT_EXPORT(DirqlAllocateVector);

VOID NTAPI DirqlFreeVector(ULONG Vector) {
    KiFreeVector(Vector);
}
NT_EXPORT(DirqlFreeVector);

VOID NTAPI DirqlQueryMachine(DIRQL_MACHINE *Machine) {
    Machine->Cpus = KiProcessorCount;
    Machine->Verifier = KiVerifier != NULL;
    Machine->DpcPlacement = HostBootOptions.DpcPlacement;
    Machine->InterruptRouting = HostBootOptions.InterruptRouting;
    Machine->VirtualTime = HostLinkIsRendezvous();
}
NT_EXPORT(DirqlQueryMachine);

/* Acquire: what the thread did before it was seen to wait is seen too. */
DIRQL_THREAD_STATE NTAPI DirqlQueryThreadState(PKTHREAD Thread) {
    switch (__atomic_load_n(&Thread->State, __ATOMIC_ACQUIRE)) {
    case KiThreadWaiting:
        return DirqlThreadWaits;
    case KiThreadTerminated:
        return DirqlThreadEnded;
    default:
        return DirqlThreadRuns;
    }
}
NT_EXPORT(DirqlQueryThreadState);

/* The record is read from where it lies: the machine stands still from here on. */
DECLSPEC_NORETURN VOID NTAPI DirqlAssertionFailed(const DIRQL_ASSERTION *Assertion) {
    KeBugCheckEx(DIRQL_ASSERTION_FAILED, (ULONG64)Assertion, Assertion->Line, Assertion->LeftValue,
                 Assertion->RightValue);
    __builtin_unreachable();
}
NT_EXPORT(DirqlAssertionFailed);
