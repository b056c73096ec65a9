/* SPDX-License-Identifier: Apache-2.0 */
/* SYS-4: on a machine of one CPU a spin lock is only the IRQL. What would wait for ever elsewhere goes on. */
#include <ntddk.h>

#include <rwlock.h>

#include <dirqltest.h>

static KSPIN_LOCK Lock;
static EX_SPIN_LOCK ReaderWriter;

TARGET_CASE("SYS-4 SPIN-8", alone_a_lock_is_only_the_irql, "cpus=1 verifier=off violates=SPIN-8") {
    KIRQL irql;
    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &irql);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_FALSE(KeTestSpinLock(&Lock));
    KeAcquireSpinLockAtDpcLevel(&Lock);
    KeReleaseSpinLockFromDpcLevel(&Lock);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseSpinLock(&Lock, irql);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_TRUE(KeTestSpinLock(&Lock));
}

TARGET_CASE("SYS-4 QSL-7", alone_a_queued_lock_is_only_the_irql, "cpus=1 verifier=off violates=SPIN-8") {
    KLOCK_QUEUE_HANDLE first, second;
    KeInitializeSpinLock(&Lock);
    KeAcquireInStackQueuedSpinLock(&Lock, &first);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Lock, &second);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&second);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseInStackQueuedSpinLock(&first);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeAcquireInStackQueuedSpinLock(&Lock, &first); /* and is free again */
    KeReleaseInStackQueuedSpinLock(&first);
}

TARGET_CASE("SYS-4 RW-4", alone_a_reader_writer_lock_is_only_the_irql, "cpus=1 verifier=off violates=RW-1") {
    ReaderWriter = 0;
    KIRQL irql = ExAcquireSpinLockExclusive(&ReaderWriter);
    ExAcquireSpinLockSharedAtDpcLevel(&ReaderWriter);
    ExReleaseSpinLockSharedFromDpcLevel(&ReaderWriter);
    ExReleaseSpinLockExclusive(&ReaderWriter, irql);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    irql = ExAcquireSpinLockShared(&ReaderWriter);
    ExReleaseSpinLockShared(&ReaderWriter, irql);
}

TARGET_DRIVER
