/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI configuration by the CF8/CFC ports and the q35 chipset's interrupt wiring: what the ROM and the guest's PVH entry
 * both need to describe a function in the boot block. Bus 0 only; inline, because the two are different programs.
 */
#pragma once

#include "bootblock.h"

#define PCI_CONFIG_ADDRESS 0xcf8
#define PCI_CONFIG_DATA    0xcfc

static inline void scan_out8(unsigned short port, unsigned char value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline unsigned char scan_in8(unsigned short port) {
    unsigned char value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void scan_out16(unsigned short port, unsigned short value) {
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void scan_out32(unsigned short port, unsigned int value) {
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline unsigned int scan_in32(unsigned short port) {
    unsigned int value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline unsigned int pci_read32(unsigned int location, unsigned int offset) {
    scan_out32(PCI_CONFIG_ADDRESS, 0x80000000u | location << 8 | (offset & 0xfcu));
    return scan_in32(PCI_CONFIG_DATA);
}

static inline void pci_write32(unsigned int location, unsigned int offset, unsigned int value) {
    scan_out32(PCI_CONFIG_ADDRESS, 0x80000000u | location << 8 | (offset & 0xfcu));
    scan_out32(PCI_CONFIG_DATA, value);
}

/*
 * q35 wires INTx of devices 0 to 24 to PIRQ E-H, rotated by device number, and of 25 to 31 to PIRQ A-D in order; PIRQ
 * A-H are pins 16 to 23 of the I/O APIC (ICH9 datasheet, 10.1.20 "D31IR" and the defaults of the chipset registers).
 */
static inline unsigned char pci_q35_ioapic_pin(unsigned int location, unsigned int pin) {
    unsigned int device = location >> 3 & 31u;
    if (pin == 0 || pin > 4) {
        return BOOT_NO_PIN;
    }
    return (unsigned char)(device < 25 ? 20 + ((device + pin - 1) & 3u) : 16 + ((pin - 1) & 3u));
}

/*
 * Sizes one BAR of a function whose decoding is off, and leaves the BAR as it was.
 * Returns the number of BAR registers it takes (1, or 2 for a 64-bit one).
 */
static inline unsigned int pci_measure_bar(unsigned int location, unsigned int index, BOOT_PCI_BAR *bar) {
    unsigned int offset = 0x10 + index * 4;
    unsigned int low = pci_read32(location, offset);
    bar->Kind = BootBarNone;
    bar->Base = 0;
    bar->Bytes = 0;
    bar->Reserved = 0;
    pci_write32(location, offset, 0xffffffffu);
    unsigned int low_mask = pci_read32(location, offset);
    pci_write32(location, offset, low);
    if (low_mask == 0) {
        return 1;
    }
    if (low & 1u) {
        bar->Kind = BootBarPort;
        bar->Base = low & 0xfffcu;
        bar->Bytes = (~(low_mask & 0xfffffffcu) & 0xffffu) + 1ull;
        return 1;
    }
    unsigned long long base = low & 0xfffffff0u;
    unsigned long long mask = 0xffffffff00000000ull | (low_mask & 0xfffffff0u);
    unsigned int registers = 1;
    if ((low & 6u) == 4u && index < 5) {
        unsigned int high = pci_read32(location, offset + 4);
        pci_write32(location, offset + 4, 0xffffffffu);
        mask = (unsigned long long)pci_read32(location, offset + 4) << 32 | (low_mask & 0xfffffff0u);
        pci_write32(location, offset + 4, high);
        base |= (unsigned long long)high << 32;
        registers = 2;
    }
    bar->Kind = BootBarMemory;
    bar->Base = base;
    bar->Bytes = ~mask + 1;
    return registers;
}

#define PCI_COMMAND              0x04
#define PCI_COMMAND_DECODE       0x3u
#define PCI_COMMAND_BUS_MASTER   0x4u
#define PCI_HEADER_MULTIFUNCTION 0x800000u
#define PCI_HEADER_TYPE(value)   ((value) >> 16 & 0x7fu)

/* What differs between the two callers: the ROM gives each BAR its place, the PVH entry keeps what the BIOS chose. */
typedef void PCI_PLACE_BAR(unsigned int location, unsigned int index, BOOT_PCI_BAR *bar, void *context);

/* Describes every function of bus 0 in the block. */
static inline void pci_scan(BOOT_BLOCK *block, PCI_PLACE_BAR *place, void *context) {
    for (unsigned int location = 0; location < 0x100; location++) {
        unsigned int identity = pci_read32(location, 0);
        if ((identity & 0xffffu) == 0xffffu) {
            if ((location & 7u) == 0) {
                location += 7;
            }
            continue;
        }
        unsigned int header = pci_read32(location, 0x0c);
        if (PCI_HEADER_TYPE(header) != 0 || block->FunctionCount == BOOT_MAXIMUM_FUNCTIONS) {
            block->FunctionsMissed++;
        } else {
            BOOT_PCI_FUNCTION *function = &block->Function[block->FunctionCount++];
            unsigned int command = pci_read32(location, PCI_COMMAND);
            function->Location = (unsigned short)location;
            function->VendorId = (unsigned short)identity;
            function->DeviceId = (unsigned short)(identity >> 16);
            function->ClassCode = pci_read32(location, 0x08) >> 8;
            function->Pin = (unsigned char)(pci_read32(location, 0x3c) >> 8);
            function->IoApicPin = pci_q35_ioapic_pin(location, function->Pin);
            pci_write32(location, PCI_COMMAND, command & 0xffffu & ~PCI_COMMAND_DECODE);
            for (unsigned int index = 0; index < 6;) {
                unsigned int first = index;
                index += pci_measure_bar(location, index, &function->Bar[index]);
                if (function->Bar[first].Kind != BootBarNone) {
                    place(location, first, &function->Bar[first], context);
                }
            }
            pci_write32(location, 0x3c, (pci_read32(location, 0x3c) & ~0xffu) | function->IoApicPin);
            pci_write32(location, PCI_COMMAND, PCI_COMMAND_DECODE | PCI_COMMAND_BUS_MASTER);
        }
        if ((location & 7u) == 0 && (header & PCI_HEADER_MULTIFUNCTION) == 0) {
            location += 7;
        }
    }
}
