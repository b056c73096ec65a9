/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timer objects that the system allocates: a KTIMER, so that threads may wait for it, with a DPC of its own that calls the
 * driver's callback. Deleting is a work item's: it waits until no DPC of the object is queued or running any more, and only
 * then gives the memory back. So the callback always has a valid object, and a deletion may be asked for at DISPATCH_LEVEL, even by
 * the callback.
 */
#include "../ke/timer.h"

#include "../include/mutant.h"
#include "ex.h"

#define EXP_TIMER_TAG      'rmTE'
#define EXP_LONGEST_PERIOD 0x7fffffffLL /* in 100 ns: MAXLONG */

typedef struct _EX_TIMER {
    KTIMER Timer; /* first: the object is waited for by its own address */
    KDPC Dpc;
    PEXT_CALLBACK Callback;
    PVOID Context;
    volatile BOOLEAN Disabled;    /* it is being deleted. Changes under the dispatcher lock */
    volatile LONG DeletionQueued; /* Deletion is with the workers */
    WORK_QUEUE_ITEM Deletion;
    EXT_DELETE_PARAMETERS Parameters;
    PKEVENT Deleted; /* whoever waits for it; NULL for nobody */
} EX_TIMER;

static VOID NTAPI ExpDeleteTimer(PVOID parameter) {
    PEX_TIMER timer = parameter;
    EXT_DELETE_PARAMETERS parameters = timer->Parameters;
    PKEVENT deleted = timer->Deleted;
    if (!MUTANT(ExTimerDeletedUnderway, "TMR-4", "a deleted timer's memory is given back while its callback runs")) {
        KeFlushQueuedDpcs();
    }
    ExFreePoolWithTag(timer, EXP_TIMER_TAG);
    if (parameters.DeleteCallback != NULL) {
        parameters.DeleteCallback(parameters.DeleteContext);
    }
    if (deleted != NULL) {
        KeSetEvent(deleted, 0, FALSE);
    }
}

static VOID ExpQueueDeletion(PEX_TIMER timer) {
    if (__atomic_exchange_n(&timer->DeletionQueued, TRUE, __ATOMIC_ACQ_REL) == FALSE) {
        ExInitializeWorkItem(&timer->Deletion, ExpDeleteTimer, timer);
        ExQueueWorkItem(&timer->Deletion, CriticalWorkQueue);
    }
}

/* A timer that was left to expire before its deletion has now done so; a periodic one does not do it again. */
static VOID ExpFinishExpiry(PEX_TIMER timer) {
    KIRQL irql = KiLockDispatcher();
    BOOLEAN last = timer->Disabled;
    if (last && KiTimerPeriod(&timer->Timer) != 0) {
        KiCancelTimer(&timer->Timer);
    }
    last = last && !timer->Timer.Header.Inserted;
    KiUnlockDispatcher(irql);
    if (last) {
        ExpQueueDeletion(timer);
    }
}

static VOID NTAPI ExpTimerDpc(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2) {
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    PEX_TIMER timer = context;
    if (timer->Callback != NULL) {
        timer->Callback(timer, timer->Context);
    }
    ExpFinishExpiry(timer);
}

PEX_TIMER NTAPI ExAllocateTimer(PEXT_CALLBACK Callback, PVOID CallbackContext, ULONG Attributes) {
    if ((Attributes & ~(EX_TIMER_HIGH_RESOLUTION | EX_TIMER_NO_WAKE | (ULONG)EX_TIMER_NOTIFICATION)) != 0) {
        return NULL;
    }
    PEX_TIMER timer = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *timer, EXP_TIMER_TAG);
    if (timer == NULL) {
        return NULL;
    }
    RtlZeroMemory(timer, sizeof *timer);
    BOOLEAN notification = (Attributes & (ULONG)EX_TIMER_NOTIFICATION) != 0;
    KeInitializeTimerEx(&timer->Timer, notification ? NotificationTimer : SynchronizationTimer);
    KeInitializeDpc(&timer->Dpc, ExpTimerDpc, timer);
    timer->Callback = Callback;
    timer->Context = CallbackContext;
    return timer;
}
NT_EXPORT(ExAllocateTimer);

BOOLEAN NTAPI ExSetTimer(PEX_TIMER Timer, LONGLONG DueTime, LONGLONG Period, EXT_SET_PARAMETERS *Parameters) {
    UNREFERENCED_PARAMETER(Parameters); /* a delay that it tolerates: the machine never sleeps */
    if (Period < 0 || Period > EXP_LONGEST_PERIOD) {
        ExRaiseStatus(STATUS_INVALID_PARAMETER);
    }
    LARGE_INTEGER due = {.QuadPart = DueTime};
    KIRQL irql = KiLockDispatcher();
    BOOLEAN was_set = FALSE;
    if (!Timer->Disabled || MUTANT(ExTimerSetDeleted, "TMR-2", "a timer that is being deleted can be set again")) {
        was_set = KiSetTimer(&Timer->Timer, due, (ULONG64)Period, &Timer->Dpc);
    }
    KiUnlockDispatcher(irql);
    return was_set;
}
NT_EXPORT(ExSetTimer);

BOOLEAN NTAPI ExCancelTimer(PEX_TIMER Timer, PEXT_CANCEL_PARAMETERS Parameters) {
    UNREFERENCED_PARAMETER(Parameters); /* reserved */
    KIRQL irql = KiLockDispatcher();
    BOOLEAN was_set = !Timer->Disabled && KiCancelTimer(&Timer->Timer);
    KiUnlockDispatcher(irql);
    return was_set;
}
NT_EXPORT(ExCancelTimer);

BOOLEAN NTAPI ExDeleteTimer(PEX_TIMER Timer, BOOLEAN Cancel, BOOLEAN Wait, PEXT_DELETE_PARAMETERS Parameters) {
    if (Wait && !Cancel) {
        ExRaiseStatus(STATUS_INVALID_PARAMETER);
    }
    KEVENT deleted;
    KeInitializeEvent(&deleted, NotificationEvent, FALSE);
    KIRQL irql = KiLockDispatcher();
    if (Timer->Disabled) {
        KiUnlockDispatcher(irql);
        return FALSE;
    }
    Timer->Disabled = TRUE;
    if (Parameters != NULL) {
        Timer->Parameters = *Parameters;
    }
    Timer->Deleted = Wait ? &deleted : NULL;
    BOOLEAN cancelled = Cancel && KiCancelTimer(&Timer->Timer);
    BOOLEAN expires = Timer->Timer.Header.Inserted; /* its DPC sees to the rest */
    KiUnlockDispatcher(irql);
    if (!expires) {
        ExpQueueDeletion(Timer);
    }
    if (Wait) {
        KeWaitForSingleObject(&deleted, Executive, KernelMode, FALSE, NULL);
    }
    return cancelled;
}
NT_EXPORT(ExDeleteTimer);
