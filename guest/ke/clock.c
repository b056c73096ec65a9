/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock interrupt of each CPU, at CLOCK_LEVEL: counts ticks and sees to DPCs that low importance left waiting, and to the
 * current thread's quantum. The boot CPU's keeps time and looks whether timers are due.
 */
#include "../hal/hal.h"
#include "../include/mutant.h"
#include "timer.h"

#define KI_DEFAULT_CLOCK_100NS 156250
#define KI_CLOCK_SKEW_100NS    100
#define KI_CLOCK_STARTS        100

ULONG KiClockPeriod100ns;

/* Here, if the interrupted code is below DISPATCH_LEVEL; otherwise on the CPU that first is (TMR-8). */
static VOID KiRequestExpiry(const KI_TRAP_FRAME *tick) {
    if (tick->PreviousIrql < DISPATCH_LEVEL ||
        MUTANT(TimerExpiryStaysHere, "TMR-8", "timers that are due wait for the boot CPU, whatever its IRQL")) {
        KiRequestDpcInterrupt(0);
    } else {
        KiRequestSharedDpc();
    }
}

static VOID KiClockInterrupt(KI_TRAP_FRAME *frame, PVOID context) {
    UNREFERENCED_PARAMETER(context);
    PKPRCB prcb = KiCurrentPrcb();
    prcb->ClockCount++;
    if (prcb->Number == 0) {
        KiAdvanceTime();
        if (KiTimersDue()) {
            KiRequestExpiry(frame);
        }
    }
    KiClockTickDpcs(prcb);
    KiTickThread(prcb);
}

VOID KiConnectClock(VOID) {
    KiClockPeriod100ns =
        HostBootOptions.ClockPeriod100ns != 0 ? HostBootOptions.ClockPeriod100ns : KI_DEFAULT_CLOCK_100NS;
    KiConnectVector(CLOCK_VECTOR, KiClockInterrupt, NULL, FALSE);
}

/*
 * Interrupt time is 0 just before the first period begins, so that each tick finds its own period complete and hardly more: timers
 * are later by whatever lies between. Where the host took the CPU away in between, the ticks are started again.
 */
VOID KiStartClock(VOID) {
    ULONG64 before, after;
    ULONG tries = 0;
    do {
        before = HalpCounterTo100ns(HalpReadCounter());
        HalpStartClock(KiClockPeriod100ns);
        after = HalpCounterTo100ns(HalpReadCounter());
    } while (after - before > KI_CLOCK_SKEW_100NS && ++tries < KI_CLOCK_STARTS);
    KiStartTime(HostBootOptions.SystemTime, before);
}

ULONG NTAPI KeQueryTimeIncrement(VOID) {
    return KiClockPeriod100ns;
}
NT_EXPORT(KeQueryTimeIncrement);
