/* SPDX-License-Identifier: Apache-2.0 */
/* Critical and guarded regions and APC_LEVEL: APC-2, APC-3, IRQL-10, MUT-3. */
#include <ntddk.h>

#include "apccase.h"

static NOTED_APC Normal, Special;
static KEVENT Event;

static VOID QueueBoth(PKTHREAD Thread) {
    InitializeNormal(&Normal, Thread);
    InitializeSpecial(&Special, Thread);
    ASSERT_TRUE(InsertNoted(&Normal));
    ASSERT_TRUE(InsertNoted(&Special));
}

TARGET_CASE("APC-2", a_critical_region_holds_normal_ones_back, "") {
    ASSERT_FALSE(KeAreApcsDisabled());
    KeEnterCriticalRegion();
    ASSERT_TRUE(KeAreApcsDisabled());
    ASSERT_FALSE(KeAreAllApcsDisabled());
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    QueueBoth(KeGetCurrentThread());
    ASSERT_NE(Special.KernelOrder, 0);
    ASSERT_EQ(Normal.KernelOrder, 0);
    KeLeaveCriticalRegion();
    ASSERT_NE(Normal.NormalOrder, 0);
    ASSERT_EQ(Normal.NormalIrql, PASSIVE_LEVEL);
    ASSERT_FALSE(KeAreApcsDisabled());
}

TARGET_CASE("APC-2", a_guarded_region_holds_all_back, "") {
    ASSERT_FALSE(KeAreAllApcsDisabled());
    KeEnterGuardedRegion();
    ASSERT_TRUE(KeAreApcsDisabled());
    ASSERT_TRUE(KeAreAllApcsDisabled());
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    QueueBoth(KeGetCurrentThread());
    Settle();
    ASSERT_EQ(Special.KernelOrder, 0);
    ASSERT_EQ(Normal.KernelOrder, 0);
    KeLeaveGuardedRegion();
    ASSERT_NE(Special.KernelOrder, 0);
    ASSERT_GT(Normal.KernelOrder, Special.KernelOrder);
    ASSERT_FALSE(KeAreAllApcsDisabled());
}

TARGET_CASE("APC-2 IRQL-10", apc_level_holds_all_back, "") {
    KIRQL old;
    KeRaiseIrql(APC_LEVEL, &old);
    ASSERT_FALSE(KeAreApcsDisabled());
    ASSERT_TRUE(KeAreAllApcsDisabled());
    QueueBoth(KeGetCurrentThread());
    Settle();
    ASSERT_EQ(Special.KernelOrder, 0);
    ASSERT_EQ(Normal.KernelOrder, 0);
    KeLowerIrql(old);
    ASSERT_NE(Special.KernelOrder, 0);
    ASSERT_NE(Normal.NormalOrder, 0);
}

TARGET_CASE("APC-3", only_the_last_region_lets_them_go, "") {
    KeEnterCriticalRegion();
    KeEnterGuardedRegion();
    KeEnterCriticalRegion();
    KeEnterGuardedRegion();
    QueueBoth(KeGetCurrentThread());
    KeLeaveGuardedRegion();
    ASSERT_TRUE(KeAreAllApcsDisabled());
    KeLeaveCriticalRegion();
    ASSERT_EQ(Special.KernelOrder, 0);
    KeLeaveGuardedRegion();
    ASSERT_NE(Special.KernelOrder, 0);
    ASSERT_EQ(Normal.KernelOrder, 0);
    ASSERT_TRUE(KeAreApcsDisabled());
    KeLeaveCriticalRegion();
    ASSERT_NE(Normal.NormalOrder, 0);
    ASSERT_FALSE(KeAreApcsDisabled());
}

TARGET_CASE("APC-3", a_critical_region_left_in_a_guarded_one_lets_nothing_go, "") {
    KeEnterGuardedRegion();
    KeEnterCriticalRegion();
    QueueBoth(KeGetCurrentThread());
    KeLeaveCriticalRegion();
    ASSERT_EQ(Normal.KernelOrder, 0);
    KeLeaveGuardedRegion();
    ASSERT_NE(Special.KernelOrder, 0);
    ASSERT_NE(Normal.NormalOrder, 0);
}

TARGET_CASE("APC-3 IRQL-10", left_at_apc_level_they_come_when_it_is_lowered, "") {
    KIRQL old;
    KeEnterGuardedRegion();
    QueueBoth(KeGetCurrentThread());
    Settle(); /* the interrupt has come and found nothing to deliver */
    KeRaiseIrql(APC_LEVEL, &old);
    KeLeaveGuardedRegion();
    ASSERT_EQ(Special.KernelOrder, 0);
    KeLowerIrql(old);
    ASSERT_NE(Special.KernelOrder, 0);
    ASSERT_NE(Normal.NormalOrder, 0);
}

