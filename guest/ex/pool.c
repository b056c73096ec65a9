/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool: blocks with a tag, nonpaged and paged, none of them executable. A block below a page has a header in front, whose seal tells
 * a block that is allocated from one that is free and from no block at all, and a guard word right behind its last byte. So a
 * block freed twice, freed with another tag, written over at its front or its end is a bugcheck (0xC2, 0x19) and not a riddle.
 */
#include "pool.h"

#include <string.h>

#include "../include/driver/pool2.h"
#include "../include/mutant.h"
#include "../ke/verify.h"
#include "../mm/mi.h"

#define POOL_LIVE     0x6c6f6f5065766c69ull /* allocated */
#define POOL_FREE     0x6c6f6f5065657246ull
#define POOL_GUARD    0xfdabfdabfdabfdabull
#define POOL_TAG_NONE 'enoN'
#define POOL_PAGED    0x80 /* of POOL_HEADER.Place; below it: bytes / 16 from the block to its header */
#define POOL_ALIGN    16
#define POOL_LINE     64

/* POOL_TYPE without the bits that say something else (the page of POOL_TYPE). */
#define POOL_KIND_MASK  1    /* PagedPool */
#define POOL_MUST       2    /* obsolete; reserved together with PagedPool */
#define POOL_CACHE_LINE 4    /* ...CacheAligned */
#define POOL_SESSION    0x20 /* reserved to the system */

/* BAD_POOL_CALLER and BAD_POOL_HEADER, first parameter (bug-check-0xc2, -0x19). */
#define CALLER_FREED_ALREADY 0x07
#define CALLER_WRONG_TAG     0x0a
#define CALLER_NOT_POOL      0x46
#define CALLER_NO_BLOCK      0x99
#define HEADER_CORRUPT       0x20
#define HEADER_OVERRUN       0x21

typedef struct DECLSPEC_ALIGN(16) _POOL_HEADER {
    ULONG Tag;
    USHORT Bytes; /* that were asked for */
    UCHAR Class;
    UCHAR Place;
    ULONG64 Seal; /* of the words before it and of where they are */
} POOL_HEADER;
C_ASSERT(sizeof(POOL_HEADER) == POOL_ALIGN);

static ULONG64 ExpSeal(const POOL_HEADER *header, ULONG64 state) {
    return *(const ULONG64 *)header ^ (ULONG64)header ^ state;
}

static ULONG64 ExpGuardAt(ULONG64 address) {
    return POOL_GUARD ^ address >> 4;
}

VOID ExpSetGuard(ULONG64 address, ULONG64 bytes, ULONG64 guard_bytes) {
    ULONG64 guard = ExpGuardAt(address);
    memcpy((PVOID)(address + bytes), &guard, guard_bytes);
}

VOID ExpCheckGuard(ULONG64 address, ULONG64 bytes, ULONG64 guard_bytes) {
    ULONG64 guard = ExpGuardAt(address);
    if (memcmp((const VOID *)(address + bytes), &guard, guard_bytes) != 0 &&
        !MUTANT(PoolNoGuard, "MEM-5", "nobody looks behind a block that is freed")) {
        ULONG64 found = 0;
        memcpy(&found, (const VOID *)(address + bytes), guard_bytes);
        KeBugCheckEx(BAD_POOL_HEADER, HEADER_OVERRUN, address, bytes, found);
    }
}

VOID ExpCheckTag(ULONG64 address, ULONG allocated, ULONG freed, BOOLEAN any_tag) {
    if (!any_tag && allocated != freed &&
        !MUTANT(PoolAnyTag, "MEM-5", "a block may be freed with another tag than its own")) {
        KeBugCheckEx(BAD_POOL_CALLER, CALLER_WRONG_TAG, address, allocated, freed);
    }
}

static PVOID ExpAllocateSmall(EXP_KIND kind, ULONG64 bytes, ULONG tag, BOOLEAN aligned) {
    ULONG64 around = sizeof(POOL_HEADER) + EXP_GUARD_BYTES + (aligned ? POOL_LINE - POOL_ALIGN : 0);
    if (bytes > EXP_LARGEST_BLOCK - around) {
        static const EXP_PLACE anywhere = {.Highest = ~0ull};
        return ExpAllocateLarge(kind, bytes, tag, &anywhere);
    }
    ULONG class = ExpBlockClass(bytes + around);
    UCHAR *block = ExpTakeBlock(kind, class, ExpTagSlot(tag), bytes);
    if (block == NULL) {
        return NULL;
    }
    ULONG64 align = aligned ? POOL_LINE : POOL_ALIGN;
    ULONG64 data = ((ULONG64)block + sizeof(POOL_HEADER) + align - 1) & ~(align - 1);
    POOL_HEADER *header = (POOL_HEADER *)data - 1;
    header->Tag = tag;
    header->Bytes = (USHORT)bytes;
    header->Class = (UCHAR)class;
    header->Place = (UCHAR)(((ULONG64)header - (ULONG64)block) / POOL_ALIGN | (kind == ExpPaged ? POOL_PAGED : 0));
    header->Seal = ExpSeal(header, POOL_LIVE);
    ExpSetGuard(data, bytes, EXP_GUARD_BYTES);
    return (PVOID)data;
}

