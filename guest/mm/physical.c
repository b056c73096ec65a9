/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical pages: a bitmap, one bit a page, first fit from where the last search ended. Memory below 1 MiB is left alone, and that
 * below 16 MiB, all that some devices can reach, is given away last to those who do not ask for it.
 */
#include "mi.h"

#include "../ke/ki.h"

#define LOW_MEMORY_END 0x100000ull
#define ISA_PAGES      0x1000ull /* 16 MiB */

extern UCHAR KiImageEnd[];

static ULONG64 *MiBitmap; /* bit set: in use, or not RAM */
static ULONG64 MiPageLimit;
static ULONG64 MiHint;
static ULONG64 MiFreeCount;
static ULONG64 MiTotalCount;
static KSPIN_LOCK MiPageLock;

static BOOLEAN MiIsUsed(ULONG64 page) {
    return (MiBitmap[page / 64] >> (page & 63u) & 1u) != 0;
}

/* Word by word: at start-up this is most of what there is to do. */
static VOID MiMark(ULONG64 first, ULONG64 count, BOOLEAN used) {
    ULONG64 limit = first + count;
    for (ULONG64 page = first; page < limit;) {
        ULONG64 bits = 64 - (page & 63u);
        bits = bits < limit - page ? bits : limit - page;
        ULONG64 mask = (bits == 64 ? ~0ull : (1ull << bits) - 1) << (page & 63u);
        MiBitmap[page / 64] = used ? MiBitmap[page / 64] | mask : MiBitmap[page / 64] & ~mask;
        page += bits;
    }
}

VOID MiInitializePhysical(const BOOT_BLOCK *block) {
    ULONG64 end = ROUND_TO_PAGES((ULONG64)KiImageEnd - MI_KERNEL_BASE);
    for (ULONG i = 0; i < block->RangeCount; i++) {
        ULONG64 limit = (block->Range[i].Base + block->Range[i].Bytes) >> PAGE_SHIFT;
        MiPageLimit = limit > MiPageLimit ? limit : MiPageLimit;
    }
    ULONG64 bitmap_bytes = (MiPageLimit + 63) / 64 * sizeof(ULONG64);
    MiBitmap = MiPhysicalToVirtual(end);
    RtlFillMemory(MiBitmap, bitmap_bytes, 0xff);
    ULONG64 first_free = ROUND_TO_PAGES(end + bitmap_bytes);
    for (ULONG i = 0; i < block->RangeCount; i++) {
        ULONG64 base = ROUND_TO_PAGES(block->Range[i].Base);
        ULONG64 limit = (block->Range[i].Base + block->Range[i].Bytes) & ~(PAGE_SIZE - 1ull);
        MiTotalCount += limit > base ? (limit - base) >> PAGE_SHIFT : 0;
        if (base < first_free) {
            base = first_free;
        }
        if (base >= LOW_MEMORY_END && base < limit) {
            MiMark(base >> PAGE_SHIFT, (limit - base) >> PAGE_SHIFT, FALSE);
            MiFreeCount += (limit - base) >> PAGE_SHIFT;
        }
    }
    MiHint = first_free >> PAGE_SHIFT > ISA_PAGES ? first_free >> PAGE_SHIFT : ISA_PAGES;
}

static ULONG64 MiFindRun(ULONG64 from, ULONG64 limit, ULONG64 count) {
    ULONG64 run = 0;
    for (ULONG64 page = from; page < limit;) {
        ULONG64 step = 1;
        if ((page & 63u) == 0 && page + 64 <= limit && MiBitmap[page / 64] == 0) {
            step = 64; /* a whole word of free pages */
            run += step;
        } else {
            run = MiIsUsed(page) ? 0 : run + 1;
        }
        page += step;
        if (run >= count) {
            return page - run;
        }
    }
    return 0;
}

/* The first run in the range that the boundary leaves whole; 0: none. */
static ULONG64 MiFindWithin(ULONG64 from, ULONG64 limit, ULONG64 count, ULONG64 boundary) {
    for (;;) {
        ULONG64 page = from < limit ? MiFindRun(from, limit, count) : 0;
        if (page == 0 || boundary == 0 || (page ^ (page + count - 1)) < boundary) {
            return page;
        }
        from = (page + count - 1) & ~(boundary - 1);
    }
}

ULONG64 MiAllocatePagesWithin(ULONG64 count, ULONG64 lowest, ULONG64 highest, ULONG64 boundary) {
    ULONG64 from = BYTES_TO_PAGES(lowest);
    ULONG64 limit = highest / PAGE_SIZE + ((highest & (PAGE_SIZE - 1)) == PAGE_SIZE - 1);
    limit = limit < MiPageLimit ? limit : MiPageLimit;
    if (boundary != 0 && boundary < count << PAGE_SHIFT) {
        return 0;
    }
    KIRQL irql = KiAcquireLockAtHigh(&MiPageLock);
    const ULONG64 starts[] = {MiHint, ISA_PAGES, from};
    ULONG64 page = 0;
    for (ULONG i = 0; i < RTL_NUMBER_OF(starts) && page == 0; i++) {
        page = MiFindWithin(starts[i] > from ? starts[i] : from, limit, count, boundary >> PAGE_SHIFT);
    }
    if (page != 0) {
        MiMark(page, count, TRUE);
        MiFreeCount -= count;
        MiHint = page + count > ISA_PAGES ? page + count : ISA_PAGES;
    }
    KiReleaseLockFromHigh(&MiPageLock, irql);
    return page << PAGE_SHIFT;
}

ULONG64 MiAllocatePages(ULONG64 count) {
    return MiAllocatePagesWithin(count, 0, ~0ull, 0);
}

VOID MiFreePages(ULONG64 physical, ULONG64 count) {
    KIRQL irql = KiAcquireLockAtHigh(&MiPageLock);
    MiMark(physical >> PAGE_SHIFT, count, FALSE);
    MiFreeCount += count;
    KiReleaseLockFromHigh(&MiPageLock, irql);
}

ULONG64 MiFreePageCount(VOID) {
    return MiFreeCount;
}

ULONG64 MiMemoryEnd(VOID) {
    return MiPageLimit << PAGE_SHIFT;
}

ULONG64 MiTotalPageCount(VOID) {
    return MiTotalCount;
}
