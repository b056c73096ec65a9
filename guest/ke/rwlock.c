/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader/writer spin locks (spec section 4): one word that counts its readers and the writers that wait, and says whether a
 * writer is in. A reader enters only where neither is; so a writer that has announced itself is passed by no reader that
 * comes later, until it has been in and out (RW-2). Readers have no order among themselves, nor do writers.
 */
#include "locks.h"
#include "spinwait.h"

#include "../include/mutant.h"
#include "../trace/trace.h"

#define RW_READER    1u          /* bits 0 to 15: readers that are in */
#define RW_READERS   0x0000ffffu /*   more than a machine has CPUs and levels */
#define RW_WAITER    0x00010000u /* bits 16 to 30: writers that wait */
#define RW_WAITERS   0x7fff0000u
#define RW_EXCLUSIVE 0x80000000u /* a writer is in */

static ULONG *KiRwWord(PEX_SPIN_LOCK lock) {
    return (ULONG *)lock;
}

/* Acquire: what the last writer did is visible. */
static BOOLEAN KiRwExchange(ULONG *word, ULONG from, ULONG to) {
    return __atomic_compare_exchange_n(word, &from, to, FALSE, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED) ? TRUE : FALSE;
}

BOOLEAN KiTryToAcquireSharedLock(PEX_SPIN_LOCK lock, ULONG64 caller) {
    ULONG *word = KiRwWord(lock);
    ULONG closed = RW_EXCLUSIVE | RW_WAITERS;
    if (MUTANT(RwReaderOvertakes, "RW-2", "a reader enters although a writer waits")) {
        closed = RW_EXCLUSIVE;
    }
    for (;;) {
        /* Relaxed: the exchange orders. */
        ULONG value = __atomic_load_n(word, __ATOMIC_RELAXED);
        if ((value & closed) != 0) {
            return FALSE;
        }
        if (KiRwExchange(word, value, value + RW_READER)) {
            trace(TraceLockSharedAcquired, (ULONG64)lock, caller);
            return TRUE;
        }
    }
}

VOID KiAcquireSharedLock(PEX_SPIN_LOCK lock, ULONG64 caller) {
    if (KiTryToAcquireSharedLock(lock, caller)) {
        return;
    }
    if (KiProcessorCount == 1) { /* only the IRQL, as in spinlock.c */
        __atomic_add_fetch(KiRwWord(lock), RW_READER, __ATOMIC_RELAXED);
        trace(TraceLockSharedAcquired, (ULONG64)lock, caller);
        return;
    }
    trace(TraceLockSharedWait, (ULONG64)lock, caller);
    KI_SPIN_WAIT wait = KiBeginSpinWait(lock, 0);
    while (!KiTryToAcquireSharedLock(lock, caller)) {
        KiSpin(&wait);
    }
    KiEndSpinWait(&wait);
}

VOID KiReleaseSharedLock(PEX_SPIN_LOCK lock, ULONG64 caller) {
    trace(TraceLockSharedReleased, (ULONG64)lock, caller);
    /* Release: a writer that sees the count fall sees the end of this reader's reads. */
    __atomic_sub_fetch(KiRwWord(lock), RW_READER, __ATOMIC_SEQ_CST);
    KiWakeSpinners(lock); /* as often as not a writer, which only the last reader lets in */
}

static BOOLEAN KiTakeExclusiveLock(PEX_SPIN_LOCK lock, ULONG64 caller) {
    if (!KiRwExchange(KiRwWord(lock), 0, RW_EXCLUSIVE)) {
        return FALSE;
    }
    trace(TraceLockAcquired, (ULONG64)lock, caller);
    return TRUE;
}

BOOLEAN KiTryToAcquireExclusiveLock(PEX_SPIN_LOCK lock, ULONG64 caller) {
    if (!KiTakeExclusiveLock(lock, caller)) {
        return FALSE;
    }
    trace(TraceLockQueued, (ULONG64)lock, KI_LOCK_TRIED);
    return TRUE;
}

