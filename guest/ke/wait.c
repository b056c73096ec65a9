/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting. A wait looks at its objects, links its wait blocks and gives the CPU away under the dispatcher lock, which the
 * thread that is given the CPU lets go. Whoever signals does so under the same lock: before the look, and then the look sees it,
 * or after the thread has become a waiting one, and then it is in the object's list. There is no third case: a wake-up cannot
 * be lost.
 *
 * A timeout is a timer of the thread's own, one object more to wait for.
 */
#include "apc.h"
#include "queue.h"

#include "../include/mutant.h"

typedef struct _KI_WAIT {
    ULONG Count;
    PVOID *Object;
    WAIT_TYPE Type;
    KPROCESSOR_MODE Mode;
    BOOLEAN Alertable;
    const LARGE_INTEGER *Timeout;
    PKWAIT_BLOCK Block; /* for the objects */
    ULONG64 Until;      /* interrupt time at which a relative timeout is over */
} KI_WAIT;

NTSTATUS KiBlock(PKTHREAD thread, KIRQL irql) {
    PKPRCB prcb = KiCurrentPrcb();
    if (irql >= DISPATCH_LEVEL && !MUTANT(WaitAtDispatch, "WAIT-1 DPC-16", "a wait at DISPATCH_LEVEL waits")) {
        KeBugCheckEx(ATTEMPTED_SWITCH_FROM_DPC, (ULONG64)thread, irql, (ULONG64)__builtin_frame_address(0), 0);
    }
    thread->State = KiThreadWaiting;
    thread->WaitIrql = irql;
    if (thread->Queue != NULL) {
        KiQueueThreadWaits(thread);
    }
    KiSwapThread(prcb);
    return thread->WaitStatus;
}

/* STATUS_PENDING: not yet. */
static NTSTATUS KiTakeAny(const KI_WAIT *wait, PKTHREAD thread) {
    for (ULONG i = 0; i < wait->Count; i++) {
        if (KiIsSignaled(wait->Object[i], thread)) {
            NTSTATUS taken = KiTakeSignal(wait->Object[i], thread);
            if (MUTANT(WaitAnyAll, "WAIT-2", "a wait for any takes everything that is there")) {
                for (ULONG more = i + 1; more < wait->Count; more++) {
                    if (KiIsSignaled(wait->Object[more], thread)) {
                        (VOID) KiTakeSignal(wait->Object[more], thread);
                    }
                }
            }
            return (taken == STATUS_ABANDONED ? STATUS_ABANDONED_WAIT_0 : STATUS_WAIT_0) + (NTSTATUS)i;
        }
    }
    return STATUS_PENDING;
}

static NTSTATUS KiTakeEvery(const KI_WAIT *wait, PKTHREAD thread) {
    NTSTATUS result = STATUS_SUCCESS;
    for (ULONG i = 0; i < wait->Count; i++) {
        if (!KiIsSignaled(wait->Object[i], thread)) {
            return STATUS_PENDING;
        }
    }
    for (ULONG i = 0; i < wait->Count; i++) {
        if (KiTakeSignal(wait->Object[i], thread) == STATUS_ABANDONED && result == STATUS_SUCCESS) {
            result = STATUS_ABANDONED_WAIT_0 + (NTSTATUS)i;
        }
    }
    return result;
}

static NTSTATUS KiTryWait(const KI_WAIT *wait, PKTHREAD thread) {
    NTSTATUS status = wait->Count == 0 ? STATUS_PENDING
        : wait->Type == WaitAll        ? KiTakeEvery(wait, thread)
                                       : KiTakeAny(wait, thread);
    if (status == STATUS_PENDING && wait->Alertable && KiTakeAlert(thread, wait->Mode)) {
        return STATUS_ALERTED;
    }
    if (status == STATUS_PENDING && wait->Timeout != NULL && wait->Timeout->QuadPart == 0) {
        return STATUS_TIMEOUT;
    }
    return status;
}

