/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutexes (MUT-1 to MUT-5): free at SignalState 1, acquired n times by their owner at 1 - n. While a thread owns one it gets
 * no normal kernel APCs. One whose owner ends is abandoned: the next owner is told.
 */
#include "dispatcher.h"

#include "../include/mutant.h"

#define KI_MUTEX_INCREMENT 1 /* what a mutex raises the priority of its next owner by (KeReleaseMutex) */

VOID NTAPI KeInitializeMutex(PRKMUTEX Mutex, ULONG Level) {
    UNREFERENCED_PARAMETER(Level); /* reserved */
    KiInitializeHeader(&Mutex->Header, MutantObject, sizeof *Mutex, 1);
    InitializeListHead(&Mutex->MutantListEntry);
    Mutex->OwnerThread = NULL;
    Mutex->Abandoned = FALSE;
    Mutex->ApcDisable = 1;
}
NT_EXPORT(KeInitializeMutex);

/* It is free: what it did to its owner is undone, and the first of those that wait has it. */
static VOID KiFreeMutex(PKMUTANT mutex, PKTHREAD owner, BOOLEAN abandoned, KPRIORITY increment) {
    RemoveEntryList(&mutex->MutantListEntry);
    owner->Apc.KernelApcDisable = (SHORT)(owner->Apc.KernelApcDisable + mutex->ApcDisable);
    mutex->OwnerThread = NULL;
    mutex->Abandoned = abandoned;
    mutex->Header.SignalState = 1;
    KiTraceSignal(&mutex->Header);
    KiReleaseWaiters(&mutex->Header, increment);
}

LONG NTAPI KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait) {
    PKTHREAD thread = KiCurrentThread();
    KIRQL irql = KiLockDispatcher();
    LONG before = Mutex->Header.SignalState;
    if (Mutex->OwnerThread != thread &&
        (!MUTANT(MutexAnybodys, "MUT-1", "a thread releases another one's mutex") || Mutex->OwnerThread == NULL)) {
        KiUnlockDispatcher(irql);
        ExRaiseStatus(STATUS_MUTANT_NOT_OWNED);
    }
    if (before != 0) {
        Mutex->Header.SignalState++;
        KiTraceSignal(&Mutex->Header);
    } else {
        KiFreeMutex(Mutex, thread, FALSE, KI_MUTEX_INCREMENT);
        if (KiApcDeliverable(thread)) {
            KiRequestApc(thread);
        }
    }
    KiUnlockAfterSignal(irql, Wait);
    return before;
}
NT_EXPORT(KeReleaseMutex);

LONG NTAPI KeReadStateMutex(PRKMUTEX Mutex) {
    return __atomic_load_n(&Mutex->Header.SignalState, __ATOMIC_ACQUIRE);
}
NT_EXPORT(KeReadStateMutex);

VOID KiAbandonMutexes(PKTHREAD thread) {
    while (!IsListEmpty(&thread->Mutexes)) {
        PKMUTANT mutex = CONTAINING_RECORD(thread->Mutexes.Flink, KMUTANT, MutantListEntry);
        KiFreeMutex(mutex, thread, TRUE, KI_MUTEX_INCREMENT);
    }
}
