/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queued spin locks (spec section 3). The lock word is the last handle in the queue, 0 when free. Who comes appends itself
 * by one exchange and then spins on its own handle, a line that nobody else reads; who leaves stores to the next handle and
 * to nothing else. So a hand-off costs one store to another CPU however many wait, and the order is the order of arrival.
 *
 * Handle.LockQueue: Next is who comes after; Lock is the lock, its bit 0 set while the handle waits. What the structure pads
 * OldIrql with holds the CPU, for whoever queues behind it to say so in the trace.
 */
#include "locks.h"
#include "spinwait.h"

#include "../include/mutant.h"
#include "../trace/trace.h"

#define QUEUED_WAITS    1ull
#define QUEUED_BEHIND   (1ull << 32) /* TraceLockQueued: behind a CPU */
#define QUEUED_POINTERS (~QUEUED_WAITS)

/* A handle as it is used here. */
typedef struct _KI_QUEUED_HANDLE {
    KSPIN_LOCK_QUEUE LockQueue;
    KIRQL OldIrql;
    UCHAR Reserved[3];
    ULONG Cpu;
} KI_QUEUED_HANDLE;
C_ASSERT(sizeof(KI_QUEUED_HANDLE) == sizeof(KLOCK_QUEUE_HANDLE));
C_ASSERT(FIELD_OFFSET(KI_QUEUED_HANDLE, OldIrql) == FIELD_OFFSET(KLOCK_QUEUE_HANDLE, OldIrql));

VOID KiAcquireQueuedLock(PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle, ULONG64 caller) {
    KI_QUEUED_HANDLE *own = (KI_QUEUED_HANDLE *)handle;
    own->LockQueue.Next = NULL;
    own->Cpu = KiCurrentPrcb()->Number;
    own->LockQueue.Lock = (PKSPIN_LOCK)((ULONG64)lock | QUEUED_WAITS);
    /* Release: the handle is complete for whoever finds it in the word. Acquire: a free lock's last holder is done. */
    KI_QUEUED_HANDLE *before = (KI_QUEUED_HANDLE *)__atomic_exchange_n(lock, (KSPIN_LOCK)own, __ATOMIC_ACQ_REL);
    if (before != NULL && KiProcessorCount > 1) {
        trace(TraceLockWait, (ULONG64)lock, caller);
        trace(TraceLockQueued, (ULONG64)lock, QUEUED_BEHIND | before->Cpu); /* it stays until it has our Next */
        /* Release: the records above come before the hand-off that this store makes possible. */
        __atomic_store_n((KSPIN_LOCK_QUEUE **)&before->LockQueue.Next, &own->LockQueue, __ATOMIC_RELEASE);
        if (MUTANT(QueuedWatchesOther, "QSL-2", "a waiter watches the handle before its own")) {
            while (__atomic_load_n((PKSPIN_LOCK *)&before->LockQueue.Lock, __ATOMIC_ACQUIRE) == lock) {
                _mm_pause();
            }
        }
        /* Pairs with the hand-off; sequentially consistent as spinwait.c wants it. */
        KI_SPIN_WAIT wait = KiBeginSpinWait(own, 0);
        while (((ULONG64)__atomic_load_n((PKSPIN_LOCK *)&own->LockQueue.Lock, __ATOMIC_SEQ_CST) & QUEUED_WAITS) != 0) {
            KiSpin(&wait);
        }
        KiEndSpinWait(&wait);
    } else {
        own->LockQueue.Lock =
            lock; /* it was free; or, on one CPU, is this CPU's already: only the IRQL, as in spinlock.c */
    }
    trace(TraceLockAcquired, (ULONG64)lock, caller);
}

