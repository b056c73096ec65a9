/* SPDX-License-Identifier: Apache-2.0 */
/* In-stack queued spin locks: QSL-1 to QSL-8. */
#include <ntddk.h>

#include <rwlock.h>

#include "locks.h"

#define QUEUED_ROUNDS  40 /* a hand-off may wait for the host to run the one vCPU whose turn it is */
#define QUEUED_MOST    64
#define SYNCH_LEVEL_IS 12

static KSPIN_LOCK Lock[24];
static KLOCK_QUEUE_HANDLE Handle[QUEUED_MOST];
static volatile LONG Order[QUEUED_MOST];
static volatile LONG Served;
static volatile ULONG Counter;
static volatile LONG Inside;
static volatile LONG Entered;
static volatile LONG Interrupts;
static volatile LONG DpcRuns;
static volatile LONG LastInserted;
static volatile LONG Done;
static KDPC Dpc;
static KIRQL Old;

static VOID NTAPI QueueUp(PVOID Context) {
    ULONG_PTR cpu = (ULONG_PTR)Context;
    KeAcquireInStackQueuedSpinLock(&Lock[1], &Handle[cpu]);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_EQ(InterlockedIncrement(&Inside), 1);
    Order[Served++] = (LONG)cpu;
    YieldProcessor();
    InterlockedDecrement(&Inside);
    KeReleaseInStackQueuedSpinLock(&Handle[cpu]);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

/* The lock word is the last handle in the queue: so it is known when a CPU has joined, and the next one is sent. */
static VOID QueueBehind(ULONG first, ULONG step) {
    ULONG others = TargetCpus() - 1;
    ULONG cpu = first;
    Served = 0;
    Inside = 0;
    KeAcquireInStackQueuedSpinLock(&Lock[1], &Handle[0]);
    for (ULONG i = 0; i < others; i++) {
        DirqlStartOn(cpu, QueueUp, (PVOID)(ULONG_PTR)cpu);
        WAIT_UNTIL(*(volatile ULONG_PTR *)&Lock[1] == (ULONG_PTR)&Handle[cpu % QUEUED_MOST]);
        cpu += step;
    }
    ASSERT_EQ(Served, 0);
    KeReleaseInStackQueuedSpinLock(&Handle[0]);
    WaitForOthers();
    ASSERT_EQ(Served, others);
    cpu = first;
    for (ULONG i = 0; i < others; i++) {
        ASSERT_EQ(Order[i], cpu);
        cpu += step;
    }
    ASSERT_EQ(Lock[1], 0);
}

TARGET_CASE("QSL-1", first_come_first_served, "smp=2 oracle=QSL-1") {
    for (ULONG round = 0; round < 5; round++) {
        QueueBehind(1, 1);
        QueueBehind(TargetCpus() - 1, (ULONG)-1);
    }
}

/*
 * A hand-off is one store, to the waiter's handle: done here by hand for each waiter in turn, while no other handle and not
 * the lock word is touched. A waiter that watched anything else would not notice.
 */
TARGET_CASE("QSL-2", a_waiter_watches_its_own_handle, "smp=3 limit=5 violates=SPIN-1,SPIN-2") {
    ULONG last = TargetCpus() - 1;
    Served = 0;
    Inside = 0;
    KeAcquireInStackQueuedSpinLock(&Lock[1], &Handle[0]);
    for (ULONG cpu = 1; cpu <= last; cpu++) {
        DirqlStartOn(cpu, QueueUp, (PVOID)(ULONG_PTR)cpu);
        WAIT_UNTIL(*(volatile ULONG_PTR *)&Lock[1] == (ULONG_PTR)&Handle[cpu]);
    }
    WAIT_UNTIL(*(KSPIN_LOCK_QUEUE *volatile *)&Handle[0].LockQueue.Next == &Handle[1].LockQueue);
    for (ULONG cpu = 1; cpu <= last; cpu++) {
        ASSERT_EQ((ULONG_PTR)Handle[cpu].LockQueue.Lock, (ULONG_PTR)&Lock[1] | 1); /* it waits */
    }
    ULONG_PTR word = Lock[1];
    InterlockedExchangePointer((PVOID *)&Handle[1].LockQueue.Lock, &Lock[1]);
    WaitForOthers();
    ASSERT_EQ(Served, last);
    ASSERT_EQ(word, (ULONG_PTR)&Handle[last]); /* nobody stored there while they waited */
    ASSERT_EQ(Lock[1], 0);
    /* CPU 0 gave the lock away without its release: take it and give it back properly, for whoever keeps account. */
    KIRQL irql = Handle[0].OldIrql;
    Lock[1] = (ULONG_PTR)&Handle[0];
    Handle[0].LockQueue.Next = NULL;
    KeReleaseInStackQueuedSpinLock(&Handle[0]);
    ASSERT_EQ(KeGetCurrentIrql(), irql);
}

TARGET_CASE("QSL-3", raises_and_restores, "") {
    KIRQL first;
    KLOCK_QUEUE_HANDLE handle;
    for (KIRQL irql = PASSIVE_LEVEL; irql <= DISPATCH_LEVEL; irql++) {
        KeRaiseIrql(irql, &first);
        KeAcquireInStackQueuedSpinLock(&Lock[2], &handle);
        ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
        ASSERT_EQ(handle.OldIrql, irql);
        ASSERT_FALSE(KeTestSpinLock(&Lock[2]));
        KeReleaseInStackQueuedSpinLock(&handle);
        ASSERT_EQ(KeGetCurrentIrql(), irql);
        ASSERT_TRUE(KeTestSpinLock(&Lock[2]));
        KeLowerIrql(first);
    }
}

static VOID NTAPI CountDpc(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    InterlockedIncrement(&DpcRuns);
}

static BOOLEAN NTAPI QueueFromIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    LastInserted = KeInsertQueueDpc(&Dpc, NULL, NULL);
    InterlockedIncrement(&Interrupts);
    return TRUE;
}

