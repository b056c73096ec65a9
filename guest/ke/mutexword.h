/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fast and guarded mutexes have in common: a count, 1 when free, 0 when held, below 0 when so many wait or are about to,
 * and a synchronisation event for those. Who counts it down to 0 has it; a release that finds waiters sets the event once, and
 * the waiter that takes it has the mutex, so nobody else can come between. Waiters are served in the order in which they came
 * to the event.
 */
#pragma once

#include "ki.h"

#include "../include/mutant.h"

C_ASSERT(FIELD_OFFSET(KGUARDED_MUTEX, Count) == FIELD_OFFSET(FAST_MUTEX, Count));
C_ASSERT(FIELD_OFFSET(KGUARDED_MUTEX, Owner) == FIELD_OFFSET(FAST_MUTEX, Owner));
C_ASSERT(FIELD_OFFSET(KGUARDED_MUTEX, Contention) == FIELD_OFFSET(FAST_MUTEX, Contention));
C_ASSERT(FIELD_OFFSET(KGUARDED_MUTEX, Gate) == FIELD_OFFSET(FAST_MUTEX, Event));
C_ASSERT(sizeof(KGATE) == sizeof(KEVENT));

/* IRQL <= APC_LEVEL, APCs held back as the kind of mutex wants it. Waits; held at return. */
static inline VOID KiTakeMutexWord(FAST_MUTEX *mutex) {
    /* Acquire: what the last holder did is visible to the next; through the event it is the dispatcher lock that sees to it. */
    if (__atomic_sub_fetch(&mutex->Count, 1, __ATOMIC_ACQUIRE) < 0) {
        __atomic_add_fetch(&mutex->Contention, 1, __ATOMIC_RELAXED); /* a figure for people */
        if (!MUTANT(MutexWordDoesNotWait, "FMX-1 GMX-1", "a fast or guarded mutex that is held is not waited for")) {
            KeWaitForSingleObject(&mutex->Event, Executive, KernelMode, FALSE, NULL);
        }
    }
    mutex->Owner = KeGetCurrentThread();
}

static inline BOOLEAN KiTryMutexWord(FAST_MUTEX *mutex) {
    LONG expected = FM_LOCK_BIT;
    if (!__atomic_compare_exchange_n(&mutex->Count, &expected, 0, FALSE, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return FALSE;
    }
    mutex->Owner = KeGetCurrentThread();
    return TRUE;
}

static inline VOID KiGiveMutexWord(FAST_MUTEX *mutex) {
    mutex->Owner = NULL;
    if (__atomic_add_fetch(&mutex->Count, 1, __ATOMIC_RELEASE) <= 0) {
        if (!MUTANT(MutexWordForgetsWaiter, "FMX-1 GMX-1", "the release of a mutex does not wake who waits for it")) {
            KeSetEvent(&mutex->Event, EVENT_INCREMENT, FALSE);
        }
    }
}
