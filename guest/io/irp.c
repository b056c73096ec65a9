/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IRPs: allocated, passed down a device stack, completed up again through the completion routines that each level set, and
 * ended as what made them wants it. CurrentLocation counts down from StackCount + 1; completion counts it up.
 */
#include "request.h"

#include "../include/mutant.h"
#include "../trace/trace.h"

#define POOL_TAG_IRP             ' prI'
#define IRP_ALLOCATED_FIXED_SIZE 0x04

VOID NTAPI IoInitializeIrp(PIRP Irp, USHORT PacketSize, CCHAR StackSize) {
    RtlZeroMemory(Irp, PacketSize);
    Irp->Type = IO_TYPE_IRP;
    Irp->Size = PacketSize;
    Irp->StackCount = StackSize;
    Irp->CurrentLocation = (CCHAR)(StackSize + 1);
    Irp->Tail.Overlay.CurrentStackLocation = (PIO_STACK_LOCATION)(Irp + 1) + StackSize;
    InitializeListHead(&Irp->ThreadListEntry);
    trace(TraceIrpAllocate, (ULONG64)Irp, (UCHAR)StackSize);
}
NT_EXPORT(IoInitializeIrp);

PIRP NTAPI IoAllocateIrp(CCHAR StackSize, BOOLEAN ChargeQuota) {
    UNREFERENCED_PARAMETER(ChargeQuota); /* no processes to charge */
    PIRP irp = ExAllocatePoolWithTag(NonPagedPool, IoSizeOfIrp(StackSize), POOL_TAG_IRP);
    if (irp != NULL) {
        IoInitializeIrp(irp, IoSizeOfIrp(StackSize), StackSize);
        irp->AllocationFlags = IRP_ALLOCATED_FIXED_SIZE;
    }
    return irp;
}
NT_EXPORT(IoAllocateIrp);

VOID NTAPI IoFreeIrp(PIRP Irp) {
    trace(TraceIrpFree, (ULONG64)Irp, 0);
    Irp->Type = 0; /* who completes it once more is told so (0x44), as long as nobody has the memory */
    ExFreePoolWithTag(Irp, POOL_TAG_IRP);
}
NT_EXPORT(IoFreeIrp);

VOID NTAPI IoReuseIrp(PIRP Irp, NTSTATUS Iostatus) {
    UCHAR allocation = Irp->AllocationFlags;
    trace(TraceIrpFree, (ULONG64)Irp, 0); /* what follows is another request */
    IoInitializeIrp(Irp, Irp->Size, Irp->StackCount);
    Irp->AllocationFlags = allocation;
    Irp->IoStatus.Status = Iostatus;
}
NT_EXPORT(IoReuseIrp);

#define IRP_DEVICE_BITS 48 /* of a device's address, in TraceIrpCall; the others are the sign's */

NTSTATUS FASTCALL IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    if (--Irp->CurrentLocation <= 0) {
        KeBugCheckEx(NO_MORE_IRP_STACK_LOCATIONS, (ULONG64)Irp, (ULONG64)DeviceObject, 0, 0);
    }
    PIO_STACK_LOCATION location = --Irp->Tail.Overlay.CurrentStackLocation;
    location->DeviceObject = DeviceObject;
    trace(TraceIrpCall, (ULONG64)Irp,
          ((ULONG64)DeviceObject & ((1ull << IRP_DEVICE_BITS) - 1)) | (ULONG64)location->MajorFunction << 48 |
              (ULONG64)location->MinorFunction << 56);
    NTSTATUS status = DeviceObject->DriverObject->MajorFunction[location->MajorFunction](DeviceObject, Irp);
    trace(TraceIrpReturn, (ULONG64)Irp, (ULONG)status);
    return status;
}
NT_EXPORT(IofCallDriver);

static BOOLEAN IopWantsCompletion(const IO_STACK_LOCATION *location, const IRP *irp) {
    UCHAR when = NT_SUCCESS(irp->IoStatus.Status) ? SL_INVOKE_ON_SUCCESS : SL_INVOKE_ON_ERROR;
    if (irp->Cancel) {
        when |= SL_INVOKE_ON_CANCEL;
    }
    return location->CompletionRoutine != NULL && (location->Control & when) != 0;
}

