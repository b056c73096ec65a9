/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's page tables (Intel SDM 3, 4.5). Tables are reached through the direct map. A page is writable or
 * executable, never both, and that holds for its alias in the direct map too: mapping a page executable or read-only
 * takes write access away from the alias, unmapping gives it back.
 */
#include "mi.h"

#include "../ke/ki.h"

#define PTE_PRESENT    0x1ull
#define PTE_WRITE      0x2ull
#define PTE_UNCACHED   0x18ull /* PCD, PWT */
#define PTE_LARGE      0x80ull
#define PTE_GLOBAL     0x100ull
#define PTE_NO_EXECUTE 0x8000000000000000ull
#define PTE_ADDRESS    0x000ffffffffff000ull
#define LARGE_PAGE     0x200000ull

extern UCHAR KiImageStart[], KiTextStart[], KiTextEnd[], KiRodataEnd[], KiImageEnd[];

static ULONG64 *MiTop;
ULONG64 MiTopPhysical; /* boot/entry.S loads it on the other CPUs */
static KSPIN_LOCK MiTableLock;

static ULONG64 MiFlags(MI_PROTECTION protection) {
    static const ULONG64 flags[] = {
        [MiReadOnly] = PTE_PRESENT | PTE_GLOBAL | PTE_NO_EXECUTE,
        [MiReadWrite] = PTE_PRESENT | PTE_GLOBAL | PTE_WRITE | PTE_NO_EXECUTE,
        [MiReadExecute] = PTE_PRESENT | PTE_GLOBAL,
        [MiDevice] = PTE_PRESENT | PTE_GLOBAL | PTE_WRITE | PTE_NO_EXECUTE | PTE_UNCACHED,
    };
    return flags[protection];
}

static ULONG64 *MiNewTable(ULONG64 *physical) {
    *physical = MiAllocatePages(1);
    if (*physical == 0) {
        return NULL;
    }
    ULONG64 *table = MiPhysicalToVirtual(*physical);
    RtlZeroMemory(table, PAGE_SIZE);
    return table;
}

/* The 4 KiB entry of an address; a 2 MiB page in its way is split. create: missing tables are made. NULL: none. */
static ULONG64 *MiEntry(ULONG64 address, BOOLEAN create) {
    ULONG64 *table = MiTop;
    for (ULONG shift = 39; shift > 12; shift -= 9) {
        ULONG64 *entry = &table[address >> shift & 511u];
        if ((*entry & PTE_PRESENT) == 0 || (*entry & PTE_LARGE) != 0) {
            ULONG64 physical;
            ULONG64 *next = create ? MiNewTable(&physical) : NULL;
            if (next == NULL) {
                return NULL;
            }
            for (ULONG i = 0; (*entry & PTE_LARGE) != 0 && i < 512; i++) {
                next[i] = (*entry & ~PTE_LARGE) + ((ULONG64)i << PAGE_SHIFT);
            }
            *entry = physical | PTE_PRESENT | PTE_WRITE;
        }
        table = MiPhysicalToVirtual(*entry & PTE_ADDRESS);
    }
    return &table[address >> PAGE_SHIFT & 511u];
}

