/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How exact timers are (TMR-5), and what a change of system time does to them (TMR-9). Where time is virtual, how late a timer is is
 * part of the rule; where it is the host's, only that none is early.
 */
#include "timercase.h"

static ALARM Alarm, Other;

/* Sets a timer from different points of a tick: the first due time is that many twentieths into the next one. */
TARGET_CASE("TMR-5", absolute_never_early_and_at_most_a_period_late, "clock=10000") {
    for (ULONG i = 0; i < 40; i++) {
        PrepareAlarm(&Alarm, NotificationTimer);
        LONGLONG due = SystemNow() + Ticks(1) + (LONGLONG)i * Ticks(1) / 20 + (i & 1);
        SetAlarm(&Alarm, At(due));
        SLEEP_UNTIL(Alarm.Runs);
        ASSERT_GE(Alarm.SystemTime, (ULONG64)due);
        if (VirtualTime()) {
            ASSERT_LT(Alarm.SystemTime, (ULONG64)(due + Ticks(1)));
        }
    }
}

TARGET_CASE("TMR-5", relative_at_most_a_period_early_or_late, "clock=10000") {
    for (ULONG i = 0; i < 40; i++) {
        PrepareAlarm(&Alarm, NotificationTimer);
        LONGLONG delay = Ticks(1) + (LONGLONG)i * Ticks(1) / 20 + (i & 1);
        ULONG64 set = KeQueryInterruptTime(), precise = PreciseNow();
        SetAlarm(&Alarm, In(delay));
        SLEEP_UNTIL(Alarm.Runs);
        ASSERT_GE(Alarm.InterruptTime, set + (ULONG64)delay); /* as the clock shows it, that is never early */
        if (VirtualTime()) {
            ASSERT_GE(Alarm.Precise + (ULONG64)Ticks(1), precise + (ULONG64)delay);
            ASSERT_LE(Alarm.Precise, precise + (ULONG64)(delay + Ticks(1)));
        }
    }
}

