/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IRPs: allocated, passed down a device stack, completed up again through the completion routines that each level set.
 * CurrentLocation counts down from StackCount + 1; completion counts it up.
 */
#include "iop.h"

#define POOL_TAG_IRP ' prI'

PIRP NTAPI IoAllocateIrp(CCHAR StackSize, BOOLEAN ChargeQuota) {
    UNREFERENCED_PARAMETER(ChargeQuota); /* no processes to charge */
    USHORT bytes = (USHORT)(sizeof(IRP) + (ULONG)StackSize * sizeof(IO_STACK_LOCATION));
    PIRP irp = ExAllocatePoolWithTag(NonPagedPool, bytes, POOL_TAG_IRP);
    if (irp == NULL) {
        return NULL;
    }
    RtlZeroMemory(irp, bytes);
    irp->Type = IO_TYPE_IRP;
    irp->Size = bytes;
    irp->StackCount = StackSize;
    irp->CurrentLocation = (CCHAR)(StackSize + 1);
    irp->Tail.Overlay.CurrentStackLocation = (PIO_STACK_LOCATION)(irp + 1) + StackSize;
    return irp;
}
NT_EXPORT(IoAllocateIrp);

VOID NTAPI IoFreeIrp(PIRP Irp) {
    ExFreePoolWithTag(Irp, POOL_TAG_IRP);
}
NT_EXPORT(IoFreeIrp);

NTSTATUS FASTCALL IofCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    if (--Irp->CurrentLocation <= 0) {
        KeBugCheckEx(NO_MORE_IRP_STACK_LOCATIONS, (ULONG64)Irp, (ULONG64)DeviceObject, 0, 0);
    }
    PIO_STACK_LOCATION location = --Irp->Tail.Overlay.CurrentStackLocation;
    location->DeviceObject = DeviceObject;
    return DeviceObject->DriverObject->MajorFunction[location->MajorFunction](DeviceObject, Irp);
}
NT_EXPORT(IofCallDriver);

static BOOLEAN IopWantsCompletion(const IO_STACK_LOCATION *location, const IRP *irp) {
    UCHAR when = NT_SUCCESS(irp->IoStatus.Status) ? SL_INVOKE_ON_SUCCESS : SL_INVOKE_ON_ERROR;
    if (irp->Cancel) {
        when |= SL_INVOKE_ON_CANCEL;
    }
    return location->CompletionRoutine != NULL && (location->Control & when) != 0;
}

VOID FASTCALL IofCompleteRequest(PIRP Irp, CCHAR PriorityBoost) {
    UNREFERENCED_PARAMETER(PriorityBoost);
    if (Irp->CurrentLocation > (CCHAR)(Irp->StackCount + 1) || Irp->Type != IO_TYPE_IRP) {
        KeBugCheckEx(MULTIPLE_IRP_COMPLETE_REQUESTS, (ULONG64)Irp, 0, 0, 0);
    }
    while (Irp->CurrentLocation <= Irp->StackCount) {
        PIO_STACK_LOCATION location = Irp->Tail.Overlay.CurrentStackLocation;
        Irp->PendingReturned = (location->Control & SL_PENDING_RETURNED) != 0;
        Irp->CurrentLocation++;
        Irp->Tail.Overlay.CurrentStackLocation++;
        PIO_COMPLETION_ROUTINE routine = IopWantsCompletion(location, Irp) ? location->CompletionRoutine : NULL;
        PVOID context = location->Context;
        location->CompletionRoutine = NULL; /* what one trip down has set does not hold for the next */
        location->Context = NULL;
        location->Control = 0;
        if (routine == NULL) {
            if (Irp->PendingReturned && Irp->CurrentLocation <= Irp->StackCount) {
                IoMarkIrpPending(Irp);
            }
            continue;
        }
        /* The routine's device is that of the level which set it: the next one up, none above the top. */
        PDEVICE_OBJECT device =
            Irp->CurrentLocation <= Irp->StackCount ? Irp->Tail.Overlay.CurrentStackLocation->DeviceObject : NULL;
        if (routine(device, Irp, context) == STATUS_MORE_PROCESSING_REQUIRED) {
            return;
        }
    }
    if (Irp->UserIosb != NULL) {
        *Irp->UserIosb = Irp->IoStatus;
    }
    IoFreeIrp(Irp);
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
