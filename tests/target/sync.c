/* SPDX-License-Identifier: Apache-2.0 */
/* Section 7: KeSynchronizeExecution, and what comes to CPUs that hold an interrupt spin lock or wait for it (SYS-8). */
#include "interrupts.h"

#define LEVEL 6

static KSPIN_LOCK Lock;
static volatile LONG Inside;
static volatile LONG Release;
static volatile LONG Above[HIGHEST_LEVEL + 1]; /* service routines of higher levels that ran */

static BOOLEAN NTAPI ServeOnce(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    ASSERT_EQ(InterlockedIncrement(&Inside), 1);
    Step((ULONG)(ULONG_PTR)ServiceContext);
    ASSERT_EQ(InterlockedDecrement(&Inside), 0);
    return TRUE;
}

static BOOLEAN NTAPI ServeAndHold(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    ASSERT_EQ(InterlockedIncrement(&Inside), 1);
    Step((ULONG)(ULONG_PTR)ServiceContext);
    WAIT_UNTIL(Release);
    ASSERT_EQ(InterlockedDecrement(&Inside), 0);
    return TRUE;
}

static BOOLEAN NTAPI EnterOnce(PVOID SynchronizeContext) {
    return ServeOnce(NULL, SynchronizeContext);
}

static BOOLEAN NTAPI EnterAndHold(PVOID SynchronizeContext) {
    return ServeAndHold(NULL, SynchronizeContext);
}

static VOID Begin(VOID) {
    StepCount = 0;
    Inside = 0;
    Release = 0;
    KeInitializeSpinLock(&Lock);
}

static KIRQL SeenIrql;
static ULONG SeenCpu;

static BOOLEAN NTAPI ReturnContext(PVOID SynchronizeContext) {
    SeenIrql = KeGetCurrentIrql();
    SeenCpu = KeGetCurrentProcessorNumber();
    return (BOOLEAN)(ULONG_PTR)SynchronizeContext;
}

TARGET_CASE("SYN-1", raises_runs_returns_restores, "") {
    Begin();
    for (KIRQL synchronize = LEVEL; synchronize <= HIGH_LEVEL; synchronize++) {
        PKINTERRUPT interrupt = ConnectTo(LEVEL_VECTOR(LEVEL), synchronize, ServeOnce, NULL, NULL, ALL_CPUS);
        for (KIRQL from = PASSIVE_LEVEL; from <= synchronize; from++) {
            KIRQL old = RaiseTo(from);
            for (ULONG value = 0; value < 256; value += 51) {
                SeenIrql = 0xff;
                SeenCpu = 0xff;
                ASSERT_EQ(KeSynchronizeExecution(interrupt, ReturnContext, (PVOID)(ULONG_PTR)value), value);
                ASSERT_EQ(SeenIrql, synchronize);
                ASSERT_EQ(SeenCpu, KeGetCurrentProcessorNumber());
                ASSERT_EQ(KeGetCurrentIrql(), from);
            }
            ASSERT_EQ(KeSynchronizeExecution(interrupt, ReturnContext, (PVOID)2), 2);
            KeLowerIrql(old);
        }
        IoDisconnectInterrupt(interrupt);
    }
}

static PKINTERRUPT Shared;

static VOID NTAPI CallFromHere(PVOID Context) {
    ULONG cpu = KeGetCurrentProcessorNumber();
    ASSERT_EQ(KeSynchronizeExecution(Shared, ReturnContext, (PVOID)7), 7);
    ASSERT_EQ(SeenCpu, cpu);
    ASSERT_EQ(KeGetCurrentProcessorNumber(), cpu);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    UNREFERENCED_PARAMETER(Context);
}

TARGET_CASE("SYN-1", runs_on_the_calling_cpu, "smp=2") {
    Begin();
    Shared = ConnectTo(LEVEL_VECTOR(LEVEL), LEVEL, ServeOnce, NULL, &Lock, ALL_CPUS);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, CallFromHere, NULL);
        DirqlWaitFor(cpu);
    }
    IoDisconnectInterrupt(Shared);
}

/* Higher levels' interrupts, those of power and profile among them. */
static BOOLEAN NTAPI NoteAbove(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    InterlockedIncrement(&Above[(ULONG_PTR)ServiceContext]);
    return TRUE;
}

