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
 * Timer objects that the system allocates (ex/timer.c). The callback runs at DISPATCH_LEVEL, on the first processor available; the
 * object may be waited for. Due time and period in 100 ns. Allocate, set, cancel: IRQL <= DISPATCH_LEVEL. Delete: the same, and with
 * Wait <= APC_LEVEL, not from the callback; Wait without Cancel raises STATUS_INVALID_PARAMETER (0x1E). A timer that is being deleted
 * can be neither set nor cancelled (FALSE); its last callback has returned before DeleteCallback is called, at PASSIVE_LEVEL.
 */
PEX_TIMER NTAPI ExAllocateTimer(PEXT_CALLBACK Callback, PVOID CallbackContext, ULONG Attributes);
BOOLEAN NTAPI ExSetTimer(PEX_TIMER Timer, LONGLONG DueTime, LONGLONG Period, EXT_SET_PARAMETERS *Parameters);
BOOLEAN NTAPI ExCancelTimer(PEX_TIMER Timer, PEXT_CANCEL_PARAMETERS Parameters);
BOOLEAN NTAPI ExDeleteTimer(PEX_TIMER Timer, BOOLEAN Cancel, BOOLEAN Wait, PEXT_DELETE_PARAMETERS Parameters);

/*
 * Time (ke/time.c). Any IRQL. The DDK makes KeQueryInterruptTime, KeQuerySystemTime and KeQueryTickCount macros that read the
 * shared page; they are exported as routines too. All three move with the clock tick, KeQuerySystemTimePrecise and
 * KeQueryInterruptTimePrecise between ticks; the latter's QpcTimeStamp is the performance counter of that moment.
 */
ULONGLONG NTAPI KeQueryUnbiasedInterruptTime(VOID);
LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency); /* one counter for all CPUs */
VOID NTAPI KeStallExecutionProcessor(ULONG MicroSeconds);                           /* spins at least so long */

/* NOLINTEND(readability-redundant-declaration) */
