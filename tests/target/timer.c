/* SPDX-License-Identifier: Apache-2.0 */
/* Timer objects: due times, setting, expiring, cancelling (TMR-1 to TMR-4, TMR-7), one rule at a time. */
#include "timercase.h"

static ALARM First, Second;

static NTSTATUS Poll(PKTIMER Timer) {
    LARGE_INTEGER zero = {.QuadPart = 0};
    return KeWaitForSingleObject(Timer, Executive, KernelMode, FALSE, &zero);
}

TARGET_CASE("TMR-1", below_zero_is_from_now, "") {
    PrepareAlarm(&First, NotificationTimer);
    ASSERT_FALSE(SetAlarm(&First, In(HOUR)));
    ASSERT_FALSE(KeReadStateTimer(&First.Timer));
    ASSERT_TRUE(KeCancelTimer(&First.Timer));
    ASSERT_FALSE(SetAlarm(&First, In(Ticks(2))));
    SLEEP_UNTIL(First.Runs);
    ASSERT_TRUE(KeReadStateTimer(&First.Timer));
    ASSERT_FALSE(KeCancelTimer(&First.Timer));
    KeFlushQueuedDpcs();
    ASSERT_EQ(First.Runs, 1);
}

TARGET_CASE("TMR-1", above_zero_is_a_system_time, "") {
    PrepareAlarm(&First, NotificationTimer);
    ASSERT_FALSE(SetAlarm(&First, At(SystemNow() + HOUR)));
    ASSERT_FALSE(KeReadStateTimer(&First.Timer));
    ASSERT_TRUE(KeCancelTimer(&First.Timer));
    ASSERT_FALSE(SetAlarm(&First, At(SystemNow() + Ticks(2))));
    SLEEP_UNTIL(First.Runs);
    ASSERT_FALSE(KeCancelTimer(&First.Timer));
    KeFlushQueuedDpcs();
    ASSERT_EQ(First.Runs, 1);
}

TARGET_CASE("TMR-1 TMR-3", what_has_passed_is_due_at_once, "") {
    const LONGLONG passed[] = {0, 1, SystemNow() - HOUR, SystemNow()};
    for (ULONG i = 0; i < RTL_NUMBER_OF(passed); i++) {
        PrepareAlarm(&First, NotificationTimer);
        ASSERT_FALSE(SetAlarm(&First, At(passed[i])));
        ASSERT_TRUE(KeReadStateTimer(&First.Timer));
        ASSERT_FALSE(KeCancelTimer(&First.Timer));
        KeFlushQueuedDpcs();
        ASSERT_EQ(First.Runs, 1);
    }
}

TARGET_CASE("TMR-2", set_says_whether_it_was_set, "") {
    PrepareAlarm(&First, NotificationTimer);
    ASSERT_FALSE(SetAlarm(&First, In(HOUR)));
    ASSERT_TRUE(SetAlarm(&First, In(2 * HOUR)));
    ASSERT_TRUE(KeSetCoalescableTimer(&First.Timer, In(HOUR), 0, 32, &First.Dpc));
    ASSERT_TRUE(KeSetTimerEx(&First.Timer, In(HOUR), 1000, &First.Dpc));
    ASSERT_TRUE(SetAlarm(&First, At(0))); /* due at once: not set any more */
    ASSERT_FALSE(SetAlarm(&First, In(HOUR)));
    ASSERT_TRUE(KeCancelTimer(&First.Timer));
    KeFlushQueuedDpcs();
    ASSERT_EQ(First.Runs, 1);
}

TARGET_CASE("TMR-2", setting_takes_the_signal_away, "") {
    PrepareAlarm(&First, NotificationTimer);
    SetAlarm(&First, At(0));
    ASSERT_TRUE(KeReadStateTimer(&First.Timer));
    SetAlarm(&First, In(HOUR));
    ASSERT_FALSE(KeReadStateTimer(&First.Timer));
    ASSERT_TRUE(KeCancelTimer(&First.Timer));
    ASSERT_FALSE(KeReadStateTimer(&First.Timer)); /* a cancel gives no signal */
    KeFlushQueuedDpcs();
}

