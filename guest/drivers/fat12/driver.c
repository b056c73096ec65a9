/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fat12.sys: a file system driver over the floppy, to read only. \Device\Fat12\DIR\NAME.TXT, or \??\F:\DIR\NAME.TXT, is a file.
 * Loading, unloading and the dispatch routines are here; queue.c has the work queue, volume.c the medium's tables, directory.c and
 * name.c the way to a file, file.c and listing.c what is asked of one.
 */
#include "fat12.h"

static NTSTATUS NTAPI FatPend(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    if (location->MajorFunction != IRP_MJ_CREATE && location->FileObject->FsContext == NULL) {
        return FatComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0); /* of the volume itself nothing can be asked */
    }
    if (location->MajorFunction == IRP_MJ_CREATE && location->FileObject->FileName.Length == 0) {
        return FatComplete(Irp, STATUS_SUCCESS, FILE_OPENED);
    }
    return FatQueue(DeviceObject->DeviceExtension, Irp);
}

static NTSTATUS NTAPI FatRefuseWrite(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    return FatComplete(Irp, STATUS_MEDIA_WRITE_PROTECTED, 0);
}

static NTSTATUS NTAPI FatCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    return FatComplete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI FatClose(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PFAT_FILE file = IoGetCurrentIrpStackLocation(Irp)->FileObject->FsContext;
    UNREFERENCED_PARAMETER(DeviceObject);
    if (file != NULL) {
        FatDereferenceVolume(file->Volume);
        ExFreePoolWithTag(file, FAT_TAG);
    }
    return FatComplete(Irp, STATUS_SUCCESS, 0);
}

/* Whatever of it there is. */
static VOID FatTakeDown(PFAT_EXTENSION extension) {
    FatEndQueue(extension);
    if (extension->DriveFile != NULL) {
        ObDereferenceObject(extension->DriveFile);
    }
    if (extension->Volume != NULL) {
        FatDereferenceVolume(extension->Volume);
    }
    IoDeleteDevice(extension->Device);
}

static NTSTATUS FatSetUp(PFAT_EXTENSION extension) {
    UNICODE_STRING drive = RTL_CONSTANT_STRING(L"\\Device\\Floppy0");
    ExInitializeFastMutex(&extension->MountMutex);
    NTSTATUS status = FatInitializeQueue(extension);
    if (NT_SUCCESS(status)) {
        status = IoGetDeviceObjectPointer(&drive, FILE_READ_DATA, &extension->DriveFile, &extension->Drive);
    }
    if (NT_SUCCESS(status)) {
        extension->Device->StackSize = (CCHAR)(extension->Drive->StackSize + 1);
    }
    return status;
}

static UNICODE_STRING FatLink = RTL_CONSTANT_STRING(L"\\??\\F:");

static VOID NTAPI FatUnload(PDRIVER_OBJECT DriverObject) {
    IoDeleteSymbolicLink(&FatLink);
    FatTakeDown(DriverObject->DeviceObject->DeviceExtension);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Fat12");
    PDEVICE_OBJECT device;
    UNREFERENCED_PARAMETER(RegistryPath);
    NTSTATUS status = IoCreateDevice(DriverObject, sizeof(FAT_EXTENSION), &name, FILE_DEVICE_DISK_FILE_SYSTEM,
                                     FILE_REMOVABLE_MEDIA | FILE_READ_ONLY_DEVICE, FALSE, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    PFAT_EXTENSION extension = device->DeviceExtension;
    extension->Device = device;
    device->Flags |= DO_DIRECT_IO;
    status = FatSetUp(extension);
    if (NT_SUCCESS(status)) {
        status = IoCreateSymbolicLink(&FatLink, &name);
    }
    if (!NT_SUCCESS(status)) {
        FatTakeDown(extension);
        return status;
    }
    DriverObject->MajorFunction[IRP_MJ_CREATE] = FatPend;
    DriverObject->MajorFunction[IRP_MJ_READ] = FatPend;
    DriverObject->MajorFunction[IRP_MJ_QUERY_INFORMATION] = FatPend;
    DriverObject->MajorFunction[IRP_MJ_DIRECTORY_CONTROL] = FatPend;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = FatRefuseWrite;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = FatCleanup;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = FatClose;
    DriverObject->DriverUnload = FatUnload;
    return STATUS_SUCCESS;
}