VOID KiAcquireExclusiveLock(PEX_SPIN_LOCK lock, ULONG64 caller) {
    ULONG *word = KiRwWord(lock);
    ULONG occupied = RW_EXCLUSIVE | RW_READERS;
    if (KiTakeExclusiveLock(lock, caller)) {
        return;
    }
    if (KiProcessorCount == 1) {
        __atomic_or_fetch(word, RW_EXCLUSIVE, __ATOMIC_RELAXED);
        trace(TraceLockAcquired, (ULONG64)lock, caller);
        return;
    }
    if (MUTANT(RwWriterJoinsReaders, "RW-1", "a writer enters among readers")) {
        occupied = RW_EXCLUSIVE;
    }
    /* Relaxed: only closes the door to readers; the exchange below orders. */
    __atomic_add_fetch(word, RW_WAITER, __ATOMIC_RELAXED);
    trace(TraceLockWait, (ULONG64)lock, caller); /* after it: from here on the trace can tell who passes the writer */
    KI_SPIN_WAIT wait = KiBeginSpinWait(lock, 0);
    for (;;) {
        ULONG value = __atomic_load_n(word, __ATOMIC_SEQ_CST); /* as spinwait.c wants it */
        if ((value & occupied) == 0 && KiRwExchange(word, value, (value - RW_WAITER) | RW_EXCLUSIVE)) {
            break;
        }
        KiSpin(&wait);
    }
    KiEndSpinWait(&wait);
    trace(TraceLockAcquired, (ULONG64)lock, caller);
}

VOID KiReleaseExclusiveLock(PEX_SPIN_LOCK lock, ULONG64 caller) {
    trace(TraceLockReleased, (ULONG64)lock, caller);
    /* Release: the next holder sees what was done. The writers that wait stay counted. */
    __atomic_and_fetch(KiRwWord(lock), ~RW_EXCLUSIVE, __ATOMIC_SEQ_CST);
    KiWakeSpinners(lock);
}

BOOLEAN KiTryToConvertSharedLock(PEX_SPIN_LOCK lock, ULONG64 caller) {
    ULONG *word = KiRwWord(lock);
    if (MUTANT(RwConvertsAmongReaders, "RW-3", "a reader becomes the writer while others read")) {
        ULONG value = __atomic_load_n(word, __ATOMIC_RELAXED);
        if (!KiRwExchange(word, value, (value - RW_READER) | RW_EXCLUSIVE)) {
            return FALSE;
        }
    } else if (!KiRwExchange(word, RW_READER, RW_EXCLUSIVE)) {
        return FALSE;
    }
    /* Both at once, in fact: nobody can come in between. */
    trace(TraceLockSharedReleased, (ULONG64)lock, caller);
    trace(TraceLockAcquired, (ULONG64)lock, caller);
    trace(TraceLockQueued, (ULONG64)lock, KI_LOCK_TRIED);
    return TRUE;
}

KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock) {
    KIRQL old = KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
    KiAcquireSharedLock(SpinLock, KI_CALLER);
    return old;
}
NT_EXPORT(ExAcquireSpinLockShared);

VOID NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql) {
    KiReleaseSharedLock(SpinLock, KI_CALLER);
    if (MUTANT(RwReleaseStaysRaised, "RW-5", "a reader's release leaves the IRQL raised")) {
        return;
    }
    KiLowerIrql(OldIrql, KI_CALLER);
}
NT_EXPORT(ExReleaseSpinLockShared);

VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock) {
    KiAcquireSharedLock(SpinLock, KI_CALLER);
}
NT_EXPORT(ExAcquireSpinLockSharedAtDpcLevel);

VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock) {
    KiReleaseSharedLock(SpinLock, KI_CALLER);
}
NT_EXPORT(ExReleaseSpinLockSharedFromDpcLevel);

KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock) {
    KIRQL old = KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
    KiAcquireExclusiveLock(SpinLock, KI_CALLER);
    return old;
}
NT_EXPORT(ExAcquireSpinLockExclusive);

VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql) {
    KiReleaseExclusiveLock(SpinLock, KI_CALLER);
    KiLowerIrql(OldIrql, KI_CALLER);
}
NT_EXPORT(ExReleaseSpinLockExclusive);

VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock) {
    KiAcquireExclusiveLock(SpinLock, KI_CALLER);
}
NT_EXPORT(ExAcquireSpinLockExclusiveAtDpcLevel);

VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock) {
    KiReleaseExclusiveLock(SpinLock, KI_CALLER);
}
NT_EXPORT(ExReleaseSpinLockExclusiveFromDpcLevel);

LOGICAL NTAPI ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock) {
    return KiTryToAcquireSharedLock(SpinLock, KI_CALLER);
}
NT_EXPORT(ExTryAcquireSpinLockSharedAtDpcLevel);

LOGICAL NTAPI ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock) {
    return KiTryToAcquireExclusiveLock(SpinLock, KI_CALLER);
}
NT_EXPORT(ExTryAcquireSpinLockExclusiveAtDpcLevel);

LOGICAL NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock) {
    return KiTryToConvertSharedLock(SpinLock, KI_CALLER);
}
NT_EXPORT(ExTryConvertSharedSpinLockExclusive);
