/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processor work: a routine that another CPU's idle loop calls at PASSIVE_LEVEL, one for each CPU at a time. It is how the
 * boot CPU has something done in no DPC and no interrupt elsewhere.
 */
#include "ki.h"

#include "../hal/hal.h"
#include "../trace/trace.h"

BOOLEAN KiHasWork(VOID) {
    /* Relaxed: only this CPU takes the routine, and KiRunWork orders what comes with it. */
    return __atomic_load_n(&KiCurrentPrcb()->WorkRoutine, __ATOMIC_RELAXED) != NULL;
}

VOID KiRunWork(VOID) {
    PKPRCB prcb = KiCurrentPrcb();
    /* Acquire: pairs with the release in DirqlStartOn, so the context is there. */
    DIRQL_WORK_ROUTINE *routine = __atomic_load_n(&prcb->WorkRoutine, __ATOMIC_ACQUIRE);
    prcb->WorkRoutine = NULL;
    routine(prcb->WorkContext);
    /* Release: whoever sees the CPU free sees what the routine did. */
    __atomic_store_n(&prcb->WorkBusy, FALSE, __ATOMIC_RELEASE);
}

BOOLEAN KiIsWorking(ULONG cpu) {
    return __atomic_load_n(&KiPcr[cpu].Prcb.WorkBusy, __ATOMIC_ACQUIRE) != FALSE;
}

VOID NTAPI DirqlStartOn(ULONG Cpu, DIRQL_WORK_ROUTINE *Routine, PVOID Context) {
    if (Cpu == 0 || Cpu >= KiProcessorCount) {
        KeBugCheckEx(DIRQL_MISUSE, DirqlMisuseNoSuchCpu, Cpu, KiProcessorCount, (ULONG64)Routine);
    }
    PKPRCB prcb = &KiPcr[Cpu].Prcb;
    if (__atomic_exchange_n(&prcb->WorkBusy, TRUE, __ATOMIC_ACQ_REL) != FALSE) {
        KeBugCheckEx(DIRQL_MISUSE, DirqlMisuseCpuBusy, Cpu, (ULONG64)prcb->WorkRoutine, (ULONG64)Routine);
    }
    prcb->WorkContext = Context;
    __atomic_store_n(&prcb->WorkRoutine, Routine, __ATOMIC_RELEASE);
    /* Nothing but the end of its halt; the DPC interrupt would drain a queue that is to wait. */
    trace(TraceIpiSend, WAKE_VECTOR, Cpu);
    lapic_send(prcb->ApicId, WAKE_VECTOR);
}
NT_EXPORT(DirqlStartOn);

VOID NTAPI DirqlWaitFor(ULONG Cpu) {
    while (KiIsWorking(Cpu)) {
        _mm_pause();
    }
}
NT_EXPORT(DirqlWaitFor);
