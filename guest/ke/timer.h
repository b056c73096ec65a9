/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers and time inside the kernel layer, beyond what dispatcher.h says of timers. Three clocks, all in 100 ns: interrupt
 * time, which begins at 0 and moves once a clock tick by whole periods; its precise form, which moves between ticks; and
 * system time, which is interrupt time and a difference that can be changed.
 */
#pragma once

#include "dispatcher.h"

#define KI_100NS_PER_MS    10000u
#define KI_TIMER_INCREMENT 0 /* a timer's expiry boosts nobody */

/* ke/time.c. Any IRQL, no lock needed. */
ULONG64 KiCurrentTick(VOID); /* interrupt time in clock periods */
VOID KiAdvanceTime(VOID);    /* CLOCK_LEVEL, boot CPU: catches up with the counter, however many ticks came as one */
/* The interrupt time at which a system time comes, 0 for one before the start. Dispatcher lock held. */
ULONG64 KiInterruptTimeOf(ULONG64 system_time);
/* Boot CPU, once: system time in 100 ns since 1601, and what the counter showed, in 100 ns, when interrupt time was 0. */
VOID KiStartTime(ULONG64 boot_time, ULONG64 counter_100ns);
extern UCHAR KiSharedData[]; /* the page of KUSER_SHARED_DATA, which drivers see read-only */

/* ke/timer.c. Dispatcher lock held. */
VOID KiTimerHasExpired(PKTIMER timer);          /* in no list: signals it, queues its DPC, sets it again if periodic */
VOID KiAdjustAbsoluteTimers(LONG64 difference); /* system time has just moved by it */
extern ULONG KiTimerCount;                      /* armed, waits' own included */

/* Milliseconds, and in a field that drivers have no use for what is left of one, in 100 ns. */
static inline ULONG64 KiTimerPeriod(const KTIMER *timer) {
    return (ULONG64)timer->Period * KI_100NS_PER_MS + timer->Processor;
}

/* ke/settimer.c. Dispatcher lock held; period in 100 ns. */
BOOLEAN KiSetTimer(PKTIMER timer, LARGE_INTEGER due, ULONG64 period, PKDPC dpc); /* TRUE: it was set */
BOOLEAN KiCancelTimer(PKTIMER timer);                                            /* TRUE: it was set */

static inline VOID KiMoveList(PLIST_ENTRY to, PLIST_ENTRY from) {
    if (!IsListEmpty(from)) {
        from->Flink->Blink = to->Blink;
        from->Blink->Flink = to;
        to->Blink->Flink = from->Flink;
        to->Blink = from->Blink;
        InitializeListHead(from);
    }
}
