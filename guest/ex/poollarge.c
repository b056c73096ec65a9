/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool blocks of whole pages: they begin on a page, as the documents promise for a page and more, so what is known of them lies
 * elsewhere. Of what the last page has left behind the block up to eight bytes are its guard.
 */
#include "pool.h"

#include "../ke/verify.h"
#include "../mm/mi.h"

#define EXP_BUCKETS 256

static EXP_LARGE *ExpLargeBlocks[EXP_BUCKETS];
static KSPIN_LOCK ExpLargeLock;

static ULONG ExpBucket(ULONG64 address) {
    return (ULONG)((address >> PAGE_SHIFT) * 0x9e3779b97f4a7c15ull >> 56);
}

static ULONG64 ExpLargeGuard(ULONG64 bytes) {
    ULONG64 rest = ROUND_TO_PAGES(bytes) - bytes;
    return rest < EXP_GUARD_BYTES ? rest : EXP_GUARD_BYTES;
}

static ULONG ExpRecordClass(VOID) {
    return ExpBlockClass(sizeof(EXP_LARGE));
}

PVOID ExpAllocateLarge(EXP_KIND kind, ULONG64 bytes, ULONG tag, const EXP_PLACE *place) {
    ULONG64 pages = BYTES_TO_PAGES(bytes);
    if (bytes == 0 || bytes > MiTotalPageCount() << PAGE_SHIFT) {
        return NULL;
    }
    EXP_LARGE *record = ExpTakeBlock(ExpResident, ExpRecordClass(), EXP_NO_TAG, 0);
    if (record == NULL) {
        return NULL;
    }
    ULONG64 address;
    if (kind == ExpPaged) {
        address = MiAllocatePaged(pages);
    } else {
        ULONG64 physical = MiAllocatePagesWithin(pages, place->Lowest, place->Highest, place->Boundary);
        address = physical == 0 ? 0 : (ULONG64)MiPhysicalToVirtual(physical);
    }
    if (address == 0) {
        ExpGiveBlock(ExpResident, ExpRecordClass(), record, EXP_NO_TAG, 0);
        return NULL;
    }
    EXP_LARGE made = {.Address = address, .Bytes = bytes, .Pages = pages, .Tag = tag, .Kind = kind};
    *record = made;
    ExpSetGuard(address, bytes, ExpLargeGuard(bytes));
    ExpCountTag(kind, ExpTagSlot(tag), bytes);
    ULONG bucket = ExpBucket(address);
    KIRQL irql = KiAcquireLockAtHigh(&ExpLargeLock);
    record->Next = ExpLargeBlocks[bucket];
    ExpLargeBlocks[bucket] = record;
    KiReleaseLockFromHigh(&ExpLargeLock, irql);
    return (PVOID)address;
}

/* The lock is held. Where the record's address stands; NULL there: it has none. */
static EXP_LARGE **ExpFindLink(ULONG64 address) {
    EXP_LARGE **link = &ExpLargeBlocks[ExpBucket(address)];
    while (*link != NULL && (*link)->Address != address) {
        link = &(*link)->Next;
    }
    return link;
}

BOOLEAN ExpFindLarge(ULONG64 address, EXP_LARGE *found) {
    KIRQL irql = KiAcquireLockAtHigh(&ExpLargeLock);
    const EXP_LARGE *record = *ExpFindLink(address);
    if (record != NULL) {
        *found = *record;
    }
    KiReleaseLockFromHigh(&ExpLargeLock, irql);
    return record != NULL;
}

BOOLEAN ExpFreeLarge(ULONG64 address, ULONG tag, BOOLEAN any_tag) {
    EXP_LARGE known;
    if (!ExpFindLarge(address, &known)) {
        return FALSE;
    }
    ExpCheckTag(address, known.Tag, tag, any_tag);
    ExpCheckGuard(address, known.Bytes, ExpLargeGuard(known.Bytes));
    KIRQL irql = KiAcquireLockAtHigh(&ExpLargeLock);
    EXP_LARGE **link = ExpFindLink(address);
    EXP_LARGE *record = *link;
    if (record != NULL) {
        *link = record->Next;
    }
    KiReleaseLockFromHigh(&ExpLargeLock, irql);
    if (record == NULL) {
        return FALSE; /* another CPU has freed it meanwhile */
    }
    KiVerifyRelease(address, known.Bytes);
    ExpCountFree(known.Kind, ExpTagSlot(known.Tag), known.Bytes);
    if (known.Kind == ExpPaged) {
        MiFreePaged(address, known.Pages);
    } else {
        ULONG64 physical;
        MiTranslate(address, &physical);
        MiFreePages(physical, known.Pages);
    }
    ExpGiveBlock(ExpResident, ExpRecordClass(), record, EXP_NO_TAG, 0);
    return TRUE;
}
