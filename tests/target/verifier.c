/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verifier says of IRQL, and of routines that are called, or return, at another one than their pages state. Built with the
 * IRQL routines out of line: IRQL-3 to IRQL-5, IRQL-8, SPIN-11, SYN-4.
 */
#include <outofline.h>

#include "locks.h"

static KSPIN_LOCK Lock[4];
static KIRQL Old;
static KDPC Dpc;
static volatile LONG Done;

TARGET_CASE("IRQL-3", raised_to_a_lower_level, "verifier=on bugcheck=0xc4/0x30/5/2") {
    KIRQL ignored;
    KeRaiseIrql(5, &Old);
    KeRaiseIrql(DISPATCH_LEVEL, &ignored);
}

TARGET_CASE("IRQL-3", raised_to_the_same_level, "") {
    KIRQL old;
    KIRQL same;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeRaiseIrql(DISPATCH_LEVEL, &same);
    ASSERT_EQ(old, PASSIVE_LEVEL);
    ASSERT_EQ(same, DISPATCH_LEVEL);
    KeLowerIrql(same);
    KeLowerIrql(old);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("IRQL-3", a_free_build_raises_to_a_lower_level, "verifier=off violates=IRQL-3") {
    KIRQL old;
    KIRQL ignored;
    KeRaiseIrql(5, &old);
    KeRaiseIrql(DISPATCH_LEVEL, &ignored);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(old);
}

TARGET_CASE("IRQL-4", lowered_to_a_higher_level, "verifier=on bugcheck=0xc4/0x31/2/5/0") {
    KeRaiseIrql(DISPATCH_LEVEL, &Old);
    KeLowerIrql(5);
}

TARGET_CASE("IRQL-4", lowered_elsewhere_than_it_was_raised_from, "verifier=on bugcheck=0xc4/0x31/5/1/0") {
    KeRaiseIrql(5, &Old);
    KeLowerIrql(APC_LEVEL);
}

static VOID NTAPI LowerInDpc(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    KeLowerIrql(PASSIVE_LEVEL);
}

TARGET_CASE("IRQL-4", lowered_below_dispatch_level_in_a_dpc, "verifier=on bugcheck=0xc4/0x31/2/0/1") {
    KeInitializeDpc(&Dpc, LowerInDpc, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
}

TARGET_CASE("IRQL-4 SPIN-4", lowered_with_a_lock_held, "verifier=on bugcheck=0xc4/0x31/2/0/0") {
    KeAcquireSpinLock(&Lock[0], &Old);
    KeLowerIrql(Old);
}

TARGET_CASE("IRQL-4 IRQL-6", raises_nest, "") {
    KIRQL old[4];
    KeRaiseIrql(APC_LEVEL, &old[0]);
    KeRaiseIrql(DISPATCH_LEVEL, &old[1]);
    KeRaiseIrql(5, &old[2]);
    old[3] = KeRaiseIrqlToSynchLevel();
    ASSERT_EQ(KeGetCurrentIrql(), 12);
    for (ULONG i = 4; i-- > 0;) {
        KeLowerIrql(old[i]);
    }
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("IRQL-5", to_dispatch_level_from_above, "verifier=on bugcheck=0xc4/0x30/5/2") {
    KeRaiseIrql(5, &Old);
    KeRaiseIrqlToDpcLevel();
}

TARGET_CASE("IRQL-5", to_dispatch_level_from_there, "") {
    KIRQL old = KeRaiseIrqlToDpcLevel();
    ASSERT_EQ(old, PASSIVE_LEVEL);
    ASSERT_EQ(KeRaiseIrqlToDpcLevel(), DISPATCH_LEVEL);
    KeLowerIrql(DISPATCH_LEVEL);
    KeLowerIrql(old);
}

TARGET_CASE("SPIN-11", initialised_twice, "verifier=on bugcheck=0xc4/0x1005") {
    KeInitializeSpinLock(&Lock[1]);
    KeInitializeSpinLock(&Lock[1]);
}

TARGET_CASE("SPIN-11", initialised_while_held, "verifier=on bugcheck=0xc4/0x1005") {
    KeAcquireSpinLock(&Lock[2], &Old);
    KeInitializeSpinLock(&Lock[2]);
}

TARGET_CASE("SPIN-11", storage_that_returns_is_initialised_anew, "") {
    for (ULONG i = 0; i < 3; i++) {
        KIRQL old;
        PKSPIN_LOCK lock = ExAllocatePoolWithTag(NonPagedPool, sizeof *lock, 'kcol');
        KeInitializeSpinLock(lock);
        KeAcquireSpinLock(lock, &old);
        KeReleaseSpinLock(lock, old);
        ExFreePoolWithTag(lock, 'kcol');
    }
}

TARGET_CASE("IRQL-8", passive_level_routine_above_it, "verifier=on bugcheck=0xc4/0x2000a/*/2") {
    PDEVICE_OBJECT device;
    KeRaiseIrql(DISPATCH_LEVEL, &Old);
    IoCreateDevice(NULL, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
}

TARGET_CASE("IRQL-8", pool_above_dispatch_level, "verifier=on bugcheck=0xc4/0x02/5/0/24") {
    KeRaiseIrql(5, &Old);
    ExAllocatePoolWithTag(NonPagedPool, 24, 'kcol');
}

TARGET_CASE("IRQL-8", pool_freed_above_dispatch_level, "verifier=on bugcheck=0xc4/0x12/5") {
    PVOID block = ExAllocatePoolWithTag(NonPagedPool, 24, 'kcol');
    KeRaiseIrql(5, &Old);
    ExFreePoolWithTag(block, 'kcol');
}

TARGET_CASE("IRQL-8", an_irp_at_dirql, "verifier=on bugcheck=0xc4/0x20011/*/5") {
    KeRaiseIrql(5, &Old);
    IoAllocateIrp(1, FALSE);
}

TARGET_CASE("IRQL-8", arguments_arrive_through_the_checks, "") {
    PVOID block = ExAllocatePoolWithTag(NonPagedPool, 100, 'kcol');
    ASSERT_NE(block, NULL);
    ExFreePoolWithTag(block, 'kcol'); /* with another tag it would be 0xC2 */
    PIRP irp = IoAllocateIrp(3, FALSE);
    ASSERT_EQ(irp->StackCount, 3);
    IoFreeIrp(irp);
}

static BOOLEAN NTAPI RaiseInIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    KIRQL ignored;
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    KeRaiseIrql(9, &ignored);
    Done = 1;
    return TRUE;
}

static BOOLEAN NTAPI StayInSynchCrit(PVOID SynchronizeContext) {
    UNREFERENCED_PARAMETER(SynchronizeContext);
    Done = 1;
    return TRUE;
}

/* (current << 16) | (expected << 8) | 3, which stands for an ISR. */
TARGET_CASE("IRQL-6", an_isr_returns_elsewhere, "verifier=on bugcheck=0xc8/0x090503") {
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(RaiseInIsr, NULL);
    Done = 0;
    DirqlInterrupt(0, interrupt.Vector);
    WAIT_UNTIL(Done);
    DisconnectLockInterrupt(&interrupt);
}

TARGET_CASE("IRQL-6", a_free_build_restores_after_an_isr, "verifier=off violates=INT-1") {
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(RaiseInIsr, NULL);
    Done = 0;
    DirqlInterrupt(0, interrupt.Vector);
    WAIT_UNTIL(Done);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    DisconnectLockInterrupt(&interrupt);
}

static VOID NTAPI RaiseInDpc(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    KIRQL ignored;
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    KeRaiseIrql(5, &ignored);
}

TARGET_CASE("IRQL-6 DPC-4", a_dpc_returns_elsewhere, "verifier=on bugcheck=0xc8/0x050202") {
    KeInitializeDpc(&Dpc, RaiseInDpc, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
}

static VOID NTAPI HoldInDpc(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    KeAcquireSpinLockAtDpcLevel(&Lock[3]);
}

TARGET_CASE("SPIN-10 SYS-13", a_dpc_returns_with_a_lock_held, "verifier=on bugcheck=0xc4/0x40009") {
    KeInitializeDpc(&Dpc, HoldInDpc, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
}

TARGET_CASE("SYN-4", synchronised_above_its_irql, "verifier=on bugcheck=0xc4/0x30/9/5") {
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(RaiseInIsr, NULL);
    KeRaiseIrql(9, &Old);
    KeSynchronizeExecution(interrupt.Object, StayInSynchCrit, NULL);
}

TARGET_CASE("SYN-4 INT-10", the_lock_taken_above_its_irql, "verifier=on bugcheck=0xc4/0x30/9/5") {
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(RaiseInIsr, NULL);
    KeRaiseIrql(9, &Old);
    KeAcquireInterruptSpinLock(interrupt.Object);
}

TARGET_CASE("INT-10", an_interrupt_lock_acquired_by_its_holder, "verifier=on bugcheck=0xf limit=5") {
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(RaiseInIsr, NULL);
    Old = KeAcquireInterruptSpinLock(interrupt.Object);
    KeSynchronizeExecution(interrupt.Object, StayInSynchCrit, NULL);
}

TARGET_CASE("INT-10", an_interrupt_lock_released_by_nobody, "verifier=on bugcheck=0xc4/0x1007") {
    LOCK_INTERRUPT interrupt = ConnectLockInterrupt(RaiseInIsr, NULL);
    KeRaiseIrql(LOCK_IRQL, &Old);
    KeReleaseInterruptSpinLock(interrupt.Object, Old);
}

TARGET_DRIVER
