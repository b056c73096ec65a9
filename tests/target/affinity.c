/* SPDX-License-Identifier: Apache-2.0 */
/* Where a thread runs: only on CPUs of its affinity, and on an idle one of them if there is one. */
#include "threads.h"

#define ROUNDS 60

static KEVENT Event, Back;
static WORKER Worker, Workers[MAXIMUM_CPUS];
static volatile LONG Stop, Inside, Ran;
static volatile LONG64 Where;

static VOID NTAPI VisitAll(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG round = 0; round < ROUNDS; round++) {
        ULONG cpu = CPU_OF(round * 3 + round / 7);
        KeSetSystemAffinityThread(ON(cpu));
        ASSERT_EQ(KeGetCurrentProcessorNumber(), cpu);
        ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    }
    KIRQL irql;
    KeSetSystemAffinityThread(ON(0));
    KeRaiseIrql(APC_LEVEL, &irql);
    KeSetSystemAffinityThread(ON(CPU_OF(1)));
    ASSERT_EQ(KeGetCurrentProcessorNumber(), CPU_OF(1));
    ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(irql);
}

TARGET_CASE("THR-1", it_is_there_when_the_call_returns, "") {
    StartWorker(&Worker, VisitAll, NULL, CASE_PRIORITY, ON(0));
    EndWorker(&Worker);
    StartWorker(&Worker, VisitAll, NULL, 31, ON(0));
    EndWorker(&Worker);
}

static VOID NTAPI ChangeAtDispatch(PVOID Context) {
    KIRQL irql;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeSetSystemAffinityThread(ON(1));
    for (ULONG i = 0; i < 100; i++) {
        ASSERT_EQ(KeGetCurrentProcessorNumber(), 0);
        ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
        YieldProcessor();
    }
    KeLowerIrql(irql);
    ASSERT_EQ(KeGetCurrentProcessorNumber(), 1);
}

TARGET_CASE("THR-1 IRQL-9", at_dispatch_level_it_moves_when_the_irql_falls, "smp=2") {
    StartWorker(&Worker, ChangeAtDispatch, NULL, ABOVE, ON(0));
    EndWorker(&Worker);
}

static VOID NTAPI SetAndRevert(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KAFFINITY all = KeQueryActiveProcessors();
    KeRevertToUserAffinityThreadEx(0);
    ASSERT_EQ(KeSetSystemAffinityThreadEx(ON(CPU_OF(1))), 0);
    ASSERT_EQ(KeGetCurrentProcessorNumber(), CPU_OF(1));
    ASSERT_EQ(KeSetSystemAffinityThreadEx(ON(0)), ON(CPU_OF(1)));
    ASSERT_EQ(KeGetCurrentProcessorNumber(), 0);
    KeRevertToUserAffinityThreadEx(ON(CPU_OF(1)));
    ASSERT_EQ(KeGetCurrentProcessorNumber(), CPU_OF(1));
    KeRevertToUserAffinityThreadEx(0);
    ASSERT_EQ(KeSetSystemAffinityThreadEx(ON(63)), 0); /* no such CPU: no effect */
    ASSERT_EQ(KeSetSystemAffinityThreadEx(all), 0);
    KeRevertToUserAffinityThread();
    ASSERT_EQ(KeSetSystemAffinityThreadEx(all), 0);
}

TARGET_CASE("THR-1", set_and_reverted, "") {
    StartWorker(&Worker, SetAndRevert, NULL, CASE_PRIORITY, KeQueryActiveProcessors());
    EndWorker(&Worker);
}

/* It waits and is let go from all CPUs in turn; each time it goes on where it may. */
static VOID NTAPI NoteWhere(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG round = 0; round < ROUNDS; round++) {
        ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
        Where |= 1LL << KeGetCurrentProcessorNumber();
        InterlockedIncrement(&Ran);
        KeSetEvent(&Back, 0, FALSE);
    }
}

TARGET_CASE("THR-1", only_on_its_cpus_whoever_lets_it_go, "smp=2") {
    KAFFINITY all = KeQueryActiveProcessors();
    for (ULONG pick = 0; pick < 3; pick++) {
        KAFFINITY mask = (pick == 0 ? ON(1) : pick == 1 ? ON(0) | ON(TargetCpus() - 1) : all & ~ON(0)) & all;
        Ran = 0;
        Where = 0;
        KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
        KeInitializeEvent(&Back, SynchronizationEvent, FALSE);
        StartWorker(&Worker, NoteWhere, NULL, CASE_PRIORITY, mask);
        for (ULONG round = 0; round < ROUNDS; round++) {
            KeSetEvent(&Event, 0, FALSE);
            ASSERT_EQ(WaitFor(&Back), STATUS_SUCCESS);
        }
        EndWorker(&Worker);
        ASSERT_EQ(Ran, ROUNDS);
        ASSERT_EQ(Where & ~(LONG64)mask, 0);
    }
}

