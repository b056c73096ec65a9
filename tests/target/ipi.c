/* SPDX-License-Identifier: Apache-2.0 */
/* IPI-1: KeIpiGenericCall. Who runs, at which level, behind which barrier; what it must not wait for. */
#include "interrupts.h"

static volatile LONG Arrived;
static volatile LONG Left;
static volatile LONG Calls;
static ULONG Slow; /* this CPU is the last to come, or to leave */

static ULONG_PTR NTAPI ReturnOwn(ULONG_PTR Argument) {
    ASSERT_EQ(KeGetCurrentIrql(), IPI_LEVEL);
    ASSERT_EQ(Argument, 0x1234);
    Step(KeGetCurrentProcessorNumber());
    InterlockedIncrement(&Calls);
    return 100 + KeGetCurrentProcessorNumber();
}

static VOID AssertEachCpuOnce(VOID) {
    ULONG64 seen = 0;
    ASSERT_EQ(StepCount, TargetCpus());
    for (LONG i = 0; i < StepCount; i++) {
        ASSERT_EQ(seen >> Steps[i].Cpu & 1, 0);
        ASSERT_EQ(Steps[i].Irql, IPI_LEVEL);
        seen |= 1ull << Steps[i].Cpu;
    }
    ASSERT_EQ(seen, ALL_CPUS);
}

TARGET_CASE("IPI-1", all_cpus_at_ipi_level, "") {
    for (KIRQL from = PASSIVE_LEVEL; from < IPI_LEVEL; from++) {
        StepCount = 0;
        KIRQL old = RaiseTo(from);
        ASSERT_EQ(KeIpiGenericCall(ReturnOwn, 0x1234), 100);
        ASSERT_EQ(KeGetCurrentIrql(), from);
        KeLowerIrql(old);
        AssertEachCpuOnce();
    }
}

static VOID NTAPI CallFromHere(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ASSERT_EQ(KeIpiGenericCall(ReturnOwn, 0x1234), 100 + KeGetCurrentProcessorNumber());
}

TARGET_CASE("IPI-1", returns_the_callers_value, "smp=2") {
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        StepCount = 0;
        DirqlStartOn(cpu, CallFromHere, NULL);
        DirqlWaitFor(cpu);
        AssertEachCpuOnce();
    }
}

/* Every CPU finds all others inside before it leaves: that is the barrier from within. */
static ULONG_PTR NTAPI MeetInside(ULONG_PTR Cpus) {
    InterlockedIncrement(&Arrived);
    WAIT_UNTIL(Arrived == (LONG)Cpus);
    return 0;
}

TARGET_CASE("IPI-1", all_are_inside_at_once, "smp=2") {
    Arrived = 0;
    KeIpiGenericCall(MeetInside, TargetCpus());
    ASSERT_EQ(Arrived, TargetCpus());
}

/* One CPU cannot come yet, because it is at HIGH_LEVEL: until it does, nobody begins. */
static volatile LONG AtHigh; /* 1: CPU 1 is there, 2: it has left */
static volatile LONG Called;
static volatile LONG Begun;

static VOID NTAPI StayHigh(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KIRQL old = RaiseTo(HIGH_LEVEL);
    AtHigh = 1;
    WAIT_UNTIL(Called);
    for (ULONG i = 0; i < LONG_ENOUGH; i++) {
        ASSERT_EQ(Begun, 0);
        YieldProcessor();
    }
    AtHigh = 2;
    KeLowerIrql(old);
}

static ULONG_PTR NTAPI NoteBegun(ULONG_PTR Argument) {
    ASSERT_EQ(AtHigh, 2);
    InterlockedIncrement(&Begun);
    return Argument;
}

TARGET_CASE("IPI-1", nobody_begins_before_all_have_come, "smp=2") {
    Begun = 0;
    AtHigh = 0;
    Called = 0;
    DirqlStartOn(1, StayHigh, NULL);
    WAIT_UNTIL(AtHigh);
    Called = 1;
    ASSERT_EQ(KeIpiGenericCall(NoteBegun, 9), 9);
    DirqlWaitFor(1);
    ASSERT_EQ(Begun, TargetCpus());
}

