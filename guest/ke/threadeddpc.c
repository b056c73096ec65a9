/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threaded DPCs (DPC-15): a queue and a thread of the highest priority for each CPU. The DPC interrupt wakes the thread when
 * the ordinary DPCs are done; it runs its DPCs at PASSIVE_LEVEL, one after the other. Interrupts and ordinary DPCs preempt
 * it, and a thread of its own priority when its turn is over (D3); another threaded DPC does not.
 */
#include "dispatcher.h"
#include "verify.h"

#include "../include/mutant.h"

#define KI_THREADED_DPC_LEVEL PASSIVE_LEVEL

static VOID KiRunThreadedDpc(PKPRCB prcb, const KI_DPC_CALL *call, KIRQL level) {
    prcb->CurrentThreadedDpc = call->Dpc;
    call->Routine(call->Dpc, call->Context, call->Argument1, call->Argument2);
    KiVerifyReturn((ULONG64)call->Routine, (ULONG64)call->Dpc, level);
    prcb->CurrentThreadedDpc = NULL;
    trace(TraceThreadedDpcEnd, (ULONG64)call->Dpc, (ULONG64)call->Routine);
    __writecr8(PASSIVE_LEVEL); /* whatever the routine left */
    KiDpcHasEnded(call);
}

VOID KiDpcThread(PVOID context) {
    PKPRCB prcb = context;
    KI_DPC_CALL call;
    KIRQL level = KI_THREADED_DPC_LEVEL;
    if (MUTANT(DpcThreadedAtDispatch, "DPC-15", "a threaded DPC runs at DISPATCH_LEVEL")) {
        level = DISPATCH_LEVEL;
    }
    for (;;) {
        /* Sequentially consistent, before the queue is looked at: a flush that sees an empty queue sees that this thread is at it. */
        __atomic_store_n(&prcb->ThreadedDpcActive, TRUE, __ATOMIC_SEQ_CST);
        while (KiTakeDpc(&prcb->ThreadedDpcQueue, level, &call)) {
            KiRunThreadedDpc(prcb, &call, level);
        }
        /* Release: the records and effects of what ran are there for whoever sees that nothing does any more. */
        __atomic_store_n(&prcb->ThreadedDpcActive, FALSE, __ATOMIC_RELEASE);
        KiPark();
    }
}

VOID KiWakeDpcThread(PKPRCB prcb) {
    PKTHREAD thread = __atomic_load_n(&prcb->DpcThread, __ATOMIC_ACQUIRE);
    if (thread != NULL && __atomic_load_n(&prcb->ThreadedDpcQueue.Depth, __ATOMIC_ACQUIRE) != 0) {
        KiUnpark(thread, 0);
    }
}
