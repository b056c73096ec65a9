/* SPDX-License-Identifier: Apache-2.0 */
/* Reader/writer spin locks: RW-1 to RW-5. */
#include <ntddk.h>

#include <rwlock.h>

#include "locks.h"

#define RW_ROUNDS 200

static EX_SPIN_LOCK Lock[16];
static volatile ULONG First; /* written together, under the writer's lock */
static volatile ULONG Second;
static volatile LONG Readers;
static volatile LONG Writers;
static volatile LONG Go;
static volatile LONG Entered;
static volatile LONG Order[4];
static volatile LONG Served;
static KIRQL Old;

static VOID NTAPI ReadAndWrite(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < RW_ROUNDS; i++) {
        if (i % 4 == 0) {
            old = ExAcquireSpinLockExclusive(&Lock[0]);
            ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
            ASSERT_EQ(InterlockedIncrement(&Writers), 1);
            ASSERT_EQ(Readers, 0);
            First++;
            YieldProcessor();
            Second++;
            InterlockedDecrement(&Writers);
            ExReleaseSpinLockExclusive(&Lock[0], old);
        } else {
            old = ExAcquireSpinLockShared(&Lock[0]);
            ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
            InterlockedIncrement(&Readers);
            ASSERT_EQ(Writers, 0);
            ULONG seen = First;
            YieldProcessor();
            ASSERT_EQ(Second, seen);
            InterlockedDecrement(&Readers);
            ExReleaseSpinLockShared(&Lock[0], old);
        }
        ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    }
}

TARGET_CASE("RW-1 RW-5", a_writer_is_alone, "oracle=RW-1") {
    First = Second = 0;
    Readers = Writers = 0;
    StartOthers(ReadAndWrite);
    ReadAndWrite(NULL);
    WaitForOthers();
    ASSERT_EQ(First, TargetCpus() * (RW_ROUNDS / 4));
    ASSERT_EQ(Second, First);
    ASSERT_EQ(Lock[0], 0);
}

static VOID NTAPI ReadTogether(PVOID Context) {
    KIRQL old = ExAcquireSpinLockShared(&Lock[1]);
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&Readers);
    WAIT_UNTIL(Readers == (LONG)TargetCpus()); /* comes to pass only if all are in at once */
    ExReleaseSpinLockShared(&Lock[1], old);
}

TARGET_CASE("RW-1", readers_are_in_together, "smp=2 oracle=RW-1") {
    Readers = 0;
    StartOthers(ReadTogether);
    ReadTogether(NULL);
    WaitForOthers();
    ASSERT_EQ(Lock[1], 0);
}

static VOID NTAPI WriteOnce(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    old = ExAcquireSpinLockExclusive(&Lock[2]);
    ASSERT_EQ(Readers, 0);
    Order[Served++] = 1;
    WAIT_UNTIL(Go);
    ExReleaseSpinLockExclusive(&Lock[2], old);
}

static VOID NTAPI ReadOnce(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    Entered = 1;
    old = ExAcquireSpinLockShared(&Lock[2]);
    Order[Served++] = 2;
    ExReleaseSpinLockShared(&Lock[2], old);
}

/* CPU 0 reads, CPU 1 waits to write, and then CPU 2 wants to read: it comes after the writer. */
TARGET_CASE("RW-2", a_waiting_writer_keeps_readers_out, "smp=3 oracle=RW-2") {
    Served = 0;
    Entered = 0;
    Go = 0;
    Readers = 1;
    KIRQL old = ExAcquireSpinLockShared(&Lock[2]);
    DirqlStartOn(1, WriteOnce, NULL);
    WAIT_UNTIL(Lock[2] != 1); /* the writer has announced itself */
    ASSERT_FALSE(ExTryAcquireSpinLockSharedAtDpcLevel(&Lock[3]) == FALSE);
    ExReleaseSpinLockSharedFromDpcLevel(&Lock[3]);
    DirqlStartOn(2, ReadOnce, NULL);
    WAIT_UNTIL(Entered);
    Yield();
    ASSERT_EQ(Served, 0);
    Readers = 0;
    ExReleaseSpinLockShared(&Lock[2], old);
    WAIT_UNTIL(Served == 1);
    Yield();
    ASSERT_EQ(Served, 1); /* the reader waits until the writer has released, too */
    Go = 1;
    WaitForOthers();
    ASSERT_EQ(Served, 2);
    ASSERT_EQ(Order[0], 1);
    ASSERT_EQ(Order[1], 2);
    ASSERT_EQ(Lock[2], 0);
}

static VOID NTAPI TryWhileWriterWaits(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ASSERT_FALSE(ExTryAcquireSpinLockSharedAtDpcLevel(&Lock[2]));
    ASSERT_FALSE(ExTryAcquireSpinLockExclusiveAtDpcLevel(&Lock[2]));
    KeLowerIrql(old);
}

TARGET_CASE("RW-2 RW-3", trying_does_not_pass_a_writer, "smp=3") {
    Served = 0;
    Go = 1;
    Readers = 1;
    KIRQL old = ExAcquireSpinLockShared(&Lock[2]);
    DirqlStartOn(1, WriteOnce, NULL);
    WAIT_UNTIL(Lock[2] != 1);
    DirqlStartOn(2, TryWhileWriterWaits, NULL);
    DirqlWaitFor(2);
    ASSERT_FALSE(ExTryConvertSharedSpinLockExclusive(&Lock[2])); /* a writer waits */
    Readers = 0;
    ExReleaseSpinLockShared(&Lock[2], old);
    WaitForOthers();
    ASSERT_EQ(Lock[2], 0);
}

