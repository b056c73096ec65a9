/* SPDX-License-Identifier: Apache-2.0 */
/* The executive's own face towards the floors above it; the documented routines are in ../include/nt.h. */
#pragma once

#include "../include/ddk.h"

/* ex/pooltag.c. Any IRQL; exact while nobody allocates or frees. */
typedef struct _EX_POOL_TAG {
    ULONG Tag; /* 0: nobody's yet; of the last one: all those that found no place of their own */
    struct {
        ULONG64 Allocations;
        ULONG64 Frees;
        ULONG64 Bytes; /* allocated and not freed */
    } Pool[2];         /* nonpaged, paged */
} EX_POOL_TAG;

#define EX_POOL_TAGS 256
BOOLEAN ExQueryPoolTag(ULONG index, EX_POOL_TAG *tag); /* FALSE: there are no more */
