/* SPDX-License-Identifier: Apache-2.0 */
/* The driver under the cases of this folder. */
#include "device.h"

FILES_SEEN Seen;
PDEVICE_OBJECT FilesDevice;
PDRIVER_OBJECT FilesDriver;
BOOLEAN KeepNext;

static UCHAR Stored[FILES_BYTES];

VOID FilesReset(VOID) {
    RtlZeroMemory(&Seen, sizeof Seen);
    KeepNext = FALSE;
}

static NTSTATUS Finish(PIRP Irp, NTSTATUS Status, ULONG_PTR Information) {
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static VOID NoteName(const FILE_OBJECT *File) {
    ULONG length = File->FileName.Length / sizeof(WCHAR);
    for (ULONG i = 0; i < length && i < RTL_NUMBER_OF(Seen.Name) - 1; i++) {
        Seen.Name[i] = File->FileName.Buffer[i];
        Seen.Name[i + 1] = 0;
    }
}

static NTSTATUS NTAPI OnOpenOrClose(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    UNREFERENCED_PARAMETER(DeviceObject);
    switch (location->MajorFunction) {
    case IRP_MJ_CREATE:
        Seen.Name[0] = 0;
        NoteName(location->FileObject);
        Seen.Read = location->FileObject->ReadAccess;
        Seen.Write = location->FileObject->WriteAccess;
        InterlockedIncrement(&Seen.Creates);
        return Finish(Irp, STATUS_SUCCESS, FILE_OPENED);
    case IRP_MJ_CLEANUP:
        InterlockedIncrement(&Seen.Cleanups);
        break;
    default:
        Seen.CloseIrql = KeGetCurrentIrql();
        InterlockedIncrement(&Seen.Closes);
        break;
    }
    return Finish(Irp, STATUS_SUCCESS, 0);
}

static PUCHAR BufferOf(PDEVICE_OBJECT Device, PIRP Irp) {
    if ((Device->Flags & DO_BUFFERED_IO) != 0) {
        return Irp->AssociatedIrp.SystemBuffer;
    }
    if ((Device->Flags & DO_DIRECT_IO) != 0) {
        return MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    }
    return Irp->UserBuffer;
}

static NTSTATUS NTAPI OnTransfer(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    PUCHAR buffer = BufferOf(DeviceObject, Irp);
    ULONG length = location->Parameters.Read.Length;
    ULONG64 offset = (ULONG64)location->Parameters.Read.ByteOffset.QuadPart;
    if (offset > FILES_BYTES || length > FILES_BYTES - offset) {
        return Finish(Irp, STATUS_END_OF_FILE, 0);
    }
    if (location->MajorFunction == IRP_MJ_WRITE) {
        RtlCopyMemory(Stored + offset, buffer, length);
    } else {
        RtlCopyMemory(buffer, Stored + offset, length);
    }
    return Finish(Irp, STATUS_SUCCESS, length);
}

/* Where a control code's input and output are, by its method. */
static VOID FindBuffers(PIRP Irp, PIO_STACK_LOCATION Location, PUCHAR *Input, PUCHAR *Output) {
    ULONG method = METHOD_FROM_CTL_CODE(Location->Parameters.DeviceIoControl.IoControlCode);
    *Input = method == METHOD_NEITHER ? Location->Parameters.DeviceIoControl.Type3InputBuffer
                                      : Irp->AssociatedIrp.SystemBuffer;
    *Output = method == METHOD_BUFFERED ? Irp->AssociatedIrp.SystemBuffer
        : method == METHOD_NEITHER      ? Irp->UserBuffer
                                        : MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
}

VOID FilesComplete(PIRP Irp) {
    PUCHAR input;
    PUCHAR output;
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    ULONG bytes = min(location->Parameters.DeviceIoControl.InputBufferLength,
                      location->Parameters.DeviceIoControl.OutputBufferLength);
    FindBuffers(Irp, location, &input, &output);
    for (ULONG i = 0; i < bytes; i++) {
        output[i] = input[i] ^ FILES_TURN;
    }
    Finish(Irp, STATUS_SUCCESS, bytes);
}

static VOID NTAPI OnCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    InterlockedIncrement(&Seen.Cancelled);
    Finish(Irp, STATUS_CANCELLED, 0);
}

static NTSTATUS NTAPI OnControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    InterlockedIncrement(&Seen.Others);
    if (KeepNext) {
        KeepNext = FALSE;
        IoMarkIrpPending(Irp);
        IoSetCancelRoutine(Irp, OnCancel);
        InterlockedExchangePointer((PVOID volatile *)&Seen.Kept, Irp);
        return STATUS_PENDING;
    }
    FilesComplete(Irp);
    return STATUS_SUCCESS;
}

NTSTATUS FilesMakeDevice(PCWSTR Name, ULONG Flags, BOOLEAN Exclusive, PDEVICE_OBJECT *Device) {
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, Name);
    NTSTATUS status =
        IoCreateDevice(FilesDriver, 16, Name != NULL ? &name : NULL, FILE_DEVICE_UNKNOWN, 0, Exclusive, Device);
    if (NT_SUCCESS(status)) {
        (*Device)->Flags = ((*Device)->Flags | Flags) & ~(ULONG)DO_DEVICE_INITIALIZING;
    }
    return status;
}

NTSTATUS FilesTryOpen(PCWSTR Name, PHANDLE Handle) {
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK result;
    RtlInitUnicodeString(&name, Name);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE, NULL, NULL);
    return ZwCreateFile(Handle, GENERIC_READ | SYNCHRONIZE, &attributes, &result, NULL, FILE_ATTRIBUTE_NORMAL,
                        FILE_SHARE_READ, FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0);
}

HANDLE FilesOpen(PCWSTR Name) {
    HANDLE handle = NULL;
    ASSERT_EQ(FilesTryOpen(Name, &handle), STATUS_SUCCESS);
    return handle;
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) {
    UNICODE_STRING link;
    RtlInitUnicodeString(&link, FILES_LINK_NAME);
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(DriverObject->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNICODE_STRING name;
    UNICODE_STRING link;
    UNREFERENCED_PARAMETER(RegistryPath);
    FilesDriver = DriverObject;
    DriverObject->DriverUnload = Unload;
    DriverObject->MajorFunction[IRP_MJ_CREATE] = OnOpenOrClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = OnOpenOrClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = OnOpenOrClose;
    DriverObject->MajorFunction[IRP_MJ_READ] = OnTransfer;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = OnTransfer;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = OnControl;
    DriverObject->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = OnControl;
    NTSTATUS status = FilesMakeDevice(FILES_TARGET_NAME, DO_BUFFERED_IO, FALSE, &FilesDevice);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    RtlInitUnicodeString(&name, FILES_TARGET_NAME);
    RtlInitUnicodeString(&link, FILES_LINK_NAME);
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(FilesDevice);
    }
    return status;
}
