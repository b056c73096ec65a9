/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked forms of remove locks: each acquisition's tag is remembered until a release with the same tag takes it back, and a
 * lock that was initialised once is not again before its storage has been given back. A lock that was initialised while the
 * verifier was off, or beyond the table, is not watched; nor is one with more tags at once than it has room for.
 */
#include "vi.h"

#include "../include/highlock.h"
#include "../include/mutant.h"

#define VI_REMOVE_LOCKS 64
#define VI_REMOVE_TAGS  32

/* First parameters of 0xC4 (bug-check-0xc4). */
#define VI_REMOVE_TAG   0xd5 /* lock, tag */
#define VI_REMOVE_LAST  0xd6 /* lock, tag, that of an acquisition */
#define VI_REMOVE_AGAIN 0xd7 /* what is kept of it, lock */

typedef struct _VI_REMOVE_LOCK {
    PIO_REMOVE_LOCK Lock; /* NULL: free */
    BOOLEAN Unwatched;    /* it once had more acquisitions than there is room for */
    ULONG Count;
    PVOID Tag[VI_REMOVE_TAGS];
} VI_REMOVE_LOCK;

static VI_REMOVE_LOCK ViRemoveLocks[VI_REMOVE_LOCKS];
static volatile LONG ViRemoveLocksKnown;
static KSPIN_LOCK ViRemoveLock; /* at HIGH_LEVEL, as the table of spin locks */

static VI_REMOVE_LOCK *ViFindRemoveLock(PIO_REMOVE_LOCK lock) {
    for (ULONG i = 0; i < VI_REMOVE_LOCKS; i++) {
        if (ViRemoveLocks[i].Lock == lock) {
            return &ViRemoveLocks[i];
        }
    }
    return NULL;
}

static VOID ViComplainOfRemoveLock(ULONG code, ULONG64 p2, ULONG64 p3, ULONG64 p4, const char *text, ULONG64 frame) {
    VI_REQUEST request = ViRequest(0, ViSpin, ViAtDpc, frame);
    ViReport(DRIVER_VERIFIER_DETECTED_VIOLATION, code, p2, p3, p4, text, &request);
}

/* PASSIVE_LEVEL only (IrqlIoPassive1), or up to DISPATCH_LEVEL (IrqlKeDispatchLte). */
static VOID ViCheckRemoveLockIrql(KIRQL most, ULONG64 frame) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql > most) {
        const char *text = "a routine of remove locks is called at an IRQL that it is not for";
        ULONG rule = most == PASSIVE_LEVEL ? VI_RULE_IO_PASSIVE : VI_RULE_KE_DISPATCH;
        ViComplainOfRemoveLock(rule, (ULONG64)text, irql, 0, text, frame);
    }
}

static VOID NTAPI ViInitializeRemoveLock(PIO_REMOVE_LOCK Lock, ULONG AllocateTag, ULONG MaxLockedMinutes,
                                         ULONG HighWatermark, ULONG RemlockSize) {
    ViCheckRemoveLockIrql(PASSIVE_LEVEL, VI_FRAME);
    KIRQL irql = KiAcquireLockAtHigh(&ViRemoveLock);
    VI_REMOVE_LOCK *known = ViFindRemoveLock(Lock);
    VI_REMOVE_LOCK *place = known == NULL ? ViFindRemoveLock(NULL) : NULL;
    if (place != NULL) {
        place->Lock = Lock;
        place->Unwatched = FALSE;
        place->Count = 0;
        __atomic_add_fetch(&ViRemoveLocksKnown, 1, __ATOMIC_RELAXED);
    }
    KiReleaseLockFromHigh(&ViRemoveLock, irql);
    if (known != NULL) {
        ViComplainOfRemoveLock(VI_REMOVE_AGAIN, (ULONG64)known, (ULONG64)Lock, 0,
                               "a remove lock is initialised a second time", VI_FRAME);
    }
    IoInitializeRemoveLockEx(Lock, AllocateTag, MaxLockedMinutes, HighWatermark, RemlockSize);
}
NT_VERIFIED(IoInitializeRemoveLockEx, ViInitializeRemoveLock);

