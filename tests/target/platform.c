/* SPDX-License-Identifier: Apache-2.0 */
/* Section 0b as far as it needs no IRPs: identical CPUs, a device that each of them serves, symmetric and asymmetric. */
#include "interrupts.h"

#include <ddkinterrupts.h>

/* QEMU's edu device: a PCI function whose line is raised by a store and lowered by another. */
#define EDU_ID       0x11e81234u
#define EDU_RAISE    0x60
#define EDU_DISMISS  0x64
#define EDU_STATUS   0x24
#define EDU_IDENTITY 0x00
#define EDU_LIVE     0x04 /* reads as the complement of what was written */
#define EDU_BYTES    0x1000
#define PCI_ADDRESS  0xcf8
#define PCI_DATA     0xcfc
#define PCI_BAR0     0x10
#define PCI_LINE     0x3c

static volatile UCHAR *Edu;
static volatile LONG Calls;
static volatile LONG DismissAt; /* the call that dismisses the interrupt; those before leave it */
static volatile ULONG CallCpu;
static volatile ULONG Status;

static ULONG ReadConfig(ULONG slot, ULONG offset) {
    __outdword(PCI_ADDRESS, 0x80000000u | slot << 11 | offset);
    return __indword(PCI_DATA);
}

static ULONG ReadEdu(ULONG offset) {
    return *(volatile ULONG *)(Edu + offset);
}

static VOID WriteEdu(ULONG offset, ULONG value) {
    *(volatile ULONG *)(Edu + offset) = value;
}

/* Maps the device. Returns the pin of the I/O APIC that its line ends at. */
static ULONG FindEdu(VOID) {
    for (ULONG slot = 0; slot < 32; slot++) {
        if (ReadConfig(slot, 0) == EDU_ID) {
            PHYSICAL_ADDRESS at = {.QuadPart = ReadConfig(slot, PCI_BAR0) & ~0xfu};
            Edu = MmMapIoSpace(at, EDU_BYTES, MmNonCached);
            ASSERT_NE(Edu, NULL);
            ASSERT_EQ(ReadEdu(EDU_IDENTITY) & 0xffff, 0x00ed);
            return ReadConfig(slot, PCI_LINE) & 0xff;
        }
    }
    ASSERT_TRUE(FALSE && "the machine has an edu device");
    return 0;
}

static BOOLEAN NTAPI ServeEdu(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    Status = ReadEdu(EDU_STATUS);
    if (Status == 0) {
        return FALSE;
    }
    CallCpu = KeGetCurrentProcessorNumber();
    WriteEdu(EDU_LIVE, CallCpu);
    ASSERT_EQ(ReadEdu(EDU_LIVE), ~CallCpu);
    if (InterlockedIncrement(&Calls) == DismissAt) {
        WriteEdu(EDU_DISMISS, Status);
    }
    return TRUE;
}

static PKINTERRUPT ConnectEdu(ULONG pin, KAFFINITY mask) {
    PKINTERRUPT interrupt;
    KIRQL irql;
    KAFFINITY affinity;
    ULONG vector = HalGetInterruptVector(PCIBus, 0, pin, pin, &irql, &affinity);
    ASSERT_NE(vector, 0);
    ASSERT_EQ(
        IoConnectInterrupt(&interrupt, ServeEdu, NULL, NULL, vector, irql, irql, LevelSensitive, TRUE, mask, FALSE),
        STATUS_SUCCESS);
    return interrupt;
}

TARGET_CASE("SYS-2 INT-6", each_cpu_serves_the_device, "device=edu") {
    ULONG pin = FindEdu();
    for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
        PKINTERRUPT interrupt = ConnectEdu(pin, (KAFFINITY)1 << cpu);
        Calls = 0;
        DismissAt = 1;
        WriteEdu(EDU_RAISE, 0x100 + cpu);
        WAIT_UNTIL(Calls == 1);
        ASSERT_EQ(CallCpu, cpu);
        ASSERT_EQ(Status, 0x100 + cpu);
        IoDisconnectInterrupt(interrupt);
        ASSERT_EQ(ReadEdu(EDU_STATUS), 0);
    }
    MmUnmapIoSpace((PVOID)Edu, EDU_BYTES);
}

TARGET_CASE("INT-12", a_device_that_is_not_dismissed_comes_again, "device=edu") {
    ULONG pin = FindEdu();
    PKINTERRUPT interrupt = ConnectEdu(pin, ALL_CPUS);
    for (DismissAt = 1; DismissAt <= 4; DismissAt++) {
        Calls = 0;
        WriteEdu(EDU_RAISE, 5);
        WAIT_UNTIL(Calls >= DismissAt);
        WaitLong();
        ASSERT_EQ(Calls, DismissAt);
    }
    IoDisconnectInterrupt(interrupt);
    MmUnmapIoSpace((PVOID)Edu, EDU_BYTES);
}

/* SYS-1. The kernel has compared before it started; here each CPU says once more what it is. */
typedef struct _IDENTITY {
    ULONG Words[6];
} IDENTITY;

static IDENTITY Identities[64];

