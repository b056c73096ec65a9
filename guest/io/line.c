/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt lines: which vector a pin of the I/O APIC has, and where it is routed. A pin gets its vector when it is first
 * asked for and keeps it, so all devices on the pin share one vector and a legacy driver may ask at any time. It is routed
 * while something is connected to that vector, and held (masked, its request kept) while all of that is inactive.
 */
#include "../include/mutant.h"
#include "iop.h"

#include "../hal/hal.h"
#include "../hal/regs.h"

typedef struct _IOP_LINE {
    ULONG Vector; /* 0: nobody has asked yet */
    BOOLEAN Routed;
} IOP_LINE;

static IOP_LINE IopLines[IOAPIC_PINS];
static KSPIN_LOCK IopLineLock; /* what is connected to a line and what its pin is set to change together */

ULONG IopLineVector(ULONG pin) {
    if (pin >= IOAPIC_PINS || pin == UART_COM1_PIN || pin == UART_COM2_PIN) {
        return 0;
    }
    KIRQL old = KiAcquireLockAtHigh(&IopLineLock);
    IOP_LINE *line = &IopLines[pin];
    for (ULONG step = 0; step < IOP_DIRQLS && line->Vector == 0; step++) {
        line->Vector = KiAllocateVector((KIRQL)(IOP_FIRST_DIRQL + (pin + step) % IOP_DIRQLS));
        if (line->Vector != 0) {
            KiKeepVector(line->Vector);
        }
    }
    KiReleaseLockFromHigh(&IopLineLock, old);
    return line->Vector;
}

ULONG IopPinOfVector(ULONG vector) {
    for (ULONG pin = 0; pin < IOAPIC_PINS; pin++) {
        if (IopLines[pin].Vector == vector && vector != 0) {
            return pin;
        }
    }
    return BOOT_NO_PIN;
}

ULONG IopChooseCpu(KAFFINITY usable, ULONG turn) {
    ULONG count = 0;
    if (MUTANT(LineGoesAnywhere, "INT-6", "a line is routed to CPUs that its mask leaves out")) {
        usable = KeQueryActiveProcessors();
    }
    if (HostBootOptions.InterruptRouting == InterruptRoutingAsymmetric &&
        !MUTANT(AsymmetricIgnored, "SYS-3", "asymmetric routing spreads interrupts all the same")) {
        return (usable & 1u) != 0 ? 0 : IOP_NO_CPU;
    }
    for (KAFFINITY bits = usable; bits != 0; bits &= bits - 1) {
        count++;
    }
    if (count == 0) {
        return IOP_NO_CPU;
    }
    for (turn %= count; turn != 0; turn--) {
        usable &= usable - 1;
    }
    return (ULONG)__builtin_ctzll(usable);
}

/* IopLineLock is held. Sets the pin as what is connected to its vector wants it. */
static VOID IopRouteLine(ULONG pin, ULONG cpu, KINTERRUPT_MODE mode) {
    BOOLEAN level = (mode == LevelSensitive || MUTANT(LatchedIsLevel, "INT-12", "a latched line is routed as level")) &&
        !MUTANT(LevelIsLatched, "INT-12", "a level line is routed as latched");
    ioapic_route(pin, IopLines[pin].Vector, KiPcr[cpu].Prcb.ApicId, level);
    IopLines[pin].Routed = TRUE;
}

NTSTATUS IopConnectToLine(ULONG pin, PKINTERRUPT object, KI_INTERRUPT_PARAMETERS *parameters) {
    NTSTATUS status = STATUS_INVALID_PARAMETER;
    KIRQL old = KiAcquireLockAtHigh(&IopLineLock);
    KI_VECTOR_USE use = KiQueryVectorUse(parameters->Vector);
    KAFFINITY usable = parameters->Affinity & use.Affinity & KeQueryActiveProcessors();
    parameters->Cpu = IopChooseCpu(usable, pin);
    if (parameters->Cpu != IOP_NO_CPU) {
        status = KiConnectInterrupt(object, parameters);
    }
    if (NT_SUCCESS(status)) {
        IopRouteLine(pin, parameters->Cpu, parameters->Mode); /* again where it is shared: fewer CPUs may be left */
    }
    KiReleaseLockFromHigh(&IopLineLock, old);
    return status;
}

