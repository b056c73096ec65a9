/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memory descriptor lists say: the frames of a buffer, locked while they are in the list, and second addresses for them. A
 * frame that is executable or read-only anywhere is mapped read-only here too.
 */
#include "mi.h"

#include "../include/mutant.h"
#include "../ke/ki.h"

static ULONG64 MiMdlPages(const MDL *mdl) {
    return ADDRESS_AND_SIZE_TO_SPAN_PAGES(mdl->ByteOffset, mdl->ByteCount);
}

SIZE_T NTAPI MmSizeOfMdl(PVOID Base, SIZE_T Length) {
    return sizeof(MDL) + ADDRESS_AND_SIZE_TO_SPAN_PAGES(Base, Length) * sizeof(PFN_NUMBER);
}
NT_EXPORT(MmSizeOfMdl);

VOID NTAPI MmBuildMdlForNonPagedPool(PMDLX MemoryDescriptorList) {
    PFN_NUMBER *frames = MmGetMdlPfnArray(MemoryDescriptorList);
    ULONG64 address = (ULONG64)MemoryDescriptorList->StartVa;
    for (ULONG64 i = 0; i < MiMdlPages(MemoryDescriptorList); i++) {
        ULONG64 physical = 0;
        MiTranslate(address + (i << PAGE_SHIFT), &physical);
        frames[i] = physical >> PAGE_SHIFT;
    }
    MemoryDescriptorList->Process = NULL;
    MemoryDescriptorList->MappedSystemVa = MmGetMdlVirtualAddress(MemoryDescriptorList);
    MemoryDescriptorList->MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
}
NT_EXPORT(MmBuildMdlForNonPagedPool);

static VOID MiUnlockFirst(const MDL *mdl, ULONG64 count) {
    for (ULONG64 i = 0; i < count; i++) {
        MiUnlockPage((ULONG64)mdl->StartVa + (i << PAGE_SHIFT));
    }
}

VOID NTAPI MmProbeAndLockPages(PMDLX MemoryDescriptorList, KPROCESSOR_MODE AccessMode, LOCK_OPERATION Operation) {
    PFN_NUMBER *frames = MmGetMdlPfnArray(MemoryDescriptorList);
    /* Every address is the system's: nobody may ask for it in the name of a user. */
    BOOLEAN good = AccessMode == KernelMode;
    for (ULONG64 i = 0; i < MiMdlPages(MemoryDescriptorList); i++) {
        ULONG64 address = (ULONG64)MemoryDescriptorList->StartVa + (i << PAGE_SHIFT);
        ULONG64 physical;
        BOOLEAN locked = good && MiLockPage(address); /* of what is not pageable it says FALSE, and it stays anyway */
        if (MUTANT(MdlLocksNothing, "MEM-7", "MmProbeAndLockPages locks nothing") && locked) {
            MiUnlockPage(address);
        }
        good = good && MiTranslate(address, &physical) && (Operation == IoReadAccess || MiIsWritable(address));
        if (!good) {
            MiUnlockFirst(MemoryDescriptorList, i + locked);
            ExRaiseStatus(STATUS_ACCESS_VIOLATION);
        }
        frames[i] = physical >> PAGE_SHIFT;
    }
    MemoryDescriptorList->Process = NULL;
    MemoryDescriptorList->MdlFlags |= MDL_PAGES_LOCKED;
    if (Operation != IoReadAccess) {
        MemoryDescriptorList->MdlFlags |= MDL_WRITE_OPERATION;
    }
}
NT_EXPORT(MmProbeAndLockPages);
NT_PARTIAL(MmProbeAndLockPages, "system addresses only");

VOID NTAPI MmUnlockPages(PMDLX MemoryDescriptorList) {
    if ((MemoryDescriptorList->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA) != 0) {
        MmUnmapLockedPages(MemoryDescriptorList->MappedSystemVa, MemoryDescriptorList);
    }
    if (!MUTANT(MdlLocksNothing, "MEM-7", "MmProbeAndLockPages locks nothing")) {
        MiUnlockFirst(MemoryDescriptorList, MiMdlPages(MemoryDescriptorList));
    }
    MemoryDescriptorList->MdlFlags &= (CSHORT) ~(MDL_PAGES_LOCKED | MDL_WRITE_OPERATION);
}
NT_EXPORT(MmUnlockPages);