/* The timer may expire before it is set again: what the second call returns says which, and both DPCs know. */
TARGET_CASE("TMR-2", setting_again_cancels_the_call_before, "clock=10000") {
    for (ULONG i = 0; i < 100; i++) {
        PrepareAlarm(&First, NotificationTimer);
        PrepareAlarm(&Second, NotificationTimer);
        SetAlarm(&First, In(1));
        for (ULONG64 end = PreciseNow() + (ULONG64)i * 200; PreciseNow() < end;) {
            YieldProcessor();
        }
        BOOLEAN was_set = KeSetTimer(&First.Timer, At(0), &Second.Dpc);
        KeFlushQueuedDpcs();
        ASSERT_EQ(Second.Runs, 1);
        ASSERT_EQ(First.Runs, was_set ? 0 : 1);
    }
}

/* Periodic, so that the timer is still set while its DPC waits in the queue of a CPU that is kept from running it. */
static VOID TakeQueuedCallAway(BOOLEAN SetAgain) {
    PrepareAlarm(&First, NotificationTimer);
    KeSetTargetProcessorDpc(&First.Dpc, 1);
    Hold(1);
    KeSetTimerEx(&First.Timer, In(1), 1, &First.Dpc);
    SLEEP_UNTIL(KeReadStateTimer(&First.Timer));
    if (SetAgain) {
        ASSERT_TRUE(KeSetTimer(&First.Timer, In(HOUR), NULL));
        ASSERT_FALSE(KeReadStateTimer(&First.Timer));
    }
    ASSERT_TRUE(KeCancelTimer(&First.Timer));
    Release(1);
    KeFlushQueuedDpcs();
    ASSERT_EQ(First.Runs, 0);
}

TARGET_CASE("TMR-2", setting_again_takes_a_queued_call_away, "smp=2 clock=10000") {
    TakeQueuedCallAway(TRUE);
}

TARGET_CASE("TMR-4", a_cancel_takes_a_queued_call_away, "smp=2 clock=10000") {
    TakeQueuedCallAway(FALSE);
}

/* A DPC that was queued by an expiry is no part of what is set afterwards. */
TARGET_CASE("TMR-2 TMR-4", an_expired_call_is_not_taken_away, "smp=2 clock=10000") {
    PrepareAlarm(&First, NotificationTimer);
    KeSetTargetProcessorDpc(&First.Dpc, 1);
    Hold(1);
    SetAlarm(&First, In(1));
    SLEEP_UNTIL(KeReadStateTimer(&First.Timer));
    ASSERT_FALSE(KeCancelTimer(&First.Timer));
    ASSERT_FALSE(KeSetTimer(&First.Timer, In(HOUR), NULL));
    ASSERT_TRUE(KeCancelTimer(&First.Timer));
    Release(1);
    KeFlushQueuedDpcs();
    ASSERT_EQ(First.Runs, 1);
}

TARGET_CASE("TMR-3 IRQL-8", a_dpc_at_dispatch_once, "clock=10000") {
    PrepareAlarm(&First, NotificationTimer);
    SetAlarm(&First, In(Ticks(1)));
    SLEEP_UNTIL(First.Runs);
    ASSERT_EQ(First.Irql, DISPATCH_LEVEL);
    SleepTicks(5);
    ASSERT_EQ(First.Runs, 1);
    ASSERT_TRUE(KeReadStateTimer(&First.Timer));
}

TARGET_CASE("TMR-3", a_notification_timer_stays_signalled, "") {
    PrepareAlarm(&First, NotificationTimer);
    ASSERT_EQ(Poll(&First.Timer), STATUS_TIMEOUT);
    KeSetTimer(&First.Timer, At(0), NULL);
    ASSERT_EQ(Poll(&First.Timer), STATUS_SUCCESS);
    ASSERT_EQ(Poll(&First.Timer), STATUS_SUCCESS);
    ASSERT_TRUE(KeReadStateTimer(&First.Timer));
}

TARGET_CASE("TMR-3", a_synchronization_timer_is_taken, "") {
    PrepareAlarm(&First, SynchronizationTimer);
    ASSERT_EQ(Poll(&First.Timer), STATUS_TIMEOUT);
    KeSetTimer(&First.Timer, At(0), NULL);
    ASSERT_TRUE(KeReadStateTimer(&First.Timer));
    ASSERT_EQ(Poll(&First.Timer), STATUS_SUCCESS);
    ASSERT_FALSE(KeReadStateTimer(&First.Timer));
    ASSERT_EQ(Poll(&First.Timer), STATUS_TIMEOUT);
}

