/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded mutexes: GMX-1, GMX-2. */
#include <ntddk.h>

#include "apccase.h"

#define GUARDED_THREADS 6
#define GUARDED_ROUNDS  40

static KGUARDED_MUTEX Mutex;
static ULONG Total;
static volatile LONG Inside;

static VOID NTAPI CountsUnderIt(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < GUARDED_ROUNDS; i++) {
        KeAcquireGuardedMutex(&Mutex);
        ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
        ASSERT_TRUE(KeAreAllApcsDisabled());
        ASSERT_EQ(InterlockedIncrement(&Inside), 1);
        ULONG seen = Total;
        YieldProcessor();
        Total = seen + 1;
        InterlockedDecrement(&Inside);
        KeReleaseGuardedMutex(&Mutex);
        ASSERT_FALSE(KeAreApcsDisabled());
    }
}

TARGET_CASE("GMX-1", one_owner_at_a_time, "") {
    WORKER worker[GUARDED_THREADS];
    KeInitializeGuardedMutex(&Mutex);
    Total = 0;
    Inside = 0;
    for (ULONG i = 0; i < GUARDED_THREADS; i++) {
        StartWorker(&worker[i], CountsUnderIt, NULL, CASE_PRIORITY, ON(CPU_OF(i)));
    }
    CountsUnderIt(NULL);
    for (ULONG i = 0; i < GUARDED_THREADS; i++) {
        EndWorker(&worker[i]);
    }
    ASSERT_EQ(Total, (GUARDED_THREADS + 1) * GUARDED_ROUNDS);
}

static BOOLEAN Tried;

static VOID NTAPI Tries(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    Tried = KeTryToAcquireGuardedMutex(&Mutex);
    ASSERT_EQ(KeAreAllApcsDisabled(), Tried);
    if (Tried) {
        KeReleaseGuardedMutex(&Mutex);
    }
    ASSERT_FALSE(KeAreApcsDisabled());
}

TARGET_CASE("GMX-1", a_try_does_not_wait, "") {
    KeInitializeGuardedMutex(&Mutex);
    KeAcquireGuardedMutex(&Mutex);
    EndThread(StartThread(Tries, NULL));
    ASSERT_FALSE(Tried);
    KeReleaseGuardedMutex(&Mutex);
    EndThread(StartThread(Tries, NULL));
    ASSERT_TRUE(Tried);
}

TARGET_CASE("GMX-2", its_owner_gets_no_apcs, "") {
    static NOTED_APC normal, special;
    KeInitializeGuardedMutex(&Mutex);
    InitializeNormal(&normal, KeGetCurrentThread());
    InitializeSpecial(&special, KeGetCurrentThread());
    KeAcquireGuardedMutex(&Mutex);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_TRUE(InsertNoted(&normal));
    ASSERT_TRUE(InsertNoted(&special));
    Settle();
    ASSERT_EQ(special.KernelOrder, 0);
    ASSERT_EQ(normal.KernelOrder, 0);
    KeReleaseGuardedMutex(&Mutex);
    ASSERT_NE(special.KernelOrder, 0);
    ASSERT_NE(normal.NormalOrder, 0);
}

static VOID NTAPI TakesIt(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeAcquireGuardedMutex(&Mutex);
    Total++;
    KeReleaseGuardedMutex(&Mutex);
}

/* Who waits for it is in the region already: an APC comes to it when it has let the mutex go. */
TARGET_CASE("GMX-2 APC-4", nor_does_one_that_waits, "") {
    static NOTED_APC special;
    WORKER worker;
    Total = 0;
    KeInitializeGuardedMutex(&Mutex);
    KeAcquireGuardedMutex(&Mutex);
    StartWorker(&worker, TakesIt, NULL, ABOVE, ON(CPU_OF(1)));
    WAIT_UNTIL(Waits(worker.Thread));
    InitializeSpecial(&special, worker.Thread);
    ASSERT_TRUE(InsertNoted(&special));
    Settle();
    ASSERT_EQ(special.KernelOrder, 0);
    ASSERT_EQ(Total, 0);
    KeReleaseGuardedMutex(&Mutex);
    EndWorker(&worker);
    ASSERT_EQ(Total, 1);
    ASSERT_NE(special.KernelOrder, 0);
}

TARGET_CASE("GMX-2", unsafe_forms_enter_no_region, "") {
    KIRQL old;
    KeInitializeGuardedMutex(&Mutex);
    KeRaiseIrql(APC_LEVEL, &old);
    KeAcquireGuardedMutexUnsafe(&Mutex);
    ASSERT_FALSE(KeAreApcsDisabled());
    KeReleaseGuardedMutexUnsafe(&Mutex);
    KeLowerIrql(old);
    KeEnterGuardedRegion();
    KeAcquireGuardedMutexUnsafe(&Mutex);
    EndThread(StartThread(Tries, NULL));
    ASSERT_FALSE(Tried);
    KeReleaseGuardedMutexUnsafe(&Mutex);
    KeLeaveGuardedRegion();
    EndThread(StartThread(Tries, NULL));
    ASSERT_TRUE(Tried);
}

TARGET_DRIVER
