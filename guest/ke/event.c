/* SPDX-License-Identifier: Apache-2.0 */
/* Events (EVT-1 to EVT-5): one that stays set lets everybody go, one that synchronises lets the first go and is reset by it. */
#include "dispatcher.h"

#include "../include/mutant.h"

VOID NTAPI KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State) {
    KiInitializeHeader(&Event->Header, (UCHAR)Type, sizeof *Event, State != FALSE);
}
NT_EXPORT(KeInitializeEvent);

LONG NTAPI KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait) {
    KIRQL irql = KiLockDispatcher();
    LONG before = Event->Header.SignalState;
    Event->Header.SignalState = 1;
    KiTraceSignal(&Event->Header);
    KiReleaseWaiters(&Event->Header, Increment);
    if (MUTANT(EventStateAfter, "EVT-1", "KeSetEvent tells the state after")) {
        before = Event->Header.SignalState;
    }
    KiUnlockAfterSignal(irql, Wait);
    return before;
}
NT_EXPORT(KeSetEvent);

LONG NTAPI KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait) {
    KIRQL irql = KiLockDispatcher();
    LONG before = Event->Header.SignalState;
    Event->Header.SignalState = 1;
    KiTraceSignal(&Event->Header);
    KiReleaseWaiters(&Event->Header, Increment);
    Event->Header.SignalState = MUTANT(EventPulseStays, "EVT-3", "a pulse leaves the event set");
    KiUnlockAfterSignal(irql, Wait);
    return before;
}
NT_EXPORT(KePulseEvent);

LONG NTAPI KeResetEvent(PRKEVENT Event) {
    KIRQL irql = KiLockDispatcher();
    LONG before = Event->Header.SignalState;
    Event->Header.SignalState = 0;
    KiUnlockDispatcher(irql);
    return before;
}
NT_EXPORT(KeResetEvent);

VOID NTAPI KeClearEvent(PRKEVENT Event) {
    /* One aligned store: a set under the lock comes before it or after, and nobody is told which. */
    __atomic_store_n(&Event->Header.SignalState, 0, __ATOMIC_SEQ_CST);
}
NT_EXPORT(KeClearEvent);

LONG NTAPI KeReadStateEvent(PRKEVENT Event) {
    return __atomic_load_n(&Event->Header.SignalState, __ATOMIC_ACQUIRE);
}
NT_EXPORT(KeReadStateEvent);
