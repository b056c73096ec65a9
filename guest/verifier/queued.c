/* SPDX-License-Identifier: Apache-2.0 */
/* The checked forms of the in-stack queued spin lock routines (spec section 3), handles included (QSL-4). */
#include "vi.h"

/* A handle that holds a lock on this CPU cannot wait for another, nor be given back twice. */
static VOID ViCheckHandle(const VI_REQUEST *request) {
    const VI_REQUEST *held;
    for (ULONG i = 0; (held = ViHeld(i)) != NULL; i++) {
        if (held->Handle == request->Handle) {
            const char *text = "a lock queue handle is used for a second acquisition before its first was released";
            ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RULE_QUEUED_LOCK, (ULONG64)text, request->Handle,
                     held->Lock, text, request);
        }
    }
}

static VOID ViAcquireQueued(PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle, VI_FORM form, ULONG64 frame, ULONG64 caller) {
    VI_REQUEST request = ViRequest((ULONG64)lock, ViQueued, form, frame);
    request.Handle = (ULONG64)handle;
    ViCheckContext(&request, form == ViAtDpc);
    ViCheckHandle(&request);
    ViBeforeAcquire(&request);
    handle->OldIrql = request.Irql;
    if (form == ViRaise || form == ViToSynch || (form == ViForDpc && request.Irql < DISPATCH_LEVEL)) {
        KiRaiseIrql(request.HeldIrql, caller);
        ViTrimMemory();
    }
    KiAcquireQueuedLock(lock, handle, caller);
    ViAfterAcquire(&request);
}

/* The lock is what the verifier knows of the handle: the handle itself may have been released, or never used. */
static ULONG64 ViLockOfHandle(PKLOCK_QUEUE_HANDLE handle, ULONG64 frame) {
    const VI_REQUEST *held;
    for (ULONG i = 0; (held = ViHeld(i)) != NULL; i++) {
        if (held->Handle == (ULONG64)handle) {
            return held->Lock;
        }
    }
    VI_REQUEST request = ViRequest((ULONG64)KiQueuedLockOf(handle), ViQueued, ViRaise, frame);
    ULONG cpu;
    if (ViIsHeldElsewhere(request.Lock, &cpu)) {
        ViReport(SPIN_LOCK_NOT_OWNED, request.Lock, request.Irql, cpu, 0,
                 "a lock queue handle is released by a CPU that did not acquire with it", &request);
    }
    ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_NOT_ACQUIRED, request.Lock, (ULONG64)handle, 0,
             "a lock queue handle is released that holds no lock", &request);
}

static VOID ViReleaseQueued(PKLOCK_QUEUE_HANDLE handle, KIRQL old, VI_FORM form, ULONG64 frame, ULONG64 caller) {
    ULONG64 lock = ViLockOfHandle(handle, frame);
    ViCheckReleaseIrql(lock, form == ViAtDpc ? VI_DPC_RELEASE_IRQL : VI_QUEUED_RELEASE_IRQL, old, frame);
    VI_REQUEST *held = ViCheckRelease(lock, ViQueued, form, frame);
    if (form != ViAtDpc) {
        ViCheckLower(held, old, frame);
    }
    ViForgetHolding(held);
    KiReleaseQueuedLock(handle, caller);
    if (form == ViRaise || (form == ViForDpc && old < DISPATCH_LEVEL)) {
        KiLowerIrql(old, caller);
    }
}

