/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hardware floor: local APIC, I/O APIC, PCI, clock, serial ports. No register is known above it.
 * Unless a line says otherwise: any IRQL, does not wait, no locks held or needed.
 */
#pragma once

#include "../include/bootblock.h"
#include "../include/ddk.h"

/* hal/lapic.c: the local APIC of the current CPU. */
VOID lapic_use(volatile VOID *registers); /* boot CPU, once, before any other routine here */
VOID lapic_enable(VOID);                  /* each CPU: enabled, LINT1 = NMI, everything else masked */
ULONG lapic_id(VOID);
BOOLEAN lapic_is_x2apic(VOID);
VOID lapic_eoi(VOID);
VOID lapic_self(ULONG vector);
VOID lapic_send(ULONG apic_id, ULONG vector);
VOID lapic_send_others(ULONG vector);
VOID lapic_nmi(ULONG apic_id);
VOID lapic_start_others(
    ULONG page); /* INIT then two STARTUPs to every other CPU; page: 4 KiB page number below 1 MiB */
VOID lapic_timer_periodic(ULONG vector, ULONG64 ticks); /* ticks of 1 ns on QEMU, 0 stops it */

/* hal/ioapic.c: one I/O APIC of 24 pins. */
VOID ioapic_use(volatile VOID *registers);                                /* boot CPU, once: every pin masked */
VOID ioapic_route(ULONG pin, ULONG vector, ULONG apic_id, BOOLEAN level); /* unmasks it; level lines are active low */
VOID ioapic_mask(ULONG pin);
VOID ioapic_hold(ULONG pin, BOOLEAN held); /* masks a routed pin and lets it go: a level line's request stays */

/* hal/pci.c: configuration space and message-signalled interrupts. Takes its own lock, at HIGH_LEVEL. */
VOID HalpInitializePci(const BOOT_BLOCK *block);
const BOOT_PCI_FUNCTION *HalpFindFunction(ULONG location); /* NULL if there is none */
const BOOT_PCI_FUNCTION *HalpFindFunctionById(USHORT vendor, USHORT device);
ULONG HalpReadConfig(ULONG location, ULONG offset);
VOID HalpWriteConfig(ULONG location, ULONG offset, ULONG value);
/* Within one aligned word of four bytes, and nothing beside it: some registers are cleared by a write. Returns how many of the bytes. */
ULONG HalpWriteConfigPart(ULONG location, ULONG offset, const UCHAR *bytes, ULONG length);
ULONG HalpFindCapability(ULONG location, UCHAR id); /* configuration offset, 0 if there is none */

/*
 * hal/msi.c: MSI-X (and MSI with one message). table: the mapped MSI-X table, NULL for MSI. PASSIVE_LEVEL to set up; to
 * retarget, any IRQL.
 */
ULONG HalpMessageCount(ULONG location); /* messages that the function can send, 0 for none */
/* Where the MSI-X table is. FALSE: the function has none. *bytes is 0 where the table lies outside its BAR. */
BOOLEAN HalpFindMessageTable(ULONG location, ULONG64 *physical, ULONG64 *bytes);
VOID HalpEnableMessages(ULONG location, volatile ULONG *table); /* each message masked */
VOID HalpDisableMessages(ULONG location);
VOID HalpSetMessage(ULONG location, volatile ULONG *table, ULONG message, ULONG vector, ULONG apic_id, BOOLEAN masked);

/*
 * hal/dma.c: a channel of the 8237s, 0 to 3 of bytes, 5 to 7 of words. The memory lies below 16 MiB and crosses no 64 KiB
 * (128 KiB for words) boundary. mode: DMA_MODE_... of regs.h.
 */
VOID HalpStartDma(ULONG channel, ULONG64 physical, ULONG bytes, ULONG mode);
VOID HalpStopDma(ULONG channel); /* masked: the controller does nothing for it any more */
ULONG HalpDmaBytesLeft(ULONG channel);

/* hal/uart.c: two 16550 ports; interrupts on received data. */
VOID uart_initialize(USHORT port, UCHAR fifo_control);
VOID uart_listen(USHORT port); /* once its pin is routed: a byte that came before raises the line only now */
VOID uart_write(USHORT port, const UCHAR *bytes, ULONG count); /* polls; at most 16 bytes between two polls */
BOOLEAN uart_read(USHORT port, UCHAR *byte);                   /* FALSE: nothing there */

/* hal/hpet.c: one counter for all CPUs; reading it is about a microsecond. */
VOID hpet_use(volatile VOID *registers); /* boot CPU, once: it counts from here on. Bugcheck 0x5C if there is none */
ULONG64 HalpReadCounter(VOID);
ULONG64 HalpCounterFrequency(VOID); /* counts a second */
ULONG64 HalpCounterTo100ns(ULONG64 counts);

/* hal/clock.c: the per-CPU tick. */
VOID HalpStartClock(ULONG period_100ns); /* each CPU, at CLOCK_LEVEL's vector */
