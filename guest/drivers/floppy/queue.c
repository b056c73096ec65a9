/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interlocked work queue and the thread that takes from it. What is queued is a packet of our own that points to the IRP: the
 * queue's spin lock is for the ExInterlocked routines only, so nobody can take an entry out of the middle, yet a cancelled
 * request is to be completed at once. Thread and cancel routine exchange the pointer; who finds the IRP there completes it.
 */
#include "floppy.h"

typedef struct _FLOPPY_REQUEST {
    LIST_ENTRY Link;
    PIRP volatile Irp; /* NULL: cancelled */
} FLOPPY_REQUEST, *PFLOPPY_REQUEST;

NTSTATUS FloppyComplete(PIRP irp, NTSTATUS status, ULONG_PTR information) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_DISK_INCREMENT);
    return status;
}

static PIRP FloppyTake(PFLOPPY_REQUEST request) {
    return InterlockedExchangePointer((PVOID volatile *)&request->Irp, NULL);
}

/* The cancel spin lock is held until the pointer has been exchanged: see FloppyOwn. */
static VOID NTAPI FloppyCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PIRP mine = FloppyTake(Irp->Tail.Overlay.DriverContext[0]);
    UNREFERENCED_PARAMETER(DeviceObject);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    if (mine != NULL) {
        FloppyComplete(mine, STATUS_CANCELLED, 0);
    }
}

/* Takes the request out of the cancel routine's reach. NULL: that has it. */
static PIRP FloppyOwn(PFLOPPY_REQUEST request) {
    PIRP irp = FloppyTake(request);
    if (irp != NULL && IoSetCancelRoutine(irp, NULL) == NULL) {
        KIRQL irql; /* the cancel routine runs and finds nothing; it looks at the IRP until it lets go of this lock */
        IoAcquireCancelSpinLock(&irql);
        IoReleaseCancelSpinLock(irql);
    }
    return irp;
}

NTSTATUS FloppyQueue(PFLOPPY_EXTENSION extension, PIRP irp) {
    PFLOPPY_REQUEST request = ExAllocatePoolWithTag(NonPagedPool, sizeof *request, FLOPPY_TAG);
    if (request == NULL) {
        return FloppyComplete(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    }
    request->Irp = irp;
    irp->Tail.Overlay.DriverContext[0] = request;
    IoMarkIrpPending(irp);
    FloppyHoldMotor(extension);
    IoSetCancelRoutine(irp, FloppyCancel);
    if (irp->Cancel && FloppyOwn(request) != NULL) { /* before there was a cancel routine, or it has just begun */
        FloppyComplete(irp, STATUS_CANCELLED, 0);
    }
    ExInterlockedInsertTailList(&extension->Queue, &request->Link, &extension->QueueLock);
    KeReleaseSemaphore(&extension->Work, IO_NO_INCREMENT, 1, FALSE);
    return STATUS_PENDING;
}

static VOID NTAPI FloppyThread(PVOID StartContext) {
    PFLOPPY_EXTENSION extension = StartContext;
    KeSetPriorityThread(KeGetCurrentThread(), LOW_REALTIME_PRIORITY);
    for (;;) {
        KeWaitForSingleObject(&extension->Work, Executive, KernelMode, FALSE, NULL);
        PLIST_ENTRY entry = ExInterlockedRemoveHeadList(&extension->Queue, &extension->QueueLock);
        if (entry == NULL) {
            PsTerminateSystemThread(STATUS_SUCCESS); /* FloppyStopThread: nothing else releases without an entry */
        }
        PFLOPPY_REQUEST request = CONTAINING_RECORD(entry, FLOPPY_REQUEST, Link);
        PIRP irp = FloppyOwn(request);
        ExFreePoolWithTag(request, FLOPPY_TAG);
        if (irp == NULL) {
            FloppyCounts.Cancelled++;
        } else if (IoGetCurrentIrpStackLocation(irp)->MajorFunction == IRP_MJ_DEVICE_CONTROL) {
            FloppyControl(extension, irp);
        } else {
            FloppyTransfer(extension, irp);
        }
        FloppyReleaseMotor(extension);
    }
}

NTSTATUS FloppyStartThread(PFLOPPY_EXTENSION extension) {
    HANDLE handle;
    KeInitializeSpinLock(&extension->QueueLock);
    InitializeListHead(&extension->Queue);
    KeInitializeSemaphore(&extension->Work, 0, MAXLONG);
    NTSTATUS status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, FloppyThread, extension);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &extension->Thread, NULL);
    ZwClose(handle);
    return status;
}

VOID FloppyStopThread(PFLOPPY_EXTENSION extension) {
    KeReleaseSemaphore(&extension->Work, IO_NO_INCREMENT, 1, FALSE);
    KeWaitForSingleObject(extension->Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(extension->Thread);
}
