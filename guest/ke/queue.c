/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue objects (driver/queue.h): entries, threads that wait for them, the last to wait served first, and a limit to the threads
 * that are busy with entries at once. CurrentCount is the number of busy ones: those that have turned to the queue and do not
 * wait. It falls when such a thread begins to wait, be it for something else, and then an entry that lies here may go to
 * another; it rises when the wait ends, which may bring it above the limit for a while.
 *
 * A queue is signalled for a thread that looks if there is an entry and it is not one too many. SignalState is the number of
 * entries that lie in the queue; one that is handed to a thread at once never does.
 */
#include "queue.h"

#include "../include/mutant.h"

BOOLEAN KiQueueHasWork(const KQUEUE *queue, const KTHREAD *thread) {
    if (queue->Header.Abandoned) {
        return TRUE;
    }
    ULONG busy = queue->CurrentCount - (thread->Queue == queue && thread->State == KiThreadRunning);
    return !IsListEmpty(&queue->EntryListHead) &&
        (busy < queue->MaximumCount ||
         MUTANT(QueueWithoutLimit, "QUE-2", "any number of threads may be busy with a queue's entries"));
}

NTSTATUS KiTakeFromQueue(PKQUEUE queue, PKTHREAD thread) {
    if (queue->Header.Abandoned) {
        return STATUS_ABANDONED;
    }
    thread->QueueTaken = RemoveHeadList(&queue->EntryListHead);
    queue->Header.SignalState--;
    return STATUS_SUCCESS;
}

/* The thread that began to wait last. */
static PKTHREAD KiLastWaiter(const KQUEUE *queue) {
    PLIST_ENTRY entry = MUTANT(QueueFirstWaiterFirst, "QUE-1", "a queue serves first the thread that waits longest")
        ? queue->Header.WaitListHead.Flink
        : queue->Header.WaitListHead.Blink;
    return CONTAINING_RECORD(entry, KWAIT_BLOCK, WaitListEntry)->Thread;
}

static VOID KiServeWaiters(PKQUEUE queue) {
    while (!IsListEmpty(&queue->Header.WaitListHead)) {
        PKTHREAD thread = KiLastWaiter(queue);
        if (!KiQueueHasWork(queue, thread)) {
            return;
        }
        KiEndWait(thread, KiTakeFromQueue(queue, thread), 0);
    }
}

VOID KiQueueThreadWaits(PKTHREAD thread) {
    thread->Queue->CurrentCount--;
    if (!MUTANT(QueueIgnoresWaits, "QUE-2", "a thread that waits elsewhere still counts as busy with its queue")) {
        KiServeWaiters(thread->Queue);
    }
}

VOID KiQueueThreadReturns(PKTHREAD thread) {
    thread->Queue->CurrentCount++;
}

VOID KiLeaveQueue(PKTHREAD thread) {
    PKQUEUE queue = thread->Queue;
    thread->Queue = NULL;
    RemoveEntryList(&thread->QueueEntry);
    queue->CurrentCount--;
    KiServeWaiters(queue);
}

static VOID KiJoinQueue(PKQUEUE queue, PKTHREAD thread) {
    KIRQL irql = KiLockDispatcher();
    if (thread->Queue != queue) {
        if (thread->Queue != NULL) {
            KiLeaveQueue(thread);
        }
        if (!queue->Header.Abandoned) {
            thread->Queue = queue;
            InsertTailList(&queue->ThreadListHead, &thread->QueueEntry);
            queue->CurrentCount++;
        }
    }
    KiUnlockDispatcher(irql);
}

static LONG KiInsertEntry(PKQUEUE queue, PLIST_ENTRY entry, BOOLEAN head) {
    KIRQL irql = KiLockDispatcher();
    LONG before = queue->Header.SignalState;
    if (head) {
        InsertHeadList(&queue->EntryListHead, entry);
    } else {
        InsertTailList(&queue->EntryListHead, entry);
    }
    queue->Header.SignalState++;
    KiTraceSignal(&queue->Header);
    KiServeWaiters(queue);
    KiUnlockDispatcher(irql);
    return before;
}

VOID NTAPI KeInitializeQueue(PRKQUEUE Queue, ULONG Count) {
    KiInitializeHeader(&Queue->Header, QueueObject, sizeof *Queue, 0);
    InitializeListHead(&Queue->EntryListHead);
    InitializeListHead(&Queue->ThreadListHead);
    Queue->CurrentCount = 0;
    Queue->MaximumCount = Count != 0 ? Count : KiProcessorCount;
}
NT_EXPORT(KeInitializeQueue);

LONG NTAPI KeReadStateQueue(PRKQUEUE Queue) {
    return __atomic_load_n(&Queue->Header.SignalState, __ATOMIC_ACQUIRE);
}
NT_EXPORT(KeReadStateQueue);

LONG NTAPI KeInsertQueue(PRKQUEUE Queue, PLIST_ENTRY Entry) {
    return KiInsertEntry(Queue, Entry, FALSE);
}
NT_EXPORT(KeInsertQueue);

LONG NTAPI KeInsertHeadQueue(PRKQUEUE Queue, PLIST_ENTRY Entry) {
    return KiInsertEntry(Queue, Entry, TRUE);
}
NT_EXPORT(KeInsertHeadQueue);

PLIST_ENTRY NTAPI KeRemoveQueue(PRKQUEUE Queue, KPROCESSOR_MODE WaitMode, PLARGE_INTEGER Timeout) {
    PKTHREAD thread = KiCurrentThread();
    KiJoinQueue(Queue, thread);
    /* An APC may come between the end of the wait and here, and take something from a queue too: what it found it leaves. */
    PLIST_ENTRY outer = thread->QueueTaken;
    NTSTATUS status = KeWaitForSingleObject(Queue, WrQueue, WaitMode, FALSE, Timeout);
    PLIST_ENTRY taken = thread->QueueTaken;
    thread->QueueTaken = outer;
    return status == STATUS_SUCCESS ? taken : (PLIST_ENTRY)(ULONG_PTR)(ULONG)status;
}
NT_EXPORT(KeRemoveQueue);

PLIST_ENTRY NTAPI KeRundownQueue(PRKQUEUE Queue) {
    KIRQL irql = KiLockDispatcher();
    PLIST_ENTRY first = NULL;
    if (!IsListEmpty(&Queue->EntryListHead)) {
        first = Queue->EntryListHead.Flink;
        RemoveEntryList(&Queue->EntryListHead); /* the head alone: the rest is a ring */
        InitializeListHead(&Queue->EntryListHead);
    }
    Queue->Header.Abandoned = TRUE; /* whoever looks from now on is told */
    Queue->Header.SignalState = 0;
    while (!IsListEmpty(&Queue->Header.WaitListHead)) {
        KiEndWait(KiLastWaiter(Queue), STATUS_ABANDONED, 0);
    }
    while (!IsListEmpty(&Queue->ThreadListHead)) {
        PKTHREAD thread = CONTAINING_RECORD(Queue->ThreadListHead.Flink, KTHREAD, QueueEntry);
        RemoveEntryList(&thread->QueueEntry);
        thread->Queue = NULL;
    }
    Queue->CurrentCount = 0;
    KiUnlockDispatcher(irql);
    return first;
}
NT_EXPORT(KeRundownQueue);