static VOID ConnectAbove(PKINTERRUPT *above) {
    for (KIRQL level = LEVEL + 1; level <= HIGHEST_LEVEL; level++) {
        above[level] = ConnectLevel(level, NoteAbove, (PVOID)(ULONG_PTR)level);
    }
}

static VOID DisconnectAbove(PKINTERRUPT *above) {
    for (KIRQL level = LEVEL + 1; level <= HIGHEST_LEVEL; level++) {
        IoDisconnectInterrupt(above[level]);
    }
}

/* The CPU holds the lock or waits for it: every higher interrupt comes to it, the clock's too; the device's own does not. */
static VOID InterruptFromAbove(ULONG cpu, VOID (*send)(ULONG cpu, ULONG vector)) {
    ULONG64 own = DirqlInterruptCount(cpu, LEVEL_VECTOR(LEVEL));
    send(cpu, LEVEL_VECTOR(LEVEL));
    for (KIRQL level = LEVEL + 1; level <= HIGHEST_LEVEL; level++) {
        LONG before = Above[level];
        send(cpu, LEVEL_VECTOR(level));
        WAIT_UNTIL(Above[level] == before + 1);
    }
    ULONG64 ticks = DirqlInterruptCount(cpu, CLOCK_VECTOR);
    WAIT_UNTIL(DirqlInterruptCount(cpu, CLOCK_VECTOR) > ticks);
    ASSERT_EQ(DirqlInterruptCount(cpu, LEVEL_VECTOR(LEVEL)), own);
}

static VOID SendFromHere(ULONG cpu, ULONG vector) {
    DirqlInterrupt(cpu, vector);
}

static VOID SendFromHost(ULONG cpu, ULONG vector) {
    ASSERT_EQ(DirqlHostCall(HostCallInterrupt, cpu, vector, NULL), STATUS_SUCCESS);
}

static VOID NTAPI EnterShared(PVOID Context) {
    KeSynchronizeExecution(Shared, EnterOnce, Context);
}

static VOID HoldAndWait(VOID (*send)(ULONG cpu, ULONG vector)) {
    PKINTERRUPT above[HIGHEST_LEVEL + 1];
    Begin();
    ConnectAbove(above);
    Shared = ConnectTo(LEVEL_VECTOR(LEVEL), LEVEL, ServeOnce, (PVOID)1, &Lock, ALL_CPUS);
    KIRQL old = KeAcquireInterruptSpinLock(Shared);
    DirqlStartOn(1, EnterShared, (PVOID)2);
    WAIT_UNTIL(TicketsDrawn(&Lock) == 2); /* CPU 1 waits */
    InterruptFromAbove(0, send);
    InterruptFromAbove(1, send);
    ASSERT_EQ(StepCount, 0);
    KeReleaseInterruptSpinLock(Shared, old);
    DirqlWaitFor(1);
    WAIT_UNTIL(StepCount == 3);
    IoDisconnectInterrupt(Shared);
    DisconnectAbove(above);
    ASSERT_EQ(Steps[0].What, 2); /* it waited since before the device's interrupts came */
    ASSERT_EQ(Steps[0].Irql, LEVEL);
}

TARGET_CASE("SYN-2 SYS-8", higher_interrupts_reach_holder_and_waiter, "smp=2") {
    HoldAndWait(SendFromHere);
}

TARGET_CASE("SYS-8 SYN-2", higher_interrupts_from_outside, "smp=2") {
    HoldAndWait(SendFromHost);
}

/* SYN-4: from above SynchronizeIrql it would be a raise to a lower level. */
static VOID EnterFromAbove(KIRQL from, BOOLEAN call) {
    Begin();
    Shared = ConnectTo(LEVEL_VECTOR(LEVEL), LEVEL + 1, ServeOnce, NULL, &Lock, ALL_CPUS);
    RaiseTo(from);
    if (call) {
        KeSynchronizeExecution(Shared, ReturnContext, NULL);
    } else {
        KeAcquireInterruptSpinLock(Shared);
    }
}

TARGET_CASE("SYN-4", a_call_from_above, "verifier=on bugcheck=0xC4/0x30/8/7") {
    EnterFromAbove(LEVEL + 2, TRUE);
}

