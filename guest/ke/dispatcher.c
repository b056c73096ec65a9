/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatcher lock: how it is taken, handed from one thread of a CPU to the next, and let go (dispatcher.h). */
#include "dispatcher.h"
#include "spinwait.h"

#include "../include/mutant.h"

static KSPIN_LOCK KiDispatcherLock; /* 0: free, else the holder's PRCB */

/* Not in the trace: what the oracle says of spin locks is to be about the drivers'. Otherwise as in ke/spinlock.c. */
static BOOLEAN KiTryDispatcher(VOID) {
    KSPIN_LOCK expected = 0;
    /* Acquire: pairs with the store in KiFreeDispatcher. */
    return __atomic_compare_exchange_n(&KiDispatcherLock, &expected, (KSPIN_LOCK)KiCurrentPrcb(), FALSE,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
        ? TRUE
        : FALSE;
}

VOID KiTakeDispatcher(VOID) {
    if (KiTryDispatcher()) {
        return;
    }
    KI_SPIN_WAIT wait = KiBeginSpinWait(&KiDispatcherLock, 0);
    do {
        while (__atomic_load_n(&KiDispatcherLock, __ATOMIC_SEQ_CST) != 0) { /* as spinwait.c wants it */
            KiSpin(&wait);
        }
    } while (!KiTryDispatcher());
    KiEndSpinWait(&wait);
}

static VOID KiFreeDispatcher(VOID) {
    __atomic_store_n(&KiDispatcherLock, 0, __ATOMIC_SEQ_CST); /* releases; more than that as spinwait.c wants it */
    KiWakeSpinner(&KiDispatcherLock, 0);
}

KIRQL KiLockDispatcher(VOID) {
    PKTHREAD thread = KiCurrentThread();
    if (thread->WaitNext) { /* since a routine that was called with Wait = TRUE */
        thread->WaitNext = FALSE;
        return thread->WaitIrql;
    }
    KIRQL irql = (KIRQL)__readcr8();
    if (irql < DISPATCH_LEVEL) {
        __writecr8(DISPATCH_LEVEL);
    }
    KiTakeDispatcher();
    return irql;
}

VOID KiReleaseDispatcher(KIRQL irql) {
    PKPRCB prcb = KiCurrentPrcb();
    PKTHREAD dead = prcb->DeadThread;
    prcb->DeadThread = NULL;
    KiFreeDispatcher();
    if (dead != NULL) {
        dead->Reap(dead);
        /* Release: whoever sees that none is ending any more sees what was given back. */
        __atomic_sub_fetch(&KiThreadsEnding, 1, __ATOMIC_RELEASE);
    }
    if (irql < DISPATCH_LEVEL) {
        __writecr8(irql);
    }
}

VOID KiUnlockDispatcher(KIRQL irql) {
    KiLetNextRun(irql);
    KiReleaseDispatcher(irql);
}

VOID KiUnlockAfterSignal(KIRQL irql, BOOLEAN wait) {
    if (!wait || MUTANT(WaitTrueIgnored, "EVT-4", "Wait = TRUE is ignored")) {
        KiUnlockDispatcher(irql);
        return;
    }
    PKTHREAD thread = KiCurrentThread();
    thread->WaitNext = TRUE;
    thread->WaitIrql = irql;
}
