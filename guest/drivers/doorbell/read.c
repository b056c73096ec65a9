/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads: each waits until an interrupt has been dealt with that no read has told of, and gives a ULONG64 for each vector, as
 * many as fit: how many of its interrupts that were. One read at a time is StartIo's, the others wait in the device queue. The
 * attributes of StartIo (driver.c) see to it that it is not called within itself and that its IRP has no Cancel routine then.
 */
#include "doorbell.h"

static NTSTATUS DoorbellComplete(PIRP irp, NTSTATUS status, SIZE_T bytes) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = bytes;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* CountLock held. FALSE: there is nothing to tell of, and no reason to end the read. */
static BOOLEAN DoorbellFill(PDOORBELL_EXTENSION extension, PIRP irp) {
    ULONG64 *counts = irp->AssociatedIrp.SystemBuffer;
    ULONG room = IoGetCurrentIrpStackLocation(irp)->Parameters.Read.Length / sizeof *counts;
    ULONG vectors = min(room, extension->Messages != NULL ? extension->Messages->MessageCount : 0);
    BOOLEAN any = FALSE;
    irp->IoStatus.Status = extension->Refusing ? STATUS_CANCELLED : STATUS_SUCCESS;
    irp->IoStatus.Information = extension->Refusing ? 0 : vectors * sizeof *counts;
    for (ULONG i = 0; i < vectors && !extension->Refusing; i++) {
        counts[i] = extension->Unread[i];
        extension->Unread[i] = 0;
        any |= counts[i] != 0;
    }
    return any || extension->Refusing;
}

/* Whoever gets the Cancel routine back has the IRP: this driver to complete it, or IoCancelIrp to call the routine. */
PIRP DoorbellTakeReader(PDOORBELL_EXTENSION extension) {
    PIRP irp = extension->Reader;
    if (irp == NULL || IoSetCancelRoutine(irp, NULL) == NULL) {
        return NULL;
    }
    if (!DoorbellFill(extension, irp)) { /* the vectors that were interrupted do not fit into its buffer */
        IoSetCancelRoutine(irp, DoorbellCancelReader);
        if (!irp->Cancel || IoSetCancelRoutine(irp, NULL) == NULL) {
            return NULL;
        }
        irp->IoStatus.Status = STATUS_CANCELLED; /* cancelled while it had none */
        irp->IoStatus.Information = 0;
    }
    extension->Reader = NULL;
    return irp;
}

VOID DoorbellEndRead(PDEVICE_OBJECT device, PIRP irp) {
    IoStartNextPacket(device, TRUE);
    IoCompleteRequest(irp, IO_NO_INCREMENT);
}

/* Cancel routine of the read that StartIo left to wait. The cancel spin lock is held. */
VOID NTAPI DoorbellCancelReader(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PDOORBELL_EXTENSION extension = DeviceObject->DeviceExtension;
    KIRQL irql;
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    KeRaiseIrql(DISPATCH_LEVEL, &irql); /* for IoStartNextPacket too */
    KeAcquireSpinLockAtDpcLevel(&extension->CountLock);
    extension->Reader = NULL;
    KeReleaseSpinLockFromDpcLevel(&extension->CountLock);
    Irp->IoStatus.Status = STATUS_CANCELLED;
    Irp->IoStatus.Information = 0;
    DoorbellEndRead(DeviceObject, Irp);
    KeLowerIrql(irql);
}

/* Cancel routine of a read in the device queue. The cancel spin lock is held, under which IoStartNextPacket takes them out. */
static VOID NTAPI DoorbellCancelQueued(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    KeRemoveEntryDeviceQueue(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    DoorbellComplete(Irp, STATUS_CANCELLED, 0);
}

VOID NTAPI DoorbellStartIo(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PDOORBELL_EXTENSION extension = DeviceObject->DeviceExtension;
    KeAcquireSpinLockAtDpcLevel(&extension->CountLock);
    extension->Reader = Irp;
    IoSetCancelRoutine(Irp, DoorbellCancelReader);
    PIRP done = DoorbellTakeReader(extension);
    KeReleaseSpinLockFromDpcLevel(&extension->CountLock);
    if (done != NULL) {
        DoorbellEndRead(DeviceObject, done);
    }
}

VOID DoorbellRefuseReads(PDEVICE_OBJECT device, BOOLEAN refuse) {
    PDOORBELL_EXTENSION extension = device->DeviceExtension;
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql); /* for IoStartNextPacket too */
    KeAcquireSpinLockAtDpcLevel(&extension->CountLock);
    extension->Refusing = refuse;
    PIRP reader = DoorbellTakeReader(extension);
    KeReleaseSpinLockFromDpcLevel(&extension->CountLock);
    if (reader != NULL) {
        DoorbellEndRead(device, reader); /* StartIo ends those behind it, one after the other */
    }
    KeLowerIrql(irql);
}

NTSTATUS NTAPI DoorbellRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    if (IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length < sizeof(ULONG64)) {
        return DoorbellComplete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
    }
    IoMarkIrpPending(Irp);
    IoStartPacket(DeviceObject, Irp, NULL, DoorbellCancelQueued);
    return STATUS_PENDING;
}

NTSTATUS NTAPI DoorbellOpen(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    DoorbellRefuseReads(DeviceObject, FALSE);
    return DoorbellComplete(Irp, STATUS_SUCCESS, 0);
}

/* The last handle is closed: what its owner still waits for ends. The device is exclusive, so all reads are his. */
NTSTATUS NTAPI DoorbellCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    DoorbellRefuseReads(DeviceObject, TRUE);
    return DoorbellComplete(Irp, STATUS_SUCCESS, 0);
}

NTSTATUS NTAPI DoorbellClose(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    return DoorbellComplete(Irp, STATUS_SUCCESS, 0);
}
