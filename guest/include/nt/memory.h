/* SPDX-License-Identifier: Apache-2.0 */
/* Pool and memory: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Pool (ex/pool.c; driver/pool2.h has the newer routines). IRQL <= DISPATCH_LEVEL, paged pool: IRQL <= APC_LEVEL. Blocks begin at
 * a multiple of 16, those of a page and more on a page; a smaller one lies within a page. No pool is executable. NULL: no
 * memory, or a type that is reserved to the system; POOL_RAISE_IF_ALLOCATION_FAILURE raises instead, which is fatal here.
 */
PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
PVOID NTAPI ExAllocatePoolWithTagPriority(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag,
                                          EX_POOL_PRIORITY Priority);
/* There are no quotas. Without memory it raises, unless POOL_QUOTA_FAIL_INSTEAD_OF_RAISE. */
PVOID NTAPI ExAllocatePoolWithQuotaTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
/* As the allocation. Tag 0 fits all. A block freed twice, with another tag, or written over at either end: bugcheck 0xC2 or 0x19. */
VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag);

/*
 * Sections of images (mm/sections.c). IRQL <= APC_LEVEL; the address lies in a driver's image. A section that is locked is
 * resident until it has been unlocked as often; the handle is for this image only.
 */
PVOID NTAPI MmLockPagableDataSection(PVOID AddressWithinSection);
VOID NTAPI MmLockPagableSectionByHandle(PVOID ImageSectionHandle);
VOID NTAPI MmUnlockPagableImageSection(PVOID ImageSectionHandle);
/* All sections of the image are pageable from now on; or again only those that say so. The first returns the image's address. */
PVOID NTAPI MmPageEntireDriver(PVOID AddressWithinSection);
VOID NTAPI MmResetDriverPaging(PVOID AddressWithinSection);
/* Any IRQL. A touch would not fault now. Of pageable memory that may be otherwise in the next instant; NonPaged: FALSE for it. */
BOOLEAN NTAPI MmIsAddressValid(PVOID VirtualAddress);
BOOLEAN NTAPI MmIsNonPagedSystemAddressValid(PVOID VirtualAddress);

/*
 * MDLs (mm/mdl.c, io/mdl.c). IRQL <= DISPATCH_LEVEL; to lock pageable memory IRQL <= APC_LEVEL. An MDL that was locked is unlocked before it
 * is freed, by which its mapping goes too. There are no user addresses: AccessMode is KernelMode.
 */
PMDL NTAPI IoAllocateMdl(PVOID VirtualAddress, ULONG Length, BOOLEAN SecondaryBuffer, BOOLEAN ChargeQuota,
                         PIRP Irp); /* NULL: no memory, or more than MDL.Size can say: about 16 MiB */
VOID NTAPI IoFreeMdl(PMDL Mdl);
/* The part lies within the source. Length 0: to its end. A target that is too small: bugcheck 0x40. */
VOID NTAPI IoBuildPartialMdl(PMDL SourceMdl, PMDL TargetMdl, PVOID VirtualAddress, ULONG Length);
VOID NTAPI MmBuildMdlForNonPagedPool(PMDLX MemoryDescriptorList);
/* What is not there, or not writable for IoWriteAccess and IoModifyAccess, raises STATUS_ACCESS_VIOLATION, which is fatal here. */
VOID NTAPI MmProbeAndLockPages(PMDLX MemoryDescriptorList, KPROCESSOR_MODE AccessMode, LOCK_OPERATION Operation);
VOID NTAPI MmUnlockPages(PMDLX MemoryDescriptorList);
/* Never executable; read-only where the pages are. NULL, or bugcheck 0x3F where that was asked for: no addresses left. */
PVOID NTAPI MmMapLockedPagesSpecifyCache(PMDLX MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                                         MEMORY_CACHING_TYPE CacheType, PVOID RequestedAddress, ULONG BugCheckOnFailure,
                                         ULONG Priority);
VOID NTAPI MmUnmapLockedPages(PVOID BaseAddress, PMDL MemoryDescriptorList);

/* Memory by its place (ex/contiguous.c). IRQL <= DISPATCH_LEVEL. Page-aligned; NULL: there is none there. All ends are included. */
PVOID NTAPI MmAllocateContiguousMemory(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS HighestAcceptableAddress);
PVOID NTAPI MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes, PHYSICAL_ADDRESS LowestAcceptableAddress,
                                                   PHYSICAL_ADDRESS HighestAcceptableAddress,
                                                   PHYSICAL_ADDRESS BoundaryAddressMultiple,
                                                   MEMORY_CACHING_TYPE CacheType);
VOID NTAPI MmFreeContiguousMemory(PVOID BaseAddress);
/* Pages without an address, cleared unless MM_DONT_ZERO_ALLOCATION; maybe fewer than asked for. MmFreePagesFromMdl, then ExFreePool. */
PMDL NTAPI MmAllocatePagesForMdlEx(PHYSICAL_ADDRESS LowAddress, PHYSICAL_ADDRESS HighAddress,
                                   PHYSICAL_ADDRESS SkipBytes, SIZE_T TotalBytes, MEMORY_CACHING_TYPE CacheType,
                                   ULONG Flags);
VOID NTAPI MmFreePagesFromMdl(PMDLX MemoryDescriptorList);

/*
 * Lookaside lists (ex/lookaside.c); taking and giving are inline. IRQL <= DISPATCH_LEVEL, of paged memory IRQL <= APC_LEVEL. The list
 * is resident and begins a cache line; its depth is constant. Ex: STATUS_INVALID_PARAMETER_4 or _5 for what it does not know.
 */
VOID NTAPI ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                                           PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth);
VOID NTAPI ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside);
VOID NTAPI ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                                          PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth);
VOID NTAPI ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside);
NTSTATUS NTAPI ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PALLOCATE_FUNCTION_EX Allocate,
                                           PFREE_FUNCTION_EX Free, POOL_TYPE PoolType, ULONG Flags, SIZE_T Size,
                                           ULONG Tag, USHORT Depth);
VOID NTAPI ExFlushLookasideListEx(PLOOKASIDE_LIST_EX Lookaside);
VOID NTAPI ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX Lookaside);

/* Device mappings and addresses (mm/system.c). PASSIVE_LEVEL. */
PVOID NTAPI MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType);
VOID NTAPI MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes);
PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(PVOID BaseAddress);        /* any IRQL; 0: not mapped */
PVOID NTAPI MmGetVirtualForPhysical(PHYSICAL_ADDRESS PhysicalAddress); /* any IRQL; of RAM, else NULL */

/* NOLINTEND(readability-redundant-declaration) */
