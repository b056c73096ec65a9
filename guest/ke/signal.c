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
    mutant->Abandoned = FALSE;
    return abandoned ? STATUS_ABANDONED : STATUS_SUCCESS;
}

NTSTATUS KiTakeSignal(DISPATCHER_HEADER *header, PKTHREAD thread) {
    switch (header->Type) {
    case EventSynchronizationObject:
    case TimerSynchronizationObject:
        header->SignalState = 0;
        return STATUS_SUCCESS;
    case SemaphoreObject:
        header->SignalState--;
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
        if (thread->Timer.Header.Inserted) {
            KiRemoveTimer(&thread->Timer);
        }
    }
    thread->WaitStatus = status;
    if (thread->Queue != NULL) {
        KiQueueThreadReturns(thread);
    }
    KiBoost(thread, increment);
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
        KiEndWait(thread, taken == STATUS_ABANDONED ? STATUS_ABANDONED_WAIT_0 + block->WaitKey : block->WaitKey,
                  increment);
    } else if (KiAllSignaled(thread)) {
        KiEndWait(thread, KiTakeAll(thread), increment);
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
