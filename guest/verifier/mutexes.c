/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked forms of fast and guarded mutexes and of what leaves regions: they are taken below DISPATCH_LEVEL with APCs held back as
 * their kind wants it, once, and given back by the thread that took them.
 */
#include "vi.h"

#include "../include/mutant.h"
#include "../ke/dispatcher.h"

static ULONG64 ViApcDisableCount(VOID) {
    const KI_APC_STATE *state = &KeGetCurrentThread()->Apc;
    return (ULONG64)(LONG64)state->SpecialApcDisable << 16 | (USHORT)state->KernelApcDisable;
}

static VOID ViComplain(ULONG code, ULONG64 p2, ULONG64 p3, ULONG64 p4, ULONG64 lock, const char *text, ULONG64 frame)
    __attribute__((noreturn));

static VOID ViComplain(ULONG code, ULONG64 p2, ULONG64 p3, ULONG64 p4, ULONG64 lock, const char *text, ULONG64 frame) {
    VI_REQUEST request = ViRequest(lock, ViMutex, ViByWait, frame);
    ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, code, p2, p3, p4, text, &request);
}

/* What all of them want of who takes one. code: of an IRQL that is too high, with the IRQL and the mutex unless it is a rule of the DDI. */
static VOID ViCheckTake(const FAST_MUTEX *mutex, ULONG code, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    ULONG64 lock = (ULONG64)mutex;
    ViCheckWaitFollows(frame);
    if (irql > APC_LEVEL &&
        !MUTANT(VfFastMutexAnywhere, "FMX-2 GMX-2",
                "the verifier lets fast and guarded mutexes be taken at any IRQL")) {
        const char *text = "a mutex is acquired above APC_LEVEL";
        BOOLEAN rule = code >= VI_RULE_KE_APC;
        ViComplain(code, rule ? (ULONG64)text : irql, rule ? irql : lock, 0, lock, text, frame);
    }
    if (mutex->Owner == KeGetCurrentThread() &&
        !MUTANT(VfFastMutexTwice, "FMX-1 GMX-1", "the verifier lets a thread take a fast or guarded mutex twice")) {
        ViComplain(VI_SELF_DEADLOCK, lock, 0, 0, lock, "a mutex is acquired by the thread that holds it", frame);
    }
}

static VOID ViCheckGive(const FAST_MUTEX *mutex, ULONG64 frame) {
    ULONG64 lock = (ULONG64)mutex;
    ULONG64 self = (ULONG64)KeGetCurrentThread();
    ViCheckWaitFollows(frame);
    ULONG64 owner = (ULONG64)mutex->Owner;
    if (owner == self || MUTANT(VfFastMutexOthers, "FMX-1 GMX-1", "the verifier lets any thread release a mutex")) {
        return;
    }
    if (owner == 0) {
        ViComplain(VI_NOT_ACQUIRED, lock, 0, 0, lock, "a mutex is released that nobody holds", frame);
    }
    ViComplain(VI_WRONG_THREAD, lock, owner, self, lock, "a mutex is released by a thread that does not hold it",
               frame);
}

/* For the unsafe forms: at APC_LEVEL, or in a region of the kind that holds back what the mutex wants held back. */
static VOID ViCheckUnsafe(const FAST_MUTEX *mutex, BOOLEAN guarded, ULONG code, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    const KI_APC_STATE *state = &KeGetCurrentThread()->Apc;
    BOOLEAN held_back = state->SpecialApcDisable != 0 || (!guarded && state->KernelApcDisable != 0);
    if (irql != APC_LEVEL && !(irql == PASSIVE_LEVEL && held_back)) {
        ViComplain(code, irql, ViApcDisableCount(), (ULONG64)mutex, (ULONG64)mutex,
                   "an unsafe routine of a mutex is called while APCs can come", frame);
    }
}

