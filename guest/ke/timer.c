/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Armed timers: a hierarchical timing wheel over clock ticks. Level n has 64 slots of 64^n ticks; a timer lies at the level
 * of the highest group of six bits in which its tick differs from the wheel's, in the slot that these bits name. So it is
 * always in a slot that the wheel has still to reach, the lowest level in use holds what comes next, and setting and
 * cancelling cost the same whether one timer is armed or a hundred thousand. A slot that the wheel reaches becomes the list
 * at hand: what is due expires, the rest goes to a lower level, at most once for each level.
 *
 * The clock interrupt only compares two numbers (KiTimersDue); the DISPATCH software interrupt expires, a batch for each time
 * that it holds the dispatcher lock, however many are due. All here but those two: the lock held.
 *
 * Each arming is one TraceTimerSet, and ends in one TraceTimerExpire or one TraceTimerCancel of value 1. What the documented
 * routines do with timers is in settimer.c.
 */
#include "timer.h"

#include "../include/mutant.h"

#define KI_WHEEL_BITS   6u
#define KI_WHEEL_SLOTS  (1u << KI_WHEEL_BITS)
#define KI_WHEEL_LEVELS 6u /* 2^36 ticks: 34 years of the default period */
#define KI_TIMER_BATCH  8u

/* The wheel's ticks begin shortly before its highest level is full, so that what is rare then happens early, and to every machine. */
#define KI_WHEEL_START ((1ull << KI_WHEEL_LEVELS * KI_WHEEL_BITS) - 4000)

static LIST_ENTRY KiWheel[KI_WHEEL_LEVELS * KI_WHEEL_SLOTS]; /* level by level */
static ULONG64 KiWheelUsed[KI_WHEEL_LEVELS];                 /* bit n: slot n holds a timer */
static LIST_ENTRY KiTimersFar;                               /* beyond the highest level */
static LIST_ENTRY KiTimersAtHand;                            /* of a slot that the wheel has reached */
static ULONG64 KiWheelTick;                                  /* that it has come to */
static volatile ULONG64 KiNextTick = ~0ull;                  /* nothing is to be done before that tick */
ULONG KiTimerCount;

VOID KiInitializeTimers(VOID) {
    for (ULONG i = 0; i < RTL_NUMBER_OF(KiWheel); i++) {
        InitializeListHead(&KiWheel[i]);
    }
    InitializeListHead(&KiTimersFar);
    InitializeListHead(&KiTimersAtHand);
}

static ULONG64 KiWheelNow(VOID) {
    return KI_WHEEL_START + KiCurrentTick();
}

/* Slots of a level are all after the wheel's own one there, and before all of the next level. */
static ULONG64 KiFindNextTick(VOID) {
    if (!IsListEmpty(&KiTimersAtHand)) {
        return KiWheelTick;
    }
    for (ULONG level = 0; level < KI_WHEEL_LEVELS; level++) {
        if (KiWheelUsed[level] != 0) {
            ULONG shift = level * KI_WHEEL_BITS;
            ULONG64 slot = (ULONG64)__builtin_ctzll(KiWheelUsed[level]);
            return (KiWheelTick >> (shift + KI_WHEEL_BITS) << KI_WHEEL_BITS | slot) << shift;
        }
    }
    return IsListEmpty(&KiTimersFar)
        ? ~0ull
        : ((KiWheelTick >> KI_WHEEL_LEVELS * KI_WHEEL_BITS) + 1) << KI_WHEEL_LEVELS * KI_WHEEL_BITS;
}

/* Sequentially consistent: an insertion stores this and then looks at the tick, the clock does it the other way round. */
static VOID KiNoteNextTick(VOID) {
    __atomic_store_n(&KiNextTick, KiFindNextTick(), __ATOMIC_SEQ_CST);
}

/* The first tick at which interrupt time has reached it: never early, late by less than a period. */
static ULONG64 KiDueTick(const KTIMER *timer) {
    if (MUTANT(TimerRoundsDown, "TMR-5", "a due time is rounded to the tick before it")) {
        return KI_WHEEL_START + timer->DueTime.QuadPart / KiClockPeriod100ns;
    }
    ULONG64 whole = timer->DueTime.QuadPart / KiClockPeriod100ns;
    return KI_WHEEL_START + whole + (timer->DueTime.QuadPart % KiClockPeriod100ns != 0);
}