/* It has joined the queue, so it is at DISPATCH_LEVEL already: a DPC that an ISR queues there waits. */
TARGET_CASE("QSL-3 QSL-7", at_dispatch_level_before_it_queues, "smp=2 mode=icount oracle=QSL-3") {
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(QueueFromIsr, NULL);
    KeInitializeDpc(&Dpc, CountDpc, NULL);
    Interrupts = 0;
    DpcRuns = 0;
    Served = 0;
    KeAcquireInStackQueuedSpinLock(&Lock[1], &Handle[0]);
    DirqlStartOn(1, QueueUp, (PVOID)1);
    WAIT_UNTIL(*(volatile ULONG_PTR *)&Lock[1] == (ULONG_PTR)&Handle[1]);
    for (LONG taken = 1; taken <= 3; taken++) {
        DirqlInterrupt(1, interrupt.Vector);
        WAIT_UNTIL(Interrupts == taken);
        Yield();
        ASSERT_EQ(LastInserted, taken == 1);
        ASSERT_EQ(DpcRuns, 0);
    }
    KeReleaseInStackQueuedSpinLock(&Handle[0]);
    DirqlWaitFor(1);
    WAIT_UNTIL(DpcRuns == 1);
    DisconnectLockInterrupt(&interrupt);
}

TARGET_CASE("QSL-4", a_handle_for_each_acquisition, "") {
    KLOCK_QUEUE_HANDLE outer;
    KLOCK_QUEUE_HANDLE inner;
    KeAcquireInStackQueuedSpinLock(&Lock[3], &outer);
    KeAcquireInStackQueuedSpinLock(&Lock[4], &inner);
    ASSERT_FALSE(KeTestSpinLock(&Lock[3]));
    ASSERT_FALSE(KeTestSpinLock(&Lock[4]));
    KeReleaseInStackQueuedSpinLock(&inner);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseInStackQueuedSpinLock(&outer);
    KeAcquireInStackQueuedSpinLock(&Lock[4], &outer); /* and again, once it is free */
    KeReleaseInStackQueuedSpinLock(&outer);
}

