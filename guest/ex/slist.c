/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequenced singly linked lists (spec IRP-6): the DDK's 16-byte header (Header16) changed by CMPXCHG16B. Each change steps the
 * sequence, so that a header which holds the same first entry again is not taken for one that never changed.
 *
 * Popping reads Next of an entry that another CPU may have popped and freed meanwhile. That is harmless: what was read, or that
 * there is nothing to read any more, is thrown away because the sequence has moved.
 */
#include "../include/mutant.h"
#include "../ke/ki.h"

#define SLIST_ALIGNMENT 16

/* If the header is still what *found says, makes it *wanted; otherwise *found becomes what it is. Orders everything. */
static BOOLEAN ExpExchangeHeader(PSLIST_HEADER header, SLIST_HEADER *found, const SLIST_HEADER *wanted) {
    BOOLEAN done;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(done), "+m"(*header), "+a"(found->Alignment), "+d"(found->Region)
                     : "b"(wanted->Alignment), "c"(wanted->Region)
                     : "memory");
    return done;
}

/* Two loads, each whole; a header that changed between them fails the exchange that follows. */
static SLIST_HEADER ExpReadHeader(const SLIST_HEADER *header) {
    SLIST_HEADER value;
    value.Alignment = __atomic_load_n(&header->Alignment, __ATOMIC_ACQUIRE);
    value.Region = __atomic_load_n(&header->Region, __ATOMIC_ACQUIRE);
    return value;
}

static PSLIST_ENTRY ExpFirst(const SLIST_HEADER *header) {
    return (PSLIST_ENTRY)(ULONG_PTR)((ULONG64)header->Header16.NextEntry << 4);
}

static SLIST_HEADER ExpMakeHeader(const SLIST_HEADER *from, PSLIST_ENTRY first, ULONG depth) {
    SLIST_HEADER header = *from;
    header.Header16.Depth = (USHORT)depth;
    if (!MUTANT(SlistNoSequence, "IRP-6", "the sequence does not advance")) {
        header.Header16.Sequence = (from->Header16.Sequence + 1) & ((1ull << 48) - 1);
    }
    header.Header16.HeaderType = 1;
    header.Header16.Init = 1;
    header.Header16.NextEntry = (ULONG64)first >> 4;
    return header;
}

VOID InitializeSListHead(PSLIST_HEADER SListHead) {
    if (((ULONG_PTR)SListHead & (SLIST_ALIGNMENT - 1)) != 0) {
        KiRaiseStatus(STATUS_DATATYPE_MISALIGNMENT, KI_CALLER, (ULONG64)SListHead, 0);
    }
    RtlZeroMemory(SListHead, sizeof *SListHead);
}
NT_EXPORT(InitializeSListHead);

/* Push of a chain that is linked already. Returns what was first. */
static PSLIST_ENTRY ExpPushChain(PSLIST_HEADER head, PSLIST_ENTRY first, PSLIST_ENTRY last, ULONG count) {
    SLIST_HEADER found = ExpReadHeader(head);
    SLIST_HEADER wanted;
    do {
        last->Next = ExpFirst(&found);
        wanted = ExpMakeHeader(&found, first, found.Header16.Depth + count);
    } while (!ExpExchangeHeader(head, &found, &wanted));
    return ExpFirst(&found);
}

PSLIST_ENTRY ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry) {
    return ExpPushChain(ListHead, ListEntry, ListEntry, 1);
}
NT_EXPORT(ExpInterlockedPushEntrySList);

/* Of the entry that was first. Where it has gone while we looked, NULL will do: the exchange that follows fails. */
static PSLIST_ENTRY ExpNextOf(const SLIST_HEADER *head, const SLIST_HEADER *found) {
    ULONG64 next = 0;
    if (!KiLoadIfThere((const VOID *)&ExpFirst(found)->Next, &next)) {
        SLIST_HEADER now = ExpReadHeader(head);
        if (now.Alignment == found->Alignment && now.Region == found->Region) {
            next = (ULONG64)ExpFirst(found)->Next; /* a list that leads nowhere: the fault is its user's */
        }
    }
    return (PSLIST_ENTRY)next;
}

PSLIST_ENTRY ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead) {
    SLIST_HEADER found = ExpReadHeader(ListHead);
    SLIST_HEADER wanted;
    do {
        PSLIST_ENTRY first = ExpFirst(&found);
        if (first == NULL) {
            return NULL;
        }
        wanted = ExpMakeHeader(&found, ExpNextOf(ListHead, &found), found.Header16.Depth - 1u);
    } while (!ExpExchangeHeader(ListHead, &found, &wanted));
    return ExpFirst(&found);
}
NT_EXPORT(ExpInterlockedPopEntrySList);

PSLIST_ENTRY ExpInterlockedFlushSList(PSLIST_HEADER ListHead) {
    SLIST_HEADER found = ExpReadHeader(ListHead);
    SLIST_HEADER wanted;
    do {
        if (ExpFirst(&found) == NULL) {
            return NULL;
        }
        wanted = ExpMakeHeader(&found, NULL, 0);
    } while (!ExpExchangeHeader(ListHead, &found, &wanted));
    return ExpFirst(&found);
}
NT_EXPORT(ExpInterlockedFlushSList);

USHORT ExQueryDepthSList(PSLIST_HEADER ListHead) {
    return (USHORT)(__atomic_load_n(&ListHead->Alignment, __ATOMIC_RELAXED) & 0xffff);
}
NT_EXPORT(ExQueryDepthSList);

static PSLIST_ENTRY ExpExportedFirstEntry(const SLIST_HEADER *ListHead) {
    SLIST_HEADER header = ExpReadHeader(ListHead);
    return ExpFirst(&header);
}
NT_EXPORT_AS(ExpExportedFirstEntry, FirstEntrySList);

static PSLIST_ENTRY FASTCALL ExpExportedPushList(PSLIST_HEADER ListHead, PSLIST_ENTRY List, PSLIST_ENTRY ListEnd,
                                                 ULONG Count) {
    return ExpPushChain(ListHead, List, ListEnd, Count);
}
NT_EXPORT_AS(ExpExportedPushList, InterlockedPushListSList);