static ULONG_PTR NTAPI LeaveLate(ULONG_PTR Argument) {
    if (KeGetCurrentProcessorNumber() == Slow) {
        WaitLong();
    }
    InterlockedIncrement(&Left);
    return Argument;
}

TARGET_CASE("IPI-1", waits_for_the_last, "smp=2") {
    for (Slow = 0; Slow < TargetCpus(); Slow++) {
        Left = 0;
        KeIpiGenericCall(LeaveLate, 0);
        ASSERT_EQ(Left, TargetCpus());
    }
}

#define CALLS 3

static VOID NTAPI CallManyTimes(PVOID Context) {
    for (ULONG i = 0; i < CALLS; i++) {
        KIRQL old = RaiseTo((KIRQL)(ULONG_PTR)Context);
        ASSERT_EQ(KeIpiGenericCall(ReturnOwn, 0x1234), 100 + KeGetCurrentProcessorNumber());
        KeLowerIrql(old);
    }
}

/* Callers wait for each other's calls and answer them meanwhile, at whatever level below IPI_LEVEL they are. */
TARGET_CASE("IPI-1", callers_do_not_block_each_other, "smp=2") {
    for (KIRQL level = PASSIVE_LEVEL; level < IPI_LEVEL; level += level < DISPATCH_LEVEL ? 2 : 11) {
        Calls = 0;
        for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
            DirqlStartOn(cpu, CallManyTimes, (PVOID)(ULONG_PTR)level);
        }
        CallManyTimes((PVOID)(ULONG_PTR)level);
        for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
            DirqlWaitFor(cpu);
        }
        ASSERT_EQ(Calls, CALLS * TargetCpus() * TargetCpus());
    }
}

/* A CPU that spins for a lock whose holder makes the call answers it in the middle of its spinning. */
static KSPIN_LOCK Held;
static PKINTERRUPT HeldInterrupt;
static volatile LONG Asking;

static VOID NTAPI SpinForLock(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    Asking = 1;
    KeAcquireSpinLock(&Held, &old);
    KeReleaseSpinLock(&Held, old);
}

TARGET_CASE("IPI-1", a_cpu_that_spins_answers, "smp=2") {
    KIRQL old;
    KeInitializeSpinLock(&Held);
    Asking = 0;
    KeAcquireSpinLock(&Held, &old);
    DirqlStartOn(1, SpinForLock, NULL);
    WAIT_UNTIL(Asking);
    for (ULONG i = 0; i < 5; i++) {
        StepCount = 0;
        ASSERT_EQ(KeIpiGenericCall(ReturnOwn, 0x1234), 100);
        AssertEachCpuOnce();
    }
    KeReleaseSpinLock(&Held, old);
    DirqlWaitFor(1);
}

static BOOLEAN NTAPI DoNothing(PVOID SynchronizeContext) {
    return SynchronizeContext != NULL;
}

static BOOLEAN NTAPI NotMine(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    return FALSE;
}

static VOID NTAPI SpinForInterruptLock(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeSynchronizeExecution(HeldInterrupt, DoNothing, NULL);
}

TARGET_CASE("IPI-1", a_cpu_that_spins_at_dirql_answers, "smp=2") {
    static KSPIN_LOCK lock;
    KeInitializeSpinLock(&lock);
    HeldInterrupt = ConnectTo(LEVEL_VECTOR(11), CLOCK_LEVEL, NotMine, NULL, &lock, ALL_CPUS);
    KIRQL old = KeAcquireInterruptSpinLock(HeldInterrupt);
    DirqlStartOn(1, SpinForInterruptLock, NULL);
    WAIT_UNTIL(TicketsDrawn(&lock) == 2);
    for (ULONG i = 0; i < 5; i++) {
        StepCount = 0;
        ASSERT_EQ(KeIpiGenericCall(ReturnOwn, 0x1234), 100);
        AssertEachCpuOnce();
    }
    KeReleaseInterruptSpinLock(HeldInterrupt, old);
    DirqlWaitFor(1);
    IoDisconnectInterrupt(HeldInterrupt);
}

TARGET_DRIVER
