/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: physical pages, the kernel's page tables (each page writable or executable, never both), system addresses for
 * devices, stacks and driver images. IRQL <= DISPATCH_LEVEL unless a line says otherwise; never waits.
 *
 *   0xFFFF8000_00000000  all RAM, read-write, no execute (the direct map)
 *   0xFFFFA000_00000000  paged pool
 *   0xFFFFFFFF_80000000  the kernel image at its physical address
 *   0xFFFFFFFF_C0000000  system addresses: devices, stacks, driver images
 */
#pragma once

#include "../include/bootblock.h"
#include "../include/hostif.h"

#define MI_DIRECT_MAP   0xffff800000000000ull
#define MI_PAGED_BASE   0xffffa00000000000ull
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
/* As that, of whole pages from lowest to highest, its last byte; across no multiple of boundary, a power of two, or 0. */
ULONG64 MiAllocatePagesWithin(ULONG64 count, ULONG64 lowest, ULONG64 highest, ULONG64 boundary);
VOID MiFreePages(ULONG64 physical, ULONG64 count);
ULONG64 MiFreePageCount(VOID);
ULONG64 MiTotalPageCount(VOID);
ULONG64 MiMemoryEnd(VOID); /* physical, behind the last byte of RAM */

static inline PVOID MiPhysicalToVirtual(ULONG64 physical) {
    return (PVOID)(MI_DIRECT_MAP + physical);
}

/* mm/pagetable.c */
VOID MiBuildPageTables(const BOOT_BLOCK *block); /* boot CPU, once: final tables, loaded */
extern ULONG64 MiTopPhysical;                    /* CR3 of every CPU */
BOOLEAN MiMapPages(ULONG64 address, ULONG64 physical, ULONG64 count, MI_PROTECTION protection); /* FALSE: no memory */
VOID MiUnmapPages(ULONG64 address, ULONG64 count);
VOID MiUnmapSecond(ULONG64 address, ULONG64 count);      /* mapped elsewhere too, where it is as writable as it was */
BOOLEAN MiTranslate(ULONG64 address, ULONG64 *physical); /* FALSE: not mapped */
BOOLEAN MiIsWritable(ULONG64 address);                   /* FALSE: not mapped, too */
VOID MiFlushTb(VOID); /* every CPU; below IPI_LEVEL. After an entry was narrowed or taken away */

/* mm/system.c */
ULONG64 MiReserveSystem(ULONG64 pages); /* addresses only; 0 if there are none left */
VOID MiReleaseSystem(ULONG64 address, ULONG64 pages);
PVOID MiMapDevice(ULONG64 physical, ULONG64 bytes); /* NULL if there is no room */
VOID MiUnmapDevice(PVOID address, ULONG64 bytes);
ULONG64 MiTryCreateStack(ULONG pages); /* returns its top; the page below it is never mapped. 0: no memory */
ULONG64 MiCreateStack(ULONG pages);    /* the same; bugchecks without memory */

/*
 * Pageable memory (mm/pageable.c): the paged pool and the images of drivers, each page with a record. A page of paged pool,
 * and one of an image's sections whose names begin with PAGE, may be put out while nobody has locked it.
 */
#define MI_MAY_GO   1
#define MI_OWN_WILL 2
#define MI_DYING    4

typedef struct _MI_PAGE {
    ULONG64
    Frame;      /* physical address of its contents: mapped while Resident, else kept aside; 0: there is no such page */
    LONG Locks; /* while not 0 it stays */
    UCHAR Resident; /* TRUE: a touch finds it */
    UCHAR
    Pageable; /* MI_MAY_GO: it may be put out; MI_OWN_WILL: its section's name says so; MI_DYING: it has been freed */
    UCHAR Section;    /* of an image, 0: its headers */
    UCHAR Protection; /* MI_PROTECTION */
} MI_PAGE;
C_ASSERT(sizeof(MI_PAGE) == 16);

typedef struct _MI_PAGEABLE {
    volatile ULONG64 Base; /* 0: unused; stored last */
    ULONG64 Pages;
    MI_PAGE *Page;
} MI_PAGEABLE;

#define MI_PAGEABLES (MAXIMUM_IMAGES + 1)
extern MI_PAGEABLE MiPageables[MI_PAGEABLES]; /* the first is the paged pool's */

/*
 * The paging lock: over all of the above. IRQL <= DISPATCH_LEVEL in, DISPATCH_LEVEL out; spins with interrupts on, since its holder may
 * wait for every other CPU to flush its TB.
 */
KIRQL MiLockPaging(VOID);
VOID MiUnlockPaging(KIRQL irql);

/* Any IRQL, no lock: a look. NULL: no page of pageable memory, or of an image that could become so, is there. */
MI_PAGE *MiFindPage(ULONG64 address);
static inline BOOLEAN MiIsThere(const MI_PAGE *page) {
    return page != NULL && page->Frame != 0 && (page->Pageable & MI_DYING) == 0;
}

BOOLEAN MiIsPageable(ULONG64 address); /* it may be put out at any moment, or is out */

VOID MiCreatePagedPool(VOID); /* boot CPU, once, after MiBuildPageTables: its addresses; no page of it is there yet */

/* mm/pageable.c. IRQL <= DISPATCH_LEVEL, the paging lock not held. */
BOOLEAN MiRegisterImage(ULONG64 base,
                        ULONG64 pages); /* it is mapped; no page of it is pageable yet. FALSE: no memory */
VOID MiDescribeSection(ULONG64 address, ULONG64 pages, MI_PROTECTION protection, ULONG number, BOOLEAN pageable);
VOID MiReleaseImage(ULONG64 base, ULONG64 pages); /* registered or not: unmaps it, frees its pages and its addresses */
ULONG64 MiAllocatePaged(ULONG64 pages);           /* resident, not zeroed; 0: no memory, or no such run of addresses */
VOID MiFreePaged(ULONG64 address, ULONG64 pages);

/* mm/paging.c. IRQL <= DISPATCH_LEVEL, the paging lock not held. */
ULONG64 MiPageOut(ULONG64 address, ULONG64 bytes); /* 0, 0: all that is pageable. Returns how many pages went out */
/* The page is resident at return and stays until it is unlocked. FALSE: it is none of pageable memory's, which is no error. */
BOOLEAN MiLockPage(ULONG64 address);
VOID MiUnlockPage(ULONG64 address);

/* mm/paging.c. The paging lock is held. */
VOID MiBringIn(ULONG64 address, MI_PAGE *page); /* it is out */
VOID MiInitializePaging(VOID);                  /* from the first page that is pageable on, touches are resolved */
