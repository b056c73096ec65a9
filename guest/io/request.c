/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the devices behind a file. The IRP has a stack location more than the stack needs, whose completion routine
 * takes it back: the request ends here, and not in a thread. A cancellation and the completion meet under the request's lock,
 * so the IRP that IoCancelIrp works on is there until it returns; the last of the two ends the request.
 */
#include "request.h"

#include "../include/highlock.h"

static VOID IopFinishRequest(IOP_REQUEST *request) {
    PIRP irp = request->Irp;
    PFILE_OBJECT file = request->File;
    IopReleaseBuffers(irp);
    request->Result = irp->IoStatus;
    request->Irp = NULL;
    IoFreeIrp(irp);
    if (request->Done == NULL) {    /* nobody else keeps the file meanwhile */
        ObfDereferenceObject(file); /* first: whoever is told may close the file and unload its driver */
        request->Completed(request);
    }
}

static NTSTATUS NTAPI IopRequestCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    IOP_REQUEST *request = Context;
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    if (request->Done != NULL) { /* who waits finishes it: at PASSIVE_LEVEL, where buffers may be out */
        KeSetEvent(request->Done, IO_NO_INCREMENT, FALSE);
        return STATUS_MORE_PROCESSING_REQUIRED;
    }
    KIRQL irql = KiAcquireLockAtHigh(&request->Lock);
    request->Finished = TRUE;
    BOOLEAN last = request->Cancelling == 0;
    KiReleaseLockFromHigh(&request->Lock, irql);
    if (last) {
        IopFinishRequest(request);
    }
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS IopFillTransfer(const IOP_REQUEST *request, PIRP irp, PDEVICE_OBJECT device, PIO_STACK_LOCATION next) {
    BOOLEAN read = request->MajorFunction == IRP_MJ_READ;
    PVOID buffer = read ? request->Output : request->Input;
    ULONG bytes = read ? request->OutputBytes : request->InputBytes;
    if (read) {
        next->Parameters.Read.Length = bytes;
        next->Parameters.Read.Key = request->Key;
        next->Parameters.Read.ByteOffset = request->Offset;
    } else {
        next->Parameters.Write.Length = bytes;
        next->Parameters.Write.Key = request->Key;
        next->Parameters.Write.ByteOffset = request->Offset;
    }
    return IopGiveTransfer(irp, device, read, buffer, bytes, !request->Pageable);
}

static NTSTATUS IopFillDirectoryQuery(const IOP_REQUEST *request, PIRP irp, PDEVICE_OBJECT device,
                                      PIO_STACK_LOCATION next) {
    next->Parameters.QueryDirectory.Length = request->OutputBytes;
    next->Parameters.QueryDirectory.FileName = request->Pattern;
    next->Parameters.QueryDirectory.FileInformationClass = (FILE_INFORMATION_CLASS)request->Code;
    return IopGiveTransfer(irp, device, TRUE, request->Output, request->OutputBytes, !request->Pageable);
}

/* The parameters of the request and its buffers, each function's its own. */
static NTSTATUS IopFillRequest(const IOP_REQUEST *request, PIRP irp, PDEVICE_OBJECT device, PIO_STACK_LOCATION next) {
    switch (request->MajorFunction) {
    case IRP_MJ_CREATE: /* Input: IO_SECURITY_CONTEXT; Code: attributes */
        irp->Flags |= IRP_CREATE_OPERATION | IRP_SYNCHRONOUS_API;
        next->Parameters.Create.SecurityContext = request->Input;
        next->Parameters.Create.Options = request->Offset.LowPart;
        next->Parameters.Create.ShareAccess = (USHORT)request->Offset.HighPart;
        next->Parameters.Create.FileAttributes = (USHORT)request->Code;
        return STATUS_SUCCESS;
    case IRP_MJ_READ:
    case IRP_MJ_WRITE:
        return IopFillTransfer(request, irp, device, next);
    case IRP_MJ_DEVICE_CONTROL:
    case IRP_MJ_INTERNAL_DEVICE_CONTROL:
    case IRP_MJ_FILE_SYSTEM_CONTROL:
        return IopGiveControl(irp, next, request->Code, request->Input, request->InputBytes, request->Output,
                              request->OutputBytes, !request->Pageable);
    case IRP_MJ_QUERY_INFORMATION:
        next->Parameters.QueryFile.Length = request->OutputBytes;
        next->Parameters.QueryFile.FileInformationClass = (FILE_INFORMATION_CLASS)request->Code;
        return IopGiveSystemBuffer(irp, NULL, 0, request->Output, request->OutputBytes);
    case IRP_MJ_QUERY_VOLUME_INFORMATION:
        next->Parameters.QueryVolume.Length = request->OutputBytes;
        next->Parameters.QueryVolume.FsInformationClass = (FS_INFORMATION_CLASS)request->Code;
        return IopGiveSystemBuffer(irp, NULL, 0, request->Output, request->OutputBytes);
    case IRP_MJ_SET_INFORMATION:
        next->Parameters.SetFile.Length = request->InputBytes;
        next->Parameters.SetFile.FileInformationClass = (FILE_INFORMATION_CLASS)request->Code;
        return IopGiveSystemBuffer(irp, request->Input, request->InputBytes, NULL, 0);
    case IRP_MJ_DIRECTORY_CONTROL:
        return IopFillDirectoryQuery(request, irp, device, next);
    default: /* flush, cleanup, close, shutdown: the function says it all */
        return STATUS_SUCCESS;
    }
}

