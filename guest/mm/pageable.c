/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be put out: the paged pool's addresses, handed out by pages, and the sections of drivers' images. Every page of an image
 * has a record, because MmPageEntireDriver makes all of them pageable.
 */
#include "mi.h"

#include "../include/mutant.h"
#include "../ke/ki.h"

#define MI_PAGED_PAGES 8192ull /* 32 MiB of addresses; half of the RAM where there is less */

#define MI_DYING_RANGES  32
#define MI_DYING_PAGES   64 /* of paged pool that are freed with one flush */
#define MI_RELEASE_BATCH 64 /* pages that are unmapped with one flush */

MI_PAGEABLE MiPageables[MI_PAGEABLES];
static ULONG64 MiPagedHint;

/* Lock-free: an entry's Base is stored last and taken away first, and its records' memory stays readable. */
static MI_PAGEABLE *MiFindRange(ULONG64 address) {
    for (ULONG i = 0; i < MI_PAGEABLES; i++) {
        MI_PAGEABLE *range = &MiPageables[i];
        /* Acquire: pairs with the release in MiAddRange. */
        ULONG64 base = __atomic_load_n(&range->Base, __ATOMIC_ACQUIRE);
        if (base != 0 && address >= base && (address - base) >> PAGE_SHIFT < range->Pages) {
            return range;
        }
    }
    return NULL;
}

MI_PAGE *MiFindPage(ULONG64 address) {
    const MI_PAGEABLE *range = MiFindRange(address);
    return range == NULL ? NULL : &range->Page[(address - range->Base) >> PAGE_SHIFT];
}

BOOLEAN MiIsPageable(ULONG64 address) {
    const MI_PAGE *page = MiFindPage(address);
    return MiIsThere(page) && (page->Pageable & MI_MAY_GO) != 0 && page->Locks == 0;
}

static ULONG64 MiRecordPages(ULONG64 pages) {
    return BYTES_TO_PAGES(pages * sizeof(MI_PAGE));
}

/* Made before the paging lock is taken: to clear them all takes longer than a spin lock may be held. NULL: no memory. */
static MI_PAGE *MiCreateRecords(ULONG64 pages, ULONG64 *physical) {
    *physical = MiAllocatePages(MiRecordPages(pages));
    if (*physical == 0) {
        return NULL;
    }
    MI_PAGE *records = MiPhysicalToVirtual(*physical);
    RtlZeroMemory(records, pages * sizeof(MI_PAGE));
    return records;
}

/* The paging lock is held, or there is one CPU. */
static VOID MiAddRange(MI_PAGEABLE *range, ULONG64 base, ULONG64 pages, MI_PAGE *records) {
    range->Page = records;
    range->Pages = pages;
    MiInitializePaging();
    /* Release: pairs with the acquire in MiFindRange. */
    __atomic_store_n(&range->Base, base, __ATOMIC_RELEASE);
}

VOID MiCreatePagedPool(VOID) {
    ULONG64 pages = MiTotalPageCount() / 2 < MI_PAGED_PAGES ? MiTotalPageCount() / 2 : MI_PAGED_PAGES;
    ULONG64 physical;
    MI_PAGE *records = MiCreateRecords(pages, &physical);
    if (records != NULL) { /* without, every allocation of paged pool fails */
        MiAddRange(&MiPageables[0], MI_PAGED_BASE, pages, records);
    }
}

BOOLEAN MiRegisterImage(ULONG64 base, ULONG64 pages) {
    ULONG64 physical;
    MI_PAGE *records = MiCreateRecords(pages, &physical);
    if (records == NULL) {
        return FALSE;
    }
    for (ULONG64 i = 0; i < pages; i++) {
        records[i].Resident = MiTranslate(base + (i << PAGE_SHIFT), &records[i].Frame);
    }
    KIRQL irql = MiLockPaging();
    MI_PAGEABLE *range = NULL;
    for (ULONG i = 1; i < MI_PAGEABLES && range == NULL; i++) {
        range = MiPageables[i].Base == 0 ? &MiPageables[i] : NULL;
    }
    if (range != NULL) {
        MiAddRange(range, base, pages, records);
    }
    MiUnlockPaging(irql);
    if (range == NULL) {
        MiFreePages(physical, MiRecordPages(pages));
    }
    return range != NULL;
}

VOID MiDescribeSection(ULONG64 address, ULONG64 pages, MI_PROTECTION protection, ULONG number, BOOLEAN pageable) {
    KIRQL irql = MiLockPaging();
    for (ULONG64 i = 0; i < pages; i++) {
        MI_PAGE *page = MiFindPage(address + (i << PAGE_SHIFT));
        page->Protection = (UCHAR)protection;
        page->Section = (UCHAR)number;
        page->Pageable = pageable ? MI_MAY_GO | MI_OWN_WILL : 0;
    }
    MiUnlockPaging(irql);
}

