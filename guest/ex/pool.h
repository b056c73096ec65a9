/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool between its files: kinds, blocks, tags. A block below a page in size has a header in front and a guard word behind, a larger
 * one begins on a page and is described elsewhere. Any IRQL <= DISPATCH_LEVEL; of paged pool the memory itself
 * may be out, so nobody touches it under a lock.
 */
#pragma once

#include "ex.h"

#include "../ke/ki.h"

typedef enum _EXP_KIND {
    ExpResident, /* nonpaged pool: its addresses are the direct map's */
    ExpPaged,
    ExpKinds,
} EXP_KIND;

#define EXP_GUARD_BYTES 8
#define EXP_NO_TAG      (~0u)

/* ex/poolsmall.c: blocks of fixed sizes, from a CPU's own stock where it has any. */
#define EXP_LARGEST_BLOCK 4096
ULONG ExpBlockClass(ULONG64 bytes); /* bytes <= EXP_LARGEST_BLOCK */
/* slot: the tag to count it under, EXP_NO_TAG for none; bytes: that are counted. NULL: no memory. */
PVOID ExpTakeBlock(EXP_KIND kind, ULONG block_class, ULONG slot, ULONG64 bytes);
VOID ExpGiveBlock(EXP_KIND kind, ULONG block_class, PVOID block, ULONG slot, ULONG64 bytes);

/* ex/pooltag.c */
typedef struct _EXP_COUNT {
    ULONG64 Allocations;
    ULONG64 Frees;
    LONG64 Bytes; /* that other CPUs freed may make a CPU's own negative */
} EXP_COUNT;
#define EXP_TAGS 256 /* the last one stands for all that find no place */

typedef struct _EXP_TAG_COUNTS {
    EXP_COUNT Count[EXP_TAGS][ExpKinds];
} EXP_TAG_COUNTS;

ULONG ExpTagSlot(ULONG tag); /* the same for a tag for ever */
/* ex/poolsmall.c */
EXP_TAG_COUNTS *ExpTagCountsOf(ULONG cpu);                  /* NULL: that CPU has never used pool */
VOID ExpCountTag(EXP_KIND kind, ULONG slot, ULONG64 bytes); /* of one block: allocated, or freed */
VOID ExpCountFree(EXP_KIND kind, ULONG slot, ULONG64 bytes);

/* ex/poollarge.c: blocks of whole pages. */
typedef struct _EXP_LARGE {
    struct _EXP_LARGE *Next;
    ULONG64 Address;
    ULONG64 Bytes;
    ULONG64 Pages;
    ULONG Tag;
    EXP_KIND Kind;
} EXP_LARGE;

/* Where the pages of a large block may lie; all zero but Highest, which is the last byte: anywhere. */
typedef struct _EXP_PLACE {
    ULONG64 Lowest, Highest;
    ULONG64 Boundary; /* that it does not cross, a power of two; 0: none */
} EXP_PLACE;

PVOID ExpAllocateLarge(EXP_KIND kind, ULONG64 bytes, ULONG tag, const EXP_PLACE *place);
BOOLEAN ExpFindLarge(ULONG64 address, EXP_LARGE *found); /* a copy */
BOOLEAN ExpFreeLarge(ULONG64 address, ULONG tag,
                     BOOLEAN any_tag); /* FALSE: no large block begins there. Wrong tag, overrun: bugcheck */

/* ex/pool.c: the guard behind a block. */
VOID ExpSetGuard(ULONG64 address, ULONG64 bytes, ULONG64 guard_bytes);
VOID ExpCheckGuard(ULONG64 address, ULONG64 bytes, ULONG64 guard_bytes); /* written over: bugcheck 0x19/0x21 */
VOID ExpCheckTag(ULONG64 address, ULONG allocated, ULONG freed, BOOLEAN any_tag);
