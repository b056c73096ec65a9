/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool blocks of fixed sizes. Each CPU has a stock of a few blocks of each size, which it takes from and gives to with interrupts off and no
 * lock; only where its stock is empty or full do blocks move, several at once, from or to the store of that size, which has a
 * lock of its own. Pages that were cut into blocks stay cut. A stock holds addresses, not links through the blocks, and so does a
 * store of paged pool: neither touches memory that may be out.
 */
#include "pool.h"

#include "../include/mutant.h"
#include "../mm/mi.h"

#define EXP_STOCK      16 /* blocks of a size that a CPU keeps */
#define EXP_MOVED      8  /* blocks that move at once */
#define EXP_CHUNK_SIZE ((PAGE_SIZE - sizeof(PVOID)) / sizeof(PVOID))

static const USHORT ExpSizes[] = {32,  48,  64,  80,  96,  128,  160,  192,  256,
                                  320, 384, 512, 672, 816, 1024, 1360, 2048, EXP_LARGEST_BLOCK};
#define EXP_CLASSES RTL_NUMBER_OF(ExpSizes)

typedef struct _EXP_BLOCKS {
    ULONG Count;
    PVOID Block[EXP_STOCK];
} EXP_BLOCKS;

typedef struct _EXP_CPU {
    EXP_BLOCKS Stock[ExpKinds][EXP_CLASSES];
    EXP_TAG_COUNTS Tags;
} EXP_CPU;

/* A page of addresses of blocks. */
typedef struct _EXP_CHUNK {
    struct _EXP_CHUNK *Next;
    PVOID Block[EXP_CHUNK_SIZE];
} EXP_CHUNK;

typedef struct DECLSPEC_ALIGN(64) _EXP_STORE {
    KSPIN_LOCK Lock;
    PVOID First;      /* nonpaged: each block begins with the address of the next */
    EXP_CHUNK *Chunk; /* paged: the last one that is not empty */
    ULONG64 InChunk;  /* addresses in it */
    EXP_CHUNK *Empty; /* enough for every block of this size that there is */
    ULONG64 Room;     /* addresses that all chunks hold together */
    ULONG64 Blocks;   /* that pages were cut into */
} EXP_STORE;

static EXP_CPU *volatile ExpCpus[MAXIMUM_CPUS];
static EXP_STORE ExpStores[ExpKinds][EXP_CLASSES];

ULONG ExpBlockClass(ULONG64 bytes) {
    ULONG block_class = 0;
    while (ExpSizes[block_class] < bytes) {
        block_class++;
    }
    return block_class;
}

EXP_TAG_COUNTS *ExpTagCountsOf(ULONG cpu) {
    EXP_CPU *own = __atomic_load_n(&ExpCpus[cpu], __ATOMIC_ACQUIRE);
    return own == NULL ? NULL : &own->Tags;
}

/* Interrupts off. */
static EXP_CPU *ExpCurrentCpu(VOID) {
    ULONG number = KiCurrentPrcb()->Number;
    if (ExpCpus[number] == NULL) {
        ULONG64 physical = MiAllocatePages(BYTES_TO_PAGES(sizeof(EXP_CPU)));
        if (physical == 0) {
            KeBugCheckEx(INSTALL_MORE_MEMORY, MiTotalPageCount(), BYTES_TO_PAGES(sizeof(EXP_CPU)), 5, number);
        }
        RtlZeroMemory(MiPhysicalToVirtual(physical), sizeof(EXP_CPU));
        /* Release: whoever adds up sees counters that were cleared. */
        __atomic_store_n(&ExpCpus[number], MiPhysicalToVirtual(physical), __ATOMIC_RELEASE);
    }
    return ExpCpus[number];
}

/* The store's lock is held, in both. */
static VOID ExpPush(EXP_STORE *store, EXP_KIND kind, PVOID block) {
    if (kind == ExpResident) {
        *(PVOID *)block = store->First;
        store->First = block;
        return;
    }
    if (store->Chunk == NULL || store->InChunk == EXP_CHUNK_SIZE) {
        EXP_CHUNK *chunk = store->Empty;
        store->Empty = chunk->Next;
        chunk->Next = store->Chunk;
        store->Chunk = chunk;
        store->InChunk = 0;
    }
    store->Chunk->Block[store->InChunk++] = block;
}

static PVOID ExpPop(EXP_STORE *store, EXP_KIND kind) {
    if (kind == ExpResident) {
        PVOID block = store->First;
        store->First = block == NULL ? NULL : *(PVOID *)block;
        return block;
    }
    EXP_CHUNK *chunk = store->Chunk;
    if (chunk == NULL) {
        return NULL;
    }
    PVOID block = chunk->Block[--store->InChunk];
    if (store->InChunk == 0) {
        store->Chunk = chunk->Next;
        store->InChunk = EXP_CHUNK_SIZE; /* whatever is below the last one is full */
        chunk->Next = store->Empty;
        store->Empty = chunk;
    }
    return block;
}

