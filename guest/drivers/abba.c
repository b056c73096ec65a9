/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abba.sys: what not to do. Two executive spin locks, each right by itself, taken in opposite orders: AbbaRead takes QueueLock and
 * inside of it CountLock, AbbaDpc takes CountLock and inside of it QueueLock. As long as no CPU is in the one between its two
 * acquisitions while another CPU is in the other, nothing is wrong, and tests are green. When they meet, both CPUs spin for ever
 * ("Preventing Errors and Deadlocks While Using Spin Locks"). The order of the acquisitions alone shows it, in a run that ended well.
 */
#include <ntddk.h>

DRIVER_INITIALIZE DriverEntry;

static UNICODE_STRING DeviceName = RTL_CONSTANT_STRING(L"\\Device\\abba");
static UNICODE_STRING LinkName = RTL_CONSTANT_STRING(L"\\DosDevices\\abba");

/* DISPATCH_LEVEL. QueueLock guards Queue, CountLock the counts. */
static KSPIN_LOCK QueueLock, CountLock;
static LIST_ENTRY Queue;
static ULONG64 Arrived, Taken;
static KDPC Dpc;

/* DISPATCH_LEVEL: takes all that came, with the count in the lead. */
static VOID NTAPI AbbaDpc(PKDPC Dpc_, PVOID Context, PVOID Argument1, PVOID Argument2) {
    PLIST_ENTRY entry;
    ULONG64 number;
    UNREFERENCED_PARAMETER(Dpc_);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    for (;;) {
        KeAcquireSpinLockAtDpcLevel(&CountLock);
        KeAcquireSpinLockAtDpcLevel(&QueueLock); /* the wrong way round */
        entry = IsListEmpty(&Queue) ? NULL : RemoveHeadList(&Queue);
        KeReleaseSpinLockFromDpcLevel(&QueueLock);
        number = entry != NULL ? ++Taken : 0;
        KeReleaseSpinLockFromDpcLevel(&CountLock);
        if (entry == NULL) {
            return;
        }
        PIRP irp = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
        *(ULONG64 *)irp->AssociatedIrp.SystemBuffer = number;
        irp->IoStatus.Status = STATUS_SUCCESS;
        irp->IoStatus.Information = sizeof number;
        IoCompleteRequest(irp, IO_NO_INCREMENT);
    }
}

/* IRQL <= DISPATCH_LEVEL: queues the read and has the DPC answer it. */
static NTSTATUS NTAPI AbbaRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    KIRQL irql;
    UNREFERENCED_PARAMETER(DeviceObject);
    if (IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length < sizeof(ULONG64)) {
        Irp->IoStatus.Status = STATUS_BUFFER_TOO_SMALL;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return STATUS_BUFFER_TOO_SMALL;
    }
    IoMarkIrpPending(Irp);
    KeAcquireSpinLock(&QueueLock, &irql);
    InsertTailList(&Queue, &Irp->Tail.Overlay.ListEntry);
    KeAcquireSpinLockAtDpcLevel(&CountLock); /* and here the other way */
    Arrived++;
    KeReleaseSpinLockFromDpcLevel(&CountLock);
    KeReleaseSpinLock(&QueueLock, irql);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    return STATUS_PENDING;
}

static NTSTATUS NTAPI AbbaOpenClose(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static VOID AbbaUnload(PDRIVER_OBJECT DriverObject) {
    KeFlushQueuedDpcs();
    IoDeleteSymbolicLink(&LinkName);
    IoDeleteDevice(DriverObject->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    PDEVICE_OBJECT device;
    UNREFERENCED_PARAMETER(RegistryPath);
    KeInitializeSpinLock(&QueueLock);
    KeInitializeSpinLock(&CountLock);
    InitializeListHead(&Queue);
    KeInitializeDpc(&Dpc, AbbaDpc, NULL);
    DriverObject->DriverUnload = AbbaUnload;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = AbbaOpenClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = AbbaOpenClose;
    DriverObject->MajorFunction[IRP_MJ_READ] = AbbaRead;
    NTSTATUS status =
        IoCreateDevice(DriverObject, 0, &DeviceName, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    device->Flags |= DO_BUFFERED_IO;
    status = IoCreateSymbolicLink(&LinkName, &DeviceName);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
        return status;
    }
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
