/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files by handle, for drivers: the Zw routines. Each waits for its request, also where the file was opened for asynchronous
 * I/O: such a caller gets its result at once instead of STATUS_PENDING, and its event is set.
 */
#include "request.h"

static NTSTATUS IopCreateByHandle(PHANDLE handle, POBJECT_ATTRIBUTES attributes, IOP_OPEN *open,
                                  PIO_STATUS_BLOCK result) {
    PFILE_OBJECT file;
    if (attributes->RootDirectory != NULL || attributes->ObjectName == NULL) {
        return STATUS_OBJECT_PATH_SYNTAX_BAD;
    }
    NTSTATUS status = IopOpenFile(attributes->ObjectName, open, &file);
    result->Status = status;
    result->Information = open->Information;
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = ObCreateHandle(file, handle);
    ObfDereferenceObject(file); /* the handle has its own; without one the file is closed */
    return status;
}

NTSTATUS NTAPI ZwCreateFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                            PIO_STATUS_BLOCK IoStatusBlock, PLARGE_INTEGER AllocationSize, ULONG FileAttributes,
                            ULONG ShareAccess, ULONG CreateDisposition, ULONG CreateOptions, PVOID EaBuffer,
                            ULONG EaLength) {
    IOP_OPEN open = {.Access = DesiredAccess,
                     .Disposition = CreateDisposition,
                     .Options = CreateOptions,
                     .Share = ShareAccess,
                     .Attributes = FileAttributes};
    UNREFERENCED_PARAMETER(AllocationSize); /* what a file system may make of it none here does */
    UNREFERENCED_PARAMETER(EaBuffer);
    if (EaLength != 0) {
        return STATUS_EAS_NOT_SUPPORTED;
    }
    return IopCreateByHandle(FileHandle, ObjectAttributes, &open, IoStatusBlock);
}
NT_EXPORT(ZwCreateFile);
NT_PARTIAL(ZwCreateFile, "no RootDirectory, no extended attributes; AllocationSize is not passed on");

NTSTATUS NTAPI ZwOpenFile(PHANDLE FileHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                          PIO_STATUS_BLOCK IoStatusBlock, ULONG ShareAccess, ULONG OpenOptions) {
    IOP_OPEN open = {.Access = DesiredAccess, .Disposition = FILE_OPEN, .Options = OpenOptions, .Share = ShareAccess};
    return IopCreateByHandle(FileHandle, ObjectAttributes, &open, IoStatusBlock);
}
NT_EXPORT(ZwOpenFile);

/* The file and, where one is named, the event: both referenced. */
static NTSTATUS IopTakeHandles(HANDLE handle, HANDLE event_handle, PFILE_OBJECT *file, PKEVENT *event) {
    PVOID object = NULL;
    NTSTATUS status = ObReferenceObjectByHandle(handle, 0, &IopFileType, KernelMode, &object, NULL);
    *event = NULL;
    if (!NT_SUCCESS(status)) {
        return status;
    }
    *file = object;
    if (event_handle == NULL) {
        return STATUS_SUCCESS;
    }
    status = ObReferenceObjectByHandle(event_handle, 0, &IopEventType, KernelMode, &object, NULL);
    if (NT_SUCCESS(status)) {
        *event = object;
        KeResetEvent(*event);
    } else {
        ObfDereferenceObject(*file);
    }
    return status;
}

static NTSTATUS IopCallByHandle(HANDLE handle, HANDLE event_handle, PIO_APC_ROUTINE apc, IOP_REQUEST *request,
                                PIO_STATUS_BLOCK result) {
    PFILE_OBJECT file;
    PKEVENT event;
    if (apc != NULL) {
        return STATUS_NOT_SUPPORTED; /* of user mode, and there is none */
    }
    NTSTATUS status = IopTakeHandles(handle, event_handle, &file, &event);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    request->File = file;
    request->Pageable = TRUE;
    status = IopCallRequest(request);
    *result = request->Result;
    if (event != NULL) {
        KeSetEvent(event, IO_NO_INCREMENT, FALSE);
        ObfDereferenceObject(event);
    }
    ObfDereferenceObject(file);
    return status;
}

/* A synchronous file has a position, which a read or write without an offset goes on from. */
static VOID IopSetOffset(HANDLE handle, IOP_REQUEST *request, const LARGE_INTEGER *offset) {
    PVOID file;
    BOOLEAN given = offset != NULL && !(offset->HighPart == -1 && offset->LowPart == FILE_USE_FILE_POINTER_POSITION);
    if (given) {
        request->Offset = *offset;
    } else if (NT_SUCCESS(ObReferenceObjectByHandle(handle, 0, &IopFileType, KernelMode, &file, NULL))) {
        request->Offset = ((PFILE_OBJECT)file)->CurrentByteOffset;
        ObfDereferenceObject(file);
    }
}

