/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for one object: at which IRQL, for how long, and that no signal is ever lost on one. */
#include "threads.h"

#define RACES 1500

static KEVENT Event, Answer;
static KDPC Dpc;
static WAITER Waiter;
static volatile LONG Turn, Statuses[3];

TARGET_CASE("WAIT-1", of_no_length_up_to_dispatch_level, "") {
    static const KIRQL levels[] = {PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL};
    for (ULONG i = 0; i < RTL_NUMBER_OF(levels); i++) {
        KIRQL irql;
        KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
        KeRaiseIrql(levels[i], &irql);
        PKTHREAD thread = KeGetCurrentThread();
        ASSERT_EQ(TryFor(&Event), STATUS_TIMEOUT);
        KeSetEvent(&Event, 0, FALSE);
        ASSERT_EQ(TryFor(&Event), STATUS_SUCCESS);
        ASSERT_EQ(KeReadStateEvent(&Event), 0);
        ASSERT_EQ(TryFor(&Event), STATUS_TIMEOUT);
        ASSERT_EQ(KeGetCurrentIrql(), levels[i]);
        ASSERT_EQ(KeGetCurrentThread(), thread);
        KeLowerIrql(irql);
    }
}

static VOID NTAPI TryInADpc(PKDPC This, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Statuses); i++) {
        Statuses[i] = TryFor(&Event);
    }
    Turn = TRUE;
}

TARGET_CASE("WAIT-1 DPC-16", of_no_length_in_a_dpc, "") {
    KeInitializeEvent(&Event, SynchronizationEvent, TRUE);
    Turn = FALSE;
    KeInitializeDpc(&Dpc, TryInADpc, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    WAIT_UNTIL(Turn);
    ASSERT_EQ(Statuses[0], STATUS_SUCCESS);
    ASSERT_EQ(Statuses[1], STATUS_TIMEOUT);
    ASSERT_EQ(Statuses[2], STATUS_TIMEOUT);
}

static VOID NTAPI SetEvent(PVOID Context) {
    KeSetEvent(Context, 0, FALSE);
}

TARGET_CASE("IRQL-10 WAIT-1", at_apc_level_a_thread_may_wait, "") {
    static WORKER other;
    KIRQL irql;
    for (ULONG round = 0; round < 2; round++) {
        KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
        StartWorker(&other, SetEvent, &Event, BELOW, ON(0)); /* has its turn when this one waits */
        PKTHREAD thread = KeGetCurrentThread();
        KeRaiseIrql(APC_LEVEL, &irql);
        ASSERT_EQ(KeReadStateEvent(&Event), 0);
        ASSERT_EQ(round == 0 ? WaitFor(&Event) : WaitForAtMost(&Event, 600000 * MILLISECONDS), STATUS_SUCCESS);
        ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
        ASSERT_EQ(KeGetCurrentThread(), thread);
        KeLowerIrql(irql);
        EndWorker(&other);
    }
}

/* The one that waits is at APC_LEVEL, the one that goes on in its place is not. */
static VOID NTAPI NoteTheIrql(PVOID Context) {
    *(volatile LONG *)Context = KeGetCurrentIrql();
    KeSetEvent(&Event, 0, FALSE);
}

TARGET_CASE("IRQL-10", each_thread_has_its_own_irql, "") {
    static WORKER other;
    static volatile LONG level;
    KIRQL irql;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    level = -1;
    KeRaiseIrql(APC_LEVEL, &irql);
    KeLowerIrql(irql);
    StartWorker(&other, NoteTheIrql, (PVOID)&level, BELOW, ON(0));
    KeRaiseIrql(APC_LEVEL, &irql);
    ASSERT_EQ(level, -1);
    ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
    ASSERT_EQ(level, PASSIVE_LEVEL);
    ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(irql);
    EndWorker(&other);
}

/* A relative time ends within a tick of what was asked for; it takes nothing. */
TARGET_CASE("WAIT-1", a_timeout_ends_it, FAST_TICKS) {
    DIRQL_MACHINE machine;
    DirqlQueryMachine(&machine);
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    for (LONG length = 1; length <= 9; length += 4) {
        ULONG64 begin = Ticks();
        ASSERT_EQ(WaitForAtMost(&Event, length * MILLISECONDS), STATUS_TIMEOUT);
        ULONG64 ticks = Ticks() - begin;
        if (machine.VirtualTime) {
            ASSERT_GE(ticks + 1, (ULONG64)length);
            ASSERT_LE(ticks, (ULONG64)length + 1);
        }
    }
    ASSERT_EQ(KeSetEvent(&Event, 0, FALSE), 0);
    ASSERT_NE(KeReadStateEvent(&Event), 0); /* who timed out waits no more */
    ASSERT_EQ(WaitForAtMost(&Event, 600000 * MILLISECONDS), STATUS_SUCCESS);
}

/* Satisfied in time; what is left of the time does not end the next wait. */
TARGET_CASE("WAIT-1", a_timeout_that_did_not_come_is_gone, FAST_TICKS) {
    Ended = 0;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Answer, SynchronizationEvent, FALSE);
    StartTimedWaiter(&Waiter, &Event, 600000 * MILLISECONDS, ABOVE, CPU_OF(1));
    KeSetEvent(&Event, 0, FALSE);
    EndWaiter(&Waiter);
    ASSERT_EQ(Waiter.Status, STATUS_SUCCESS);
    KeSetEvent(&Event, 0, FALSE);
    ASSERT_EQ(WaitForAtMost(&Event, 3 * MILLISECONDS), STATUS_SUCCESS);
    StartTimedWaiter(&Waiter, &Answer, 1, ABOVE, CPU_OF(1));
    SpinTicks(6);
    ASSERT_TRUE(StillWaits(&Waiter));
    KeSetEvent(&Answer, 0, FALSE);
    EndWaiter(&Waiter);
    ASSERT_EQ(Waiter.Status, STATUS_SUCCESS);
}