TARGET_CASE("RW-3", the_only_reader_converts, "oracle=RW-1") {
    KIRQL old = ExAcquireSpinLockShared(&Lock[4]);
    ASSERT_TRUE(ExTryConvertSharedSpinLockExclusive(&Lock[4]));
    ASSERT_FALSE(ExTryAcquireSpinLockSharedAtDpcLevel(&Lock[4]));
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ExReleaseSpinLockExclusive(&Lock[4], old);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(Lock[4], 0);
}

static VOID NTAPI ReadUntilGo(PVOID Context) {
    KIRQL old = ExAcquireSpinLockShared(&Lock[5]);
    UNREFERENCED_PARAMETER(Context);
    Entered = 1;
    WAIT_UNTIL(Go);
    ExReleaseSpinLockShared(&Lock[5], old);
}

TARGET_CASE("RW-3", one_of_two_readers_does_not_convert, "smp=2") {
    Entered = 0;
    Go = 0;
    DirqlStartOn(1, ReadUntilGo, NULL);
    WAIT_UNTIL(Entered);
    KIRQL old = ExAcquireSpinLockShared(&Lock[5]);
    ASSERT_FALSE(ExTryConvertSharedSpinLockExclusive(&Lock[5]));
    Go = 1;
    DirqlWaitFor(1);
    ASSERT_TRUE(ExTryConvertSharedSpinLockExclusive(&Lock[5]));
    ExReleaseSpinLockExclusive(&Lock[5], old);
    ASSERT_EQ(Lock[5], 0);
}

TARGET_CASE("RW-4", a_reader_reads_again, "verifier=on bugcheck=0xc4/0x1000") {
    Old = ExAcquireSpinLockShared(&Lock[6]);
    ExAcquireSpinLockShared(&Lock[6]);
}

TARGET_CASE("RW-4", a_writer_writes_again, "verifier=on bugcheck=0xc4/0x1000 limit=5") {
    Old = ExAcquireSpinLockExclusive(&Lock[6]);
    ExAcquireSpinLockExclusiveAtDpcLevel(&Lock[6]);
}

/* What recursion leads to, without hanging the machine: the second attempt would wait for the first for ever. */
TARGET_CASE("RW-4", a_holder_is_in_its_own_way, "verifier=off") {
    KIRQL old = ExAcquireSpinLockShared(&Lock[7]);
    ASSERT_FALSE(ExTryAcquireSpinLockExclusiveAtDpcLevel(&Lock[7]));
    ExReleaseSpinLockShared(&Lock[7], old);
    old = ExAcquireSpinLockExclusive(&Lock[7]);
    ASSERT_FALSE(ExTryAcquireSpinLockSharedAtDpcLevel(&Lock[7]));
    ASSERT_FALSE(ExTryAcquireSpinLockExclusiveAtDpcLevel(&Lock[7]));
    ExReleaseSpinLockExclusive(&Lock[7], old);
}

TARGET_CASE("RW-5", raises_and_restores, "") {
    KIRQL first;
    KIRQL old;
    for (KIRQL irql = PASSIVE_LEVEL; irql <= DISPATCH_LEVEL; irql++) {
        KeRaiseIrql(irql, &first);
        old = ExAcquireSpinLockShared(&Lock[8]);
        ASSERT_EQ(old, irql);
        ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
        ExReleaseSpinLockShared(&Lock[8], old);
        ASSERT_EQ(KeGetCurrentIrql(), irql);
        old = ExAcquireSpinLockExclusive(&Lock[8]);
        ASSERT_EQ(old, irql);
        ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
        ExReleaseSpinLockExclusive(&Lock[8], old);
        ASSERT_EQ(KeGetCurrentIrql(), irql);
        KeLowerIrql(first);
    }
}

TARGET_CASE("RW-5", at_dpc_level_leaves_the_irql, "") {
    KIRQL first;
    for (KIRQL irql = DISPATCH_LEVEL; irql <= LOCK_IRQL; irql += LOCK_IRQL - DISPATCH_LEVEL) {
        EX_SPIN_LOCK *lock = &Lock[irql == DISPATCH_LEVEL ? 9 : 10]; /* a lock has one IRQL */
        KeRaiseIrql(irql, &first);
        ExAcquireSpinLockSharedAtDpcLevel(lock);
        ASSERT_EQ(KeGetCurrentIrql(), irql);
        ExReleaseSpinLockSharedFromDpcLevel(lock);
        ExAcquireSpinLockExclusiveAtDpcLevel(lock);
        ASSERT_EQ(KeGetCurrentIrql(), irql);
        ExReleaseSpinLockExclusiveFromDpcLevel(lock);
        ASSERT_EQ(KeGetCurrentIrql(), irql);
        KeLowerIrql(first);
    }
}

TARGET_CASE("RW-5", at_dpc_level_below_it, "verifier=on bugcheck=0xc4/0x40/0") {
    ExAcquireSpinLockSharedAtDpcLevel(&Lock[11]);
}

TARGET_CASE("RW-5", acquire_above_dispatch_level, "verifier=on bugcheck=0xc4/0x42/5") {
    KeRaiseIrql(5, &Old);
    ExAcquireSpinLockExclusive(&Lock[11]);
}

TARGET_CASE("RW-5", release_above_dispatch_level, "verifier=on bugcheck=0xc4/0x35/5") {
    KIRQL ignored;
    Old = ExAcquireSpinLockShared(&Lock[11]);
    KeRaiseIrql(5, &ignored);
    ExReleaseSpinLockShared(&Lock[11], Old);
}

TARGET_CASE("RW-1", read_and_released_as_if_written, "verifier=on bugcheck=0xc4/0x1009") {
    Old = ExAcquireSpinLockShared(&Lock[11]);
    ExReleaseSpinLockExclusive(&Lock[11], Old);
}

TARGET_DRIVER