static NTSTATUS IopPrepareRequest(IOP_REQUEST *request, PDEVICE_OBJECT device) {
    PIRP irp = IoAllocateIrp((CCHAR)(device->StackSize + 1), FALSE);
    if (irp == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    irp->RequestorMode = KernelMode;
    irp->Tail.Overlay.Thread = (PETHREAD)KeGetCurrentThread();
    irp->Tail.Overlay.OriginalFileObject = request->File;
    IoSetNextIrpStackLocation(irp); /* our own */
    PIO_STACK_LOCATION next = IoGetNextIrpStackLocation(irp);
    next->MajorFunction = request->MajorFunction;
    next->MinorFunction = request->MinorFunction;
    next->FileObject = request->File;
    NTSTATUS status = IopFillRequest(request, irp, device, next);
    if (!NT_SUCCESS(status)) {
        IopReleaseBuffers(irp);
        IoFreeIrp(irp);
        return status;
    }
    IoSetCompletionRoutine(irp, IopRequestCompleted, request, TRUE, TRUE, TRUE);
    KIRQL irql = KiAcquireLockAtHigh(&request->Lock); /* from here on it can be cancelled */
    request->Irp = irp;
    KiReleaseLockFromHigh(&request->Lock, irql);
    return STATUS_SUCCESS;
}

NTSTATUS IopSendRequest(IOP_REQUEST *request) {
    PDEVICE_OBJECT device = IoGetRelatedDeviceObject(request->File);
    NTSTATUS status = IopPrepareRequest(request, device);
    if (!NT_SUCCESS(status)) {
        request->Result.Status = status;
        request->Result.Information = 0;
        request->Completed(request);
        return status;
    }
    ObfReferenceObject(request->File);
    return IofCallDriver(device, request->Irp);
}

BOOLEAN IopCancelRequest(IOP_REQUEST *request) {
    KIRQL irql = KiAcquireLockAtHigh(&request->Lock);
    PIRP irp = request->Finished ? NULL : request->Irp;
    request->Cancelling += irp != NULL;
    KiReleaseLockFromHigh(&request->Lock, irql);
    if (irp == NULL) {
        return FALSE;
    }
    BOOLEAN cancelled = IoCancelIrp(irp);
    irql = KiAcquireLockAtHigh(&request->Lock);
    request->Cancelling--;
    BOOLEAN last = request->Finished && request->Cancelling == 0;
    KiReleaseLockFromHigh(&request->Lock, irql);
    if (last) {
        IopFinishRequest(request);
    }
    return cancelled;
}

NTSTATUS IopCallRequest(IOP_REQUEST *request) {
    KEVENT done;
    PDEVICE_OBJECT device = IoGetRelatedDeviceObject(request->File);
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    request->Done = &done;
    NTSTATUS status = IopPrepareRequest(request, device);
    if (!NT_SUCCESS(status)) {
        request->Result.Status = status;
        request->Result.Information = 0;
        return status;
    }
    IofCallDriver(device, request->Irp);
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    IopFinishRequest(request);
    return request->Result.Status;
}