VOID MiReleaseImage(ULONG64 base, ULONG64 pages) {
    KIRQL irql = MiLockPaging();
    MI_PAGEABLE *range = MiFindRange(base);
    if (range != NULL) {
        __atomic_store_n(&range->Base, 0, __ATOMIC_RELEASE);
        for (ULONG64 i = 0; i < pages; i++) {
            if (!range->Page[i].Resident) { /* those that are go below, with their mappings */
                MiFreePages(range->Page[i].Frame, 1);
            }
        }
        ULONG64 records;
        MiTranslate((ULONG64)range->Page, &records);
        MiFreePages(records, MiRecordPages(pages));
    }
    MiUnlockPaging(irql);
    /* Nobody puts out what is in no range: the mappings stay as they are from here on. */
    for (ULONG64 i = 0; i < pages; i += MI_RELEASE_BATCH) {
        ULONG64 limit = pages - i < MI_RELEASE_BATCH ? pages : i + MI_RELEASE_BATCH;
        ULONG64 frames[MI_RELEASE_BATCH];
        ULONG count = 0;
        for (ULONG64 at = i; at < limit; at++) {
            count += MiTranslate(base + (at << PAGE_SHIFT), &frames[count]);
        }
        MiUnmapPages(base + (i << PAGE_SHIFT), limit - i);
        MiFlushTb();
        while (count != 0) {
            MiFreePages(frames[--count], 1);
        }
    }
    MiReleaseSystem(base, pages);
}

/* The paging lock is held. The first of so many pages of the paged pool that are nobody's; range->Pages: there are not. */
static ULONG64 MiFindPaged(const MI_PAGEABLE *range, ULONG64 from, ULONG64 count) {
    ULONG64 run = 0;
    for (ULONG64 i = from; i < range->Pages; i++) {
        run = range->Page[i].Frame == 0 ? run + 1 : 0;
        if (run == count) {
            return i + 1 - count;
        }
    }
    return range->Pages;
}

/* The paging lock is held. The pages are out of every TB, or never were in one. */
static VOID MiForgetPaged(MI_PAGEABLE *range, ULONG64 first, ULONG64 count) {
    for (ULONG64 i = first; i < first + count; i++) {
        MiFreePages(range->Page[i].Frame, 1);
        range->Page[i].Frame = 0;
        range->Page[i].Resident = FALSE;
        range->Page[i].Pageable = 0;
    }
}

/*
 * Pages that have been freed and unmapped, and that TBs may still hold: neither their addresses nor their frames are anybody's until
 * one flush has been made for many of them. The paging lock is held.
 */
static struct {
    ULONG64 First[MI_DYING_RANGES];
    ULONG64 Count[MI_DYING_RANGES];
    ULONG Ranges;
    ULONG64 Pages;
} MiDying;

static VOID MiBuryPaged(MI_PAGEABLE *range) {
    if (MiDying.Ranges != 0) {
        MiFlushTb();
    }
    for (ULONG i = 0; i < MiDying.Ranges; i++) {
        MiForgetPaged(range, MiDying.First[i], MiDying.Count[i]);
    }
    MiDying.Ranges = 0;
    MiDying.Pages = 0;
}

/* The paging lock is held. */
static BOOLEAN MiFillPaged(MI_PAGEABLE *range, ULONG64 first, ULONG64 count) {
    for (ULONG64 i = first; i < first + count; i++) {
        MI_PAGE *page = &range->Page[i];
        ULONG64 address = range->Base + (i << PAGE_SHIFT);
        page->Frame = MiAllocatePages(1);
        if (page->Frame == 0 || !MiMapPages(address, page->Frame, 1, MiReadWrite)) {
            MiUnmapPages(range->Base + (first << PAGE_SHIFT), i - first);
            MiFlushTb();
            MiForgetPaged(range, first, page->Frame == 0 ? i - first : i - first + 1);
            return FALSE;
        }
        page->Protection = MiReadWrite;
        page->Pageable = MI_MAY_GO | MI_OWN_WILL;
        page->Resident = TRUE;
    }
    return TRUE;
}

ULONG64 MiAllocatePaged(ULONG64 pages) {
    MI_PAGEABLE *range = &MiPageables[0];
    ULONG64 address = 0;
    KIRQL irql = MiLockPaging();
    if (range->Base != 0) {
        ULONG64 first = MiFindPaged(range, MiPagedHint, pages);
        if (first == range->Pages || !MiFillPaged(range, first, pages)) {
            MiBuryPaged(range); /* what has been freed may be just what is missing */
            first = MiFindPaged(range, 0, pages);
            first = first != range->Pages && MiFillPaged(range, first, pages) ? first : range->Pages;
        }
        if (first != range->Pages) {
            MiPagedHint = first + pages;
            address = range->Base + (first << PAGE_SHIFT);
        }
    }
    MiUnlockPaging(irql);
    return address;
}

VOID MiFreePaged(ULONG64 address, ULONG64 pages) {
    MI_PAGEABLE *range = &MiPageables[0];
    KIRQL irql = MiLockPaging();
    ULONG64 first = (address - range->Base) >> PAGE_SHIFT;
    for (ULONG64 i = first; i < first + pages; i++) {
        MI_PAGE *page = &range->Page[i];
        if (page->Locks != 0) { /* bug-check-0x4e: freed while it is locked for I/O */
            KeBugCheckEx(PFN_LIST_CORRUPT, 0x9a, page->Frame >> PAGE_SHIFT, 0, (ULONG64)page->Locks);
        }
        page->Pageable |= MI_DYING;
        page->Resident = FALSE;
    }
    MiUnmapPages(address, pages);
    MiDying.First[MiDying.Ranges] = first;
    MiDying.Count[MiDying.Ranges++] = pages;
    MiDying.Pages += pages;
    if (MiDying.Ranges == MI_DYING_RANGES || MiDying.Pages >= MI_DYING_PAGES) {
        MiBuryPaged(range);
    }
    MiUnlockPaging(irql);
}
