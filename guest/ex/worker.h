/* SPDX-License-Identifier: Apache-2.0 */
/* System worker threads as other floors see them (ex/worker.c). */
#pragma once

#include "../ke/thread.h"

/* Boot CPU, once threads run: makes the queues and, by start, their threads. Bugchecks without memory. */
typedef BOOLEAN EX_START_THREAD(PKSTART_ROUTINE routine, PVOID context);
VOID ExInitializeWorkers(EX_START_THREAD *start);

/* Calls a work item's routine and sees that it comes back as it went. item, and what it lies in, may be gone at return. */
typedef VOID EX_CALL_WORK(PVOID context);
VOID ExRunWork(PVOID item, ULONG64 routine, PVOID parameter, EX_CALL_WORK *call, PVOID context);

/* WorkerRoutine of items whose owner calls ExRunWork itself, because its item is not what drivers call one (io/workitem.c). */
extern PWORKER_THREAD_ROUTINE ExForeignWorker;

/* PASSIVE_LEVEL; waits until no item whose routine lies there is queued or runs. */
VOID ExWaitForWork(ULONG64 base, ULONG64 size);

BOOLEAN ExIsWorkerThread(const KTHREAD *thread);
