/* SPDX-License-Identifier: Apache-2.0 */
/* The clock interrupt of each CPU, at CLOCK_LEVEL: counts ticks and sees to DPCs that low importance left waiting. */
#include "ki.h"

#include "../hal/hal.h"

#define KI_DEFAULT_CLOCK_100NS 156250

ULONG KiClockPeriod100ns;

static VOID KiClockInterrupt(KI_TRAP_FRAME *frame, PVOID context) {
    UNREFERENCED_PARAMETER(frame);
    UNREFERENCED_PARAMETER(context);
    PKPRCB prcb = KiCurrentPrcb();
    prcb->ClockCount++;
    KiClockTickDpcs(prcb);
}

VOID KiConnectClock(VOID) {
    KiClockPeriod100ns =
        HostBootOptions.ClockPeriod100ns != 0 ? HostBootOptions.ClockPeriod100ns : KI_DEFAULT_CLOCK_100NS;
    KiConnectVector(CLOCK_VECTOR, KiClockInterrupt, NULL, FALSE);
}

ULONG NTAPI KeQueryTimeIncrement(VOID) {
    return KiClockPeriod100ns;
}
NT_EXPORT(KeQueryTimeIncrement);
