/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool: blocks with a tag. Sizes up to half a page come from per-size free lists carved out of pages, larger ones are
 * whole pages. The header before each block carries its tag and size and a check word, so that a block freed twice, freed
 * with another tag, or written over at its front is a bugcheck (0xC2, 0x19) and not a riddle.
 */
#include "ex.h"

#include "../ke/ki.h"
#include "../ke/verify.h"
#include "../mm/mi.h"

#define POOL_CLASSES        7 /* 32, 64, ... 2048 bytes, header included */
#define POOL_SMALLEST_SHIFT 5
#define POOL_LIVE           0x4c4f4f50u /* "POOL" */
#define POOL_FREE           0x65657246u /* "Free" */
#define POOL_TAG_NONE       'enoN'

typedef struct DECLSPEC_ALIGN(16) _POOL_HEADER {
    ULONG Check;
    ULONG Tag;
    ULONG64 Size; /* class index below POOL_CLASSES, else pages + POOL_CLASSES */
} POOL_HEADER;
C_ASSERT(sizeof(POOL_HEADER) == 16);

typedef struct _POOL_FREE_BLOCK {
    POOL_HEADER Header;
    struct _POOL_FREE_BLOCK *Next;
} POOL_FREE_BLOCK;

static POOL_FREE_BLOCK *ExpFreeBlocks[POOL_CLASSES];
static KSPIN_LOCK ExpPoolLock;
static volatile LONG64 ExpBlocks; /* allocated and not freed */

ULONG64 ExCountPoolBlocks(VOID) {
    return (ULONG64)ExpBlocks;
}

static ULONG ExpClass(ULONG64 bytes) {
    ULONG class = 0;
    while (class < POOL_CLASSES && (1ull << (class + POOL_SMALLEST_SHIFT)) < bytes) {
        class++;
    }
    return class;
}

/* Caller holds the pool lock. */
static BOOLEAN ExpRefill(ULONG class) {
    ULONG64 bytes = 1ull << (class + POOL_SMALLEST_SHIFT);
    ULONG64 physical = MiAllocatePages(1);
    if (physical == 0) {
        return FALSE;
    }
    UCHAR *page = MiPhysicalToVirtual(physical);
    for (ULONG64 offset = 0; offset + bytes <= PAGE_SIZE; offset += bytes) {
        POOL_FREE_BLOCK *block = (POOL_FREE_BLOCK *)(page + offset);
        block->Header.Check = POOL_FREE;
        block->Next = ExpFreeBlocks[class];
        ExpFreeBlocks[class] = block;
    }
    return TRUE;
}

static POOL_HEADER *ExpAllocateSmall(ULONG class) {
    POOL_FREE_BLOCK *block = NULL;
    KIRQL irql = KiAcquireLockAtHigh(&ExpPoolLock);
    if (ExpFreeBlocks[class] != NULL || ExpRefill(class)) {
        block = ExpFreeBlocks[class];
        ExpFreeBlocks[class] = block->Next;
    }
    KiReleaseLockFromHigh(&ExpPoolLock, irql);
    return block == NULL ? NULL : &block->Header;
}

PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag) {
    UNREFERENCED_PARAMETER(PoolType); /* all pool is resident here */
    POOL_HEADER *header;
    ULONG64 bytes = NumberOfBytes + sizeof(POOL_HEADER);
    ULONG64 size = ExpClass(bytes);
    if (bytes < NumberOfBytes) {
        return NULL;
    }
    if (size < POOL_CLASSES) {
        header = ExpAllocateSmall((ULONG)size);
    } else {
        ULONG64 pages = BYTES_TO_PAGES(bytes);
        ULONG64 physical = MiAllocatePages(pages);
        header = physical == 0 ? NULL : MiPhysicalToVirtual(physical);
        size = pages + POOL_CLASSES;
    }
    if (header == NULL) {
        return NULL;
    }
    /* Relaxed: a count for people and tests, which guards nothing. */
    __atomic_add_fetch(&ExpBlocks, 1, __ATOMIC_RELAXED);
    header->Check = POOL_LIVE;
    header->Tag = Tag;
    header->Size = size;
    return header + 1;
}
NT_EXPORT(ExAllocatePoolWithTag);

static ULONG64 ExpBlockBytes(const POOL_HEADER *header) {
    ULONG64 bytes = header->Size >= POOL_CLASSES ? (header->Size - POOL_CLASSES) << PAGE_SHIFT
                                                 : 1ull << (header->Size + POOL_SMALLEST_SHIFT);
    return bytes - sizeof *header;
}

VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag) {
    POOL_HEADER *header = (POOL_HEADER *)P - 1;
    if (header->Check != POOL_LIVE) {
        /* 0xC2/7: the block was already freed; 0x19/0x20: its header is not one (bug-check-0xc2, bug-check-0x19). */
        if (header->Check == POOL_FREE) {
            KeBugCheckEx(BAD_POOL_CALLER, 7, header->Tag, header->Size, (ULONG64)P);
        }
        KeBugCheckEx(BAD_POOL_HEADER, 0x20, (ULONG64)header, (ULONG64)P, header->Check);
    }
    if (Tag != 0 && Tag != header->Tag) {
        KeBugCheckEx(BAD_POOL_CALLER, 0xa, (ULONG64)P, header->Tag, Tag);
    }
    __atomic_sub_fetch(&ExpBlocks, 1, __ATOMIC_RELAXED);
    KiVerifyRelease((ULONG64)P, ExpBlockBytes(header));
    header->Check = POOL_FREE;
    if (header->Size >= POOL_CLASSES) {
        ULONG64 physical;
        MiTranslate((ULONG64)header, &physical);
        MiFreePages(physical, header->Size - POOL_CLASSES);
        return;
    }
    POOL_FREE_BLOCK *block = (POOL_FREE_BLOCK *)header;
    KIRQL irql = KiAcquireLockAtHigh(&ExpPoolLock);
    block->Next = ExpFreeBlocks[header->Size];
    ExpFreeBlocks[header->Size] = block;
    KiReleaseLockFromHigh(&ExpPoolLock, irql);
}
NT_EXPORT(ExFreePoolWithTag);

static PVOID NTAPI ExpExportedAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes) {
    return ExAllocatePoolWithTag(PoolType, NumberOfBytes, POOL_TAG_NONE);
}
NT_EXPORT_AS(ExpExportedAllocatePool, ExAllocatePool);

static VOID NTAPI ExpExportedFreePool(PVOID P) {
    ExFreePoolWithTag(P, 0);
}
NT_EXPORT_AS(ExpExportedFreePool, ExFreePool);
