/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cancel-safe queues (nt/startio.h). A queued IRP has the Cancel routine below. Who gets that routine back from the IRP, under the
 * queue's lock, has the IRP: a removal that does not leaves it to the canceller, who is waiting for the lock and takes it off.
 *
 * An IRP with a context points at it, and the context at the queue; one without points at the queue: the type says which.
 */
#include "startio.h"

#include "../include/mutant.h"

static PIO_CSQ IopCsqOf(PIRP irp, PIO_CSQ_IRP_CONTEXT *context) {
    PVOID kept = irp->Tail.Overlay.DriverContext[3];
    *context = ((PIO_CSQ_IRP_CONTEXT)kept)->Type == IO_TYPE_CSQ_IRP_CONTEXT ? kept : NULL;
    return *context != NULL ? (*context)->Csq : kept;
}

/* The queue's lock is held. */
static VOID IopCsqTakeOff(PIO_CSQ csq, PIRP irp) {
    PIO_CSQ_IRP_CONTEXT context;
    IopCsqOf(irp, &context);
    csq->CsqRemoveIrp(csq, irp);
    if (context != NULL) {
        context->Irp = NULL;
    }
    irp->Tail.Overlay.DriverContext[3] = NULL;
}

VOID NTAPI IopCsqCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    PIO_CSQ_IRP_CONTEXT context;
    KIRQL irql;
    UNREFERENCED_PARAMETER(DeviceObject);
    IoReleaseCancelSpinLock(Irp->CancelIrql); /* the queue has a lock of its own */
    PIO_CSQ csq = IopCsqOf(Irp, &context);
    csq->CsqAcquireLock(csq, &irql);
    IopCsqTakeOff(csq, Irp);
    csq->CsqReleaseLock(csq, irql);
    csq->CsqCompleteCanceledIrp(csq, Irp);
}

