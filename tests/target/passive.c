/* SPDX-License-Identifier: Apache-2.0 */
/* Passive-level interrupts (INT-9): the service routine runs in a thread and may wait; what synchronises with it waits too. */
#include "interrupts.h"

#define FREE_VECTOR LEVEL_VECTOR(9)
#define ISA_PIN     10

static KEVENT Go, Came;
static volatile LONG Calls, Inside, Together;
static volatile KIRQL CallIrql;

static VOID Begin(VOID) {
    KeInitializeEvent(&Go, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Came, SynchronizationEvent, FALSE);
    Calls = Inside = Together = 0;
    CallIrql = HIGH_LEVEL;
}

static VOID Await(PKEVENT event) {
    ASSERT_EQ(KeWaitForSingleObject(event, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
}

static VOID Enter(VOID) {
    if (InterlockedIncrement(&Inside) != 1) {
        InterlockedIncrement(&Together);
    }
}

static VOID Leave(VOID) {
    InterlockedDecrement(&Inside);
}

static NTSTATUS Connect(PKINTERRUPT *interrupt, PKSERVICE_ROUTINE routine, ULONG vector, KINTERRUPT_MODE mode) {
    return IoConnectInterrupt(interrupt, routine, NULL, NULL, vector, PASSIVE_LEVEL, PASSIVE_LEVEL, mode, FALSE,
                              ALL_CPUS, FALSE);
}

static BOOLEAN NTAPI TellAndWait(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    CallIrql = KeGetCurrentIrql();
    Enter();
    KeSetEvent(&Came, IO_NO_INCREMENT, FALSE);
    Await(&Go);
    Leave();
    InterlockedIncrement(&Calls);
    return TRUE;
}

TARGET_CASE("INT-9", the_routine_is_a_threads, "") {
    PKINTERRUPT interrupt;
    Begin();
    ASSERT_EQ(Connect(&interrupt, TellAndWait, FREE_VECTOR, Latched), STATUS_SUCCESS);
    DirqlInterrupt(0, FREE_VECTOR);
    Await(&Came); /* it is inside, at PASSIVE_LEVEL, while the CPU that was interrupted does other things */
    ASSERT_EQ(CallIrql, PASSIVE_LEVEL);
    ASSERT_EQ(Calls, 0);
    KeSetEvent(&Go, IO_NO_INCREMENT, FALSE);
    WAIT_UNTIL(Calls == 1);
    IoDisconnectInterrupt(interrupt);
    ASSERT_EQ(Calls, 1);
}

TARGET_CASE("INT-9", an_edge_meanwhile_is_kept, "") {
    PKINTERRUPT interrupt;
    Begin();
    ASSERT_EQ(Connect(&interrupt, TellAndWait, FREE_VECTOR, Latched), STATUS_SUCCESS);
    DirqlInterrupt(0, FREE_VECTOR);
    Await(&Came);
    DirqlInterrupt(0, FREE_VECTOR); /* for the next call */
    KeSetEvent(&Go, IO_NO_INCREMENT, FALSE);
    Await(&Came);
    KeSetEvent(&Go, IO_NO_INCREMENT, FALSE);
    WAIT_UNTIL(Calls == 2);
    IoDisconnectInterrupt(interrupt);
    ASSERT_EQ(Together, 0);
}

static BOOLEAN NTAPI Synchronised(PVOID SynchronizeContext) {
    UNREFERENCED_PARAMETER(SynchronizeContext);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    Enter();
    LARGE_INTEGER soon = {.QuadPart = -1};
    KeDelayExecutionThread(KernelMode, FALSE, &soon); /* it may wait, and still nobody comes in */
    Leave();
    return 2;
}

static VOID NTAPI SynchroniseThread(PVOID Context) {
    ASSERT_EQ(KeSynchronizeExecution(*(PKINTERRUPT *)Context, Synchronised, NULL), 2);
}

TARGET_CASE("INT-9 SYN-3", what_synchronises_waits_for_the_event, "") {
    static PKINTERRUPT interrupt;
    HANDLE handle;
    PVOID thread;
    Begin();
    ASSERT_EQ(Connect(&interrupt, TellAndWait, FREE_VECTOR, Latched), STATUS_SUCCESS);
    DirqlInterrupt(0, FREE_VECTOR);
    Await(&Came);
    ASSERT_EQ(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, SynchroniseThread, (PVOID)&interrupt),
              STATUS_SUCCESS);
    ASSERT_EQ(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL), STATUS_SUCCESS);
    LARGE_INTEGER ticks = {.QuadPart = -3 * (LONGLONG)KeQueryTimeIncrement()};
    ASSERT_EQ(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, &ticks), STATUS_TIMEOUT);
    ASSERT_EQ(Inside, 1); /* the service routine alone */
    KeSetEvent(&Go, IO_NO_INCREMENT, FALSE);
    Await(thread);
    ObDereferenceObject(thread);
    ZwClose(handle);
    IoDisconnectInterrupt(interrupt);
    ASSERT_EQ(Together, 0);
    ASSERT_EQ(Calls, 1);
}

