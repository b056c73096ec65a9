/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entering an interrupt's spin lock from below (spec section 7): KeSynchronizeExecution and the two routines that it is
 * made of.
 */
#include "../include/mutant.h"
#include "ki.h"

#include "../trace/trace.h"

#ifndef DRIVER_VIOLATION
#define DRIVER_VIOLATION 0x121
#endif

VOID KiAcquirePassiveInterrupt(PKINTERRUPT interrupt) {
    KeWaitForSingleObject(interrupt->PassiveLock, Executive, KernelMode, FALSE, NULL);
}

VOID KiReleasePassiveInterrupt(PKINTERRUPT interrupt) {
    KeSetEvent(interrupt->PassiveLock, IO_NO_INCREMENT, FALSE);
}

static BOOLEAN KiSynchronizePassive(PKINTERRUPT interrupt, PKSYNCHRONIZE_ROUTINE shown, PKSYNCHRONIZE_ROUTINE routine,
                                    PVOID context) {
    BOOLEAN lock = !MUTANT(PassiveSyncWithoutLock, "INT-9",
                           "KeSynchronizeExecution does not wait for a passive-level service routine");
    if (lock) {
        KiAcquirePassiveInterrupt(interrupt);
    }
    trace(TraceWorkStart, (ULONG64)interrupt, (ULONG64)shown);
    BOOLEAN value = routine(context);
    trace(TraceWorkEnd, (ULONG64)interrupt, (ULONG64)shown);
    if (lock) {
        KiReleasePassiveInterrupt(interrupt);
    }
    return value;
}

BOOLEAN KiSynchronizeExecution(PKINTERRUPT interrupt, PKSYNCHRONIZE_ROUTINE shown, PKSYNCHRONIZE_ROUTINE routine,
                               PVOID context, ULONG64 caller) {
    if (interrupt->PassiveLock != NULL) {
        return KiSynchronizePassive(interrupt, shown, routine, context);
    }
    KIRQL level = interrupt->Parameters.SynchronizeIrql;
    trace(TraceSyncRequest, (ULONG64)interrupt, (ULONG64)shown);
    if (MUTANT(SyncAtDispatch, "SYN-1 SYN-2", "a synchronised routine runs at DISPATCH_LEVEL")) {
        level = DISPATCH_LEVEL;
    }
    KIRQL old = KiRaiseIrql(level, caller);
    BOOLEAN lock = !MUTANT(SyncWithoutLock, "SYN-3", "a synchronised routine runs without the interrupt spin lock");
    if (lock) {
        KiAcquireInterruptLock(interrupt->ActualLock, caller);
    }
    trace(TraceSyncEnter, (ULONG64)interrupt, (ULONG64)shown);
    BOOLEAN value = routine(context);
    trace(TraceSyncExit, (ULONG64)interrupt, value);
    if (lock) {
        KiReleaseInterruptLock(interrupt->ActualLock, caller);
    }
    if (!MUTANT(SyncKeepsIrql, "SYN-1", "KeSynchronizeExecution returns at SynchronizeIrql")) {
        KiLowerIrql(old, caller);
    }
    trace(TraceSyncReturn, (ULONG64)interrupt, value);
    if (MUTANT(SyncValueIsTruth, "SYN-1", "KeSynchronizeExecution returns TRUE for any other true value")) {
        value = value != FALSE;
    }
    return value;
}

BOOLEAN NTAPI KeSynchronizeExecution(PKINTERRUPT Interrupt, PKSYNCHRONIZE_ROUTINE SynchronizeRoutine,
                                     PVOID SynchronizeContext) {
    return KiSynchronizeExecution(Interrupt, SynchronizeRoutine, SynchronizeRoutine, SynchronizeContext, KI_CALLER);
}
NT_EXPORT(KeSynchronizeExecution);

/* The code is the one for a driver that breaks a rule (bug-check-0x121). */
VOID KiRefusePassive(PKINTERRUPT interrupt, ULONG64 caller) {
    if (interrupt->PassiveLock != NULL &&
        !MUTANT(PassiveSpinLock, "INT-9", "KeAcquireInterruptSpinLock takes a passive-level interrupt")) {
        KeBugCheckEx(DRIVER_VIOLATION, 0, (ULONG64)interrupt, caller, 0);
    }
}

KIRQL NTAPI KeAcquireInterruptSpinLock(PKINTERRUPT Interrupt) {
    KiRefusePassive(Interrupt, KI_CALLER);
    KIRQL old = KiRaiseIrql(Interrupt->Parameters.SynchronizeIrql, KI_CALLER);
    if (!MUTANT(InterruptLockNotTaken, "INT-10", "KeAcquireInterruptSpinLock only raises IRQL")) {
        KiAcquireInterruptLock(Interrupt->ActualLock, KI_CALLER);
    }
    return old;
}
NT_EXPORT(KeAcquireInterruptSpinLock);

VOID NTAPI KeReleaseInterruptSpinLock(PKINTERRUPT Interrupt, KIRQL OldIrql) {
    KiRefusePassive(Interrupt, KI_CALLER);
    if (!MUTANT(InterruptLockNotTaken, "INT-10", "KeAcquireInterruptSpinLock only raises IRQL")) {
        KiReleaseInterruptLock(Interrupt->ActualLock, KI_CALLER);
    }
    if (!MUTANT(InterruptReleaseStays, "INT-10", "KeReleaseInterruptSpinLock leaves the IRQL raised")) {
        KiLowerIrql(OldIrql, KI_CALLER);
    }
}
NT_EXPORT(KeReleaseInterruptSpinLock);
