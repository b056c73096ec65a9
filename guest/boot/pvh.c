/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stock BIOS path. The BIOS has placed the BARs; memory comes from the PVH start info (the public "x86/HVM direct
 * boot ABI"), the number of CPUs from QEMU's fw_cfg, and the legacy interrupt controllers are masked here.
 */
#include "boot.h"

#include "../include/pciscan.h"
#include "../ke/ki.h"
#include "../mm/mi.h"

#define PVH_MAGIC       0x336ec578u
#define PVH_MEMORY_RAM  1
#define FW_CFG_SELECTOR 0x510
#define FW_CFG_DATA     0x511
#define FW_CFG_NB_CPUS  0x05
#define PIC1_MASK       0x21
#define PIC2_MASK       0xa1

typedef struct _PVH_START_INFO {
    ULONG Magic;
    ULONG Version;
    ULONG Flags;
    ULONG ModuleCount;
    ULONG64 Modules;
    ULONG64 CommandLine;
    ULONG64 Rsdp;
    ULONG64 MemoryMap; /* from version 1 */
    ULONG MemoryMapEntries;
    ULONG Reserved;
} PVH_START_INFO;

typedef struct _PVH_MEMORY {
    ULONG64 Base;
    ULONG64 Bytes;
    ULONG Type;
    ULONG Reserved;
} PVH_MEMORY;

static VOID PvhKeepBar(unsigned int location, unsigned int index, BOOT_PCI_BAR *bar, void *context) {
    UNREFERENCED_PARAMETER(location);
    UNREFERENCED_PARAMETER(index);
    UNREFERENCED_PARAMETER(bar);
    UNREFERENCED_PARAMETER(context);
}

BOOLEAN PvhBuildBootBlock(ULONG64 start_info, BOOT_BLOCK *block) {
    const PVH_START_INFO *info = MiPhysicalToVirtual(start_info);
    if (info->Magic != PVH_MAGIC || info->Version < 1) {
        return FALSE;
    }
    const PVH_MEMORY *memory = MiPhysicalToVirtual(info->MemoryMap);
    for (ULONG i = 0; i < info->MemoryMapEntries && block->RangeCount < BOOT_MAXIMUM_RANGES; i++) {
        if (memory[i].Type == PVH_MEMORY_RAM) {
            block->Range[block->RangeCount++] = (BOOT_MEMORY_RANGE){memory[i].Base, memory[i].Bytes};
        }
    }
    scan_out8(PIC1_MASK, 0xff);
    scan_out8(PIC2_MASK, 0xff);
    scan_out16(FW_CFG_SELECTOR, FW_CFG_NB_CPUS);
    block->ProcessorCount = scan_in8(FW_CFG_DATA);
    block->ProcessorCount |= (ULONG)scan_in8(FW_CFG_DATA) << 8;
    pci_scan(block, PvhKeepBar, NULL);
    block->Magic = BOOT_BLOCK_MAGIC;
    block->Version = BOOT_BLOCK_VERSION;
    block->Bytes = sizeof *block;
    return block->ProcessorCount <= MAXIMUM_CPUS;
}
