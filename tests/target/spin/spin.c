/* SPDX-License-Identifier: Apache-2.0 */
/* Executive spin locks as their routines behave: SPIN-1 to SPIN-4, SPIN-13 to SPIN-16. What the verifier says is in rules.c. */
#include <ntddk.h>

#include "../locks.h"

#define SPIN_ROUNDS 300

static KSPIN_LOCK Lock;
static volatile ULONG Counter; /* changed by plain loads and stores, under the lock */
static volatile LONG Inside;
static volatile LONG Entered;
static volatile LONG Go;
static volatile LONG DpcRuns;
static volatile LONG Interrupts;
static volatile LONG LastInserted;
static volatile BOOLEAN DpcSawFree;
static KDPC Dpc;
static KDPC OtherDpc;

static VOID NTAPI CountUnderLock(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < SPIN_ROUNDS; i++) {
        KeAcquireSpinLock(&Lock, &old);
        ASSERT_EQ(old, PASSIVE_LEVEL);
        ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
        ASSERT_EQ(InterlockedIncrement(&Inside), 1);
        ULONG value = Counter;
        YieldProcessor();
        Counter = value + 1;
        InterlockedDecrement(&Inside);
        KeReleaseSpinLock(&Lock, old);
        ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    }
}

TARGET_CASE("SPIN-1 SPIN-3 SPIN-4", one_holder_at_a_time, "oracle=SPIN-1,SPIN-3,SPIN-4") {
    KeInitializeSpinLock(&Lock);
    Counter = 0;
    Inside = 0;
    StartOthers(CountUnderLock);
    CountUnderLock(NULL);
    WaitForOthers();
    ASSERT_EQ(Counter, SPIN_ROUNDS * TargetCpus());
}

static VOID NTAPI CountAtDpcLevel(PVOID Context) {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    for (ULONG i = 0; i < SPIN_ROUNDS; i++) {
        if ((ULONG_PTR)Context % 2 == 0) {
            KeAcquireSpinLockAtDpcLevel(&Lock);
        } else {
            WAIT_UNTIL(KeTryToAcquireSpinLockAtDpcLevel(&Lock));
        }
        ASSERT_EQ(InterlockedIncrement(&Inside), 1);
        ULONG value = Counter;
        YieldProcessor();
        Counter = value + 1;
        InterlockedDecrement(&Inside);
        KeReleaseSpinLockFromDpcLevel(&Lock);
        ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    }
    KeLowerIrql(old);
}

TARGET_CASE("SPIN-1 SPIN-16", at_dpc_level_excludes_too, "oracle=SPIN-1") {
    KeInitializeSpinLock(&Lock);
    Counter = 0;
    Inside = 0;
    StartOthers(CountAtDpcLevel);
    CountAtDpcLevel(NULL);
    WaitForOthers();
    ASSERT_EQ(Counter, SPIN_ROUNDS * TargetCpus());
}

static volatile LONG Started;

static VOID NTAPI EnterAndStay(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&Started);
    KeAcquireSpinLock(&Lock, &old);
    InterlockedIncrement(&Entered);
    LONG turn = Entered;
    WAIT_UNTIL(Go >= turn);
    KeReleaseSpinLock(&Lock, old);
}

TARGET_CASE("SPIN-2", a_release_lets_one_in, "smp=3 oracle=SPIN-1,SPIN-2") {
    KIRQL old;
    KeInitializeSpinLock(&Lock);
    Entered = 0;
    Go = 0;
    Started = 0;
    KeAcquireSpinLock(&Lock, &old);
    StartOthers(EnterAndStay);
    WAIT_UNTIL(Started == (LONG)TargetCpus() - 1);
    for (ULONG i = 0; i < 20; i++) { /* well over what a waiter's patience could be */
        Yield();
        ASSERT_EQ(Entered, 0);
    }
    KeReleaseSpinLock(&Lock, old);
    for (LONG turn = 1; turn < (LONG)TargetCpus(); turn++) {
        WAIT_UNTIL(Entered == turn);
        Yield();
        ASSERT_EQ(Entered, turn);
        Go = turn;
    }
    WaitForOthers();
}

static VOID NTAPI CountDpc(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    DpcSawFree = KeTestSpinLock(&Lock);
    InterlockedIncrement(&DpcRuns);
}

