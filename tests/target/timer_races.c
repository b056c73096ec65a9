/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A timer that expires while it is cancelled or set again elsewhere (TMR-2, TMR-4): exactly one of "the cancel returned TRUE" and "the
 * DPC ran" comes true, whoever comes first.
 */
#include "timercase.h"

#define ROUNDS 100

static ALARM Alarm;
static volatile LONG Round, Done, Cancelled;
static volatile ULONG64 Moment;

static VOID WaitForMoment(VOID) {
    ULONG64 moment = Moment;
    while (PreciseNow() < moment) {
        YieldProcessor();
    }
}

static VOID NTAPI CancelEachRound(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (LONG round = 1; round <= ROUNDS; round++) {
        WAIT_UNTIL(Round >= round);
        WaitForMoment();
        if (KeCancelTimer(&Alarm.Timer)) {
            InterlockedIncrement(&Cancelled);
        }
        InterlockedIncrement(&Done);
    }
}

/* The moment sweeps over the tick at which the timer is due, so that in virtual time both outcomes are sure to be seen. */
TARGET_CASE("TMR-4", one_outcome_of_a_cancel_and_an_expiry, "smp=2 clock=10000") {
    LONG others = (LONG)TargetCpus() - 1, expired = 0;
    Round = Done = 0;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, CancelEachRound, NULL);
    }
    for (LONG round = 1; round <= ROUNDS; round++) {
        PrepareAlarm(&Alarm, NotificationTimer);
        Cancelled = 0;
        SetAlarm(&Alarm, In(1));
        Moment = KeQueryInterruptTime() + (ULONG64)Ticks(1) + (ULONG64)(round - ROUNDS / 2) * 40;
        Round = round;
        WAIT_UNTIL(Done == round * others);
        KeFlushQueuedDpcs();
        ASSERT_EQ(Cancelled + Alarm.Runs, 1);
        ASSERT_EQ(KeReadStateTimer(&Alarm.Timer), Cancelled == 0);
        expired += Alarm.Runs;
    }
    if (VirtualTime()) {
        ASSERT_NE(expired, 0);
        ASSERT_NE(expired, ROUNDS);
    }
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
}

static volatile LONG Sets, Taken, Stop;

/* Every call that returns FALSE has begun a setting of its own; every setting ends in an expiry, a call that returns TRUE, or the last. */
static VOID NTAPI SetOverAndOver(PVOID Context) {
    LARGE_INTEGER due = In(1);
    UNREFERENCED_PARAMETER(Context);
    for (LONG i = 0; i < ROUNDS; i++) {
        if (KeSetTimer(&Alarm.Timer, due, &Alarm.Dpc)) {
            InterlockedIncrement(&Taken);
        }
        InterlockedIncrement(&Sets);
        if (i % 8 == 0) {
            SleepTicks(1);
        }
    }
}

TARGET_CASE("TMR-2", all_cpus_set_one_timer, "clock=10000") {
    PrepareAlarm(&Alarm, NotificationTimer);
    Sets = Taken = 0;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, SetOverAndOver, NULL);
    }
    SetOverAndOver(NULL);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
    SLEEP_UNTIL(KeReadStateTimer(&Alarm.Timer));
    KeFlushQueuedDpcs();
    /* What was not taken back has expired; a DPC that was still queued at the next expiry ran once for both. */
    ASSERT_EQ(Sets, ROUNDS * (LONG)TargetCpus());
    ASSERT_GT(Alarm.Runs, 0);
    ASSERT_LE(Alarm.Runs, Sets - Taken);
    ASSERT_FALSE(KeCancelTimer(&Alarm.Timer));
}

static ALARM Periodic;
static volatile LONG Cancels;

static VOID NTAPI CancelPeriodic(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    while (!Stop) {
        if (KeCancelTimer(&Periodic.Timer)) {
            InterlockedIncrement(&Cancels);
        }
        YieldProcessor();
    }
}

/* A periodic timer is cancelled once for each time that it is set, however often it has expired in between. */
TARGET_CASE("TMR-4", a_periodic_timer_is_cancelled_once, "smp=2 clock=10000") {
    PrepareAlarm(&Periodic, NotificationTimer);
    Cancels = 0;
    Stop = FALSE;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, CancelPeriodic, NULL);
    }
    for (LONG i = 1; i <= 50; i++) {
        ASSERT_FALSE(KeSetTimerEx(&Periodic.Timer, In(1), 1, &Periodic.Dpc));
        WAIT_UNTIL(Cancels == i);
    }
    Stop = TRUE;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
    KeFlushQueuedDpcs();
    ASSERT_EQ(Cancels, 50);
}

TARGET_DRIVER
