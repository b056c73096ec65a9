/* SPDX-License-Identifier: Apache-2.0 */
/* Section 1: IRQL. What each level masks and what comes through, on this CPU and on others; the level of each routine. */
#include "interrupts.h"

static PKINTERRUPT Interrupts[HIGHEST_LEVEL + 1];
static volatile LONG Taken[HIGHEST_LEVEL + 1];

static BOOLEAN NTAPI TakeInterrupt(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    ULONG level = (ULONG)(ULONG_PTR)ServiceContext;
    UNREFERENCED_PARAMETER(Interrupt);
    ASSERT_EQ(KeGetCurrentIrql(), level);
    Step(level);
    InterlockedIncrement(&Taken[level]);
    return TRUE;
}

static VOID ConnectLevels(PKSERVICE_ROUTINE routine) {
    StepCount = 0;
    for (KIRQL level = LOWEST_LEVEL; level <= HIGHEST_LEVEL; level++) {
        Taken[level] = 0;
        Interrupts[level] = ConnectLevel(level, routine, (PVOID)(ULONG_PTR)level);
    }
}

static VOID DisconnectLevels(VOID) {
    for (KIRQL level = LOWEST_LEVEL; level <= HIGHEST_LEVEL; level++) {
        IoDisconnectInterrupt(Interrupts[level]);
    }
}

/* Each service routine has the next level's interrupt come while it runs. */
static BOOLEAN NTAPI RiseOneLevel(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    ULONG level = (ULONG)(ULONG_PTR)ServiceContext;
    TakeInterrupt(Interrupt, ServiceContext);
    if (level < HIGHEST_LEVEL) {
        DirqlInterrupt(KeGetCurrentProcessorNumber(), LEVEL_VECTOR(level + 1));
        WAIT_UNTIL(Taken[level + 1] == 1);
        ASSERT_EQ(KeGetCurrentIrql(), level);
    }
    return TRUE;
}

TARGET_CASE("IRQL-1 IRQL-6", levels_in_order, "") {
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(PASSIVE_LEVEL, 0);
    ASSERT_LT(PASSIVE_LEVEL, APC_LEVEL);
    ASSERT_LT(APC_LEVEL, DISPATCH_LEVEL);
    ASSERT_LT(DISPATCH_LEVEL, LOWEST_LEVEL);
    ASSERT_LT(12, CLOCK_LEVEL);
    ASSERT_LT(CLOCK_LEVEL, HIGH_LEVEL);
    ASSERT_LT(IPI_LEVEL, HIGH_LEVEL);
    ASSERT_LT(CLOCK_LEVEL, POWER_LEVEL);
    ConnectLevels(RiseOneLevel);
    DirqlInterrupt(0, LEVEL_VECTOR(LOWEST_LEVEL));
    WAIT_UNTIL(Taken[LOWEST_LEVEL] == 1);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(StepCount, HIGHEST_LEVEL - LOWEST_LEVEL + 1);
    for (LONG i = 0; i < StepCount; i++) {
        ASSERT_EQ(Steps[i].What, LOWEST_LEVEL + i);
        ASSERT_EQ(Steps[i].Irql, LOWEST_LEVEL + i);
    }
    DisconnectLevels();
}

static VOID SendFromHere(ULONG cpu, ULONG vector) {
    DirqlInterrupt(cpu, vector);
}

static VOID SendFromHost(ULONG cpu, ULONG vector) {
    ASSERT_EQ(DirqlHostCall(HostCallInterrupt, cpu, vector, NULL), STATUS_SUCCESS);
}

