/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executive spin locks (spec section 2). The lock word is 0 when free, else the holder's PRCB: a dump shows who holds it.
 * Waiters read until the word is 0 and only then try to take it, so they do not fight over the cache line.
 *
 * On a machine of one CPU a spin lock is only the IRQL: who finds it held has itself taken it, and goes on (SYS-4).
 *
 * Order: the exchange that takes the lock acquires, the store that frees it releases, and no later load passes that store:
 * the look for a CPU that has halted meanwhile (spinwait.h).
 */
#include "locks.h"
#include "spinwait.h"

#include "../include/mutant.h"
#include "../trace/trace.h"

#define IMPATIENT_SPINS 50 /* of a mutant */

BOOLEAN KiTryToAcquireSpinLock(KSPIN_LOCK *lock, ULONG64 caller) {
    if (!KiTakeSpinLock(lock, caller)) {
        return FALSE;
    }
    trace(TraceLockQueued, (ULONG64)lock, KI_LOCK_TRIED);
    return TRUE;
}

VOID KiWaitForSpinLock(KSPIN_LOCK *lock, ULONG64 caller) {
    if (KiProcessorCount == 1 && !MUTANT(SpinAloneWaits, "SYS-4", "on one CPU a spin lock is waited for")) {
        __atomic_store_n(lock, (KSPIN_LOCK)KiCurrentPrcb(), __ATOMIC_RELAXED); /* nobody else is there to order */
        trace(TraceLockAcquired, (ULONG64)lock, caller);
        return;
    }
    trace(TraceLockWait, (ULONG64)lock, caller);
    KI_SPIN_WAIT wait = KiBeginSpinWait(lock, 0);
    do {
        /* A hint that an exchange is worth while, which orders; sequentially consistent as spinwait.c wants it. */
        while (__atomic_load_n(lock, __ATOMIC_SEQ_CST) != 0) {
            if (MUTANT(SpinImpatient, "SPIN-1", "a waiter enters after a while, held or not") &&
                wait.Spins == IMPATIENT_SPINS) {
                *lock = 0;
            }
            KiSpin(&wait);
        }
    } while (!KiTakeSpinLock(lock, caller));
    KiEndSpinWait(&wait);
}

static inline __attribute__((always_inline)) VOID KiLetSpinLockGo(KSPIN_LOCK *lock, ULONG64 caller) {
    trace(TraceLockReleased, (ULONG64)lock, caller);
    __atomic_store_n(lock, 0, __ATOMIC_SEQ_CST); /* releases; more than that as spinwait.c wants it */
    KiWakeSpinner(lock, 0);
}

VOID KiReleaseSpinLock(KSPIN_LOCK *lock, ULONG64 caller) {
    KiLetSpinLockGo(lock, caller);
}

KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock) {
    if (MUTANT(SpinTakenBeforeRaise, "SPIN-3",
               "the lock is waited for at the caller's IRQL, which is raised afterwards")) {
        KiAcquireSpinLock(SpinLock, KI_CALLER);
        return KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
    }
    KIRQL old = KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
    KiAcquireSpinLock(SpinLock, KI_CALLER);
    return old;
}
NT_EXPORT(KeAcquireSpinLockRaiseToDpc);

VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql) {
    if (MUTANT(SpinLoweredBeforeRelease, "SPIN-4", "IRQL is lowered while the lock is still held")) {
        KiLowerIrql(NewIrql, KI_CALLER);
        KiReleaseSpinLock(SpinLock, KI_CALLER);
        return;
    }
    KiLetSpinLockGo(SpinLock, KI_CALLER);
    KiLowerIrql(NewIrql, KI_CALLER);
}
NT_EXPORT(KeReleaseSpinLock);

KIRQL NTAPI KeAcquireSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock) {
    KIRQL old = KiRaiseIrql(KI_SYNCH_LEVEL, KI_CALLER);
    KiAcquireSpinLock(SpinLock, KI_CALLER);
    return old;
}
NT_EXPORT(KeAcquireSpinLockRaiseToSynch);

VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) {
    KiAcquireSpinLock(SpinLock, KI_CALLER);
}
NT_EXPORT(KeAcquireSpinLockAtDpcLevel);

VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock) {
    KiReleaseSpinLock(SpinLock, KI_CALLER);
}
NT_EXPORT(KeReleaseSpinLockFromDpcLevel);

/* A threaded DPC calls at PASSIVE_LEVEL, or at DISPATCH_LEVEL where threaded DPCs are disabled. */
KIRQL FASTCALL KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock) {
    KIRQL old = (KIRQL)__readcr8();
    if (old < DISPATCH_LEVEL && !MUTANT(SpinForDpcStays, "SPIN-5", "ForDpc takes the lock at PASSIVE_LEVEL")) {
        KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
    }
    KiAcquireSpinLock(SpinLock, KI_CALLER);
    return old;
}
NT_EXPORT(KeAcquireSpinLockForDpc);

VOID FASTCALL KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql) {
    KiReleaseSpinLock(SpinLock, KI_CALLER);
    if (OldIrql < DISPATCH_LEVEL) {
        KiLowerIrql(OldIrql, KI_CALLER);
    }
}
NT_EXPORT(KeReleaseSpinLockForDpc);

BOOLEAN FASTCALL KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) {
    if (MUTANT(SpinTryLies, "SPIN-16", "a lock that is held is said to have been taken")) {
        (VOID) KiTryToAcquireSpinLock(SpinLock, KI_CALLER);
        return TRUE;
    }
    return KiTryToAcquireSpinLock(SpinLock, KI_CALLER);
}
NT_EXPORT(KeTryToAcquireSpinLockAtDpcLevel);

BOOLEAN FASTCALL KeTestSpinLock(PKSPIN_LOCK SpinLock) {
    if (MUTANT(SpinTestTakes, "SPIN-15", "looking at a free lock takes it")) {
        return KiTryToAcquireSpinLock(SpinLock, KI_CALLER);
    }
    return __atomic_load_n(SpinLock, __ATOMIC_RELAXED) == 0;
}
NT_EXPORT(KeTestSpinLock);

static VOID NTAPI KiExportedInitializeSpinLock(PKSPIN_LOCK SpinLock) {
    *SpinLock = 0;
}
NT_EXPORT_AS(KiExportedInitializeSpinLock, KeInitializeSpinLock);
