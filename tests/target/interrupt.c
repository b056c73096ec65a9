/* SPDX-License-Identifier: Apache-2.0 */
/* Section 6: interrupt objects and their locks. Vectors are sent by CPUs; chains are in chain.c, lines in line.c. */
#include "interrupts.h"

static volatile LONG Inside;  /* service routines that run now */
static volatile LONG Calls;   /* since a case began */
static volatile LONG Release; /* lets a held service routine go */
static volatile LONG Finished;

static BOOLEAN NTAPI CountCall(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    Step((ULONG)(ULONG_PTR)ServiceContext);
    InterlockedIncrement(&Calls);
    return TRUE;
}

/* Holds its CPU until it is let go; two at once are counted as such. */
static BOOLEAN NTAPI HoldCpu(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    InterlockedIncrement(&Inside);
    Step((ULONG)(ULONG_PTR)ServiceContext);
    WAIT_UNTIL(Release);
    InterlockedDecrement(&Inside);
    InterlockedIncrement(&Finished);
    return TRUE;
}

static VOID Begin(VOID) {
    StepCount = 0;
    Calls = 0;
    Inside = 0;
    Release = 0;
    Finished = 0;
}

TARGET_CASE("INT-1 SYS-9", never_on_two_cpus_at_once, "smp=2 oracle=INT-1") {
    Begin();
    ULONG vector = LEVEL_VECTOR(6);
    ULONG others = TargetCpus() - 1;
    PKINTERRUPT interrupt = ConnectLevel(6, HoldCpu, NULL);
    for (ULONG cpu = 1; cpu <= others; cpu++) {
        ULONG64 before = DirqlInterruptCount(cpu, vector);
        DirqlInterrupt(cpu, vector);
        WAIT_UNTIL(DirqlInterruptCount(cpu, vector) == before + 1);
    }
    WAIT_UNTIL(Inside != 0);
    for (ULONG i = 0; i < LONG_ENOUGH; i++) {
        ASSERT_EQ(Inside, 1);
        YieldProcessor();
    }
    Release = 1;
    WAIT_UNTIL((ULONG)Finished == others);
    IoDisconnectInterrupt(interrupt);
    ASSERT_EQ(StepCount, others);
}

static BOOLEAN NTAPI CheckLevel(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    ASSERT_EQ(KeGetCurrentIrql(), (ULONG_PTR)ServiceContext);
    InterlockedIncrement(&Calls);
    return TRUE;
}

TARGET_CASE("INT-1 INT-5", runs_at_synchronize_irql, "") {
    Begin();
    for (KIRQL level = 4; level <= 11; level++) {
        for (KIRQL synchronize = level; synchronize <= HIGH_LEVEL; synchronize++) {
            LONG before = Calls;
            PKINTERRUPT interrupt =
                ConnectTo(LEVEL_VECTOR(level), synchronize, CheckLevel, (PVOID)(ULONG_PTR)synchronize, NULL, ALL_CPUS);
            DirqlInterrupt(0, LEVEL_VECTOR(level));
            WAIT_UNTIL(Calls == before + 1);
            ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
            IoDisconnectInterrupt(interrupt);
        }
    }
}

/* No clock tick comes in between: it would be one that the oracle sees at a level where the routine must not be. */
static BOOLEAN NTAPI ForgetToLower(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    __asm__ volatile("cli" : : : "memory");
    RaiseTo((KIRQL)(ULONG_PTR)ServiceContext);
    return TRUE;
}

/* 0xC8: current level << 16 | expected level << 8 | 3, for a service routine. */
TARGET_CASE("IRQL-6", a_service_routine_that_stays_raised, "verifier=on bugcheck=0xC8/0x90603") {
    ConnectLevel(6, ForgetToLower, (PVOID)9);
    DirqlInterrupt(0, LEVEL_VECTOR(6));
    WAIT_UNTIL(FALSE);
}

static BOOLEAN NTAPI LowerTooFar(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    __asm__ volatile("cli" : : : "memory");
    KeLowerIrql((KIRQL)(ULONG_PTR)ServiceContext);
    return TRUE;
}

