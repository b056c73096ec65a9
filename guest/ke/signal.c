/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it means that an object is signalled, to one thread and to those that wait (spec section 9). Objects let threads go
 * in the order in which they began to wait; a wait for all takes nothing before it can take everything.
 */
#include "queue.h"

#include "../include/mutant.h"

BOOLEAN KiIsSignaled(const DISPATCHER_HEADER *header, const KTHREAD *thread) {
    if (header->Type == QueueObject) {
        return KiQueueHasWork(CONTAINING_RECORD(header, KQUEUE, Header), thread);
    }
    if (header->SignalState > 0) {
        return TRUE;
    }
    return header->Type == MutantObject && CONTAINING_RECORD(header, KMUTANT, Header)->OwnerThread == thread;
}

static NTSTATUS KiTakeMutant(PKMUTANT mutant, PKTHREAD thread) {
    if (--mutant->Header.SignalState != 0) {
        return STATUS_SUCCESS; /* once more by its owner */
    }
    mutant->OwnerThread = thread;
    InsertTailList(&thread->Mutexes, &mutant->MutantListEntry);
    thread->Apc.KernelApcDisable = (SHORT)(thread->Apc.KernelApcDisable - mutant->ApcDisable);
    BOOLEAN abandoned = mutant->Abandoned;
    if (MUTANT(MutexAbandonedUntold, "MUT-1 WAIT-2", "nobody is told that a mutex was abandoned")) {
        abandoned = FALSE;
    }
    mutant->Abandoned = FALSE;
    return abandoned ? STATUS_ABANDONED : STATUS_SUCCESS;
}

NTSTATUS KiTakeSignal(DISPATCHER_HEADER *header, PKTHREAD thread) {
    if (MUTANT(EventSynchronizationStays, "EVT-1", "a synchronization event stays set when a wait took it") &&
        header->Type == EventSynchronizationObject) {
        return STATUS_SUCCESS;
    }
    if (MUTANT(EventNotificationGoes, "EVT-1", "a notification event is reset by the first wait") &&
        header->Type == EventNotificationObject) {
        header->SignalState = 0;
    }
    switch (header->Type) {
    case EventSynchronizationObject:
    case TimerSynchronizationObject:
        header->SignalState = 0;
        return STATUS_SUCCESS;
    case SemaphoreObject:
        header->SignalState--;
        if (MUTANT(SemaphoreAllTaken, "SEM-3", "one wait takes the whole count of a semaphore")) {
            header->SignalState = 0;
        }
        return STATUS_SUCCESS;
    case QueueObject:
        return KiTakeFromQueue(CONTAINING_RECORD(header, KQUEUE, Header), thread);
    case MutantObject:
        return KiTakeMutant(CONTAINING_RECORD(header, KMUTANT, Header), thread);
    default:
        return STATUS_SUCCESS; /* events and timers of notification, threads: they stay as they are */
    }
}

VOID KiEndWait(PKTHREAD thread, NTSTATUS status, KPRIORITY increment) {
    PKWAIT_BLOCK first = thread->WaitBlock;
    if (first != NULL) {
        PKWAIT_BLOCK block = first;
        do {
            RemoveEntryList(&block->WaitListEntry);
            block = block->NextWaitBlock;
        } while (block != first);
        thread->WaitBlock = NULL;
        if (thread->Timer.Header.Inserted &&
            !MUTANT(WaitTimeoutLeft, "WAIT-1", "a wait that was satisfied leaves its timeout running")) {
            KiRemoveTimer(&thread->Timer);
        }
    }
    thread->WaitStatus = status;
    if (thread->Queue != NULL) {
        KiQueueThreadReturns(thread);
    }
    if (!MUTANT(WaitUnboosted, "EVT-5 THR-1", "a wait's end raises no priority")) {
        KiBoost(thread, increment);
    }
    KiReadyThread(thread);
}

/* The block of a timeout ends a wait for all by itself. */
static BOOLEAN KiAllSignaled(const KTHREAD *thread) {
    const KWAIT_BLOCK *block = thread->WaitBlock;
    do {
        if (block->WaitType == WaitAll && !KiIsSignaled(block->Object, thread)) {
            return FALSE;
        }
        block = block->NextWaitBlock;
    } while (block != thread->WaitBlock);
    return TRUE;
}

static NTSTATUS KiTakeAll(PKTHREAD thread) {
    NTSTATUS result = STATUS_SUCCESS;
    PKWAIT_BLOCK block = thread->WaitBlock;
    do {
        if (block->WaitType == WaitAll && KiTakeSignal(block->Object, thread) == STATUS_ABANDONED &&
            result == STATUS_SUCCESS) {
            result = STATUS_ABANDONED_WAIT_0 + block->WaitKey;
        }
        block = block->NextWaitBlock;
    } while (block != thread->WaitBlock);
    return result;
}

static VOID KiSatisfyBlock(DISPATCHER_HEADER *header, const KWAIT_BLOCK *block, KPRIORITY increment) {
    PKTHREAD thread = block->Thread;
    if (block->WaitType == WaitAny) {
        NTSTATUS taken = KiTakeSignal(header, thread);
        ULONG key = block->WaitKey;
        if (MUTANT(WaitAnyFirst, "WAIT-2", "a wait for any says that the first object ended it") &&
            key < STATUS_TIMEOUT) {
            key = 0;
        }
        KiEndWait(thread, (taken == STATUS_ABANDONED ? STATUS_ABANDONED_WAIT_0 : STATUS_WAIT_0) + (NTSTATUS)key,
                  increment);
    } else if (KiAllSignaled(thread) ||
               MUTANT(WaitAllOne, "WAIT-2", "a wait for all ends when one object is signalled")) {
        KiEndWait(thread, KiTakeAll(thread), increment);
    } else if (MUTANT(WaitAllPiecemeal, "WAIT-2", "a wait for all takes what there is before all is there")) {
        (VOID) KiTakeSignal(header, thread);
    }
}

VOID KiReleaseWaiters(DISPATCHER_HEADER *header, KPRIORITY increment) {
    PLIST_ENTRY head = &header->WaitListHead;
    PLIST_ENTRY entry = head->Flink;
    while (entry != head && header->SignalState > 0) {
        PKWAIT_BLOCK block = CONTAINING_RECORD(entry, KWAIT_BLOCK, WaitListEntry);
        PKTHREAD thread = block->Thread;
        do { /* a thread may wait for the same object more than once, and all its blocks go together */
            entry = entry->Flink;
        } while (entry != head && CONTAINING_RECORD(entry, KWAIT_BLOCK, WaitListEntry)->Thread == thread);
        KiSatisfyBlock(header, block, increment);
    }
}
