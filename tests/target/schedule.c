/* SPDX-License-Identifier: Apache-2.0 */
/* Who runs next: priorities, turns of equals, and boosts that a wait's end brings and that wear off. */
#include "threads.h"

#define HELD_MOST 10
#define TURNS     16
#define EACH      3

static KEVENT Event;
static HELD Helds[HELD_MOST];
static WORKER Worker;
static WAITER Waiter;
static volatile LONG Runs;
static volatile LONG Order[HELD_MOST];

static VOID NTAPI NoteMyTurn(PVOID Context) {
    LONG at = InterlockedIncrement(&Runs);
    Order[at - 1] = (LONG)(ULONG_PTR)Context;
}

/* All are made ready at once on one CPU; the higher priority goes first, whoever came first. */
TARGET_CASE("THR-1", the_highest_priority_goes_first, "") {
    static const KPRIORITY priorities[HELD_MOST] = {9, 31, 10, 16, 15, 30, 20, 9, 11, 17};
    static const LONG order[HELD_MOST] = {1, 5, 6, 9, 3, 4, 8, 2, 0, 7};
    KIRQL irql;
    Runs = 0;
    CloseGate();
    for (ULONG i = 0; i < HELD_MOST; i++) {
        StartHeld(&Helds[i], NoteMyTurn, (PVOID)(ULONG_PTR)i, priorities[i], 0);
    }
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    OpenGate();
    ASSERT_EQ(Runs, 0);
    KeLowerIrql(irql);
    ASSERT_EQ(Runs, HELD_MOST);
    for (ULONG i = 0; i < HELD_MOST; i++) {
        ASSERT_EQ(Order[i], order[i]);
        EndHeld(&Helds[i]);
    }
}

/* Each priority is one of its own: of its two neighbours the higher one preempts it, the lower one does not. */
TARGET_CASE("THR-1", thirty_one_levels, "") {
    PKTHREAD mine = KeGetCurrentThread();
    for (KPRIORITY priority = 2; priority <= 30; priority++) {
        Runs = 0;
        CloseGate();
        StartHeld(&Helds[0], NoteMyTurn, (PVOID)0, priority - 1, 0);
        StartHeld(&Helds[1], NoteMyTurn, (PVOID)1, priority + 1, 0);
        KeSetPriorityThread(mine, priority);
        OpenGate();
        ASSERT_EQ(Runs, 1);
        ASSERT_EQ(Order[0], 1);
        KeSetPriorityThread(mine, CASE_PRIORITY);
        EndHeld(&Helds[0]);
        EndHeld(&Helds[1]);
        ASSERT_EQ(Runs, 2);
    }
}

/* A lower priority has no turn while a higher one runs, however long. */
TARGET_CASE("THR-1", a_lower_priority_has_no_turn, FAST_TICKS) {
    Runs = 0;
    CloseGate();
    StartHeld(&Helds[0], NoteMyTurn, NULL, CASE_PRIORITY - 1, 0);
    StartHeld(&Helds[1], NoteMyTurn, NULL, 1, 0);
    OpenGate();
    SpinTicks(4 * QUANTUM_TICKS);
    ASSERT_EQ(Runs, 0);
    EndHeld(&Helds[0]);
    EndHeld(&Helds[1]);
    ASSERT_EQ(Runs, 2);
}

/* Of a turn: whose, and the clock tick that it began with. */
static volatile LONG Turns, Stop, Last, Had[3];
static struct {
    LONG Who;
    ULONG64 Tick;
} Turn[TURNS];

/* Until each has had some turns and all there is to note is noted. */
static VOID NTAPI SpinForTurns(PVOID Context) {
    LONG me = (LONG)(ULONG_PTR)Context;
    while (!Stop) {
        if (Last != me) {
            Last = me;
            if (Turns < TURNS) {
                Turn[Turns].Who = me;
                Turn[Turns].Tick = Ticks();
            }
            Turns++;
            Had[me]++;
            Stop = Turns > TURNS && Had[0] >= EACH && Had[1] >= EACH && Had[2] >= EACH;
        }
        YieldProcessor();
    }
}

/* Three of one priority on one CPU take turns, each for a quantum, in the order in which they became ready. */
TARGET_CASE("THR-1", equals_take_turns_of_a_quantum, FAST_TICKS) {
    DIRQL_MACHINE machine;
    DirqlQueryMachine(&machine);
    for (ULONG cpu = 0; cpu < TargetCpus() && cpu < 2; cpu++) {
        Turns = Stop = Had[0] = Had[1] = Had[2] = 0;
        Last = -1;
        CloseGate();
        for (ULONG i = 0; i < 3; i++) {
            StartHeld(&Helds[i], SpinForTurns, (PVOID)(ULONG_PTR)i, BELOW, cpu);
        }
        OpenGate();
        for (ULONG i = 0; i < 3; i++) {
            EndHeld(&Helds[i]); /* in mt this alone is the proof: each had its turns, or they would not end */
        }
        for (ULONG i = 0; i < TURNS && machine.VirtualTime; i++) {
            ASSERT_EQ(Turn[i].Who, i % 3);
            if (i >= 4) { /* the first turns begin in the midst of a tick */
                ASSERT_EQ(Turn[i].Tick - Turn[i - 1].Tick, QUANTUM_TICKS);
            }
        }
    }
}

static volatile LONG Continued, Intruded, Led;

