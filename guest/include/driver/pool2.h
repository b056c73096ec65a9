/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool routines of newer systems, documented in wdm.h but not declared by the mingw-w64 DDK. A driver that uses them includes
 * this after its DDK header. On a DDK that declares them itself the driver defines DIRQL_HAVE_POOL2, and nothing here remains.
 */
#pragma once

#ifndef DIRQL_HAVE_POOL2

typedef ULONG64 POOL_FLAGS;

#define POOL_FLAG_USE_QUOTA        0x01ull
#define POOL_FLAG_UNINITIALIZED    0x02ull
#define POOL_FLAG_SESSION          0x04ull
#define POOL_FLAG_CACHE_ALIGNED    0x08ull
#define POOL_FLAG_RAISE_ON_FAILURE 0x20ull
#define POOL_FLAG_NON_PAGED        0x40ull
#define POOL_FLAG_NON_PAGED_EXECUTE \
    0x80ull /* there is none here, as where memory integrity is on: the allocation fails */
#define POOL_FLAG_PAGED         0x100ull
#define POOL_FLAG_REQUIRED_MASK 0xffffffffull

typedef enum _POOL_EXTENDED_PARAMETER_TYPE {
    PoolExtendedParameterInvalidType = 0,
    PoolExtendedParameterPriority,
    PoolExtendedParameterSecurePool,
    PoolExtendedParameterNumaNode,
    PoolExtendedParameterMax,
} POOL_EXTENDED_PARAMETER_TYPE;

typedef struct _POOL_EXTENDED_PARAMETER {
    struct {
        ULONG64 Type : 8;
        ULONG64 Optional : 1;
        ULONG64 Reserved : 55;
    };
    union {
        ULONG64 Reserved2;
        PVOID Reserved3;
        EX_POOL_PRIORITY Priority;
        ULONG PreferredNode;
    };
} POOL_EXTENDED_PARAMETER, *PPOOL_EXTENDED_PARAMETER;

/*
 * IRQL <= DISPATCH_LEVEL, paged pool: IRQL <= APC_LEVEL. Cleared unless POOL_FLAG_UNINITIALIZED. NULL, or raises with
 * POOL_FLAG_RAISE_ON_FAILURE: no memory, tag 0, a required flag that is not known, not exactly one kind of pool.
 */
NTSYSAPI PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);
/* As that; a parameter that is neither known nor optional fails it. Known: a priority, NUMA node 0. */
NTSYSAPI PVOID NTAPI ExAllocatePool3(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag,
                                     const POOL_EXTENDED_PARAMETER *ExtendedParameters, ULONG ExtendedParametersCount);
NTSYSAPI VOID NTAPI ExFreePool2(PVOID P, ULONG Tag, const POOL_EXTENDED_PARAMETER *ExtendedParameters,
                                ULONG ExtendedParametersCount);

/* Inline in the newer headers, too: cleared or not, by the routines of old. */
static __inline PVOID ExAllocatePoolUninitialized(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag) {
    /* NOLINTNEXTLINE(readability-redundant-parentheses): a macro of this name would drop the tag */
    return (ExAllocatePoolWithTag)(PoolType, NumberOfBytes, Tag);
}

static __inline PVOID ExAllocatePoolZero(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag) {
    PVOID memory = ExAllocatePoolUninitialized(PoolType, NumberOfBytes, Tag);
    if (memory != NULL) {
        RtlZeroMemory(memory, NumberOfBytes);
    }
    return memory;
}

#endif