static VOID FASTCALL ViAcquireFast(PFAST_MUTEX FastMutex) {
    ViCheckTake(FastMutex, VI_FAST_ACQUIRE_IRQL, VI_FRAME);
    ViBeforeOwning((ULONG64)FastMutex, ViFastMutex, FALSE, VI_FRAME);
    ExAcquireFastMutex(FastMutex);
    ViAfterOwning((ULONG64)FastMutex, ViFastMutex, FALSE, VI_FRAME);
}
NT_VERIFIED(ExAcquireFastMutex, ViAcquireFast);

static BOOLEAN FASTCALL ViTryFast(PFAST_MUTEX FastMutex) {
    ViCheckTake(FastMutex, VI_FAST_ACQUIRE_IRQL, VI_FRAME);
    ViBeforeOwning((ULONG64)FastMutex, ViFastMutex, TRUE, VI_FRAME);
    if (!ExTryToAcquireFastMutex(FastMutex)) {
        return FALSE;
    }
    ViAfterOwning((ULONG64)FastMutex, ViFastMutex, TRUE, VI_FRAME);
    return TRUE;
}
NT_VERIFIED(ExTryToAcquireFastMutex, ViTryFast);

static VOID FASTCALL ViReleaseFast(PFAST_MUTEX FastMutex) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql != APC_LEVEL &&
        !MUTANT(VfFastReleaseAnywhere, "FMX-2", "the verifier lets a fast mutex be released at any IRQL")) {
        ViComplain(VI_FAST_RELEASE_IRQL, irql, (ULONG64)FastMutex, 0, (ULONG64)FastMutex,
                   "a fast mutex is released at another IRQL than APC_LEVEL", VI_FRAME);
    }
    ViCheckGive(FastMutex, VI_FRAME);
    ViEndOwning((ULONG64)FastMutex);
    ExReleaseFastMutex(FastMutex);
}
NT_VERIFIED(ExReleaseFastMutex, ViReleaseFast);

static VOID FASTCALL ViAcquireFastUnsafe(PFAST_MUTEX FastMutex) {
    ViCheckUnsafe(FastMutex, FALSE, VI_UNSAFE_ACQUIRE, VI_FRAME);
    ViCheckTake(FastMutex, VI_FAST_ACQUIRE_IRQL, VI_FRAME);
    ViBeforeOwning((ULONG64)FastMutex, ViFastMutex, FALSE, VI_FRAME);
    ExAcquireFastMutexUnsafe(FastMutex);
    ViAfterOwning((ULONG64)FastMutex, ViFastMutex, FALSE, VI_FRAME);
}
NT_VERIFIED(ExAcquireFastMutexUnsafe, ViAcquireFastUnsafe);

static VOID FASTCALL ViReleaseFastUnsafe(PFAST_MUTEX FastMutex) {
    ViCheckUnsafe(FastMutex, FALSE, VI_UNSAFE_RELEASE, VI_FRAME);
    ViCheckGive(FastMutex, VI_FRAME);
    ViEndOwning((ULONG64)FastMutex);
    ExReleaseFastMutexUnsafe(FastMutex);
}
NT_VERIFIED(ExReleaseFastMutexUnsafe, ViReleaseFastUnsafe);

static VOID ViBeforeGuarded(PKGUARDED_MUTEX mutex, BOOLEAN tries, ULONG64 frame) {
    ViCheckTake((const FAST_MUTEX *)mutex, VI_RULE_KE_APC, frame);
    ViBeforeOwning((ULONG64)mutex, ViGuardedMutex, tries, frame);
}

static VOID FASTCALL ViAcquireGuarded(PKGUARDED_MUTEX GuardedMutex) {
    ViBeforeGuarded(GuardedMutex, FALSE, VI_FRAME);
    KeAcquireGuardedMutex(GuardedMutex);
    ViAfterOwning((ULONG64)GuardedMutex, ViGuardedMutex, FALSE, VI_FRAME);
}
NT_VERIFIED(KeAcquireGuardedMutex, ViAcquireGuarded);

static BOOLEAN FASTCALL ViTryGuarded(PKGUARDED_MUTEX GuardedMutex) {
    ViBeforeGuarded(GuardedMutex, TRUE, VI_FRAME);
    if (!KeTryToAcquireGuardedMutex(GuardedMutex)) {
        return FALSE;
    }
    ViAfterOwning((ULONG64)GuardedMutex, ViGuardedMutex, TRUE, VI_FRAME);
    return TRUE;
}
NT_VERIFIED(KeTryToAcquireGuardedMutex, ViTryGuarded);

