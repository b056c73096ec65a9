/* SPDX-License-Identifier: Apache-2.0 */
/* IRPs that a driver has made for it, to be sent to another driver's device (nt/requests.h). */
#include "request.h"

static PIRP IopNewIrp(PDEVICE_OBJECT device, UCHAR major, PIO_STATUS_BLOCK result) {
    PIRP irp = IoAllocateIrp(device->StackSize, FALSE);
    if (irp != NULL) {
        irp->RequestorMode = KernelMode;
        irp->UserIosb = result;
        irp->Tail.Overlay.Thread = (PETHREAD)KeGetCurrentThread();
        IoGetNextIrpStackLocation(irp)->MajorFunction = major;
    }
    return irp;
}

static PIRP IopKeepIf(PIRP irp, NTSTATUS status) {
    if (!NT_SUCCESS(status)) {
        IopReleaseBuffers(irp);
        IoFreeIrp(irp);
        return NULL;
    }
    return irp;
}

PIRP NTAPI IoBuildAsynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject, PVOID Buffer, ULONG Length,
                                         PLARGE_INTEGER StartingOffset, PIO_STATUS_BLOCK IoStatusBlock) {
    PIRP irp = IopNewIrp(DeviceObject, (UCHAR)MajorFunction, IoStatusBlock);
    if (irp == NULL || (MajorFunction != IRP_MJ_READ && MajorFunction != IRP_MJ_WRITE)) {
        return irp;
    }
    PIO_STACK_LOCATION next = IoGetNextIrpStackLocation(irp);
    LARGE_INTEGER offset = {.QuadPart = 0};
    if (StartingOffset != NULL) {
        offset = *StartingOffset;
    }
    if (MajorFunction == IRP_MJ_READ) {
        next->Parameters.Read.Length = Length;
        next->Parameters.Read.ByteOffset = offset;
    } else {
        next->Parameters.Write.Length = Length;
        next->Parameters.Write.ByteOffset = offset;
    }
    return IopKeepIf(irp,
                     IopGiveTransfer(irp, DeviceObject, MajorFunction == IRP_MJ_READ, Buffer, Length,
                                     KeGetCurrentIrql() == DISPATCH_LEVEL));
}
NT_EXPORT(IoBuildAsynchronousFsdRequest);

PIRP NTAPI IoBuildSynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject, PVOID Buffer, ULONG Length,
                                        PLARGE_INTEGER StartingOffset, PKEVENT Event, PIO_STATUS_BLOCK IoStatusBlock) {
    PIRP irp =
        IoBuildAsynchronousFsdRequest(MajorFunction, DeviceObject, Buffer, Length, StartingOffset, IoStatusBlock);
    if (irp != NULL) {
        irp->UserEvent = Event;
        irp->Flags |= IRP_SYNCHRONOUS_API;
        IopAddThreadIrp(irp);
    }
    return irp;
}
NT_EXPORT(IoBuildSynchronousFsdRequest);

PIRP NTAPI IoBuildDeviceIoControlRequest(ULONG IoControlCode, PDEVICE_OBJECT DeviceObject, PVOID InputBuffer,
                                         ULONG InputBufferLength, PVOID OutputBuffer, ULONG OutputBufferLength,
                                         BOOLEAN InternalDeviceIoControl, PKEVENT Event,
                                         PIO_STATUS_BLOCK IoStatusBlock) {
    PIRP irp = IopNewIrp(DeviceObject, InternalDeviceIoControl ? IRP_MJ_INTERNAL_DEVICE_CONTROL : IRP_MJ_DEVICE_CONTROL,
                         IoStatusBlock);
    if (irp == NULL) {
        return NULL;
    }
    irp = IopKeepIf(irp,
                    IopGiveControl(irp, IoGetNextIrpStackLocation(irp), IoControlCode, InputBuffer, InputBufferLength,
                                   OutputBuffer, OutputBufferLength, FALSE));
    if (irp != NULL) {
        irp->UserEvent = Event;
        irp->Flags |= IRP_SYNCHRONOUS_API;
        IopAddThreadIrp(irp);
    }
    return irp;
}
NT_EXPORT(IoBuildDeviceIoControlRequest);

PIRP NTAPI IoMakeAssociatedIrp(PIRP Irp, CCHAR StackSize) {
    PIRP irp = IoAllocateIrp(StackSize, FALSE);
    if (irp != NULL) {
        irp->Flags |= IRP_ASSOCIATED_IRP;
        irp->AssociatedIrp.MasterIrp = Irp;
        irp->RequestorMode = Irp->RequestorMode;
        irp->Tail.Overlay.Thread = Irp->Tail.Overlay.Thread;
    }
    return irp;
}
NT_EXPORT(IoMakeAssociatedIrp);