VOID IopDisconnectFromLine(ULONG pin, PKINTERRUPT object) {
    ULONG vector = IopLines[pin].Vector;
    KIRQL old = KiAcquireLockAtHigh(&IopLineLock);
    if (KiQueryVectorUse(vector).Objects == 1) {
        ioapic_mask(pin); /* before the object goes: a line that is still asserted would interrupt for ever */
        IopLines[pin].Routed = FALSE;
    }
    KiUnlinkInterrupt(object);
    KiReleaseLockFromHigh(&IopLineLock, old);
    KiAwaitInterruptWalks(vector);
    IopHoldLine(pin);
}

VOID IopHoldLine(ULONG pin) {
    KIRQL old = KiAcquireLockAtHigh(&IopLineLock);
    if (IopLines[pin].Routed &&
        !MUTANT(InactiveLineIsOpen, "INT-8", "a level line whose service routines are inactive is not masked")) {
        ioapic_hold(pin, KiQueryVectorUse(IopLines[pin].Vector).Active == 0);
    }
    KiReleaseLockFromHigh(&IopLineLock, old);
}

NTSTATUS IopRetargetLine(ULONG pin, ULONG cpu) {
    ULONG vector = IopLines[pin].Vector;
    ULONG64 count, claimed;
    PKINTERRUPT interrupt = NULL;
    NTSTATUS status = STATUS_NO_SUCH_DEVICE;
    KIRQL old = KiAcquireLockAtHigh(&IopLineLock);
    if (IopLines[pin].Routed) {
        KAFFINITY allowed = KiQueryVectorUse(vector).Affinity & KeQueryActiveProcessors();
        status = (allowed >> cpu & 1u) != 0 ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
        while (NT_SUCCESS(status) && KiQueryInterrupt(vector, &interrupt, &count, &claimed)) {
            KiSetInterruptCpu(interrupt, cpu);
            IopRouteLine(pin, cpu, interrupt->Parameters.Mode);
        }
    }
    KiReleaseLockFromHigh(&IopLineLock, old);
    if (NT_SUCCESS(status)) {
        IopHoldLine(pin);
    }
    return status;
}

/*
 * The lines are those of the I/O APIC: PCI gives the pin, as the line register of the function's configuration space does;
 * ISA gives the IRQ, which is the pin of the same number but for IRQ 0, wired to pin 2.
 */
ULONG NTAPI HalGetInterruptVector(INTERFACE_TYPE InterfaceType, ULONG BusNumber, ULONG BusInterruptLevel,
                                  ULONG BusInterruptVector, PKIRQL Irql, PKAFFINITY Affinity) {
    UNREFERENCED_PARAMETER(BusNumber);
    UNREFERENCED_PARAMETER(BusInterruptVector);
    ULONG pin = BOOT_NO_PIN;
    if (InterfaceType == Isa && BusInterruptLevel < 16 && BusInterruptLevel != 2) {
        pin = BusInterruptLevel == 0 ? 2 : BusInterruptLevel;
    } else if (InterfaceType == PCIBus) {
        pin = BusInterruptLevel;
    }
    ULONG vector = IopLineVector(pin);
    *Irql = VECTOR_IRQL(vector);
    *Affinity = vector != 0 ? IopDeviceProcessors() : 0;
    return vector;
}
NT_EXPORT(HalGetInterruptVector);

KAFFINITY IopDeviceProcessors(VOID) {
    return HostBootOptions.InterruptRouting == InterruptRoutingAsymmetric ? 1 : KeQueryActiveProcessors();
}