/* Raises, which is fatal here, or returns NULL. */
static PVOID ExpNoMemory(BOOLEAN raise) {
    if (raise) {
        ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
    }
    return NULL;
}

static PVOID ExpAllocate(ULONG type, ULONG64 bytes, ULONG tag, BOOLEAN raise) {
    if ((type & (POOL_MUST | POOL_SESSION)) != 0) {
        DbgPrint("pool: type %u is reserved to the system, which is refused\n", type);
        return ExpNoMemory(raise);
    }
    EXP_KIND kind = (type & POOL_KIND_MASK) != 0 ? ExpPaged : ExpResident;
    PVOID data = ExpAllocateSmall(kind, bytes, tag, (type & POOL_CACHE_LINE) != 0);
    return data == NULL ? ExpNoMemory(raise) : data;
}

static VOID ExpFreeSmall(POOL_HEADER *header, ULONG tag, BOOLEAN any_tag) {
    ULONG64 data = (ULONG64)(header + 1);
    if (header->Seal != ExpSeal(header, POOL_LIVE)) {
        if (header->Seal == ExpSeal(header, POOL_FREE)) {
            if (MUTANT(PoolFreesTwice, "MEM-5", "a block may be freed twice")) {
                return;
            }
            KeBugCheckEx(BAD_POOL_CALLER, CALLER_FREED_ALREADY, 0, *(const ULONG64 *)header, data);
        }
        KeBugCheckEx(BAD_POOL_HEADER, HEADER_CORRUPT, (ULONG64)header, data, header->Seal);
    }
    ExpCheckTag(data, header->Tag, tag, any_tag);
    ExpCheckGuard(data, header->Bytes, EXP_GUARD_BYTES);
    KiVerifyRelease(data, header->Bytes);
    EXP_KIND kind = (header->Place & POOL_PAGED) != 0 ? ExpPaged : ExpResident;
    PVOID block = header - (header->Place & ~POOL_PAGED);
    ULONG block_class = header->Class;
    ULONG slot = ExpTagSlot(header->Tag);
    ULONG64 bytes = header->Bytes;
    header->Seal = ExpSeal(header, POOL_FREE);
    ExpGiveBlock(kind, block_class, block, slot, bytes);
}

static VOID ExpFree(PVOID address, ULONG tag, BOOLEAN any_tag) {
    ULONG64 at = (ULONG64)address;
    if (at < MI_DIRECT_MAP || at >= MI_KERNEL_BASE) {
        KeBugCheckEx(BAD_POOL_CALLER, CALLER_NOT_POOL, at, MI_DIRECT_MAP, 0);
    }
    if ((at & (PAGE_SIZE - 1)) == 0) {
        if (!ExpFreeLarge(at, tag, any_tag)) {
            KeBugCheckEx(BAD_POOL_CALLER, CALLER_NO_BLOCK, at, 0, 0);
        }
        return;
    }
    if ((at & (POOL_ALIGN - 1)) != 0) {
        KeBugCheckEx(BAD_POOL_CALLER, CALLER_NO_BLOCK, at, 0, 0);
    }
    ExpFreeSmall((POOL_HEADER *)address - 1, tag, any_tag);
}

PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag) {
    return ExpAllocate(PoolType, NumberOfBytes, Tag, (PoolType & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0);
}
NT_EXPORT(ExAllocatePoolWithTag);
NT_PARTIAL(ExAllocatePoolWithTag, "NonPagedPool is not executable; must-succeed and session pool are refused");

PVOID NTAPI ExAllocatePoolWithTagPriority(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag,
                                          EX_POOL_PRIORITY Priority) {
    UNREFERENCED_PARAMETER(Priority); /* it says who is to be refused first; nobody is before there is nothing left */
    return ExAllocatePoolWithTag(PoolType, NumberOfBytes, Tag);
}
NT_EXPORT(ExAllocatePoolWithTagPriority);
NT_PARTIAL(ExAllocatePoolWithTagPriority, "the priority means nothing");

PVOID NTAPI ExAllocatePoolWithQuotaTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag) {
    return ExpAllocate(PoolType & ~POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, NumberOfBytes, Tag,
                       (PoolType & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE) == 0);
}
NT_EXPORT(ExAllocatePoolWithQuotaTag);
NT_PARTIAL(ExAllocatePoolWithQuotaTag, "no quota is charged");

