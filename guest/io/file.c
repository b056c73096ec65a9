/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File objects: an open of a device by name. What comes after the device's name is the file's, for the driver to make
 * sense of. IRP_MJ_CREATE when it is opened, IRP_MJ_CLEANUP when its last handle goes, IRP_MJ_CLOSE with its last reference.
 */
#include "request.h"

#include "../include/mutant.h"

typedef struct _IOP_FILE {
    FILE_OBJECT Object; /* first: the object is what drivers know */
    PDEVICE_OBJECT Top; /* of the stack when it was opened: its driver too is not unloaded meanwhile */
    BOOLEAN Opened;     /* a driver has seen IRP_MJ_CREATE succeed */
} IOP_FILE;

static IOP_FILE *IopFile(PFILE_OBJECT file) {
    return CONTAINING_RECORD(file, IOP_FILE, Object);
}

static NTSTATUS IopTell(PFILE_OBJECT file, UCHAR major) {
    IOP_REQUEST request = {.MajorFunction = major, .File = file};
    return IopCallRequest(&request);
}

VOID IopCleanupFile(PFILE_OBJECT file) {
    if ((file->Flags & FO_CLEANUP_COMPLETE) == 0 &&
        !MUTANT(CleanupForgotten, "FILE-2", "a file's last handle is closed without IRP_MJ_CLEANUP")) {
        file->Flags |= FO_CLEANUP_COMPLETE;
        IopTell(file, IRP_MJ_CLEANUP);
    }
}

static VOID IopCloseLastHandle(PVOID object) {
    IopCleanupFile(object);
}

/* Who waits for a request takes no reference for it: the close is sent when there is none left. */
static VOID IopDeleteFile(PVOID object) {
    PFILE_OBJECT file = object;
    IOP_FILE *own = IopFile(file);
    if (own->Opened) {
        IopCleanupFile(file);
        IopTell(file, IRP_MJ_CLOSE);
    }
    if (file->FileName.Buffer != NULL) {
        ExFreePoolWithTag(file->FileName.Buffer, POOL_TAG_NAME);
    }
    if (own->Top != NULL) {
        IopLeaveOpen(file->DeviceObject);
        IopEndOpen(file->DeviceObject->DriverObject);
        IopEndOpen(own->Top->DriverObject);
        ObfDereferenceObject(own->Top);
    }
    ObfDereferenceObject(file->DeviceObject);
}

/* NOLINTNEXTLINE(misc-static-initialization-cycle): an address is a constant in C */
OBJECT_TYPE IopFileType = {.Self = &IopFileType,
                           .Name = "File",
                           .Tag = 'eliF',
                           .Delete = IopDeleteFile,
                           .Passive = TRUE,
                           .Close = IopCloseLastHandle};
NT_EXPORT_AS(&IopFileType, IoFileObjectType);

static VOID IopFillFile(PFILE_OBJECT file, const IOP_OPEN *open) {
    ULONG write = FILE_WRITE_DATA | FILE_APPEND_DATA | GENERIC_WRITE | GENERIC_ALL;
    file->Type = IO_TYPE_FILE;
    file->Size = sizeof *file;
    file->ReadAccess = (open->Access & (FILE_READ_DATA | GENERIC_READ | GENERIC_ALL)) != 0;
    file->WriteAccess = (open->Access & write) != 0;
    file->DeleteAccess = (open->Access & (DELETE | GENERIC_ALL)) != 0;
    file->SharedRead = (open->Share & FILE_SHARE_READ) != 0;
    file->SharedWrite = (open->Share & FILE_SHARE_WRITE) != 0;
    file->SharedDelete = (open->Share & FILE_SHARE_DELETE) != 0;
    if ((open->Options & (FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT)) != 0) {
        file->Flags |= FO_SYNCHRONOUS_IO;
    }
    KeInitializeEvent(&file->Lock, SynchronizationEvent, FALSE);
    KeInitializeEvent(&file->Event, NotificationEvent, FALSE);
    InitializeListHead(&file->IrpList);
}

/* The device counts the open, its driver and the top one's cannot be unloaded, until the file is deleted. */
static NTSTATUS IopTakeDevice(IOP_FILE *file) {
    PDEVICE_OBJECT device = file->Object.DeviceObject;
    if ((device->Flags & DO_DEVICE_INITIALIZING) != 0) {
        return STATUS_NO_SUCH_DEVICE;
    }
    if (!IopTakeForOpen(device)) {
        return STATUS_ACCESS_DENIED; /* exclusive, and open */
    }
    file->Top = IoGetAttachedDeviceReference(device);
    IopBeginOpen(device->DriverObject);
    IopBeginOpen(file->Top->DriverObject);
    return STATUS_SUCCESS;
}

static NTSTATUS IopCreate(IOP_FILE *file, IOP_OPEN *open) {
    NTSTATUS status = IopTakeDevice(file);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    IO_SECURITY_CONTEXT security = {.DesiredAccess = open->Access};
    IOP_REQUEST request = {.MajorFunction = IRP_MJ_CREATE, .File = &file->Object, .Input = &security};
    request.Code = open->Attributes;
    request.Offset.LowPart = open->Disposition << 24 | (open->Options & 0xffffffu);
    request.Offset.HighPart = (LONG)open->Share;
    status = IopCallRequest(&request);
    open->Information = request.Result.Information;
    file->Opened = NT_SUCCESS(status);
    return status;
}

NTSTATUS IopOpenFile(PCUNICODE_STRING name, IOP_OPEN *open, PFILE_OBJECT *file) {
    PVOID device;
    UNICODE_STRING rest;
    *file = NULL;
    NTSTATUS status = ObFindByName(name, &IopDeviceType, &device, &rest);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    IOP_FILE *made = ObCreateObject(&IopFileType, sizeof *made);
    if (made == NULL) {
        if (rest.Buffer != NULL) {
            ExFreePoolWithTag(rest.Buffer, POOL_TAG_NAME);
        }
        ObfDereferenceObject(device);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    made->Object.DeviceObject = device;
    made->Object.FileName = rest;
    IopFillFile(&made->Object, open);
    status = IopCreate(made, open);
    if (!NT_SUCCESS(status)) {
        ObfDereferenceObject(made);
    } else {
        made->Object.Flags |= FO_HANDLE_CREATED;
        *file = &made->Object;
    }
    return status;
}

VOID IopCloseFile(PFILE_OBJECT file) {
    IopCleanupFile(file);
    ObfDereferenceObject(file);
}

PDEVICE_OBJECT NTAPI IoGetRelatedDeviceObject(PFILE_OBJECT FileObject) {
    return IoGetAttachedDevice(FileObject->DeviceObject);
}
NT_EXPORT(IoGetRelatedDeviceObject);

NTSTATUS NTAPI IoGetDeviceObjectPointer(PUNICODE_STRING ObjectName, ACCESS_MASK DesiredAccess, PFILE_OBJECT *FileObject,
                                        PDEVICE_OBJECT *DeviceObject) {
    IOP_OPEN open = {.Access = DesiredAccess,
                     .Disposition = FILE_OPEN,
                     .Options = FILE_NON_DIRECTORY_FILE,
                     .Share = FILE_SHARE_READ | FILE_SHARE_WRITE};
    NTSTATUS status = IopOpenFile(ObjectName, &open, FileObject);
    if (NT_SUCCESS(status)) {
        IopCleanupFile(*FileObject); /* as if a handle had been closed: what is left is the reference */
        *DeviceObject = IoGetRelatedDeviceObject(*FileObject);
    }
    return status;
}
NT_EXPORT(IoGetDeviceObjectPointer);