static VOID FASTCALL ViAcquireGuardedUnsafe(PKGUARDED_MUTEX GuardedMutex) {
    ViCheckUnsafe((const FAST_MUTEX *)GuardedMutex, TRUE, VI_UNSAFE_ACQUIRE, VI_FRAME);
    ViBeforeGuarded(GuardedMutex, FALSE, VI_FRAME);
    KeAcquireGuardedMutexUnsafe(GuardedMutex);
    ViAfterOwning((ULONG64)GuardedMutex, ViGuardedMutex, FALSE, VI_FRAME);
}
NT_VERIFIED(KeAcquireGuardedMutexUnsafe, ViAcquireGuardedUnsafe);

static VOID ViBeforeGuardedRelease(PKGUARDED_MUTEX mutex, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql > APC_LEVEL) {
        const char *text = "a guarded mutex is released above APC_LEVEL";
        ViComplain(VI_RULE_KE_APC, (ULONG64)text, irql, 0, (ULONG64)mutex, text, frame);
    }
    ViCheckGive((const FAST_MUTEX *)mutex, frame);
    ViEndOwning((ULONG64)mutex);
}

static VOID FASTCALL ViReleaseGuarded(PKGUARDED_MUTEX GuardedMutex) {
    ViBeforeGuardedRelease(GuardedMutex, VI_FRAME);
    KeReleaseGuardedMutex(GuardedMutex);
}
NT_VERIFIED(KeReleaseGuardedMutex, ViReleaseGuarded);

static VOID FASTCALL ViReleaseGuardedUnsafe(PKGUARDED_MUTEX GuardedMutex) {
    ViCheckUnsafe((const FAST_MUTEX *)GuardedMutex, TRUE, VI_UNSAFE_RELEASE, VI_FRAME);
    ViBeforeGuardedRelease(GuardedMutex, VI_FRAME);
    KeReleaseGuardedMutexUnsafe(GuardedMutex);
}
NT_VERIFIED(KeReleaseGuardedMutexUnsafe, ViReleaseGuardedUnsafe);

static VOID NTAPI ViLeaveCriticalRegion(VOID) {
    KIRQL irql = (KIRQL)__readcr8();
    ViCheckWaitFollows(VI_FRAME);
    if (irql > APC_LEVEL) {
        ViComplain(VI_LEAVE_CRITICAL_IRQL, irql, 0, 0, 0, "a critical region is left above APC_LEVEL", VI_FRAME);
    }
    if (KeGetCurrentThread()->Apc.KernelApcDisable == 0 &&
        !MUTANT(VfLeavesAnyRegion, "APC-3", "the verifier lets a region be left that was not entered")) {
        ViComplain(VI_NOT_IN_REGION, 0, 0, 0, 0, "a critical region is left that the thread has not entered", VI_FRAME);
    }
    KeLeaveCriticalRegion();
}
NT_VERIFIED(KeLeaveCriticalRegion, ViLeaveCriticalRegion);

static VOID NTAPI ViLeaveGuardedRegion(VOID) {
    KIRQL irql = (KIRQL)__readcr8();
    ViCheckWaitFollows(VI_FRAME);
    if (irql > APC_LEVEL) {
        const char *text = "a guarded region is left above APC_LEVEL";
        ViComplain(VI_RULE_KE_APC, (ULONG64)text, irql, 0, 0, text, VI_FRAME);
    }
    if (KeGetCurrentThread()->Apc.SpecialApcDisable == 0) {
        const char *text = "a guarded region is left that the thread has not entered";
        ViComplain(VI_RULE_GUARDED_REGIONS, (ULONG64)text, irql, 0, 0, text, VI_FRAME);
    }
    KeLeaveGuardedRegion();
}
NT_VERIFIED(KeLeaveGuardedRegion, ViLeaveGuardedRegion);
