/* SPDX-License-Identifier: Apache-2.0 */
/* Work items, system worker threads and remove locks: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"
#include "../driver/queue.h" /* queue objects, which of the DDK headers only ntifs.h has */

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Work items: a routine that a system worker thread calls at PASSIVE_LEVEL. Queue: IRQL <= DISPATCH_LEVEL; the item is resident,
 * and may be queued again, or given back, once its routine runs. One that is queued already: bugcheck 0xE4. The routine returns at
 * PASSIVE_LEVEL (0xE1), in no region (0x1), and ends no thread (0xE9). Threads of the queues: priority 12 (delayed), 13
 * (critical), 15 (hypercritical); as many items of a queue run at once as there are processors, more while some wait. Do not wait
 * in a routine for another item of the same queue.
 */
VOID NTAPI ExQueueWorkItem(PWORK_QUEUE_ITEM WorkItem, WORK_QUEUE_TYPE QueueType);

/*
 * The same with a device or driver object, which is kept, and its driver loaded, until the routine has returned. Allocate,
 * Free, Initialize, Uninitialize: IRQL <= DISPATCH_LEVEL; not while it is queued (0xE4). Free and Uninitialize may be called by its
 * own routine.
 */
PIO_WORKITEM NTAPI IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject);
VOID NTAPI IoFreeWorkItem(PIO_WORKITEM IoWorkItem);
ULONG NTAPI IoSizeofWorkItem(VOID);
VOID NTAPI IoInitializeWorkItem(PVOID IoObject, PIO_WORKITEM IoWorkItem);
VOID NTAPI IoUninitializeWorkItem(PIO_WORKITEM IoWorkItem);
VOID NTAPI IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine, WORK_QUEUE_TYPE QueueType,
                           PVOID Context);
VOID NTAPI IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine, WORK_QUEUE_TYPE QueueType,
                             PVOID Context);

/*
 * Remove locks (io/removelock.c). Initialize: PASSIVE_LEVEL, once. Acquire and Release: IRQL <= DISPATCH_LEVEL; STATUS_SUCCESS, or
 * STATUS_DELETE_PENDING once ReleaseAndWait was called, and then nothing is to be released. ReleaseAndWait: PASSIVE_LEVEL, by one who
 * holds it; waits until all others have released it.
 */
VOID NTAPI IoInitializeRemoveLockEx(PIO_REMOVE_LOCK Lock, ULONG AllocateTag, ULONG MaxLockedMinutes,
                                    ULONG HighWatermark, ULONG RemlockSize);
NTSTATUS NTAPI IoAcquireRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, PCSTR File, ULONG Line, ULONG RemlockSize);
VOID NTAPI IoReleaseRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize);
VOID NTAPI IoReleaseRemoveLockAndWaitEx(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize);

/* NOLINTEND(readability-redundant-declaration) */
