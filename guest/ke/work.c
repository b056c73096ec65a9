/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processor work: a routine that a thread of a given CPU calls, one for each CPU at a time. It is how something is done in no DPC
 * and no interrupt elsewhere. It is asked for at any IRQL, so the request is a flag and an interrupt that only ends a halt;
 * the idle loop then wakes the thread.
 */
#include "dispatcher.h"

#include "../hal/hal.h"

BOOLEAN KiHasWork(VOID) {
    /* Relaxed: only this CPU takes the routine, and KiWorkThread orders what comes with it. */
    return __atomic_load_n(&KiCurrentPrcb()->WorkRoutine, __ATOMIC_RELAXED) != NULL;
}

VOID KiStartWork(VOID) {
    KiUnpark(KiCurrentPrcb()->WorkThread, 0);
}

VOID KiWorkThread(PVOID context) {
    PKPRCB prcb = context;
    for (;;) {
        /* Acquire: pairs with the release in DirqlStartOn, so the context is there. */
        DIRQL_WORK_ROUTINE *routine = __atomic_load_n(&prcb->WorkRoutine, __ATOMIC_ACQUIRE);
        if (routine != NULL) {
            prcb->WorkRoutine = NULL;
            routine(prcb->WorkContext);
            /* Release: whoever sees the CPU free sees what the routine did. */
            __atomic_store_n(&prcb->WorkBusy, FALSE, __ATOMIC_RELEASE);
        } else {
            KiPark();
        }
    }
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
