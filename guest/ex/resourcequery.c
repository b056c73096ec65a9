/* SPDX-License-Identifier: Apache-2.0 */
/* Executive resources: who owns one and who waits, owner pointers, and the forms that enter a critical region too. */
#include "resource.h"

static ULONG ExpCountOwn(PERESOURCE resource, BOOLEAN exclusive) {
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&resource->SpinLock);
    const OWNER_ENTRY *owner = ExpFindOwner(resource, ExGetCurrentResourceThread());
    ULONG count = owner != NULL ? owner->OwnerCount : 0;
    if (exclusive && (resource->Flag & ResourceOwnedExclusive) == 0) {
        count = 0;
    }
    KeReleaseSpinLock(&resource->SpinLock, irql);
    return count;
}

BOOLEAN NTAPI ExIsResourceAcquiredExclusiveLite(PERESOURCE Resource) {
    return ExpCountOwn(Resource, TRUE) != 0;
}
NT_EXPORT(ExIsResourceAcquiredExclusiveLite);

ULONG NTAPI ExIsResourceAcquiredSharedLite(PERESOURCE Resource) {
    return ExpCountOwn(Resource, FALSE);
}
NT_EXPORT(ExIsResourceAcquiredSharedLite);

/* Relaxed: a count that may be another one a moment later. */
ULONG NTAPI ExGetExclusiveWaiterCount(PERESOURCE Resource) {
    return __atomic_load_n(&Resource->NumberOfExclusiveWaiters, __ATOMIC_RELAXED);
}
NT_EXPORT(ExGetExclusiveWaiterCount);

ULONG NTAPI ExGetSharedWaiterCount(PERESOURCE Resource) {
    return __atomic_load_n(&Resource->NumberOfSharedWaiters, __ATOMIC_RELAXED);
}
NT_EXPORT(ExGetSharedWaiterCount);

VOID NTAPI ExSetResourceOwnerPointer(PERESOURCE Resource, PVOID OwnerPointer) {
    ERESOURCE_THREAD thread = ExGetCurrentResourceThread();
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&Resource->SpinLock);
    POWNER_ENTRY owner = ExpFindOwner(Resource, thread);
    if (owner == NULL) {
        KeBugCheckEx(RESOURCE_NOT_OWNED, (ULONG64)Resource, thread, (ULONG64)Resource->OwnerTable, 0);
    }
    POWNER_ENTRY same = ExpFindOwner(Resource, (ERESOURCE_THREAD)OwnerPointer);
    if (same != NULL) { /* the pointer shares it already: one entry with both counts */
        same->OwnerCount += owner->OwnerCount;
        owner->OwnerCount = 1;
        ExpDropOwner(Resource, owner);
    } else {
        owner->OwnerThread = (ERESOURCE_THREAD)OwnerPointer;
    }
    KeReleaseSpinLock(&Resource->SpinLock, irql);
}
NT_EXPORT(ExSetResourceOwnerPointer);

PVOID NTAPI ExEnterCriticalRegionAndAcquireResourceExclusive(PERESOURCE Resource) {
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(Resource, TRUE);
    return KeGetCurrentThread();
}
NT_EXPORT(ExEnterCriticalRegionAndAcquireResourceExclusive);

PVOID NTAPI ExEnterCriticalRegionAndAcquireResourceShared(PERESOURCE Resource) {
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(Resource, TRUE);
    return KeGetCurrentThread();
}
NT_EXPORT(ExEnterCriticalRegionAndAcquireResourceShared);

PVOID NTAPI ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(PERESOURCE Resource) {
    KeEnterCriticalRegion();
    ExAcquireSharedWaitForExclusive(Resource, TRUE);
    return KeGetCurrentThread();
}
NT_EXPORT(ExEnterCriticalRegionAndAcquireSharedWaitForExclusive);

VOID FASTCALL ExReleaseResourceAndLeaveCriticalRegion(PERESOURCE Resource) {
    ExReleaseResourceLite(Resource);
    KeLeaveCriticalRegion();
}
NT_EXPORT(ExReleaseResourceAndLeaveCriticalRegion);