static VOID FASTCALL ViAcquireQueuedRaise(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
    ViAcquireQueued(SpinLock, LockHandle, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeAcquireInStackQueuedSpinLock, ViAcquireQueuedRaise);

static VOID FASTCALL ViAcquireQueuedToSynch(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
    ViAcquireQueued(SpinLock, LockHandle, ViToSynch, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeAcquireInStackQueuedSpinLockRaiseToSynch, ViAcquireQueuedToSynch);

static VOID FASTCALL ViAcquireQueuedAtDpc(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
    ViAcquireQueued(SpinLock, LockHandle, ViAtDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeAcquireInStackQueuedSpinLockAtDpcLevel, ViAcquireQueuedAtDpc);

static VOID FASTCALL ViAcquireQueuedForDpc(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
    ViAcquireQueued(SpinLock, LockHandle, ViForDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeAcquireInStackQueuedSpinLockForDpc, ViAcquireQueuedForDpc);

static VOID FASTCALL ViReleaseQueuedRaise(PKLOCK_QUEUE_HANDLE LockHandle) {
    ViReleaseQueued(LockHandle, LockHandle->OldIrql, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeReleaseInStackQueuedSpinLock, ViReleaseQueuedRaise);

static VOID FASTCALL ViReleaseQueuedFromDpc(PKLOCK_QUEUE_HANDLE LockHandle) {
    ViReleaseQueued(LockHandle, LockHandle->OldIrql, ViAtDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeReleaseInStackQueuedSpinLockFromDpcLevel, ViReleaseQueuedFromDpc);

static VOID FASTCALL ViReleaseQueuedForDpc(PKLOCK_QUEUE_HANDLE LockHandle) {
    ViReleaseQueued(LockHandle, LockHandle->OldIrql, ViForDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeReleaseInStackQueuedSpinLockForDpc, ViReleaseQueuedForDpc);

/* The locks by number (ntifs.h). */

static KIRQL ViAcquireNumbered(KSPIN_LOCK_QUEUE_NUMBER number, VI_FORM form, ULONG64 frame, ULONG64 caller) {
    PKSPIN_LOCK lock = KiNumberedLock(number);
    /* Raised first, so that the handle is that of the CPU which waits; checked at the caller's IRQL. */
    VI_REQUEST request = ViRequest((ULONG64)lock, ViQueued, form, frame);
    ViCheckContext(&request, FALSE);
    ViBeforeAcquire(&request);
    KiRaiseIrql(request.HeldIrql, caller);
    ViTrimMemory();
    PKLOCK_QUEUE_HANDLE handle = KiNumberedHandle(number);
    request.Handle = (ULONG64)handle;
    KiAcquireQueuedLock(lock, handle, caller);
    ViAfterAcquire(&request);
    return request.Irql;
}

static LOGICAL ViTryNumbered(KSPIN_LOCK_QUEUE_NUMBER number, PKIRQL old, VI_FORM form, ULONG64 frame, ULONG64 caller) {
    PKSPIN_LOCK lock = KiNumberedLock(number);
    VI_REQUEST request = ViRequest((ULONG64)lock, ViQueued, form, frame);
    request.Tries = TRUE;
    ViCheckContext(&request, FALSE);
    ViBeforeAcquire(&request);
    *old = KiRaiseIrql(request.HeldIrql, caller);
    request.Handle = (ULONG64)KiNumberedHandle(number);
    if (!KiTryToAcquireQueuedLock(lock, KiNumberedHandle(number), caller)) {
        KiLowerIrql(*old, caller);
        return FALSE;
    }
    ViAfterAcquire(&request);
    return TRUE;
}

static KIRQL FASTCALL ViAcquireByNumber(KSPIN_LOCK_QUEUE_NUMBER Number) {
    return ViAcquireNumbered(Number, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeAcquireQueuedSpinLock, ViAcquireByNumber);

static KIRQL FASTCALL ViAcquireByNumberToSynch(KSPIN_LOCK_QUEUE_NUMBER Number) {
    return ViAcquireNumbered(Number, ViToSynch, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeAcquireQueuedSpinLockRaiseToSynch, ViAcquireByNumberToSynch);

static LOGICAL FASTCALL ViTryByNumber(KSPIN_LOCK_QUEUE_NUMBER Number, PKIRQL OldIrql) {
    return ViTryNumbered(Number, OldIrql, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeTryToAcquireQueuedSpinLock, ViTryByNumber);

static LOGICAL FASTCALL ViTryByNumberToSynch(KSPIN_LOCK_QUEUE_NUMBER Number, PKIRQL OldIrql) {
    return ViTryNumbered(Number, OldIrql, ViToSynch, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeTryToAcquireQueuedSpinLockRaiseToSynch, ViTryByNumberToSynch);

static VOID FASTCALL ViReleaseByNumber(KSPIN_LOCK_QUEUE_NUMBER Number, KIRQL OldIrql) {
    PKSPIN_LOCK lock = KiNumberedLock(Number);
    VI_REQUEST *held = ViCheckRelease((ULONG64)lock, ViQueued, ViRaise, VI_FRAME);
    ViCheckReleaseIrql((ULONG64)lock, VI_QUEUED_RELEASE_IRQL, OldIrql, VI_FRAME);
    ViCheckLower(held, OldIrql, VI_FRAME);
    ViForgetHolding(held);
    KiReleaseQueuedLock(KiNumberedHandle(Number), KI_CALLER);
    KiLowerIrql(OldIrql, KI_CALLER);
}
NT_VERIFIED(KeReleaseQueuedSpinLock, ViReleaseByNumber);
