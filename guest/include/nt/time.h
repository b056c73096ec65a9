/* SPDX-License-Identifier: Apache-2.0 */
/* Timers and time: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"
#include "../driver/precisetime.h" /* two that the DDK headers lack */

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Timers (ke/settimer.c). IRQL <= DISPATCH_LEVEL; initialise and read state: any IRQL. Timer and DPC are resident. DueTime in 100 ns:
 * negative from now, otherwise a system time, and one that has passed is due at once; Period in milliseconds. Set and cancel return
 * whether the timer was set before: a periodic one is until it is cancelled, one that is not until it expires. Setting a timer cancels
 * it and takes its signal away. A cancelled timer's DPC does not begin any more; it may still run.
 */
VOID NTAPI KeInitializeTimer(PKTIMER Timer);
VOID NTAPI KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type);
BOOLEAN NTAPI KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc);
BOOLEAN NTAPI KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc);
BOOLEAN NTAPI KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period, ULONG TolerableDelay,
                                    PKDPC Dpc);
BOOLEAN NTAPI KeCancelTimer(PKTIMER Timer);
BOOLEAN NTAPI KeReadStateTimer(PKTIMER Timer);

/*
 * Time (ke/time.c). Any IRQL. The DDK makes KeQueryInterruptTime, KeQuerySystemTime and KeQueryTickCount macros that read the
 * shared page; they are exported as routines too. All three move with the clock tick, KeQuerySystemTimePrecise and
 * KeQueryInterruptTimePrecise between ticks; the latter's QpcTimeStamp is the performance counter of that moment.
 */
ULONGLONG NTAPI KeQueryUnbiasedInterruptTime(VOID);
LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency); /* one counter for all CPUs */
VOID NTAPI KeStallExecutionProcessor(ULONG MicroSeconds);                           /* spins at least so long */

/* NOLINTEND(readability-redundant-declaration) */
