/* SPDX-License-Identifier: Apache-2.0 */
/* The tick: each CPU's own local APIC timer at CLOCK_LEVEL. The timer counts nanoseconds (QEMU's runs at 1 GHz). */
#include "hal.h"

#include "../include/vectors.h"
#include "regs.h"

VOID HalpStartClock(ULONG period_100ns) {
    lapic_timer_periodic(CLOCK_VECTOR, (ULONG64)period_100ns * 100);
}
