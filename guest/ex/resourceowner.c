/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owners of an executive resource: the first in the resource itself, more of them in a table from pool, whose entry 0 holds
 * its size. The table grows before anybody who may need a place in it is let in or put to sleep, so a release never allocates.
 */
#include "resource.h"

#define POOL_TAG_OWNERS    'wOsR'
#define EXP_FIRST_TABLE    4
#define EXP_TABLE_GROWS_BY 4

static ULONG ExpPlaces(const ERESOURCE *resource) {
    return 1 + (resource->OwnerTable != NULL ? resource->OwnerTable[0].TableSize - 1 : 0);
}

/* index 0: in the resource. */
static POWNER_ENTRY ExpPlace(PERESOURCE resource, ULONG index) {
    return index == 0 ? &resource->OwnerEntry : &resource->OwnerTable[index];
}

POWNER_ENTRY ExpFindOwner(PERESOURCE resource, ERESOURCE_THREAD thread) {
    for (ULONG i = 0; i < ExpPlaces(resource); i++) {
        if (ExpPlace(resource, i)->OwnerThread == thread) {
            return ExpPlace(resource, i);
        }
    }
    return NULL;
}

VOID ExpAddOwner(PERESOURCE resource, ERESOURCE_THREAD thread) {
    POWNER_ENTRY owner = ExpFindOwner(resource, thread);
    if (owner == NULL) {
        owner = ExpFindOwner(resource, 0); /* a free place, which ExpReserveOwner has seen to */
        owner->OwnerThread = thread;
        owner->OwnerCount = 0;
        resource->ActiveEntries++;
        resource->ActiveCount = (SHORT)resource->ActiveEntries;
    }
    owner->OwnerCount = owner->OwnerCount + 1u;
}

BOOLEAN ExpDropOwner(PERESOURCE resource, POWNER_ENTRY owner) {
    owner->OwnerCount = owner->OwnerCount - 1u;
    if (owner->OwnerCount != 0) {
        return FALSE;
    }
    owner->OwnerThread = 0;
    resource->ActiveEntries--;
    resource->ActiveCount = (SHORT)resource->ActiveEntries;
    return TRUE;
}

BOOLEAN ExpReserveOwner(PERESOURCE resource, ERESOURCE_THREAD thread, KIRQL *irql, BOOLEAN *failed) {
    ULONG places = ExpPlaces(resource);
    if (resource->ActiveEntries + resource->NumberOfSharedWaiters < places || ExpFindOwner(resource, thread) != NULL) {
        return TRUE;
    }
    ULONG size = places == 1 ? EXP_FIRST_TABLE : places + EXP_TABLE_GROWS_BY;
    KeReleaseSpinLock(&resource->SpinLock, *irql);
    POWNER_ENTRY table = ExAllocatePoolWithTag(NonPagedPool, size * sizeof *table, POOL_TAG_OWNERS);
    if (table != NULL) {
        RtlZeroMemory(table, size * sizeof *table);
    }
    *failed = table == NULL;
    *irql = KeAcquireSpinLockRaiseToDpc(&resource->SpinLock);
    POWNER_ENTRY old = resource->OwnerTable;
    if (table != NULL && (old == NULL || old[0].TableSize < size)) {
        if (old != NULL) {
            RtlCopyMemory(table, old, old[0].TableSize * sizeof *table);
        }
        table[0].TableSize = size;
        resource->OwnerTable = table;
        table = old;
    }
    if (table != NULL) {
        ExFreePoolWithTag(table, POOL_TAG_OWNERS); /* <= DISPATCH_LEVEL; nobody looks at it without the lock */
    }
    return FALSE;
}

VOID ExpFreeOwners(PERESOURCE resource) {
    if (resource->OwnerTable != NULL) {
        ExFreePoolWithTag(resource->OwnerTable, POOL_TAG_OWNERS);
        resource->OwnerTable = NULL;
    }
}
