/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one counter of the machine: the HPET's main counter, which runs on while interrupts are held back and is the same for
 * every CPU (IA-PC HPET specification 1.0a, 2.3). Its comparators are not used: the ticks are the local APICs'.
 */
#include "hal.h"

#include "regs.h"

static volatile UCHAR *HpetBase;
static ULONG64 HpetFrequency; /* counts a second */
static ULONG HpetPer100ns;    /* counts in 100 ns */

static ULONG hpet_read(ULONG offset) {
    return *(volatile ULONG *)(HpetBase + offset);
}

static VOID hpet_write(ULONG offset, ULONG value) {
    *(volatile ULONG *)(HpetBase + offset) = value;
}

VOID hpet_use(volatile VOID *registers) {
    HpetBase = registers;
    ULONG period = hpet_read(HPET_PERIOD);
    /* Whole counts in 100 ns, as QEMU's 10 ns are: times are then exact and need no long division. */
    if (period == 0 || period > HPET_LONGEST_PERIOD || HPET_FS_PER_100NS % period != 0) {
        KeBugCheckEx(HAL_INITIALIZATION_FAILED, HPET_PHYSICAL, period, 0, 0);
    }
    HpetPer100ns = HPET_FS_PER_100NS / period;
    HpetFrequency = HpetPer100ns * 10000000ull;
    hpet_write(HPET_CONFIGURATION, HPET_ENABLE);
}

/* Registers are read in halves: QEMU's takes no wider access. */
ULONG64 HalpReadCounter(VOID) {
    ULONG high, low;
    do {
        high = hpet_read(HPET_COUNTER + 4);
        low = hpet_read(HPET_COUNTER);
    } while (hpet_read(HPET_COUNTER + 4) != high);
    return (ULONG64)high << 32 | low;
}

ULONG64 HalpCounterFrequency(VOID) {
    return HpetFrequency;
}

ULONG64 HalpCounterTo100ns(ULONG64 counts) {
    return counts / HpetPer100ns;
}