TARGET_CASE("WAIT-1", many_time_out_each_in_its_time, FAST_TICKS " mode=icount") {
    static WAITER waiters[6];
    static const LONG lengths[] = {40, 10, 60, 20, 50, 30};
    static const LONG order[] = {4, 1, 6, 2, 5, 3};
    Ended = 0;
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    for (ULONG i = 0; i < RTL_NUMBER_OF(lengths); i++) {
        waiters[i].Object = &Event;
        waiters[i].Time = lengths[i] * MILLISECONDS;
        waiters[i].Order = 0;
        StartWorker(&waiters[i].Worker, WaiterRoutine, &waiters[i], ABOVE, ON(0));
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(lengths); i++) {
        EndWaiter(&waiters[i]);
        ASSERT_EQ(waiters[i].Status, STATUS_TIMEOUT);
        ASSERT_EQ(waiters[i].Order, order[i]);
    }
}

TARGET_CASE("WAIT-1", a_delay_lasts_as_long_as_asked, FAST_TICKS) {
    DIRQL_MACHINE machine;
    KIRQL irql;
    DirqlQueryMachine(&machine);
    for (LONG length = 2; length <= 10; length += 4) {
        for (ULONG level = PASSIVE_LEVEL; level <= APC_LEVEL; level++) {
            LARGE_INTEGER interval = {.QuadPart = length * MILLISECONDS};
            KeRaiseIrql((KIRQL)level, &irql);
            ULONG64 begin = Ticks();
            ASSERT_EQ(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
            ULONG64 ticks = Ticks() - begin;
            ASSERT_EQ(KeGetCurrentIrql(), level);
            KeLowerIrql(irql);
            if (machine.VirtualTime) {
                ASSERT_GE(ticks + 1, (ULONG64)length);
                ASSERT_LE(ticks, (ULONG64)length + 1);
            }
        }
    }
}

TARGET_CASE("WAIT-1 DPC-16", at_dispatch_level_for_ever, "verifier=off bugcheck=0xB8") {
    KIRQL irql;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    WaitFor(&Event);
}

TARGET_CASE("WAIT-1 DPC-16", at_dispatch_level_for_a_time, "verifier=off bugcheck=0xB8") {
    KIRQL irql;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    WaitForAtMost(&Event, MILLISECONDS);
}

static VOID NTAPI WaitInADpc(PKDPC This, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    WaitFor(&Event);
}

TARGET_CASE("DPC-16 WAIT-1", in_a_dpc, "verifier=off bugcheck=0xB8 violates=WAIT-1") {
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeInitializeDpc(&Dpc, WaitInADpc, NULL);
    KeSetTargetProcessorDpc(&Dpc, (CCHAR)CPU_OF(1));
    KeSetImportanceDpc(&Dpc, HighImportance);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    WAIT_UNTIL(FALSE);
}

TARGET_CASE("DPC-16 WAIT-1", a_delay_at_dispatch_level, "verifier=off bugcheck=0xB8") {
    KIRQL irql;
    LARGE_INTEGER interval = {.QuadPart = MILLISECONDS};
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

TARGET_CASE("WAIT-1", at_dispatch_level_the_verifier_names_it, "verifier=on bugcheck=0xC4/0x3B") {
    KIRQL irql;
    KeInitializeEvent(&Event, SynchronizationEvent, TRUE);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    WaitFor(&Event);
}

/*
 * No signal is lost between the look and the sleep: the other thread sets the event while this one is on its way into the
 * wait, a little later each time.
 */
static VOID NTAPI SetWhileItComes(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (LONG round = 1; round <= RACES; round++) {
        WAIT_UNTIL(Turn == round);
        for (LONG i = 0; i < round % 100; i++) {
            __asm__ volatile("" : : : "memory"); /* not PAUSE: in icount others would go on */
        }
        KeSetEvent(&Event, 0, FALSE);
    }
}

TARGET_CASE("WAIT-1 EVT-1", a_signal_is_never_lost_on_who_is_about_to_wait, "smp=2") {
    static WORKER other;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    Turn = 0;
    StartWorker(&other, SetWhileItComes, NULL, CASE_PRIORITY, ON(1));
    for (LONG round = 1; round <= RACES; round++) {
        Turn = round;
        ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
    }
    EndWorker(&other);
    ASSERT_EQ(KeReadStateEvent(&Event), 0);
}

/*
 * The same to a few instructions, in virtual time: a DPC that interrupts this thread sets the event, and the wait begins a
 * little earlier before it each time, so that the set falls on every point of the way into the wait.
 */
#define SWEEP_TICK 1000 /* clock tick, 100 ns: "clock=1000" */
#define SWEEP_STEP 40   /* TSC, ns: five instructions */
#define SWEEP_MOST 16000

static volatile ULONG64 DpcTime;

static VOID NTAPI SetFromADpc(PKDPC This, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    DpcTime = __rdtsc();
    KeSetEvent(&Event, 0, FALSE);
}

/* Waits from so long before the DPC on; returns how long after the tick that it begins with the DPC ran. */
static ULONG64 WaitBeforeTheDpc(ULONG64 Begin) {
    static KTIMER timer;
    LARGE_INTEGER due = {.QuadPart = -2LL * SWEEP_TICK};
    KeInitializeTimer(&timer);
    SpinTicks(1);
    ULONG64 tick = __rdtsc();
    KeSetTimer(&timer, due, &Dpc);
    WAIT_UNTIL(__rdtsc() - tick >= Begin);
    ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
    KeCancelTimer(&timer);
    return DpcTime - tick;
}

TARGET_CASE("WAIT-1 EVT-1", a_signal_is_never_lost_wherever_it_falls, "cpus=1 mode=icount clock=1000") {
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeInitializeDpc(&Dpc, SetFromADpc, NULL);
    ULONG64 usual = WaitBeforeTheDpc(0);
    ASSERT_GT(usual, SWEEP_MOST);
    for (ULONG64 before = 0; before < SWEEP_MOST; before += SWEEP_STEP) {
        WaitBeforeTheDpc(usual - before);
        ASSERT_EQ(KeReadStateEvent(&Event), 0);
    }
}

/* A thread that times out and one that signals at that moment: the signal is taken or stays, never both, never neither. */
TARGET_CASE("WAIT-1", a_timeout_and_a_signal_at_once, FAST_TICKS) {
    ULONG taken = 0, set = 0;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    for (ULONG round = 0; round < 12; round++) {
        Ended = 0;
        StartTimedWaiter(&Waiter, &Event, 3 * MILLISECONDS, ABOVE, CPU_OF(1));
        SpinTicks(round % 4);
        set += KeSetEvent(&Event, 0, FALSE) == 0;
        EndWaiter(&Waiter);
        ASSERT_EQ(Waiter.Status == STATUS_SUCCESS || Waiter.Status == STATUS_TIMEOUT, TRUE);
        taken += Waiter.Status == STATUS_SUCCESS;
        ASSERT_EQ(KeReadStateEvent(&Event) != 0, Waiter.Status == STATUS_TIMEOUT);
        taken += TryFor(&Event) == STATUS_SUCCESS;
    }
    ASSERT_EQ(taken, set);
    ASSERT_EQ(set, 12);
}

TARGET_DRIVER
