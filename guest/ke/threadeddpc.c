/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threaded DPCs (DPC-15): a queue and a thread for each CPU. The thread runs when the CPU's IRQL falls below
 * DISPATCH_LEVEL and its ordinary DPCs are done: on its own stack and at PASSIVE_LEVEL, above whatever it interrupted,
 * as the thread of highest priority would. Interrupts and ordinary DPCs preempt it; another threaded DPC does not.
 */
#include "../include/mutant.h"
#include "ki.h"
#include "verify.h"

#define KI_THREADED_DPC_LEVEL PASSIVE_LEVEL

/* ke/onstack.S: calls the routine on the stack whose top is given. */
VOID KiCallOnStack(ULONG64 top, VOID (*routine)(PKPRCB), PKPRCB prcb);

/* On the DPC thread's stack. DISPATCH_LEVEL in and out, so between the last look at the queue and the return nothing comes. */
static VOID KiDpcThread(PKPRCB prcb) {
    KI_DPC_CALL call;
    KIRQL level = KI_THREADED_DPC_LEVEL;
    if (MUTANT(DpcThreadedAtDispatch, "DPC-15", "a threaded DPC runs at DISPATCH_LEVEL")) {
        level = DISPATCH_LEVEL;
    }
    while (prcb->CurrentThreadedDpc = NULL, KiTakeDpc(&prcb->ThreadedDpcQueue, level, &call)) {
        prcb->CurrentThreadedDpc = call.Dpc;
        call.Routine(call.Dpc, call.Context, call.Argument1, call.Argument2);
        KiVerifyReturn((ULONG64)call.Routine, (ULONG64)call.Dpc, level);
        trace(TraceThreadedDpcEnd, (ULONG64)call.Dpc, (ULONG64)call.Routine);
        __writecr8(DISPATCH_LEVEL);
        KiDpcHasEnded(&call);
    }
}

VOID KiRunThreadedDpcs(PKPRCB prcb) {
    /* Not above itself: the thread looks at its queue again before it ends. Any request after that sends an interrupt. */
    BOOLEAN running = prcb->CurrentThread == &KiDpcThreads[prcb->Number];
    if (running && !MUTANT(DpcThreadedNests, "DPC-15", "a threaded DPC is preempted by another threaded DPC")) {
        return;
    }
    if (__atomic_load_n(&prcb->ThreadedDpcQueue.Depth, __ATOMIC_ACQUIRE) == 0) {
        return;
    }
    PKTHREAD interrupted = prcb->CurrentThread;
    prcb->CurrentThread = &KiDpcThreads[prcb->Number];
    if (running ||
        MUTANT(DpcThreadedOnForeignStack, "DPC-15", "a threaded DPC runs on the stack that it interrupted")) {
        KiDpcThread(prcb);
    } else {
        KiCallOnStack(prcb->DpcStackTop, KiDpcThread, prcb);
    }
    prcb->CurrentThread = interrupted;
}
