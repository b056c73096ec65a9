/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: physical pages, the kernel's page tables (each page writable or executable, never both), system addresses for
 * devices, stacks and driver images. IRQL <= DISPATCH_LEVEL unless a line says otherwise; never waits.
 *
 *   0xFFFF8000_00000000  all RAM, read-write, no execute (the direct map)
 *   0xFFFFFFFF_80000000  the kernel image at its physical address
 *   0xFFFFFFFF_C0000000  system addresses: devices, stacks, driver images
 */
#pragma once

#include "../include/bootblock.h"
#include "../include/ddk.h"

#define MI_DIRECT_MAP   0xffff800000000000ull
#define MI_KERNEL_BASE  0xffffffff80000000ull
#define MI_SYSTEM_BASE  0xffffffffc0000000ull
#define MI_SYSTEM_PAGES 0x3f000ull /* 1008 MiB */

typedef enum _MI_PROTECTION {
    MiReadOnly,
    MiReadWrite,
    MiReadExecute,
    MiDevice, /* read-write, not cached */
} MI_PROTECTION;

/* mm/physical.c */
VOID MiInitializePhysical(const BOOT_BLOCK *block); /* boot CPU, once */
ULONG64 MiAllocatePages(ULONG64 count);             /* contiguous, not zeroed; 0 if there are not as many in a row */
VOID MiFreePages(ULONG64 physical, ULONG64 count);
ULONG64 MiFreePageCount(VOID);
ULONG64 MiTotalPageCount(VOID);

static inline PVOID MiPhysicalToVirtual(ULONG64 physical) {
    return (PVOID)(MI_DIRECT_MAP + physical);
}

/* mm/pagetable.c */
VOID MiBuildPageTables(const BOOT_BLOCK *block); /* boot CPU, once: final tables, loaded */
extern ULONG64 MiTopPhysical;                    /* CR3 of every CPU */
BOOLEAN MiMapPages(ULONG64 address, ULONG64 physical, ULONG64 count, MI_PROTECTION protection); /* FALSE: no memory */
VOID MiUnmapPages(ULONG64 address, ULONG64 count);
BOOLEAN MiTranslate(ULONG64 address, ULONG64 *physical); /* FALSE: not mapped */
VOID MiFlushTb(VOID); /* every CPU; below IPI_LEVEL. After an entry was narrowed or taken away */

/* mm/system.c */
ULONG64 MiReserveSystem(ULONG64 pages); /* addresses only; 0 if there are none left */
VOID MiReleaseSystem(ULONG64 address, ULONG64 pages);
PVOID MiMapDevice(ULONG64 physical, ULONG64 bytes); /* NULL if there is no room */
VOID MiUnmapDevice(PVOID address, ULONG64 bytes);
ULONG64 MiCreateStack(ULONG pages); /* returns its top; the page below it is never mapped. Bugchecks without memory */