/* FALSE: no memory for page tables. */
static BOOLEAN MiMapFrames(ULONG64 address, const PFN_NUMBER *frames, ULONG64 count) {
    for (ULONG64 i = 0; i < count; i++) {
        ULONG64 physical = (ULONG64)frames[i] << PAGE_SHIFT;
        BOOLEAN writable = MiIsWritable((ULONG64)MiPhysicalToVirtual(physical)) ||
            MUTANT(MdlMapsWritable, "MEM-9", "pages of code are mapped writable");
        if (!MiMapPages(address + (i << PAGE_SHIFT), physical, 1, writable ? MiReadWrite : MiReadOnly)) {
            return FALSE;
        }
    }
    return TRUE;
}

PVOID NTAPI MmMapLockedPagesSpecifyCache(PMDLX MemoryDescriptorList, KPROCESSOR_MODE AccessMode,
                                         MEMORY_CACHING_TYPE CacheType, PVOID RequestedAddress, ULONG BugCheckOnFailure,
                                         ULONG Priority) {
    UNREFERENCED_PARAMETER(CacheType);
    UNREFERENCED_PARAMETER(Priority);
    UNREFERENCED_PARAMETER(RequestedAddress); /* for user addresses only */
    if (AccessMode != KernelMode) {
        ExRaiseStatus(STATUS_NOT_SUPPORTED); /* there is no user process to map it into */
    }
    ULONG64 pages = MiMdlPages(MemoryDescriptorList);
    ULONG64 address = MiReserveSystem(pages);
    if (address == 0 || !MiMapFrames(address, MmGetMdlPfnArray(MemoryDescriptorList), pages)) {
        if (BugCheckOnFailure) {
            KeBugCheckEx(NO_MORE_SYSTEM_PTES, 0, pages, 0, 0);
        }
        if (address != 0) {
            MiUnmapSecond(address, pages);
            MiFlushTb();
            MiReleaseSystem(address, pages);
        }
        return NULL;
    }
    MemoryDescriptorList->MappedSystemVa = (PVOID)(address + MemoryDescriptorList->ByteOffset);
    MemoryDescriptorList->MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    if ((MemoryDescriptorList->MdlFlags & MDL_PARTIAL) != 0) {
        MemoryDescriptorList->MdlFlags |= MDL_PARTIAL_HAS_BEEN_MAPPED;
    }
    return MemoryDescriptorList->MappedSystemVa;
}
NT_EXPORT(MmMapLockedPagesSpecifyCache);
NT_PARTIAL(MmMapLockedPagesSpecifyCache, "a mapping for user mode is refused");

PVOID NTAPI MmMapLockedPages(PMDL MemoryDescriptorList, KPROCESSOR_MODE AccessMode) {
    return MmMapLockedPagesSpecifyCache(MemoryDescriptorList, AccessMode, MmCached, NULL, TRUE, HighPagePriority);
}
NT_EXPORT(MmMapLockedPages);
NT_PARTIAL(MmMapLockedPages, "a mapping for user mode is refused");

VOID NTAPI MmUnmapLockedPages(PVOID BaseAddress, PMDL MemoryDescriptorList) {
    ULONG64 pages = MiMdlPages(MemoryDescriptorList);
    ULONG64 address = (ULONG64)BaseAddress & ~(PAGE_SIZE - 1ull);
    MiUnmapSecond(address, pages);
    MiFlushTb();
    MiReleaseSystem(address, pages);
    MemoryDescriptorList->MappedSystemVa = NULL;
    MemoryDescriptorList->MdlFlags &= (CSHORT) ~(MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
}
NT_EXPORT(MmUnmapLockedPages);