TARGET_CASE("IRQL-6", a_service_routine_that_lowers, "verifier=on bugcheck=0xC8/0x50603") {
    ConnectLevel(6, LowerTooFar, (PVOID)5);
    DirqlInterrupt(0, LEVEL_VECTOR(6));
    WAIT_UNTIL(FALSE);
}

TARGET_CASE("INT-2", exclusive_vectors_are_not_shared, "") {
    PKINTERRUPT first = NULL, second = (PKINTERRUPT)1;
    ULONG vector = LEVEL_VECTOR(7);
    static const struct {
        KINTERRUPT_MODE Mode;
        BOOLEAN Share;
    } firsts[] = {{Latched, FALSE}, {Latched, FALSE}, {Latched, TRUE}, {LevelSensitive, TRUE}},
      seconds[] = {{Latched, FALSE}, {Latched, TRUE}, {Latched, FALSE}, {Latched, TRUE}};
    for (ULONG i = 0; i < RTL_NUMBER_OF(firsts); i++) {
        ASSERT_EQ(IoConnectInterrupt(&first, CountCall, NULL, NULL, vector, 7, 7, firsts[i].Mode, firsts[i].Share,
                                     ALL_CPUS, FALSE),
                  STATUS_SUCCESS);
        ASSERT_EQ(IoConnectInterrupt(&second, CountCall, NULL, NULL, vector, 7, 7, seconds[i].Mode, seconds[i].Share,
                                     ALL_CPUS, FALSE),
                  STATUS_INVALID_PARAMETER);
        ASSERT_EQ(second, NULL);
        IoDisconnectInterrupt(first);
    }
}

/* A vector that is named and connected is no longer handed out; when the last object has gone it is. */
TARGET_CASE("INT-2", a_named_vector_is_reserved, "") {
    ULONG taken[16];
    ULONG count = 0;
    PKINTERRUPT interrupt = ConnectLevel(12, CountCall, NULL);
    while ((taken[count] = DirqlAllocateVector(12)) != 0) {
        ASSERT_NE(taken[count], LEVEL_VECTOR(12));
        count++;
    }
    ASSERT_EQ(count, 15);
    IoDisconnectInterrupt(interrupt);
    ASSERT_EQ(DirqlAllocateVector(12), LEVEL_VECTOR(12));
    DirqlFreeVector(LEVEL_VECTOR(12));
    while (count != 0) {
        DirqlFreeVector(taken[--count]);
    }
}

TARGET_CASE("INT-4 SYS-6", one_lock_over_two_vectors, "smp=2 oracle=INT-1") {
    static KSPIN_LOCK lock;
    Begin();
    KeInitializeSpinLock(&lock);
    PKINTERRUPT first = ConnectTo(LEVEL_VECTOR(5), 8, HoldCpu, (PVOID)5, &lock, ALL_CPUS);
    PKINTERRUPT second = ConnectTo(LEVEL_VECTOR(8), 8, HoldCpu, (PVOID)8, &lock, ALL_CPUS);
    DirqlInterrupt(1, LEVEL_VECTOR(5));
    WAIT_UNTIL(Inside == 1);
    ULONG64 before = DirqlInterruptCount(1, LEVEL_VECTOR(8));
    DirqlInterrupt(1, LEVEL_VECTOR(8)); /* on the CPU that holds: masked, or it would wait for itself */
    if (TargetCpus() > 2) {
        ULONG64 there = DirqlInterruptCount(2, LEVEL_VECTOR(8));
        DirqlInterrupt(2, LEVEL_VECTOR(8));
        WAIT_UNTIL(DirqlInterruptCount(2, LEVEL_VECTOR(8)) == there + 1);
    }
    for (ULONG i = 0; i < LONG_ENOUGH; i++) {
        ASSERT_EQ(Inside, 1);
        ASSERT_EQ(DirqlInterruptCount(1, LEVEL_VECTOR(8)), before);
        YieldProcessor();
    }
    Release = 1;
    WAIT_UNTIL(Finished == (TargetCpus() > 2 ? 3 : 2));
    IoDisconnectInterrupt(first);
    IoDisconnectInterrupt(second);
    ASSERT_EQ(lock != 0, TRUE); /* it was this lock that they took */
}

