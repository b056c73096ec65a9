/* SPDX-License-Identifier: Apache-2.0 */
/* The system's queued spin locks, which are taken by number: QSL-1, QSL-3, QSL-7, QSL-8. */
#include <ntifs.h>

#include "locks.h"

#define NUMBERED_ROUNDS 40
#define SYNCH_LEVEL_IS  12

/* Exported by ntoskrnl, declared nowhere. */
NTSYSAPI KIRQL FASTCALL KeAcquireQueuedSpinLockRaiseToSynch(KSPIN_LOCK_QUEUE_NUMBER Number);
NTSYSAPI LOGICAL FASTCALL KeTryToAcquireQueuedSpinLockRaiseToSynch(KSPIN_LOCK_QUEUE_NUMBER Number, PKIRQL OldIrql);

static volatile ULONG Counter;
static volatile LONG Inside;
static KIRQL Old;

static VOID NTAPI CountUnderLock(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < NUMBERED_ROUNDS; i++) {
        KIRQL old = KeAcquireQueuedSpinLock(LockQueueVacbLock);
        ASSERT_EQ(old, PASSIVE_LEVEL);
        ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
        ASSERT_EQ(InterlockedIncrement(&Inside), 1);
        ULONG value = Counter;
        YieldProcessor();
        Counter = value + 1;
        InterlockedDecrement(&Inside);
        KeReleaseQueuedSpinLock(LockQueueVacbLock, old);
        ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    }
}

TARGET_CASE("QSL-7 QSL-3", by_number_too, "oracle=SPIN-1") {
    Counter = 0;
    Inside = 0;
    StartOthers(CountUnderLock);
    CountUnderLock(NULL);
    WaitForOthers();
    ASSERT_EQ(Counter, NUMBERED_ROUNDS * TargetCpus());
}

static VOID NTAPI TryAndFail(PVOID Context) {
    KIRQL old = HIGH_LEVEL;
    UNREFERENCED_PARAMETER(Context);
    ASSERT_FALSE(KeTryToAcquireQueuedSpinLock(LockQueueBcbLock, &old));
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_TRUE(KeTryToAcquireQueuedSpinLock(LockQueueMasterLock, &old)); /* another number, another lock */
    ASSERT_EQ(old, PASSIVE_LEVEL);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseQueuedSpinLock(LockQueueMasterLock, old);
}

TARGET_CASE("QSL-7", tried_by_number, "smp=2") {
    KIRQL old = KeAcquireQueuedSpinLock(LockQueueBcbLock);
    DirqlStartOn(1, TryAndFail, NULL);
    DirqlWaitFor(1);
    KeReleaseQueuedSpinLock(LockQueueBcbLock, old);
    ASSERT_TRUE(KeTryToAcquireQueuedSpinLock(LockQueueBcbLock, &old));
    KeReleaseQueuedSpinLock(LockQueueBcbLock, old);
}

TARGET_CASE("QSL-8", by_number_at_synch_level, "") {
    KIRQL old = KeAcquireQueuedSpinLockRaiseToSynch(LockQueueIoVpbLock);
    ASSERT_EQ(KeGetCurrentIrql(), SYNCH_LEVEL_IS);
    KeReleaseQueuedSpinLock(LockQueueIoVpbLock, old);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_TRUE(KeTryToAcquireQueuedSpinLockRaiseToSynch(LockQueueIoVpbLock, &old));
    ASSERT_EQ(KeGetCurrentIrql(), SYNCH_LEVEL_IS);
    KeReleaseQueuedSpinLock(LockQueueIoVpbLock, old);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("QSL-7", by_number_twice, "verifier=on bugcheck=0xf limit=5") {
    Old = KeAcquireQueuedSpinLock(LockQueueIoDatabaseLock);
    KeAcquireQueuedSpinLock(LockQueueIoDatabaseLock);
}

TARGET_CASE("QSL-7", by_number_above_dispatch_level, "verifier=on bugcheck=0xc4/0x36/5") {
    KIRQL ignored;
    Old = KeAcquireQueuedSpinLock(LockQueueIoDatabaseLock);
    KeRaiseIrql(5, &ignored);
    KeReleaseQueuedSpinLock(LockQueueIoDatabaseLock, Old);
}

TARGET_CASE("QSL-7", no_such_number, "bugcheck=0x81/17") {
    KeAcquireQueuedSpinLock(LockQueueMaximumLock);
}

TARGET_DRIVER
