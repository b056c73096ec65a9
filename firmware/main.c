/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ROM's only C: fills the boot block (processors, memory, PCI with BARs placed and interrupt lines written down),
 * masks the legacy interrupt controllers, and says where the guest starts. It runs from ROM, so it has no writable globals.
 */
#include "exitcode.h"
#include "pciscan.h"

#define FW_CFG_SELECTOR 0x510
#define FW_CFG_DATA     0x511
#define FW_CFG_NB_CPUS  0x05

#define CMOS_INDEX        0x70
#define CMOS_DATA         0x71
#define CMOS_EXTENDED_64K 0x34 /* 64 KiB units above 16 MiB, below 4 GiB */
#define CMOS_HIGH_64K     0x5b /* 64 KiB units above 4 GiB, 3 bytes */

#define PIC1_MASK 0x21
#define PIC2_MASK 0xa1

/* Where BARs go: below the I/O APIC and the flash; ports above the chipset's own. */
#define BAR_MEMORY_FIRST 0xc0000000ull
#define BAR_MEMORY_LIMIT 0xfe000000ull
#define BAR_PORT_FIRST   0xc000ull
#define BAR_PORT_LIMIT   0x10000ull

typedef struct _BAR_SPACE {
    unsigned long long Memory; /* next free address */
    unsigned long long High;   /* the same above 4 GiB */
    unsigned long long Port;
} BAR_SPACE;

static void refuse(unsigned char code) __attribute__((noreturn));

static void refuse(unsigned char code) {
    scan_out8(EXIT_PORT, code);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

static unsigned int cmos_read(unsigned char index) {
    scan_out8(CMOS_INDEX, index | 0x80);
    return scan_in8(CMOS_DATA);
}

static unsigned int processor_count(void) {
    scan_out16(FW_CFG_SELECTOR, FW_CFG_NB_CPUS);
    unsigned int low = scan_in8(FW_CFG_DATA);
    return low | (unsigned int)scan_in8(FW_CFG_DATA) << 8;
}

static void add_range(BOOT_BLOCK *block, unsigned long long base, unsigned long long bytes) {
    if (bytes != 0) {
        block->Range[block->RangeCount++] = (BOOT_MEMORY_RANGE){base, bytes};
    }
}

static unsigned long long find_memory(BOOT_BLOCK *block) {
    unsigned long long extended =
        cmos_read(CMOS_EXTENDED_64K) | (unsigned long long)cmos_read(CMOS_EXTENDED_64K + 1) << 8;
    unsigned long long high = cmos_read(CMOS_HIGH_64K) | (unsigned long long)cmos_read(CMOS_HIGH_64K + 1) << 8 |
        (unsigned long long)cmos_read(CMOS_HIGH_64K + 2) << 16;
    add_range(block, 0x1000, 0xa0000 - 0x1000);
    add_range(block, 0x100000, (16ull << 20) - 0x100000 + (extended << 16));
    add_range(block, 1ull << 32, high << 16);
    return (1ull << 32) + (high << 16);
}

static unsigned long long take(unsigned long long *next, unsigned long long bytes) {
    unsigned long long base = (*next + bytes - 1) & ~(bytes - 1);
    *next = base + bytes;
    return base;
}

static void place_bar(unsigned int location, unsigned int index, BOOT_PCI_BAR *bar, void *context) {
    BAR_SPACE *space = context;
    unsigned int offset = 0x10 + index * 4;
    unsigned int is_64_bit = bar->Kind == BootBarMemory && (pci_read32(location, offset) & 6u) == 4u;
    if (bar->Kind == BootBarPort) {
        bar->Base = take(&space->Port, bar->Bytes);
        if (space->Port > BAR_PORT_LIMIT) {
            refuse(EXIT_NO_PCI_SPACE);
        }
    } else if (is_64_bit && bar->Bytes > BAR_MEMORY_LIMIT - space->Memory) {
        bar->Base = take(&space->High, bar->Bytes);
    } else {
        bar->Base = take(&space->Memory, bar->Bytes);
        if (space->Memory > BAR_MEMORY_LIMIT) {
            refuse(EXIT_NO_PCI_SPACE);
        }
    }
    pci_write32(location, offset, (unsigned int)bar->Base);
    if (is_64_bit) {
        pci_write32(location, offset + 4, (unsigned int)(bar->Base >> 32));
    }
}

unsigned long long firmware_main(void);

unsigned long long firmware_main(void) {
    BOOT_BLOCK *block = (BOOT_BLOCK *)BOOT_BLOCK_ADDRESS;
    const GUEST_HEADER *guest = (const GUEST_HEADER *)GUEST_HEADER_ADDRESS;
    void *destination = block;
    unsigned long long words = sizeof *block / sizeof(unsigned long long);
    __asm__ volatile("rep stosq" : "+D"(destination), "+c"(words) : "a"(0ull) : "memory");
    scan_out8(PIC1_MASK, 0xff);
    scan_out8(PIC2_MASK, 0xff);
    block->ProcessorCount = processor_count();
    if (block->ProcessorCount > 64) {
        refuse(EXIT_TOO_MANY_CPUS);
    }
    BAR_SPACE space = {BAR_MEMORY_FIRST, find_memory(block), BAR_PORT_FIRST};
    pci_scan(block, place_bar, &space);
    if (guest->Magic != GUEST_HEADER_MAGIC) {
        refuse(EXIT_NO_GUEST);
    }
    block->Magic = BOOT_BLOCK_MAGIC;
    block->Version = BOOT_BLOCK_VERSION;
    block->Bytes = sizeof *block;
    return guest->Entry64;
}
