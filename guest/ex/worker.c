/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System worker threads and the executive's work items (nt/work.h): three queue objects, each with threads of its own that are
 * there from the start. A queue lets as many of them work at once as there are processors, and one more for each that waits.
 */
#include "worker.h"

#include "../include/mutant.h"
#include "../ke/queue.h"

/* Of each queue: beside one for each processor, for the items that wait while others run. */
#define EXP_SPARE_WORKERS   2
#define EXP_MAXIMUM_WORKERS (2 * (MAXIMUM_CPUS + EXP_SPARE_WORKERS) + 1)

#define EXP_DELAYED_PRIORITY       12
#define EXP_CRITICAL_PRIORITY      13
#define EXP_HYPERCRITICAL_PRIORITY 15

typedef enum _EXP_WORK_QUEUE { ExpCritical, ExpDelayed, ExpHyperCritical, EXP_WORK_QUEUES } EXP_WORK_QUEUE;

typedef struct _EXP_WORKER {
    PKTHREAD Thread;
    PKQUEUE Queue;
    KPRIORITY Priority;
    volatile BOOLEAN Looks;   /* for an item, or has one and has not yet said which */
    volatile ULONG64 Routine; /* that it calls; 0: none */
} EXP_WORKER;

/* WORKER_INVALID, first parameter (bug-check-0xe4). */
#define WORKER_ALREADY_QUEUED 1
#define WORKER_BAD_QUEUE      6
#define WORKER_NO_ROUTINE     7

#define WORKER_RETURNED 1 /* APC_INDEX_MISMATCH, fourth parameter */

static KQUEUE ExpQueues[EXP_WORK_QUEUES];
static EXP_WORKER ExpWorkers[EXP_MAXIMUM_WORKERS];
static ULONG ExpWorkerCount;

PWORKER_THREAD_ROUTINE ExForeignWorker;

static VOID ExpCheckReturn(PVOID item, ULONG64 routine, PVOID parameter) {
    KIRQL irql = (KIRQL)__readcr8();
    const KI_APC_STATE *state = &KiCurrentThread()->Apc;
    if (irql != PASSIVE_LEVEL && !MUTANT(WorkAnyIrql, "WORK-1", "a work item's routine may return at any IRQL")) {
        KeBugCheckEx(WORKER_THREAD_RETURNED_AT_BAD_IRQL, routine, irql, (ULONG64)parameter, (ULONG64)item);
    }
    if (state->KernelApcDisable != 0 || state->SpecialApcDisable != 0) {
        KeBugCheckEx(APC_INDEX_MISMATCH, routine, 0,
                     (ULONG)(USHORT)state->SpecialApcDisable << 16 | (USHORT)state->KernelApcDisable, WORKER_RETURNED);
    }
}

VOID ExRunWork(PVOID item, ULONG64 routine, PVOID parameter, EX_CALL_WORK *call, PVOID context) {
    trace(TraceWorkStart, (ULONG64)item, routine);
    call(context);
    ExpCheckReturn(item, routine, parameter);
    trace(TraceWorkEnd, (ULONG64)item, routine);
}

typedef struct _EXP_CALL {
    PWORKER_THREAD_ROUTINE Routine;
    PVOID Parameter;
} EXP_CALL;

static VOID ExpCall(PVOID context) {
    const EXP_CALL *call = context;
    call->Routine(call->Parameter);
}

static VOID NTAPI ExpWork(PVOID context) {
    EXP_WORKER *worker = context;
    worker->Thread = KiCurrentThread();
    KeSetPriorityThread(worker->Thread, worker->Priority);
    for (;;) {
        /* Release, each time: ExpIsBusyWith, on another CPU, goes from one of these words to the next. */
        __atomic_store_n(&worker->Looks, TRUE, __ATOMIC_RELEASE);
        __atomic_store_n(&worker->Routine, 0, __ATOMIC_RELEASE);
        PWORK_QUEUE_ITEM item =
            CONTAINING_RECORD(KeRemoveQueue(worker->Queue, KernelMode, NULL), WORK_QUEUE_ITEM, List);
        EXP_CALL call = {item->WorkerRoutine, item->Parameter};
        __atomic_store_n(&worker->Routine, (ULONG64)call.Routine, __ATOMIC_RELEASE);
        __atomic_store_n(&worker->Looks, FALSE, __ATOMIC_RELEASE);
        if (!MUTANT(WorkStaysQueued, "WORK-2", "a work item counts as queued until its routine has returned")) {
            __atomic_store_n(&item->List.Flink, NULL, __ATOMIC_RELEASE); /* from here on it is its owner's */
        }
        if (call.Routine == ExForeignWorker) {
            call.Routine(call.Parameter);
        } else {
            ExRunWork(item, (ULONG64)call.Routine, call.Parameter, ExpCall, &call);
        }
    }
}