/* At each IRQL n: n - 1, n and n + 1 come, lowest first; n + 1 runs, the others wait and then run highest first. */
static VOID HoldEachLevel(VOID (*send)(ULONG cpu, ULONG vector)) {
    ConnectLevels(TakeInterrupt);
    for (KIRQL n = DISPATCH_LEVEL; n <= HIGH_LEVEL; n++) {
        KIRQL first = n - 1 < LOWEST_LEVEL ? LOWEST_LEVEL : (KIRQL)(n - 1);
        KIRQL last = n + 1 > HIGHEST_LEVEL ? HIGHEST_LEVEL : (KIRQL)(n + 1);
        StepCount = 0;
        KIRQL old = RaiseTo(n);
        ASSERT_EQ(old, PASSIVE_LEVEL);
        for (KIRQL level = first; level <= last; level++) {
            send(0, LEVEL_VECTOR(level));
        }
        if (last > n) {
            WAIT_UNTIL(StepCount != 0);
            ASSERT_EQ(Steps[0].What, last);
        }
        for (ULONG i = 0; i < 1000; i++) {
            YieldProcessor();
        }
        ASSERT_EQ(StepCount, last > n ? 1 : 0);
        ASSERT_EQ(KeGetCurrentIrql(), n);
        KeLowerIrql(old);
        ASSERT_EQ(StepCount, last - first + 1);
        for (LONG i = 0; i < StepCount; i++) {
            ASSERT_EQ(Steps[i].What, last - i);
        }
    }
    DisconnectLevels();
}

TARGET_CASE("IRQL-2", masks_what_this_cpu_sends_itself, "oracle=IRQL-2") {
    HoldEachLevel(SendFromHere);
}

TARGET_CASE("IRQL-2", masks_what_comes_from_outside, "oracle=IRQL-2") {
    HoldEachLevel(SendFromHost);
}

/* The IRQL of one CPU masks nothing on another. */
TARGET_CASE("IRQL-2", masks_on_this_cpu_only, "smp=2") {
    ConnectLevels(TakeInterrupt);
    KIRQL old = RaiseTo(HIGH_LEVEL);
    for (KIRQL level = LOWEST_LEVEL; level <= HIGHEST_LEVEL; level++) {
        for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
            LONG before = Taken[level];
            StepCount = 0;
            DirqlInterrupt(cpu, LEVEL_VECTOR(level));
            WAIT_UNTIL(Taken[level] == before + 1);
            ASSERT_EQ(StepCount, 1);
            ASSERT_EQ(Steps[0].Cpu, cpu);
        }
    }
    KeLowerIrql(old);
    DisconnectLevels();
}

/* Levels given up one at a time let through one interrupt at a time. */
TARGET_CASE("IRQL-2 IRQL-4", lowering_by_steps, "") {
    ConnectLevels(TakeInterrupt);
    KIRQL old = RaiseTo(HIGH_LEVEL);
    for (KIRQL level = LOWEST_LEVEL; level <= HIGHEST_LEVEL; level++) {
        DirqlInterrupt(0, LEVEL_VECTOR(level));
    }
    for (KIRQL level = HIGH_LEVEL; level > DISPATCH_LEVEL; level--) {
        ASSERT_EQ(StepCount, HIGH_LEVEL - level);
        KeLowerIrql((KIRQL)(level - 1));
        ASSERT_EQ(StepCount, HIGH_LEVEL - level + 1);
        ASSERT_EQ(Steps[StepCount - 1].What, level);
    }
    KeLowerIrql(old);
    ASSERT_EQ(StepCount, HIGH_LEVEL - DISPATCH_LEVEL);
    DisconnectLevels();
}

TARGET_CASE("IRQL-3", raise_returns_the_level_before, "") {
    KIRQL old;
    for (KIRQL from = PASSIVE_LEVEL; from <= HIGH_LEVEL; from++) {
        KIRQL base = RaiseTo(from);
        ASSERT_EQ(base, PASSIVE_LEVEL);
        for (KIRQL to = from; to <= HIGH_LEVEL; to++) {
            KeRaiseIrql(to, &old);
            ASSERT_EQ(old, from);
            ASSERT_EQ(KeGetCurrentIrql(), to);
            KeLowerIrql(old);
            ASSERT_EQ(KeGetCurrentIrql(), from);
        }
        KeLowerIrql(base);
    }
}

