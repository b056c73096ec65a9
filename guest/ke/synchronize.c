/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entering an interrupt's spin lock from below (spec section 7): KeSynchronizeExecution and the two routines that it is
 * made of.
 */
#include "../include/mutant.h"
#include "ki.h"

#include "../trace/trace.h"

BOOLEAN NTAPI KeSynchronizeExecution(PKINTERRUPT Interrupt, PKSYNCHRONIZE_ROUTINE SynchronizeRoutine,
                                     PVOID SynchronizeContext) {
    KIRQL level = Interrupt->Parameters.SynchronizeIrql;
    trace(TraceSyncRequest, (ULONG64)Interrupt, (ULONG64)SynchronizeRoutine);
    if (MUTANT(SyncAtDispatch, "SYN-1 SYN-2", "a synchronised routine runs at DISPATCH_LEVEL")) {
        level = DISPATCH_LEVEL;
    }
    KIRQL old = KiRaiseIrql(level, KI_CALLER);
    BOOLEAN lock = !MUTANT(SyncWithoutLock, "SYN-3", "a synchronised routine runs without the interrupt spin lock");
    if (lock) {
        KiAcquireInterruptLock(Interrupt->ActualLock, KI_CALLER);
    }
    trace(TraceSyncEnter, (ULONG64)Interrupt, (ULONG64)SynchronizeRoutine);
    BOOLEAN value = SynchronizeRoutine(SynchronizeContext);
    trace(TraceSyncExit, (ULONG64)Interrupt, value);
    if (lock) {
        KiReleaseInterruptLock(Interrupt->ActualLock, KI_CALLER);
    }
    if (!MUTANT(SyncKeepsIrql, "SYN-1", "KeSynchronizeExecution returns at SynchronizeIrql")) {
        KiLowerIrql(old, KI_CALLER);
    }
    trace(TraceSyncReturn, (ULONG64)Interrupt, value);
    if (MUTANT(SyncValueIsTruth, "SYN-1", "KeSynchronizeExecution returns TRUE for any other true value")) {
        value = value != FALSE;
    }
    return value;
}
NT_EXPORT(KeSynchronizeExecution);

KIRQL NTAPI KeAcquireInterruptSpinLock(PKINTERRUPT Interrupt) {
    KIRQL old = KiRaiseIrql(Interrupt->Parameters.SynchronizeIrql, KI_CALLER);
    if (!MUTANT(InterruptLockNotTaken, "INT-10", "KeAcquireInterruptSpinLock only raises IRQL")) {
        KiAcquireInterruptLock(Interrupt->ActualLock, KI_CALLER);
    }
    return old;
}
NT_EXPORT(KeAcquireInterruptSpinLock);

VOID NTAPI KeReleaseInterruptSpinLock(PKINTERRUPT Interrupt, KIRQL OldIrql) {
    if (!MUTANT(InterruptLockNotTaken, "INT-10", "KeAcquireInterruptSpinLock only raises IRQL")) {
        KiReleaseInterruptLock(Interrupt->ActualLock, KI_CALLER);
    }
    KiLowerIrql(OldIrql, KI_CALLER);
}
NT_EXPORT(KeReleaseInterruptSpinLock);
