/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt lines, raised and lowered by the host at pins of the I/O APIC where nothing else is: ISA's 10 and 11, PCI's 16.
 * Level and latched, shared, held while inactive, routed to the CPUs that the mask allows.
 */
#include "interrupts.h"

#include <ddkinterrupts.h>

#define ISA_PIN       10
#define OTHER_ISA_PIN 11
#define PCI_PIN       16

static volatile LONG Calls;
static volatile LONG LowerAfter; /* the service routine lowers the line at this call */
static volatile ULONG CallCpu;
static ULONG Pin;

static VOID SetLine(ULONG level) {
    ASSERT_EQ(DirqlHostCall(HostCallLine, Pin, level, NULL), STATUS_SUCCESS);
}

static BOOLEAN NTAPI LowerInTime(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    CallCpu = KeGetCurrentProcessorNumber();
    if (InterlockedIncrement(&Calls) == LowerAfter) {
        SetLine(0);
    }
    return TRUE;
}

static BOOLEAN NTAPI Refuse(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    InterlockedIncrement((volatile LONG *)ServiceContext);
    return FALSE;
}

/* The vector of a pin; the pin is the one that SetLine sets from now on. */
static ULONG VectorOf(ULONG pin) {
    KIRQL irql = 0xff;
    KAFFINITY affinity = 0;
    ULONG vector = HalGetInterruptVector(pin < 16 ? Isa : PCIBus, 0, pin, pin, &irql, &affinity);
    ASSERT_NE(vector, 0);
    ASSERT_EQ(irql, vector >> 4);
    Pin = pin;
    Calls = 0;
    LowerAfter = 0;
    return vector;
}

static NTSTATUS ConnectLine(PKINTERRUPT *interrupt, PKSERVICE_ROUTINE routine, PVOID context, ULONG vector,
                            KINTERRUPT_MODE mode, KAFFINITY mask) {
    return IoConnectInterrupt(interrupt, routine, context, NULL, vector, (KIRQL)(vector >> 4), (KIRQL)(vector >> 4),
                              mode, TRUE, mask, FALSE);
}

TARGET_CASE("INT-7", a_pin_has_one_vector, "routing=symmetric,asymmetric") {
    KIRQL irql;
    KAFFINITY affinity;
    DIRQL_MACHINE machine;
    DirqlQueryMachine(&machine);
    ULONG vector = VectorOf(ISA_PIN);
    ASSERT_EQ(HalGetInterruptVector(Isa, 0, ISA_PIN, ISA_PIN, &irql, &affinity), vector);
    ASSERT_EQ(HalGetInterruptVector(PCIBus, 0, ISA_PIN, ISA_PIN, &irql, &affinity), vector);
    ASSERT_GE(irql, 4);
    ASSERT_LE(irql, 11);
    ASSERT_EQ(affinity, machine.InterruptRouting ? 1 : ALL_CPUS);
    ASSERT_NE(HalGetInterruptVector(Isa, 0, OTHER_ISA_PIN, OTHER_ISA_PIN, &irql, &affinity), vector);
    static const ULONG none[] = {2, 3, 4, 16, 99}; /* the cascade, the kernel's serial ports, no IRQ of ISA's */
    for (ULONG i = 0; i < RTL_NUMBER_OF(none); i++) {
        ASSERT_EQ(HalGetInterruptVector(Isa, 0, none[i], none[i], &irql, &affinity), 0);
        ASSERT_EQ(affinity, 0);
    }
    ASSERT_EQ(HalGetInterruptVector(PCIBus, 0, 24, 24, &irql, &affinity), 0);
    ASSERT_EQ(HalGetInterruptVector(Eisa, 0, ISA_PIN, ISA_PIN, &irql, &affinity), 0);
}

TARGET_CASE("INT-12", a_level_that_stays_comes_again, "") {
    PKINTERRUPT interrupt;
    ULONG vector = VectorOf(ISA_PIN);
    for (LONG calls = 1; calls <= 4; calls++) {
        Calls = 0;
        LowerAfter = calls;
        ASSERT_EQ(ConnectLine(&interrupt, LowerInTime, NULL, vector, LevelSensitive, ALL_CPUS), STATUS_SUCCESS);
        SetLine(1);
        WAIT_UNTIL(Calls >= calls);
        WaitLong();
        ASSERT_EQ(Calls, calls); /* and no more, once it was dismissed */
        IoDisconnectInterrupt(interrupt);
    }
}

