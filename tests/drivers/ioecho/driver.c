/* SPDX-License-Identifier: Apache-2.0 */
/* ioecho.sys (ioecho.h): its devices and dispatch routines. */
#include "ioecho.h"

DRIVER_INITIALIZE DriverEntry;

NTSTATUS EchoComplete(PIRP irp, NTSTATUS status, ULONG_PTR information) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS NTAPI EchoCount(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    ECHO_COUNTERS *counters = &((ECHO_EXTENSION *)DeviceObject->DeviceExtension)->Counters;
    switch (IoGetCurrentIrpStackLocation(Irp)->MajorFunction) {
    case IRP_MJ_CREATE:
        InterlockedIncrement(&counters->Creates);
        break;
    case IRP_MJ_CLEANUP:
        InterlockedIncrement(&counters->Cleanups);
        break;
    case IRP_MJ_CLOSE:
        InterlockedIncrement(&counters->Closes);
        break;
    default:
        InterlockedIncrement(&counters->Flushes);
        break;
    }
    return EchoComplete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI EchoRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    return EchoTransfer(DeviceObject->DeviceExtension, Irp, TRUE);
}

static NTSTATUS NTAPI EchoWrite(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    return EchoTransfer(DeviceObject->DeviceExtension, Irp, FALSE);
}

/* What has an answer of a fixed size. */
static NTSTATUS EchoAnswer(PIRP irp, const VOID *answer, ULONG bytes) {
    if (IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength < bytes) {
        return EchoComplete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    }
    RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, answer, bytes);
    return EchoComplete(irp, STATUS_SUCCESS, bytes);
}

static NTSTATUS EchoStatus(PIRP irp) {
    const ULONG *asked = irp->AssociatedIrp.SystemBuffer;
    if (IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.InputBufferLength < 2 * sizeof *asked) {
        return EchoComplete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    }
    return EchoComplete(irp, (NTSTATUS)asked[0], asked[1]);
}

static NTSTATUS EchoWhere(PIRP irp) {
    ECHO_PLACE place = {.Cpu = KeGetCurrentProcessorNumber(),
                        .Irql = KeGetCurrentIrql(),
                        .Priority = (ULONG)KeQueryPriorityThread(KeGetCurrentThread())};
    return EchoAnswer(irp, &place, sizeof place);
}

static NTSTATUS EchoReleaseAll(ECHO_EXTENSION *extension, PIRP irp) {
    ULONG released = EchoRelease(extension);
    return EchoAnswer(irp, &released, sizeof released);
}

static NTSTATUS NTAPI EchoControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    ECHO_EXTENSION *extension = DeviceObject->DeviceExtension;
    ULONG code = IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.IoControlCode;
    switch (ECHO_FUNCTION(code)) {
    case ECHO_ECHO: {
        NTSTATUS status = EchoByMethod(Irp);
        return EchoComplete(Irp, status, Irp->IoStatus.Information);
    }
    case ECHO_STATUS:
        return EchoStatus(Irp);
    case ECHO_DPC:
    case ECHO_TIMER:
    case ECHO_WORK:
    case ECHO_HOLD:
    case ECHO_FORGET:
        return EchoLater(extension, Irp);
    case ECHO_RELEASE:
        return EchoReleaseAll(extension, Irp);
    case ECHO_BLOCK:
        KeWaitForSingleObject(&extension->Unblock, Executive, KernelMode, FALSE, NULL);
        return EchoComplete(Irp, STATUS_SUCCESS, 0);
    case ECHO_UNBLOCK:
        KeSetEvent(&extension->Unblock, IO_NO_INCREMENT, FALSE);
        return EchoComplete(Irp, STATUS_SUCCESS, 0);
    case ECHO_WHERE:
        return EchoWhere(Irp);
    case ECHO_COUNTS:
        return EchoAnswer(Irp, &extension->Counters, sizeof extension->Counters);
    case ECHO_CRASH:
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, 1, 2, 3, 4);
    case ECHO_OVERRUN: {
        ULONG length = IoGetCurrentIrpStackLocation(Irp)->Parameters.DeviceIoControl.OutputBufferLength;
        RtlFillMemory(Irp->UserBuffer, (SIZE_T)length + 1, 0xee);
        return EchoComplete(Irp, STATUS_SUCCESS, length);
    }
    default:
        return EchoComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static NTSTATUS EchoCreateDevice(PDRIVER_OBJECT driver, const WCHAR *name, const WCHAR *link, ULONG flags) {
    UNICODE_STRING device_name;
    PDEVICE_OBJECT device;
    RtlInitUnicodeString(&device_name, name);
    NTSTATUS status =
        IoCreateDevice(driver, sizeof(ECHO_EXTENSION), &device_name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    ECHO_EXTENSION *extension = device->DeviceExtension;
    extension->Device = device;
    RtlInitUnicodeString(&extension->Link, link);
    EchoInitializeLater(extension);
    device->Flags |= flags;
    status = IoCreateSymbolicLink(&extension->Link, &device_name);
    if (!NT_SUCCESS(status)) {
        extension->Link.Buffer = NULL;
    }
    device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return status;
}

static VOID NTAPI EchoUnload(PDRIVER_OBJECT DriverObject) {
    while (DriverObject->DeviceObject != NULL) {
        ECHO_EXTENSION *extension = DriverObject->DeviceObject->DeviceExtension;
        if (extension->Link.Buffer != NULL) {
            IoDeleteSymbolicLink(&extension->Link);
        }
        KeCancelTimer(&extension->Timer);
        IoDeleteDevice(DriverObject->DeviceObject);
    }
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->MajorFunction[IRP_MJ_CREATE] = EchoCount;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = EchoCount;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = EchoCount;
    DriverObject->MajorFunction[IRP_MJ_FLUSH_BUFFERS] = EchoCount;
    DriverObject->MajorFunction[IRP_MJ_READ] = EchoRead;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = EchoWrite;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = EchoControl;
    DriverObject->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = EchoControl;
    DriverObject->DriverUnload = EchoUnload;
    NTSTATUS status = EchoCreateDevice(DriverObject, L"\\Device\\IoEcho", L"\\DosDevices\\IoEcho", DO_BUFFERED_IO);
    if (NT_SUCCESS(status)) {
        status = EchoCreateDevice(DriverObject, L"\\Device\\IoEchoDirect", L"\\DosDevices\\IoEchoDirect", DO_DIRECT_IO);
    }
    if (NT_SUCCESS(status)) {
        status = EchoCreateDevice(DriverObject, L"\\Device\\IoEchoNeither", L"\\DosDevices\\IoEchoNeither", 0);
    }
    if (!NT_SUCCESS(status)) {
        EchoUnload(DriverObject);
    }
    return status;
}