/* 64 and 4,096 ticks are where a timing wheel with slots of six bits goes from one level to the next. */
TARGET_CASE("TMR-5", near_and_far_alike, "cpus=1,2 clock=1000") {
    static const ULONG ticks[] = {1, 2, 31, 63, 64, 65, 127, 128, 129, 1000, 4095, 4096, 4097};
    static ALARM alarms[RTL_NUMBER_OF(ticks)];
    ULONG64 due[RTL_NUMBER_OF(ticks)];
    for (ULONG i = 0; i < RTL_NUMBER_OF(ticks); i++) {
        PrepareAlarm(&alarms[i], NotificationTimer);
        due[i] = (ULONG64)(SystemNow() + Ticks(ticks[i]));
        SetAlarm(&alarms[i], At((LONGLONG)due[i]));
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(ticks); i++) {
        ASSERT_EQ(KeWaitForSingleObject(&alarms[i].Timer, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
        KeFlushQueuedDpcs();
        ASSERT_EQ(alarms[i].Runs, 1);
        ASSERT_GE(alarms[i].SystemTime, due[i]);
        if (VirtualTime()) {
            ASSERT_LT(alarms[i].SystemTime, due[i] + (ULONG64)Ticks(1));
        }
    }
}

/* Periods of a tick and a half: every expiry is in its own place, none moves the next. */
TARGET_CASE("TMR-5", a_periodic_timer_keeps_its_phase, "mode=icount clock=20000") {
    PrepareAlarm(&Alarm, NotificationTimer);
    ULONG64 start = KeQueryInterruptTime();
    KeSetTimerEx(&Alarm.Timer, In(30000), 3, &Alarm.Dpc);
    for (ULONG i = 1; i <= 20; i++) {
        SLEEP_UNTIL(Alarm.Runs == (LONG)i);
        ASSERT_GE(Alarm.InterruptTime, start + i * 30000ull);
        ASSERT_LT(Alarm.InterruptTime, start + i * 30000ull + (ULONG64)Ticks(1));
    }
    ASSERT_TRUE(KeCancelTimer(&Alarm.Timer));
    KeFlushQueuedDpcs();
}

/* While the timekeeper is above CLOCK_LEVEL its ticks come as one: no time is lost by it, and what was missed is not made up for. */
TARGET_CASE("TMR-5", ticks_that_come_as_one_are_all_counted, "clock=10000") {
    KIRQL irql;
    PrepareAlarm(&Alarm, NotificationTimer);
    PrepareAlarm(&Other, NotificationTimer);
    ULONG64 start = KeQueryInterruptTime();
    KeRaiseIrql(HIGH_LEVEL, &irql);
    ULONG64 before = PreciseNow();
    KeStallExecutionProcessor(10000); /* ten ticks */
    ULONG64 after = PreciseNow();
    ASSERT_EQ(KeQueryInterruptTime() - KeQueryInterruptTime() % KeQueryTimeIncrement(), KeQueryInterruptTime());
    KeLowerIrql(irql);
    ASSERT_GE(after, before + 100000);
    WAIT_UNTIL(KeQueryInterruptTime() != start);
    SleepTicks(1);
    ASSERT_GE(KeQueryInterruptTime(), after);
}

static VOID PutBack(LONGLONG Before, ULONG64 Start) {
    DirqlSetSystemTime((ULONG64)Before + KeQueryInterruptTime() - Start);
}

TARGET_CASE("TMR-9", absolute_ones_follow_the_system_time, "clock=10000") {
    LONGLONG before = SystemNow();
    ULONG64 start = KeQueryInterruptTime();
    PrepareAlarm(&Alarm, NotificationTimer);
    PrepareAlarm(&Other, NotificationTimer);
    SetAlarm(&Alarm, At(before + HOUR));
    SetAlarm(&Other, In(HOUR));
    ULONG64 was = DirqlSetSystemTime((ULONG64)(before + 2 * HOUR));
    ASSERT_GE(was, (ULONG64)before);
    ASSERT_LT(was, (ULONG64)(before + HOUR));
    ASSERT_GE(SystemNow(), before + 2 * HOUR);
    SLEEP_UNTIL(Alarm.Runs);
    ASSERT_FALSE(KeReadStateTimer(&Other.Timer));
    SleepTicks(2);
    ASSERT_FALSE(KeReadStateTimer(&Other.Timer));
    ASSERT_TRUE(KeCancelTimer(&Other.Timer));
    PutBack(before, start);
}

TARGET_CASE("TMR-9", a_clock_put_back_makes_them_wait, "clock=10000") {
    LONGLONG before = SystemNow();
    ULONG64 start = KeQueryInterruptTime();
    PrepareAlarm(&Alarm, NotificationTimer);
    PrepareAlarm(&Other, NotificationTimer);
    LONGLONG due = SystemNow() + Ticks(200);
    SetAlarm(&Alarm, At(due));
    SetAlarm(&Other, In(Ticks(200)));
    DirqlSetSystemTime((ULONG64)(before - HOUR));
    SLEEP_UNTIL(Other.Runs); /* on time by the clock that nobody sets */
    ASSERT_FALSE(KeReadStateTimer(&Alarm.Timer));
    DirqlSetSystemTime((ULONG64)(due - 1));
    SLEEP_UNTIL(Alarm.Runs);
    ASSERT_GE(Alarm.SystemTime, (ULONG64)due);
    PutBack(before, start);
}

TARGET_CASE("TMR-9", a_periodic_one_is_relative_after_its_first_time, "clock=10000") {
    LONGLONG before = SystemNow();
    ULONG64 start = KeQueryInterruptTime();
    PrepareAlarm(&Alarm, NotificationTimer);
    KeSetTimerEx(&Alarm.Timer, At(before + HOUR), 1, &Alarm.Dpc);
    SleepTicks(2);
    ASSERT_EQ(Alarm.Runs, 0);
    DirqlSetSystemTime((ULONG64)(before + HOUR));
    SLEEP_UNTIL(Alarm.Runs >= 2);
    LONG runs = Alarm.Runs;
    DirqlSetSystemTime((ULONG64)before); /* it goes on, although its first time is an hour away again */
    SLEEP_UNTIL(Alarm.Runs >= runs + 3);
    ASSERT_TRUE(KeCancelTimer(&Alarm.Timer));
    KeFlushQueuedDpcs();
    PutBack(before, start);
}

static volatile LONG Ended;

static VOID NTAPI WaitUntilHour(PVOID Context) {
    LARGE_INTEGER due = *(LARGE_INTEGER *)Context;
    KEVENT never;
    KeInitializeEvent(&never, NotificationEvent, FALSE);
    ASSERT_EQ(KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, &due), STATUS_TIMEOUT);
    InterlockedIncrement(&Ended);
}

TARGET_CASE("TMR-9", a_wait_until_a_system_time_follows_it, "smp=2 clock=10000") {
    LONGLONG before = SystemNow();
    ULONG64 start = KeQueryInterruptTime();
    LARGE_INTEGER due = At(before + HOUR);
    Ended = 0;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, WaitUntilHour, &due);
    }
    SleepTicks(5);
    ASSERT_EQ(Ended, 0);
    DirqlSetSystemTime((ULONG64)due.QuadPart);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
    ASSERT_EQ(Ended, (LONG)TargetCpus() - 1);
    PutBack(before, start);
}

TARGET_DRIVER