static PVOID NTAPI ExpExportedAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes) {
    return ExAllocatePoolWithTag(PoolType, NumberOfBytes, POOL_TAG_NONE);
}
NT_EXPORT_AS(ExpExportedAllocatePool, ExAllocatePool);

static PVOID NTAPI ExpExportedAllocateQuota(POOL_TYPE PoolType, SIZE_T NumberOfBytes) {
    return ExAllocatePoolWithQuotaTag(PoolType, NumberOfBytes, POOL_TAG_NONE);
}
NT_EXPORT_AS(ExpExportedAllocateQuota, ExAllocatePoolWithQuota);
NT_PARTIAL(ExAllocatePoolWithQuota, "no quota is charged");

VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag) {
    ExpFree(P, Tag, Tag == 0);
}
NT_EXPORT(ExFreePoolWithTag);

static VOID NTAPI ExpExportedFreePool(PVOID P) {
    ExpFree(P, 0, TRUE);
}
NT_EXPORT_AS(ExpExportedFreePool, ExFreePool);

/* One kind of pool, no flag that is required and not known; executable memory there is none. */
static BOOLEAN ExpReadFlags(POOL_FLAGS flags, ULONG *type) {
    const POOL_FLAGS known = POOL_FLAG_USE_QUOTA | POOL_FLAG_UNINITIALIZED | POOL_FLAG_CACHE_ALIGNED |
        POOL_FLAG_RAISE_ON_FAILURE | POOL_FLAG_NON_PAGED | POOL_FLAG_PAGED;
    POOL_FLAGS kinds = flags & (POOL_FLAG_NON_PAGED | POOL_FLAG_PAGED);
    if ((flags & POOL_FLAG_REQUIRED_MASK & ~known) != 0 || (kinds & (kinds - 1)) != 0 || kinds == 0) {
        return FALSE;
    }
    *type = (kinds == POOL_FLAG_PAGED ? POOL_KIND_MASK : 0) |
        ((flags & POOL_FLAG_CACHE_ALIGNED) != 0 ? POOL_CACHE_LINE : 0);
    return TRUE;
}

PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag) {
    BOOLEAN raise = (Flags & POOL_FLAG_RAISE_ON_FAILURE) != 0;
    ULONG type;
    if (Tag == 0 || !ExpReadFlags(Flags, &type)) {
        return ExpNoMemory(raise);
    }
    PVOID data = ExpAllocate(type, NumberOfBytes, Tag, raise);
    if (data != NULL && (Flags & POOL_FLAG_UNINITIALIZED) == 0 &&
        !MUTANT(Pool2NotZeroed, "MEM-4", "ExAllocatePool2 does not clear what it gives")) {
        RtlZeroMemory(data, NumberOfBytes);
    }
    return data;
}
NT_EXPORT(ExAllocatePool2);
NT_PARTIAL(ExAllocatePool2, "no executable, secure or session pool; no quota is charged");

PVOID NTAPI ExAllocatePool3(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag,
                            const POOL_EXTENDED_PARAMETER *ExtendedParameters, ULONG ExtendedParametersCount) {
    for (ULONG i = 0; i < ExtendedParametersCount; i++) {
        const POOL_EXTENDED_PARAMETER *parameter = &ExtendedParameters[i];
        BOOLEAN known = parameter->Type == PoolExtendedParameterPriority ||
            (parameter->Type == PoolExtendedParameterNumaNode && (parameter->PreferredNode & 0xffffu) == 0);
        if (!known && !parameter->Optional) {
            return ExpNoMemory((Flags & POOL_FLAG_RAISE_ON_FAILURE) != 0);
        }
    }
    return ExAllocatePool2(Flags, NumberOfBytes, Tag);
}
NT_EXPORT(ExAllocatePool3);
NT_PARTIAL(ExAllocatePool3,
           "no executable, secure or session pool; no quota is charged; priorities and NUMA nodes mean nothing");

VOID NTAPI ExFreePool2(PVOID P, ULONG Tag, const POOL_EXTENDED_PARAMETER *ExtendedParameters,
                       ULONG ExtendedParametersCount) {
    UNREFERENCED_PARAMETER(ExtendedParameters); /* they are for secure pools, of which there are none */
    UNREFERENCED_PARAMETER(ExtendedParametersCount);
    ExFreePoolWithTag(P, Tag);
}
NT_EXPORT(ExFreePool2);