TARGET_CASE("IRQL-4", nested_raises_are_undone_in_turn, "") {
    KIRQL saved[HIGH_LEVEL + 1];
    for (KIRQL level = APC_LEVEL; level <= HIGH_LEVEL; level++) {
        saved[level] = RaiseTo(level);
        ASSERT_EQ(saved[level], level - 1);
    }
    for (KIRQL level = HIGH_LEVEL; level >= APC_LEVEL; level--) {
        ASSERT_EQ(KeGetCurrentIrql(), level);
        KeLowerIrql(saved[level]);
    }
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("IRQL-5", raise_to_dispatch, "") {
    for (KIRQL from = PASSIVE_LEVEL; from <= DISPATCH_LEVEL; from++) {
        KIRQL base = RaiseTo(from);
        KIRQL old = KeRaiseIrqlToDpcLevel();
        ASSERT_EQ(old, from);
        ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
        KeLowerIrql(old);
        KeLowerIrql(base);
    }
}

TARGET_CASE("IRQL-6", return_restores_what_was_interrupted, "") {
    ConnectLevels(TakeInterrupt);
    for (KIRQL from = PASSIVE_LEVEL; from < HIGH_LEVEL; from++) {
        for (KIRQL level = from < LOWEST_LEVEL ? LOWEST_LEVEL : (KIRQL)(from + 1); level <= HIGHEST_LEVEL; level++) {
            KIRQL base = RaiseTo(from);
            LONG before = Taken[level];
            DirqlInterrupt(0, LEVEL_VECTOR(level));
            WAIT_UNTIL(Taken[level] == before + 1);
            ASSERT_EQ(KeGetCurrentIrql(), from);
            ASSERT_EQ(__readcr8(), from);
            KeLowerIrql(base);
        }
    }
    DisconnectLevels();
}

#define FLAGS_INTERRUPT 0x200u

static VOID AssertOpen(KIRQL irql) {
    ASSERT_EQ(__readeflags() & FLAGS_INTERRUPT, FLAGS_INTERRUPT);
    ASSERT_EQ(__readcr8(), irql);
    ASSERT_EQ(KeGetCurrentIrql(), irql);
}

static BOOLEAN NTAPI OpenServiceRoutine(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    AssertOpen((KIRQL)(ULONG_PTR)ServiceContext);
    return TakeInterrupt(Interrupt, ServiceContext);
}

static BOOLEAN NTAPI OpenSynchronized(PVOID SynchronizeContext) {
    AssertOpen((KIRQL)(ULONG_PTR)SynchronizeContext);
    return TRUE;
}

static volatile LONG DpcsRun;

static VOID NTAPI OpenDpc(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    AssertOpen(DISPATCH_LEVEL);
    InterlockedIncrement(&DpcsRun);
}

static ULONG_PTR NTAPI OpenBroadcast(ULONG_PTR Argument) {
    AssertOpen(IPI_LEVEL);
    return Argument;
}

TARGET_CASE("IRQL-7", interrupts_are_on_at_every_level, "") {
    static KDPC dpc;
    for (KIRQL level = PASSIVE_LEVEL; level <= HIGH_LEVEL; level++) {
        KIRQL old = RaiseTo(level);
        AssertOpen(level);
        KeLowerIrql(old);
    }
    ConnectLevels(OpenServiceRoutine);
    for (KIRQL level = LOWEST_LEVEL; level <= HIGHEST_LEVEL; level++) {
        DirqlInterrupt(0, LEVEL_VECTOR(level));
        WAIT_UNTIL(Taken[level] == 1);
        ASSERT_TRUE(KeSynchronizeExecution(Interrupts[level], OpenSynchronized, (PVOID)(ULONG_PTR)level));
    }
    DisconnectLevels();
    DpcsRun = 0;
    KeInitializeDpc(&dpc, OpenDpc, NULL);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    WAIT_UNTIL(DpcsRun == 1);
    ASSERT_EQ(KeIpiGenericCall(OpenBroadcast, 5), 5);
}

/* IRQL-8. DriverEntry leaves word of its own level. */
static KIRQL DriverEntryIrql = HIGH_LEVEL;
static volatile LONG WorkRan;

static VOID NTAPI NoteWork(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    InterlockedIncrement(&WorkRan);
}

static BOOLEAN NTAPI NoteSynchronized(PVOID SynchronizeContext) {
    ASSERT_EQ(KeGetCurrentIrql(), (ULONG_PTR)SynchronizeContext);
    return TRUE;
}

static VOID NTAPI NoteDpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    InterlockedIncrement(&DpcsRun);
}

