/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked forms of what cancels: the cancel spin lock is a spin lock like others, and a driver's Cancel routine is called
 * holding it, which is told here by the hooks of io/cancel.c.
 */
#include "vi.h"

#include "../include/mutant.h"
#include "../io/startio.h"

static VOID NTAPI ViAcquireCancelLock(PKIRQL Irql) {
    *Irql = ViAcquire(&IopCancelLock, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(IoAcquireCancelSpinLock, ViAcquireCancelLock);

static VOID NTAPI ViReleaseCancelLock(KIRQL Irql) {
    ViRelease(&IopCancelLock, Irql, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(IoReleaseCancelSpinLock, ViReleaseCancelLock);

static BOOLEAN NTAPI ViCancelIrp(PIRP Irp) {
    VI_REQUEST request = ViRequest((ULONG64)&IopCancelLock, ViSpin, ViRaise, VI_FRAME);
    ViCheckContext(&request, FALSE);
    ViBeforeAcquire(&request);
    return IoCancelIrp(Irp);
}
NT_VERIFIED(IoCancelIrp, ViCancelIrp);

static VOID ViCancelLockGiven(KIRQL irql) {
    VI_REQUEST request = ViRequest((ULONG64)&IopCancelLock, ViSpin, ViRaise, VI_FRAME);
    request.Irql = irql;
    ViAfterAcquire(&request);
}

static VOID ViCancelReturned(ULONG64 routine, ULONG64 irp, KIRQL irql) {
    ViCheckReturnedIrql(routine, irp, irql, VI_UNEXPECTED_CALLOUT);
}

VOID ViWatchCancelling(BOOLEAN on) {
    static const IOP_CANCEL_HOOKS hooks = {.Given = ViCancelLockGiven, .Returned = ViCancelReturned};
    IopCancelHooks = on ? &hooks : NULL;
}
