/* SPDX-License-Identifier: Apache-2.0 */
/* Cache-aware run-down protection: the interface, over one count for all CPUs. What it is made for is speed, what it promises is the same. */
#include "ex.h"

#include "../include/export.h"

static PEX_RUNDOWN_REF ExpCount(PEX_RUNDOWN_REF_CACHE_AWARE ref) {
    return (PEX_RUNDOWN_REF)ref;
}

SIZE_T NTAPI ExSizeOfRundownProtectionCacheAware(VOID) {
    return SYSTEM_CACHE_ALIGNMENT_SIZE;
}
NT_EXPORT(ExSizeOfRundownProtectionCacheAware);

VOID NTAPI ExInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware, SIZE_T RunRefSize) {
    UNREFERENCED_PARAMETER(RunRefSize);
    ExInitializeRundownProtection(ExpCount(RunRefCacheAware));
}
NT_EXPORT(ExInitializeRundownProtectionCacheAware);

PEX_RUNDOWN_REF_CACHE_AWARE NTAPI ExAllocateCacheAwareRundownProtection(POOL_TYPE PoolType, ULONG PoolTag) {
    PVOID ref = ExAllocatePoolWithTag(PoolType, SYSTEM_CACHE_ALIGNMENT_SIZE, PoolTag);
    if (ref != NULL) {
        ExInitializeRundownProtection(ref);
    }
    return ref;
}
NT_EXPORT(ExAllocateCacheAwareRundownProtection);

VOID NTAPI ExFreeCacheAwareRundownProtection(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware) {
    ExFreePoolWithTag(RunRefCacheAware, 0);
}
NT_EXPORT(ExFreeCacheAwareRundownProtection);

BOOLEAN FASTCALL ExAcquireRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware) {
    return ExAcquireRundownProtection(ExpCount(RunRefCacheAware));
}
NT_EXPORT(ExAcquireRundownProtectionCacheAware);

BOOLEAN FASTCALL ExAcquireRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware, ULONG Count) {
    return ExAcquireRundownProtectionEx(ExpCount(RunRefCacheAware), Count);
}
NT_EXPORT(ExAcquireRundownProtectionCacheAwareEx);

VOID FASTCALL ExReleaseRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware) {
    ExReleaseRundownProtection(ExpCount(RunRefCacheAware));
}
NT_EXPORT(ExReleaseRundownProtectionCacheAware);

VOID FASTCALL ExReleaseRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRef, ULONG Count) {
    ExReleaseRundownProtectionEx(ExpCount(RunRef), Count);
}
NT_EXPORT(ExReleaseRundownProtectionCacheAwareEx);

VOID FASTCALL ExWaitForRundownProtectionReleaseCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef) {
    ExWaitForRundownProtectionRelease(ExpCount(RunRef));
}
NT_EXPORT(ExWaitForRundownProtectionReleaseCacheAware);

VOID FASTCALL ExReInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware) {
    ExInitializeRundownProtection(ExpCount(RunRefCacheAware));
}
NT_EXPORT(ExReInitializeRundownProtectionCacheAware);

VOID FASTCALL ExRundownCompletedCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware) {
    ExRundownCompleted(ExpCount(RunRefCacheAware));
}
NT_EXPORT(ExRundownCompletedCacheAware);