/* TRUE: every completion routine has run, and none has taken the IRP back. */
static BOOLEAN IopRunCompletion(PIRP irp) {
    while (irp->CurrentLocation <= irp->StackCount) {
        PIO_STACK_LOCATION location = irp->Tail.Overlay.CurrentStackLocation;
        irp->PendingReturned = (location->Control & SL_PENDING_RETURNED) != 0;
        irp->CurrentLocation++;
        irp->Tail.Overlay.CurrentStackLocation++;
        PIO_COMPLETION_ROUTINE routine = IopWantsCompletion(location, irp) ? location->CompletionRoutine : NULL;
        PVOID context = location->Context;
        location->CompletionRoutine = NULL; /* what one trip down has set does not hold for the next */
        location->Context = NULL;
        location->Control = 0;
        if (routine == NULL) {
            if (irp->PendingReturned && irp->CurrentLocation <= irp->StackCount) {
                IoMarkIrpPending(irp);
            }
            continue;
        }
        /* The routine's device is that of the level which set it: the next one up, none above the top. */
        PDEVICE_OBJECT device =
            irp->CurrentLocation <= irp->StackCount ? irp->Tail.Overlay.CurrentStackLocation->DeviceObject : NULL;
        if (routine(device, irp, context) == STATUS_MORE_PROCESSING_REQUIRED) {
            return FALSE;
        }
    }
    return TRUE;
}

/* An associated IRP is gone; the last one completes its master. */
static PIRP IopEndAssociated(PIRP irp) {
    PIRP master = irp->AssociatedIrp.MasterIrp;
    IopReleaseMdls(irp);
    IoFreeIrp(irp);
    /* Both: what each did to the master's buffers comes before its completion. */
    LONG left = __atomic_sub_fetch(&master->AssociatedIrp.IrpCount, 1, __ATOMIC_ACQ_REL);
    return left == MUTANT(MasterTooEarly, "REQ-5", "a master IRP is completed before its last associated one") ? master
                                                                                                               : NULL;
}

/* Returns the master that is to be completed now, or NULL. */
static PIRP IopEndIrp(PIRP irp, CCHAR boost) {
    if ((irp->Flags & IRP_ASSOCIATED_IRP) != 0) {
        return IopEndAssociated(irp);
    }
    if (!IsListEmpty(&irp->ThreadListEntry)) {
        IopEndThreadIrp(irp, boost);
        return NULL;
    }
    IopReleaseBuffers(irp);
    if (irp->UserIosb != NULL) {
        *irp->UserIosb = irp->IoStatus;
    }
    IoFreeIrp(irp);
    return NULL;
}

VOID FASTCALL IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost) {
    ULONG64 caller = (ULONG64)__builtin_return_address(0);
    while (Irp != NULL) {
        if (Irp->Type != IO_TYPE_IRP || Irp->CurrentLocation > (CCHAR)(Irp->StackCount + 1)) {
            KeBugCheckEx(MULTIPLE_IRP_COMPLETE_REQUESTS, (ULONG64)Irp, 0, 0, 0);
        }
        trace(TraceIrpComplete, (ULONG64)Irp, caller);
        if (!IopRunCompletion(Irp)) {
            return;
        }
        trace(TraceIrpDone, (ULONG64)Irp, (ULONG)Irp->IoStatus.Status);
        Irp = IopEndIrp(Irp, PriorityBoost);
    }
}
NT_EXPORT(IofCompleteRequest);

static NTSTATUS NTAPI IopForwardCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

BOOLEAN NTAPI IoForwardIrpSynchronously(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    KEVENT done;
    if (Irp->CurrentLocation <= 1) {
        return FALSE; /* no stack location left for the lower driver */
    }
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    IoCopyCurrentIrpStackLocationToNext(Irp);
    IoSetCompletionRoutine(Irp, IopForwardCompleted, &done, TRUE, TRUE, TRUE);
    IofCallDriver(DeviceObject, Irp);
    /* Also if it is completed already: the routine that sets the event may still be about to return. */
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    return TRUE;
}
NT_EXPORT(IoForwardIrpSynchronously);
