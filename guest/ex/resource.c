/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executive resources (nt/mutexes.h). Whoever lets a resource go decides who has it next, makes those its owners and only then
 * wakes them: between a release and the waiter's first instruction nobody else can come in, so a count of owners is exact at
 * every moment, and a waiter looks at nothing again when it wakes.
 */
#include "resource.h"

#include "../include/mutant.h"

typedef enum _EXP_ACCESS { ExpExclusive, ExpShared, ExpStarve, ExpWaitForExclusive } EXP_ACCESS;

#define EXP_OUT_OF_MEMORY_DELAY (-100000) /* 10 ms, until the next attempt */

static EXP_RESOURCE_WAITER *ExpLastOf(PVOID ring) {
    return (EXP_RESOURCE_WAITER *)ring; /* Granted comes first */
}

/* A ring is named by its last waiter. Returns the ring with one more at its end. */
static PVOID ExpEnqueue(PVOID ring, EXP_RESOURCE_WAITER *waiter) {
    EXP_RESOURCE_WAITER *last = ExpLastOf(ring);
    waiter->Next = last != NULL ? last->Next : waiter;
    if (last != NULL) {
        last->Next = waiter;
    }
    return waiter;
}

static BOOLEAN ExpIsExclusive(const ERESOURCE *resource) {
    return (resource->Flag & ResourceOwnedExclusive) != 0;
}

static BOOLEAN ExpMayEnter(const ERESOURCE *resource, EXP_ACCESS access, const OWNER_ENTRY *owner) {
    if (resource->ActiveEntries == 0) {
        return TRUE;
    }
    if (ExpIsExclusive(resource)) {
        return owner != NULL;
    }
    switch (access) {
    case ExpExclusive:
        return FALSE;
    case ExpStarve:
        return TRUE;
    case ExpShared:
        if (owner != NULL ||
            MUTANT(ResourceStarvesWriter, "ERES-2",
                   "who wants to share a resource does not wait behind an exclusive one")) {
            return TRUE;
        }
        break;
    case ExpWaitForExclusive:
        break;
    }
    return resource->NumberOfExclusiveWaiters == 0;
}

static VOID ExpSleep(PERESOURCE resource, BOOLEAN exclusive, ERESOURCE_THREAD thread, KIRQL irql) {
    EXP_RESOURCE_WAITER waiter = {.Thread = thread};
    KeInitializeEvent(&waiter.Granted, SynchronizationEvent, FALSE);
    resource->ContentionCount++;
    if (exclusive) {
        resource->ExclusiveWaiters = ExpEnqueue(resource->ExclusiveWaiters, &waiter);
        resource->NumberOfExclusiveWaiters++;
    } else {
        resource->SharedWaiters = ExpEnqueue(resource->SharedWaiters, &waiter);
        resource->NumberOfSharedWaiters++;
    }
    KeReleaseSpinLock(&resource->SpinLock, irql);
    KeWaitForSingleObject(&waiter.Granted, Executive, KernelMode, FALSE, NULL);
}

static BOOLEAN ExpAcquire(PERESOURCE resource, EXP_ACCESS access, BOOLEAN wait) {
    ERESOURCE_THREAD thread = ExGetCurrentResourceThread();
    BOOLEAN failed = FALSE;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&resource->SpinLock);
    while (access != ExpExclusive && !ExpReserveOwner(resource, thread, &irql, &failed)) {
        if (failed) {
            LARGE_INTEGER delay = {.QuadPart = EXP_OUT_OF_MEMORY_DELAY};
            KeReleaseSpinLock(&resource->SpinLock, irql);
            if (!wait) {
                return FALSE;
            }
            KeDelayExecutionThread(KernelMode, FALSE, &delay);
            irql = KeAcquireSpinLockRaiseToDpc(&resource->SpinLock);
        }
    }
    BOOLEAN enter = ExpMayEnter(resource, access, ExpFindOwner(resource, thread));
    if (enter) {
        if (resource->ActiveEntries == 0 && access == ExpExclusive) {
            resource->Flag |= ResourceOwnedExclusive;
        }
        ExpAddOwner(resource, thread);
    } else if (wait) {
        ExpSleep(resource, access == ExpExclusive, thread, irql);
        return TRUE;
    }
    KeReleaseSpinLock(&resource->SpinLock, irql);
    return enter;
}

/* All who wait to share own it now. Returns them, as a list, to be woken without the lock. */
static EXP_RESOURCE_WAITER *ExpLetSharersIn(PERESOURCE resource) {
    EXP_RESOURCE_WAITER *last = ExpLastOf(resource->SharedWaiters);
    if (last == NULL) {
        return NULL;
    }
    EXP_RESOURCE_WAITER *first = last->Next;
    last->Next = NULL;
    resource->SharedWaiters = NULL;
    resource->NumberOfSharedWaiters = 0;
    for (const EXP_RESOURCE_WAITER *waiter = first; waiter != NULL; waiter = waiter->Next) {
        ExpAddOwner(resource, waiter->Thread);
    }
    return first;
}

