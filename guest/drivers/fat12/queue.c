/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interlocked work queue, as seed 003 says of most NT file systems: dispatch routines on any CPU put IRPs in at the tail, callbacks of
 * system worker threads take them from the head, one executive spin lock between them. A worker's item is queued by whoever sets
 * its Busy, and nobody else; it takes IRPs until there is none.
 */
#include "fat12.h"

NTSTATUS FatComplete(PIRP irp, NTSTATUS status, ULONG_PTR information) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_DISK_INCREMENT);
    return status;
}

static VOID FatServe(PFAT_EXTENSION extension, PIRP irp) {
    ULONG_PTR information = 0;
    NTSTATUS status;
    if (irp->Cancel) { /* while it waited: nobody wants it any more */
        FatComplete(irp, STATUS_CANCELLED, 0);
        return;
    }
    switch (IoGetCurrentIrpStackLocation(irp)->MajorFunction) {
    case IRP_MJ_CREATE:
        status = FatCreate(extension, irp, &information);
        break;
    case IRP_MJ_READ:
        status = FatRead(extension, irp, &information);
        break;
    case IRP_MJ_QUERY_INFORMATION:
        status = FatQueryInformation(irp, &information);
        break;
    default:
        status = FatQueryDirectory(extension, irp, &information);
        break;
    }
    FatComplete(irp, status, information);
}

static PIRP FatTake(PFAT_EXTENSION extension) {
    PLIST_ENTRY entry = ExInterlockedRemoveHeadList(&extension->Queue, &extension->QueueLock);
    return entry == NULL ? NULL : CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
}

/*
 * An IRP that comes after the last look, while Busy is still set, has nobody to queue an item for it: hence one more look
 * after Busy is clear. If the item has been queued again by then, that run goes on, and this one serves what it took.
 */
static VOID NTAPI FatWork(PDEVICE_OBJECT DeviceObject, PVOID Context) {
    PFAT_EXTENSION extension = DeviceObject->DeviceExtension;
    PFAT_WORKER worker = Context;
    for (;;) {
        PIRP irp = FatTake(extension);
        if (irp != NULL) {
            FatServe(extension, irp);
            continue;
        }
        InterlockedExchange(&worker->Busy, 0);
        irp = FatTake(extension);
        if (irp == NULL) {
            break;
        }
        BOOLEAN ours = InterlockedExchange(&worker->Busy, 1) == 0;
        FatServe(extension, irp);
        if (!ours) {
            break;
        }
    }
    ExReleaseRundownProtection(&extension->Running);
}

NTSTATUS FatQueue(PFAT_EXTENSION extension, PIRP irp) {
    IoMarkIrpPending(irp);
    BOOLEAN held =
        ExAcquireRundownProtection(&extension->Running); /* before the IRP may be gone, and its file closed */
    ExInterlockedInsertTailList(&extension->Queue, &irp->Tail.Overlay.ListEntry, &extension->QueueLock);
    for (ULONG i = 0; held && i < FAT_WORKERS; i++) {
        PFAT_WORKER worker = &extension->Worker[i];
        if (InterlockedExchange(&worker->Busy, 1) == 0) {
            IoQueueWorkItem(worker->Item, FatWork, DelayedWorkQueue, worker);
            return STATUS_PENDING; /* the run releases what is held */
        }
    }
    ExReleaseRundownProtection(&extension->Running); /* all of them run, and look into the queue before they end */
    return STATUS_PENDING;
}

NTSTATUS FatInitializeQueue(PFAT_EXTENSION extension) {
    KeInitializeSpinLock(&extension->QueueLock);
    InitializeListHead(&extension->Queue);
    ExInitializeRundownProtection(&extension->Running);
    for (ULONG i = 0; i < FAT_WORKERS; i++) {
        extension->Worker[i].Item = IoAllocateWorkItem(extension->Device);
        if (extension->Worker[i].Item == NULL) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
    }
    return STATUS_SUCCESS;
}

VOID FatEndQueue(PFAT_EXTENSION extension) {
    ExWaitForRundownProtectionRelease(&extension->Running);
    for (ULONG i = 0; i < FAT_WORKERS; i++) {
        if (extension->Worker[i].Item != NULL) {
            IoFreeWorkItem(extension->Worker[i].Item);
        }
    }
}