TARGET_CASE("INT-12 INT-3", a_latched_line_comes_once_for_an_edge, "") {
    PKINTERRUPT interrupt;
    ULONG vector = VectorOf(ISA_PIN);
    ASSERT_EQ(ConnectLine(&interrupt, LowerInTime, NULL, vector, Latched, ALL_CPUS), STATUS_SUCCESS);
    for (LONG edges = 1; edges <= 3; edges++) {
        SetLine(1);
        WAIT_UNTIL(Calls >= edges);
        WaitLong();
        ASSERT_EQ(Calls, edges);
        SetLine(0);
    }
    IoDisconnectInterrupt(interrupt);
}

TARGET_CASE("INT-2 INT-3", a_shared_line, "") {
    PKINTERRUPT first, second, third;
    volatile LONG refused = 0, unasked = 0;
    ULONG vector = VectorOf(PCI_PIN);
    LowerAfter = 2;
    ASSERT_EQ(ConnectLine(&first, Refuse, (PVOID)&refused, vector, LevelSensitive, ALL_CPUS), STATUS_SUCCESS);
    ASSERT_EQ(ConnectLine(&second, LowerInTime, NULL, vector, LevelSensitive, ALL_CPUS), STATUS_SUCCESS);
    ASSERT_EQ(ConnectLine(&third, Refuse, (PVOID)&unasked, vector, LevelSensitive, ALL_CPUS), STATUS_SUCCESS);
    SetLine(1);
    WAIT_UNTIL(Calls == 2);
    IoDisconnectInterrupt(third);
    ASSERT_EQ(refused, 2);
    ASSERT_EQ(unasked, 0);
    IoDisconnectInterrupt(first); /* the line stays open for the second */
    Calls = 0;
    SetLine(1);
    WAIT_UNTIL(Calls == 2);
    IoDisconnectInterrupt(second);
    ASSERT_EQ(refused, 2);
}

/* The request is there before the connection: the service routine runs before IoConnectInterrupt has returned. */
static PKINTERRUPT Given;

static BOOLEAN NTAPI SeeItself(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    ASSERT_EQ(Interrupt, Given); /* IoConnectInterrupt has stored it, though it has not returned */
    ASSERT_NE(Interrupt, NULL);
    return LowerInTime(Interrupt, ServiceContext);
}

TARGET_CASE("INT-7", called_before_the_connection_returns, "") {
    ULONG vector = VectorOf(PCI_PIN);
    LowerAfter = 1;
    Given = NULL;
    SetLine(1);
    ASSERT_EQ(ConnectLine(&Given, SeeItself, NULL, vector, LevelSensitive, 1), STATUS_SUCCESS);
    ASSERT_EQ(Calls, 1);
    IoDisconnectInterrupt(Given);
}

/* A line that nobody lowers, disconnected in the middle of its storm, and connected again. */
/* What was pending at the CPU finds nothing any more, or nothing was; one more makes sure that the oracle has a word of it. */
TARGET_CASE("INT-7 INT-12", disconnecting_in_a_storm, "smp=2 violates=INT-ACCOUNT") {
    PKINTERRUPT interrupt;
    ULONG vector = VectorOf(PCI_PIN);
    for (ULONG round = 0; round < 5; round++) {
        Calls = 0;
        ASSERT_EQ(ConnectLine(&interrupt, LowerInTime, NULL, vector, LevelSensitive, 2), STATUS_SUCCESS);
        SetLine(1);
        WAIT_UNTIL(Calls >= 5);
        IoDisconnectInterrupt(interrupt);
        LONG calls = Calls;
        WaitLong();
        ASSERT_EQ(Calls, calls);
        Settle(1); /* it has stopped: the CPU goes on */
        SetLine(0);
    }
    DirqlInterrupt(0, vector);
}

