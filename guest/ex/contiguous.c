/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory by its physical place: contiguous and uncached memory, which are large pool blocks with a tag of their own, and so are missed
 * where they are not freed; pages for an MDL, which need no address. QEMU's memory has one kind of caching.
 */
#include "pool.h"

#include "../include/mutant.h"
#include "../mm/mi.h"

#define TAG_CONTIGUOUS 'mCmM'
#define TAG_NONCACHED  'CNmM'
#define TAG_MDL_PAGES  'gPmM'
#define TAG_MDL        ' ldM'

static PVOID ExpContiguous(ULONG64 bytes, LONGLONG lowest, LONGLONG highest, LONGLONG boundary) {
    EXP_PLACE place = {.Lowest = (ULONG64)lowest, .Highest = (ULONG64)highest, .Boundary = (ULONG64)boundary};
    if (MUTANT(ContiguousAnywhere, "MEM-8", "contiguous memory is taken from anywhere")) {
        place.Highest = ~0ull;
    }
    return ExpAllocateLarge(ExpResident, bytes, TAG_CONTIGUOUS, &place);
}

PVOID NTAPI MmAllocateContiguousMemory(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS HighestAcceptableAddress) {
    return ExpContiguous(NumberOfBytes, 0, HighestAcceptableAddress.QuadPart, 0);
}
NT_EXPORT(MmAllocateContiguousMemory);

PVOID NTAPI MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS LowestAcceptableAddress,
                                                   PHYSICAL_ADDRESS HighestAcceptableAddress,
                                                   PHYSICAL_ADDRESS BoundaryAddressMultiple,
                                                   MEMORY_CACHING_TYPE CacheType) {
    UNREFERENCED_PARAMETER(CacheType);
    return ExpContiguous(NumberOfBytes, LowestAcceptableAddress.QuadPart, HighestAcceptableAddress.QuadPart,
                         BoundaryAddressMultiple.QuadPart);
}
NT_EXPORT(MmAllocateContiguousMemorySpecifyCache);

static VOID ExpFreePlaced(PVOID address, ULONG tag) {
    if (!ExpFreeLarge((ULONG64)address, tag, FALSE)) {
        KeBugCheckEx(BAD_POOL_CALLER, 0x99, (ULONG64)address, 0, 0);
    }
}

VOID NTAPI MmFreeContiguousMemory(PVOID BaseAddress) {
    ExpFreePlaced(BaseAddress, TAG_CONTIGUOUS);
}
NT_EXPORT(MmFreeContiguousMemory);

VOID NTAPI MmFreeContiguousMemorySpecifyCache(PVOID BaseAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType) {
    UNREFERENCED_PARAMETER(NumberOfBytes);
    UNREFERENCED_PARAMETER(CacheType);
    ExpFreePlaced(BaseAddress, TAG_CONTIGUOUS);
}
NT_EXPORT(MmFreeContiguousMemorySpecifyCache);

PVOID NTAPI MmAllocateNonCachedMemory(SIZE_T NumberOfBytes) {
    static const EXP_PLACE anywhere = {.Highest = ~0ull};
    return ExpAllocateLarge(ExpResident, NumberOfBytes, TAG_NONCACHED, &anywhere);
}
NT_EXPORT(MmAllocateNonCachedMemory);

VOID NTAPI MmFreeNonCachedMemory(PVOID BaseAddress, SIZE_T NumberOfBytes) {
    UNREFERENCED_PARAMETER(NumberOfBytes);
    ExpFreePlaced(BaseAddress, TAG_NONCACHED);
}
NT_EXPORT(MmFreeNonCachedMemory);

