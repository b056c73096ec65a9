/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spin lock of an interrupt object, taken around its service routine and by KeSynchronizeExecution: a ticket lock, so
 * that routines at one IRQL are served first come, first served across the machine (spec INT-11, SYS-9). Executive spin
 * locks are another matter (ke/spinlock.c), and no lock may be used as both.
 *
 * Order: the draw needs none, for it gives nothing but a place; seeing one's ticket served acquires, and the store that
 * serves the next releases. Only the holder writes Serving and Holder.
 *
 * On a machine of one CPU the lock is its IRQL and nothing else: nobody could wait.
 */
#include "../include/mutant.h"
#include "spinwait.h"

#include "../trace/trace.h"

#define QUEUED_BY_TICKET (2ull << 32)

static volatile ULONG64 KiImpatient; /* only the mutant's: CPUs that want a lock */

static VOID KiTakeTicket(KI_INTERRUPT_LOCK *lock, ULONG64 caller) {
    USHORT ticket = __atomic_fetch_add(&lock->Next, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&lock->Serving, __ATOMIC_ACQUIRE) == ticket) {
        return;
    }
    trace(TraceLockWait, (ULONG64)lock, caller);
    trace(TraceLockQueued, (ULONG64)lock, QUEUED_BY_TICKET | ticket);
    if (MUTANT(InterruptWaiterIsDeaf, "SYS-8 SYN-2",
               "no interrupt comes to a CPU that waits for an interrupt spin lock")) {
        ULONG64 flags = KiDisableInterrupts();
        while (__atomic_load_n(&lock->Serving, __ATOMIC_SEQ_CST) != ticket) {
            _mm_pause();
        }
        KiRestoreInterrupts(flags);
        return;
    }
    KI_SPIN_WAIT wait = KiBeginSpinWait(&lock->Serving, ticket);
    while (__atomic_load_n(&lock->Serving, __ATOMIC_SEQ_CST) != ticket) {
        KiSpin(&wait);
    }
    KiEndSpinWait(&wait);
}

VOID KiAcquireInterruptLock(PKSPIN_LOCK SpinLock, ULONG64 caller) {
    KI_INTERRUPT_LOCK *lock = (KI_INTERRUPT_LOCK *)SpinLock;
    if (MUTANT(InterruptLockUnfair, "INT-11 SYS-9 SYN-6", "the waiting CPU of the highest number is served first")) {
        ULONG64 own = 1ull << KiCurrentPrcb()->Number;
        __atomic_add_fetch(&lock->Next, 1, __ATOMIC_RELAXED); /* for whoever counts who has asked */
        __atomic_or_fetch(&KiImpatient, own, __ATOMIC_SEQ_CST);
        for (ULONG nobody = 0;; nobody = 0) {
            if (__atomic_load_n(&KiImpatient, __ATOMIC_SEQ_CST) < own * 2 &&
                __atomic_compare_exchange_n(&lock->Holder, &nobody, 1, FALSE, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
                break;
            }
            _mm_pause();
        }
        __atomic_and_fetch(&KiImpatient, ~own, __ATOMIC_SEQ_CST);
        trace(TraceLockAcquired, (ULONG64)lock, caller);
        return;
    }
    if (KiProcessorCount > 1) {
        KiTakeTicket(lock, caller);
    }
    lock->Holder = KiCurrentPrcb()->Number + 1;
    trace(TraceLockAcquired, (ULONG64)lock, caller);
}

VOID KiReleaseInterruptLock(PKSPIN_LOCK SpinLock, ULONG64 caller) {
    KI_INTERRUPT_LOCK *lock = (KI_INTERRUPT_LOCK *)SpinLock;
    trace(TraceLockReleased, (ULONG64)lock, caller);
    if (MUTANT(InterruptLockUnfair, "INT-11 SYS-9 SYN-6", "the waiting CPU of the highest number is served first")) {
        __atomic_store_n(&lock->Holder, 0, __ATOMIC_SEQ_CST);
        return;
    }
    lock->Holder = 0;
    if (KiProcessorCount > 1) {
        USHORT next = (USHORT)(lock->Serving + 1);
        __atomic_store_n(&lock->Serving, next, __ATOMIC_SEQ_CST); /* as spinwait.c wants it */
        if (__atomic_load_n(&lock->Next, __ATOMIC_RELAXED) != next) {
            KiWakeSpinner(&lock->Serving, next);
        }
    }
}