static EXP_RESOURCE_WAITER *ExpLetOneIn(PERESOURCE resource) {
    EXP_RESOURCE_WAITER *last = ExpLastOf(resource->ExclusiveWaiters);
    if (last == NULL) {
        return NULL;
    }
    EXP_RESOURCE_WAITER *first = last->Next;
    last->Next = first->Next;
    if (first == last) {
        resource->ExclusiveWaiters = NULL;
    }
    first->Next = NULL;
    resource->NumberOfExclusiveWaiters--;
    resource->Flag |= ResourceOwnedExclusive;
    ExpAddOwner(resource, first->Thread);
    return first;
}

static VOID ExpWake(EXP_RESOURCE_WAITER *waiter) {
    while (waiter != NULL) {
        EXP_RESOURCE_WAITER *next = waiter->Next; /* it is gone once its thread runs */
        KeSetEvent(&waiter->Granted, EVENT_INCREMENT, FALSE);
        waiter = next;
    }
}

static VOID ExpRelease(PERESOURCE resource, ERESOURCE_THREAD thread) {
    EXP_RESOURCE_WAITER *next = NULL;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&resource->SpinLock);
    POWNER_ENTRY owner = thread != 0 ? ExpFindOwner(resource, thread) : NULL;
    if (owner == NULL) {
        KeBugCheckEx(RESOURCE_NOT_OWNED, (ULONG64)resource, thread, (ULONG64)resource->OwnerTable, 0);
    }
    if ((ExpDropOwner(resource, owner) && resource->ActiveEntries == 0) ||
        MUTANT(ResourceReleasedAtOnce, "ERES-3", "the first of several releases gives a resource away")) {
        BOOLEAN exclusive = ExpIsExclusive(resource);
        resource->Flag &= (USHORT)~ResourceOwnedExclusive;
        next = exclusive ? ExpLetSharersIn(resource) : ExpLetOneIn(resource);
        if (next == NULL) {
            next = exclusive ? ExpLetOneIn(resource) : ExpLetSharersIn(resource);
        }
    }
    KeReleaseSpinLock(&resource->SpinLock, irql);
    ExpWake(next);
}

NTSTATUS NTAPI ExInitializeResourceLite(PERESOURCE Resource) {
    RtlZeroMemory(Resource, sizeof *Resource);
    InitializeListHead(&Resource->SystemResourcesList);
    return STATUS_SUCCESS;
}
NT_EXPORT(ExInitializeResourceLite);

NTSTATUS NTAPI ExDeleteResourceLite(PERESOURCE Resource) {
    ExpFreeOwners(Resource);
    return STATUS_SUCCESS;
}
NT_EXPORT(ExDeleteResourceLite);

NTSTATUS NTAPI ExReinitializeResourceLite(PERESOURCE Resource) {
    ExpFreeOwners(Resource);
    return ExInitializeResourceLite(Resource);
}
NT_EXPORT(ExReinitializeResourceLite);

BOOLEAN NTAPI ExAcquireResourceExclusiveLite(PERESOURCE Resource, BOOLEAN Wait) {
    return ExpAcquire(Resource, ExpExclusive, Wait);
}
NT_EXPORT(ExAcquireResourceExclusiveLite);

BOOLEAN NTAPI ExAcquireResourceSharedLite(PERESOURCE Resource, BOOLEAN Wait) {
    return ExpAcquire(Resource, ExpShared, Wait);
}
NT_EXPORT(ExAcquireResourceSharedLite);

BOOLEAN NTAPI ExAcquireSharedStarveExclusive(PERESOURCE Resource, BOOLEAN Wait) {
    return ExpAcquire(Resource, ExpStarve, Wait);
}
NT_EXPORT(ExAcquireSharedStarveExclusive);

BOOLEAN NTAPI ExAcquireSharedWaitForExclusive(PERESOURCE Resource, BOOLEAN Wait) {
    return ExpAcquire(Resource, ExpWaitForExclusive, Wait);
}
NT_EXPORT(ExAcquireSharedWaitForExclusive);

VOID FASTCALL ExReleaseResourceLite(PERESOURCE Resource) {
    ExpRelease(Resource, ExGetCurrentResourceThread());
}
NT_EXPORT(ExReleaseResourceLite);

VOID NTAPI ExReleaseResourceForThreadLite(PERESOURCE Resource, ERESOURCE_THREAD ResourceThreadId) {
    ExpRelease(Resource, ResourceThreadId);
}
NT_EXPORT(ExReleaseResourceForThreadLite);

VOID NTAPI ExConvertExclusiveToSharedLite(PERESOURCE Resource) {
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&Resource->SpinLock);
    if (!ExpIsExclusive(Resource) || ExpFindOwner(Resource, ExGetCurrentResourceThread()) == NULL) {
        KeBugCheckEx(RESOURCE_NOT_OWNED, (ULONG64)Resource, ExGetCurrentResourceThread(), (ULONG64)Resource->OwnerTable,
                     0);
    }
    Resource->Flag &= (USHORT)~ResourceOwnedExclusive;
    EXP_RESOURCE_WAITER *next = ExpLetSharersIn(Resource);
    KeReleaseSpinLock(&Resource->SpinLock, irql);
    ExpWake(next);
}
NT_EXPORT(ExConvertExclusiveToSharedLite);