BOOLEAN KiTryToAcquireQueuedLock(PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle, ULONG64 caller) {
    KI_QUEUED_HANDLE *own = (KI_QUEUED_HANDLE *)handle;
    KSPIN_LOCK nobody = 0;
    own->LockQueue.Next = NULL;
    own->Cpu = KiCurrentPrcb()->Number;
    own->LockQueue.Lock = lock;
    /* Both as in KiAcquireQueuedLock. */
    if (!__atomic_compare_exchange_n(lock, &nobody, (KSPIN_LOCK)own, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        own->LockQueue.Lock = NULL;
        return FALSE;
    }
    trace(TraceLockAcquired, (ULONG64)lock, caller);
    trace(TraceLockQueued, (ULONG64)lock, KI_LOCK_TRIED);
    return TRUE;
}

PKSPIN_LOCK KiQueuedLockOf(const KLOCK_QUEUE_HANDLE *handle) {
    return (PKSPIN_LOCK)((ULONG64)handle->LockQueue.Lock & QUEUED_POINTERS);
}

/* A mutant's: takes the second waiter out of the queue and puts it before the first. */
static KSPIN_LOCK_QUEUE *KiPreferSecond(KSPIN_LOCK_QUEUE *first) {
    KSPIN_LOCK_QUEUE *second = first->Next;
    if (second == NULL || second->Next == NULL) { /* the last one may be gaining a successor: leave it where it is */
        return first;
    }
    first->Next = second->Next;
    second->Next = first;
    return second;
}

VOID KiReleaseQueuedLock(PKLOCK_QUEUE_HANDLE handle, ULONG64 caller) {
    KSPIN_LOCK_QUEUE *own = &handle->LockQueue;
    KSPIN_LOCK *lock = KiQueuedLockOf(handle);
    trace(TraceLockReleased, (ULONG64)lock, caller);
    /* Acquire: pairs with the store of Next; what the follower's handle says is then complete. */
    KSPIN_LOCK_QUEUE *next = __atomic_load_n((KSPIN_LOCK_QUEUE **)&own->Next, __ATOMIC_ACQUIRE);
    if (next == NULL) {
        KSPIN_LOCK expected = (KSPIN_LOCK)own;
        /* Release: the next holder sees what was done under the lock. */
        if (__atomic_compare_exchange_n(lock, &expected, 0, FALSE, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
            own->Lock = NULL;
            return;
        }
        if (KiProcessorCount == 1) { /* taken twice and released once by now */
            own->Lock = NULL;
            return;
        }
        while ((next = __atomic_load_n((KSPIN_LOCK_QUEUE **)&own->Next, __ATOMIC_ACQUIRE)) == NULL) {
            _mm_pause(); /* somebody is between its exchange and its store */
        }
    }
    own->Lock = NULL;
    if (MUTANT(QueuedOvertakes, "QSL-1", "the second in the queue is served before the first")) {
        next = KiPreferSecond(next);
    }
    ULONG cpu = ((KI_QUEUED_HANDLE *)next)->Cpu; /* the handle is the other's again once the store is done */
    /* The only store to another CPU's line. */
    __atomic_store_n((PKSPIN_LOCK *)&next->Lock, lock, __ATOMIC_SEQ_CST);
    KiWakeSpinnerOn(cpu, next, 0);
}

static VOID KiAcquireQueuedLockAt(PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle, KIRQL irql, ULONG64 caller) {
    handle->OldIrql = KiRaiseIrql(irql, caller);
    KiAcquireQueuedLock(lock, handle, caller);
}

VOID FASTCALL KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
    if (MUTANT(QueuedTakenBeforeRaise, "QSL-3", "the queue is joined at the caller's IRQL")) {
        KiAcquireQueuedLock(SpinLock, LockHandle, KI_CALLER);
        LockHandle->OldIrql = KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
        return;
    }
    KiAcquireQueuedLockAt(SpinLock, LockHandle, DISPATCH_LEVEL, KI_CALLER);
}
NT_EXPORT(KeAcquireInStackQueuedSpinLock);

VOID FASTCALL KeAcquireInStackQueuedSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
    if (MUTANT(QueuedSynchLow, "QSL-8", "the raise-to-synch form raises to DISPATCH_LEVEL only")) {
        KiAcquireQueuedLockAt(SpinLock, LockHandle, DISPATCH_LEVEL, KI_CALLER);
        return;
    }
    KiAcquireQueuedLockAt(SpinLock, LockHandle, KI_SYNCH_LEVEL, KI_CALLER);
}
NT_EXPORT(KeAcquireInStackQueuedSpinLockRaiseToSynch);

VOID FASTCALL KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle) {
    KIRQL old = LockHandle->OldIrql;
    KiReleaseQueuedLock(LockHandle, KI_CALLER);
    KiLowerIrql(old, KI_CALLER);
}
NT_EXPORT(KeReleaseInStackQueuedSpinLock);

VOID FASTCALL KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
    LockHandle->OldIrql = (KIRQL)__readcr8();
    KiAcquireQueuedLock(SpinLock, LockHandle, KI_CALLER);
}
NT_EXPORT(KeAcquireInStackQueuedSpinLockAtDpcLevel);

VOID FASTCALL KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle) {
    KiReleaseQueuedLock(LockHandle, KI_CALLER);
    if (MUTANT(QueuedFromDpcLowers, "QSL-6", "the FromDpcLevel form lowers the IRQL")) {
        KiLowerIrql(PASSIVE_LEVEL, KI_CALLER);
    }
}
NT_EXPORT(KeReleaseInStackQueuedSpinLockFromDpcLevel);

/* A threaded DPC calls at PASSIVE_LEVEL, or at DISPATCH_LEVEL where threaded DPCs are disabled. */
VOID FASTCALL KeAcquireInStackQueuedSpinLockForDpc(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
    LockHandle->OldIrql = (KIRQL)__readcr8();
    if (LockHandle->OldIrql < DISPATCH_LEVEL) {
        KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
    }
    KiAcquireQueuedLock(SpinLock, LockHandle, KI_CALLER);
}
NT_EXPORT(KeAcquireInStackQueuedSpinLockForDpc);

VOID FASTCALL KeReleaseInStackQueuedSpinLockForDpc(PKLOCK_QUEUE_HANDLE LockHandle) {
    KIRQL old = LockHandle->OldIrql;
    KiReleaseQueuedLock(LockHandle, KI_CALLER);
    if (old < DISPATCH_LEVEL) {
        KiLowerIrql(old, KI_CALLER);
    }
}
NT_EXPORT(KeReleaseInStackQueuedSpinLockForDpc);