TARGET_CASE("SYN-4", a_call_from_high_level, "verifier=on bugcheck=0xC4/0x30/15/7") {
    EnterFromAbove(HIGH_LEVEL, TRUE);
}

TARGET_CASE("INT-10", the_lock_from_above, "verifier=on bugcheck=0xC4/0x30/8/7") {
    EnterFromAbove(LEVEL + 2, FALSE);
}

static volatile LONG Done;

#define ROUNDS 20

static VOID NTAPI EnterManyTimes(PVOID Context) {
    for (ULONG i = 0; i < ROUNDS; i++) {
        KeSynchronizeExecution(Shared, EnterOnce, Context);
    }
    InterlockedIncrement(&Done);
}

/* All CPUs call at once while the interrupt comes to all of them: ServeOnce finds itself alone each time. */
TARGET_CASE("SYN-3 INT-1", one_at_a_time, "smp=2 oracle=INT-1") {
    Begin();
    Done = 0;
    ULONG cpus = TargetCpus();
    Shared = ConnectTo(LEVEL_VECTOR(LEVEL), LEVEL, ServeOnce, (PVOID)1, &Lock, ALL_CPUS);
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlStartOn(cpu, EnterManyTimes, (PVOID)2);
    }
    do {
        for (ULONG cpu = 1; cpu < cpus; cpu++) {
            DirqlInterrupt(cpu, LEVEL_VECTOR(LEVEL));
        }
        KeSynchronizeExecution(Shared, EnterOnce, (PVOID)3);
        YieldProcessor();
    } while (Done != (LONG)cpus - 1);
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    ASSERT_GT(StepCount, ROUNDS * ((LONG)cpus - 1));
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        Settle(cpu);
    }
    IoDisconnectInterrupt(Shared);
}

TARGET_CASE("SYN-3", the_service_routine_stays_out, "smp=3") {
    Begin();
    Shared = ConnectTo(LEVEL_VECTOR(LEVEL), LEVEL, ServeOnce, (PVOID)1, &Lock, ALL_CPUS);
    KIRQL old = KeAcquireInterruptSpinLock(Shared);
    DirqlStartOn(1, EnterShared, (PVOID)2);
    WAIT_UNTIL(TicketsDrawn(&Lock) == 2);
    DirqlInterrupt(2, LEVEL_VECTOR(LEVEL));
    WAIT_UNTIL(TicketsDrawn(&Lock) == 3);
    for (ULONG i = 0; i < LONG_ENOUGH; i++) {
        ASSERT_EQ(StepCount, 0);
        YieldProcessor();
    }
    KeReleaseInterruptSpinLock(Shared, old);
    DirqlWaitFor(1);
    WAIT_UNTIL(StepCount == 2);
    IoDisconnectInterrupt(Shared);
    ASSERT_EQ(Steps[0].What, 2);
    ASSERT_EQ(Steps[1].What, 1);
}

static VOID NTAPI HoldShared(PVOID Context) {
    KeSynchronizeExecution(Shared, EnterAndHold, Context);
}

/* A service routine does not enter while a synchronised routine runs on another CPU. */
TARGET_CASE("SYN-3", a_running_routine_keeps_the_service_routine_out, "smp=3") {
    Begin();
    Shared = ConnectTo(LEVEL_VECTOR(LEVEL), LEVEL, ServeOnce, (PVOID)1, &Lock, ALL_CPUS);
    DirqlStartOn(1, HoldShared, (PVOID)2);
    WAIT_UNTIL(Inside == 1);
    DirqlInterrupt(2, LEVEL_VECTOR(LEVEL));
    ULONG64 own = DirqlInterruptCount(1, LEVEL_VECTOR(LEVEL));
    DirqlInterrupt(1, LEVEL_VECTOR(LEVEL)); /* masked where the routine runs */
    WAIT_UNTIL(TicketsDrawn(&Lock) == 2);
    WaitLong();
    ASSERT_EQ(StepCount, 1);
    ASSERT_EQ(DirqlInterruptCount(1, LEVEL_VECTOR(LEVEL)), own);
    Release = 1;
    DirqlWaitFor(1);
    WAIT_UNTIL(StepCount == 3);
    IoDisconnectInterrupt(Shared);
}

