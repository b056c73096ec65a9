/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting pages out and bringing them back. A page that is out has its contents in a page that only the kernel knows; what it lay
 * in is filled with a pattern and given away, so whoever still reaches for it by an old way finds nothing.
 *
 * Every change of a page is made under the paging lock, which is held at DISPATCH_LEVEL with interrupts on:
 *   out  the page is unmapped; every CPU's TB is flushed; then, and not before, its contents are copied, for until the flush has
 *        been answered another CPU may still write them. A CPU that touches it meanwhile faults and waits for the lock.
 *   in   a page is filled and then mapped, so nobody sees it half filled. Who waited for the lock finds it resident and
 *        touches again. Another CPU's TB holds nothing of a page that was not present.
 * A CPU that waits for the lock has interrupts on and so answers the flush that the holder waits for.
 */
#include "mi.h"

#include "../include/mutant.h"
#include "../ke/ki.h"
#include "../trace/trace.h"

#define MI_PAGE_BATCH  16                    /* pages that go out with one flush, and under the lock at one go */
#define MI_PAGE_POISON 0xf7eef7eef7eef7eeull /* what a page is full of after it was put out */

static KSPIN_LOCK MiPagingLock;

KIRQL MiLockPaging(VOID) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql < DISPATCH_LEVEL) {
        __writecr8(DISPATCH_LEVEL);
    }
    KiAcquireSpinLock(&MiPagingLock, KI_CALLER);
    return irql;
}

VOID MiUnlockPaging(KIRQL irql) {
    KiReleaseSpinLock(&MiPagingLock, KI_CALLER);
    if (irql < DISPATCH_LEVEL) {
        __writecr8(irql);
    }
}

static VOID MiCopyPage(ULONG64 to, ULONG64 from) {
    PVOID destination = MiPhysicalToVirtual(to);
    const VOID *source = MiPhysicalToVirtual(from);
    ULONG64 words = PAGE_SIZE / sizeof(ULONG64);
    __asm__ volatile("rep movsq" : "+D"(destination), "+S"(source), "+c"(words) : : "memory");
}

static VOID MiPoisonPage(ULONG64 physical) {
    PVOID destination = MiPhysicalToVirtual(physical);
    ULONG64 words = PAGE_SIZE / sizeof(ULONG64);
    __asm__ volatile("rep stosq" : "+D"(destination), "+c"(words) : "a"(MI_PAGE_POISON) : "memory");
}

/* The page is unmapped on every CPU. Without memory for a copy its contents stay where they are. */
static VOID MiPutAside(MI_PAGE *page) {
    ULONG64 copy = MiAllocatePages(1);
    if (copy == 0) {
        return;
    }
    if (!MUTANT(PageOutLosesContents, "MEM-1", "a page that is put out is not copied")) {
        MiCopyPage(copy, page->Frame);
    }
    MiPoisonPage(page->Frame);
    MiFreePages(page->Frame, 1);
    page->Frame = copy;
}

static BOOLEAN MiMayGoOut(const MI_PAGE *page) {
    BOOLEAN locked = page->Locks != 0 && !MUTANT(PageOutIgnoresLocks, "MEM-3", "pages that are locked are put out too");
    return MiIsThere(page) && page->Resident && (page->Pageable & MI_MAY_GO) != 0 && !locked;
}

/* Puts out up to a batch of a range's pages, the first of them the first that may go; *next: where to go on. */
static ULONG64 MiPageOutBatch(MI_PAGEABLE *range, ULONG64 *next, ULONG64 limit) {
    ULONG64 batch[MI_PAGE_BATCH];
    ULONG64 count = 0;
    for (; *next < limit && count < MI_PAGE_BATCH; (*next)++) {
        MI_PAGE *page = &range->Page[*next];
        if (MiMayGoOut(page)) {
            page->Resident = FALSE;
            MiUnmapPages(range->Base + (*next << PAGE_SHIFT), 1);
            batch[count++] = *next;
        }
    }
    if (count != 0 && !MUTANT(PageOutWithoutFlush, "MEM-1", "other CPUs keep a page that was put out in their TBs")) {
        MiFlushTb();
    }
    for (ULONG64 i = 0; i < count; i++) {
        MiPutAside(&range->Page[batch[i]]);
        trace(TracePageOut, range->Base + (batch[i] << PAGE_SHIFT), PAGE_SIZE);
    }
    return count;
}

