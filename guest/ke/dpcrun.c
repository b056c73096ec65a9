/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DISPATCH software interrupt, which stays pending in the local APIC behind CR8 until the IRQL falls below
 * DISPATCH_LEVEL; nothing polls. It expires timers and drains the DPC queues; what it interrupted may then have to give way
 * to another thread (ke/scheduler.c). And the clock tick, which sees to what importance has left waiting.
 */
#include "../hal/hal.h"
#include "../include/mutant.h"
#include "dispatcher.h"
#include "verify.h"

/* Once until it has come: the flag is cleared before the queues are looked at. */
BOOLEAN KiRequestDpcInterrupt(ULONG cpu) {
    PKPRCB target = &KiPcr[cpu].Prcb;
    if (__atomic_exchange_n(&target->DpcRequested, 1, __ATOMIC_SEQ_CST) != 0) {
        return FALSE;
    }
    if (target == KiCurrentPrcb()) {
        lapic_self(DPC_VECTOR);
    } else {
        trace(TraceIpiSend, DPC_VECTOR, cpu);
        lapic_send(target->ApicId, DPC_VECTOR);
    }
    return TRUE;
}

BOOLEAN KiTakeDpc(KI_DPC_QUEUE *queue, KIRQL irql, KI_DPC_CALL *call) {
    KIRQL old = KiAcquireLockAtHigh(&queue->Lock);
    if (IsListEmpty(&queue->List)) {
        KiReleaseLockFromHigh(&queue->Lock, old);
        return FALSE;
    }
    PLIST_ENTRY entry = queue->List.Flink;
    if (MUTANT(DpcImportanceLate, "DPC-11", "importance set after queueing moves a DPC to the head")) {
        while (entry->Flink != &queue->List &&
               CONTAINING_RECORD(entry, KDPC, DpcListEntry)->Importance != HighImportance) {
            entry = entry->Flink;
        }
    }
    RemoveEntryList(entry);
    PKDPC dpc = CONTAINING_RECORD(entry, KDPC, DpcListEntry);
    call->Dpc = dpc;
    call->Routine = dpc->DeferredRoutine;
    call->Context = dpc->DeferredContext;
    call->Argument1 = dpc->SystemArgument1;
    call->Argument2 = dpc->SystemArgument2;
    queue->Depth--;
    /* The record is made under the lock, yet carries the IRQL that the routine runs at: interrupts off in between. */
    ULONG64 flags = KiDisableInterrupts();
    __writecr8(irql);
    if (dpc->Type == KI_THREADED_DPC_OBJECT) {
        trace(TraceThreadedDpcStart, (ULONG64)dpc, (ULONG64)call->Routine);
    } else {
        trace(TraceDpcStart, (ULONG64)dpc, (ULONG64)call->Routine);
    }
    if (!MUTANT(DpcQueuedWhileItRuns, "DPC-3", "a DPC counts as queued until its routine has returned")) {
        /* Release: from here on another CPU may queue the object again, with other arguments. */
        __atomic_store_n((PVOID *)&dpc->DpcData, NULL, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&queue->Lock, 0, __ATOMIC_RELEASE);
    KiRestoreInterrupts(flags);
    return TRUE;
}

/* Runs the first DPC of a queue. Returns FALSE if there was none. */
static BOOLEAN KiRunDpc(PKPRCB prcb, KI_DPC_QUEUE *queue) {
    KI_DPC_CALL call;
    KIRQL irql = DISPATCH_LEVEL;
    if (MUTANT(DpcAboveDispatch, "DPC-4", "a DPC routine runs above DISPATCH_LEVEL")) {
        irql = DISPATCH_LEVEL + 1;
    }
    if (!KiTakeDpc(queue, irql, &call)) {
        return FALSE;
    }
    prcb->DpcTicks = 0;
    prcb->CurrentDpc = call.Dpc;
    prcb->DpcRoutineActive = TRUE;
    if (MUTANT(DpcArgumentsSwapped, "DPC-19", "a DPC gets its two system arguments in the wrong order")) {
        call.Routine(call.Dpc, call.Context, call.Argument2, call.Argument1);
    } else {
        call.Routine(call.Dpc, call.Context, call.Argument1, call.Argument2);
    }
    if (MUTANT(DpcRunTwice, "DPC-2", "a DPC runs twice for one insertion")) {
        call.Routine(call.Dpc, call.Context, call.Argument1, call.Argument2);
    }
    KiVerifyReturn((ULONG64)call.Routine, (ULONG64)call.Dpc, irql);
    if (MUTANT(DpcQueuedWhileItRuns, "DPC-3", "a DPC counts as queued until its routine has returned")) {
        call.Dpc->DpcData = NULL;
    }
    prcb->DpcRoutineActive = FALSE;
    prcb->CurrentDpc = NULL;
    prcb->DpcCount++;
    trace(TraceDpcEnd, (ULONG64)call.Dpc, (ULONG64)call.Routine);
    KiDpcHasEnded(&call);
    __writecr8(DISPATCH_LEVEL); /* whatever the routine left */
    return TRUE;
}

/* The DPC software interrupt, at DISPATCH_LEVEL, already acknowledged. */
static VOID KiDpcInterrupt(KI_TRAP_FRAME *frame, PVOID context) {
    UNREFERENCED_PARAMETER(frame);
    UNREFERENCED_PARAMETER(context);
    PKPRCB prcb = KiCurrentPrcb();
    prcb->DispatchTicks = 0; /* that it came shows that the IRQL was below DISPATCH_LEVEL */
    /* Sequentially consistent, and before the queues are read: a request made after this sends another interrupt. */
    __atomic_store_n(&prcb->DpcRequested, 0, __ATOMIC_SEQ_CST);
    KiExpireTimers();
    while (KiRunDpc(prcb, &prcb->DpcQueue) || KiRunDpc(prcb, &KiSharedDpcQueue)) {
    }
    KiWakeDpcThread(prcb);
}

VOID KiConnectDpcInterrupt(VOID) {
    KiConnectVector(DPC_VECTOR, KiDpcInterrupt, NULL, TRUE);
}

/* Requests in a clock tick: those of the last whole one, or of the one that has begun if they are more already. */
ULONG KiDpcRate(const KI_DPC_QUEUE *queue) {
    /* Relaxed: a figure that only decides when, never whether. */
    ULONG now = __atomic_load_n(&queue->Requests, __ATOMIC_RELAXED);
    ULONG last = __atomic_load_n(&queue->LastRate, __ATOMIC_RELAXED);
    return now > last ? now : last;
}

VOID KiClockTickDpcs(PKPRCB prcb) {
    KI_DPC_QUEUE *queue = &prcb->DpcQueue;
    ULONG rate = __atomic_exchange_n(&queue->Requests, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&queue->LastRate, rate, __ATOMIC_RELAXED);
    /* With requests as frequent as that, the next ones bring the depth above its limit. */
    if (queue->Depth != 0 && rate < KI_DPC_MINIMUM_RATE &&
        !MUTANT(DpcTickForgets, "DPC-8", "the clock tick does not see to DPCs that wait")) {
        KiRequestDpcInterrupt(prcb->Number);
    }
    KiTickDpcWatchdog(prcb);
}