/* Step 3 of the figure in both of its legal orders: who asked first is served first, service routine or caller. */
static VOID ServeTwo(BOOLEAN interrupt_first) {
    Begin();
    Shared = ConnectTo(LEVEL_VECTOR(LEVEL), LEVEL, ServeOnce, (PVOID)1, &Lock, ALL_CPUS);
    KIRQL old = KeAcquireInterruptSpinLock(Shared);
    for (ULONG turn = 0; turn < 2; turn++) {
        if (interrupt_first == (turn == 0)) {
            DirqlInterrupt(1, LEVEL_VECTOR(LEVEL));
        } else {
            DirqlStartOn(2, EnterShared, (PVOID)2);
        }
        WAIT_UNTIL(TicketsDrawn(&Lock) == turn + 2);
    }
    KeReleaseInterruptSpinLock(Shared, old);
    DirqlWaitFor(2);
    WAIT_UNTIL(StepCount == 2);
    IoDisconnectInterrupt(Shared);
    ASSERT_EQ(Steps[0].What, interrupt_first ? 1 : 2);
    ASSERT_EQ(Steps[0].Cpu, interrupt_first ? 1 : 2);
    ASSERT_EQ(Steps[1].What, interrupt_first ? 2 : 1);
}

TARGET_CASE("SYN-5", an_interrupt_that_came_first_goes_first, "smp=3 oracle=INT-1") {
    ServeTwo(TRUE);
}

TARGET_CASE("SYN-5", a_caller_that_came_first_goes_first, "smp=3 oracle=INT-1") {
    ServeTwo(FALSE);
}

/*
 * The figure of the multiprocessor document: the service routine on CPU 1, StartIo's critical section on CPU 2 waits, the
 * DPC on CPU 3 calls as well; they are served in turn. The other order of the last two is as legal.
 */
static VOID NTAPI CallFromDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeSynchronizeExecution(Shared, EnterOnce, (PVOID)3);
}

static VOID NTAPI CallFromStartIo(PVOID Context) {
    KIRQL old = RaiseTo(DISPATCH_LEVEL);
    KeSynchronizeExecution(Shared, EnterOnce, Context);
    KeLowerIrql(old);
}

static VOID PassInTurn(BOOLEAN dpc_first) {
    static KDPC dpc;
    Begin();
    KeInitializeDpc(&dpc, CallFromDpc, NULL);
    KeSetTargetProcessorDpc(&dpc, 3);
    KeSetImportanceDpc(&dpc, HighImportance);
    Shared = ConnectTo(LEVEL_VECTOR(LEVEL), LEVEL, ServeAndHold, (PVOID)1, &Lock, ALL_CPUS);
    DirqlInterrupt(1, LEVEL_VECTOR(LEVEL));
    WAIT_UNTIL(Inside == 1);
    for (ULONG turn = 0; turn < 2; turn++) {
        if (dpc_first == (turn == 0)) {
            KeInsertQueueDpc(&dpc, NULL, NULL);
        } else {
            DirqlStartOn(2, CallFromStartIo, (PVOID)2);
        }
        WAIT_UNTIL(TicketsDrawn(&Lock) == turn + 2);
    }
    WaitLong();
    ASSERT_EQ(StepCount, 1);
    Release = 1;
    DirqlWaitFor(2);
    WAIT_UNTIL(StepCount == 3);
    IoDisconnectInterrupt(Shared);
    KeFlushQueuedDpcs();
    ASSERT_EQ(Steps[0].What, 1);
    ASSERT_EQ(Steps[0].Cpu, 1);
    ASSERT_EQ(Steps[1].What, dpc_first ? 3 : 2);
    ASSERT_EQ(Steps[1].Cpu, dpc_first ? 3 : 2);
    ASSERT_EQ(Steps[2].What, dpc_first ? 2 : 3);
    for (ULONG i = 0; i < 3; i++) {
        ASSERT_EQ(Steps[i].Irql, LEVEL);
    }
}

TARGET_CASE("SYN-6 SYN-5", three_cpus_start_io_before_dpc, "smp=4 oracle=INT-1") {
    PassInTurn(FALSE);
}

TARGET_CASE("SYN-6 SYN-5", three_cpus_dpc_before_start_io, "smp=4 oracle=INT-1") {
    PassInTurn(TRUE);
}

TARGET_DRIVER
