/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register numbers of the platform's interrupt and clock hardware; only numbers, so assembly may read it too.
 * Local APIC: Intel SDM volume 3, table 10-1 (offsets), 10.4 to 10.9 (fields), 10.12 (x2APIC MSRs).
 * I/O APIC: Intel 82093AA datasheet, 3.2. UART: PC16550D datasheet, 8.
 */
#pragma once

#define MSR_APIC_BASE    0x1b
#define APIC_BASE_X2APIC 0x400
#define APIC_BASE_ENABLE 0x800
#define MSR_X2APIC_FIRST 0x800 /* MSR number = this + xAPIC offset / 16 */

#define CPUID_HYPERVISOR     0x40000000
#define CPUID_HYPERVISOR_TCG 0x54474354 /* "TCGT", the first part of TCG's name in EBX */

#define LAPIC_PHYSICAL      0xfee00000
#define LAPIC_ID            0x020
#define LAPIC_TPR           0x080
#define LAPIC_EOI           0x0b0
#define LAPIC_LDR           0x0d0
#define LAPIC_DFR           0x0e0
#define LAPIC_SVR           0x0f0
#define LAPIC_ISR           0x100
#define LAPIC_IRR           0x200
#define LAPIC_ESR           0x280
#define LAPIC_ICR_LOW       0x300
#define LAPIC_ICR_HIGH      0x310
#define LAPIC_LVT_TIMER     0x320
#define LAPIC_LVT_LINT0     0x350
#define LAPIC_LVT_LINT1     0x360
#define LAPIC_LVT_ERROR     0x370
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE  0x3e0
#define LAPIC_X2_SELF_IPI   0x3f0

#define SVR_ENABLE         0x100
#define LVT_MASKED         0x10000
#define LVT_TIMER_PERIODIC 0x20000
#define LVT_NMI            0x400
#define TIMER_DIVIDE_BY_1  0xb
#define TIMER_DIVIDE_128   0xa

#define ICR_FIXED        0x000
#define ICR_NMI          0x400
#define ICR_INIT         0x500
#define ICR_STARTUP      0x600
#define ICR_ASSERT       0x4000
#define ICR_SELF         0x40000
#define ICR_ALL_BUT_SELF 0xc0000

#define IOAPIC_PHYSICAL      0xfec00000
#define IOAPIC_SELECT        0x00
#define IOAPIC_WINDOW        0x10
#define IOAPIC_VERSION       0x01
#define IOAPIC_REDIRECTION   0x10
#define IOAPIC_ACTIVE_LOW    0x2000
#define IOAPIC_LEVEL         0x8000
#define IOAPIC_MASKED        0x10000
#define IOAPIC_PINS          24
#define IOAPIC_FIRST_PCI_PIN 16 /* q35: PIRQ A-H */

#define MSI_ADDRESS 0xfee00000 /* destination APIC id at bit 12; Intel SDM 3, 10.11.1 */

/* HPET: IA-PC HPET specification 1.0a, 2.3 */
#define HPET_PHYSICAL       0xfed00000
#define HPET_PERIOD         0x004 /* of a count, in femtoseconds */
#define HPET_CONFIGURATION  0x010
#define HPET_ENABLE         0x1
#define HPET_COUNTER        0x0f0
#define HPET_LONGEST_PERIOD 100000000 /* 100 ns */
#define HPET_FS_PER_100NS   100000000

#define UART_COM1        0x3f8
#define UART_COM2        0x2f8
#define UART_COM1_PIN    4
#define UART_COM2_PIN    3
#define UART_DATA        0
#define UART_IER         1
#define UART_FCR         2
#define UART_IIR         2
#define UART_LCR         3
#define UART_MCR         4
#define UART_LSR         5
#define UART_LSR_DATA    0x01
#define UART_LSR_EMPTY   0x20
#define UART_FIFO_ON     0x07 /* enabled, both cleared, interrupt at 1 byte */
#define UART_FIFO_ON_14  0xc7 /* enabled, both cleared, interrupt at 14 bytes or on time-out */
#define UART_MCR_ON      0x0b /* DTR, RTS, OUT2 (interrupt gate) */
#define UART_IER_RECEIVE 0x01
#define UART_FIFO_BYTES  16

/* The 8237s: Intel 8237A data sheet, "Register description"; the second one's ports as on the PC/AT. */
#define DMA1_MASK         0x0a
#define DMA1_MODE         0x0b
#define DMA1_FLIP_FLOP    0x0c
#define DMA2_FIRST        0xc0
#define DMA2_MASK         0xd4
#define DMA2_MODE         0xd6
#define DMA2_FLIP_FLOP    0xd8
#define DMA_MASKED        0x04
#define DMA_MODE_TO_RAM   0x04 /* "write": from the device to memory */
#define DMA_MODE_FROM_RAM 0x08
#define DMA_MODE_AUTO     0x10 /* begins again at its end */
#define DMA_MODE_SINGLE   0x40 /* one transfer for each request; 0: on demand */
#define DMA_MODE_CASCADE  0xc0
#define DMA_CHANNELS      8
#define DMA_CASCADE       4