static VOID MiInvalidate(ULONG64 address) {
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static BOOLEAN MiSetEntry(ULONG64 address, ULONG64 value) {
    ULONG64 *entry = MiEntry(address, TRUE);
    if (entry == NULL) {
        return FALSE;
    }
    BOOLEAN was_present = (*entry & PTE_PRESENT) != 0;
    *entry = value;
    if (was_present) { /* what was not present is not in the TB (Intel SDM 3, 4.10.4.3) */
        MiInvalidate(address);
    }
    return TRUE;
}

/* Gives or takes write access of a RAM page's alias in the direct map. Device pages have no alias. */
static BOOLEAN MiSetAlias(ULONG64 physical, BOOLEAN writable) {
    return MiSetEntry(MI_DIRECT_MAP + physical, physical | MiFlags(writable ? MiReadWrite : MiReadOnly));
}

BOOLEAN MiMapPages(ULONG64 address, ULONG64 physical, ULONG64 count, MI_PROTECTION protection) {
    KIRQL irql = KiAcquireLockAtHigh(&MiTableLock);
    BOOLEAN mapped = TRUE;
    for (ULONG64 i = 0; i < count && mapped; i++) {
        ULONG64 page = physical + (i << PAGE_SHIFT);
        mapped = MiSetEntry(address + (i << PAGE_SHIFT), page | MiFlags(protection));
        if (mapped && (protection == MiReadExecute || protection == MiReadOnly)) {
            mapped = MiSetAlias(page, FALSE);
        }
    }
    KiReleaseLockFromHigh(&MiTableLock, irql);
    return mapped;
}

static VOID MiClearEntries(ULONG64 address, ULONG64 count, BOOLEAN free_alias) {
    KIRQL irql = KiAcquireLockAtHigh(&MiTableLock);
    for (ULONG64 i = 0; i < count; i++) {
        ULONG64 *entry = MiEntry(address + (i << PAGE_SHIFT), FALSE);
        if (entry != NULL && (*entry & PTE_PRESENT) != 0) {
            ULONG64 old = *entry;
            *entry = 0;
            MiInvalidate(address + (i << PAGE_SHIFT));
            if (free_alias && (old & (PTE_WRITE | PTE_UNCACHED)) == 0) {
                MiSetAlias(old & PTE_ADDRESS, TRUE);
            }
        }
    }
    KiReleaseLockFromHigh(&MiTableLock, irql);
}

VOID MiUnmapPages(ULONG64 address, ULONG64 count) {
    MiClearEntries(address, count, TRUE);
}

VOID MiUnmapSecond(ULONG64 address, ULONG64 count) {
    MiClearEntries(address, count, FALSE);
}

/* The last entry on the way to an address, present or not: takes no lock, changes nothing. *shift: log2 of what it maps. */
static ULONG64 MiWalk(ULONG64 address, ULONG *shift) {
    const ULONG64 *table = MiTop;
    for (*shift = 39;; *shift -= 9) {
        ULONG64 entry = table[address >> *shift & 511u];
        if (*shift == 12 || (entry & (PTE_PRESENT | PTE_LARGE)) != PTE_PRESENT) {
            return entry;
        }
        table = MiPhysicalToVirtual(entry & PTE_ADDRESS);
    }
}

BOOLEAN MiTranslate(ULONG64 address, ULONG64 *physical) {
    ULONG shift;
    ULONG64 entry = MiWalk(address, &shift);
    if ((entry & PTE_PRESENT) == 0) {
        return FALSE;
    }
    ULONG64 offset = (1ull << shift) - 1;
    *physical = (entry & PTE_ADDRESS & ~offset) | (address & offset);
    return TRUE;
}

BOOLEAN MiIsWritable(ULONG64 address) {
    ULONG shift;
    return (MiWalk(address, &shift) & (PTE_PRESENT | PTE_WRITE)) == (PTE_PRESENT | PTE_WRITE);
}

/* For bugchecks. */
static ULONG64 MiQueryEntry(ULONG64 address) {
    ULONG shift;
    return MiWalk(address, &shift);
}

static VOID MiReloadTb(PVOID context) {
    UNREFERENCED_PARAMETER(context);
    ULONG64 cr4;
    /* Global entries go only with CR4.PGE (Intel SDM 3, 4.10.4.1). */
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 & ~0x80ull) : "memory");
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
}

VOID MiFlushTb(VOID) {
    KiCallOthers(MiReloadTb, NULL);
    MiReloadTb(NULL);
}

/* In 2 MiB pages as far as they go. The first of them takes the hole below 1 MiB along. */
static VOID MiMapRam(const BOOT_MEMORY_RANGE *range) {
    ULONG64 first = range->Base < LARGE_PAGE ? 0 : range->Base & ~(PAGE_SIZE - 1ull);
    ULONG64 limit = range->Base + range->Bytes;
    limit = limit < LARGE_PAGE ? LARGE_PAGE : limit;
    for (ULONG64 page = first; page < limit;) {
        BOOLEAN large = (page & (LARGE_PAGE - 1)) == 0 && page + LARGE_PAGE <= limit;
        if (!large) {
            if (!MiSetEntry(MI_DIRECT_MAP + page, page | MiFlags(MiReadWrite))) {
                KeBugCheckEx(INSTALL_MORE_MEMORY, MiTotalPageCount(), page, 0, 0);
            }
            page += PAGE_SIZE;
            continue;
        }
        ULONG64 address = MI_DIRECT_MAP + page;
        ULONG64 *table = MiTop;
        for (ULONG shift = 39; shift > 21; shift -= 9) {
            ULONG64 *entry = &table[address >> shift & 511u];
            ULONG64 physical;
            if ((*entry & PTE_PRESENT) == 0) {
                if (MiNewTable(&physical) == NULL) {
                    KeBugCheckEx(INSTALL_MORE_MEMORY, MiTotalPageCount(), page, 1, 0);
                }
                *entry = physical | PTE_PRESENT | PTE_WRITE;
            }
            table = MiPhysicalToVirtual(*entry & PTE_ADDRESS);
        }
        table[address >> 21 & 511u] = page | MiFlags(MiReadWrite) | PTE_LARGE;
        page += LARGE_PAGE;
    }
}

static VOID MiMapImagePart(UCHAR *first, UCHAR *limit, MI_PROTECTION protection) {
    ULONG64 pages = BYTES_TO_PAGES((ULONG64)(limit - first));
    if (!MiMapPages((ULONG64)first, (ULONG64)first - MI_KERNEL_BASE, pages, protection)) {
        KeBugCheckEx(INSTALL_MORE_MEMORY, MiTotalPageCount(), pages, 2, 0);
    }
}

VOID MiBuildPageTables(const BOOT_BLOCK *block) {
    MiTop = MiNewTable(&MiTopPhysical);
    for (ULONG i = 0; i < block->RangeCount; i++) {
        MiMapRam(&block->Range[i]);
    }
    MiMapImagePart(KiImageStart, KiTextStart, MiReadOnly);
    MiMapImagePart(KiTextStart, KiTextEnd, MiReadExecute);
    MiMapImagePart(KiTextEnd, KiRodataEnd, MiReadOnly);
    MiMapImagePart(KiRodataEnd, KiImageEnd, MiReadWrite);
    __asm__ volatile("mov %0, %%cr3" : : "r"(MiTopPhysical) : "memory");
    KiPageEntry = MiQueryEntry;
}
