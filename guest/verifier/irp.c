/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked forms of what handles IRPs, as the page of bugcheck 0xC9 (DRIVER_VERIFIER_IOMANAGER_VIOLATION) states the rules of I/O
 * verification. What can be said of a call alone: no IRP is kept account of between calls.
 */
#include "vi.h"

#include "../include/mutant.h"
#include "../io/startio.h"

#define DRIVER_VERIFIER_IOMANAGER_VIOLATION 0xc9 /* the DDK headers lack its name */

/* Its first parameters. */
#define VI_FREED_NO_IRP      0x01  /* IRP */
#define VI_FREED_THREADS_IRP 0x02  /* IRP */
#define VI_CALLED_NO_IRP     0x03  /* IRP */
#define VI_CALLED_NO_DEVICE  0x04  /* device */
#define VI_DISPATCH_IRQL     0x05  /* device, IRQL before, IRQL after */
#define VI_COMPLETED_PENDING 0x06  /* status, IRP */
#define VI_COMPLETED_CANCEL  0x07  /* Cancel routine, IRP */
#define VI_TIMER_AGAIN       0x0a  /* device */
#define VI_COMPLETED_IRQL    0x0e  /* IRQL, IRP */
#define VI_CALLED_IRQL       0x10  /* IRQL */
#define VI_CALLED_CANCEL     0x203 /* the driver's address, IRP, device; so are those that follow */
#define VI_CALLED_NULL       0x204

static VOID ViBreaksIo(ULONG code, ULONG64 p2, ULONG64 p3, ULONG64 p4, const char *text, ULONG64 frame)
    __attribute__((noreturn));

static VOID ViBreaksIo(ULONG code, ULONG64 p2, ULONG64 p3, ULONG64 p4, const char *text, ULONG64 frame) {
    VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, frame);
    ViReport(DRIVER_VERIFIER_IOMANAGER_VIOLATION, code, p2, p3, p4, text, &request);
}

static VOID NTAPI ViFreeIrp(PIRP Irp) {
    KIRQL irql = (KIRQL)__readcr8();
    ViCheckWaitFollows(VI_FRAME);
    if (irql > DISPATCH_LEVEL) {
        const char *text = "an IRP is freed above DISPATCH_LEVEL";
        VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, VI_FRAME);
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RULE_KE_DISPATCH, (ULONG64)text, irql, 0, text, &request);
    }
    if (Irp->Type != IO_TYPE_IRP) {
        ViBreaksIo(VI_FREED_NO_IRP, (ULONG64)Irp, 0, 0, "what is freed as an IRP is none", VI_FRAME);
    }
    PLIST_ENTRY link = &Irp->ThreadListEntry;
    if (link->Flink != NULL && !IsListEmpty(link)) {
        ViBreaksIo(VI_FREED_THREADS_IRP, (ULONG64)Irp, 0, 0, "an IRP is freed that a thread still waits for", VI_FRAME);
    }
    IoFreeIrp(Irp);
}
NT_VERIFIED(IoFreeIrp, ViFreeIrp);

static NTSTATUS FASTCALL ViCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    KIRQL irql = (KIRQL)__readcr8();
    ViCheckWaitFollows(VI_FRAME);
    if (irql > DISPATCH_LEVEL) {
        ViBreaksIo(VI_CALLED_IRQL, irql, 0, 0, "IoCallDriver is called above DISPATCH_LEVEL", VI_FRAME);
    }
    if (Irp->Type != IO_TYPE_IRP) {
        ViBreaksIo(VI_CALLED_NO_IRP, (ULONG64)Irp, 0, 0, "what IoCallDriver sends is no IRP", VI_FRAME);
    }
    if (DeviceObject == NULL) {
        ViBreaksIo(VI_CALLED_NULL, KI_CALLER, (ULONG64)Irp, 0, "IoCallDriver sends an IRP to no device", VI_FRAME);
    }
    if (DeviceObject->Type != IO_TYPE_DEVICE) {
        ViBreaksIo(VI_CALLED_NO_DEVICE, (ULONG64)DeviceObject, 0, 0, "what IoCallDriver sends an IRP to is no device",
                   VI_FRAME);
    }
    if (Irp->CancelRoutine != NULL &&
        !MUTANT(VfForwardsCancelable, "IRP-8", "the verifier lets an IRP be sent on with its Cancel routine set")) {
        ViBreaksIo(VI_CALLED_CANCEL, KI_CALLER, (ULONG64)Irp, (ULONG64)DeviceObject,
                   "IoCallDriver sends an IRP on whose Cancel routine is still set", VI_FRAME);
    }
    NTSTATUS status = IofCallDriver(DeviceObject, Irp);
    KIRQL after = (KIRQL)__readcr8();
    if (after != irql) {
        ViBreaksIo(VI_DISPATCH_IRQL, (ULONG64)DeviceObject, irql, after, "a dispatch routine returned at another IRQL",
                   VI_FRAME);
    }
    return status;
}
NT_VERIFIED(IofCallDriver, ViCallDriver);