static ULONG_PTR NTAPI TakeIdentity(ULONG_PTR Argument) {
    ULONG *words = Identities[KeGetCurrentProcessorNumber()].Words;
    int a[4];
    __cpuid(a, 0);
    words[0] = (ULONG)(a[1] ^ a[2] ^ a[3]); /* vendor */
    __cpuid(a, 1);
    words[1] = (ULONG)a[0];                /* family, model, stepping */
    words[2] = (ULONG)a[2] & ~0x08000000u; /* without OSXSAVE */
    words[3] = (ULONG)a[3];                /* the coprocessor is bit 0 */
    __cpuid(a, (int)0x80000001);
    words[4] = (ULONG)a[2];
    words[5] = (ULONG)a[3];
    return Argument;
}

TARGET_CASE("SYS-1", all_cpus_are_alike, "") {
    KeIpiGenericCall(TakeIdentity, 0);
    ASSERT_EQ(Identities[0].Words[3] & 1, 1);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        for (ULONG word = 0; word < RTL_NUMBER_OF(Identities[0].Words); word++) {
            ASSERT_EQ(Identities[cpu].Words[word], Identities[0].Words[word]);
        }
    }
}

/* SYS-2: what one CPU has stored, every other one reads, and what that one answers this one reads. */
static volatile ULONG64 Cells[64];

static VOID NTAPI AnswerCell(PVOID Context) {
    ULONG cpu = (ULONG)(ULONG_PTR)Context;
    WAIT_UNTIL(Cells[cpu] == cpu);
    for (ULONG other = 0; other < 64; other++) {
        ASSERT_EQ(Cells[other] == 0, other >= TargetCpus() || other > cpu);
    }
    Cells[cpu] = ~(ULONG64)cpu;
}

TARGET_CASE("SYS-2", every_cpu_sees_the_same_memory, "smp=2") {
    for (ULONG cpu = 0; cpu < 64; cpu++) {
        Cells[cpu] = 0;
    }
    Cells[0] = 1;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, AnswerCell, (PVOID)(ULONG_PTR)cpu);
        Cells[cpu] = cpu;
        WAIT_UNTIL(Cells[cpu] == ~(ULONG64)cpu);
        DirqlWaitFor(cpu);
    }
}

/* SYS-3. Lines on pins where nothing else is; the same routine on both kinds of machine. */
static const ULONG Pins[] = {5, 6, 7, 9, 10, 11};
static volatile ULONG64 Takers;
static volatile LONG Served;

static BOOLEAN NTAPI ServePin(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    ASSERT_EQ(DirqlHostCall(HostCallLine, (ULONG_PTR)ServiceContext, 0, NULL), STATUS_SUCCESS);
    InterlockedOr64((volatile LONG64 *)&Takers, 1LL << KeGetCurrentProcessorNumber());
    InterlockedIncrement(&Served);
    return TRUE;
}

TARGET_CASE("SYS-3", who_takes_the_interrupts, "routing=symmetric,asymmetric") {
    DIRQL_MACHINE machine;
    PKINTERRUPT interrupts[RTL_NUMBER_OF(Pins)];
    KIRQL irql;
    KAFFINITY affinity;
    DirqlQueryMachine(&machine);
    Takers = 0;
    Served = 0;
    for (ULONG i = 0; i < RTL_NUMBER_OF(Pins); i++) {
        ULONG vector = HalGetInterruptVector(Isa, 0, Pins[i], Pins[i], &irql, &affinity);
        ASSERT_NE(vector, 0);
        ASSERT_EQ(affinity, machine.InterruptRouting ? 1 : ALL_CPUS);
        ASSERT_EQ(IoConnectInterrupt(&interrupts[i], ServePin, (PVOID)(ULONG_PTR)Pins[i], NULL, vector, irql, irql,
                                     LevelSensitive, TRUE, ALL_CPUS, FALSE),
                  STATUS_SUCCESS);
        ASSERT_EQ(DirqlHostCall(HostCallLine, Pins[i], 1, NULL), STATUS_SUCCESS);
        WAIT_UNTIL(Served == (LONG)i + 1);
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(Pins); i++) {
        IoDisconnectInterrupt(interrupts[i]);
    }
    if (machine.InterruptRouting || machine.Cpus == 1) {
        ASSERT_EQ(Takers, 1);
    } else {
        ASSERT_NE(Takers & ~1ull, 0);        /* others take them as well */
        ASSERT_NE(Takers & (Takers - 1), 0); /* and not one alone */
    }
}

TARGET_CASE("SYS-3 INT-6", asymmetric_needs_cpu_0_in_the_mask, "smp=2 routing=symmetric,asymmetric") {
    DIRQL_MACHINE machine;
    PKINTERRUPT interrupt;
    KIRQL irql;
    KAFFINITY affinity;
    DirqlQueryMachine(&machine);
    ULONG vector = HalGetInterruptVector(Isa, 0, Pins[0], Pins[0], &irql, &affinity);
    NTSTATUS status = IoConnectInterrupt(&interrupt, ServePin, (PVOID)(ULONG_PTR)Pins[0], NULL, vector, irql, irql,
                                         LevelSensitive, TRUE, 2, FALSE);
    ASSERT_EQ(status, machine.InterruptRouting ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS);
    if (NT_SUCCESS(status)) {
        IoDisconnectInterrupt(interrupt);
    }
}

TARGET_DRIVER
