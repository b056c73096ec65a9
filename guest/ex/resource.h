/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside executive resources. The fields of ERESOURCE as they are used here: OwnerEntry and the table are the owners, of whom
 * ActiveEntries counts those that are not free; SharedWaiters and ExclusiveWaiters point at the last of a ring of waiters, which
 * lie on their threads' stacks; SpinLock guards all of it, at DISPATCH_LEVEL.
 */
#pragma once

#include "../ke/ki.h"

typedef struct _EXP_RESOURCE_WAITER {
    KEVENT Granted; /* first: what the resource points at */
    struct _EXP_RESOURCE_WAITER *Next;
    ERESOURCE_THREAD Thread;
} EXP_RESOURCE_WAITER;

/* ex/resourceowner.c. All: SpinLock held. */
POWNER_ENTRY ExpFindOwner(PERESOURCE resource, ERESOURCE_THREAD thread); /* NULL: owns nothing of it */
VOID ExpAddOwner(PERESOURCE resource, ERESOURCE_THREAD thread);          /* once more, or for the first time */
BOOLEAN ExpDropOwner(PERESOURCE resource, POWNER_ENTRY owner);           /* once less; TRUE: owns nothing any more */
/*
 * Sees to it that the thread, which asks to share now, and all who wait for that have a place. TRUE: it is there. FALSE: the lock was let go and
 * taken again meanwhile, at *irql, so look again; *failed: there was no memory.
 */
BOOLEAN ExpReserveOwner(PERESOURCE resource, ERESOURCE_THREAD thread, KIRQL *irql, BOOLEAN *failed);
VOID ExpFreeOwners(PERESOURCE resource);
