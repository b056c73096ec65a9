/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock that every floor may use for its own few words: a test-and-set word held at HIGH_LEVEL, without trace records
 * and without an owner. What the trace, the interrupt path and the executive's own spin locks stand on.
 */
#pragma once

#include "ddk.h"

static inline ULONG64 KiDisableInterrupts(VOID) {
    ULONG64 flags;
    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
    return flags;
}

static inline VOID KiRestoreInterrupts(ULONG64 flags) {
    if (flags & 0x200u) {
        _enable();
    }
}

/* Any IRQL in, HIGH_LEVEL out; spins until the lock is free. Returns the IRQL before. */
static inline KIRQL KiAcquireLockAtHigh(KSPIN_LOCK *lock) {
    KIRQL irql = (KIRQL)__readcr8();
    __writecr8(HIGH_LEVEL);
    /* Acquire: what the last holder did is visible to the next. Relaxed in between: only a hint that it is worth while. */
    while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) != 0) {
        while (__atomic_load_n(lock, __ATOMIC_RELAXED) != 0) {
            _mm_pause();
        }
    }
    return irql;
}

/* HIGH_LEVEL in, irql out; the caller holds the lock. */
static inline VOID KiReleaseLockFromHigh(KSPIN_LOCK *lock, KIRQL irql) {
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
    __writecr8(irql);
}
