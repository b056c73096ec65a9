/* SPDX-License-Identifier: Apache-2.0 */
/* The buffers of IRPs: a copy in pool, an MDL over the caller's, or the caller's address as it is. */
#include "request.h"

#include "../include/mutant.h"

/* Resident memory, locked or not: an MDL's pages do not go out as long as it is there. */
static NTSTATUS IopGiveMdl(PIRP irp, PVOID buffer, ULONG bytes, LOCK_OPERATION operation, BOOLEAN resident) {
    if (bytes == 0) {
        return STATUS_SUCCESS;
    }
    PMDL mdl = IoAllocateMdl(buffer, bytes, FALSE, FALSE, irp);
    if (mdl == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if (resident) {
        MmBuildMdlForNonPagedPool(mdl);
    } else {
        MmProbeAndLockPages(mdl, KernelMode, operation);
    }
    return STATUS_SUCCESS;
}

NTSTATUS IopGiveSystemBuffer(PIRP irp, const VOID *input, ULONG input_bytes, PVOID output, ULONG output_bytes) {
    ULONG bytes = input_bytes > output_bytes ? input_bytes : output_bytes;
    irp->UserBuffer = output;
    if (bytes == 0) {
        return STATUS_SUCCESS;
    }
    irp->AssociatedIrp.SystemBuffer = ExAllocatePoolWithTag(NonPagedPool, bytes, POOL_TAG_SYSTEM_BUFFER);
    if (irp->AssociatedIrp.SystemBuffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    irp->Flags |= IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER;
    if (input_bytes != 0) {
        RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, input, input_bytes);
    }
    if (output_bytes != 0) {
        irp->Flags |= IRP_INPUT_OPERATION;
        irp->Overlay.AllocationSize.QuadPart = output_bytes; /* for IopReleaseBuffers: no driver looks there */
    }
    return STATUS_SUCCESS;
}

NTSTATUS IopGiveTransfer(PIRP irp, PDEVICE_OBJECT device, BOOLEAN read, PVOID buffer, ULONG bytes, BOOLEAN resident) {
    if ((device->Flags & DO_BUFFERED_IO) != 0) {
        return read ? IopGiveSystemBuffer(irp, NULL, 0, buffer, bytes)
                    : IopGiveSystemBuffer(irp, buffer, bytes, NULL, 0);
    }
    if ((device->Flags & DO_DIRECT_IO) != 0) {
        return IopGiveMdl(irp, buffer, bytes, read ? IoWriteAccess : IoReadAccess, resident);
    }
    irp->UserBuffer = buffer;
    return STATUS_SUCCESS;
}

NTSTATUS IopGiveControl(PIRP irp, PIO_STACK_LOCATION location, ULONG code, PVOID input, ULONG input_bytes, PVOID output,
                        ULONG output_bytes, BOOLEAN resident) {
    location->Parameters.DeviceIoControl.IoControlCode = code;
    location->Parameters.DeviceIoControl.InputBufferLength = input_bytes;
    location->Parameters.DeviceIoControl.OutputBufferLength = output_bytes;
    ULONG method = METHOD_FROM_CTL_CODE(code);
    if (method == METHOD_BUFFERED) {
        return IopGiveSystemBuffer(irp, input, input_bytes, output, output_bytes);
    }
    if (method == METHOD_NEITHER) {
        irp->UserBuffer = output;
        location->Parameters.DeviceIoControl.Type3InputBuffer = input;
        return STATUS_SUCCESS;
    }
    NTSTATUS status = IopGiveSystemBuffer(irp, input, input_bytes, NULL, 0);
    if (NT_SUCCESS(status)) {
        status =
            IopGiveMdl(irp, output, output_bytes, method == METHOD_IN_DIRECT ? IoReadAccess : IoWriteAccess, resident);
    }
    return status;
}

VOID IopReleaseMdls(PIRP irp) {
    while (irp->MdlAddress != NULL) {
        PMDL mdl = irp->MdlAddress;
        irp->MdlAddress = mdl->Next;
        if ((mdl->MdlFlags & MDL_PAGES_LOCKED) != 0) {
            MmUnlockPages(mdl);
        }
        IoFreeMdl(mdl);
    }
}

/* What a driver says that it has put into the system buffer is not believed beyond the caller's own. */
static ULONG64 IopReturnedBytes(const IRP *irp) {
    ULONG64 bytes = irp->IoStatus.Information;
    ULONG64 room = (ULONG64)irp->Overlay.AllocationSize.QuadPart;
    if (bytes > room) {
        DbgPrint("io: IRP %p was completed with Information %I64u, but its output buffer has %I64u bytes\n", irp, bytes,
                 room);
        return room;
    }
    return bytes;
}

VOID IopReleaseBuffers(PIRP irp) {
    if ((irp->Flags & IRP_BUFFERED_IO) != 0) {
        if ((irp->Flags & IRP_INPUT_OPERATION) != 0 && !NT_ERROR(irp->IoStatus.Status) &&
            !MUTANT(NothingComesBack, "REQ-1", "what a driver leaves in the system buffer is not copied back")) {
            RtlCopyMemory(irp->UserBuffer, irp->AssociatedIrp.SystemBuffer, IopReturnedBytes(irp));
        }
        if ((irp->Flags & IRP_DEALLOCATE_BUFFER) != 0) {
            ExFreePoolWithTag(irp->AssociatedIrp.SystemBuffer, POOL_TAG_SYSTEM_BUFFER);
        }
        irp->Flags &= ~(ULONG)(IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER | IRP_INPUT_OPERATION);
    }
    IopReleaseMdls(irp);
}