TARGET_CASE("IRQL-8", each_routine_at_its_level, "") {
    static KDPC dpc;
    static DEVICE_OBJECT device;
    ASSERT_EQ(DriverEntryIrql, PASSIVE_LEVEL);
    DpcsRun = 0;
    WorkRan = 0;
    KeInitializeDpc(&dpc, OpenDpc, NULL); /* a CustomDpc */
    KeInsertQueueDpc(&dpc, NULL, NULL);
    WAIT_UNTIL(DpcsRun == 1);
    RtlZeroMemory(&device, sizeof device);
    device.Type = IO_TYPE_DEVICE;
    IoInitializeDpcRequest(&device, NoteDpcForIsr);
    IoRequestDpc(&device, NULL, NULL);
    WAIT_UNTIL(DpcsRun == 2);
    for (KIRQL level = LOWEST_LEVEL; level <= HIGHEST_LEVEL; level++) {
        PKINTERRUPT interrupt = ConnectLevel(level, TakeInterrupt, (PVOID)(ULONG_PTR)level); /* checks its level */
        LONG before = Taken[level];
        DirqlInterrupt(0, LEVEL_VECTOR(level));
        WAIT_UNTIL(Taken[level] == before + 1);
        KeSynchronizeExecution(interrupt, NoteSynchronized, (PVOID)(ULONG_PTR)level);
        IoDisconnectInterrupt(interrupt);
    }
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, NoteWork, NULL);
        DirqlWaitFor(cpu);
    }
    ASSERT_EQ(WorkRan, TargetCpus() - 1);
}

static volatile LONG ThreadRan;

static VOID NTAPI NoteThread(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(KeGetCurrentProcessorNumber(), 0);
    InterlockedIncrement(&ThreadRan);
}

/* The thread of threaded DPCs is the one that stands above this one. It is made ready at each level, and comes at PASSIVE. */
TARGET_CASE("IRQL-9", no_thread_comes_at_dispatch_or_above, "") {
    static KDPC dpc;
    KeInitializeThreadedDpc(&dpc, NoteThread, NULL);
    for (KIRQL level = PASSIVE_LEVEL; level <= HIGH_LEVEL; level++) {
        ThreadRan = 0;
        KIRQL old = RaiseTo(level);
        ASSERT_TRUE(KeInsertQueueDpc(&dpc, NULL, NULL));
        if (level >= DISPATCH_LEVEL) {
            for (ULONG i = 0; i < 1000; i++) {
                YieldProcessor();
            }
            ASSERT_EQ(ThreadRan, 0);
        }
        KeLowerIrql(old);
        WAIT_UNTIL(ThreadRan == 1);
    }
}

/* The interrupt alone: no APC is queued, so nothing is delivered. */
TARGET_CASE("IRQL-10", apc_level_holds_back_apcs_only, "") {
    static KDPC dpc;
    enum { ApcVector = 0x1f };
    ConnectLevels(TakeInterrupt);
    DpcsRun = 0;
    KeInitializeDpc(&dpc, OpenDpc, NULL);
    for (KIRQL level = PASSIVE_LEVEL; level <= DISPATCH_LEVEL; level++) {
        ULONG64 before = DirqlInterruptCount(0, ApcVector);
        KIRQL old = RaiseTo(level);
        DirqlInterrupt(0, ApcVector);
        for (KIRQL other = LOWEST_LEVEL; other <= HIGHEST_LEVEL; other++) {
            LONG taken = Taken[other];
            DirqlInterrupt(0, LEVEL_VECTOR(other));
            WAIT_UNTIL(Taken[other] == taken + 1);
        }
        LONG ran = DpcsRun;
        KeInsertQueueDpc(&dpc, NULL, NULL);
        if (level < DISPATCH_LEVEL) {
            WAIT_UNTIL(DpcsRun == ran + 1);
        }
        ASSERT_EQ(DirqlInterruptCount(0, ApcVector) - before, level == PASSIVE_LEVEL ? 1 : 0);
        KeLowerIrql(old);
        WAIT_UNTIL(DpcsRun == ran + 1);
        ASSERT_EQ(DirqlInterruptCount(0, ApcVector) - before, 1);
    }
    DisconnectLevels();
}

static VOID NTAPI LevelsUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

DRIVER_INITIALIZE DriverEntry;

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverEntryIrql = KeGetCurrentIrql();
    DriverObject->DriverUnload = LevelsUnload;
    return STATUS_SUCCESS;
}