/* Pages one by one, or in whole chunks. Returns how many were found. */
static ULONG64 ExpGatherPages(PFN_NUMBER *frames, ULONG64 wanted, ULONG64 chunk, ULONG64 lowest, ULONG64 highest,
                              ULONG64 skip) {
    ULONG64 count = 0;
    while (count + chunk <= wanted) {
        ULONG64 physical = MiAllocatePagesWithin(chunk, lowest, highest, 0);
        if (physical != 0) {
            for (ULONG64 i = 0; i < chunk; i++) {
                frames[count++] = (physical >> PAGE_SHIFT) + i;
            }
        } else if (skip != 0 && highest < highest + skip && lowest < MiTotalPageCount() << PAGE_SHIFT) {
            lowest += skip; /* the next range, as the page of the routine has it */
            highest += skip;
        } else {
            break;
        }
    }
    return count;
}

PMDL NTAPI MmAllocatePagesForMdlEx(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress,
                                   PHYSICAL_ADDRESS SkipBytes, SIZE_T TotalBytes, MEMORY_CACHING_TYPE CacheType,
                                   ULONG Flags) {
    UNREFERENCED_PARAMETER(CacheType);
    ULONG64 pages = BYTES_TO_PAGES(TotalBytes);
    BOOLEAN chunks = (Flags & MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS) != 0;
    ULONG64 chunk = !chunks ? 1 : SkipBytes.QuadPart == 0 ? pages : (ULONG64)SkipBytes.QuadPart >> PAGE_SHIFT;
    if (TotalBytes == 0 || TotalBytes > MAXULONG - PAGE_SIZE || chunk == 0 || pages % chunk != 0) {
        return NULL;
    }
    PMDL mdl = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(MDL) + pages * sizeof(PFN_NUMBER), TAG_MDL);
    if (mdl == NULL) {
        return NULL;
    }
    MmInitializeMdl(mdl, NULL, TotalBytes);
    PFN_NUMBER *frames = MmGetMdlPfnArray(mdl);
    ULONG64 count = ExpGatherPages(frames, pages, chunk, (ULONG64)LowAddress.QuadPart, (ULONG64)HighAddress.QuadPart,
                                   chunks ? 0 : (ULONG64)SkipBytes.QuadPart);
    mdl->MdlFlags |= MDL_PAGES_LOCKED;
    mdl->ByteCount = count == pages ? (ULONG)TotalBytes : (ULONG)(count << PAGE_SHIFT);
    ExpCountTag(ExpResident, ExpTagSlot(TAG_MDL_PAGES), count << PAGE_SHIFT);
    if (count == 0 || (count < pages && (Flags & MM_ALLOCATE_FULLY_REQUIRED) != 0)) {
        MmFreePagesFromMdl(mdl);
        ExFreePoolWithTag(mdl, TAG_MDL);
        return NULL;
    }
    for (ULONG64 i = 0; i < count && (Flags & MM_DONT_ZERO_ALLOCATION) == 0; i++) {
        RtlZeroMemory(MiPhysicalToVirtual(frames[i] << PAGE_SHIFT), PAGE_SIZE);
    }
    return mdl;
}
NT_EXPORT(MmAllocatePagesForMdlEx);

PMDL NTAPI MmAllocatePagesForMdl(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress, PHYSICAL_ADDRESS SkipBytes,
                                 SIZE_T TotalBytes) {
    return MmAllocatePagesForMdlEx(LowAddress, HighAddress, SkipBytes, TotalBytes, MmCached, 0);
}
NT_EXPORT(MmAllocatePagesForMdl);

/* The MDL itself is the caller's to free. */
VOID NTAPI MmFreePagesFromMdl(PMDLX MemoryDescriptorList) {
    ULONG64 count = BYTES_TO_PAGES((ULONG64)MemoryDescriptorList->ByteCount);
    const PFN_NUMBER *frames = MmGetMdlPfnArray(MemoryDescriptorList);
    for (ULONG64 i = 0; i < count; i++) {
        MiFreePages((ULONG64)frames[i] << PAGE_SHIFT, 1);
    }
    ExpCountFree(ExpResident, ExpTagSlot(TAG_MDL_PAGES), count << PAGE_SHIFT);
    MemoryDescriptorList->ByteCount = 0;
    MemoryDescriptorList->MdlFlags &= (CSHORT)~MDL_PAGES_LOCKED;
}
NT_EXPORT(MmFreePagesFromMdl);