/* Its leader preempts it and is gone: is it still its turn? */
static VOID NTAPI PreemptedRoutine(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeSetEvent(&Event, 0, FALSE);
    ASSERT_TRUE(Led);
    Continued = !Intruded;
}

static VOID NTAPI Intrude(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    Intruded = TRUE;
}

static VOID NTAPI Lead(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
    Led = TRUE;
}

/* A preempted thread has not had its turn: it goes on before others of its priority. */
TARGET_CASE("THR-1", a_preempted_thread_goes_on_before_its_equals, NO_TICKS) {
    Continued = Intruded = Led = FALSE;
    CloseGate();
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    StartWorker(&Worker, Lead, NULL, ABOVE, ON(0));
    StartHeld(&Helds[0], PreemptedRoutine, NULL, BELOW, 0);
    StartHeld(&Helds[1], Intrude, NULL, BELOW, 0);
    OpenGate();
    ASSERT_FALSE(Led);
    EndHeld(&Helds[0]);
    ASSERT_TRUE(Continued);
    EndHeld(&Helds[1]);
    EndWorker(&Worker);
}

/* An equal that becomes ready does not preempt; it is behind those that were ready before it. */
TARGET_CASE("THR-1", an_equal_comes_behind, NO_TICKS) {
    Runs = 0;
    CloseGate();
    for (ULONG i = 0; i < 3; i++) {
        StartHeld(&Helds[i], NoteMyTurn, (PVOID)(ULONG_PTR)i, CASE_PRIORITY, 0);
    }
    OpenGate();
    ASSERT_EQ(Runs, 0);
    for (ULONG i = 0; i < 3; i++) {
        EndHeld(&Helds[i]);
        ASSERT_EQ(Order[i], i);
    }
}

static VOID SeeBoost(KPRIORITY Base, KPRIORITY Increment, KPRIORITY Expected) {
    Ended = 0;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    StartWaiter(&Waiter, &Event, ABOVE, 0);
    KeSetPriorityThread(Waiter.Worker.Thread, Base);
    KeSetEvent(&Event, Increment, FALSE);
    ASSERT_EQ(Waiter.Order != 0, Expected > CASE_PRIORITY);
    EndWaiter(&Waiter);
    ASSERT_EQ(Waiter.SeenAfter, Expected);
}

TARGET_CASE("EVT-5 THR-1", a_wait_ends_with_the_boost_that_the_signal_gives, NO_TICKS) {
    SeeBoost(8, 0, 8);
    SeeBoost(8, 1, 9);
    SeeBoost(8, 6, 14);
    SeeBoost(5, 2, 7);
    SeeBoost(14, 6, 15); /* not into the real-time priorities */
    SeeBoost(16, 6, 16); /* and not within them */
    SeeBoost(30, 1, 30);
}

TARGET_CASE("SEM-3 THR-1", a_semaphore_gives_one_too, NO_TICKS) {
    static KSEMAPHORE semaphore;
    Ended = 0;
    KeInitializeSemaphore(&semaphore, 0, 5);
    StartWaiter(&Waiter, &semaphore, ABOVE, 0);
    KeSetPriorityThread(Waiter.Worker.Thread, CASE_PRIORITY);
    KeReleaseSemaphore(&semaphore, 3, 1, FALSE);
    EndWaiter(&Waiter);
    ASSERT_EQ(Waiter.SeenAfter, CASE_PRIORITY + 3);
}

static struct {
    KPRIORITY Priority;
    ULONG64 Tick;
} Seen[8];
static volatile LONG SeenCount;

static VOID NTAPI WatchMyPriority(PVOID Context) {
    KPRIORITY last = 0;
    UNREFERENCED_PARAMETER(Context);
    ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
    while (last != CASE_PRIORITY) {
        KPRIORITY now = KeQueryPriorityThread(KeGetCurrentThread());
        if (now != last && SeenCount < (LONG)RTL_NUMBER_OF(Seen)) {
            Seen[SeenCount].Priority = now;
            Seen[SeenCount].Tick = Ticks();
            SeenCount++;
        }
        last = now;
        YieldProcessor();
    }
}

/* A boost wears off by one with each quantum, and what it wears off to is the thread's own priority. */
TARGET_CASE("THR-1", a_boost_wears_off, FAST_TICKS) {
    DIRQL_MACHINE machine;
    DirqlQueryMachine(&machine);
    SeenCount = 0;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    StartWorker(&Worker, WatchMyPriority, NULL, ABOVE, ON(0));
    KeSetPriorityThread(Worker.Thread, CASE_PRIORITY);
    KeSetEvent(&Event, 4, FALSE);
    EndWorker(&Worker);
    ASSERT_GT(SeenCount, 0);
    ASSERT_EQ(Seen[0].Priority, CASE_PRIORITY + 4);
    ASSERT_EQ(Seen[SeenCount - 1].Priority, CASE_PRIORITY);
    for (LONG i = 1; i < SeenCount; i++) {
        ASSERT_LT(Seen[i].Priority, Seen[i - 1].Priority);
        if (machine.VirtualTime) {
            ASSERT_EQ(Seen[i].Priority, Seen[i - 1].Priority - 1);
        }
        if (machine.VirtualTime && i > 1 && i + 1 < SeenCount) {
            ASSERT_EQ(Seen[i].Tick - Seen[i - 1].Tick, QUANTUM_TICKS);
        }
    }
}

TARGET_DRIVER
