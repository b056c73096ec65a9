/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cancelling (nt/startio.h). Who exchanges an IRP's Cancel routine for NULL and gets it has the IRP: IoCancelIrp, to call it, or the
 * driver, to complete the IRP. The cancel spin lock is there for drivers that decide by more than that.
 */
#include "startio.h"

#include "../include/mutant.h"

KSPIN_LOCK IopCancelLock;
const IOP_CANCEL_HOOKS *volatile IopCancelHooks;

VOID NTAPI IoAcquireCancelSpinLock(PKIRQL Irql) {
    KIRQL irql = KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
    KiAcquireSpinLock(&IopCancelLock, KI_CALLER);
    *Irql = irql;
}
NT_EXPORT(IoAcquireCancelSpinLock);

VOID NTAPI IoReleaseCancelSpinLock(KIRQL Irql) {
    KiReleaseSpinLock(&IopCancelLock, KI_CALLER);
    KiLowerIrql(Irql, KI_CALLER);
}
NT_EXPORT(IoReleaseCancelSpinLock);

VOID IopCallCancelRoutine(PIRP irp, PDRIVER_CANCEL routine, KIRQL irql) {
    const IOP_CANCEL_HOOKS *hooks = routine != IopCsqCancel ? IopCancelHooks : NULL; /* that one is no driver's */
    PDEVICE_OBJECT device = IoGetCurrentIrpStackLocation(irp)->DeviceObject;
    irp->CancelIrql = irql;
    trace(TraceIrpCancel, (ULONG64)irp, (ULONG64)routine);
    if (hooks != NULL) {
        hooks->Given(irql);
    }
    routine(device, irp);
    /* The lock's word is its holder. Below DISPATCH_LEVEL this CPU cannot hold it, and may be another one at the next look. */
    if (__readcr8() >= DISPATCH_LEVEL &&
        __atomic_load_n(&IopCancelLock, __ATOMIC_RELAXED) == (KSPIN_LOCK)KiCurrentPrcb()) {
        KeBugCheckEx(DRIVER_RETURNED_HOLDING_CANCEL_LOCK, (ULONG64)irp, (ULONG64)routine, 0, 0);
    }
    if (hooks != NULL) {
        hooks->Returned((ULONG64)routine, (ULONG64)irp, irql);
    }
}

BOOLEAN NTAPI IoCancelIrp(PIRP Irp) {
    KIRQL irql = KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
    KiAcquireSpinLock(&IopCancelLock, KI_CALLER);
    /*
     * Sequentially consistent: the mark is there before the routine is looked for, as whoever sets a routine looks for the mark
     * afterwards. One of the two finds what the other did.
     */
    __atomic_store_n(&Irp->Cancel, TRUE, __ATOMIC_SEQ_CST);
    PDRIVER_CANCEL routine;
    if (MUTANT(CancelRoutineStays, "IRP-8", "a Cancel routine that is called stays set")) {
        routine = Irp->CancelRoutine;
    } else if (MUTANT(CancelRoutineTakenTwice, "IRP-8", "canceller and owner may both get the Cancel routine")) {
        routine = Irp->CancelRoutine;
        YieldProcessor(); /* time for the owner to come in between */
        Irp->CancelRoutine = NULL;
    } else {
        routine = IopExchangeCancelRoutine(Irp, NULL);
    }
    if (routine == NULL) {
        trace(TraceIrpCancel, (ULONG64)Irp, 0);
        KiReleaseSpinLock(&IopCancelLock, KI_CALLER);
        KiLowerIrql(irql, KI_CALLER);
        return FALSE;
    }
    IopCallCancelRoutine(Irp, routine, irql);
    return TRUE;
}
NT_EXPORT(IoCancelIrp);
