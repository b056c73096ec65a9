/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lookaside lists: a sequenced list of free entries in front of pool, or of what its owner gave for that. Taking and giving are the
 * DDK's inline functions, in the driver; here a list is made, flushed and deleted. Its depth is constant: how many entries it
 * keeps does not follow how they are asked for.
 */
#include "pool.h"

#include "../include/mutant.h"

#define EXP_LOOKASIDE_DEPTH 32

static VOID ExpSetUpLookaside(GENERAL_LOOKASIDE_POOL *list, ULONG type, SIZE_T size, ULONG tag) {
    RtlZeroMemory(list, sizeof *list);
    InitializeSListHead(&list->ListHead);
    list->Depth = EXP_LOOKASIDE_DEPTH;
    list->MaximumDepth = EX_MAXIMUM_LOOKASIDE_DEPTH_BASE;
    *(ULONG *)&list->Type = type; /* with flags, which are no values of the enumeration */
    list->Tag = tag;
    list->Size = size < LOOKASIDE_MINIMUM_BLOCK_SIZE ? (ULONG)LOOKASIDE_MINIMUM_BLOCK_SIZE : (ULONG)size;
    InitializeListHead(&list->ListEntry);
}

static VOID NTAPI ExpFreePlain(PVOID entry) {
    ExFreePoolWithTag(entry, 0);
}

static VOID ExpSetUpPlain(PGENERAL_LOOKASIDE list, PALLOCATE_FUNCTION allocate, PFREE_FUNCTION release, ULONG type,
                          SIZE_T size, ULONG tag) {
    ExpSetUpLookaside((GENERAL_LOOKASIDE_POOL *)list, type, size, tag);
    list->Allocate = allocate != NULL ? allocate : ExAllocatePoolWithTag;
    list->Free = release != NULL ? release : ExpFreePlain;
}

VOID NTAPI ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                                           PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth) {
    UNREFERENCED_PARAMETER(Depth); /* reserved */
    ExpSetUpPlain(&Lookaside->L, Allocate, Free, NonPagedPool | Flags, Size, Tag);
}
NT_EXPORT(ExInitializeNPagedLookasideList);

VOID NTAPI ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                                          PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth) {
    UNREFERENCED_PARAMETER(Depth);
    ExpSetUpPlain(&Lookaside->L, Allocate, Free, PagedPool | Flags, Size, Tag);
}
NT_EXPORT(ExInitializePagedLookasideList);

/* Entry after entry, since each is popped before it is freed: what follows it is read while it is still the list's. */
static VOID ExpDrain(PGENERAL_LOOKASIDE list) {
    PSLIST_ENTRY entry;
    while ((entry = ExpInterlockedPopEntrySList(&list->ListHead)) != NULL) {
        if (MUTANT(LookasideLeaks, "MEM-6", "deleting a lookaside list forgets its entries")) {
            continue;
        }
        list->Free(entry);
    }
}

VOID NTAPI ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside) {
    ExpDrain(&Lookaside->L);
}
NT_EXPORT(ExDeleteNPagedLookasideList);

VOID NTAPI ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside) {
    ExpDrain(&Lookaside->L);
}
NT_EXPORT(ExDeletePagedLookasideList);

static PVOID NTAPI ExpAllocateEx(POOL_TYPE type, SIZE_T bytes, ULONG tag, PLOOKASIDE_LIST_EX list) {
    UNREFERENCED_PARAMETER(list);
    return ExAllocatePoolWithTag(type, bytes, tag);
}

static VOID NTAPI ExpFreeEx(PVOID entry, PLOOKASIDE_LIST_EX list) {
    UNREFERENCED_PARAMETER(list);
    ExFreePoolWithTag(entry, 0);
}

NTSTATUS NTAPI ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PALLOCATE_FUNCTION_EX Allocate,
                                           PFREE_FUNCTION_EX Free, POOL_TYPE PoolType, ULONG Flags, SIZE_T Size,
                                           ULONG Tag, USHORT Depth) {
    UNREFERENCED_PARAMETER(Depth);
    if (PoolType != NonPagedPool && PoolType != PagedPool && PoolType != NonPagedPoolNx) {
        return STATUS_INVALID_PARAMETER_4;
    }
    if ((Flags & ~(EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL | EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE)) != 0 ||
        (Flags & (Flags - 1)) != 0) {
        return STATUS_INVALID_PARAMETER_5;
    }
    ULONG type = (ULONG)PoolType;
    if (Flags == EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL) {
        type |= POOL_RAISE_IF_ALLOCATION_FAILURE;
    } else if (Flags == EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE) {
        type |= POOL_QUOTA_FAIL_INSTEAD_OF_RAISE;
    }
    ExpSetUpLookaside(&Lookaside->L, type, Size, Tag);
    Lookaside->L.AllocateEx = Allocate != NULL ? Allocate : ExpAllocateEx;
    Lookaside->L.FreeEx = Free != NULL ? Free : ExpFreeEx;
    return STATUS_SUCCESS;
}
NT_EXPORT(ExInitializeLookasideListEx);

VOID NTAPI ExFlushLookasideListEx(PLOOKASIDE_LIST_EX Lookaside) {
    PSLIST_ENTRY entry;
    while ((entry = ExpInterlockedPopEntrySList(&Lookaside->L.ListHead)) != NULL) {
        Lookaside->L.FreeEx(entry, Lookaside);
    }
}
NT_EXPORT(ExFlushLookasideListEx);

VOID NTAPI ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX Lookaside) {
    ExFlushLookasideListEx(Lookaside);
}
NT_EXPORT(ExDeleteLookasideListEx);
