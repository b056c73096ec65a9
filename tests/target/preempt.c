/* SPDX-License-Identifier: Apache-2.0 */
/* When a thread takes a CPU from another: at once below DISPATCH_LEVEL, on another CPU too, and never at or above it. */
#include "threads.h"

static KEVENT Event;
static KDPC Dpc;
static KSPIN_LOCK Lock;
static WORKER Worker;
static WAITER Waiter, Waiters[3];
static volatile LONG Stop, Inside, Raised, Fell;

static VOID PrepareWaiter(ULONG Cpu) {
    Ended = 0;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    StartWaiter(&Waiter, &Event, ABOVE, Cpu);
}

TARGET_CASE("IRQL-9", not_before_the_irql_is_lowered, NO_TICKS) {
    static const KIRQL levels[] = {DISPATCH_LEVEL, 5, CLOCK_LEVEL, HIGH_LEVEL};
    PKTHREAD thread = KeGetCurrentThread();
    for (ULONG i = 0; i < RTL_NUMBER_OF(levels); i++) {
        KIRQL irql, dispatch;
        PrepareWaiter(0);
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        ASSERT_EQ(KeSetEvent(&Event, 0, FALSE), 0);
        ASSERT_FALSE(Waits(Waiter.Worker.Thread)); /* ready */
        KeRaiseIrql(levels[i], &dispatch);
        Settle();
        ASSERT_EQ(Ended, 0);
        KeLowerIrql(dispatch);
        Settle();
        ASSERT_EQ(Ended, 0);
        ASSERT_EQ(KeGetCurrentThread(), thread);
        KeLowerIrql(i % 2 ? APC_LEVEL : PASSIVE_LEVEL);
        ASSERT_EQ(Ended, 1); /* and then at once */
        ASSERT_EQ(KeGetCurrentThread(), thread);
        KeLowerIrql(irql);
        EndWaiter(&Waiter);
    }
}

TARGET_CASE("IRQL-9 IRQL-10", at_once_below_dispatch_level, NO_TICKS) {
    static const KIRQL levels[] = {PASSIVE_LEVEL, APC_LEVEL};
    for (ULONG i = 0; i < RTL_NUMBER_OF(levels); i++) {
        KIRQL irql;
        PrepareWaiter(0);
        KeRaiseIrql(levels[i], &irql);
        KeSetEvent(&Event, 0, FALSE);
        ASSERT_EQ(Ended, 1);
        ASSERT_EQ(KeGetCurrentIrql(), levels[i]);
        KeLowerIrql(irql);
        EndWaiter(&Waiter);
    }
}

/* A spin lock is DISPATCH_LEVEL: under it too nobody else comes. */
TARGET_CASE("IRQL-9 SPIN-13", not_under_a_spin_lock, NO_TICKS) {
    KIRQL irql;
    PrepareWaiter(0);
    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &irql);
    KeSetEvent(&Event, 0, FALSE);
    Settle();
    ASSERT_EQ(Ended, 0);
    KeReleaseSpinLock(&Lock, irql);
    ASSERT_EQ(Ended, 1);
    EndWaiter(&Waiter);
}

static VOID NTAPI NoteTurn(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&Inside);
}