TARGET_CASE("TMR-3", keinitializetimer_makes_one_of_notification, "") {
    KeInitializeTimer(&First.Timer);
    KeSetTimer(&First.Timer, At(0), NULL);
    ASSERT_EQ(Poll(&First.Timer), STATUS_SUCCESS);
    ASSERT_EQ(Poll(&First.Timer), STATUS_SUCCESS);
}

static volatile LONG Waiting, Woken;

static VOID NTAPI WaitForFirst(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&Waiting);
    ASSERT_EQ(KeWaitForSingleObject(&First.Timer, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
    InterlockedIncrement(&Woken);
}

static VOID StartWaiters(TIMER_TYPE Type) {
    PrepareAlarm(&First, Type);
    Waiting = Woken = 0;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, WaitForFirst, NULL);
    }
    WAIT_UNTIL(Waiting == (LONG)TargetCpus() - 1);
}

TARGET_CASE("TMR-3", a_notification_timer_lets_all_go, "smp=2 clock=10000") {
    StartWaiters(NotificationTimer);
    KeSetTimer(&First.Timer, In(Ticks(2)), NULL);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
    ASSERT_EQ(Woken, (LONG)TargetCpus() - 1);
    ASSERT_TRUE(KeReadStateTimer(&First.Timer));
}

TARGET_CASE("TMR-3", a_synchronization_timer_lets_one_go, "smp=2 clock=10000") {
    StartWaiters(SynchronizationTimer);
    for (LONG waiters = 1; waiters < (LONG)TargetCpus(); waiters++) {
        KeSetTimer(&First.Timer, In(Ticks(2)), NULL);
        SLEEP_UNTIL(Woken == waiters);
        SleepTicks(3);
        ASSERT_EQ(Woken, waiters);
        ASSERT_FALSE(KeReadStateTimer(&First.Timer));
    }
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
}

TARGET_CASE("TMR-4", cancel_says_whether_it_was_set, "") {
    PrepareAlarm(&First, NotificationTimer);
    ASSERT_FALSE(KeCancelTimer(&First.Timer));
    SetAlarm(&First, In(HOUR));
    ASSERT_TRUE(KeCancelTimer(&First.Timer));
    ASSERT_FALSE(KeCancelTimer(&First.Timer));
    SetAlarm(&First, At(0));
    ASSERT_FALSE(KeCancelTimer(&First.Timer));
    ASSERT_TRUE(KeReadStateTimer(&First.Timer)); /* a cancel takes no signal away */
    KeFlushQueuedDpcs();
    ASSERT_EQ(First.Runs, 1);
}

TARGET_CASE("TMR-4", a_periodic_timer_is_set_until_it_is_cancelled, "clock=10000") {
    PrepareAlarm(&First, NotificationTimer);
    ASSERT_FALSE(KeSetTimerEx(&First.Timer, In(1), 1, &First.Dpc));
    SLEEP_UNTIL(First.Runs >= 5);
    ASSERT_TRUE(KeCancelTimer(&First.Timer));
    KeFlushQueuedDpcs();
    LONG runs = First.Runs;
    SleepTicks(5);
    ASSERT_EQ(First.Runs, runs);
    ASSERT_FALSE(KeCancelTimer(&First.Timer));
    ASSERT_FALSE(KeSetTimerEx(&First.Timer, At(0), 1, &First.Dpc)); /* due at once, and then every millisecond */
    ASSERT_TRUE(KeReadStateTimer(&First.Timer));
    SLEEP_UNTIL(First.Runs >= runs + 3);
    ASSERT_TRUE(KeCancelTimer(&First.Timer));
    KeFlushQueuedDpcs();
}

/* Why a timer's DPC is the timer's alone: there is one place in a queue, and whoever comes second finds it taken. */
TARGET_CASE("TMR-7", a_dpc_that_its_driver_queues_is_lost_to_the_timer, "smp=2") {
    PrepareAlarm(&First, NotificationTimer);
    KeSetTargetProcessorDpc(&First.Dpc, 1);
    Hold(1);
    ASSERT_TRUE(KeInsertQueueDpc(&First.Dpc, NULL, NULL));
    SetAlarm(&First, At(0));
    ASSERT_TRUE(KeReadStateTimer(&First.Timer)); /* it has expired all the same */
    ASSERT_FALSE(KeInsertQueueDpc(&First.Dpc, NULL, NULL));
    Release(1);
    KeFlushQueuedDpcs();
    ASSERT_EQ(First.Runs, 1);
}

TARGET_DRIVER
