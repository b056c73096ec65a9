/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timer objects as drivers know them (TMR-1 to TMR-7). What "the timer is in the queue" means is KTIMER.Header.Inserted,
 * which changes under the dispatcher lock only: of a cancel and an expiry at the same moment one comes first, and either
 * the cancel returns TRUE or the DPC is queued.
 */
#include "timer.h"

#include "../include/mutant.h"

VOID NTAPI KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type) {
    UCHAR type = Type == SynchronizationTimer ? TimerSynchronizationObject : TimerNotificationObject;
    if (MUTANT(TimerTypesSwapped, "TMR-3", "a notification timer is one of synchronization, and the other way round")) {
        type = type == TimerNotificationObject ? TimerSynchronizationObject : TimerNotificationObject;
    }
    KiInitializeHeader(&Timer->Header, type, sizeof *Timer, FALSE);
    Timer->DueTime.QuadPart = 0;
    InitializeListHead(&Timer->TimerListEntry);
    Timer->Dpc = NULL;
    Timer->Processor = 0;
    Timer->Period = 0;
}
NT_EXPORT(KeInitializeTimerEx);

VOID NTAPI KeInitializeTimer(PKTIMER Timer) {
    KeInitializeTimerEx(Timer, NotificationTimer);
}
NT_EXPORT(KeInitializeTimer);

/* A periodic timer is still set while its DPC waits in a queue, so that call is part of what is cancelled. */
BOOLEAN KiCancelTimer(PKTIMER timer) {
    if (!timer->Header.Inserted) {
        return FALSE;
    }
    KiRemoveTimer(timer);
    if (KiTimerPeriod(timer) != 0 && timer->Dpc != NULL &&
        !MUTANT(TimerCancelKeepsDpc, "TMR-2", "cancelling a periodic timer leaves its DPC in the queue")) {
        KeRemoveQueueDpc(timer->Dpc);
    }
    return TRUE;
}

BOOLEAN KiSetTimer(PKTIMER timer, LARGE_INTEGER due, ULONG64 period, PKDPC dpc) {
    BOOLEAN was_set = KiCancelTimer(timer);
    if (!MUTANT(TimerStaysSignaled, "TMR-2", "setting a timer does not take its signal away")) {
        timer->Header.SignalState = FALSE;
    }
    timer->Period = (ULONG)(period / KI_100NS_PER_MS);
    timer->Processor = (ULONG)(period % KI_100NS_PER_MS);
    timer->Dpc = dpc;
    if (!KiInsertTimer(timer, due)) {
        trace(TraceTimerSet, (ULONG64)timer, timer->DueTime.QuadPart);
        KiTimerHasExpired(timer);
    }
    return was_set || MUTANT(TimerSetAlwaysTrue, "TMR-2", "setting a timer that was not set returns TRUE");
}

static BOOLEAN KiLockAndSetTimer(PKTIMER timer, LARGE_INTEGER due, ULONG period_ms, PKDPC dpc) {
    KIRQL irql = KiLockDispatcher();
    BOOLEAN was_set = KiSetTimer(timer, due, (ULONG64)period_ms * KI_100NS_PER_MS, dpc);
    KiUnlockDispatcher(irql);
    return was_set;
}

BOOLEAN NTAPI KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc) {
    return KiLockAndSetTimer(Timer, DueTime, Period > 0 ? (ULONG)Period : 0, Dpc);
}
NT_EXPORT(KeSetTimerEx);

BOOLEAN NTAPI KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc) {
    return KiLockAndSetTimer(Timer, DueTime, 0, Dpc);
}
NT_EXPORT(KeSetTimer);

/* The delay that may be tolerated is a permission, and there is no power to save: the timer expires when it is due. */
BOOLEAN NTAPI KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period, ULONG TolerableDelay,
                                    PKDPC Dpc) {
    UNREFERENCED_PARAMETER(TolerableDelay);
    return KiLockAndSetTimer(Timer, DueTime, Period, Dpc);
}
NT_EXPORT(KeSetCoalescableTimer);

BOOLEAN NTAPI KeCancelTimer(PKTIMER Timer) {
    KIRQL irql = KiLockDispatcher();
    BOOLEAN was_set = KiCancelTimer(Timer);
    if (!was_set) {
        trace(TraceTimerCancel, (ULONG64)Timer, FALSE);
    }
    KiUnlockDispatcher(irql);
    return was_set || MUTANT(TimerCancelAlwaysTrue, "TMR-4", "cancelling a timer that has expired returns TRUE");
}
NT_EXPORT(KeCancelTimer);

/* Acquire: who sees the signal sees what was done before it. */
BOOLEAN NTAPI KeReadStateTimer(PKTIMER Timer) {
    return __atomic_load_n(&Timer->Header.SignalState, __ATOMIC_ACQUIRE) != 0;
}
NT_EXPORT(KeReadStateTimer);
