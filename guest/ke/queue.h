/* SPDX-License-Identifier: Apache-2.0 */
/* Queue objects as waits see them (ke/queue.c). The dispatcher lock is held. */
#pragma once

#include "dispatcher.h"

#include "../include/driver/queue.h"

BOOLEAN KiQueueHasWork(const KQUEUE *queue, const KTHREAD *thread); /* for a thread that looks */
NTSTATUS KiTakeFromQueue(PKQUEUE queue, PKTHREAD thread); /* thread->QueueTaken; STATUS_SUCCESS, STATUS_ABANDONED */

/* A thread that does a queue's work waits, for whatever it may be: another may go on. And: it does not wait any more. */
VOID KiQueueThreadWaits(PKTHREAD thread);
VOID KiQueueThreadReturns(PKTHREAD thread);
VOID KiLeaveQueue(PKTHREAD thread); /* it ends, or turns to another queue */
