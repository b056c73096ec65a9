/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool by tag. Which tags there are is one table for all CPUs, which only grows; how much each has is counted by every CPU on its own,
 * with interrupts off, and added up by whoever asks: exact while nobody allocates.
 */
#include "pool.h"

static volatile ULONG ExpTags[EXP_TAGS]; /* 0: free, and the slot of tag 0 itself is the last */

ULONG ExpTagSlot(ULONG tag) {
    ULONG first = (tag * 0x9e3779b1u) >> 24; /* 8 bits, of a product that every bit of the tag changes */
    for (ULONG i = 0; i < EXP_TAGS && tag != 0; i++) {
        ULONG slot = (first + i) % EXP_TAGS;
        ULONG found = __atomic_load_n(&ExpTags[slot], __ATOMIC_RELAXED);
        ULONG nobody = 0;
        if (slot == EXP_TAGS - 1) {
            continue;
        }
        /* Relaxed: the slot's number is all that the tag stands for. */
        if (found == tag ||
            (found == 0 &&
             __atomic_compare_exchange_n(&ExpTags[slot], &nobody, tag, FALSE, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) ||
            nobody == tag) {
            return slot;
        }
    }
    return EXP_TAGS - 1;
}

BOOLEAN ExQueryPoolTag(ULONG index, EX_POOL_TAG *tag) {
    if (index >= EXP_TAGS) {
        return FALSE;
    }
    RtlZeroMemory(tag, sizeof *tag);
    tag->Tag = ExpTags[index];
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        const EXP_TAG_COUNTS *counts = ExpTagCountsOf(cpu);
        for (ULONG kind = 0; counts != NULL && kind < ExpKinds; kind++) {
            tag->Pool[kind].Allocations += counts->Count[index][kind].Allocations;
            tag->Pool[kind].Frees += counts->Count[index][kind].Frees;
            tag->Pool[kind].Bytes += (ULONG64)counts->Count[index][kind].Bytes;
        }
    }
    return TRUE;
}
