/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the firmware tells the guest: processors, memory, PCI functions and their interrupt lines. The ROM writes it at
 * BOOT_BLOCK_ADDRESS; under the stock BIOS the guest's own PVH entry gathers the same facts into the same structure.
 * Plain C types, so that the ROM (no DDK headers) and the guest compile the one definition.
 */
#pragma once

#define BOOT_BLOCK_ADDRESS 0x8000
#define BOOT_BLOCK_MAGIC   0x4b4c42544f4f4244ull /* "DBOOTBLK" */
#define BOOT_BLOCK_VERSION 1

#define BOOT_MAXIMUM_RANGES    16
#define BOOT_MAXIMUM_FUNCTIONS 64
#define BOOT_NO_PIN            0xff

/* The guest image starts with this header, at GUEST_HEADER_ADDRESS. */
#define GUEST_HEADER_ADDRESS 0x100000
#define GUEST_HEADER_MAGIC   0x4e4b4c5251524944ull /* "DIRQRLKN" */

#ifndef __ASSEMBLER__

typedef struct _BOOT_MEMORY_RANGE {
    unsigned long long Base; /* bytes, usable RAM only */
    unsigned long long Bytes;
} BOOT_MEMORY_RANGE;

typedef enum _BOOT_BAR_KIND {
    BootBarNone = 0,
    BootBarMemory = 1,
    BootBarPort = 2,
} BOOT_BAR_KIND;

typedef struct _BOOT_PCI_BAR {
    unsigned long long Base;
    unsigned long long Bytes;
    unsigned int Kind; /* BOOT_BAR_KIND */
    unsigned int Reserved;
} BOOT_PCI_BAR;

typedef struct _BOOT_PCI_FUNCTION {
    unsigned short Location; /* bus << 8 | device << 3 | function */
    unsigned short VendorId;
    unsigned short DeviceId;
    unsigned char Pin;       /* interrupt pin register: 0 none, 1 to 4 INTA# to INTD# */
    unsigned char IoApicPin; /* where that pin ends, BOOT_NO_PIN if nowhere */
    unsigned int ClassCode;  /* class << 16 | subclass << 8 | programming interface */
    unsigned int Reserved;
    BOOT_PCI_BAR Bar[6]; /* a 64-bit BAR fills the lower slot, the upper one stays BootBarNone */
} BOOT_PCI_FUNCTION;

typedef struct _BOOT_BLOCK {
    unsigned long long Magic;
    unsigned int Version;
    unsigned int Bytes;          /* sizeof(BOOT_BLOCK) */
    unsigned int ProcessorCount; /* APIC ids 0 to ProcessorCount - 1 */
    unsigned int RangeCount;
    unsigned int FunctionCount;
    unsigned int FunctionsMissed; /* functions beyond BOOT_MAXIMUM_FUNCTIONS or behind a bridge */
    BOOT_MEMORY_RANGE Range[BOOT_MAXIMUM_RANGES];
    BOOT_PCI_FUNCTION Function[BOOT_MAXIMUM_FUNCTIONS];
} BOOT_BLOCK;

typedef struct _GUEST_HEADER {
    unsigned long long Magic;
    unsigned long long Entry64; /* physical; called in long mode, memory below 4 GiB mapped as is, RCX = BOOT_BLOCK */
} GUEST_HEADER;

#endif