static VOID KiLinkTimer(PKTIMER timer) {
    ULONG64 tick = KiDueTick(timer);
    PLIST_ENTRY list = &KiTimersAtHand;
    if (tick > KiWheelTick) {
        ULONG64 level = (63u - (ULONG)__builtin_clzll(tick ^ KiWheelTick)) / KI_WHEEL_BITS;
        if (level < KI_WHEEL_LEVELS) {
            ULONG64 slot = tick >> level * KI_WHEEL_BITS & (KI_WHEEL_SLOTS - 1);
            KiWheelUsed[level] |= 1ull << slot;
            list = &KiWheel[level * KI_WHEEL_SLOTS + slot];
        } else {
            list = &KiTimersFar;
        }
    }
    InsertTailList(list, &timer->TimerListEntry);
}

static VOID KiUnlinkTimer(PKTIMER timer) {
    PLIST_ENTRY head = timer->TimerListEntry.Flink; /* the list's, if this was its only timer */
    ULONG64 index = (ULONG64)(head - KiWheel);
    if (RemoveEntryList(&timer->TimerListEntry) && index < RTL_NUMBER_OF(KiWheel)) {
        KiWheelUsed[index / KI_WHEEL_SLOTS] &= ~(1ull << index % KI_WHEEL_SLOTS);
    }
}

/* Whether the time has come that nothing in the wheel is to be done before. */
BOOLEAN KiTimersDue(VOID) {
    return KiWheelNow() >= __atomic_load_n(&KiNextTick, __ATOMIC_SEQ_CST);
}

static VOID KiArmTimer(PKTIMER timer) {
    ULONG64 now = KiWheelNow();
    if (KiNextTick > now) {
        KiWheelTick = now; /* passes no slot in use */
    }
    timer->Header.Inserted = TRUE;
    KiTimerCount++;
    trace(TraceTimerSet, (ULONG64)timer, timer->DueTime.QuadPart);
    KiLinkTimer(timer);
    KiNoteNextTick();
    /* The clock may have ticked since the due time was compared with it, and found nothing to do. */
    if (KiDueTick(timer) <= KiWheelNow()) {
        KiRequestDpcInterrupt(KiCurrentPrcb()->Number);
    }
}

BOOLEAN KiInsertTimer(PKTIMER timer, LARGE_INTEGER due) {
    ULONG64 now = KiInterruptTime();
    BOOLEAN absolute = due.QuadPart >= 0;
    if (MUTANT(TimerSignIgnored, "TMR-1", "a negative due time is taken for a positive one of its size")) {
        absolute = TRUE;
        due.QuadPart = due.QuadPart < 0 ? -due.QuadPart : due.QuadPart;
    }
    timer->Header.Absolute = absolute;
    timer->DueTime.QuadPart = absolute ? KiInterruptTimeOf((ULONG64)due.QuadPart) : now + (0 - (ULONG64)due.QuadPart);
    if (timer->DueTime.QuadPart <= now) {
        return FALSE;
    }
    KiArmTimer(timer);
    return TRUE;
}

VOID KiRemoveTimer(PKTIMER timer) {
    timer->Header.Inserted = FALSE;
    KiTimerCount--;
    trace(TraceTimerCancel, (ULONG64)timer, TRUE);
    KiUnlinkTimer(timer);
    KiNoteNextTick();
}

/* A periodic timer keeps its phase: periods that have passed already are left out. Its next due times are relative ones. */
static VOID KiRearmTimer(PKTIMER timer) {
    ULONG64 period = KiTimerPeriod(timer);
    ULONG64 now = KiInterruptTime();
    ULONG64 due = timer->DueTime.QuadPart;
    ULONG64 missed = now > due ? (now - due) / period : 0;
    if (MUTANT(TimerPhaseLost, "TMR-5", "a periodic timer's next period begins at the tick that it expired at")) {
        due = now;
    }
    timer->Header.Absolute = FALSE;
    timer->DueTime.QuadPart = due + (missed + 1) * period;
    KiArmTimer(timer);
}

VOID KiTimerHasExpired(PKTIMER timer) {
    trace(TraceTimerExpire, (ULONG64)timer, timer->DueTime.QuadPart);
    if (KiTimerPeriod(timer) != 0 &&
        !MUTANT(TimerPeriodicOnce, "TMR-4", "a periodic timer expires once and is not set again")) {
        KiRearmTimer(timer);
    }
    timer->Header.SignalState = TRUE;
    trace(TraceSignal, (ULONG64)timer, TRUE | (ULONG64)timer->Header.Type << 32);
    KiReleaseWaiters(&timer->Header, KI_TIMER_INCREMENT);
    if (timer->Dpc != NULL) {
        KiInsertTimerDpc(timer->Dpc);
    }
}

