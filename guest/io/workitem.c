/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O manager's work items (nt/work.h): a work item of the executive, and the object in whose name it works. The object is
 * referenced from the queueing to the return of the routine, by which time the item itself may be gone.
 */
#include "iop.h"

#include "../ex/worker.h"
#include "../include/mutant.h"

#define POOL_TAG_WORK_ITEM 'IWoI'

/* WORKER_INVALID, first parameter (bug-check-0xe4). */
#define WORKER_QUEUED_FREED 2
#define WORKER_BAD_OBJECT   3

typedef struct _IO_WORKITEM {
    WORK_QUEUE_ITEM Item;
    PVOID Object;
    PVOID Routine;
    PVOID Context;
    BOOLEAN Extended; /* IO_WORKITEM_ROUTINE_EX */
} IO_WORKITEM;

static VOID IopCallWork(PVOID context) {
    const IO_WORKITEM *call = context;
    if (call->Extended) {
        ((PIO_WORKITEM_ROUTINE_EX)call->Routine)(call->Object, call->Context, call->Item.Parameter);
    } else {
        ((PIO_WORKITEM_ROUTINE)call->Routine)(call->Object, call->Context);
    }
}

static VOID NTAPI IopWork(PVOID parameter) {
    IO_WORKITEM call = *(PIO_WORKITEM)parameter; /* the routine may free the item, or queue it again */
    ExRunWork(parameter, (ULONG64)call.Routine, call.Context, IopCallWork, &call);
    IopEndWork(call.Object);
}

VOID IopInitializeWork(VOID) {
    ExForeignWorker = IopWork;
}

VOID NTAPI IoInitializeWorkItem(PVOID IoObject, PIO_WORKITEM IoWorkItem) {
    /* Both kinds of object begin with their type. */
    CSHORT type = ((PDEVICE_OBJECT)IoObject)->Type;
    if (type != IO_TYPE_DEVICE && type != IO_TYPE_DRIVER) {
        KeBugCheckEx(WORKER_INVALID, WORKER_BAD_OBJECT, (ULONG64)IoWorkItem, (ULONG64)IoObject, 0);
    }
    RtlZeroMemory(IoWorkItem, sizeof *IoWorkItem);
    ExInitializeWorkItem(&IoWorkItem->Item, IopWork, IoWorkItem);
    IoWorkItem->Object = IoObject;
}
NT_EXPORT(IoInitializeWorkItem);

VOID NTAPI IoUninitializeWorkItem(PIO_WORKITEM IoWorkItem) {
    if (__atomic_load_n(&IoWorkItem->Item.List.Flink, __ATOMIC_ACQUIRE) != NULL) {
        KeBugCheckEx(WORKER_INVALID, WORKER_QUEUED_FREED, (ULONG64)IoWorkItem, (ULONG64)IoWorkItem->Routine, 0);
    }
}
NT_EXPORT(IoUninitializeWorkItem);

ULONG NTAPI IoSizeofWorkItem(VOID) {
    return sizeof(IO_WORKITEM);
}
NT_EXPORT(IoSizeofWorkItem);

PIO_WORKITEM NTAPI IoAllocateWorkItem(PDEVICE_OBJECT DeviceObject) {
    PIO_WORKITEM item = ExAllocatePoolWithTag(NonPagedPool, sizeof *item, POOL_TAG_WORK_ITEM);
    if (item != NULL) {
        IoInitializeWorkItem(DeviceObject, item);
    }
    return item;
}
NT_EXPORT(IoAllocateWorkItem);

VOID NTAPI IoFreeWorkItem(PIO_WORKITEM IoWorkItem) {
    IoUninitializeWorkItem(IoWorkItem);
    ExFreePoolWithTag(IoWorkItem, POOL_TAG_WORK_ITEM);
}
NT_EXPORT(IoFreeWorkItem);

static VOID IopQueueWork(PIO_WORKITEM item, PVOID routine, WORK_QUEUE_TYPE queue, PVOID context, BOOLEAN extended) {
    if (__atomic_load_n(&item->Item.List.Flink, __ATOMIC_ACQUIRE) == NULL) { /* otherwise 0xE4 follows */
        item->Routine = routine;
        item->Context = context;
        item->Extended = extended;
        IopBeginWork(item->Object);
    }
    ExQueueWorkItem(&item->Item, queue);
}

VOID NTAPI IoQueueWorkItem(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE WorkerRoutine, WORK_QUEUE_TYPE QueueType,
                           PVOID Context) {
    IopQueueWork(IoWorkItem, WorkerRoutine, QueueType, Context, FALSE);
}
NT_EXPORT(IoQueueWorkItem);

VOID NTAPI IoQueueWorkItemEx(PIO_WORKITEM IoWorkItem, PIO_WORKITEM_ROUTINE_EX WorkerRoutine, WORK_QUEUE_TYPE QueueType,
                             PVOID Context) {
    IopQueueWork(IoWorkItem, WorkerRoutine, QueueType, Context, TRUE);
}
NT_EXPORT(IoQueueWorkItemEx);