static BOOLEAN NTAPI LowerLine(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    KeSetEvent(&Came, IO_NO_INCREMENT, FALSE);
    Await(&Go);
    ASSERT_EQ(DirqlHostCall(HostCallLine, ISA_PIN, 0, NULL), STATUS_SUCCESS);
    InterlockedIncrement(&Calls);
    return TRUE;
}

/* The line is high until the routine has run: were it not masked, its interrupts would leave the CPU no time for the routine. */
TARGET_CASE("INT-9 INT-12", a_level_line_is_held_until_the_routine_has_run, "") {
    PKINTERRUPT interrupt;
    KIRQL irql;
    KAFFINITY affinity;
    ULONG vector = HalGetInterruptVector(Isa, 0, ISA_PIN, ISA_PIN, &irql, &affinity);
    Begin();
    ASSERT_EQ(Connect(&interrupt, LowerLine, vector, LevelSensitive), STATUS_SUCCESS);
    for (LONG round = 1; round <= 3; round++) { /* it is open again each time */
        ULONG64 before = 0, after = 0;
        for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
            before += DirqlInterruptCount(cpu, vector);
        }
        ASSERT_EQ(DirqlHostCall(HostCallLine, ISA_PIN, 1, NULL), STATUS_SUCCESS);
        Await(&Came);
        KeSetEvent(&Go, IO_NO_INCREMENT, FALSE);
        WAIT_UNTIL(Calls == round);
        for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
            after += DirqlInterruptCount(cpu, vector);
        }
        ASSERT_EQ(after - before, 1);
    }
    IoDisconnectInterrupt(interrupt);
}

static BOOLEAN NTAPI Count(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    InterlockedIncrement(&Calls);
    KeSetEvent(&Came, IO_NO_INCREMENT, FALSE);
    return TRUE;
}

TARGET_CASE("INT-8 INT-9", an_inactive_one_is_not_called, "violates=INT-ACCOUNT") {
    PKINTERRUPT interrupt;
    Begin();
    ASSERT_EQ(Connect(&interrupt, Count, FREE_VECTOR, Latched), STATUS_SUCCESS);
    Report(interrupt, FALSE);
    DirqlInterrupt(0, FREE_VECTOR);
    ASSERT_EQ(Calls, 0);
    Report(interrupt, TRUE);
    DirqlInterrupt(0, FREE_VECTOR);
    Await(&Came);
    IoDisconnectInterrupt(interrupt);
    ASSERT_EQ(Calls, 1);
}

TARGET_CASE("INT-7 INT-9", disconnecting_waits_for_the_routine, "") {
    PKINTERRUPT interrupt;
    Begin();
    ASSERT_EQ(Connect(&interrupt, TellAndWait, FREE_VECTOR, Latched), STATUS_SUCCESS);
    DirqlInterrupt(0, FREE_VECTOR);
    Await(&Came);
    KeSetEvent(&Go, IO_NO_INCREMENT, FALSE);
    IoDisconnectInterrupt(interrupt);
    ASSERT_EQ(Calls, 1);
}

TARGET_CASE("INT-9", it_has_no_spin_lock, "bugcheck=0x121/0") {
    PKINTERRUPT interrupt;
    Begin();
    ASSERT_EQ(Connect(&interrupt, Count, FREE_VECTOR, Latched), STATUS_SUCCESS);
    KeAcquireInterruptSpinLock(interrupt);
}

TARGET_CASE("INT-9", what_is_refused, "") {
    static KSPIN_LOCK lock;
    PKINTERRUPT interrupt;
    KeInitializeSpinLock(&lock);
    ASSERT_EQ(IoConnectInterrupt(&interrupt, Count, NULL, &lock, FREE_VECTOR, PASSIVE_LEVEL, PASSIVE_LEVEL, Latched,
                                 FALSE, ALL_CPUS, FALSE),
              STATUS_INVALID_PARAMETER);
    ASSERT_EQ(IoConnectInterrupt(&interrupt, Count, NULL, NULL, FREE_VECTOR, PASSIVE_LEVEL, 9, Latched, FALSE, ALL_CPUS,
                                 FALSE),
              STATUS_INVALID_PARAMETER);
}

TARGET_DRIVER