TARGET_CASE("SPIN-4", release_runs_the_waiting_dpc, "") {
    KIRQL old;
    KeInitializeSpinLock(&Lock);
    KeInitializeDpc(&Dpc, CountDpc, NULL);
    DpcRuns = 0;
    DpcSawFree = FALSE;
    KeAcquireSpinLock(&Lock, &old);
    ASSERT_TRUE(KeInsertQueueDpc(&Dpc, NULL, NULL));
    ASSERT_EQ(DpcRuns, 0);
    KeReleaseSpinLock(&Lock, old);
    ASSERT_EQ(DpcRuns, 1);
    ASSERT_TRUE(DpcSawFree); /* the lock was free before IRQL fell */
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("SPIN-4", release_returns_to_the_stored_irql, "oracle=SPIN-4") {
    KIRQL first;
    KIRQL old;
    KeInitializeSpinLock(&Lock);
    for (KIRQL irql = PASSIVE_LEVEL; irql <= DISPATCH_LEVEL; irql++) {
        KeRaiseIrql(irql, &first);
        KeAcquireSpinLock(&Lock, &old);
        ASSERT_EQ(old, irql);
        ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
        KeReleaseSpinLock(&Lock, old);
        ASSERT_EQ(KeGetCurrentIrql(), irql);
        KeLowerIrql(first);
    }
}

static VOID NTAPI AcquireOnce(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    Entered = 1;
    KeAcquireSpinLock(&Lock, &old);
    ASSERT_EQ(old, PASSIVE_LEVEL);
    KeReleaseSpinLock(&Lock, old);
}

static BOOLEAN NTAPI QueueFromIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    LastInserted = KeInsertQueueDpc(&Dpc, NULL, NULL);
    InterlockedIncrement(&Interrupts);
    return TRUE;
}

/* An ISR on a CPU that spins queues a DPC there: it waits as long as the CPU does. Under icount the CPUs get on evenly. */
TARGET_CASE("SPIN-3 SPIN-13 SPIN-14", a_waiter_is_at_dispatch_level, "smp=2 mode=icount oracle=SPIN-3") {
    KIRQL old;
    LONG taken = 0;
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(QueueFromIsr, NULL);
    KeInitializeSpinLock(&Lock);
    KeInitializeDpc(&Dpc, CountDpc, NULL);
    DpcRuns = 0;
    Interrupts = 0;
    Entered = 0;
    KeAcquireSpinLock(&Lock, &old);
    DirqlStartOn(1, AcquireOnce, NULL);
    WAIT_UNTIL(Entered);
    Yield(); /* from there it is a few instructions to the lock */
    for (taken = 1; taken <= 5; taken++) {
        DirqlInterrupt(1, interrupt.Vector);
        WAIT_UNTIL(Interrupts == taken); /* SPIN-14: the ISR runs while its CPU spins */
        Yield();
        ASSERT_EQ(DpcRuns, 0);
        ASSERT_EQ(LastInserted, taken == 1);
    }
    KeReleaseSpinLock(&Lock, old);
    DirqlWaitFor(1);
    WAIT_UNTIL(DpcRuns == 1);
    DisconnectLockInterrupt(&interrupt);
}

static KIRQL SharedIrql;

static VOID NTAPI AcquireIntoShared(PVOID Context) {
    KIRQL first;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &first);
    Entered = 1;
    KeAcquireSpinLock(&Lock, &SharedIrql);
    Entered = 2;
    WAIT_UNTIL(Go);
    KeReleaseSpinLockFromDpcLevel(&Lock);
    KeLowerIrql(first);
}

/* The location is written when the lock is the writer's: until then it holds what the holder needs. Afterwards it does not. */
TARGET_CASE("SPIN-3", old_irql_is_stored_after_the_acquisition, "smp=2 verifier=off") {
    KeInitializeSpinLock(&Lock);
    Entered = 0;
    Go = 0;
    KeAcquireSpinLock(&Lock, &SharedIrql);
    ASSERT_EQ(SharedIrql, PASSIVE_LEVEL);
    DirqlStartOn(1, AcquireIntoShared, NULL);
    WAIT_UNTIL(Entered == 1);
    Yield();
    ASSERT_EQ(SharedIrql, PASSIVE_LEVEL);
    KeReleaseSpinLockFromDpcLevel(&Lock);
    WAIT_UNTIL(Entered == 2);
    ASSERT_EQ(SharedIrql, DISPATCH_LEVEL); /* whoever shares a location is left at DISPATCH_LEVEL */
    Go = 1;
    KeLowerIrql(PASSIVE_LEVEL);
    DirqlWaitFor(1);
}

