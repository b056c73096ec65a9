/* SPDX-License-Identifier: Apache-2.0 */
/* Remove locks and rundown protection: RML-1, RML-2, RUN-1. */
#include <ntddk.h>

#include "threads.h"

#define HOLDERS 4

static IO_REMOVE_LOCK Lock[8]; /* each is initialised once, as the documents want it */
static EX_RUNDOWN_REF Rundown;
static volatile LONG Removed;
static ULONG64 Seed[4];

static VOID NTAPI Removes(PVOID Context) {
    PIO_REMOVE_LOCK lock = Context;
    ASSERT_EQ(IoAcquireRemoveLock(lock, Seed), STATUS_SUCCESS);
    IoReleaseRemoveLockAndWait(lock, Seed);
    Removed = 1;
}

TARGET_CASE("RML-1", a_removal_waits_for_all_who_hold_it, "") {
    PIO_REMOVE_LOCK lock = &Lock[0];
    WORKER worker;
    Removed = 0;
    IoInitializeRemoveLock(lock, 'tseT', 0, 0);
    for (ULONG i = 0; i < HOLDERS; i++) {
        ASSERT_EQ(IoAcquireRemoveLock(lock, &Seed[0]), STATUS_SUCCESS);
    }
    StartWorker(&worker, Removes, lock, ABOVE, ON(CPU_OF(1)));
    WAIT_UNTIL(Waits(worker.Thread));
    ASSERT_EQ(IoAcquireRemoveLock(lock, &Seed[1]), STATUS_DELETE_PENDING);
    for (ULONG i = 0; i < HOLDERS; i++) {
        Settle();
        ASSERT_EQ(Removed, 0);
        IoReleaseRemoveLock(lock, &Seed[0]);
    }
    EndWorker(&worker);
    ASSERT_EQ(Removed, 1);
    ASSERT_EQ(IoAcquireRemoveLock(lock, &Seed[1]), STATUS_DELETE_PENDING);
}

TARGET_CASE("RML-1", a_removal_without_others_does_not_wait, "") {
    PIO_REMOVE_LOCK lock = &Lock[1];
    IoInitializeRemoveLock(lock, 'tseT', 0, 0);
    ASSERT_EQ(IoAcquireRemoveLock(lock, NULL), STATUS_SUCCESS);
    IoReleaseRemoveLock(lock, NULL);
    ASSERT_EQ(IoAcquireRemoveLock(lock, NULL), STATUS_SUCCESS);
    IoReleaseRemoveLockAndWait(lock, NULL);
    ASSERT_EQ(IoAcquireRemoveLock(lock, NULL), STATUS_DELETE_PENDING);
}

/* Acquired and released at DISPATCH_LEVEL, as a dispatch routine may be called. */
TARGET_CASE("RML-1", at_dispatch_level, "") {
    PIO_REMOVE_LOCK lock = &Lock[2];
    KIRQL old;
    WORKER worker;
    Removed = 0;
    IoInitializeRemoveLock(lock, 'tseT', 0, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ASSERT_EQ(IoAcquireRemoveLock(lock, lock), STATUS_SUCCESS);
    KeLowerIrql(old);
    StartWorker(&worker, Removes, lock, ABOVE, ON(CPU_OF(1)));
    WAIT_UNTIL(Waits(worker.Thread));
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    IoReleaseRemoveLock(lock, lock);
    KeLowerIrql(old);
    EndWorker(&worker);
    ASSERT_EQ(Removed, 1);
}

TARGET_CASE("RML-2", released_with_another_tag, "verifier=on bugcheck=0xc4/0xd5") {
    IoInitializeRemoveLock(&Lock[3], 'tseT', 0, 0);
    ASSERT_EQ(IoAcquireRemoveLock(&Lock[3], &Seed[0]), STATUS_SUCCESS);
    IoReleaseRemoveLock(&Lock[3], &Seed[1]);
}

TARGET_CASE("RML-2", released_once_too_often, "verifier=on bugcheck=0xc4/0xd5") {
    IoInitializeRemoveLock(&Lock[4], 'tseT', 0, 0);
    ASSERT_EQ(IoAcquireRemoveLock(&Lock[4], &Seed[0]), STATUS_SUCCESS);
    IoReleaseRemoveLock(&Lock[4], &Seed[0]);
    IoReleaseRemoveLock(&Lock[4], &Seed[0]);
}

TARGET_CASE("RML-2", removed_with_another_tag, "verifier=on bugcheck=0xc4/0xd6") {
    IoInitializeRemoveLock(&Lock[5], 'tseT', 0, 0);
    ASSERT_EQ(IoAcquireRemoveLock(&Lock[5], &Seed[0]), STATUS_SUCCESS);
    IoReleaseRemoveLockAndWait(&Lock[5], &Seed[1]);
}

TARGET_CASE("RML-2", initialised_again, "verifier=on bugcheck=0xc4/0xd7") {
    IoInitializeRemoveLock(&Lock[6], 'tseT', 0, 0);
    ASSERT_EQ(IoAcquireRemoveLock(&Lock[6], &Seed[0]), STATUS_SUCCESS);
    IoReleaseRemoveLockAndWait(&Lock[6], &Seed[0]);
    IoInitializeRemoveLock(&Lock[6], 'tseT', 0, 0);
}

/* One whose memory was given back is forgotten. */
TARGET_CASE("RML-2", in_memory_that_is_used_again, "") {
    for (ULONG i = 0; i < 3; i++) {
        PIO_REMOVE_LOCK lock = ExAllocatePoolWithTag(NonPagedPool, sizeof *lock, 'tseT');
        ASSERT_NE(lock, NULL);
        IoInitializeRemoveLock(lock, 'tseT', 0, 0);
        ASSERT_EQ(IoAcquireRemoveLock(lock, lock), STATUS_SUCCESS);
        IoReleaseRemoveLockAndWait(lock, lock);
        ExFreePoolWithTag(lock, 'tseT');
    }
}

static VOID NTAPI RunsDown(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ExWaitForRundownProtectionRelease(&Rundown);
    Removed = 1;
}

TARGET_CASE("RUN-1", a_rundown_waits_for_all_protection, "") {
    WORKER worker;
    Removed = 0;
    ExInitializeRundownProtection(&Rundown);
    ASSERT_TRUE(ExAcquireRundownProtection(&Rundown));
    ASSERT_TRUE(ExAcquireRundownProtectionEx(&Rundown, 2));
    ASSERT_TRUE(ExAcquireRundownProtection(&Rundown));
    ExReleaseRundownProtection(&Rundown);
    StartWorker(&worker, RunsDown, NULL, ABOVE, ON(CPU_OF(1)));
    WAIT_UNTIL(Waits(worker.Thread));
    ASSERT_FALSE(ExAcquireRundownProtection(&Rundown));
    ExReleaseRundownProtection(&Rundown);
    Settle();
    ASSERT_EQ(Removed, 0);
    ExReleaseRundownProtectionEx(&Rundown, 2);
    EndWorker(&worker);
    ASSERT_EQ(Removed, 1);
    ASSERT_FALSE(ExAcquireRundownProtection(&Rundown));
    ExReInitializeRundownProtection(&Rundown);
    ASSERT_TRUE(ExAcquireRundownProtection(&Rundown));
    ExReleaseRundownProtection(&Rundown);
    ExWaitForRundownProtectionRelease(&Rundown); /* nobody has any */
    ExRundownCompleted(&Rundown);
    ASSERT_FALSE(ExAcquireRundownProtection(&Rundown));
}

TARGET_DRIVER