/* Interrupts on; a new page becomes blocks of the store. FALSE: no memory. */
static BOOLEAN ExpCutPage(EXP_STORE *store, EXP_KIND kind, ULONG block_class) {
    ULONG64 size = ExpSizes[block_class];
    ULONG64 count = PAGE_SIZE / size;
    ULONG64 chunk = kind == ExpPaged ? MiAllocatePages(1) : 0;
    ULONG64 page = kind == ExpPaged ? MiAllocatePaged(1) : MiAllocatePages(1);
    if (page == 0 || (kind == ExpPaged && chunk == 0)) {
        if (page != 0) {
            MiFreePaged(page, 1);
        }
        if (chunk != 0) {
            MiFreePages(chunk, 1);
        }
        return FALSE;
    }
    UCHAR *at = kind == ExpPaged ? (UCHAR *)page : MiPhysicalToVirtual(page);
    KIRQL irql = KiAcquireLockAtHigh(&store->Lock);
    store->Blocks += count;
    if (kind == ExpPaged && store->Blocks > store->Room) {
        EXP_CHUNK *fresh = MiPhysicalToVirtual(chunk);
        fresh->Next = store->Empty;
        store->Empty = fresh;
        store->Room += EXP_CHUNK_SIZE;
        chunk = 0;
    }
    for (ULONG64 i = 0; i < count; i++) {
        ExpPush(store, kind, at + i * size);
    }
    KiReleaseLockFromHigh(&store->Lock, irql);
    if (chunk != 0) {
        MiFreePages(chunk, 1);
    }
    return TRUE;
}

/* Interrupts off. */
static VOID ExpFillStock(EXP_BLOCKS *stock, EXP_STORE *store, EXP_KIND kind) {
    KIRQL irql = KiAcquireLockAtHigh(&store->Lock);
    PVOID block;
    while (stock->Count < EXP_MOVED && (block = ExpPop(store, kind)) != NULL) {
        stock->Block[stock->Count++] = block;
    }
    KiReleaseLockFromHigh(&store->Lock, irql);
}

/* Interrupts off. */
static VOID ExpEmptyStock(EXP_BLOCKS *stock, EXP_STORE *store, EXP_KIND kind) {
    KIRQL irql = KiAcquireLockAtHigh(&store->Lock);
    for (ULONG i = 0; i < EXP_MOVED; i++) {
        ExpPush(store, kind, stock->Block[--stock->Count]);
    }
    KiReleaseLockFromHigh(&store->Lock, irql);
}

PVOID ExpTakeBlock(EXP_KIND kind, ULONG block_class, ULONG slot, ULONG64 bytes) {
    EXP_STORE *store = &ExpStores[kind][block_class];
    for (;;) {
        PVOID block = NULL;
        ULONG64 flags = KiDisableInterrupts();
        EXP_CPU *cpu = ExpCurrentCpu();
        EXP_BLOCKS *stock = &cpu->Stock[kind][block_class];
        if (stock->Count == 0) {
            ExpFillStock(stock, store, kind);
        }
        if (stock->Count != 0) {
            block = stock->Block[stock->Count - 1];
            if (!MUTANT(PoolGivesTwice, "MEM-4", "a block that was taken stays in its CPU's stock") ||
                (stock->Count & 3u) != 3) {
                stock->Count--;
            }
            if (slot != EXP_NO_TAG) {
                cpu->Tags.Count[slot][kind].Allocations++;
                cpu->Tags.Count[slot][kind].Bytes += (LONG64)bytes;
            }
        }
        KiRestoreInterrupts(flags);
        if (block != NULL || !ExpCutPage(store, kind, block_class)) {
            return block;
        }
    }
}

VOID ExpGiveBlock(EXP_KIND kind, ULONG block_class, PVOID block, ULONG slot, ULONG64 bytes) {
    ULONG64 flags = KiDisableInterrupts();
    EXP_CPU *cpu = ExpCurrentCpu();
    EXP_BLOCKS *stock = &cpu->Stock[kind][block_class];
    if (stock->Count == EXP_STOCK) {
        ExpEmptyStock(stock, &ExpStores[kind][block_class], kind);
    }
    stock->Block[stock->Count++] = block;
    if (slot != EXP_NO_TAG) {
        cpu->Tags.Count[slot][kind].Frees++;
        cpu->Tags.Count[slot][kind].Bytes -= (LONG64)bytes;
    }
    KiRestoreInterrupts(flags);
}

VOID ExpCountTag(EXP_KIND kind, ULONG slot, ULONG64 bytes) {
    ULONG64 flags = KiDisableInterrupts();
    EXP_COUNT *count = &ExpCurrentCpu()->Tags.Count[slot][kind];
    count->Allocations++;
    count->Bytes += (LONG64)bytes;
    KiRestoreInterrupts(flags);
}

VOID ExpCountFree(EXP_KIND kind, ULONG slot, ULONG64 bytes) {
    ULONG64 flags = KiDisableInterrupts();
    EXP_COUNT *count = &ExpCurrentCpu()->Tags.Count[slot][kind];
    count->Frees++;
    count->Bytes -= (LONG64)bytes;
    KiRestoreInterrupts(flags);
}
