/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thousands of timers at once: each expires once or is cancelled, in the order of the ticks that they are due at, near ones and far
 * ones. All are set for times an hour away, and the system time is then brought near: so all are set before the first is due,
 * however long that takes.
 */
#include "timercase.h"

#define MANY 5000
#define SPAN 300 /* clock ticks over which they are due */

typedef struct _ONE {
    KTIMER Timer;
    KDPC Dpc;
    LONGLONG Due; /* system time */
    volatile LONG Runs;
    volatile LONG Place; /* in the order of runs */
    BOOLEAN Cancelled;
} ONE;

static ONE Timers[MANY];
static volatile LONG Runs;
static ULONG Seed;

static ULONG Random(ULONG Limit) {
    Seed = Seed * 1664525u + 1013904223u;
    return (Seed >> 8) % Limit;
}

static VOID NTAPI CountOne(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    ONE *one = Context;
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    one->Place = InterlockedIncrement(&Runs);
    InterlockedIncrement(&one->Runs);
}

/* Target 0: queues are first in, first out, so the order of runs is that of expiry. Returns the first due time. */
static LONGLONG SetMany(ULONG Count, BOOLEAN Targeted) {
    LONGLONG first = SystemNow() + HOUR;
    Seed = 1;
    Runs = 0;
    for (ULONG i = 0; i < Count; i++) {
        ONE *one = &Timers[i];
        RtlZeroMemory(one, sizeof *one);
        KeInitializeTimer(&one->Timer);
        KeInitializeDpc(&one->Dpc, CountOne, one);
        if (Targeted) {
            KeSetTargetProcessorDpc(&one->Dpc, 0);
        }
        one->Due = first + Random((ULONG)Ticks(SPAN));
        ASSERT_FALSE(KeSetTimer(&one->Timer, At(one->Due), &one->Dpc));
    }
    return first;
}

/* The tick at which a system time has come, counted from some moment: both clocks are read in one tick. */
static LONGLONG TickOf(LONGLONG Time) {
    ULONG64 now;
    LONGLONG system;
    do {
        now = KeQueryInterruptTime();
        system = SystemNow();
    } while (KeQueryInterruptTime() != now);
    LONGLONG due = Time - system + (LONGLONG)now;
    return (due + Ticks(1) - 1) / Ticks(1);
}

static ONE *ByPlace[MANY + 1];

TARGET_CASE("TMR-5 TMR-9", thousands_expire_tick_by_tick, "clock=10000") {
    LONGLONG before = SystemNow();
    ULONG64 start = KeQueryInterruptTime();
    LONGLONG first = SetMany(MANY, TRUE);
    ASSERT_EQ(Runs, 0);
    DirqlSetSystemTime((ULONG64)(first - Ticks(1)));
    SLEEP_UNTIL(Runs == MANY);
    KeFlushQueuedDpcs();
    for (ULONG i = 0; i < MANY; i++) {
        ASSERT_EQ(Timers[i].Runs, 1);
        ASSERT_TRUE(KeReadStateTimer(&Timers[i].Timer));
        ByPlace[Timers[i].Place] = &Timers[i];
    }
    for (ULONG place = 2; place <= MANY; place++) {
        ASSERT_LE((ULONG64)TickOf(ByPlace[place - 1]->Due), (ULONG64)TickOf(ByPlace[place]->Due));
    }
    DirqlSetSystemTime((ULONG64)before + KeQueryInterruptTime() - start);
}

/* Cancelled from this CPU while they expire, wherever that is: nothing twice, nothing lost. */
TARGET_CASE("TMR-4 TMR-8", thousands_expire_or_are_cancelled, "clock=10000") {
    LONGLONG before = SystemNow();
    ULONG64 start = KeQueryInterruptTime();
    LONGLONG first = SetMany(MANY, FALSE);
    DirqlSetSystemTime((ULONG64)(first - Ticks(1)));
    LONG cancelled = 0;
    for (ULONG i = 0; i < MANY; i += 1 + Random(3)) {
        Timers[i].Cancelled = KeCancelTimer(&Timers[i].Timer);
        cancelled += Timers[i].Cancelled;
    }
    SLEEP_UNTIL(Runs == MANY - cancelled);
    KeFlushQueuedDpcs();
    for (ULONG i = 0; i < MANY; i++) {
        ASSERT_EQ(Timers[i].Runs, Timers[i].Cancelled ? 0 : 1);
        ASSERT_EQ(KeReadStateTimer(&Timers[i].Timer), !Timers[i].Cancelled);
    }
    ASSERT_EQ(Runs, MANY - cancelled);
    DirqlSetSystemTime((ULONG64)before + KeQueryInterruptTime() - start);
}

static volatile LONG Chosen;

/* Each CPU has timers of its own: sets, sets again, cancels, over and over. */
static VOID NTAPI SetAndCancel(PVOID Context) {
    ULONG cpu = KeGetCurrentProcessorNumber();
    ULONG share = MANY / TargetCpus(), random = cpu + 1;
    ONE *mine = &Timers[(SIZE_T)cpu * share];
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < share; i++) {
        KeInitializeTimer(&mine[i].Timer);
        mine[i].Cancelled = FALSE;
    }
    for (ULONG round = 0; round < 4 * share; round++) {
        random = random * 1664525u + 1013904223u;
        ONE *one = &mine[(random >> 8) % share];
        if ((random >> 30) == 0) {
            ASSERT_EQ(KeCancelTimer(&one->Timer), one->Cancelled);
            one->Cancelled = FALSE;
        } else {
            /* from the next ticks to a year away: every level of whatever holds them */
            LONGLONG due = HOUR << (random >> 4) % 14;
            ASSERT_EQ(KeSetTimer(&one->Timer, In(due), NULL), one->Cancelled);
            one->Cancelled = TRUE; /* here: it is set */
        }
    }
    for (ULONG i = 0; i < share; i++) {
        ASSERT_EQ(KeCancelTimer(&mine[i].Timer), mine[i].Cancelled);
        ASSERT_FALSE(KeReadStateTimer(&mine[i].Timer));
    }
    InterlockedIncrement(&Chosen);
}

TARGET_CASE("TMR-2 TMR-4", every_cpu_sets_and_cancels_its_own, "") {
    Chosen = 0;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, SetAndCancel, NULL);
    }
    SetAndCancel(NULL);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
    ASSERT_EQ(Chosen, (LONG)TargetCpus());
}

TARGET_DRIVER
