/* SPDX-License-Identifier: Apache-2.0 */
/* Where a timer's DPC runs (TMR-6, TMR-8): on the first CPU available, unless it has a target; on two at once if it must. */
#include "timercase.h"

static ALARM Alarm;

TARGET_CASE("TMR-8", another_cpu_serves_it_while_this_one_is_at_dispatch,
            "smp=2 clock=10000 placement=routine,first-available") {
    KIRQL irql;
    for (ULONG i = 0; i < 10; i++) {
        PrepareAlarm(&Alarm, NotificationTimer);
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        SetAlarm(&Alarm, In(Ticks(1)));
        WAIT_UNTIL(Alarm.Runs);
        ASSERT_NE(Alarm.Cpu, 0);
        ASSERT_EQ(Alarm.Irql, DISPATCH_LEVEL);
        KeLowerIrql(irql);
    }
}

static VOID HoldAllOthers(VOID) {
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        Hold(cpu);
    }
}

/* Ticks are counted at CLOCK_LEVEL, so that time passes while every CPU is at DISPATCH_LEVEL. */
TARGET_CASE("TMR-8 TMR-5", it_waits_while_every_cpu_is_at_dispatch, "clock=10000") {
    KIRQL irql;
    PrepareAlarm(&Alarm, NotificationTimer);
    HoldAllOthers();
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    SetAlarm(&Alarm, In(Ticks(1)));
    LetTicksPass(5);
    ASSERT_EQ(Alarm.Runs, 0);
    ASSERT_FALSE(KeReadStateTimer(&Alarm.Timer)); /* nothing at DISPATCH_LEVEL could look at it */
    KeLowerIrql(irql);
    WAIT_UNTIL(Alarm.Runs);
    ASSERT_EQ(Alarm.Cpu, 0);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        Release(cpu);
    }
}

TARGET_CASE("TMR-8", the_first_cpu_that_lowers_runs_it, "smp=2 clock=10000 placement=routine,first-available") {
    KIRQL irql;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        PrepareAlarm(&Alarm, NotificationTimer);
        HoldAllOthers();
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        SetAlarm(&Alarm, In(Ticks(1)));
        LetTicksPass(3);
        ASSERT_EQ(Alarm.Runs, 0);
        Released[cpu] = TRUE;
        WAIT_UNTIL(Alarm.Runs);
        ASSERT_EQ(Alarm.Cpu, cpu);
        KeLowerIrql(irql);
        for (ULONG other = 1; other < TargetCpus(); other++) {
            Release(other);
        }
        ASSERT_EQ(Alarm.Runs, 1);
    }
}

/* Due at once: no tick and no CPU but this one has anything to do with it. */
TARGET_CASE("TMR-8", due_at_once_it_waits_for_this_cpu_to_lower, "clock=10000") {
    KIRQL irql;
    PrepareAlarm(&Alarm, NotificationTimer);
    HoldAllOthers();
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    SetAlarm(&Alarm, At(0));
    ASSERT_TRUE(KeReadStateTimer(&Alarm.Timer));
    LetTicksPass(2);
    ASSERT_EQ(Alarm.Runs, 0);
    KeLowerIrql(irql);
    WAIT_UNTIL(Alarm.Runs);
    ASSERT_EQ(Alarm.Cpu, 0);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        Release(cpu);
    }
}

TARGET_CASE("TMR-8", due_at_once_another_cpu_serves_it, "smp=2 placement=routine,first-available") {
    KIRQL irql;
    for (ULONG i = 0; i < 10; i++) {
        PrepareAlarm(&Alarm, NotificationTimer);
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        SetAlarm(&Alarm, At(0));
        WAIT_UNTIL(Alarm.Runs);
        ASSERT_NE(Alarm.Cpu, 0);
        KeLowerIrql(irql);
    }
}

TARGET_CASE("TMR-8", a_targeted_one_waits_for_its_target, "smp=2 clock=10000") {
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        PrepareAlarm(&Alarm, NotificationTimer);
        KeSetTargetProcessorDpc(&Alarm.Dpc, (CCHAR)cpu);
        KeSetImportanceDpc(&Alarm.Dpc, HighImportance);
        Hold(cpu);
        SetAlarm(&Alarm, In(Ticks(1)));
        SLEEP_UNTIL(KeReadStateTimer(&Alarm.Timer));
        SleepTicks(2);
        ASSERT_EQ(Alarm.Runs, 0);
        Release(cpu);
        WAIT_UNTIL(Alarm.Runs);
        ASSERT_EQ(Alarm.Cpu, cpu);
    }
}

static volatile LONG Inside, Met;

/* The first call stays until the next one has begun: the timer's next period comes while it is still running. */
static VOID NTAPI StayUntilTheNext(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (InterlockedIncrement(&Inside) >= 2) {
        Met = TRUE;
    }
    WAIT_UNTIL(Met);
    InterlockedDecrement(&Inside);
}

TARGET_CASE("TMR-6 DPC-3", a_periodic_dpc_on_two_cpus_at_once, "smp=2 clock=10000 placement=routine,first-available") {
    PrepareAlarm(&Alarm, NotificationTimer);
    KeInitializeDpc(&Alarm.Dpc, StayUntilTheNext, NULL);
    Inside = Met = 0;
    KeSetTimerEx(&Alarm.Timer, In(1), 1, &Alarm.Dpc);
    WAIT_UNTIL(Met);
    ASSERT_TRUE(KeCancelTimer(&Alarm.Timer));
    KeFlushQueuedDpcs();
    ASSERT_EQ(Inside, 0);
}

TARGET_DRIVER