static ULONG64 MiPageOutRange(MI_PAGEABLE *range, ULONG64 address, ULONG64 bytes) {
    ULONG64 gone = 0;
    ULONG64 next = 0;
    for (;;) {
        KIRQL irql = MiLockPaging();
        ULONG64 limit = range->Base == 0 ? 0 : range->Pages; /* an image may go between two batches */
        ULONG64 first = 0;
        if (bytes != 0) {
            ULONG64 end = range->Base + (range->Pages << PAGE_SHIFT);
            ULONG64 last = address + bytes - 1;
            if (address >= end || last < range->Base) {
                limit = 0;
            } else {
                first = address < range->Base ? 0 : (address - range->Base) >> PAGE_SHIFT;
                limit = last >= end ? limit : ((last - range->Base) >> PAGE_SHIFT) + 1;
            }
        }
        next = next < first ? first : next;
        if (next < limit) {
            gone += MiPageOutBatch(range, &next, limit);
        }
        BOOLEAN done = next >= limit;
        MiUnlockPaging(irql);
        if (done) {
            return gone;
        }
    }
}

ULONG64 MiPageOut(ULONG64 address, ULONG64 bytes) {
    ULONG64 gone = 0;
    for (ULONG i = 0; i < MI_PAGEABLES; i++) {
        gone += MiPageOutRange(&MiPageables[i], address, bytes);
    }
    return gone;
}

VOID MiBringIn(ULONG64 address, MI_PAGE *page) {
    ULONG64 frame = MiAllocatePages(1);
    if (frame == 0) {
        frame = page->Frame; /* what was kept aside becomes the page */
    } else {
        MiCopyPage(frame, page->Frame);
        MiPoisonPage(page->Frame);
        MiFreePages(page->Frame, 1);
    }
    page->Frame = frame;
    if (!MiMapPages(address & ~(PAGE_SIZE - 1ull), frame, 1, (MI_PROTECTION)page->Protection)) {
        /* The tables of the address are there; the one that its alias may need is not. bug-check-0x7a: no lock type. */
        KeBugCheckEx(KERNEL_DATA_INPAGE_ERROR, 0, (ULONG64)(LONG64)STATUS_INSUFFICIENT_RESOURCES, 0, address);
    }
    if (page->Protection != MiReadWrite) {
        MiFlushTb(); /* the alias is no longer writable, on any CPU */
    }
    /* Release: who looks without the lock takes the page as there only once it is. */
    __atomic_store_n(&page->Resident, TRUE, __ATOMIC_RELEASE);
}

/*
 * Called by the page fault, with interrupts on and below DISPATCH_LEVEL where the page is to be brought in. It works on the thread's own
 * stack and on no data of the CPU, so the thread may be preempted, and come back on another CPU, before and after the lock.
 */
static KI_FAULT MiResolveFault(ULONG64 address, ULONG64 rip, BOOLEAN resolve) {
    MI_PAGE *page = MiFindPage(address);
    if (!MiIsThere(page)) {
        return KiFaultInvalid;
    }
    if (!resolve) {
        return KiFaultPageOut;
    }
    KIRQL irql = MiLockPaging();
    page = MiFindPage(address); /* an image may have gone while we waited */
    KI_FAULT found = !MiIsThere(page) ? KiFaultInvalid : KiFaultResolved;
    if (found == KiFaultResolved && !page->Resident) {
        MiBringIn(address, page);
        trace(TracePageIn, address, rip);
    }
    MiUnlockPaging(irql);
    return found;
}

VOID MiInitializePaging(VOID) {
    __atomic_store_n(&KiResolveFault, MiResolveFault, __ATOMIC_RELEASE);
}

BOOLEAN MiLockPage(ULONG64 address) {
    KIRQL irql = MiLockPaging();
    MI_PAGE *page = MiFindPage(address);
    BOOLEAN found = MiIsThere(page);
    if (found) {
        if (!page->Resident) {
            MiBringIn(address, page);
            trace(TracePageIn, address, KI_CALLER);
        }
        page->Locks++;
    }
    MiUnlockPaging(irql);
    return found;
}

VOID MiUnlockPage(ULONG64 address) {
    KIRQL irql = MiLockPaging();
    MI_PAGE *page = MiFindPage(address);
    if (MiIsThere(page)) {
        if (page->Locks == 0) { /* bug-check-0x4e: unlocked more often than it was locked */
            KeBugCheckEx(PFN_LIST_CORRUPT, 7, page->Frame >> PAGE_SHIFT, 0, 0);
        }
        page->Locks--;
    }
    MiUnlockPaging(irql);
}

ULONG64 NTAPI DirqlPageOut(PVOID Address, SIZE_T Bytes) {
    return Address == NULL ? MiPageOut(0, 0) : Bytes == 0 ? 0 : MiPageOut((ULONG64)Address, Bytes);
}
NT_EXPORT(DirqlPageOut);

BOOLEAN NTAPI DirqlIsResident(PVOID Address) {
    const MI_PAGE *page = MiFindPage((ULONG64)Address);
    ULONG64 physical;
    return !MiIsThere(page) ? MiTranslate((ULONG64)Address, &physical)
                            : __atomic_load_n(&page->Resident, __ATOMIC_ACQUIRE);
}
NT_EXPORT(DirqlIsResident);