static VOID FASTCALL ViCompleteRequest(PIRP Irp, CCHAR PriorityBoost) {
    KIRQL irql = (KIRQL)__readcr8();
    const VI_REQUEST *held = ViHeld(0);
    BOOLEAN known = Irp->Type == IO_TYPE_IRP; /* otherwise 0x44 follows, which says so */
    NTSTATUS status = Irp->IoStatus.Status;
    ViCheckWaitFollows(VI_FRAME);
    if (irql > DISPATCH_LEVEL) {
        ViBreaksIo(VI_COMPLETED_IRQL, irql, (ULONG64)Irp, 0, "an IRP is completed above DISPATCH_LEVEL", VI_FRAME);
    }
    if (held != NULL &&
        !MUTANT(VfCompletesUnderLock, "SPIN-17", "the verifier lets an IRP be completed under a spin lock")) {
        /* The rule SpinLock of the DDI compliance rules is the nearest that is documented. */
        const char *text = "an IRP is completed while a spin lock is held";
        VI_REQUEST request = ViRequest(held->Lock, held->Kind, ViAtDpc, VI_FRAME);
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RULE_SPIN_LOCK, (ULONG64)text, held->Lock, 0, text, &request);
    }
    /* Past its last location it has gone up all the way: who allocated it has it back, and frees it. A thread's goes on. */
    if (known && Irp->CurrentLocation == Irp->StackCount + 1 && Irp->Tail.Overlay.Thread == NULL &&
        !MUTANT(VfCompletesTwice, "IRP-8", "the verifier does not see an IRP completed again")) {
        VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, VI_FRAME);
        ViReport(MULTIPLE_IRP_COMPLETE_REQUESTS, (ULONG64)Irp, 0, 0, 0, "an IRP is completed a second time", &request);
    }
    if (known && (status == STATUS_PENDING || status == -1)) {
        ViBreaksIo(VI_COMPLETED_PENDING, (ULONG64)status, (ULONG64)Irp, 0,
                   "an IRP is completed with STATUS_PENDING, or -1", VI_FRAME);
    }
    if (known && Irp->CancelRoutine != NULL &&
        !MUTANT(VfCompletesCancelable, "IRP-8", "the verifier lets an IRP be completed with its Cancel routine set")) {
        ViBreaksIo(VI_COMPLETED_CANCEL, (ULONG64)Irp->CancelRoutine, (ULONG64)Irp, 0,
                   "an IRP is completed whose Cancel routine is still set", VI_FRAME);
    }
    IofCompleteRequest(Irp, PriorityBoost);
}
NT_VERIFIED(IofCompleteRequest, ViCompleteRequest);

static NTSTATUS NTAPI ViInitializeTimer(PDEVICE_OBJECT DeviceObject, PIO_TIMER_ROUTINE TimerRoutine, PVOID Context) {
    KIRQL irql = (KIRQL)__readcr8();
    ViCheckWaitFollows(VI_FRAME);
    if (irql != PASSIVE_LEVEL) {
        const char *text = "a device's timer is set up above PASSIVE_LEVEL";
        VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, VI_FRAME);
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RULE_IO_PASSIVE, (ULONG64)text, irql, 0, text, &request);
    }
    if (DeviceObject->Timer != NULL) {
        ViBreaksIo(VI_TIMER_AGAIN, (ULONG64)DeviceObject, 0, 0, "a device's timer is set up a second time", VI_FRAME);
    }
    return IoInitializeTimer(DeviceObject, TimerRoutine, Context);
}
NT_VERIFIED(IoInitializeTimer, ViInitializeTimer);
