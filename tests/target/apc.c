/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel APCs and alerts: APC-1, APC-4, APC-5, IRQL-8, 0x20, 0xC8. */
#include <ntddk.h>

#include "apccase.h"

static NOTED_APC First, Second, Third, Fourth;
static KEVENT Event;
static volatile LONG Phase;

TARGET_CASE("APC-1 IRQL-8", a_special_one_runs_at_apc_level, "") {
    InitializeSpecial(&First, KeGetCurrentThread());
    for (ULONG i = 0; i < 2; i++) { /* it is its owner's again once it has run */
        First.KernelOrder = 0;
        ASSERT_TRUE(InsertNoted(&First));
        ASSERT_NE(First.KernelOrder, 0);
        ASSERT_EQ(First.KernelIrql, APC_LEVEL);
        ASSERT_EQ(First.KernelThread, KeGetCurrentThread());
        ASSERT_EQ(First.Argument1, 1);
        ASSERT_EQ(First.Argument2, 2);
        ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    }
    ASSERT_EQ(First.NormalOrder, 0);
}

TARGET_CASE("APC-1 IRQL-8", a_normal_one_runs_at_passive_level, "") {
    InitializeNormal(&First, KeGetCurrentThread());
    ASSERT_TRUE(InsertNoted(&First));
    ASSERT_NE(First.KernelOrder, 0);
    ASSERT_EQ(First.NormalOrder, First.KernelOrder + 1);
    ASSERT_EQ(First.KernelIrql, APC_LEVEL);
    ASSERT_EQ(First.NormalIrql, PASSIVE_LEVEL);
    ASSERT_EQ(First.NormalThread, KeGetCurrentThread());
    ASSERT_EQ(First.Argument1, 1);
    ASSERT_EQ(First.Argument2, 2);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("APC-1", its_kernel_routine_takes_the_normal_one_back, "") {
    InitializeNormal(&First, KeGetCurrentThread());
    First.Withdraw = TRUE;
    ASSERT_TRUE(InsertNoted(&First));
    ASSERT_NE(First.KernelOrder, 0);
    ASSERT_EQ(First.NormalOrder, 0);
    InitializeNormal(&Second, KeGetCurrentThread()); /* and the next one is not held back by that */
    ASSERT_TRUE(InsertNoted(&Second));
    ASSERT_NE(Second.NormalOrder, 0);
}

static VOID NTAPI ChangesArguments(PKAPC Apc, PKNORMAL_ROUTINE *NormalRoutine, PVOID *NormalContext,
                                   PVOID *SystemArgument1, PVOID *SystemArgument2) {
    UNREFERENCED_PARAMETER(Apc);
    *NormalRoutine = NotedNormalRoutine;
    *NormalContext = &Second;
    *SystemArgument1 = (PVOID)3;
    *SystemArgument2 = (PVOID)4;
}

static VOID NTAPI NeverRuns(PVOID NormalContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    ASSERT_TRUE(FALSE);
}

TARGET_CASE("APC-1", its_kernel_routine_changes_what_runs, "") {
    RtlZeroMemory(&Second, sizeof Second);
    KeInitializeApc(&First.Apc, KeGetCurrentThread(), OriginalApcEnvironment, ChangesArguments, NULL, NeverRuns,
                    KernelMode, &First);
    ASSERT_TRUE(InsertNoted(&First));
    ASSERT_NE(Second.NormalOrder, 0);
    ASSERT_EQ(Second.Argument1, 3);
    ASSERT_EQ(Second.Argument2, 4);
}

TARGET_CASE("APC-1", special_ones_go_first_each_kind_in_order, "") {
    KIRQL old;
    ApcOrder = 0;
    InitializeNormal(&First, KeGetCurrentThread());
    InitializeSpecial(&Second, KeGetCurrentThread());
    InitializeNormal(&Third, KeGetCurrentThread());
    InitializeSpecial(&Fourth, KeGetCurrentThread());
    KeRaiseIrql(APC_LEVEL, &old);
    ASSERT_TRUE(InsertNoted(&First));
    ASSERT_TRUE(InsertNoted(&Second));
    ASSERT_TRUE(InsertNoted(&Third));
    ASSERT_TRUE(InsertNoted(&Fourth));
    ASSERT_EQ(ApcOrder, 0);
    KeLowerIrql(old);
    ASSERT_EQ(Second.KernelOrder, 1);
    ASSERT_EQ(Fourth.KernelOrder, 2);
    ASSERT_EQ(First.KernelOrder, 3);
    ASSERT_EQ(First.NormalOrder, 4);
    ASSERT_EQ(Third.KernelOrder, 5);
    ASSERT_EQ(Third.NormalOrder, 6);
}

static VOID NTAPI QueuesOthers(PVOID NormalContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    ASSERT_TRUE(InsertNoted(&Second));
    ASSERT_EQ(Second.KernelOrder, 0); /* normal: not before this one has returned */
    ASSERT_TRUE(InsertNoted(&Third));
    ASSERT_NE(Third.KernelOrder, 0);  /* special: at once */
    ASSERT_TRUE(InsertNoted(&First)); /* itself: it has been off its queue since its KernelRoutine */
    ASSERT_EQ(Second.KernelOrder, 0);
    First.Withdraw = TRUE;
}

TARGET_CASE("APC-1", a_normal_one_is_interrupted_by_special_ones_only, "") {
    InitializeNoted(&First, KeGetCurrentThread(), QueuesOthers);
    InitializeNormal(&Second, KeGetCurrentThread());
    InitializeSpecial(&Third, KeGetCurrentThread());
    ASSERT_TRUE(InsertNoted(&First));
    ASSERT_NE(Second.NormalOrder, 0);
    ASSERT_GT(First.KernelOrder, Second.NormalOrder);
}

TARGET_CASE("APC-1", once_until_it_runs, "") {
    KIRQL old;
    InitializeSpecial(&First, KeGetCurrentThread());
    KeRaiseIrql(APC_LEVEL, &old);
    ASSERT_TRUE(InsertNoted(&First));
    ASSERT_FALSE(KeInsertQueueApc(&First.Apc, (PVOID)5, (PVOID)6, 0));
    KeLowerIrql(old);
    ASSERT_EQ(First.Argument1, 1);
    ASSERT_EQ(First.Argument2, 2);
}

TARGET_CASE("APC-1", one_that_is_removed_does_not_run, "") {
    KIRQL old;
    InitializeSpecial(&First, KeGetCurrentThread());
    InitializeNormal(&Second, KeGetCurrentThread());
    ASSERT_FALSE(KeRemoveQueueApc(&First.Apc));
    KeRaiseIrql(APC_LEVEL, &old);
    ASSERT_TRUE(InsertNoted(&First));
    ASSERT_TRUE(InsertNoted(&Second));
    ASSERT_TRUE(KeRemoveQueueApc(&First.Apc));
    ASSERT_FALSE(KeRemoveQueueApc(&First.Apc));
    KeLowerIrql(old);
    ASSERT_EQ(First.KernelOrder, 0);
    ASSERT_NE(Second.NormalOrder, 0);
    ASSERT_FALSE(KeRemoveQueueApc(&Second.Apc));
}

TARGET_CASE("APC-1", user_mode_has_none, "") {
    KeInitializeApc(&First.Apc, KeGetCurrentThread(), OriginalApcEnvironment, NotedKernelRoutine, NULL, NeverRuns,
                    UserMode, NULL);
    ASSERT_FALSE(InsertNoted(&First));
}

static VOID NTAPI SpinsForPhase(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    WAIT_UNTIL(Phase == 1);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("APC-1", a_thread_that_runs_elsewhere_is_interrupted, "smp=2") {
    WORKER worker;
    Phase = 0;
    StartWorker(&worker, SpinsForPhase, NULL, CASE_PRIORITY, ON(1));
    InitializeNormal(&First, worker.Thread);
    InitializeSpecial(&Second, worker.Thread);
    ASSERT_TRUE(InsertNoted(&First));
    WAIT_UNTIL(First.NormalOrder != 0);
    ASSERT_TRUE(InsertNoted(&Second));
    WAIT_UNTIL(Second.KernelOrder != 0);
    ASSERT_EQ(First.NormalThread, worker.Thread);
    ASSERT_EQ(Second.KernelThread, worker.Thread);
    Phase = 1;
    EndWorker(&worker);
}

static VOID NTAPI ReturnsAtOnce(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
}

/* It is ready, but the case runs: it gets them with its turn. */
TARGET_CASE("APC-1", a_thread_that_does_not_run_gets_it_with_its_turn, "") {
    HELD held;
    CloseGate();
    StartHeld(&held, ReturnsAtOnce, NULL, BELOW, 0);
    OpenGate();
    InitializeNormal(&First, held.Worker.Thread);
    ASSERT_TRUE(InsertNoted(&First));
    Settle();
    ASSERT_EQ(First.KernelOrder, 0);
    EndHeld(&held);
    ASSERT_NE(First.NormalOrder, 0);
    ASSERT_EQ(First.NormalThread, First.KernelThread);
}

TARGET_CASE("APC-1", a_thread_that_has_ended_gets_none, "") {
    PKTHREAD thread = StartThread(ReturnsAtOnce, NULL);
    ASSERT_EQ(WaitFor(thread), STATUS_SUCCESS);
    InitializeSpecial(&First, thread);
    ASSERT_FALSE(InsertNoted(&First));
    ObDereferenceObject(thread);
}

TARGET_CASE("APC-4", a_wait_goes_on_after_it, "") {
    WAITER waiter;
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    StartWaiter(&waiter, &Event, ABOVE, CPU_OF(1));
    InitializeNormal(&First, waiter.Worker.Thread);
    InitializeSpecial(&Second, waiter.Worker.Thread);
    ASSERT_TRUE(InsertNoted(&First));
    ASSERT_TRUE(InsertNoted(&Second));
    WAIT_UNTIL(First.NormalOrder != 0 && Second.KernelOrder != 0);
    WAIT_UNTIL(StillWaits(&waiter));
    ASSERT_EQ(First.NormalThread, waiter.Worker.Thread);
    KeSetEvent(&Event, 0, FALSE);
    EndWaiter(&waiter);
    ASSERT_EQ(waiter.Status, STATUS_SUCCESS);
}

/* What comes while the APC runs is not lost: the wait begins again with a look. */
static VOID NTAPI SetsTheEvent(PVOID NormalContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    ASSERT_EQ(KeSetEvent(&Event, 0, FALSE), 0);
}

TARGET_CASE("APC-4", a_signal_meanwhile_is_not_lost, "") {
    WAITER waiter;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    StartWaiter(&waiter, &Event, ABOVE, CPU_OF(1));
    InitializeNoted(&First, waiter.Worker.Thread, SetsTheEvent);
    ASSERT_TRUE(InsertNoted(&First));
    EndWaiter(&waiter);
    ASSERT_EQ(waiter.Status, STATUS_SUCCESS);
    ASSERT_EQ(KeReadStateEvent(&Event), 0);
}

/* An APC's own wait does not disturb that of its thread. */
static VOID NTAPI WaitsItself(PVOID NormalContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    ASSERT_EQ(WaitFor(NormalContext), STATUS_SUCCESS);
    Phase = 1;
}

TARGET_CASE("APC-4", a_normal_one_may_wait, "") {
    static KEVENT inner;
    WAITER waiter;
    Phase = 0;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeInitializeEvent(&inner, SynchronizationEvent, FALSE);
    StartWaiter(&waiter, &Event, ABOVE, CPU_OF(1));
    RtlZeroMemory(&First, sizeof First);
    KeInitializeApc(&First.Apc, waiter.Worker.Thread, OriginalApcEnvironment, NotedKernelRoutine, NULL, WaitsItself,
                    KernelMode, &inner);
    ASSERT_TRUE(InsertNoted(&First));
    WAIT_UNTIL(First.KernelOrder != 0 && Waits(waiter.Worker.Thread));
    KeSetEvent(&Event, 0, FALSE); /* nobody waits for it now */
    Settle();
    ASSERT_EQ(waiter.Order, 0);
    ASSERT_EQ(KeReadStateEvent(&Event), 1);
    KeSetEvent(&inner, 0, FALSE);
    EndWaiter(&waiter);
    ASSERT_EQ(Phase, 1);
    ASSERT_EQ(KeReadStateEvent(&Event), 0);
}

TARGET_CASE("APC-4", a_timeout_is_not_begun_anew, FAST_TICKS) {
    WAITER waiter;
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    StartTimedWaiter(&waiter, &Event, 100 * MILLISECONDS, ABOVE, CPU_OF(1));
    for (ULONG i = 0; waiter.Order == 0; i++) { /* for ever, if each began it again */
        InitializeSpecial(&First, waiter.Worker.Thread);
        if (InsertNoted(&First)) {
            WAIT_UNTIL(First.KernelOrder != 0);
        }
        WaitForAtMost(&Event, 2 * MILLISECONDS);
    }
    EndWaiter(&waiter);
    ASSERT_EQ(waiter.Status, STATUS_TIMEOUT);
}

static NTSTATUS AlertStatus[3];

static VOID NTAPI WaitsAlertably(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    AlertStatus[0] = KeWaitForSingleObject(&Event, Executive, KernelMode, TRUE, NULL);
    AlertStatus[1] = KeWaitForSingleObject(&Event, Executive, UserMode, TRUE, NULL);
    AlertStatus[2] = KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
}

TARGET_CASE("APC-5", an_alert_ends_an_alertable_wait, "") {
    WORKER worker;
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    AlertStatus[0] = AlertStatus[1] = AlertStatus[2] = STATUS_PENDING;
    StartWorker(&worker, WaitsAlertably, NULL, ABOVE, ON(CPU_OF(1)));
    WAIT_UNTIL(Waits(worker.Thread));
    ASSERT_FALSE(KeAlertThread(worker.Thread, KernelMode));
    WAIT_UNTIL(AlertStatus[0] != STATUS_PENDING && Waits(worker.Thread));
    ASSERT_EQ(AlertStatus[0], STATUS_ALERTED);
    ASSERT_FALSE(KeAlertThread(worker.Thread, UserMode));
    WAIT_UNTIL(AlertStatus[1] != STATUS_PENDING && Waits(worker.Thread));
    ASSERT_EQ(AlertStatus[1], STATUS_ALERTED);
    ASSERT_FALSE(KeAlertThread(worker.Thread, KernelMode)); /* not alertable */
    Settle();
    ASSERT_EQ(AlertStatus[2], STATUS_PENDING);
    ASSERT_TRUE(KeAlertThread(worker.Thread, KernelMode)); /* it is alerted already */
    KeSetEvent(&Event, 0, FALSE);
    EndWorker(&worker);
    ASSERT_EQ(AlertStatus[2], STATUS_SUCCESS);
}

TARGET_CASE("APC-5", an_alert_of_user_mode_does_not_end_a_wait_of_kernel_mode, "") {
    WORKER worker;
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    AlertStatus[0] = AlertStatus[1] = AlertStatus[2] = STATUS_PENDING;
    StartWorker(&worker, WaitsAlertably, NULL, ABOVE, ON(CPU_OF(1)));
    WAIT_UNTIL(Waits(worker.Thread));
    ASSERT_FALSE(KeAlertThread(worker.Thread, UserMode));
    Settle();
    ASSERT_EQ(AlertStatus[0], STATUS_PENDING);
    ASSERT_FALSE(KeAlertThread(worker.Thread, KernelMode));
    WAIT_UNTIL(AlertStatus[1] != STATUS_PENDING && Waits(worker.Thread)); /* the first one was kept for this */
    ASSERT_EQ(AlertStatus[0], STATUS_ALERTED);
    ASSERT_EQ(AlertStatus[1], STATUS_ALERTED);
    KeSetEvent(&Event, 0, FALSE);
    EndWorker(&worker);
}

TARGET_CASE("APC-5", an_alert_is_kept_for_the_next_wait, "") {
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    ASSERT_FALSE(KeTestAlertThread(KernelMode));
    ASSERT_FALSE(KeAlertThread(KeGetCurrentThread(), KernelMode));
    ASSERT_TRUE(KeTestAlertThread(KernelMode));
    ASSERT_FALSE(KeTestAlertThread(KernelMode));
    ASSERT_FALSE(KeAlertThread(KeGetCurrentThread(), KernelMode));
    ASSERT_EQ(KeWaitForSingleObject(&Event, Executive, KernelMode, TRUE, NULL), STATUS_ALERTED);
    ASSERT_FALSE(KeTestAlertThread(KernelMode));
    ASSERT_FALSE(KeAlertThread(KeGetCurrentThread(), KernelMode));
    KeSetEvent(&Event, 0, FALSE);
    ASSERT_EQ(KeWaitForSingleObject(&Event, Executive, KernelMode, TRUE, NULL), STATUS_SUCCESS); /* the object first */
    ASSERT_TRUE(KeTestAlertThread(KernelMode));
}

static VOID NTAPI ReturnsRaised(PKAPC Apc, PKNORMAL_ROUTINE *NormalRoutine, PVOID *NormalContext,
                                PVOID *SystemArgument1, PVOID *SystemArgument2) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Apc);
    UNREFERENCED_PARAMETER(NormalRoutine);
    UNREFERENCED_PARAMETER(NormalContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
}

TARGET_CASE("APC-1", its_routine_returns_at_another_irql, "bugcheck=0xc8/0x20100") {
    KeInitializeApc(&First.Apc, KeGetCurrentThread(), OriginalApcEnvironment, ReturnsRaised, NULL, NULL, KernelMode,
                    NULL);
    InsertNoted(&First);
}

static VOID NTAPI EndsInARegion(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeEnterCriticalRegion();
}

TARGET_CASE("APC-2", a_thread_ends_in_a_critical_region, "bugcheck=0x20/0/0xffffffffffffffff/0") {
    EndThread(StartThread(EndsInARegion, NULL));
}

TARGET_DRIVER