TARGET_CASE("QSL-4", one_handle_for_two_locks, "verifier=on bugcheck=0xc4/0x40006") {
    KeAcquireInStackQueuedSpinLock(&Lock[5], &Handle[0]);
    KeAcquireInStackQueuedSpinLock(&Lock[6], &Handle[0]);
}

TARGET_CASE("QSL-4", a_handle_released_twice, "verifier=on bugcheck=0xc4/0x1007") {
    KeAcquireInStackQueuedSpinLock(&Lock[5], &Handle[0]);
    KeReleaseInStackQueuedSpinLock(&Handle[0]);
    KeReleaseInStackQueuedSpinLock(&Handle[0]);
}

static VOID NTAPI ReleaseForeign(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&Handle[0]);
    KeLowerIrql(old);
}

TARGET_CASE("QSL-4", a_handle_released_elsewhere, "smp=2 verifier=on bugcheck=0x10") {
    KeAcquireInStackQueuedSpinLock(&Lock[5], &Handle[0]);
    DirqlStartOn(1, ReleaseForeign, NULL);
    DirqlWaitFor(1);
}

TARGET_CASE("QSL-5", queued_then_executive, "verifier=on bugcheck=0xc4/0x1008") {
    KeAcquireInStackQueuedSpinLock(&Lock[7], &Handle[0]);
    KeReleaseInStackQueuedSpinLock(&Handle[0]);
    KeAcquireSpinLock(&Lock[7], &Old);
    KeReleaseSpinLock(&Lock[7], Old);
}

TARGET_CASE("QSL-5", executive_then_queued, "verifier=on bugcheck=0xc4/0x1008") {
    KeAcquireSpinLock(&Lock[7], &Old);
    KeReleaseSpinLock(&Lock[7], Old);
    KeAcquireInStackQueuedSpinLock(&Lock[7], &Handle[0]);
}

TARGET_CASE("QSL-5", queued_and_released_as_executive, "verifier=on bugcheck=0xc4/0x1009") {
    KeAcquireInStackQueuedSpinLock(&Lock[7], &Handle[0]);
    KeReleaseSpinLock(&Lock[7], PASSIVE_LEVEL);
}

TARGET_CASE("QSL-6", at_dpc_level_leaves_the_irql, "") {
    KIRQL first;
    KLOCK_QUEUE_HANDLE handle;
    KeRaiseIrql(DISPATCH_LEVEL, &first);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Lock[8], &handle);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_FALSE(KeTestSpinLock(&Lock[8]));
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handle);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_TRUE(KeTestSpinLock(&Lock[8]));
    KeLowerIrql(first);
}

TARGET_CASE("QSL-6", for_dpc_raises_from_passive_level_only, "") {
    KIRQL first;
    KLOCK_QUEUE_HANDLE handle;
    KeAcquireInStackQueuedSpinLockForDpc(&Lock[9], &handle);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseInStackQueuedSpinLockForDpc(&handle);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &first);
    KeAcquireInStackQueuedSpinLockForDpc(&Lock[9], &handle);
    KeReleaseInStackQueuedSpinLockForDpc(&handle);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(first);
}

static VOID NTAPI LockInThreadedDpc(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    KLOCK_QUEUE_HANDLE handle;
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeAcquireInStackQueuedSpinLockForDpc(&Lock[10], &handle);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseInStackQueuedSpinLockForDpc(&handle);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    Done = 1;
}

