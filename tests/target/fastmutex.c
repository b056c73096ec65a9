/* SPDX-License-Identifier: Apache-2.0 */
/* Fast mutexes: FMX-1, FMX-2, IRQL-10, 0xC4/0x33, 0x34, 0x39, 0x3A. */
#include <ntddk.h>

#include "apccase.h"

#define FAST_THREADS 6
#define FAST_ROUNDS  40
#define WAITERS      4

static FAST_MUTEX Mutex;
static ULONG Total;
static volatile LONG Inside;
static volatile LONG Order[WAITERS];
static volatile LONG Served;
static KIRQL Old;

static VOID NTAPI CountsUnderIt(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < FAST_ROUNDS; i++) {
        ExAcquireFastMutex(&Mutex);
        ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
        ASSERT_EQ(InterlockedIncrement(&Inside), 1);
        ULONG seen = Total;
        YieldProcessor();
        Total = seen + 1;
        InterlockedDecrement(&Inside);
        ExReleaseFastMutex(&Mutex);
        ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    }
}

TARGET_CASE("FMX-1", one_owner_at_a_time, "") {
    WORKER worker[FAST_THREADS];
    ExInitializeFastMutex(&Mutex);
    Total = 0;
    Inside = 0;
    for (ULONG i = 0; i < FAST_THREADS; i++) {
        StartWorker(&worker[i], CountsUnderIt, NULL, CASE_PRIORITY, ON(CPU_OF(i)));
    }
    CountsUnderIt(NULL);
    for (ULONG i = 0; i < FAST_THREADS; i++) {
        EndWorker(&worker[i]);
    }
    ASSERT_EQ(Total, (FAST_THREADS + 1) * FAST_ROUNDS);
    ASSERT_TRUE(ExTryToAcquireFastMutex(&Mutex));
    ExReleaseFastMutex(&Mutex);
}

static VOID NTAPI TakesInTurn(PVOID Context) {
    ExAcquireFastMutex(&Mutex);
    Order[Served++] = (LONG)(ULONG_PTR)Context;
    ExReleaseFastMutex(&Mutex);
}

TARGET_CASE("FMX-1", who_waits_has_it_in_turn, "") {
    WORKER worker[WAITERS];
    ExInitializeFastMutex(&Mutex);
    Served = 0;
    KeEnterCriticalRegion(); /* threads are not made at APC_LEVEL */
    ExAcquireFastMutexUnsafe(&Mutex);
    for (ULONG i = 0; i < WAITERS; i++) {
        StartWorker(&worker[i], TakesInTurn, (PVOID)(ULONG_PTR)i, ABOVE, ON(CPU_OF(i)));
        WAIT_UNTIL(Waits(worker[i].Thread));
    }
    ASSERT_EQ(Served, 0);
    ExReleaseFastMutexUnsafe(&Mutex);
    KeLeaveCriticalRegion();
    for (ULONG i = 0; i < WAITERS; i++) {
        EndWorker(&worker[i]);
        ASSERT_EQ(Order[i], i);
    }
}

static BOOLEAN Tried;

static VOID NTAPI Tries(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    Tried = ExTryToAcquireFastMutex(&Mutex);
    ASSERT_EQ(KeGetCurrentIrql(), Tried ? APC_LEVEL : PASSIVE_LEVEL);
    if (Tried) {
        ExReleaseFastMutex(&Mutex);
    }
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("FMX-1", a_try_does_not_wait, "") {
    ExInitializeFastMutex(&Mutex);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&Mutex);
    EndThread(StartThread(Tries, NULL));
    ASSERT_FALSE(Tried);
    ExReleaseFastMutexUnsafe(&Mutex);
    KeLeaveCriticalRegion();
    EndThread(StartThread(Tries, NULL));
    ASSERT_TRUE(Tried);
}