TARGET_CASE("INT-4", without_a_lock_each_object_has_its_own, "smp=3") {
    Begin();
    PKINTERRUPT first = ConnectLevel(5, HoldCpu, NULL);
    PKINTERRUPT second = ConnectLevel(8, HoldCpu, NULL);
    DirqlInterrupt(1, LEVEL_VECTOR(5));
    DirqlInterrupt(2, LEVEL_VECTOR(8));
    WAIT_UNTIL(Inside == 2);
    Release = 1;
    WAIT_UNTIL(Finished == 2);
    IoDisconnectInterrupt(first);
    IoDisconnectInterrupt(second);
}

static NTSTATUS TryConnect(ULONG vector, KIRQL irql, KIRQL synchronize, PKSPIN_LOCK lock, KAFFINITY mask) {
    PKINTERRUPT interrupt = (PKINTERRUPT)1;
    NTSTATUS status =
        IoConnectInterrupt(&interrupt, CountCall, NULL, lock, vector, irql, synchronize, Latched, FALSE, mask, FALSE);
    if (NT_SUCCESS(status)) {
        IoDisconnectInterrupt(interrupt);
    } else {
        ASSERT_EQ(interrupt, NULL);
    }
    return status;
}

TARGET_CASE("INT-5", synchronize_irql_is_not_below_irql, "") {
    for (KIRQL synchronize = PASSIVE_LEVEL; synchronize <= HIGH_LEVEL; synchronize++) {
        ASSERT_EQ(TryConnect(LEVEL_VECTOR(9), 9, synchronize, NULL, ALL_CPUS),
                  synchronize < 9 ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS);
    }
    ASSERT_EQ(TryConnect(LEVEL_VECTOR(9), 8, 9, NULL, ALL_CPUS), STATUS_INVALID_PARAMETER);
    ASSERT_EQ(TryConnect(CLOCK_VECTOR, CLOCK_LEVEL, CLOCK_LEVEL, NULL, ALL_CPUS), STATUS_INVALID_PARAMETER);
}

TARGET_CASE("INT-6", a_mask_without_a_cpu_is_refused, "") {
    ASSERT_EQ(TryConnect(LEVEL_VECTOR(9), 9, 9, NULL, 0), STATUS_INVALID_PARAMETER);
    ASSERT_EQ(TryConnect(LEVEL_VECTOR(9), 9, 9, NULL, ~ALL_CPUS), STATUS_INVALID_PARAMETER);
    ASSERT_EQ(TryConnect(LEVEL_VECTOR(9), 9, 9, NULL, 1), STATUS_SUCCESS);
}

/* On a CPU that the mask leaves out the vector is as good as not connected. */
TARGET_CASE("INT-6", only_the_cpus_of_the_mask, "smp=2 violates=INT-ACCOUNT") {
    ULONG vector = LEVEL_VECTOR(9);
    ULONG cpus = TargetCpus();
    for (ULONG only = 0; only < cpus; only++) {
        PKINTERRUPT interrupt = ConnectTo(vector, 9, CountCall, NULL, NULL, (KAFFINITY)1 << only);
        Begin();
        for (ULONG cpu = 0; cpu < cpus; cpu++) {
            ULONG64 before = DirqlInterruptCount(cpu, vector);
            DirqlInterrupt(cpu, vector);
            WAIT_UNTIL(DirqlInterruptCount(cpu, vector) == before + 1);
            Settle(cpu);
        }
        IoDisconnectInterrupt(interrupt); /* nobody is in the chain any more */
        ASSERT_EQ(Calls, 1);
        ASSERT_EQ(Steps[0].Cpu, only);
    }
}

static volatile LONG Disconnecting;

static BOOLEAN NTAPI LingerInService(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    InterlockedIncrement(&Inside);
    WAIT_UNTIL(Disconnecting);
    WaitLong();
    InterlockedIncrement(&Finished);
    return TRUE;
}

TARGET_CASE("INT-7", disconnecting_waits_for_the_service_routine, "smp=2") {
    Begin();
    Disconnecting = 0;
    PKINTERRUPT interrupt = ConnectLevel(9, LingerInService, NULL);
    DirqlInterrupt(1, LEVEL_VECTOR(9));
    WAIT_UNTIL(Inside == 1);
    Disconnecting = 1;
    IoDisconnectInterrupt(interrupt);
    ASSERT_EQ(Finished, 1);
}

