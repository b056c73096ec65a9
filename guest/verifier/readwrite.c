/* SPDX-License-Identifier: Apache-2.0 */
/* The checked forms of the reader/writer spin lock routines (spec section 4): who reads releases as a reader, who writes as a writer. */
#include "vi.h"

static VOID ViTake(PEX_SPIN_LOCK lock, BOOLEAN shared, ULONG64 caller) {
    if (shared) {
        KiAcquireSharedLock(lock, caller);
    } else {
        KiAcquireExclusiveLock(lock, caller);
    }
}

static KIRQL ViAcquireRw(PEX_SPIN_LOCK lock, BOOLEAN shared, VI_FORM form, ULONG64 frame, ULONG64 caller) {
    VI_REQUEST request = ViRequest((ULONG64)lock, ViReadWrite, form, frame);
    request.Shared = shared;
    ViCheckContext(&request, form == ViAtDpc);
    ViBeforeAcquire(&request);
    if (form == ViRaise) {
        KiRaiseIrql(DISPATCH_LEVEL, caller);
        ViTrimMemory();
    }
    ViTake(lock, shared, caller);
    ViAfterAcquire(&request);
    return request.Irql;
}

static LOGICAL ViTryRw(PEX_SPIN_LOCK lock, BOOLEAN shared, ULONG64 frame, ULONG64 caller) {
    VI_REQUEST request = ViRequest((ULONG64)lock, ViReadWrite, ViAtDpc, frame);
    request.Shared = shared;
    request.Tries = TRUE;
    ViCheckContext(&request, TRUE);
    ViBeforeAcquire(&request);
    if (!(shared ? KiTryToAcquireSharedLock(lock, caller) : KiTryToAcquireExclusiveLock(lock, caller))) {
        return FALSE;
    }
    ViAfterAcquire(&request);
    return TRUE;
}

static VI_REQUEST *ViCheckRw(PEX_SPIN_LOCK lock, BOOLEAN shared, VI_FORM form, ULONG64 frame) {
    VI_REQUEST *held = ViCheckRelease((ULONG64)lock, ViReadWrite, form, frame);
    if (held != NULL && held->Shared != shared) {
        VI_REQUEST request = ViRequest((ULONG64)lock, ViReadWrite, form, frame);
        ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, VI_RELEASE_MISMATCH, (ULONG64)lock, 0, 0,
                 shared ? "a spin lock that is held for writing is released as if for reading"
                        : "a spin lock that is held for reading is released as if for writing",
                 &request);
    }
    return held;
}

static VOID ViReleaseRw(PEX_SPIN_LOCK lock, BOOLEAN shared, KIRQL old, VI_FORM form, ULONG64 frame, ULONG64 caller) {
    ViCheckReleaseIrql((ULONG64)lock, form == ViRaise ? VI_KERNEL_RELEASE_IRQL : VI_DPC_RELEASE_IRQL, old, frame);
    VI_REQUEST *held = ViCheckRw(lock, shared, form, frame);
    if (form == ViRaise) {
        ViCheckLower(held, old, frame);
    }
    ViForgetHolding(held);
    if (shared) {
        KiReleaseSharedLock(lock, caller);
    } else {
        KiReleaseExclusiveLock(lock, caller);
    }
    if (form == ViRaise) {
        KiLowerIrql(old, caller);
    }
}

static KIRQL NTAPI ViAcquireShared(PEX_SPIN_LOCK SpinLock) {
    return ViAcquireRw(SpinLock, TRUE, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(ExAcquireSpinLockShared, ViAcquireShared);

static KIRQL NTAPI ViAcquireExclusive(PEX_SPIN_LOCK SpinLock) {
    return ViAcquireRw(SpinLock, FALSE, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(ExAcquireSpinLockExclusive, ViAcquireExclusive);

static VOID NTAPI ViAcquireSharedAtDpc(PEX_SPIN_LOCK SpinLock) {
    ViAcquireRw(SpinLock, TRUE, ViAtDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(ExAcquireSpinLockSharedAtDpcLevel, ViAcquireSharedAtDpc);

static VOID NTAPI ViAcquireExclusiveAtDpc(PEX_SPIN_LOCK SpinLock) {
    ViAcquireRw(SpinLock, FALSE, ViAtDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(ExAcquireSpinLockExclusiveAtDpcLevel, ViAcquireExclusiveAtDpc);

static VOID NTAPI ViReleaseShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql) {
    ViReleaseRw(SpinLock, TRUE, OldIrql, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(ExReleaseSpinLockShared, ViReleaseShared);

static VOID NTAPI ViReleaseExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql) {
    ViReleaseRw(SpinLock, FALSE, OldIrql, ViRaise, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(ExReleaseSpinLockExclusive, ViReleaseExclusive);

static VOID NTAPI ViReleaseSharedFromDpc(PEX_SPIN_LOCK SpinLock) {
    ViReleaseRw(SpinLock, TRUE, 0, ViAtDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(ExReleaseSpinLockSharedFromDpcLevel, ViReleaseSharedFromDpc);

static VOID NTAPI ViReleaseExclusiveFromDpc(PEX_SPIN_LOCK SpinLock) {
    ViReleaseRw(SpinLock, FALSE, 0, ViAtDpc, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(ExReleaseSpinLockExclusiveFromDpcLevel, ViReleaseExclusiveFromDpc);

static LOGICAL NTAPI ViTrySharedAtDpc(PEX_SPIN_LOCK SpinLock) {
    return ViTryRw(SpinLock, TRUE, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(ExTryAcquireSpinLockSharedAtDpcLevel, ViTrySharedAtDpc);

static LOGICAL NTAPI ViTryExclusiveAtDpc(PEX_SPIN_LOCK SpinLock) {
    return ViTryRw(SpinLock, FALSE, VI_FRAME, KI_CALLER);
}
NT_VERIFIED(ExTryAcquireSpinLockExclusiveAtDpcLevel, ViTryExclusiveAtDpc);

static LOGICAL NTAPI ViTryConvert(PEX_SPIN_LOCK SpinLock) {
    VI_REQUEST *held = ViFindHeld((ULONG64)SpinLock);
    held = ViCheckRw(SpinLock, TRUE, held != NULL ? held->Form : ViAtDpc, VI_FRAME);
    if (!KiTryToConvertSharedLock(SpinLock, KI_CALLER)) {
        return FALSE;
    }
    held->Shared = FALSE;
    return TRUE;
}
NT_VERIFIED(ExTryConvertSharedSpinLockExclusive, ViTryConvert);
