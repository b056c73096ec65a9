/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked forms of the executive spin lock routines (spec section 2). Each checks, does what the routine does with the
 * driver's return address as the caller, and keeps account.
 */
#include "vi.h"

#include "../include/mutant.h"

VOID ViCheckContext(const VI_REQUEST *request, BOOLEAN at_dpc) {
    KIRQL limit = request->Form == ViToSynch ? KI_SYNCH_LEVEL : DISPATCH_LEVEL;
    if (MUTANT(VfAnyAcquireIrql, "SPIN-5", "the verifier lets a lock be acquired at any IRQL")) {
        return;
    }
    ViCheckWaitFollows(VI_FRAME);
    if (at_dpc && request->Irql < DISPATCH_LEVEL) {
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_DPC_ACQUIRE_IRQL, request->Irql, request->Lock, 0,
                 "a spin lock is acquired at DISPATCH_LEVEL's risk below DISPATCH_LEVEL", request);
    }
    if (!at_dpc && request->Irql > limit) {
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_ACQUIRE_IRQL, request->Irql, request->Lock, 0,
                 "a spin lock is acquired above the IRQL that it raises to", request);
    }
    /* The documents forbid it without a first parameter of its own; 0x42 (an acquisition above DISPATCH_LEVEL) is nearest. */
    if (ViHoldsInterruptLock() &&
        !MUTANT(VfLetsIsrLock, "SPIN-12", "the verifier lets an ISR take an executive spin lock")) {
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_ACQUIRE_IRQL, request->Irql, request->Lock, 0,
                 "an executive spin lock is acquired by an ISR or under an interrupt spin lock", request);
    }
}

VOID ViForgetHolding(VI_REQUEST *held) {
    if (held != NULL) {
        ViCheckHold(held, VI_FRAME);
        ViBeforeRelease(held);
        ViPopHeld(held);
    }
}

KIRQL ViAcquire(PKSPIN_LOCK lock, VI_FORM form, ULONG64 frame, ULONG64 caller) {
    VI_REQUEST request = ViRequest((ULONG64)lock, ViSpin, form, frame);
    ViCheckContext(&request, FALSE);
    ViBeforeAcquire(&request);
    if (request.Irql != request.HeldIrql || form != ViForDpc) {
        KiRaiseIrql(request.HeldIrql, caller);
        ViTrimMemory();
    }
    KiAcquireSpinLock(lock, caller);
    ViAfterAcquire(&request);
    return request.Irql;
}

VOID ViRelease(PKSPIN_LOCK lock, KIRQL new_irql, VI_FORM form, ULONG64 frame, ULONG64 caller) {
    ViCheckReleaseIrql((ULONG64)lock, form == ViRaise ? VI_RELEASE_IRQL : VI_KERNEL_RELEASE_IRQL, new_irql, frame);
    VI_REQUEST *held = ViCheckRelease((ULONG64)lock, ViSpin, form, frame);
    ViCheckLower(held, new_irql, frame);
    ViForgetHolding(held);
    KiReleaseSpinLock(lock, caller);
    if (form == ViRaise || new_irql < DISPATCH_LEVEL) {
        KiLowerIrql(new_irql, caller);
    }
}

static KIRQL NTAPI ViAcquireRaiseToDpc(PKSPIN_LOCK SpinLock) {
    return ViAcquire(SpinLock, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeAcquireSpinLockRaiseToDpc, ViAcquireRaiseToDpc);

static KIRQL NTAPI ViAcquireRaiseToSynch(PKSPIN_LOCK SpinLock) {
    return ViAcquire(SpinLock, ViToSynch, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeAcquireSpinLockRaiseToSynch, ViAcquireRaiseToSynch);

static KIRQL FASTCALL ViAcquireForDpc(PKSPIN_LOCK SpinLock) {
    return ViAcquire(SpinLock, ViForDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeAcquireSpinLockForDpc, ViAcquireForDpc);

static VOID NTAPI ViReleaseLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql) {
    ViRelease(SpinLock, NewIrql, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeReleaseSpinLock, ViReleaseLock);

static VOID FASTCALL ViReleaseForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql) {
    ViRelease(SpinLock, OldIrql, ViForDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(KeReleaseSpinLockForDpc, ViReleaseForDpc);

static VOID NTAPI ViAcquireAtDpcLevel(PKSPIN_LOCK SpinLock) {
    VI_REQUEST request = ViRequest((ULONG64)SpinLock, ViSpin, ViAtDpc, VI_FRAME);
    ViCheckContext(&request, TRUE);
    ViBeforeAcquire(&request);
    KiAcquireSpinLock(SpinLock, KI_CALLER);
    ViAfterAcquire(&request);
}
NT_VERIFIED(KeAcquireSpinLockAtDpcLevel, ViAcquireAtDpcLevel);

static BOOLEAN FASTCALL ViTryToAcquireAtDpcLevel(PKSPIN_LOCK SpinLock) {
    VI_REQUEST request = ViRequest((ULONG64)SpinLock, ViSpin, ViAtDpc, VI_FRAME);
    request.Tries = TRUE;
    ViCheckContext(&request, TRUE);
    ViBeforeAcquire(&request);
    if (!KiTryToAcquireSpinLock(SpinLock, KI_CALLER)) {
        return FALSE;
    }
    ViAfterAcquire(&request);
    return TRUE;
}
NT_VERIFIED(KeTryToAcquireSpinLockAtDpcLevel, ViTryToAcquireAtDpcLevel);

static VOID NTAPI ViReleaseFromDpcLevel(PKSPIN_LOCK SpinLock) {
    ViCheckReleaseIrql((ULONG64)SpinLock, VI_DPC_RELEASE_IRQL, 0, VI_FRAME);
    ViForgetHolding(ViCheckRelease((ULONG64)SpinLock, ViSpin, ViAtDpc, VI_FRAME));
    KiReleaseSpinLock(SpinLock, KI_CALLER);
}
NT_VERIFIED(KeReleaseSpinLockFromDpcLevel, ViReleaseFromDpcLevel);

static VOID NTAPI ViInitializeSpinLock(PKSPIN_LOCK SpinLock) {
    ViInitializeLock(SpinLock, VI_FRAME);
    *SpinLock = 0;
}
NT_VERIFIED(KeInitializeSpinLock, ViInitializeSpinLock);
