/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DPC watchdog (DPC-16): clock ticks are counted while one DPC routine runs, and while a CPU is found at
 * DISPATCH_LEVEL or above tick after tick; more than the allotment of either is bugcheck 0x133. The boot option gives the
 * first allotment, 0 for no watchdog; the second is six times that, as the documentation's own figures are (0x500 and
 * 0x1E00 ticks: 20 and 120 seconds). Only a tick is a look: an IRQL that was lowered and raised again between two ticks
 * without a DPC having run counts as never lowered.
 */
#include "../include/mutant.h"
#include "ki.h"

#define KI_DPC_WATCHDOG_PERIODS 6
#ifndef DPC_WATCHDOG_VIOLATION
#define DPC_WATCHDOG_VIOLATION 0x133 /* bug-check-0x133 */
#endif

static ULONG KiDpcWatchdogPeriod(VOID) {
    return HostBootOptions.DpcWatchdogTicks * KI_DPC_WATCHDOG_PERIODS;
}

VOID KiTickDpcWatchdog(PKPRCB prcb) {
    ULONG allotment = HostBootOptions.DpcWatchdogTicks;
    if (allotment == 0) {
        return;
    }
    KI_TRAP_FRAME *tick = prcb->InterruptFrame; /* this clock interrupt's own: it says what was interrupted */
    prcb->DispatchTicks = tick->PreviousIrql >= DISPATCH_LEVEL ? prcb->DispatchTicks + 1 : 0;
    if (prcb->DpcRoutineActive) {
        prcb->DpcTicks++;
    }
    if (MUTANT(DpcWatchdogSleeps, "DPC-16", "the DPC watchdog never bites")) {
        return;
    }
    if (prcb->DpcRoutineActive && prcb->DpcTicks > allotment) {
        KiBugCheckFrame(DPC_WATCHDOG_VIOLATION, 0, prcb->DpcTicks, allotment, 0, tick);
    }
    if (prcb->DispatchTicks > KiDpcWatchdogPeriod()) {
        KiBugCheckFrame(DPC_WATCHDOG_VIOLATION, 1, KiDpcWatchdogPeriod(), 0, 0, tick);
    }
}

static ULONG KiRemaining(ULONG limit, ULONG used) {
    return limit > used ? limit - used : 0;
}

NTSTATUS NTAPI KeQueryDpcWatchdogInformation(PKDPC_WATCHDOG_INFORMATION WatchdogInformation) {
    KIRQL irql = (KIRQL)__readcr8();
    __writecr8(HIGH_LEVEL); /* the figures are one CPU's, of one moment */
    PKPRCB prcb = KiCurrentPrcb();
    BOOLEAN allowed = KiInDpc(prcb) || irql >= DISPATCH_LEVEL;
    ULONG used = prcb->DpcRoutineActive ? prcb->DpcTicks : 0;
    ULONG spent = prcb->DispatchTicks;
    __writecr8(irql);
    if (!allowed && !MUTANT(DpcQueryAnywhere, "DPC-16", "KeQueryDpcWatchdogInformation succeeds outside of a DPC")) {
        return STATUS_UNSUCCESSFUL;
    }
    WatchdogInformation->DpcTimeLimit = HostBootOptions.DpcWatchdogTicks;
    WatchdogInformation->DpcTimeCount = KiRemaining(HostBootOptions.DpcWatchdogTicks, used);
    WatchdogInformation->DpcWatchdogLimit = KiDpcWatchdogPeriod();
    WatchdogInformation->DpcWatchdogCount = KiRemaining(KiDpcWatchdogPeriod(), spent);
    WatchdogInformation->Reserved = 0;
    return STATUS_SUCCESS;
}
NT_EXPORT(KeQueryDpcWatchdogInformation);
