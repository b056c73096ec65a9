/* SPDX-License-Identifier: Apache-2.0 */
/* Lookaside lists, by the DDK's inline functions as they are (MEM-6). */
#define POOL_TAGGING
#include <ntddk.h>

#include <dirqltest.h>

#define TAG 'sdnH'

static DECLSPEC_CACHEALIGN NPAGED_LOOKASIDE_LIST Resident;
static DECLSPEC_CACHEALIGN PAGED_LOOKASIDE_LIST Paged;
static DECLSPEC_CACHEALIGN LOOKASIDE_LIST_EX Extended;

TARGET_CASE("MEM-6", an_entry_that_was_given_is_taken_again, "") {
    ExInitializeNPagedLookasideList(&Resident, NULL, NULL, 0, 100, TAG, 0);
    PVOID first = ExAllocateFromNPagedLookasideList(&Resident);
    PVOID second = ExAllocateFromNPagedLookasideList(&Resident);
    ASSERT_NE(first, second);
    RtlFillMemory(first, 100, 1);
    RtlFillMemory(second, 100, 2);
    ExFreeToNPagedLookasideList(&Resident, first);
    ExFreeToNPagedLookasideList(&Resident, second);
    ASSERT_EQ(ExAllocateFromNPagedLookasideList(&Resident), (ULONG_PTR)second); /* last in, first out */
    ASSERT_EQ(ExAllocateFromNPagedLookasideList(&Resident), (ULONG_PTR)first);
    ASSERT_EQ(Resident.L.TotalAllocates, 4);
    ASSERT_EQ(Resident.L.AllocateMisses, 2);
    ExFreeToNPagedLookasideList(&Resident, first);
    ExFreeToNPagedLookasideList(&Resident, second);
    ExDeleteNPagedLookasideList(&Resident); /* what it held is pool again: the case leaves nothing behind */
}

TARGET_CASE("MEM-6", what_is_beyond_the_depth_goes_to_pool, "") {
    enum { COUNT = 300 };
    static PVOID entries[COUNT];
    ExInitializePagedLookasideList(&Paged, NULL, NULL, 0, 48, TAG, 0);
    ASSERT_GT(Paged.L.Depth, 0);
    ASSERT_LT(Paged.L.Depth, COUNT);
    for (ULONG i = 0; i < COUNT; i++) {
        entries[i] = ExAllocateFromPagedLookasideList(&Paged);
        *(ULONG *)entries[i] = i;
    }
    DirqlPageOut(NULL, 0);
    for (ULONG i = 0; i < COUNT; i++) {
        ASSERT_EQ(*(ULONG *)entries[i], i);
        ExFreeToPagedLookasideList(&Paged, entries[i]);
    }
    ASSERT_EQ(ExQueryDepthSList(&Paged.L.ListHead), Paged.L.Depth);
    ASSERT_EQ(Paged.L.FreeMisses, (ULONG)COUNT - Paged.L.Depth);
    DirqlPageOut(NULL, 0); /* the entries on the list, too */
    PVOID entry = ExAllocateFromPagedLookasideList(&Paged);
    ExFreeToPagedLookasideList(&Paged, entry);
    ExDeletePagedLookasideList(&Paged);
}

static ULONG Made, Freed;

static PVOID NTAPI MakeEntry(POOL_TYPE type, SIZE_T bytes, ULONG tag, PLOOKASIDE_LIST_EX list) {
    ASSERT_EQ(list, (ULONG_PTR)&Extended);
    ASSERT_EQ(tag, TAG);
    ASSERT_EQ(bytes, 64);
    Made++;
    return ExAllocatePoolWithTag(type, bytes, tag);
}

static VOID NTAPI FreeEntry(PVOID entry, PLOOKASIDE_LIST_EX list) {
    ASSERT_EQ(list, (ULONG_PTR)&Extended);
    Freed++;
    ExFreePoolWithTag(entry, TAG);
}

TARGET_CASE("MEM-6", the_owners_routines_are_used, "") {
    Made = Freed = 0;
    ASSERT_EQ(ExInitializeLookasideListEx(&Extended, MakeEntry, FreeEntry, NonPagedPoolNx, 0, 64, TAG, 0),
              STATUS_SUCCESS);
    PVOID first = ExAllocateFromLookasideListEx(&Extended);
    PVOID second = ExAllocateFromLookasideListEx(&Extended);
    ExFreeToLookasideListEx(&Extended, first);
    ExFreeToLookasideListEx(&Extended, second);
    ASSERT_EQ(Made, 2);
    ASSERT_EQ(Freed, 0);
    ExFlushLookasideListEx(&Extended);
    ASSERT_EQ(Freed, 2);
    ExFreeToLookasideListEx(&Extended, ExAllocateFromLookasideListEx(&Extended));
    ExDeleteLookasideListEx(&Extended);
    ASSERT_EQ(Freed, 3);
}

TARGET_CASE("MEM-6", the_newer_list_refuses_what_it_does_not_know, "") {
    ASSERT_EQ(ExInitializeLookasideListEx(&Extended, NULL, NULL, MaxPoolType, 0, 64, TAG, 0),
              (ULONG64)(LONG64)STATUS_INVALID_PARAMETER_4);
    ASSERT_EQ(ExInitializeLookasideListEx(&Extended, NULL, NULL, PagedPool, 3, 64, TAG, 0),
              (ULONG64)(LONG64)STATUS_INVALID_PARAMETER_5);
    ASSERT_EQ(ExInitializeLookasideListEx(&Extended, NULL, NULL, PagedPool, 0, 64, TAG, 0), STATUS_SUCCESS);
    PVOID entry = ExAllocateFromLookasideListEx(&Extended);
    ASSERT_NE(entry, NULL);
    ExFreeToLookasideListEx(&Extended, entry);
    ExDeleteLookasideListEx(&Extended);
}

/* All CPUs on one list, of entries that are pages of paged pool: freed ones are unmapped while others still look at them. */
#define ROUNDS 150
#define HELD   4

static VOID NTAPI TakeAndGive(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ULONG_PTR *held[HELD];
    for (ULONG i = 0; i < ROUNDS; i++) {
        for (ULONG at = 0; at < HELD; at++) {
            held[at] = ExAllocateFromPagedLookasideList(&Paged);
            held[at][1] = (ULONG_PTR)held[at];
        }
        for (ULONG at = 0; at < HELD; at++) {
            ASSERT_EQ(held[at][1], (ULONG_PTR)held[at]);
            ExFreeToPagedLookasideList(&Paged, held[at]);
        }
    }
}

TARGET_CASE("MEM-6", all_cpus_use_one_list, "limit=300") {
    ExInitializePagedLookasideList(&Paged, NULL, NULL, 0, PAGE_SIZE, TAG, 0);
    Paged.L.Depth = 2; /* so that entries come from pool and go back to it all the time */
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, TakeAndGive, NULL);
    }
    TakeAndGive(NULL);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
    ExDeletePagedLookasideList(&Paged);
}

TARGET_DRIVER