static NTSTATUS IopCsqInitialize(PIO_CSQ csq, ULONG type, PVOID insert, PIO_CSQ_REMOVE_IRP remove,
                                 PIO_CSQ_PEEK_NEXT_IRP peek, PIO_CSQ_ACQUIRE_LOCK acquire, PIO_CSQ_RELEASE_LOCK release,
                                 PIO_CSQ_COMPLETE_CANCELED_IRP complete) {
    csq->Type = type;
    csq->CsqInsertIrp = (PIO_CSQ_INSERT_IRP)insert;
    csq->CsqRemoveIrp = remove;
    csq->CsqPeekNextIrp = peek;
    csq->CsqAcquireLock = acquire;
    csq->CsqReleaseLock = release;
    csq->CsqCompleteCanceledIrp = complete;
    csq->ReservePointer = NULL;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI IoCsqInitialize(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                               PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                               PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                               PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp) {
    return IopCsqInitialize(Csq, IO_TYPE_CSQ, (PVOID)CsqInsertIrp, CsqRemoveIrp, CsqPeekNextIrp, CsqAcquireLock,
                            CsqReleaseLock, CsqCompleteCanceledIrp);
}
NT_EXPORT(IoCsqInitialize);

NTSTATUS NTAPI IoCsqInitializeEx(PIO_CSQ Csq, PIO_CSQ_INSERT_IRP_EX CsqInsertIrp, PIO_CSQ_REMOVE_IRP CsqRemoveIrp,
                                 PIO_CSQ_PEEK_NEXT_IRP CsqPeekNextIrp, PIO_CSQ_ACQUIRE_LOCK CsqAcquireLock,
                                 PIO_CSQ_RELEASE_LOCK CsqReleaseLock,
                                 PIO_CSQ_COMPLETE_CANCELED_IRP CsqCompleteCanceledIrp) {
    return IopCsqInitialize(Csq, IO_TYPE_CSQ_EX, (PVOID)CsqInsertIrp, CsqRemoveIrp, CsqPeekNextIrp, CsqAcquireLock,
                            CsqReleaseLock, CsqCompleteCanceledIrp);
}
NT_EXPORT(IoCsqInitializeEx);

/* The queue's lock is held. FALSE: the IRP is being completed by whoever cancelled it, or has been inserted. TRUE: it has to be here. */
static BOOLEAN IopCsqInsert(PIO_CSQ csq, PIRP irp, PIO_CSQ_IRP_CONTEXT context, PVOID insert_context,
                            NTSTATUS *status) {
    if (irp->Cancel) {
        return TRUE;
    }
    if (context != NULL) {
        context->Type = IO_TYPE_CSQ_IRP_CONTEXT;
        context->Irp = irp;
        context->Csq = csq;
    }
    irp->Tail.Overlay.DriverContext[3] = context != NULL ? (PVOID)context : (PVOID)csq;
    if (csq->Type == IO_TYPE_CSQ_EX) {
        *status = ((PIO_CSQ_INSERT_IRP_EX)(PVOID)csq->CsqInsertIrp)(csq, irp, insert_context);
    } else {
        csq->CsqInsertIrp(csq, irp);
    }
    if (!NT_SUCCESS(*status)) {
        if (context != NULL) {
            context->Irp = NULL;
        }
        return FALSE;
    }
    IoMarkIrpPending(irp);
    /* The routine is set before the mark is looked at, and the exchange orders the two; IoCancelIrp does the opposite. */
    IopExchangeCancelRoutine(irp, IopCsqCancel);
    if (irp->Cancel &&
        !MUTANT(CsqMissesCancel, "IRP-8", "an IRP cancelled while it is inserted is left in the queue") &&
        IopExchangeCancelRoutine(irp, NULL) != NULL) {
        IopCsqTakeOff(csq, irp);
        return TRUE;
    }
    return FALSE;
}

NTSTATUS NTAPI IoCsqInsertIrpEx(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context, PVOID InsertContext) {
    NTSTATUS status = STATUS_SUCCESS;
    KIRQL irql;
    Csq->CsqAcquireLock(Csq, &irql);
    BOOLEAN cancelled = IopCsqInsert(Csq, Irp, Context, InsertContext, &status);
    Csq->CsqReleaseLock(Csq, irql);
    if (cancelled) {
        IoMarkIrpPending(Irp);
        if (Context != NULL) {
            Context->Irp = NULL;
        }
        Csq->CsqCompleteCanceledIrp(Csq, Irp);
        return STATUS_SUCCESS;
    }
    return status;
}
NT_EXPORT(IoCsqInsertIrpEx);

VOID NTAPI IoCsqInsertIrp(PIO_CSQ Csq, PIRP Irp, PIO_CSQ_IRP_CONTEXT Context) {
    (VOID) IoCsqInsertIrpEx(Csq, Irp, Context, NULL);
}
NT_EXPORT(IoCsqInsertIrp);

/* The queue's lock is held. FALSE: its canceller has it. */
static BOOLEAN IopCsqTake(PIO_CSQ csq, PIRP irp) {
    if (IopExchangeCancelRoutine(irp, NULL) == NULL &&
        !MUTANT(CsqTakesCancelled, "IRP-8", "an IRP that is being cancelled is removed all the same")) {
        return FALSE;
    }
    IopCsqTakeOff(csq, irp);
    return TRUE;
}

PIRP NTAPI IoCsqRemoveIrp(PIO_CSQ Csq, PIO_CSQ_IRP_CONTEXT Context) {
    KIRQL irql;
    Csq->CsqAcquireLock(Csq, &irql);
    PIRP irp = Context->Irp;
    if (irp != NULL && !IopCsqTake(Csq, irp)) {
        irp = NULL;
    }
    Csq->CsqReleaseLock(Csq, irql);
    return irp;
}
NT_EXPORT(IoCsqRemoveIrp);

PIRP NTAPI IoCsqRemoveNextIrp(PIO_CSQ Csq, PVOID PeekContext) {
    KIRQL irql;
    Csq->CsqAcquireLock(Csq, &irql);
    PIRP irp = Csq->CsqPeekNextIrp(Csq, NULL, PeekContext);
    while (irp != NULL && !IopCsqTake(Csq, irp)) {
        irp = Csq->CsqPeekNextIrp(Csq, irp, PeekContext);
    }
    Csq->CsqReleaseLock(Csq, irql);
    return irp;
}
NT_EXPORT(IoCsqRemoveNextIrp);