/* FALSE: nobody could ever count a mutex up again that its owner has taken as often as this. */
static BOOLEAN KiMayRecurse(const KI_WAIT *wait, const KTHREAD *thread) {
    for (ULONG i = 0; i < wait->Count; i++) {
        const KMUTANT *mutant = wait->Object[i];
        if (mutant->Header.Type == MutantObject && mutant->OwnerThread == thread &&
            mutant->Header.SignalState == (LONG)MINLONG) {
            return FALSE;
        }
    }
    return TRUE;
}

static VOID KiLinkBlock(PKTHREAD thread, PKWAIT_BLOCK block, DISPATCHER_HEADER *object, WAIT_TYPE type, ULONG key) {
    block->Thread = thread;
    block->Object = object;
    block->WaitKey = (USHORT)key;
    block->WaitType = (UCHAR)type;
    if (MUTANT(WaitLastFirst, "EVT-5", "who began to wait last is let go first")) {
        InsertHeadList(&object->WaitListHead, &block->WaitListEntry);
        return;
    }
    InsertTailList(&object->WaitListHead, &block->WaitListEntry);
}

/* FALSE: the timeout is over already. */
static BOOLEAN KiStartTimeout(KI_WAIT *wait, PKTHREAD thread) {
    LARGE_INTEGER due = *wait->Timeout;
    if (due.QuadPart < 0) {
        ULONG64 now = KiInterruptTime();
        if (wait->Until == 0) {
            wait->Until = now - (ULONG64)due.QuadPart;
        } else if (now >= wait->Until) { /* an APC took the rest of it */
            return FALSE;
        }
        due.QuadPart = -(LONGLONG)(wait->Until - now);
    }
    return KiInsertTimer(&thread->Timer, due);
}

/* FALSE: the timeout is over already, and nothing is linked. */
static BOOLEAN KiLinkWait(KI_WAIT *wait, PKTHREAD thread) {
    PKWAIT_BLOCK timeout = &thread->OwnWaitBlocks[THREAD_WAIT_OBJECTS];
    thread->Timer.Header.SignalState = 0;
    if (wait->Timeout != NULL && !KiStartTimeout(wait, thread)) {
        return FALSE;
    }
    for (ULONG i = 0; i < wait->Count; i++) {
        KiLinkBlock(thread, &wait->Block[i], wait->Object[i], wait->Type, i);
        wait->Block[i].NextWaitBlock = &wait->Block[i + 1 < wait->Count ? i + 1 : 0];
    }
    thread->WaitBlock = wait->Count != 0 ? wait->Block : timeout;
    if (wait->Timeout != NULL) {
        KiLinkBlock(thread, timeout, &thread->Timer.Header, WaitAny, STATUS_TIMEOUT);
        timeout->NextWaitBlock = thread->WaitBlock;
        if (wait->Count != 0) {
            wait->Block[wait->Count - 1].NextWaitBlock = timeout;
        }
    }
    return TRUE;
}

static PVOID KiFirstObject(const KI_WAIT *wait) {
    return wait->Count != 0 ? wait->Object[0] : NULL;
}

