/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executive spin locks (spec section 2). The lock word is 0 when free, else the holder's PRCB: a dump shows who holds it.
 * Waiters read until the word is 0 and only then try to take it, so they do not fight over the cache line.
 *
 * Order: the exchange that takes the lock acquires, the store that frees it releases; on x86 the first is a locked
 * instruction and the second a plain store, and the compiler may move nothing across either.
 */
#include "ki.h"

#include "../trace/trace.h"

BOOLEAN KiTryToAcquireSpinLock(KSPIN_LOCK *lock, ULONG64 caller) {
    KSPIN_LOCK expected = 0;
    KSPIN_LOCK owner = (KSPIN_LOCK)KiCurrentPrcb();
    if (!__atomic_compare_exchange_n(lock, &expected, owner, FALSE, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return FALSE;
    }
    trace(TraceLockAcquired, (ULONG64)lock, caller);
    return TRUE;
}

VOID KiAcquireSpinLock(KSPIN_LOCK *lock, ULONG64 caller) {
    if (KiTryToAcquireSpinLock(lock, caller)) {
        return;
    }
    trace(TraceLockWait, (ULONG64)lock, caller);
    do {
        /* Relaxed: only a hint that an exchange is worth while; the exchange orders. */
        while (__atomic_load_n(lock, __ATOMIC_RELAXED) != 0) {
            _mm_pause();
        }
    } while (!KiTryToAcquireSpinLock(lock, caller));
}

VOID KiReleaseSpinLock(KSPIN_LOCK *lock, ULONG64 caller) {
    trace(TraceLockReleased, (ULONG64)lock, caller);
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock) {
    KIRQL old = KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
    KiAcquireSpinLock(SpinLock, KI_CALLER);
    return old;
}
NT_EXPORT(KeAcquireSpinLockRaiseToDpc);

VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql) {
    KiReleaseSpinLock(SpinLock, KI_CALLER);
    KiLowerIrql(NewIrql, KI_CALLER);
}
NT_EXPORT(KeReleaseSpinLock);

VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) {
    KiAcquireSpinLock(SpinLock, KI_CALLER);
}
NT_EXPORT(KeAcquireSpinLockAtDpcLevel);

VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock) {
    KiReleaseSpinLock(SpinLock, KI_CALLER);
}
NT_EXPORT(KeReleaseSpinLockFromDpcLevel);

BOOLEAN NTAPI KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) {
    return KiTryToAcquireSpinLock(SpinLock, KI_CALLER);
}
NT_EXPORT(KeTryToAcquireSpinLockAtDpcLevel);

BOOLEAN NTAPI KeTestSpinLock(PKSPIN_LOCK SpinLock) {
    return __atomic_load_n(SpinLock, __ATOMIC_RELAXED) == 0;
}
NT_EXPORT(KeTestSpinLock);

static VOID NTAPI KiExportedInitializeSpinLock(PKSPIN_LOCK SpinLock) {
    *SpinLock = 0;
}
NT_EXPORT_AS(KiExportedInitializeSpinLock, KeInitializeSpinLock);
