/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locks that a thread owns and others wait for: mutexes, fast and guarded mutexes, resources. They belong to the thread and not to
 * its CPU. Only the thread itself looks at its list, which it has while it owns something. A thread that owns more than a
 * list holds, or comes when all lists are in use, is not watched beyond.
 */
#include "vi.h"

#include "../include/mutant.h"
#include "../ke/thread.h"

#define OWNERS      96
#define OWNED_LIMIT 8

typedef struct _VI_OWNER {
    PKTHREAD Thread; /* NULL: the list is free */
    VI_REQUEST Owned[OWNED_LIMIT];
} VI_OWNER;

static VI_OWNER ViOwners[OWNERS];

static VI_REQUEST *ViTakeList(PKTHREAD thread) {
    for (ULONG i = 0; i < OWNERS; i++) {
        PKTHREAD nobody = NULL;
        /* Acquire: what its last owner left there is behind us. */
        if (__atomic_compare_exchange_n(&ViOwners[i].Thread, &nobody, thread, FALSE, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
            return ViOwners[i].Owned;
        }
    }
    return NULL;
}

static VOID ViLeaveList(PKTHREAD thread) {
    VI_OWNER *owner = CONTAINING_RECORD(thread->Owned, VI_OWNER, Owned);
    thread->Owned = NULL;
    /* Release: pairs with the acquire in ViTakeList. */
    __atomic_store_n(&owner->Thread, NULL, __ATOMIC_RELEASE);
}

VI_REQUEST *ViOwned(ULONG index) {
    PKTHREAD thread = KeGetCurrentThread();
    return index < thread->OwnedCount ? &thread->Owned[index] : NULL;
}

VI_REQUEST *ViFindOwned(ULONG64 lock) {
    VI_REQUEST *owned;
    for (ULONG i = 0; (owned = ViOwned(i)) != NULL; i++) {
        if (owned->Lock == lock) {
            return owned;
        }
    }
    return NULL;
}

VOID ViBeforeOwning(ULONG64 lock, VI_KIND kind, BOOLEAN tries, ULONG64 frame) {
    VI_REQUEST request = ViRequest(lock, kind, ViByWait, frame);
    request.Tries = tries;
    ViCheckResident(lock, frame);
    ViBeforeAcquire(&request);
}

VOID ViAfterOwning(ULONG64 lock, VI_KIND kind, BOOLEAN tries, ULONG64 frame) {
    PKTHREAD thread = KeGetCurrentThread();
    if (thread->Owned == NULL) {
        thread->Owned = ViTakeList(thread);
    }
    if (thread->Owned == NULL || thread->OwnedCount == OWNED_LIMIT) {
        return;
    }
    VI_REQUEST request = ViRequest(lock, kind, ViByWait, frame);
    request.Tries = tries;
    ViAfterAcquire(&request);
    thread->Owned[thread->OwnedCount] = request;
    /* An APC of this thread owns things in between, and gives them back: the entry is whole before it counts. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    thread->OwnedCount++;
}

VOID ViEndOwning(ULONG64 lock) {
    PKTHREAD thread = KeGetCurrentThread();
    VI_REQUEST *owned = ViFindOwned(lock);
    if (owned == NULL) {
        return;
    }
    ViBeforeRelease(owned);
    for (VI_REQUEST *next = owned + 1; next < thread->Owned + thread->OwnedCount; next++) {
        next[-1] = *next;
    }
    thread->OwnedCount--;
    if (thread->OwnedCount == 0) {
        ViLeaveList(thread);
    }
}

VOID ViForgetOwned(VOID) {
    for (ULONG i = 0; i < OWNERS; i++) {
        PKTHREAD thread = ViOwners[i].Thread;
        if (thread != NULL) {
            thread->OwnedCount = 0;
            thread->Owned = NULL;
            ViOwners[i].Thread = NULL;
        }
    }
}

VOID ViThreadEnds(VOID) {
    const VI_REQUEST *owned = ViOwned(0);
    if (owned == NULL || MUTANT(VfOwnersEnd, "MUT-1", "the verifier lets a thread end that owns a lock")) {
        return;
    }
    VF_VIOLATION violation = {
        .Code = DRIVER_VERIFIER_DETECTED_VIOLATION,
        .Parameter = {VI_OWNER_ENDED, (ULONG64)KeGetCurrentThread(), owned->Lock, 0},
        .Text = "a thread ends and still owns a lock",
    };
    for (ULONG i = 0; i < VF_MAXIMUM_SITES && (owned = ViOwned(i)) != NULL; i++) {
        ViFillSite(&violation.Site[violation.SiteCount++], owned);
    }
    ViReportSites(&violation);
}