/* Disconnected and connected again while it never stops coming: no call after the one, all calls after the other. */
static volatile LONG Firing;
static volatile LONG Connected;

static VOID NTAPI FireOn(PVOID Context) {
    while (Firing) {
        DirqlInterrupt((ULONG)(ULONG_PTR)Context, LEVEL_VECTOR(9));
        YieldProcessor();
    }
}

static BOOLEAN NTAPI CallWhileConnected(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    ASSERT_EQ((ULONG_PTR)ServiceContext, Connected);
    InterlockedIncrement(&Calls);
    return TRUE;
}

TARGET_CASE("INT-7", disconnecting_while_it_fires, "smp=2 violates=INT-ACCOUNT") {
    Firing = 1;
    DirqlStartOn(1, FireOn, (PVOID)1);
    for (LONG round = 1; round <= 20; round++) {
        Begin();
        Connected = round;
        PKINTERRUPT interrupt = ConnectLevel(9, CallWhileConnected, (PVOID)(LONG_PTR)round);
        WAIT_UNTIL(Calls != 0);
        IoDisconnectInterrupt(interrupt);
        Connected = 0;
        LONG calls = Calls;
        for (ULONG i = 0; i < 200; i++) {
            YieldProcessor();
        }
        ASSERT_EQ(Calls, calls);
    }
    ULONG64 taken = DirqlInterruptCount(1, LEVEL_VECTOR(9));
    WAIT_UNTIL(DirqlInterruptCount(1, LEVEL_VECTOR(9)) != taken); /* so that one at least found nothing */
    Firing = 0;
    DirqlWaitFor(1);
}

static VOID SendAndSee(ULONG cpu, ULONG vector, LONG calls) {
    ULONG64 before = DirqlInterruptCount(cpu, vector);
    LONG called = Calls;
    DirqlInterrupt(cpu, vector);
    WAIT_UNTIL(DirqlInterruptCount(cpu, vector) == before + 1);
    Settle(cpu);
    ASSERT_EQ(Calls, called + calls);
}

TARGET_CASE("INT-8", inactive_is_not_called, "violates=INT-ACCOUNT") {
    Begin();
    ULONG vector = LEVEL_VECTOR(10);
    PKINTERRUPT interrupt = ConnectLevel(10, CountCall, NULL);
    for (KIRQL irql = PASSIVE_LEVEL; irql <= DISPATCH_LEVEL; irql++) {
        for (ULONG cpu = 0; cpu < TargetCpus() && cpu < 2; cpu++) {
            SendAndSee(cpu, vector, 1); /* active from the start */
            KIRQL old = RaiseTo(irql);
            Report(interrupt, TRUE);
            Report(interrupt, FALSE);
            Report(interrupt, FALSE);
            ASSERT_EQ(KeGetCurrentIrql(), irql);
            KeLowerIrql(old);
            SendAndSee(cpu, vector, 0);
            old = RaiseTo(irql);
            Report(interrupt, TRUE); /* once is enough, however often it was made inactive */
            KeLowerIrql(old);
            SendAndSee(cpu, vector, 1);
        }
    }
    Report(interrupt, FALSE);
    IoDisconnectInterrupt(interrupt); /* inactive as it is */
}

TARGET_CASE("INT-8", inactive_waits_for_the_service_routine, "smp=2") {
    Begin();
    Disconnecting = 0;
    PKINTERRUPT interrupt = ConnectLevel(10, LingerInService, NULL);
    DirqlInterrupt(1, LEVEL_VECTOR(10));
    WAIT_UNTIL(Inside == 1);
    Disconnecting = 1;
    Report(interrupt, FALSE);
    ASSERT_EQ(Finished, 1);
    IoDisconnectInterrupt(interrupt);
}