NTSTATUS NTAPI ZwReadFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
                          PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length, PLARGE_INTEGER ByteOffset,
                          PULONG Key) {
    IOP_REQUEST request = {.MajorFunction = IRP_MJ_READ, .Output = Buffer, .OutputBytes = Length};
    UNREFERENCED_PARAMETER(ApcContext);
    request.Key = Key != NULL ? *Key : 0;
    IopSetOffset(FileHandle, &request, ByteOffset);
    return IopCallByHandle(FileHandle, Event, ApcRoutine, &request, IoStatusBlock);
}
NT_EXPORT(ZwReadFile);
NT_PARTIAL(ZwReadFile, "no ApcRoutine; waits also on a file opened for asynchronous I/O");

NTSTATUS NTAPI ZwWriteFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
                           PIO_STATUS_BLOCK IoStatusBlock, PVOID Buffer, ULONG Length, PLARGE_INTEGER ByteOffset,
                           PULONG Key) {
    IOP_REQUEST request = {.MajorFunction = IRP_MJ_WRITE, .Input = Buffer, .InputBytes = Length};
    UNREFERENCED_PARAMETER(ApcContext);
    request.Key = Key != NULL ? *Key : 0;
    IopSetOffset(FileHandle, &request, ByteOffset);
    return IopCallByHandle(FileHandle, Event, ApcRoutine, &request, IoStatusBlock);
}
NT_EXPORT(ZwWriteFile);
NT_PARTIAL(ZwWriteFile, "no ApcRoutine; waits also on a file opened for asynchronous I/O");

NTSTATUS NTAPI ZwDeviceIoControlFile(HANDLE FileHandle, HANDLE Event, PIO_APC_ROUTINE ApcRoutine, PVOID ApcContext,
                                     PIO_STATUS_BLOCK IoStatusBlock, ULONG IoControlCode, PVOID InputBuffer,
                                     ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength) {
    IOP_REQUEST request = {.MajorFunction = IRP_MJ_DEVICE_CONTROL,
                           .Code = IoControlCode,
                           .Input = InputBuffer,
                           .InputBytes = InputBufferLength,
                           .Output = OutputBuffer,
                           .OutputBytes = OutputBufferLength};
    UNREFERENCED_PARAMETER(ApcContext);
    return IopCallByHandle(FileHandle, Event, ApcRoutine, &request, IoStatusBlock);
}
NT_EXPORT(ZwDeviceIoControlFile);
NT_PARTIAL(ZwDeviceIoControlFile, "no ApcRoutine; waits also on a file opened for asynchronous I/O");

NTSTATUS NTAPI ZwFlushBuffersFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock) {
    IOP_REQUEST request = {.MajorFunction = IRP_MJ_FLUSH_BUFFERS};
    return IopCallByHandle(FileHandle, NULL, NULL, &request, IoStatusBlock);
}
NT_EXPORT(ZwFlushBuffersFile);

/* The position is the file object's, everything else its driver's. */
static NTSTATUS IopPosition(HANDLE handle, PIO_STATUS_BLOCK result, PFILE_POSITION_INFORMATION position, ULONG bytes,
                            BOOLEAN set) {
    PVOID object;
    if (bytes < sizeof *position) {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    NTSTATUS status = ObReferenceObjectByHandle(handle, 0, &IopFileType, KernelMode, &object, NULL);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    PFILE_OBJECT file = object;
    if (set) {
        file->CurrentByteOffset = position->CurrentByteOffset;
    } else {
        position->CurrentByteOffset = file->CurrentByteOffset;
    }
    ObfDereferenceObject(file);
    result->Status = STATUS_SUCCESS;
    result->Information = set ? 0 : sizeof *position;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ZwQueryInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation,
                                      ULONG Length, FILE_INFORMATION_CLASS FileInformationClass) {
    IOP_REQUEST request = {.MajorFunction = IRP_MJ_QUERY_INFORMATION,
                           .Code = (ULONG)FileInformationClass,
                           .Output = FileInformation,
                           .OutputBytes = Length};
    if (FileInformationClass == FilePositionInformation) {
        return IopPosition(FileHandle, IoStatusBlock, FileInformation, Length, FALSE);
    }
    return IopCallByHandle(FileHandle, NULL, NULL, &request, IoStatusBlock);
}
NT_EXPORT(ZwQueryInformationFile);

NTSTATUS NTAPI ZwSetInformationFile(HANDLE FileHandle, PIO_STATUS_BLOCK IoStatusBlock, PVOID FileInformation,
                                    ULONG Length, FILE_INFORMATION_CLASS FileInformationClass) {
    IOP_REQUEST request = {.MajorFunction = IRP_MJ_SET_INFORMATION,
                           .Code = (ULONG)FileInformationClass,
                           .Input = FileInformation,
                           .InputBytes = Length};
    if (FileInformationClass == FilePositionInformation) {
        return IopPosition(FileHandle, IoStatusBlock, FileInformation, Length, TRUE);
    }
    return IopCallByHandle(FileHandle, NULL, NULL, &request, IoStatusBlock);
}
NT_EXPORT(ZwSetInformationFile);