TARGET_CASE("FMX-2 IRQL-10", its_owner_gets_no_apcs, "") {
    static NOTED_APC normal, special;
    ExInitializeFastMutex(&Mutex);
    InitializeNormal(&normal, KeGetCurrentThread());
    InitializeSpecial(&special, KeGetCurrentThread());
    ExAcquireFastMutex(&Mutex);
    ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
    ASSERT_TRUE(KeAreAllApcsDisabled());
    ASSERT_TRUE(InsertNoted(&normal));
    ASSERT_TRUE(InsertNoted(&special));
    Settle();
    ASSERT_EQ(special.KernelOrder, 0);
    ASSERT_EQ(normal.KernelOrder, 0);
    ExReleaseFastMutex(&Mutex);
    ASSERT_NE(special.KernelOrder, 0);
    ASSERT_NE(normal.NormalOrder, 0);
}

TARGET_CASE("FMX-2", the_release_goes_back_to_the_irql_before, "") {
    KIRQL old;
    ExInitializeFastMutex(&Mutex);
    for (KIRQL irql = PASSIVE_LEVEL; irql <= APC_LEVEL; irql++) {
        KeRaiseIrql(irql, &old);
        ExAcquireFastMutex(&Mutex);
        ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
        ExReleaseFastMutex(&Mutex);
        ASSERT_EQ(KeGetCurrentIrql(), irql);
        ASSERT_TRUE(ExTryToAcquireFastMutex(&Mutex));
        ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
        ExReleaseFastMutex(&Mutex);
        ASSERT_EQ(KeGetCurrentIrql(), irql);
        KeLowerIrql(old);
    }
}

TARGET_CASE("FMX-2", unsafe_forms_leave_the_irql, "") {
    KIRQL old;
    ExInitializeFastMutex(&Mutex);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&Mutex);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    EndThread(StartThread(Tries, NULL));
    ASSERT_FALSE(Tried);
    ExReleaseFastMutexUnsafe(&Mutex);
    KeLeaveCriticalRegion();
    KeRaiseIrql(APC_LEVEL, &old);
    ExAcquireFastMutexUnsafe(&Mutex);
    ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
    ExReleaseFastMutexUnsafe(&Mutex);
    KeLowerIrql(old);
    EndThread(StartThread(Tries, NULL));
    ASSERT_TRUE(Tried);
}

TARGET_CASE("FMX-2", acquired_at_dispatch_level, "verifier=on bugcheck=0xc4/0x33/2") {
    ExInitializeFastMutex(&Mutex);
    KeRaiseIrql(DISPATCH_LEVEL, &Old);
    ExAcquireFastMutex(&Mutex);
}

TARGET_CASE("FMX-2", tried_at_dispatch_level, "verifier=on bugcheck=0xc4/0x33/2") {
    ExInitializeFastMutex(&Mutex);
    KeRaiseIrql(DISPATCH_LEVEL, &Old);
    ExTryToAcquireFastMutex(&Mutex);
}

TARGET_CASE("FMX-2", released_below_apc_level, "verifier=on bugcheck=0xc4/0x34/0") {
    ExInitializeFastMutex(&Mutex);
    ExAcquireFastMutex(&Mutex);
    KeLowerIrql(PASSIVE_LEVEL);
    ExReleaseFastMutex(&Mutex);
}

TARGET_CASE("FMX-2", unsafe_with_apcs_enabled, "verifier=on bugcheck=0xc4/0x39/0/0") {
    ExInitializeFastMutex(&Mutex);
    ExAcquireFastMutexUnsafe(&Mutex);
}

TARGET_CASE("FMX-2", unsafe_release_with_apcs_enabled, "verifier=on bugcheck=0xc4/0x3a/0/0") {
    ExInitializeFastMutex(&Mutex);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&Mutex);
    KeLeaveCriticalRegion();
    ExReleaseFastMutexUnsafe(&Mutex);
}

TARGET_CASE("FMX-1", acquired_again_by_its_owner, "verifier=on bugcheck=0xc4/0x1000") {
    ExInitializeFastMutex(&Mutex);
    ExAcquireFastMutex(&Mutex);
    ExAcquireFastMutex(&Mutex);
}

static VOID NTAPI ReleasesAnothers(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(APC_LEVEL, &Old);
    ExReleaseFastMutex(&Mutex);
}

TARGET_CASE("FMX-1", released_by_another_thread, "verifier=on bugcheck=0xc4/0x1004") {
    ExInitializeFastMutex(&Mutex);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&Mutex);
    EndThread(StartThread(ReleasesAnothers, NULL));
}

TARGET_DRIVER
