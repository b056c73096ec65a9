/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for DPCs: a marker is a DPC of its own, put at the end of a queue; when it runs, what was before it has been
 * taken. The markers are on the caller's stack, so any number of callers flush at the same time.
 */
#include "../include/mutant.h"
#include "ki.h"

#define KI_FLUSH_BATCH 8 /* markers on the stack at a time */

static VOID NTAPI KiFlushMarker(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
}

VOID KiDpcHasEnded(const KI_DPC_CALL *call) {
    if (call->Routine == KiFlushMarker) {
        /* Release: what the DPCs before this one did, and every record of them, is visible to whoever sees the count. */
        __atomic_add_fetch((volatile LONG *)call->Context, 1, __ATOMIC_RELEASE);
    }
}

static VOID KiAwaitMarkers(const volatile LONG *passed, LONG wanted) {
    while (__atomic_load_n(passed, __ATOMIC_ACQUIRE) != wanted) {
        _mm_pause();
    }
}

/* MediumHigh: the tail, and drained at once on another CPU too. */
static VOID KiInsertMarker(PKDPC marker, KI_DPC_QUEUE *queue, volatile LONG *passed) {
    KeInitializeDpc(marker, KiFlushMarker, (PVOID)passed);
    marker->Importance = MediumHighImportance;
    KiInsertDpc(marker, queue, NULL, NULL);
}

/*
 * Whether a CPU has threaded DPCs, waiting or running. Its thread says that it is active before it takes one off the queue:
 * with an empty queue seen first (acquire) and no active thread then, all that was ever queued has returned.
 */
static BOOLEAN KiHasThreadedDpcs(const KPRCB *prcb) {
    return __atomic_load_n(&prcb->ThreadedDpcQueue.Depth, __ATOMIC_ACQUIRE) != 0 ||
        __atomic_load_n(&prcb->ThreadedDpcActive, __ATOMIC_ACQUIRE) != FALSE;
}

static VOID KiFlushOrdinary(VOID) {
    KDPC markers[KI_FLUSH_BATCH];
    for (ULONG first = 0; first < KiProcessorCount; first += KI_FLUSH_BATCH) {
        volatile LONG passed = 0;
        LONG count = 0;
        for (ULONG cpu = first; cpu < KiProcessorCount && count < KI_FLUSH_BATCH; cpu++, count++) {
            KiInsertMarker(&markers[count], &KiPcr[cpu].Prcb.DpcQueue, &passed);
        }
        KiAwaitMarkers(&passed, count);
    }
}

/* One CPU after the other: they are rare. */
static VOID KiFlushThreaded(VOID) {
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        PKPRCB prcb = &KiPcr[cpu].Prcb;
        if (KiHasThreadedDpcs(prcb)) {
            KDPC marker;
            volatile LONG passed = 0;
            KeInitializeThreadedDpc(&marker, KiFlushMarker, (PVOID)&passed);
            KiInsertDpc(&marker, &prcb->ThreadedDpcQueue, NULL, NULL);
            KiAwaitMarkers(&passed, 1);
        }
    }
}

/*
 * First the shared queue: when its marker runs, what was before it has been taken by some CPU. Then each CPU's own: a CPU
 * comes to the marker only when the DPC that it was running has returned. Threaded ones last, in the same way.
 */
VOID NTAPI KeFlushQueuedDpcs(VOID) {
    PKPRCB prcb = KiCurrentPrcb();
    if (KiInDpc(prcb)) { /* what it would wait for comes after its caller */
        KeBugCheckEx(ATTEMPTED_SWITCH_FROM_DPC, (ULONG64)prcb->CurrentThread, 0, (ULONG64)__builtin_frame_address(0),
                     0);
    }
    if (MUTANT(DpcFlushDoesNotWait, "DPC-14", "KeFlushQueuedDpcs returns at once")) {
        return;
    }
    KDPC marker;
    volatile LONG passed = 0;
    KiInsertMarker(&marker, &KiSharedDpcQueue, &passed);
    KiAwaitMarkers(&passed, 1);
    if (MUTANT(DpcFlushForgetsRunning, "DPC-14", "KeFlushQueuedDpcs waits for the queues, not for who runs")) {
        return;
    }
    KiFlushOrdinary();
    KiFlushThreaded();
}
NT_EXPORT(KeFlushQueuedDpcs);