static NTSTATUS NTAPI ViAcquireRemoveLock(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, PCSTR File, ULONG Line,
                                          ULONG RemlockSize) {
    ViCheckRemoveLockIrql(DISPATCH_LEVEL, VI_FRAME);
    NTSTATUS status = IoAcquireRemoveLockEx(RemoveLock, Tag, File, Line, RemlockSize);
    if (NT_SUCCESS(status)) {
        KIRQL irql = KiAcquireLockAtHigh(&ViRemoveLock);
        VI_REMOVE_LOCK *known = ViFindRemoveLock(RemoveLock);
        if (known != NULL && known->Count < VI_REMOVE_TAGS) {
            known->Tag[known->Count++] = Tag;
        } else if (known != NULL) {
            known->Unwatched = TRUE;
        }
        KiReleaseLockFromHigh(&ViRemoveLock, irql);
    }
    return status;
}
NT_VERIFIED(IoAcquireRemoveLockEx, ViAcquireRemoveLock);

/* FALSE: no acquisition has that tag. *other: the tag of one, NULL for none. */
static BOOLEAN ViTakeTag(PIO_REMOVE_LOCK lock, PVOID tag, PVOID *other) {
    BOOLEAN fits = TRUE;
    *other = NULL;
    KIRQL irql = KiAcquireLockAtHigh(&ViRemoveLock);
    VI_REMOVE_LOCK *known = ViFindRemoveLock(lock);
    if (known != NULL && !known->Unwatched) {
        ULONG i = 0;
        while (i < known->Count && known->Tag[i] != tag) {
            i++;
        }
        fits = i < known->Count;
        if (fits) {
            known->Tag[i] = known->Tag[--known->Count];
        } else if (known->Count != 0) {
            *other = known->Tag[known->Count - 1];
        }
    }
    KiReleaseLockFromHigh(&ViRemoveLock, irql);
    return fits || MUTANT(VfAnyRemoveTag, "RML-2", "the verifier does not compare the tags of a remove lock");
}

static VOID NTAPI ViReleaseRemoveLock(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize) {
    PVOID other;
    ViCheckRemoveLockIrql(DISPATCH_LEVEL, VI_FRAME);
    if (!ViTakeTag(RemoveLock, Tag, &other)) {
        ViComplainOfRemoveLock(VI_REMOVE_TAG, (ULONG64)RemoveLock, (ULONG64)Tag, 0,
                               "a remove lock is released with a tag that it was not acquired with", VI_FRAME);
    }
    IoReleaseRemoveLockEx(RemoveLock, Tag, RemlockSize);
}
NT_VERIFIED(IoReleaseRemoveLockEx, ViReleaseRemoveLock);

static VOID NTAPI ViReleaseRemoveLockAndWait(PIO_REMOVE_LOCK RemoveLock, PVOID Tag, ULONG RemlockSize) {
    PVOID other;
    ViCheckRemoveLockIrql(PASSIVE_LEVEL, VI_FRAME);
    if (!ViTakeTag(RemoveLock, Tag, &other)) {
        ViComplainOfRemoveLock(VI_REMOVE_LAST, (ULONG64)RemoveLock, (ULONG64)Tag, (ULONG64)other,
                               "a device is removed with a tag that its remove lock was not acquired with", VI_FRAME);
    }
    IoReleaseRemoveLockAndWaitEx(RemoveLock, Tag, RemlockSize);
}
NT_VERIFIED(IoReleaseRemoveLockAndWaitEx, ViReleaseRemoveLockAndWait);

VOID ViForgetRemoveLocks(ULONG64 address, ULONG64 bytes) {
    /* Relaxed: whoever gives a lock's storage back knows that it was initialised before. */
    if (__atomic_load_n(&ViRemoveLocksKnown, __ATOMIC_RELAXED) == 0) {
        return;
    }
    KIRQL irql = KiAcquireLockAtHigh(&ViRemoveLock);
    for (ULONG i = 0; i < VI_REMOVE_LOCKS; i++) {
        if (ViRemoveLocks[i].Lock != NULL && (ULONG64)ViRemoveLocks[i].Lock - address < bytes) {
            ViRemoveLocks[i].Lock = NULL;
            __atomic_sub_fetch(&ViRemoveLocksKnown, 1, __ATOMIC_RELAXED);
        }
    }
    KiReleaseLockFromHigh(&ViRemoveLock, irql);
}