static VOID NTAPI MeetTheOthers(PVOID Context) {
    InterlockedOr64(&Where, 1LL << KeGetCurrentProcessorNumber());
    InterlockedIncrement(&Inside);
    WAIT_UNTIL(Inside == (LONG)(ULONG_PTR)Context);
    WAIT_UNTIL(Stop);
}

/* No clock ticks, and this thread never gives its CPU away: each new thread finds an idle CPU of its own, or never runs. */
TARGET_CASE("THR-1", each_new_thread_finds_an_idle_cpu, "smp=2 " NO_TICKS) {
    PKTHREAD threads[MAXIMUM_CPUS];
    ULONG count = TargetCpus() - 1;
    Inside = Stop = 0;
    Where = 0;
    for (ULONG i = 0; i < count; i++) {
        threads[i] = StartThread(MeetTheOthers, (PVOID)(ULONG_PTR)count);
    }
    WAIT_UNTIL(Inside == (LONG)count);
    ASSERT_EQ(Where, KeQueryActiveProcessors() & ~ON(0));
    Stop = TRUE;
    for (ULONG i = 0; i < count; i++) {
        EndThread(threads[i]);
    }
}

static VOID NTAPI Hold(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&Inside);
    WAIT_UNTIL(Stop);
}

static VOID NTAPI HoldUntil(PVOID Context) {
    InterlockedIncrement(&Inside);
    WAIT_UNTIL(*(volatile LONG *)Context);
}

static VOID NTAPI NoteMyCpu(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    Where = 1LL << KeGetCurrentProcessorNumber();
    InterlockedIncrement(&Ran);
}

static VOID NTAPI WaitAnywhere(PVOID Context) {
    KeRevertToUserAffinityThread();
    ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
    Hold(Context);
}

/* All CPUs but the last are taken, and no clock ticks. Who may run on the last one goes there, who may not stays ready. */
TARGET_CASE("THR-1", a_thread_let_go_finds_an_idle_cpu, "smp=3 " NO_TICKS) {
    static WAITER bound;
    ULONG last = TargetCpus() - 1;
    Inside = Stop = Ended = 0;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Back, SynchronizationEvent, FALSE);
    StartWorker(&Worker, WaitAnywhere, NULL, CASE_PRIORITY, ON(1)); /* runs there last */
    WAIT_UNTIL(Waits(Worker.Thread));
    StartWaiter(&bound, &Back, ABOVE, 1);
    KeSetPriorityThread(bound.Worker.Thread, CASE_PRIORITY);
    for (ULONG cpu = 1; cpu < last; cpu++) {
        StartWorker(&Workers[cpu], Hold, NULL, CASE_PRIORITY, ON(cpu));
    }
    WAIT_UNTIL(Inside == (LONG)last - 1);
    KeSetEvent(&Back, 0, FALSE);
    KeSetEvent(&Event, 0, FALSE);
    WAIT_UNTIL(Inside == (LONG)last);
    Settle();
    ASSERT_EQ(Ended, 0);
    Stop = TRUE;
    EndWorker(&Worker);
    for (ULONG cpu = 1; cpu < last; cpu++) {
        EndWorker(&Workers[cpu]);
    }
    EndWaiter(&bound);
    ASSERT_EQ(bound.Cpu, 1);
}

/* It becomes ready while all CPUs are taken; the one that falls idle first takes it, from whose queue it may be. */
TARGET_CASE("THR-1", a_cpu_that_falls_idle_takes_who_waits_elsewhere, "smp=2 " NO_TICKS) {
    ULONG last = TargetCpus() - 1;
    for (ULONG free = 1; free <= last; free += last > 1 ? last - 1 : 1) {
        static volatile LONG let;
        Inside = Stop = Ran = 0;
        let = FALSE;
        for (ULONG cpu = 1; cpu <= last; cpu++) {
            StartWorker(&Workers[cpu], cpu == free ? HoldUntil : Hold, (PVOID)&let, CASE_PRIORITY, ON(cpu));
        }
        WAIT_UNTIL(Inside == (LONG)last);
        PKTHREAD thread = StartThread(NoteMyCpu, NULL);
        Settle();
        ASSERT_EQ(Ran, 0);
        let = TRUE;
        WAIT_UNTIL(Ran == 1);
        ASSERT_EQ(Where, ON(free));
        Stop = TRUE;
        EndThread(thread);
        for (ULONG cpu = 1; cpu <= last; cpu++) {
            EndWorker(&Workers[cpu]);
        }
    }
}

TARGET_DRIVER
