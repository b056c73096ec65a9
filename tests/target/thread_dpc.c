/* SPDX-License-Identifier: Apache-2.0 */
/* Threaded DPCs among threads (DPC-15): theirs is the highest priority, and an equal of it waits for its turn. */
#include "threads.h"

static KDPC Dpc, Ordinary;
static KEVENT Event;
static WAITER Waiter;
static volatile LONG Runs, Sets, Seen;

static VOID NTAPI SetWithinIt(PKDPC This, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KeSetEvent(&Event, 0, FALSE);
    SpinTicks((ULONG)(ULONG_PTR)Context);
    Seen = Ended;
    InterlockedIncrement(&Runs);
}

static VOID RunIt(KPRIORITY Priority, ULONG Ticks) {
    Ended = Runs = 0;
    Seen = -1;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    StartWaiter(&Waiter, &Event, Priority, 0);
    KeInitializeThreadedDpc(&Dpc, SetWithinIt, (PVOID)(ULONG_PTR)Ticks);
    ASSERT_EQ(KeInsertQueueDpc(&Dpc, NULL, NULL), TRUE);
    ASSERT_EQ(Runs, 1); /* above this thread: it has run already */
    EndWaiter(&Waiter);
}

TARGET_CASE("DPC-15 THR-1", no_thread_of_lower_priority_preempts_it, FAST_TICKS) {
    RunIt(30, 3 * QUANTUM_TICKS);
    ASSERT_EQ(Seen, 0);
    RunIt(ABOVE, 3 * QUANTUM_TICKS);
    ASSERT_EQ(Seen, 0);
}

TARGET_CASE("DPC-15 THR-1", an_equal_has_its_turn_after_its_quantum, FAST_TICKS) {
    RunIt(31, 0);
    ASSERT_EQ(Seen, 0);
    RunIt(31, 3 * QUANTUM_TICKS);
    ASSERT_EQ(Seen, 1);
}

static VOID NTAPI CountDpc(PKDPC This, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&Sets);
}

static VOID NTAPI QueueWithinIt(PKDPC This, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    ASSERT_EQ(KeInsertQueueDpc(&Ordinary, NULL, NULL), TRUE);
    ASSERT_EQ(Sets, 1); /* an ordinary one preempts it at once */
    InterlockedIncrement(&Runs);
}

TARGET_CASE("DPC-15", an_ordinary_one_preempts_it_at_once, NO_TICKS) {
    Runs = Sets = 0;
    KeInitializeDpc(&Ordinary, CountDpc, NULL);
    KeInitializeThreadedDpc(&Dpc, QueueWithinIt, NULL);
    ASSERT_EQ(KeInsertQueueDpc(&Dpc, NULL, NULL), TRUE);
    ASSERT_EQ(Runs, 1);
}

TARGET_DRIVER