TARGET_CASE("MUT-3 APC-2", the_owner_of_a_mutex_gets_no_normal_ones, "") {
    static KMUTEX mutex;
    KeInitializeMutex(&mutex, 0);
    ASSERT_EQ(WaitFor(&mutex), STATUS_SUCCESS);
    ASSERT_EQ(WaitFor(&mutex), STATUS_SUCCESS);
    ASSERT_TRUE(KeAreApcsDisabled());
    ASSERT_FALSE(KeAreAllApcsDisabled());
    QueueBoth(KeGetCurrentThread());
    ASSERT_NE(Special.KernelOrder, 0);
    ASSERT_EQ(Normal.KernelOrder, 0);
    KeReleaseMutex(&mutex, FALSE);
    ASSERT_TRUE(KeAreApcsDisabled()); /* it owns it still */
    ASSERT_EQ(Normal.KernelOrder, 0);
    KeReleaseMutex(&mutex, FALSE);
    ASSERT_FALSE(KeAreApcsDisabled());
    ASSERT_NE(Normal.NormalOrder, 0);
}

/* Owner or waiter: a thread that got the mutex in a wait is held back too. */
static KMUTEX Mutex;
static volatile LONG Phase;

static VOID NTAPI OwnsForAWhile(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    ASSERT_TRUE(KeAreApcsDisabled());
    ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
    KeReleaseMutex(&Mutex, FALSE);
    ASSERT_FALSE(KeAreApcsDisabled());
}

TARGET_CASE("MUT-3 APC-4", nor_does_one_that_waited_for_it, "") {
    WORKER worker;
    KeInitializeMutex(&Mutex, 0);
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    StartWorker(&worker, OwnsForAWhile, NULL, ABOVE, ON(CPU_OF(1)));
    WAIT_UNTIL(Waits(worker.Thread));
    KeReleaseMutex(&Mutex, FALSE);
    WAIT_UNTIL(KeReadStateMutex(&Mutex) == 0 && Waits(worker.Thread));
    QueueBoth(worker.Thread);
    WAIT_UNTIL(Special.KernelOrder != 0);
    Settle();
    ASSERT_EQ(Normal.KernelOrder, 0); /* its wait goes on without it */
    KeSetEvent(&Event, 0, FALSE);
    EndWorker(&worker);
    ASSERT_NE(Normal.NormalOrder, 0);
}

static VOID NTAPI WaitsInARegion(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeEnterGuardedRegion();
    ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
    ASSERT_EQ(Special.KernelOrder, 0);
    KeLeaveGuardedRegion();
    ASSERT_NE(Special.KernelOrder, 0);
}

static VOID NTAPI WaitsAtApcLevel(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(APC_LEVEL, &old);
    ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
    ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
    ASSERT_EQ(Special.KernelOrder, 0);
    KeLowerIrql(old);
    ASSERT_NE(Special.KernelOrder, 0);
}

static VOID WaitHeldBack(PKSTART_ROUTINE Routine) {
    WORKER worker;
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    StartWorker(&worker, Routine, NULL, ABOVE, ON(CPU_OF(1)));
    WAIT_UNTIL(Waits(worker.Thread));
    QueueBoth(worker.Thread);
    Settle();
    ASSERT_EQ(Special.KernelOrder, 0);
    KeSetEvent(&Event, 0, FALSE);
    EndWorker(&worker);
    ASSERT_NE(Normal.NormalOrder, 0);
}

TARGET_CASE("APC-2 APC-4", a_wait_in_a_guarded_region_is_left_alone, "") {
    WaitHeldBack(WaitsInARegion);
}

/* IRQL-10: APC_LEVEL is a thread's own; it may wait there. */
TARGET_CASE("IRQL-10 APC-4", a_wait_at_apc_level_is_left_alone, "") {
    WaitHeldBack(WaitsAtApcLevel);
}

static VOID NTAPI SetsPhase(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    Phase = 1;
}

/* IRQL-10: and a thread of higher priority has its CPU. */
TARGET_CASE("IRQL-10", a_thread_at_apc_level_is_preempted, "") {
    HELD held;
    KIRQL old;
    Phase = 0;
    CloseGate();
    StartHeld(&held, SetsPhase, NULL, ABOVE, 0);
    KeRaiseIrql(APC_LEVEL, &old);
    OpenGate();
    ASSERT_EQ(Phase, 1);
    ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(old);
    EndHeld(&held);
}

TARGET_CASE("APC-2", left_without_having_been_entered, "verifier=on bugcheck=0xc4/0x3e") {
    KeLeaveCriticalRegion();
}

TARGET_CASE("APC-2", entered_at_dispatch_level, "verifier=on bugcheck=0xc4/0x11a/2") {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeEnterCriticalRegion();
}

TARGET_CASE("APC-2", left_at_dispatch_level, "verifier=on bugcheck=0xc4/0x11b/2") {
    KIRQL old;
    KeEnterCriticalRegion();
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeLeaveCriticalRegion();
}

TARGET_DRIVER