BOOLEAN ExIsWorkerThread(const KTHREAD *thread) {
    return thread->StartRoutine == ExpWork;
}

static PKQUEUE ExpQueueOf(PWORK_QUEUE_ITEM item, WORK_QUEUE_TYPE type) {
    switch (type) {
    case CriticalWorkQueue:
        return &ExpQueues[ExpCritical];
    case DelayedWorkQueue:
        return &ExpQueues[ExpDelayed];
    case HyperCriticalWorkQueue:
        return &ExpQueues[ExpHyperCritical];
    default:
        break;
    }
    KeBugCheckEx(WORKER_INVALID, WORKER_BAD_QUEUE, (ULONG64)item, (ULONG64)type, 0);
    return NULL;
}

VOID NTAPI ExQueueWorkItem(PWORK_QUEUE_ITEM WorkItem, WORK_QUEUE_TYPE QueueType) {
    PKQUEUE queue = ExpQueueOf(WorkItem, QueueType);
    /* Its owner has set it to NULL, or a worker has; two who queue it at once are found too. */
    PLIST_ENTRY free = NULL;
    if (!__atomic_compare_exchange_n(&WorkItem->List.Flink, &free, &WorkItem->List, FALSE, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE) &&
        !MUTANT(WorkQueuedTwice, "WORK-2", "a work item that is queued may be queued again")) {
        KeBugCheckEx(WORKER_INVALID, WORKER_ALREADY_QUEUED, (ULONG64)WorkItem, (ULONG64)QueueType, 0);
    }
    if (WorkItem->WorkerRoutine == NULL) {
        KeBugCheckEx(WORKER_INVALID, WORKER_NO_ROUTINE, (ULONG64)WorkItem, (ULONG64)QueueType, 0);
    }
    KeInsertQueue(queue, &WorkItem->List);
}
NT_EXPORT(ExQueueWorkItem);
NT_PARTIAL(ExQueueWorkItem,
           "the queues are DelayedWorkQueue, CriticalWorkQueue and HyperCriticalWorkQueue; another is bugcheck 0xE4");

/* The dispatcher lock held. Nothing is known of one that has just been given an item, or looks for one. */
static BOOLEAN ExpMayCall(const EXP_WORKER *worker, ULONG64 base, ULONG64 size) {
    BOOLEAN looks = __atomic_load_n(&worker->Looks, __ATOMIC_ACQUIRE);
    if (worker->Thread == NULL || (looks && worker->Thread->State == KiThreadWaiting)) {
        return FALSE;
    }
    return looks || __atomic_load_n(&worker->Routine, __ATOMIC_ACQUIRE) - base < size;
}

static BOOLEAN ExpHasWork(ULONG64 base, ULONG64 size) {
    BOOLEAN found = FALSE;
    KIRQL irql = KiLockDispatcher();
    for (ULONG i = 0; i < EXP_WORK_QUEUES; i++) {
        PLIST_ENTRY head = &ExpQueues[i].EntryListHead;
        for (PLIST_ENTRY entry = head->Flink; entry != head; entry = entry->Flink) {
            const WORK_QUEUE_ITEM *item = CONTAINING_RECORD(entry, WORK_QUEUE_ITEM, List);
            found |= (ULONG64)item->WorkerRoutine - base < size;
        }
    }
    for (ULONG i = 0; i < ExpWorkerCount; i++) {
        found |= ExpMayCall(&ExpWorkers[i], base, size);
    }
    KiUnlockDispatcher(irql);
    return found;
}

VOID ExWaitForWork(ULONG64 base, ULONG64 size) {
    LARGE_INTEGER tick = {.QuadPart = -1};
    while (ExpHasWork(base, size)) {
        KeDelayExecutionThread(KernelMode, FALSE, &tick); /* an image is seldom unloaded: no word of its end for that */
    }
}

static VOID ExpStartWorker(EX_START_THREAD *start, EXP_WORK_QUEUE queue, KPRIORITY priority) {
    EXP_WORKER *worker = &ExpWorkers[ExpWorkerCount++];
    worker->Queue = &ExpQueues[queue];
    worker->Priority = priority;
    if (!start(ExpWork, worker)) {
        KeBugCheckEx(INSTALL_MORE_MEMORY, queue, (ULONG64)worker, 0, 0);
    }
}

VOID ExInitializeWorkers(EX_START_THREAD *start) {
    for (ULONG i = 0; i < EXP_WORK_QUEUES; i++) {
        KeInitializeQueue(&ExpQueues[i], 0);
    }
    for (ULONG i = 0; i < KiProcessorCount + EXP_SPARE_WORKERS; i++) {
        ExpStartWorker(start, ExpDelayed, EXP_DELAYED_PRIORITY);
        ExpStartWorker(start, ExpCritical, EXP_CRITICAL_PRIORITY);
    }
    ExpStartWorker(start, ExpHyperCritical, EXP_HYPERCRITICAL_PRIORITY);
}
