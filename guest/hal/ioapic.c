/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O APIC. Pins are routed when an interrupt is connected and masked when it is disconnected; the select and window
 * registers are a pair, so every access is made under one lock.
 */
#include "hal.h"

#include "../include/highlock.h"
#include "regs.h"

static volatile UCHAR *IoApicBase;
static KSPIN_LOCK IoApicLock;

static VOID ioapic_write(ULONG index, ULONG value) {
    *(volatile ULONG *)(IoApicBase + IOAPIC_SELECT) = index;
    *(volatile ULONG *)(IoApicBase + IOAPIC_WINDOW) = value;
}

static ULONG ioapic_read(ULONG index) {
    *(volatile ULONG *)(IoApicBase + IOAPIC_SELECT) = index;
    return *(volatile ULONG *)(IoApicBase + IOAPIC_WINDOW);
}

/* A PCI pin keeps its level while it is masked, and so a request that was made then. */
static ULONG ioapic_masked(ULONG pin) {
    return pin >= IOAPIC_FIRST_PCI_PIN ? IOAPIC_MASKED | IOAPIC_LEVEL | IOAPIC_ACTIVE_LOW : IOAPIC_MASKED;
}

VOID ioapic_use(volatile VOID *registers) {
    IoApicBase = registers;
    ULONG pins = (ioapic_read(IOAPIC_VERSION) >> 16 & 0xffu) + 1;
    for (ULONG pin = 0; pin < pins; pin++) {
        ioapic_write(IOAPIC_REDIRECTION + pin * 2, ioapic_masked(pin));
    }
}

VOID ioapic_route(ULONG pin, ULONG vector, ULONG apic_id, BOOLEAN level) {
    KIRQL irql = KiAcquireLockAtHigh(&IoApicLock);
    ioapic_write(IOAPIC_REDIRECTION + pin * 2 + 1, apic_id << 24);
    ioapic_write(IOAPIC_REDIRECTION + pin * 2, (level ? IOAPIC_LEVEL | IOAPIC_ACTIVE_LOW : 0) | vector);
    KiReleaseLockFromHigh(&IoApicLock, irql);
}

/*
 * The first write makes the pin edge-triggered, which clears a remote IRR that an interrupt still in service left set; its
 * EOI will name a vector that is no longer here, and would never clear it. A pin that was level-triggered stays so while it
 * is masked, or it would not notice that its line is lowered.
 */
VOID ioapic_mask(ULONG pin) {
    KIRQL irql = KiAcquireLockAtHigh(&IoApicLock);
    ULONG trigger = ioapic_read(IOAPIC_REDIRECTION + pin * 2) & (IOAPIC_LEVEL | IOAPIC_ACTIVE_LOW);
    ioapic_write(IOAPIC_REDIRECTION + pin * 2, IOAPIC_MASKED);
    ioapic_write(IOAPIC_REDIRECTION + pin * 2, ioapic_masked(pin) | trigger);
    KiReleaseLockFromHigh(&IoApicLock, irql);
}

VOID ioapic_hold(ULONG pin, BOOLEAN held) {
    KIRQL irql = KiAcquireLockAtHigh(&IoApicLock);
    ULONG entry = ioapic_read(IOAPIC_REDIRECTION + pin * 2);
    ioapic_write(IOAPIC_REDIRECTION + pin * 2, held ? entry | IOAPIC_MASKED : entry & ~IOAPIC_MASKED);
    KiReleaseLockFromHigh(&IoApicLock, irql);
}