static NTSTATUS KiWait(KI_WAIT *wait) {
    PKTHREAD thread = KiCurrentThread();
    NTSTATUS status;
    if (MUTANT(WaitZeroWaits, "WAIT-1", "a timeout of zero is one of for ever") && wait->Timeout != NULL &&
        wait->Timeout->QuadPart == 0) {
        wait->Timeout = NULL;
    }
    do {
        NTSTATUS early = MUTANT(WaitLooksFirst, "WAIT-1 EVT-1", "a wait looks at its objects before it has the lock")
            ? KiTryWait(wait, thread)
            : STATUS_SUCCESS;
        KIRQL irql = KiLockDispatcher();
        if (!KiMayRecurse(wait, thread)) {
            KiUnlockDispatcher(irql);
            ExRaiseStatus(STATUS_MUTANT_LIMIT_EXCEEDED);
        }
        status = MUTANT(WaitLooksFirst, "WAIT-1 EVT-1", "a wait looks at its objects before it has the lock")
            ? early
            : KiTryWait(wait, thread);
        if (status == STATUS_PENDING) {
            if (irql < APC_LEVEL && KiApcDeliverable(thread)) {
                status = KI_WAIT_AGAIN; /* it comes as soon as the IRQL is back */
            } else if (!KiLinkWait(wait, thread)) {
                status = STATUS_TIMEOUT;
            } else {
                thread->WaitMode = wait->Mode;
                thread->WaitAlertable = wait->Alertable;
                trace(TraceWaitBegin, (ULONG64)KiFirstObject(wait),
                      wait->Count | (ULONG64)wait->Type << 8 | (ULONG64)wait->Alertable << 16 |
                          (ULONG64)(wait->Timeout != NULL) << 24);
                status = KiBlock(thread, irql);
            }
        }
        if (MUTANT(WaitIrqlLost, "IRQL-10 WAIT-1", "a thread goes on at PASSIVE_LEVEL after a wait")) {
            irql = PASSIVE_LEVEL;
        }
        if (status != KI_WAIT_AGAIN) {
            trace(TraceWaitEnd, (ULONG64)KiFirstObject(wait), (ULONG)status);
        }
        KiUnlockDispatcher(irql);
    } while (status == KI_WAIT_AGAIN);
    return status;
}

NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                     PLARGE_INTEGER Timeout) {
    UNREFERENCED_PARAMETER(WaitReason);
    KI_WAIT wait = {.Count = 1,
                    .Object = &Object,
                    .Type = WaitAny,
                    .Mode = WaitMode,
                    .Alertable = Alertable,
                    .Timeout = Timeout,
                    .Block = KiCurrentThread()->OwnWaitBlocks};
    return KiWait(&wait);
}
NT_EXPORT(KeWaitForSingleObject);

NTSTATUS NTAPI KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType, KWAIT_REASON WaitReason,
                                        KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                                        PKWAIT_BLOCK WaitBlockArray) {
    UNREFERENCED_PARAMETER(WaitReason);
    if (Count > (WaitBlockArray != NULL ? MAXIMUM_WAIT_OBJECTS : THREAD_WAIT_OBJECTS)) {
        KeBugCheckEx(MAXIMUM_WAIT_OBJECTS_EXCEEDED, Count, (ULONG64)WaitBlockArray, 0, 0);
    }
    KI_WAIT wait = {.Count = Count,
                    .Object = Object,
                    .Type = WaitType,
                    .Mode = WaitMode,
                    .Alertable = Alertable,
                    .Timeout = Timeout,
                    .Block = WaitBlockArray != NULL ? WaitBlockArray : KiCurrentThread()->OwnWaitBlocks};
    return KiWait(&wait);
}
NT_EXPORT(KeWaitForMultipleObjects);

NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Interval) {
    if (Interval->QuadPart == 0) {
        KiYield();
        return STATUS_SUCCESS;
    }
    KI_WAIT wait = {.Type = WaitAny, .Mode = WaitMode, .Alertable = Alertable, .Timeout = Interval};
    NTSTATUS status = KiWait(&wait);
    return status == STATUS_TIMEOUT ? STATUS_SUCCESS : status;
}
NT_EXPORT(KeDelayExecutionThread);

VOID KiPark(VOID) {
    PKTHREAD thread = KiCurrentThread();
    KIRQL irql = KiLockDispatcher();
    while (!thread->Unparked) {
        (VOID) KiBlock(thread, irql);
    }
    thread->Unparked = FALSE;
    KiUnlockDispatcher(irql);
}

VOID KiUnpark(PKTHREAD thread, KPRIORITY increment) {
    KIRQL irql = KiLockDispatcher();
    if (!thread->Unparked) {
        thread->Unparked = TRUE;
        if (thread->State == KiThreadWaiting && thread->WaitBlock == NULL) {
            KiEndWait(thread, STATUS_SUCCESS, increment);
        }
    }
    KiUnlockDispatcher(irql);
}
