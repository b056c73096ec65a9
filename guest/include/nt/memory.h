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

/* Device mappings and addresses (mm/system.c). PASSIVE_LEVEL. */
PVOID NTAPI MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType);
VOID NTAPI MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes);
PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(PVOID BaseAddress);        /* any IRQL; 0: not mapped */
PVOID NTAPI MmGetVirtualForPhysical(PHYSICAL_ADDRESS PhysicalAddress); /* any IRQL; of RAM, else NULL */

/* NOLINTEND(readability-redundant-declaration) */
