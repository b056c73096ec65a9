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

static VOID ViReleaseQueued(PKLOCK_QUEUE_HANDLE handle, VI_FORM form, ULONG64 frame, ULONG64 caller) {
    ULONG64 lock = ViLockOfHandle(handle, frame);
    KIRQL old = handle->OldIrql;
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
    ViReleaseQueued(LockHandle, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeReleaseInStackQueuedSpinLock, ViReleaseQueuedRaise);

static VOID FASTCALL ViReleaseQueuedFromDpc(PKLOCK_QUEUE_HANDLE LockHandle) {
    ViReleaseQueued(LockHandle, ViAtDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeReleaseInStackQueuedSpinLockFromDpcLevel, ViReleaseQueuedFromDpc);

static VOID FASTCALL ViReleaseQueuedForDpc(PKLOCK_QUEUE_HANDLE LockHandle) {
    ViReleaseQueued(LockHandle, ViForDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeReleaseInStackQueuedSpinLockForDpc, ViReleaseQueuedForDpc);
