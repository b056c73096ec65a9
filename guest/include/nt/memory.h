/* SPDX-License-Identifier: Apache-2.0 */
/* Pool and memory: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/* Pool and memory (ex/pool.c, mm/system.c). Pool: IRQL <= DISPATCH_LEVEL. Device mappings: PASSIVE_LEVEL. */

PVOID NTAPI ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag); /* NULL: no memory */
VOID NTAPI ExFreePoolWithTag(PVOID P, ULONG Tag); /* a foreign, freed or overwritten block is a bugcheck */
PVOID NTAPI MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType);
VOID NTAPI MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes);
PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(PVOID BaseAddress); /* any IRQL; 0: not mapped */

/* NOLINTEND(readability-redundant-declaration) */