/* The next timer at hand: expires, or finds its place at a lower level. FALSE: the wheel has come to the present. */
static BOOLEAN KiTurnWheel(ULONG64 now) {
    while (IsListEmpty(&KiTimersAtHand)) {
        ULONG64 next = KiFindNextTick();
        if (next > now) {
            if (KiWheelTick < now) { /* a timer set again meanwhile may have brought it further */
                KiWheelTick = now;
            }
            return FALSE;
        }
        ULONG64 level = (63u - (ULONG)__builtin_clzll(next ^ KiWheelTick)) / KI_WHEEL_BITS;
        PLIST_ENTRY list = &KiTimersFar;
        if (level < KI_WHEEL_LEVELS) {
            ULONG64 slot = next >> level * KI_WHEEL_BITS & (KI_WHEEL_SLOTS - 1);
            KiWheelUsed[level] &= ~(1ull << slot);
            list = &KiWheel[level * KI_WHEEL_SLOTS + slot];
        }
        KiWheelTick = next;
        if (list != &KiTimersFar ||
            !MUTANT(TimerFarStays, "TMR-5", "timers beyond the wheel's highest level stay there")) {
            KiMoveList(&KiTimersAtHand, list);
        }
    }
    PKTIMER timer = CONTAINING_RECORD(KiTimersAtHand.Flink, KTIMER, TimerListEntry);
    RemoveEntryList(&timer->TimerListEntry);
    if (KiDueTick(timer) <= KiWheelTick ||
        MUTANT(TimerWheelUnsorted, "TMR-5", "a slot of a higher level expires when the wheel reaches it")) {
        timer->Header.Inserted = FALSE;
        KiTimerCount--;
        KiTimerHasExpired(timer);
    } else {
        KiLinkTimer(timer);
    }
    return TRUE;
}

VOID KiExpireTimers(VOID) {
    while (KiTimersDue()) {
        KIRQL irql = KiLockDispatcher();
        ULONG64 now = KiWheelNow();
        ULONG done = 0;
        while (done < KI_TIMER_BATCH && KiTurnWheel(now)) {
            done++;
        }
        KiNoteNextTick();
        KiUnlockDispatcher(irql);
    }
}

static VOID KiTakeAbsolute(PLIST_ENTRY list, PLIST_ENTRY taken) {
    for (PLIST_ENTRY entry = list->Flink; entry != list;) {
        PKTIMER timer = CONTAINING_RECORD(entry, KTIMER, TimerListEntry);
        entry = entry->Flink;
        if (timer->Header.Absolute ||
            MUTANT(TimerRelativeAdjusted, "TMR-9", "a change of system time moves relative timers too")) {
            KiUnlinkTimer(timer);
            InsertTailList(taken, &timer->TimerListEntry);
        }
    }
}

/* A walk over everything that is armed, for an event that is rare. One that would be due before time began is due at once. */
VOID KiAdjustAbsoluteTimers(LONG64 difference) {
    LIST_ENTRY taken;
    InitializeListHead(&taken);
    KiTakeAbsolute(&KiTimersAtHand, &taken);
    KiTakeAbsolute(&KiTimersFar, &taken);
    for (ULONG64 level = 0; level < KI_WHEEL_LEVELS; level++) {
        for (ULONG64 used = KiWheelUsed[level]; used != 0; used &= used - 1) {
            KiTakeAbsolute(&KiWheel[level * KI_WHEEL_SLOTS + (ULONG)__builtin_ctzll(used)], &taken);
        }
    }
    while (!IsListEmpty(&taken)) {
        PKTIMER timer = CONTAINING_RECORD(RemoveHeadList(&taken), KTIMER, TimerListEntry);
        LONG64 due = (LONG64)timer->DueTime.QuadPart - difference;
        timer->DueTime.QuadPart = due < 0 ? 0 : (ULONG64)due;
        KiLinkTimer(timer);
    }
    KiNoteNextTick();
    if (KiTimersDue()) {
        KiRequestDpcInterrupt(KiCurrentPrcb()->Number);
    }
}
