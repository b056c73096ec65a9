/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a routine on every CPU (spec IPI-1). One call is under way at a time; a CPU that waits for its turn stays below
 * IPI_LEVEL with interrupts on and so still answers the call that is ahead of it: two callers cannot wait for each other. A
 * CPU that spins for a lock, at whatever IRQL below IPI_LEVEL, answers in the middle of its spinning. What is done at
 * HIGH_LEVEL by the executive is short and waits for nobody.
 */
#include "../include/mutant.h"
#include "ki.h"

#include "../hal/hal.h"
#include "../trace/trace.h"

typedef struct _KI_IPI_CALL {
    KI_IPI_ROUTINE *Routine;
    PVOID Context;
    volatile LONG Pending; /* CPUs that have not finished yet */
} KI_IPI_CALL;

static KSPIN_LOCK KiIpiLock;
static KI_IPI_CALL KiIpiCall; /* of whoever holds the lock */

static VOID KiIpiInterrupt(KI_TRAP_FRAME *frame, PVOID context) {
    UNREFERENCED_PARAMETER(frame);
    UNREFERENCED_PARAMETER(context);
    KiCurrentPrcb()->IpiCount++;
    /* The interrupt itself orders: routine and context were stored before the ICR was written. */
    KiIpiCall.Routine(KiIpiCall.Context);
    /* Release: what the routine did is visible to the caller that sees the count fall. */
    __atomic_sub_fetch(&KiIpiCall.Pending, 1, __ATOMIC_RELEASE);
}

VOID KiConnectIpi(VOID) {
    KiConnectVector(IPI_VECTOR, KiIpiInterrupt, NULL, FALSE);
}

/* Below IPI_LEVEL in, CLOCK_LEVEL or above out: the lock's holder stays on its CPU, and IPIs still arrive. */
static KIRQL KiBeginIpiCall(VOID) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql < CLOCK_LEVEL) {
        __writecr8(MUTANT(IpiWaiterIsDeaf, "IPI-1", "a caller that waits for its turn answers nobody") ? IPI_LEVEL
                                                                                                       : CLOCK_LEVEL);
    }
    KiAcquireSpinLock(&KiIpiLock, KI_CALLER);
    return irql;
}

static VOID KiEndIpiCall(KIRQL irql) {
    KiReleaseSpinLock(&KiIpiLock, KI_CALLER);
    __writecr8(irql);
}

/* KiIpiLock is held. Returns how many other CPUs have been asked. */
static LONG KiInterruptOthers(KI_IPI_ROUTINE *routine, PVOID context) {
    LONG others = 0;
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        others += &KiPcr[cpu].Prcb != KiCurrentPrcb() && KiPcr[cpu].Prcb.Running;
    }
    if (others != 0) {
        KiIpiCall.Routine = routine;
        KiIpiCall.Context = context;
        __atomic_store_n(&KiIpiCall.Pending, others, __ATOMIC_RELEASE);
        trace(TraceIpiSend, IPI_VECTOR, DPC_ANY_CPU);
        lapic_send_others(IPI_VECTOR);
    }
    return others;
}

static VOID KiAwaitOthers(VOID) {
    if (MUTANT(IpiDoesNotWait, "IPI-1", "KeIpiGenericCall returns while the others still run the routine")) {
        return;
    }
    while (__atomic_load_n(&KiIpiCall.Pending, __ATOMIC_ACQUIRE) != 0) {
        _mm_pause();
    }
}

VOID KiCallOthers(KI_IPI_ROUTINE *routine, PVOID context) {
    KIRQL irql = KiBeginIpiCall();
    if (KiInterruptOthers(routine, context) != 0) {
        KiAwaitOthers();
    }
    KiEndIpiCall(irql);
}

/* A call of all CPUs; static storage is enough, for KiIpiLock is held throughout. */
static struct {
    PKIPI_BROADCAST_WORKER Worker;
    ULONG_PTR Argument;
    volatile LONG Missing; /* CPUs that are not at the barrier yet */
    ULONG_PTR Last;        /* only a mutant's: what the last to return returned */
} KiGenericCall;

static ULONG_PTR KiRunGenericCall(VOID) {
    PKIPI_BROADCAST_WORKER worker = KiGenericCall.Worker;
    __atomic_sub_fetch(&KiGenericCall.Missing, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&KiGenericCall.Missing, __ATOMIC_ACQUIRE) != 0 &&
           !MUTANT(IpiWithoutBarrier, "IPI-1", "a CPU runs the routine before all have come")) {
        _mm_pause();
    }
    trace(TraceIpiCallEnter, (ULONG64)worker, KiGenericCall.Argument);
    ULONG_PTR value = worker(KiGenericCall.Argument);
    trace(TraceIpiCallExit, (ULONG64)worker, value);
    return value;
}

static VOID KiGenericCallTarget(PVOID context) {
    UNREFERENCED_PARAMETER(context);
    KiGenericCall.Last = KiRunGenericCall();
}

ULONG_PTR NTAPI KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context) {
    KIRQL irql = KiBeginIpiCall();
    LONG running = 0;
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        running += KiPcr[cpu].Prcb.Running != 0;
    }
    KiGenericCall.Worker = BroadcastFunction;
    KiGenericCall.Argument = Context;
    KiGenericCall.Missing = running;
    LONG others = KiInterruptOthers(KiGenericCallTarget, NULL);
    __writecr8(MUTANT(IpiCallerStaysLow, "IPI-1", "the caller runs the routine at CLOCK_LEVEL") ? CLOCK_LEVEL
                                                                                                : IPI_LEVEL);
    ULONG_PTR value = KiRunGenericCall();
    if (others != 0) {
        KiAwaitOthers();
    }
    if (MUTANT(IpiWrongValue, "IPI-1", "KeIpiGenericCall returns another CPU's value")) {
        value = KiGenericCall.Last;
    }
    KiEndIpiCall(irql);
    return value;
}
NT_EXPORT(KeIpiGenericCall);
