/* SPDX-License-Identifier: Apache-2.0 */
/* What the verifier says of executive spin locks: SPIN-5 to SPIN-12 and SPIN-17 to SPIN-19; and what a free build lets pass. */
#include <ntddk.h>

#include "../locks.h"

/* Each case has locks of its own: what the verifier learnt of one stays. */
static KSPIN_LOCK Lock[32];
static KIRQL Old;
static ULONG Number = 0xdeadbeef;
static volatile LONG Done;

TARGET_CASE("SPIN-5", acquire_above_dispatch_level, "verifier=on bugcheck=0xc4/0x42/5") {
    KeRaiseIrql(5, &Old);
    KeAcquireSpinLock(&Lock[0], &Old);
}

TARGET_CASE("SPIN-5", at_dpc_level_below_it, "verifier=on bugcheck=0xc4/0x40/0") {
    KeAcquireSpinLockAtDpcLevel(&Lock[0]);
}

TARGET_CASE("SPIN-5", try_below_dispatch_level, "verifier=on bugcheck=0xc4/0x40/1") {
    KeRaiseIrql(APC_LEVEL, &Old);
    KeTryToAcquireSpinLockAtDpcLevel(&Lock[0]);
}

TARGET_CASE("SPIN-5", from_dpc_level_below_it, "verifier=on bugcheck=0xc4/0x41/0") {
    KeRaiseIrql(DISPATCH_LEVEL, &Old);
    KeAcquireSpinLockAtDpcLevel(&Lock[0]);
    KeLowerIrql(PASSIVE_LEVEL); /* inline: nobody sees it */
    KeReleaseSpinLockFromDpcLevel(&Lock[0]);
}

TARGET_CASE("SPIN-5", a_free_build_takes_it_anywhere, "verifier=off violates=SPIN-3,SPIN-6") {
    KeInitializeSpinLock(&Lock[1]);
    KeAcquireSpinLockAtDpcLevel(&Lock[1]);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_FALSE(KeTestSpinLock(&Lock[1]));
    KeReleaseSpinLockFromDpcLevel(&Lock[1]);
    ASSERT_TRUE(KeTestSpinLock(&Lock[1]));
}

TARGET_CASE("SPIN-6", release_above_dispatch_level, "verifier=on bugcheck=0xc4/0x32/5") {
    KIRQL ignored;
    KeAcquireSpinLock(&Lock[0], &Old);
    KeRaiseIrql(5, &ignored);
    KeReleaseSpinLock(&Lock[0], Old);
}

TARGET_CASE("SPIN-6", release_twice, "verifier=on bugcheck=0xc4/0x32/0") {
    KeAcquireSpinLock(&Lock[0], &Old);
    KeReleaseSpinLock(&Lock[0], Old);
    KeReleaseSpinLock(&Lock[0], Old);
}

TARGET_CASE("SPIN-7", acquired_but_released_from_dpc_level, "verifier=on bugcheck=0xc4/0x1009") {
    KeAcquireSpinLock(&Lock[0], &Old);
    KeReleaseSpinLockFromDpcLevel(&Lock[0]);
}

TARGET_CASE("SPIN-7", at_dpc_level_but_released_with_an_irql, "verifier=on bugcheck=0xc4/0x1009") {
    KeRaiseIrql(DISPATCH_LEVEL, &Old);
    KeAcquireSpinLockAtDpcLevel(&Lock[0]);
    KeReleaseSpinLock(&Lock[0], Old);
}

TARGET_CASE("SPIN-7", a_free_build_stays_raised, "verifier=off") {
    KeInitializeSpinLock(&Lock[2]);
    KeAcquireSpinLock(&Lock[2], &Old);
    KeReleaseSpinLockFromDpcLevel(&Lock[2]);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(Old);
}

TARGET_CASE("SPIN-4 SPIN-3", released_to_another_irql, "verifier=on bugcheck=0xc4/0x31/2/1") {
    KeAcquireSpinLock(&Lock[0], &Old);
    KeReleaseSpinLock(&Lock[0], APC_LEVEL);
}

TARGET_CASE("SPIN-8 SPIN-10 SYS-13", acquired_by_its_holder, "verifier=on bugcheck=0xf limit=5") {
    KIRQL second;
    KeAcquireSpinLock(&Lock[0], &Old);
    KeAcquireSpinLock(&Lock[0], &second);
}

static VOID NTAPI ReleaseForeign(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeReleaseSpinLockFromDpcLevel(&Lock[0]);
    KeLowerIrql(old);
}

TARGET_CASE("SPIN-8", released_by_another_cpu, "smp=2 verifier=on bugcheck=0x10") {
    KeAcquireSpinLock(&Lock[0], &Old);
    DirqlStartOn(1, ReleaseForeign, NULL);
    DirqlWaitFor(1);
}

