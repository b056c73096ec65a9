/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that end later: from a DPC, a timer, a work item, by cancellation, or when they are released. */
#include "ioecho.h"

static VOID EchoPut(ECHO_LIST *list, PIRP irp) {
    IoMarkIrpPending(irp);
    ExInterlockedInsertTailList(&list->Head, &irp->Tail.Overlay.ListEntry, &list->Lock);
}

static PIRP EchoTake(ECHO_LIST *list) {
    PLIST_ENTRY entry = ExInterlockedRemoveHeadList(&list->Head, &list->Lock);
    return entry != NULL ? CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry) : NULL;
}

static VOID EchoEndAll(ECHO_LIST *list) {
    for (PIRP irp = EchoTake(list); irp != NULL; irp = EchoTake(list)) {
        NTSTATUS status = EchoByMethod(irp);
        EchoComplete(irp, status, irp->IoStatus.Information);
    }
}

static VOID NTAPI EchoDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    EchoEndAll(DeferredContext);
}

typedef struct _ECHO_WORK_CALL {
    PIO_WORKITEM Item;
    PIRP Irp;
} ECHO_WORK_CALL;

static VOID NTAPI EchoWork(PDEVICE_OBJECT DeviceObject, PVOID Context) {
    ECHO_WORK_CALL work = *(ECHO_WORK_CALL *)Context;
    UNREFERENCED_PARAMETER(DeviceObject);
    ExFreePoolWithTag(Context, 'ohcE');
    IoFreeWorkItem(work.Item);
    NTSTATUS status = EchoByMethod(work.Irp);
    EchoComplete(work.Irp, status, work.Irp->IoStatus.Information);
}

static NTSTATUS EchoQueueWork(ECHO_EXTENSION *extension, PIRP irp) {
    ECHO_WORK_CALL *work = ExAllocatePoolWithTag(NonPagedPool, sizeof *work, 'ohcE');
    PIO_WORKITEM item = IoAllocateWorkItem(extension->Device);
    if (work == NULL || item == NULL) {
        if (work != NULL) {
            ExFreePoolWithTag(work, 'ohcE');
        }
        if (item != NULL) {
            IoFreeWorkItem(item);
        }
        return EchoComplete(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    }
    work->Item = item;
    work->Irp = irp;
    IoMarkIrpPending(irp);
    IoQueueWorkItem(item, EchoWork, DelayedWorkQueue, work);
    return STATUS_PENDING;
}

static NTSTATUS EchoSetTimer(ECHO_EXTENSION *extension, PIRP irp, ULONG milliseconds) {
    LARGE_INTEGER due = {.QuadPart = -10000LL * milliseconds};
    EchoPut(&extension->ForTimer, irp);
    KeSetTimer(&extension->Timer, due, &extension->TimerDpc);
    return STATUS_PENDING;
}

NTSTATUS EchoLater(ECHO_EXTENSION *extension, PIRP irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(irp);
    switch (ECHO_FUNCTION(location->Parameters.DeviceIoControl.IoControlCode)) {
    case ECHO_DPC:
        EchoPut(&extension->ForDpc, irp);
        KeInsertQueueDpc(&extension->Dpc, NULL, NULL);
        return STATUS_PENDING;
    case ECHO_TIMER:
        if (location->Parameters.DeviceIoControl.InputBufferLength < sizeof(ULONG)) {
            return EchoComplete(irp, STATUS_BUFFER_TOO_SMALL, 0);
        }
        return EchoSetTimer(extension, irp, *(ULONG *)irp->AssociatedIrp.SystemBuffer);
    case ECHO_WORK:
        return EchoQueueWork(extension, irp);
    case ECHO_HOLD:
        IoCsqInsertIrp(&extension->Queue, irp, NULL); /* marks it pending */
        return STATUS_PENDING;
    default: /* ECHO_FORGET */
        EchoPut(&extension->Forgotten, irp);
        return STATUS_PENDING;
    }
}

ULONG EchoRelease(ECHO_EXTENSION *extension) {
    ULONG count = 0;
    for (PIRP irp = IoCsqRemoveNextIrp(&extension->Queue, NULL); irp != NULL;
         irp = IoCsqRemoveNextIrp(&extension->Queue, NULL)) {
        EchoComplete(irp, STATUS_SUCCESS, 0);
        count++;
    }
    for (PIRP irp = EchoTake(&extension->Forgotten); irp != NULL; irp = EchoTake(&extension->Forgotten)) {
        EchoComplete(irp, STATUS_SUCCESS, 0);
        count++;
    }
    return count;
}

static VOID NTAPI EchoInsert(PIO_CSQ Csq, PIRP Irp) {
    ECHO_EXTENSION *extension = CONTAINING_RECORD(Csq, ECHO_EXTENSION, Queue);
    InsertTailList(&extension->Held.Head, &Irp->Tail.Overlay.ListEntry);
}

static VOID NTAPI EchoRemove(PIO_CSQ Csq, PIRP Irp) {
    UNREFERENCED_PARAMETER(Csq);
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

static PIRP NTAPI EchoPeek(PIO_CSQ Csq, PIRP Irp, PVOID PeekContext) {
    ECHO_EXTENSION *extension = CONTAINING_RECORD(Csq, ECHO_EXTENSION, Queue);
    PLIST_ENTRY next = Irp != NULL ? Irp->Tail.Overlay.ListEntry.Flink : extension->Held.Head.Flink;
    UNREFERENCED_PARAMETER(PeekContext);
    return next != &extension->Held.Head ? CONTAINING_RECORD(next, IRP, Tail.Overlay.ListEntry) : NULL;
}

static VOID NTAPI EchoAcquire(PIO_CSQ Csq, PKIRQL Irql) {
    KeAcquireSpinLock(&CONTAINING_RECORD(Csq, ECHO_EXTENSION, Queue)->Held.Lock, Irql);
}

static VOID NTAPI EchoReleaseLock(PIO_CSQ Csq, KIRQL Irql) {
    KeReleaseSpinLock(&CONTAINING_RECORD(Csq, ECHO_EXTENSION, Queue)->Held.Lock, Irql);
}

static VOID NTAPI EchoCancelled(PIO_CSQ Csq, PIRP Irp) {
    UNREFERENCED_PARAMETER(Csq);
    EchoComplete(Irp, STATUS_CANCELLED, 0);
}

VOID EchoInitializeLater(ECHO_EXTENSION *extension) {
    ECHO_LIST *lists[] = {&extension->ForDpc, &extension->ForTimer, &extension->Forgotten, &extension->Held};
    for (ULONG i = 0; i < RTL_NUMBER_OF(lists); i++) {
        InitializeListHead(&lists[i]->Head);
        KeInitializeSpinLock(&lists[i]->Lock);
    }
    KeInitializeDpc(&extension->Dpc, EchoDpc, &extension->ForDpc);
    KeInitializeDpc(&extension->TimerDpc, EchoDpc, &extension->ForTimer);
    KeInitializeTimer(&extension->Timer);
    KeInitializeEvent(&extension->Unblock, SynchronizationEvent, FALSE);
    IoCsqInitialize(&extension->Queue, EchoInsert, EchoRemove, EchoPeek, EchoAcquire, EchoReleaseLock, EchoCancelled);
}