/* A quantum ends at DISPATCH_LEVEL: the next thread's turn comes when the IRQL falls, and then without another tick. */
TARGET_CASE("IRQL-9", the_end_of_a_quantum_waits_for_it_too, FAST_TICKS) {
    static HELD equal;
    KIRQL irql;
    Inside = 0;
    CloseGate();
    StartHeld(&equal, NoteTurn, NULL, CASE_PRIORITY, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    OpenGate();
    SpinTicks(3 * QUANTUM_TICKS);
    ASSERT_EQ(Inside, 0);
    KeLowerIrql(irql);
    ASSERT_EQ(Inside, 1);
    EndHeld(&equal);
}

static VOID NTAPI SetByDpc(PKDPC This, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeSetEvent(Context, 0, FALSE);
    ASSERT_EQ(Ended, 0);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
}

TARGET_CASE("IRQL-9", a_dpc_lets_a_thread_go_that_runs_after_it, NO_TICKS) {
    PrepareWaiter(0);
    KeInitializeDpc(&Dpc, SetByDpc, &Event);
    ASSERT_EQ(KeInsertQueueDpc(&Dpc, NULL, NULL), TRUE);
    ASSERT_EQ(Ended, 1);
    EndWaiter(&Waiter);
}

static VOID NTAPI SpinBelow(PVOID Context) {
    ULONG cpu = KeGetCurrentProcessorNumber();
    PKTHREAD thread = KeGetCurrentThread();
    KIRQL irql;
    KeRaiseIrql((KIRQL)(ULONG_PTR)Context, &irql);
    Inside = TRUE;
    while (!Stop) {
        ASSERT_EQ(KeGetCurrentProcessorNumber(), cpu);
        ASSERT_EQ(KeGetCurrentThread(), thread);
        YieldProcessor();
    }
    KeLowerIrql(irql);
}

/* The clock does not tick: the other CPU learns of it by an interrupt, or never. */
TARGET_CASE("IRQL-9 THR-1", on_another_cpu_at_once, "smp=2 " NO_TICKS) {
    for (ULONG_PTR level = PASSIVE_LEVEL; level <= APC_LEVEL; level++) {
        ULONG cpu = TargetCpus() - 1;
        Stop = Inside = FALSE;
        PrepareWaiter(cpu);
        StartWorker(&Worker, SpinBelow, (PVOID)level, CASE_PRIORITY, ON(cpu));
        WAIT_UNTIL(Inside);
        KeSetEvent(&Event, 0, FALSE);
        WAIT_UNTIL(Ended == 1);
        ASSERT_FALSE(Stop);
        ASSERT_EQ(Waiter.Cpu, cpu);
        Stop = TRUE;
        EndWorker(&Worker);
        EndWaiter(&Waiter);
    }
}

TARGET_CASE("IRQL-9", on_another_cpu_not_before_its_irql_is_lowered, "smp=2 " NO_TICKS) {
    Stop = Inside = FALSE;
    PrepareWaiter(1);
    StartWorker(&Worker, SpinBelow, (PVOID)DISPATCH_LEVEL, CASE_PRIORITY, ON(1));
    WAIT_UNTIL(Inside);
    KeSetEvent(&Event, 0, FALSE);
    Settle();
    ASSERT_EQ(Ended, 0);
    Stop = TRUE;
    EndWaiter(&Waiter);
    EndWorker(&Worker);
}

/* Raised there, a ready thread preempts; lowered here, this one is preempted. */
TARGET_CASE("THR-1", a_change_of_priority_preempts_too, "smp=2 " NO_TICKS) {
    static HELD held;
    Stop = Inside = FALSE;
    Ended = 0;
    CloseGate();
    StartHeld(&held, NoteTurn, NULL, CASE_PRIORITY, 1);
    StartWorker(&Worker, SpinBelow, (PVOID)PASSIVE_LEVEL, CASE_PRIORITY, ON(1));
    WAIT_UNTIL(Inside);
    Inside = 0;
    OpenGate();
    Settle();
    ASSERT_EQ(Inside, 0);
    KeSetPriorityThread(held.Worker.Thread, CASE_PRIORITY + 1);
    WAIT_UNTIL(Inside == 1);
    EndHeld(&held);
    CloseGate();
    StartHeld(&held, NoteTurn, NULL, CASE_PRIORITY - 1, 1);
    OpenGate();
    Settle();
    ASSERT_EQ(Inside, 1);
    KeSetPriorityThread(Worker.Thread, CASE_PRIORITY - 2); /* it runs: another one is higher now */
    WAIT_UNTIL(Inside == 2);
    EndHeld(&held);
    Stop = TRUE;
    EndWorker(&Worker);
}

TARGET_CASE("THR-1", who_lowers_itself_lets_others_go_first, NO_TICKS) {
    static HELD held;
    PKTHREAD mine = KeGetCurrentThread();
    Inside = 0;
    CloseGate();
    StartHeld(&held, NoteTurn, NULL, CASE_PRIORITY - 1, 0);
    OpenGate();
    ASSERT_EQ(Inside, 0);
    KeSetPriorityThread(mine, CASE_PRIORITY - 2);
    ASSERT_EQ(Inside, 1);
    KeSetPriorityThread(mine, CASE_PRIORITY);
    EndHeld(&held);
}

static VOID NTAPI TakeTheLock(PVOID Context) {
    KIRQL irql, old;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    Raised = TRUE;
    KeAcquireSpinLock(&Lock, &irql);
    Fell = Ended; /* what of those let go has run by now */
    KeReleaseSpinLock(&Lock, irql);
    KeLowerIrql(old);
}

/* Threads and DPCs of the CPUs that hold and that spin wait, those of another CPU do not. */
static volatile LONG DpcRan[3];
static KDPC Dpcs[3];

static VOID NTAPI NoteDpc(PKDPC This, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    DpcRan[(ULONG_PTR)Context] = TRUE;
}

TARGET_CASE("SPIN-13 IRQL-9", holder_and_spinner_keep_their_cpus_others_go_on, "smp=3 " NO_TICKS) {
    KIRQL irql;
    Ended = Raised = 0;
    KeInitializeSpinLock(&Lock);
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    for (ULONG cpu = 0; cpu < 3; cpu++) {
        StartWaiter(&Waiters[cpu], &Event, ABOVE, cpu);
        DpcRan[cpu] = FALSE;
        KeInitializeDpc(&Dpcs[cpu], NoteDpc, (PVOID)(ULONG_PTR)cpu);
        KeSetTargetProcessorDpc(&Dpcs[cpu], (CCHAR)cpu);
        KeSetImportanceDpc(&Dpcs[cpu], HighImportance);
    }
    KeAcquireSpinLock(&Lock, &irql);
    DirqlStartOn(1, TakeTheLock, NULL);
    WAIT_UNTIL(Raised);
    KeSetEvent(&Event, 0, FALSE);
    for (ULONG cpu = 0; cpu < 3; cpu++) {
        ASSERT_EQ(KeInsertQueueDpc(&Dpcs[cpu], NULL, NULL), TRUE);
    }
    WAIT_UNTIL(Waiters[2].Order && DpcRan[2]);
    Settle();
    ASSERT_EQ(Ended, 1);
    ASSERT_FALSE(DpcRan[0]);
    ASSERT_FALSE(DpcRan[1]);
    KeReleaseSpinLock(&Lock, irql);
    ASSERT_NE(Waiters[0].Order, 0);
    ASSERT_TRUE(DpcRan[0]);
    WAIT_UNTIL(Waiters[1].Order);
    DirqlWaitFor(1);
    ASSERT_TRUE(DpcRan[1]);
    for (ULONG cpu = 0; cpu < 3; cpu++) {
        EndWaiter(&Waiters[cpu]);
    }
}

/* It runs nothing of its CPU before. */
TARGET_CASE("SPIN-13", a_spinner_runs_no_thread_before_it_had_the_lock, "smp=2 " NO_TICKS) {
    KIRQL irql;
    Ended = Raised = 0;
    KeInitializeSpinLock(&Lock);
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    StartWaiter(&Waiters[1], &Event, ABOVE, 1);
    KeAcquireSpinLock(&Lock, &irql);
    DirqlStartOn(1, TakeTheLock, NULL);
    WAIT_UNTIL(Raised);
    KeSetEvent(&Event, 0, FALSE);
    Settle();
    Fell = -1;
    KeReleaseSpinLock(&Lock, irql);
    DirqlWaitFor(1);
    ASSERT_EQ(Fell, 0);
    EndWaiter(&Waiters[1]);
}

TARGET_DRIVER