TARGET_CASE("SPIN-8", released_while_free, "verifier=on bugcheck=0xc4/0x1007") {
    KeRaiseIrql(DISPATCH_LEVEL, &Old);
    KeReleaseSpinLockFromDpcLevel(&Lock[0]);
}

static VOID TakeBoth(ULONG first, ULONG second) {
    KIRQL outer;
    KIRQL inner;
    KeAcquireSpinLock(&Lock[first], &outer);
    KeAcquireSpinLock(&Lock[second], &inner);
    KeReleaseSpinLock(&Lock[second], inner);
    KeReleaseSpinLock(&Lock[first], outer);
}

static VOID NTAPI TakeBothThere(PVOID Context) {
    for (ULONG i = 0; i < 100; i++) {
        TakeBoth(3, 4);
    }
    UNREFERENCED_PARAMETER(Context);
}

TARGET_CASE("SPIN-9", a_fixed_order_is_safe, "oracle=SPIN-9") {
    StartOthers(TakeBothThere);
    TakeBothThere(NULL);
    WaitForOthers();
}

TARGET_CASE("SPIN-9 SYS-13", opposite_orders, "verifier=on bugcheck=0xc4/0x1001") {
    TakeBoth(5, 6);
    TakeBoth(6, 5); /* it did not hang, and could have */
}

static VOID NTAPI TakeForward(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    TakeBoth(5, 6);
}

TARGET_CASE("SPIN-9", opposite_orders_on_two_cpus, "smp=2 verifier=on bugcheck=0xc4/0x1001") {
    DirqlStartOn(1, TakeForward, NULL);
    DirqlWaitFor(1);
    TakeBoth(6, 5);
}

TARGET_CASE("SPIN-9", a_circle_of_three, "verifier=on bugcheck=0xc4/0x1001") {
    TakeBoth(7, 8);
    TakeBoth(8, 9);
    TakeBoth(9, 7);
}

/* A try does not wait: verifier and oracle both know. */
TARGET_CASE("SPIN-9 SPIN-16", trying_cannot_deadlock, "oracle=SPIN-9") {
    KIRQL old;
    TakeBoth(10, 11);
    KeAcquireSpinLock(&Lock[11], &old);
    ASSERT_TRUE(KeTryToAcquireSpinLockAtDpcLevel(&Lock[10]));
    KeReleaseSpinLockFromDpcLevel(&Lock[10]);
    KeReleaseSpinLock(&Lock[11], old);
}

TARGET_CASE("SPIN-9 SPIN-4", locks_trade_their_irqls, "") {
    KIRQL outer;
    KIRQL inner;
    KeAcquireSpinLock(&Lock[12], &outer);
    KeAcquireSpinLock(&Lock[13], &inner);
    KeReleaseSpinLock(&Lock[12], inner);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeReleaseSpinLock(&Lock[13], outer);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("SPIN-9", lowered_with_a_lock_held, "verifier=on bugcheck=0xc4/0x1003") {
    KIRQL outer;
    KIRQL inner;
    KeAcquireSpinLock(&Lock[12], &outer);
    KeAcquireSpinLock(&Lock[13], &inner);
    KeReleaseSpinLock(&Lock[12], outer);
}

TARGET_CASE("SPIN-10 SYS-13 SYS-14", memory_that_is_out, "bugcheck=0xd1/0x7f0000001000/2/0") {
    KeInitializeSpinLock(&Lock[14]);
    KeAcquireSpinLock(&Lock[14], &Old);
    Number = *(volatile ULONG *)0x7f0000001000ull;
}

TARGET_CASE("SPIN-11", initialised_is_zero_and_free, "") {
    static KSPIN_LOCK fresh;
    fresh = 0x1234;
    KeInitializeSpinLock(&fresh);
    ASSERT_EQ(fresh, 0);
    ASSERT_TRUE(KeTestSpinLock(&fresh));
    TakeBoth(15, 16); /* storage that is 0 from the start */
}

TARGET_CASE("SPIN-11", never_initialised, "verifier=on bugcheck=0xc4/0x1002") {
    PKSPIN_LOCK lock = ExAllocatePoolWithTag(NonPagedPool, sizeof *lock, 'kcol');
    *lock = 0x0123456789abcdefull;
    KeAcquireSpinLock(lock, &Old);
}

TARGET_CASE("SPIN-11", freed_with_its_lock_held, "verifier=on bugcheck=0xc4/0x100b") {
    PKSPIN_LOCK lock = ExAllocatePoolWithTag(NonPagedPool, sizeof *lock, 'kcol');
    KeInitializeSpinLock(lock);
    KeAcquireSpinLock(lock, &Old);
    ExFreePoolWithTag(lock, 'kcol');
}

TARGET_CASE("SPIN-11", storage_used_again_is_a_new_lock, "") {
    /* In other roles each time: what was known of it went with the block. */
    for (ULONG i = 0; i < 3; i++) {
        KIRQL old;
        KLOCK_QUEUE_HANDLE handle;
        PKSPIN_LOCK lock = ExAllocatePoolWithTag(NonPagedPool, sizeof *lock, 'kcol');
        KeInitializeSpinLock(lock);
        if (i % 2 == 0) {
            KeAcquireSpinLock(lock, &old);
            KeReleaseSpinLock(lock, old);
        } else {
            KeAcquireInStackQueuedSpinLock(lock, &handle);
            KeReleaseInStackQueuedSpinLock(&handle);
        }
        ExFreePoolWithTag(lock, 'kcol');
    }
}

static BOOLEAN NTAPI AcquireInIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Interrupt);
    if (ServiceContext == NULL) {
        KeAcquireSpinLock(&Lock[0], &old);
        KeReleaseSpinLock(&Lock[0], old);
    } else {
        KeAcquireSpinLockAtDpcLevel(&Lock[0]);
        KeReleaseSpinLockFromDpcLevel(&Lock[0]);
    }
    Done = 1;
    return TRUE;
}

