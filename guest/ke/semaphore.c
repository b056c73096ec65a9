/* SPDX-License-Identifier: Apache-2.0 */
/* Semaphores (SEM-1 to SEM-4): a count that a wait takes one of and that a release raises, never above its limit. */
#include "dispatcher.h"

#include "../include/mutant.h"

VOID NTAPI KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit) {
    KiInitializeHeader(&Semaphore->Header, SemaphoreObject, sizeof *Semaphore, Count);
    Semaphore->Limit = Limit;
}
NT_EXPORT(KeInitializeSemaphore);

LONG NTAPI KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, BOOLEAN Wait) {
    KIRQL irql = KiLockDispatcher();
    LONG before = Semaphore->Header.SignalState;
    if ((Adjustment <= 0 || Adjustment > Semaphore->Limit - before) &&
        !MUTANT(SemaphoreUnlimited, "SEM-1", "a semaphore has no limit")) {
        KiUnlockDispatcher(irql);
        ExRaiseStatus(STATUS_SEMAPHORE_LIMIT_EXCEEDED);
    }
    Semaphore->Header.SignalState = before + Adjustment;
    KiTraceSignal(&Semaphore->Header);
    KiReleaseWaiters(&Semaphore->Header, Increment);
    KiUnlockAfterSignal(irql, Wait);
    return before;
}
NT_EXPORT(KeReleaseSemaphore);

LONG NTAPI KeReadStateSemaphore(PRKSEMAPHORE Semaphore) {
    return __atomic_load_n(&Semaphore->Header.SignalState, __ATOMIC_ACQUIRE);
}
NT_EXPORT(KeReadStateSemaphore);
