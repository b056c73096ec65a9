/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system's own queued spin locks, which file systems take by number (ntifs.h). Each CPU has a handle for each, since a CPU
 * at DISPATCH_LEVEL can be in one queue for a lock only once.
 */
#include "locks.h"

typedef struct _KI_NUMBERED_LOCK {
    KSPIN_LOCK Lock;
} __attribute__((aligned(KI_CACHE_LINE))) KI_NUMBERED_LOCK;

typedef struct _KI_NUMBERED_HANDLES {
    KLOCK_QUEUE_HANDLE Handle[LockQueueMaximumLock];
} __attribute__((aligned(KI_CACHE_LINE))) KI_NUMBERED_HANDLES;

static KI_NUMBERED_LOCK KiNumberedLocks[LockQueueMaximumLock];
static KI_NUMBERED_HANDLES KiNumberedHandles[MAXIMUM_CPUS];

PKSPIN_LOCK KiNumberedLock(KSPIN_LOCK_QUEUE_NUMBER number) {
    if (number >= LockQueueMaximumLock) {
        KeBugCheckEx(SPIN_LOCK_INIT_FAILURE, number, LockQueueMaximumLock, 0, 0); /* no such lock was ever made */
    }
    return &KiNumberedLocks[number].Lock;
}

PKLOCK_QUEUE_HANDLE KiNumberedHandle(KSPIN_LOCK_QUEUE_NUMBER number) {
    return &KiNumberedHandles[KiCurrentPrcb()->Number].Handle[number];
}

static KIRQL KiAcquireNumbered(KSPIN_LOCK_QUEUE_NUMBER number, KIRQL irql, ULONG64 caller) {
    PKSPIN_LOCK lock = KiNumberedLock(number);
    KIRQL old = KiRaiseIrql(irql, caller);
    KiAcquireQueuedLock(lock, KiNumberedHandle(number), caller);
    return old;
}

static LOGICAL KiTryNumbered(KSPIN_LOCK_QUEUE_NUMBER number, PKIRQL old, KIRQL irql, ULONG64 caller) {
    PKSPIN_LOCK lock = KiNumberedLock(number);
    *old = KiRaiseIrql(irql, caller);
    if (KiTryToAcquireQueuedLock(lock, KiNumberedHandle(number), caller)) {
        return TRUE;
    }
    KiLowerIrql(*old, caller);
    return FALSE;
}

static KIRQL FASTCALL KiExportedAcquireQueued(KSPIN_LOCK_QUEUE_NUMBER Number) {
    return KiAcquireNumbered(Number, DISPATCH_LEVEL, KI_CALLER);
}
NT_EXPORT_AS(KiExportedAcquireQueued, KeAcquireQueuedSpinLock);

static KIRQL FASTCALL KiExportedAcquireQueuedToSynch(KSPIN_LOCK_QUEUE_NUMBER Number) {
    return KiAcquireNumbered(Number, KI_SYNCH_LEVEL, KI_CALLER);
}
NT_EXPORT_AS(KiExportedAcquireQueuedToSynch, KeAcquireQueuedSpinLockRaiseToSynch);

static LOGICAL FASTCALL KiExportedTryQueued(KSPIN_LOCK_QUEUE_NUMBER Number, PKIRQL OldIrql) {
    return KiTryNumbered(Number, OldIrql, DISPATCH_LEVEL, KI_CALLER);
}
NT_EXPORT_AS(KiExportedTryQueued, KeTryToAcquireQueuedSpinLock);

static LOGICAL FASTCALL KiExportedTryQueuedToSynch(KSPIN_LOCK_QUEUE_NUMBER Number, PKIRQL OldIrql) {
    return KiTryNumbered(Number, OldIrql, KI_SYNCH_LEVEL, KI_CALLER);
}
NT_EXPORT_AS(KiExportedTryQueuedToSynch, KeTryToAcquireQueuedSpinLockRaiseToSynch);

static VOID FASTCALL KiExportedReleaseQueued(KSPIN_LOCK_QUEUE_NUMBER Number, KIRQL OldIrql) {
    KiReleaseQueuedLock(KiNumberedHandle(Number), KI_CALLER);
    KiLowerIrql(OldIrql, KI_CALLER);
}
NT_EXPORT_AS(KiExportedReleaseQueued, KeReleaseQueuedSpinLock);