TARGET_CASE("SPIN-13", no_dpc_on_the_holder_but_elsewhere, "smp=2") {
    KIRQL old;
    KeInitializeSpinLock(&Lock);
    KeInitializeDpc(&Dpc, CountDpc, NULL);
    KeInitializeDpc(&OtherDpc, CountDpc, NULL);
    KeSetTargetProcessorDpc(&Dpc, 0);
    KeSetTargetProcessorDpc(&OtherDpc, 1);
    KeSetImportanceDpc(&OtherDpc, HighImportance);
    DpcRuns = 0;
    KeAcquireSpinLock(&Lock, &old);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    KeInsertQueueDpc(&OtherDpc, NULL, NULL);
    WAIT_UNTIL(DpcRuns == 1); /* CPU 1's */
    Yield();
    ASSERT_EQ(DpcRuns, 1);
    KeReleaseSpinLock(&Lock, old);
    ASSERT_EQ(DpcRuns, 2);
}

static BOOLEAN NTAPI CountInterrupt(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    InterlockedIncrement(&Interrupts);
    return TRUE;
}

TARGET_CASE("SPIN-14 SYS-8", interrupts_come_to_holder_and_waiter, "smp=2") {
    KIRQL old;
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(CountInterrupt, NULL);
    KeInitializeSpinLock(&Lock);
    Interrupts = 0;
    Entered = 0;
    KeAcquireSpinLock(&Lock, &old);
    DirqlInterrupt(0, interrupt.Vector);
    WAIT_UNTIL(Interrupts == 1);
    DirqlStartOn(1, AcquireOnce, NULL);
    WAIT_UNTIL(Entered);
    for (LONG taken = 2; taken < 6; taken++) {
        Yield();
        DirqlInterrupt(1, interrupt.Vector);
        WAIT_UNTIL(Interrupts == taken);
    }
    KeReleaseSpinLock(&Lock, old);
    DirqlWaitFor(1);
    DisconnectLockInterrupt(&interrupt);
}

TARGET_CASE("SPIN-15", test_looks_and_does_not_take, "") {
    KIRQL old;
    KeInitializeSpinLock(&Lock);
    ASSERT_TRUE(KeTestSpinLock(&Lock));
    ASSERT_TRUE(KeTestSpinLock(&Lock));
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeAcquireSpinLock(&Lock, &old);
    ASSERT_FALSE(KeTestSpinLock(&Lock));
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseSpinLock(&Lock, old);
    ASSERT_TRUE(KeTestSpinLock(&Lock));
}

static VOID NTAPI TryAndFail(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ASSERT_FALSE(KeTryToAcquireSpinLockAtDpcLevel(&Lock));
    ASSERT_FALSE(KeTestSpinLock(&Lock));
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(old);
}

TARGET_CASE("SPIN-16", try_takes_or_returns_at_once, "smp=2") {
    KIRQL old;
    KeInitializeSpinLock(&Lock);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ASSERT_TRUE(KeTryToAcquireSpinLockAtDpcLevel(&Lock));
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_FALSE(KeTestSpinLock(&Lock));
    DirqlStartOn(1, TryAndFail, NULL);
    DirqlWaitFor(1);
    KeReleaseSpinLockFromDpcLevel(&Lock);
    KeLowerIrql(old);
}

TARGET_CASE("SPIN-5", for_dpc_raises_from_passive_level_only, "") {
    KIRQL first;
    KIRQL old;
    KeInitializeSpinLock(&Lock);
    old = KeAcquireSpinLockForDpc(&Lock);
    ASSERT_EQ(old, PASSIVE_LEVEL);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseSpinLockForDpc(&Lock, old);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &first);
    old = KeAcquireSpinLockForDpc(&Lock);
    ASSERT_EQ(old, DISPATCH_LEVEL);
    ASSERT_FALSE(KeTestSpinLock(&Lock));
    KeReleaseSpinLockForDpc(&Lock, old);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(first);
}

TARGET_DRIVER