TARGET_CASE("INT-10", the_lock_is_held_at_synchronize_irql, "") {
    Begin();
    PKINTERRUPT interrupt = ConnectTo(LEVEL_VECTOR(6), 9, CountCall, NULL, NULL, ALL_CPUS);
    for (KIRQL from = PASSIVE_LEVEL; from <= 9; from++) {
        KIRQL base = RaiseTo(from);
        KIRQL old = KeAcquireInterruptSpinLock(interrupt);
        ASSERT_EQ(old, from);
        ASSERT_EQ(KeGetCurrentIrql(), 9);
        KeReleaseInterruptSpinLock(interrupt, old);
        ASSERT_EQ(KeGetCurrentIrql(), from);
        KeLowerIrql(base);
    }
    IoDisconnectInterrupt(interrupt);
}

TARGET_CASE("INT-10", the_service_routine_stays_out, "smp=2 oracle=INT-1") {
    Begin();
    ULONG vector = LEVEL_VECTOR(6);
    PKINTERRUPT interrupt = ConnectLevel(6, CountCall, NULL);
    KIRQL old = KeAcquireInterruptSpinLock(interrupt);
    ULONG64 before = DirqlInterruptCount(1, vector);
    DirqlInterrupt(1, vector);
    DirqlInterrupt(0, vector);
    WAIT_UNTIL(DirqlInterruptCount(1, vector) == before + 1);
    for (ULONG i = 0; i < LONG_ENOUGH; i++) {
        ASSERT_EQ(Calls, 0);
        YieldProcessor();
    }
    KeReleaseInterruptSpinLock(interrupt, old);
    WAIT_UNTIL(Calls == 2);
    IoDisconnectInterrupt(interrupt);
}

/* CPUs ask for the lock one after the other while this one has it; then they are served in that order. */
static VOID QueueInOrder(const ULONG *order, ULONG count) {
    static KSPIN_LOCK lock;
    Begin();
    KeInitializeSpinLock(&lock);
    PKINTERRUPT interrupt = ConnectTo(LEVEL_VECTOR(6), 6, CountCall, NULL, &lock, ALL_CPUS);
    KIRQL old = KeAcquireInterruptSpinLock(interrupt);
    USHORT drawn = TicketsDrawn(&lock);
    for (ULONG i = 0; i < count; i++) {
        DirqlInterrupt(order[i], LEVEL_VECTOR(6));
        WAIT_UNTIL(TicketsDrawn(&lock) == (USHORT)(drawn + i + 1));
    }
    ASSERT_EQ(Calls, 0);
    KeReleaseInterruptSpinLock(interrupt, old);
    WAIT_UNTIL((ULONG)Calls == count);
    IoDisconnectInterrupt(interrupt);
    for (ULONG i = 0; i < count; i++) {
        ASSERT_EQ(Steps[i].Cpu, order[i]);
    }
}

TARGET_CASE("INT-11 SYS-9", first_come_first_served, "smp=3 oracle=INT-1") {
    ULONG order[64];
    ULONG others = TargetCpus() - 1;
    for (ULONG turn = 0; turn < others; turn++) {
        for (ULONG i = 0; i < others; i++) {
            order[i] = (turn + i) % others + 1;
        }
        QueueInOrder(order, others);
    }
    for (ULONG i = 0; i < others; i++) {
        order[i] = others - i;
    }
    QueueInOrder(order, others);
}

/* A release lets one in, and only when that one has left the next. */
TARGET_CASE("SYS-9", a_release_lets_one_in, "smp=4 oracle=INT-1") {
    static KSPIN_LOCK lock;
    Begin();
    KeInitializeSpinLock(&lock);
    PKINTERRUPT interrupt = ConnectTo(LEVEL_VECTOR(6), 6, HoldCpu, NULL, &lock, ALL_CPUS);
    KIRQL old = KeAcquireInterruptSpinLock(interrupt);
    for (ULONG cpu = 1; cpu < 4; cpu++) {
        DirqlInterrupt(cpu, LEVEL_VECTOR(6));
        WAIT_UNTIL(TicketsDrawn(&lock) == cpu + 1);
    }
    KeReleaseInterruptSpinLock(interrupt, old);
    WAIT_UNTIL(Inside == 1);
    for (ULONG i = 0; i < LONG_ENOUGH; i++) {
        ASSERT_EQ(Inside, 1);
        YieldProcessor();
    }
    ASSERT_EQ(StepCount, 1);
    Release = 1;
    WAIT_UNTIL(Finished == 3);
    IoDisconnectInterrupt(interrupt);
}

TARGET_DRIVER
