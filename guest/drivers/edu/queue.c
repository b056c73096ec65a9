/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue: cancel-safe, so a request that waits may be cancelled at any moment. One request is out of it at a time; its end begins the
 * next one, unless the queue has been closed meanwhile.
 */
#include "edu.h"

static PEDU_EXTENSION EduOfCsq(PIO_CSQ csq) {
    return CONTAINING_RECORD(csq, EDU_EXTENSION, Csq);
}

static VOID NTAPI EduCsqInsert(PIO_CSQ Csq, PIRP Irp) {
    InsertTailList(&EduOfCsq(Csq)->Queue, &Irp->Tail.Overlay.ListEntry);
}

static VOID NTAPI EduCsqRemove(PIO_CSQ Csq, PIRP Irp) {
    UNREFERENCED_PARAMETER(Csq);
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

static PIRP NTAPI EduCsqPeek(PIO_CSQ Csq, PIRP Irp, PVOID PeekContext) {
    PEDU_EXTENSION extension = EduOfCsq(Csq);
    UNREFERENCED_PARAMETER(PeekContext);
    PLIST_ENTRY next = Irp != NULL ? Irp->Tail.Overlay.ListEntry.Flink : extension->Queue.Flink;
    return next != &extension->Queue ? CONTAINING_RECORD(next, IRP, Tail.Overlay.ListEntry) : NULL;
}

static VOID NTAPI EduCsqAcquire(PIO_CSQ Csq, PKIRQL Irql) {
    KeAcquireSpinLock(&EduOfCsq(Csq)->QueueLock, Irql);
}

static VOID NTAPI EduCsqRelease(PIO_CSQ Csq, KIRQL Irql) {
    KeReleaseSpinLock(&EduOfCsq(Csq)->QueueLock, Irql);
}

static VOID EduEnd(PEDU_EXTENSION extension, PIRP irp, NTSTATUS status, ULONG_PTR information) {
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&extension->RemoveLock, irp);
}

static VOID NTAPI EduCsqCancelled(PIO_CSQ Csq, PIRP Irp) {
    EduEnd(EduOfCsq(Csq), Irp, STATUS_CANCELLED, 0);
}

VOID EduInitializeQueue(PEDU_EXTENSION extension) {
    KeInitializeSpinLock(&extension->QueueLock);
    InitializeListHead(&extension->Queue);
    KeInitializeEvent(&extension->Idle, NotificationEvent, TRUE);
    IoCsqInitialize(&extension->Csq, EduCsqInsert, EduCsqRemove, EduCsqPeek, EduCsqAcquire, EduCsqRelease,
                    EduCsqCancelled);
}

/* Whoever finds nothing under way and the queue open takes the next request; until he knows which, the extension stands for it. */
static VOID EduBeginNext(PEDU_EXTENSION extension) {
    KIRQL irql;
    KeAcquireSpinLock(&extension->QueueLock, &irql);
    BOOLEAN mine = extension->Open && extension->Current == NULL && !IsListEmpty(&extension->Queue);
    if (mine) {
        extension->Current = (PIRP)extension;
        KeClearEvent(&extension->Idle);
    }
    KeReleaseSpinLock(&extension->QueueLock, irql);
    while (mine) {
        PIRP next = IoCsqRemoveNextIrp(&extension->Csq, NULL);
        KeAcquireSpinLock(&extension->QueueLock, &irql);
        extension->Current = next;
        mine = next == NULL && extension->Open && !IsListEmpty(&extension->Queue); /* all cancelled, and one has come */
        if (mine) {
            extension->Current = (PIRP)extension;
        } else if (next == NULL) {
            KeSetEvent(&extension->Idle, IO_NO_INCREMENT, FALSE);
        }
        KeReleaseSpinLock(&extension->QueueLock, irql);
        if (next != NULL) {
            KeRaiseIrql(DISPATCH_LEVEL, &irql);
            EduBegin(extension);
            KeLowerIrql(irql);
        }
    }
}

NTSTATUS EduQueue(PEDU_EXTENSION extension, PIRP irp) {
    KIRQL irql;
    IoCsqInsertIrp(&extension->Csq, irp, NULL); /* marks it pending */
    KeAcquireSpinLock(&extension->QueueLock, &irql);
    BOOLEAN removed = extension->Removed;
    KeReleaseSpinLock(&extension->QueueLock, irql);
    if (removed) { /* nobody else looks into the queue any more */
        EduFailQueue(extension, STATUS_DELETE_PENDING, TRUE);
    } else {
        EduBeginNext(extension);
    }
    return STATUS_PENDING;
}

VOID EduFinish(PEDU_EXTENSION extension, NTSTATUS status, ULONG_PTR information) {
    KIRQL irql;
    KeAcquireSpinLock(&extension->QueueLock, &irql);
    PIRP irp = extension->Current;
    extension->Current = NULL;
    KeSetEvent(&extension->Idle, IO_NO_INCREMENT, FALSE);
    KeReleaseSpinLock(&extension->QueueLock, irql);
    EduBeginNext(extension);
    EduEnd(extension, irp, status, information); /* last: with it the device may go */
}

VOID EduOpenQueue(PEDU_EXTENSION extension) {
    KIRQL irql;
    KeAcquireSpinLock(&extension->QueueLock, &irql);
    extension->Open = TRUE;
    KeReleaseSpinLock(&extension->QueueLock, irql);
    EduBeginNext(extension);
}

VOID EduCloseQueue(PEDU_EXTENSION extension) {
    KIRQL irql;
    KeAcquireSpinLock(&extension->QueueLock, &irql);
    extension->Open = FALSE;
    KeReleaseSpinLock(&extension->QueueLock, irql);
    KeWaitForSingleObject(&extension->Idle, Executive, KernelMode, FALSE, NULL);
}

VOID EduFailQueue(PEDU_EXTENSION extension, NTSTATUS status, BOOLEAN for_ever) {
    PIRP irp;
    KIRQL irql;
    KeAcquireSpinLock(&extension->QueueLock, &irql);
    extension->Removed |= for_ever;
    KeReleaseSpinLock(&extension->QueueLock, irql);
    while ((irp = IoCsqRemoveNextIrp(&extension->Csq, NULL)) != NULL) {
        EduEnd(extension, irp, status, 0);
    }
}