static VOID InterruptSelf(PVOID context) {
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(AcquireInIsr, context);
    Done = 0;
    DirqlInterrupt(0, interrupt.Vector);
    WAIT_UNTIL(Done);
    DisconnectLockInterrupt(&interrupt);
}

TARGET_CASE("SPIN-12", an_isr_acquires, "verifier=on bugcheck=0xc4/0x42/5") {
    InterruptSelf(NULL);
}

TARGET_CASE("SPIN-12", an_isr_acquires_at_dpc_level, "verifier=on bugcheck=0xc4/0x42/5") {
    InterruptSelf(&Old);
}

static BOOLEAN NTAPI AcquireInSynchCrit(PVOID SynchronizeContext) {
    UNREFERENCED_PARAMETER(SynchronizeContext);
    KeAcquireSpinLockAtDpcLevel(&Lock[0]);
    KeReleaseSpinLockFromDpcLevel(&Lock[0]);
    return TRUE;
}

TARGET_CASE("SPIN-12", a_synchronised_routine_acquires, "verifier=on bugcheck=0xc4/0x42/5") {
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(AcquireInIsr, NULL);
    KeSynchronizeExecution(interrupt.Object, AcquireInSynchCrit, NULL);
}

TARGET_CASE("SPIN-17", an_irp_completed_under_a_lock, "verifier=on bugcheck=0xc4/0x40009") {
    PIRP irp = IoAllocateIrp(1, FALSE);
    KeAcquireSpinLock(&Lock[0], &Old);
    IoCompleteRequest(irp, IO_NO_INCREMENT);
}

TARGET_CASE("SPIN-18", interlocked_on_a_lock_that_is_held, "verifier=on bugcheck=0xf limit=5") {
    KeAcquireSpinLock(&Lock[0], &Old);
    ExInterlockedAddUlong(&Number, 1, &Lock[0]);
}

TARGET_CASE("SPIN-18", interlocked_at_any_irql, "") {
    KIRQL old;
    ULONG number = 0;
    for (KIRQL irql = PASSIVE_LEVEL; irql <= HIGH_LEVEL; irql++) {
        KeRaiseIrql(irql, &old);
        ASSERT_EQ(ExInterlockedAddUlong(&number, 1, &Lock[17]), irql);
        ASSERT_EQ(KeGetCurrentIrql(), irql);
        KeLowerIrql(old);
    }
}

TARGET_CASE("SPIN-18 SPIN-19", interlocked_at_dirql_and_acquired_elsewhere, "verifier=on bugcheck=0xc4/0x1008") {
    KeRaiseIrql(5, &Old);
    ExInterlockedAddUlong(&Number, 1, &Lock[18]);
    KeLowerIrql(Old);
    KeAcquireSpinLock(&Lock[18], &Old);
    KeReleaseSpinLock(&Lock[18], Old);
}

TARGET_CASE("SPIN-18", interlocked_and_acquired_at_dispatch_level, "") {
    KIRQL old;
    ULONG number = 0;
    ExInterlockedAddUlong(&number, 1, &Lock[19]);
    KeAcquireSpinLock(&Lock[19], &old);
    KeReleaseSpinLock(&Lock[19], old);
}

TARGET_CASE("SPIN-19", taken_at_two_irqls, "verifier=on bugcheck=0xc4/0x1008") {
    KeAcquireSpinLock(&Lock[20], &Old);
    KeReleaseSpinLock(&Lock[20], Old);
    KeRaiseIrql(5, &Old);
    KeAcquireSpinLockAtDpcLevel(&Lock[20]);
}

TARGET_CASE("SPIN-19", taken_at_one_irql, "") {
    KIRQL old;
    KeRaiseIrql(5, &old);
    for (ULONG i = 0; i < 3; i++) {
        KeAcquireSpinLockAtDpcLevel(&Lock[21]);
        KeReleaseSpinLockFromDpcLevel(&Lock[21]);
    }
    KeLowerIrql(old);
}
