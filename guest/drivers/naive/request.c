/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads: one at offset N waits for the operation of channel N and gives its result, a ULONG64. Who takes the IRP's Cancel routine away
 * has the IRP: DpcForIsr, to complete it with a result, or IoCancelIrp.
 */
#include "naive.h"

static NTSTATUS NaiveComplete(PIRP irp, NTSTATUS status, SIZE_T bytes) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = bytes;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

VOID NaiveEndRead(PIRP irp, ULONG64 result) {
    if (IoSetCancelRoutine(irp, NULL) != NULL) { /* else its Cancel routine is being called and completes it */
        *(ULONG64 *)irp->AssociatedIrp.SystemBuffer = result;
        NaiveComplete(irp, STATUS_SUCCESS, sizeof result);
    }
}

typedef struct _NAIVE_CHANGE {
    PNAIVE_EXTENSION Extension;
    PIRP Irp;
    ULONG Channel;
} NAIVE_CHANGE;

/* The three that follow are SynchCritSections: DIRQL, the interrupt spin lock held. FALSE: the channel has a read already. */
static BOOLEAN NTAPI NaiveInsert(PVOID SynchronizeContext) {
    const NAIVE_CHANGE *change = SynchronizeContext;
    PIRP *request = &change->Extension->Request[change->Channel];
    if (*request != NULL) {
        return FALSE;
    }
    *request = change->Irp;
    change->Extension->Shared->Channel[change->Channel].Accepted++;
    return TRUE;
}

static BOOLEAN NTAPI NaiveForget(PVOID SynchronizeContext) {
    const NAIVE_CHANGE *change = SynchronizeContext;
    for (ULONG channel = 0; channel < NAIVE_MAXIMUM_CHANNELS; channel++) {
        if (change->Extension->Request[channel] == change->Irp) {
            change->Extension->Request[channel] = NULL;
        }
    }
    return TRUE;
}

static BOOLEAN NTAPI NaiveTakeOne(PVOID SynchronizeContext) {
    NAIVE_CHANGE *change = SynchronizeContext;
    change->Irp = change->Extension->Request[change->Channel];
    change->Extension->Request[change->Channel] = NULL;
    return change->Irp != NULL;
}

static BOOLEAN NaiveSynchronize(PKSYNCHRONIZE_ROUTINE routine, NAIVE_CHANGE *change) {
    return KeSynchronizeExecution(change->Extension->Messages->MessageInfo[0].InterruptObject, routine, change);
}

/* The cancel spin lock is held. */
static VOID NTAPI NaiveCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    NAIVE_CHANGE change = {.Extension = DeviceObject->DeviceExtension, .Irp = Irp};
    NaiveSynchronize(NaiveForget, &change);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    NaiveComplete(Irp, STATUS_CANCELLED, 0);
}

NTSTATUS NTAPI NaiveRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    NAIVE_CHANGE change = {.Extension = DeviceObject->DeviceExtension, .Irp = Irp};
    ULONG64 channel = (ULONG64)location->Parameters.Read.ByteOffset.QuadPart;
    KIRQL irql;
    if (location->Parameters.Read.Length < sizeof(ULONG64)) {
        return NaiveComplete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
    }
    if (change.Extension->Messages == NULL || channel >= change.Extension->Messages->MessageCount) {
        return NaiveComplete(Irp, STATUS_INVALID_PARAMETER, 0);
    }
    change.Channel = (ULONG)channel;
    Irp->IoStatus.Information = 0; /* cure 1: no result yet */
    IoMarkIrpPending(Irp);
    IoAcquireCancelSpinLock(&irql); /* a canceller finds the routine set and the IRP in its place, or comes too early */
    IoSetCancelRoutine(Irp, NaiveCancel);
    BOOLEAN waits = !Irp->Cancel && NaiveSynchronize(NaiveInsert, &change);
    if (!waits) {
        IoSetCancelRoutine(Irp, NULL);
    }
    IoReleaseCancelSpinLock(irql);
    if (!waits) {
        NaiveComplete(Irp, Irp->Cancel ? STATUS_CANCELLED : STATUS_DEVICE_BUSY, 0);
    }
    return STATUS_PENDING;
}

VOID NaiveCancelReads(PNAIVE_EXTENSION extension) {
    NAIVE_CHANGE change = {.Extension = extension};
    for (change.Channel = 0; change.Channel < extension->Messages->MessageCount; change.Channel++) {
        if (NaiveSynchronize(NaiveTakeOne, &change) && IoSetCancelRoutine(change.Irp, NULL) != NULL) {
            NaiveComplete(change.Irp, STATUS_CANCELLED, 0);
        }
    }
}

NTSTATUS NTAPI NaiveOpenClose(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    return NaiveComplete(Irp, STATUS_SUCCESS, 0);
}

/* The last handle is closed: what its owner still waits for ends. The device is exclusive, so all reads are his. */
NTSTATUS NTAPI NaiveCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PNAIVE_EXTENSION extension = DeviceObject->DeviceExtension;
    if (extension->Messages != NULL) {
        NaiveCancelReads(extension);
    }
    return NaiveComplete(Irp, STATUS_SUCCESS, 0);
}