TARGET_CASE("QSL-6", in_a_threaded_dpc, "") {
    Done = 0;
    KeInitializeThreadedDpc(&Dpc, LockInThreadedDpc, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    WAIT_UNTIL(Done);
}

static VOID NTAPI CountUnderLock(PVOID Context) {
    KLOCK_QUEUE_HANDLE handle;
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < QUEUED_ROUNDS; i++) {
        KeAcquireInStackQueuedSpinLock(&Lock[11], &handle);
        ASSERT_EQ(InterlockedIncrement(&Inside), 1);
        ULONG value = Counter;
        YieldProcessor();
        Counter = value + 1;
        InterlockedDecrement(&Inside);
        KeReleaseInStackQueuedSpinLock(&handle);
    }
}

TARGET_CASE("QSL-7 QSL-1", one_holder_at_a_time, "oracle=SPIN-1") {
    Counter = 0;
    Inside = 0;
    StartOthers(CountUnderLock);
    CountUnderLock(NULL);
    WaitForOthers();
    ASSERT_EQ(Counter, QUEUED_ROUNDS * TargetCpus());
    ASSERT_EQ(Lock[11], 0);
}

TARGET_CASE("QSL-7", acquired_by_its_holder, "verifier=on bugcheck=0xf limit=5") {
    KeAcquireInStackQueuedSpinLock(&Lock[12], &Handle[0]);
    KeAcquireInStackQueuedSpinLock(&Lock[12], &Handle[1]);
}

TARGET_CASE("QSL-7", acquire_above_dispatch_level, "verifier=on bugcheck=0xc4/0x42/5") {
    KeRaiseIrql(5, &Old);
    KeAcquireInStackQueuedSpinLock(&Lock[12], &Handle[0]);
}

TARGET_CASE("QSL-7", at_dpc_level_below_it, "verifier=on bugcheck=0xc4/0x40/0") {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Lock[12], &Handle[0]);
}

TARGET_CASE("QSL-7", from_dpc_level_below_it, "verifier=on bugcheck=0xc4/0x41/0") {
    KeRaiseIrql(DISPATCH_LEVEL, &Old);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&Lock[12], &Handle[0]);
    KeLowerIrql(PASSIVE_LEVEL);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&Handle[0]);
}

TARGET_CASE("QSL-3 QSL-7", release_above_dispatch_level, "verifier=on bugcheck=0xc4/0x36/5") {
    KIRQL ignored;
    KeAcquireInStackQueuedSpinLock(&Lock[12], &Handle[0]);
    KeRaiseIrql(5, &ignored);
    KeReleaseInStackQueuedSpinLock(&Handle[0]);
}

TARGET_CASE("QSL-7", opposite_orders, "verifier=on bugcheck=0xc4/0x1001") {
    KeAcquireInStackQueuedSpinLock(&Lock[13], &Handle[0]);
    KeAcquireInStackQueuedSpinLock(&Lock[14], &Handle[1]);
    KeReleaseInStackQueuedSpinLock(&Handle[1]);
    KeReleaseInStackQueuedSpinLock(&Handle[0]);
    KeAcquireInStackQueuedSpinLock(&Lock[14], &Handle[0]);
    KeAcquireInStackQueuedSpinLock(&Lock[13], &Handle[1]);
}

TARGET_CASE("QSL-8", synch_level_while_held, "") {
    KLOCK_QUEUE_HANDLE handle;
    KIRQL old;
    KeAcquireInStackQueuedSpinLockRaiseToSynch(&Lock[15], &handle);
    ASSERT_EQ(KeGetCurrentIrql(), SYNCH_LEVEL_IS);
    KeReleaseInStackQueuedSpinLock(&handle);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    old = KeAcquireSpinLockRaiseToSynch(&Lock[16]);
    ASSERT_EQ(old, PASSIVE_LEVEL);
    ASSERT_EQ(KeGetCurrentIrql(), SYNCH_LEVEL_IS);
    KeReleaseSpinLock(&Lock[16], old);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_DRIVER