TARGET_CASE("INT-8", inactive_level_line_is_masked_and_kept, "") {
    PKINTERRUPT interrupt;
    ULONG vector = VectorOf(PCI_PIN);
    LowerAfter = 1;
    ASSERT_EQ(ConnectLine(&interrupt, LowerInTime, NULL, vector, LevelSensitive, 1), STATUS_SUCCESS);
    ULONG64 taken = DirqlInterruptCount(0, vector);
    Report(interrupt, FALSE);
    SetLine(1);
    WaitLong();
    ASSERT_EQ(DirqlInterruptCount(0, vector), taken);
    Report(interrupt, TRUE);
    WAIT_UNTIL(Calls == 1);
    ASSERT_EQ(DirqlInterruptCount(0, vector), taken + 1);
    IoDisconnectInterrupt(interrupt);
}

TARGET_CASE("INT-8", a_line_is_open_while_one_is_active, "") {
    PKINTERRUPT first, second;
    volatile LONG refused = 0;
    ULONG vector = VectorOf(PCI_PIN);
    LowerAfter = 1;
    ASSERT_EQ(ConnectLine(&first, Refuse, (PVOID)&refused, vector, LevelSensitive, 1), STATUS_SUCCESS);
    ASSERT_EQ(ConnectLine(&second, LowerInTime, NULL, vector, LevelSensitive, 1), STATUS_SUCCESS);
    Report(first, FALSE);
    SetLine(1);
    WAIT_UNTIL(Calls == 1);
    ASSERT_EQ(refused, 0);
    Report(second, FALSE);
    Calls = 0;
    ULONG64 taken = DirqlInterruptCount(0, vector);
    SetLine(1);
    WaitLong();
    ASSERT_EQ(DirqlInterruptCount(0, vector), taken);
    IoDisconnectInterrupt(first); /* the one that is left is still inactive */
    WaitLong();
    ASSERT_EQ(DirqlInterruptCount(0, vector), taken);
    Report(second, TRUE);
    WAIT_UNTIL(Calls == 1);
    IoDisconnectInterrupt(second);
}

TARGET_CASE("INT-6 SYS-2", each_cpu_in_turn_takes_the_line, "smp=2") {
    PKINTERRUPT interrupt;
    ULONG vector = VectorOf(ISA_PIN);
    for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
        ASSERT_EQ(ConnectLine(&interrupt, LowerInTime, NULL, vector, LevelSensitive, (KAFFINITY)1 << cpu),
                  STATUS_SUCCESS);
        Calls = 0;
        LowerAfter = 3;
        SetLine(1);
        WAIT_UNTIL(Calls == 3);
        ASSERT_EQ(CallCpu, cpu);
        IoDisconnectInterrupt(interrupt);
    }
}

TARGET_CASE("INT-6", a_shared_line_goes_where_all_allow, "smp=2") {
    PKINTERRUPT first, second = (PKINTERRUPT)1;
    volatile LONG refused = 0;
    ULONG vector = VectorOf(PCI_PIN);
    LowerAfter = 1;
    ASSERT_EQ(ConnectLine(&first, Refuse, (PVOID)&refused, vector, LevelSensitive, 3), STATUS_SUCCESS);
    ASSERT_EQ(ConnectLine(&second, LowerInTime, NULL, vector, LevelSensitive, ALL_CPUS & ~(KAFFINITY)1),
              STATUS_SUCCESS);
    SetLine(1);
    WAIT_UNTIL(Calls == 1);
    ASSERT_EQ(CallCpu, 1);
    ASSERT_EQ(refused, 1);
    IoDisconnectInterrupt(second);
    IoDisconnectInterrupt(first);
    ASSERT_EQ(ConnectLine(&first, Refuse, (PVOID)&refused, vector, LevelSensitive, 1), STATUS_SUCCESS);
    ASSERT_EQ(ConnectLine(&second, LowerInTime, NULL, vector, LevelSensitive, 2), STATUS_INVALID_PARAMETER);
    ASSERT_EQ(second, NULL);
    IoDisconnectInterrupt(first);
}

TARGET_DRIVER
