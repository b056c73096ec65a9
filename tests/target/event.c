/* SPDX-License-Identifier: Apache-2.0 */
/* Events: what a set lets go and leaves behind, reset, clear, pulse, first come, first served. */
#include "threads.h"

#define WAITERS 6

static KEVENT Event;
static WAITER Waiters[WAITERS];

static VOID StartWaiters(EVENT_TYPE Type, BOOLEAN Spread) {
    Ended = 0;
    KeInitializeEvent(&Event, Type, FALSE);
    for (ULONG i = 0; i < WAITERS; i++) {
        StartWaiter(&Waiters[i], &Event, ABOVE, Spread ? CPU_OF(i) : 0);
    }
    ASSERT_EQ(Ended, 0);
}

static VOID EndWaiters(VOID) {
    for (ULONG i = 0; i < WAITERS; i++) {
        EndWaiter(&Waiters[i]);
        ASSERT_EQ(Waiters[i].Status, STATUS_SUCCESS);
    }
    ASSERT_EQ(Ended, WAITERS);
}

TARGET_CASE("EVT-1 EVT-2", each_change_tells_the_state_before, "") {
    static const EVENT_TYPE types[] = {NotificationEvent, SynchronizationEvent};
    for (ULONG i = 0; i < RTL_NUMBER_OF(types); i++) {
        KeInitializeEvent(&Event, types[i], FALSE);
        ASSERT_EQ(KeReadStateEvent(&Event), 0);
        ASSERT_EQ(KeSetEvent(&Event, 0, FALSE), 0);
        ASSERT_NE(KeReadStateEvent(&Event), 0);
        ASSERT_NE(KeSetEvent(&Event, 0, FALSE), 0);
        ASSERT_NE(KeResetEvent(&Event), 0);
        ASSERT_EQ(KeReadStateEvent(&Event), 0);
        ASSERT_EQ(KeResetEvent(&Event), 0);
        ASSERT_EQ(KeSetEvent(&Event, 0, FALSE), 0);
        KeClearEvent(&Event);
        ASSERT_EQ(KeReadStateEvent(&Event), 0);
        ASSERT_EQ(TryFor(&Event), STATUS_TIMEOUT);
        KeInitializeEvent(&Event, types[i], TRUE);
        ASSERT_NE(KeReadStateEvent(&Event), 0);
        ASSERT_EQ(TryFor(&Event), STATUS_SUCCESS);
    }
}

TARGET_CASE("EVT-1", a_notification_event_stays_set, "") {
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    ASSERT_EQ(TryFor(&Event), STATUS_TIMEOUT);
    KeSetEvent(&Event, 0, FALSE);
    for (ULONG i = 0; i < 3; i++) {
        ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
        ASSERT_NE(KeReadStateEvent(&Event), 0);
    }
    ASSERT_NE(KeResetEvent(&Event), 0);
    ASSERT_EQ(TryFor(&Event), STATUS_TIMEOUT);
}

TARGET_CASE("EVT-1", a_synchronization_event_satisfies_one_wait, "") {
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    KeSetEvent(&Event, 0, FALSE);
    KeSetEvent(&Event, 0, FALSE); /* it does not count */
    ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
    ASSERT_EQ(KeReadStateEvent(&Event), 0);
    ASSERT_EQ(TryFor(&Event), STATUS_TIMEOUT);
}

TARGET_CASE("EVT-1", a_notification_event_lets_all_go, "") {
    StartWaiters(NotificationEvent, TRUE);
    ASSERT_EQ(KeSetEvent(&Event, 0, FALSE), 0);
    ASSERT_NE(KeReadStateEvent(&Event), 0);
    for (ULONG i = 0; i < WAITERS; i++) {
        ASSERT_FALSE(StillWaits(&Waiters[i]));
    }
    EndWaiters();
    ASSERT_NE(KeReadStateEvent(&Event), 0);
    ASSERT_EQ(TryFor(&Event), STATUS_SUCCESS);
}

TARGET_CASE("EVT-1 EVT-5", a_synchronization_event_lets_one_go_the_first_one, "") {
    StartWaiters(SynchronizationEvent, TRUE);
    for (ULONG i = 0; i < WAITERS; i++) {
        ASSERT_EQ(KeSetEvent(&Event, 0, FALSE), 0);
        ASSERT_EQ(KeReadStateEvent(&Event), 0); /* the waiter has it */
        for (ULONG later = i + 1; later < WAITERS; later++) {
            ASSERT_TRUE(StillWaits(&Waiters[later]));
        }
        WAIT_UNTIL(Waiters[i].Order);
        ASSERT_EQ(Waiters[i].Order, i + 1);
    }
    ASSERT_EQ(TryFor(&Event), STATUS_TIMEOUT);
    EndWaiters();
    ASSERT_EQ(KeSetEvent(&Event, 0, FALSE), 0);
    ASSERT_NE(KeReadStateEvent(&Event), 0); /* nobody is left */
}

/* First come, first served, and not by priority. */
TARGET_CASE("EVT-5", the_first_one_whatever_its_priority, "") {
    static const KPRIORITY priorities[] = {10, 15, 9, 20, 12};
    Ended = 0;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    for (ULONG i = 0; i < RTL_NUMBER_OF(priorities); i++) {
        StartWaiter(&Waiters[i], &Event, priorities[i], 0);
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(priorities); i++) {
        KeSetEvent(&Event, 0, FALSE);
        ASSERT_EQ(Waiters[i].Order, i + 1);
        ASSERT_EQ(Ended, i + 1);
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(priorities); i++) {
        EndWaiter(&Waiters[i]);
    }
}

/* Let go together they become ready in the order in which they came. */
TARGET_CASE("EVT-5", all_at_once_in_order, "") {
    StartWaiters(NotificationEvent, FALSE);
    KeSetEvent(&Event, 0, FALSE);
    for (ULONG i = 0; i < WAITERS; i++) {
        ASSERT_EQ(Waiters[i].Order, i + 1);
    }
    EndWaiters();
}

TARGET_CASE("EVT-1", set_at_dispatch_level_lets_go_too, "") {
    KIRQL irql;
    StartWaiters(NotificationEvent, TRUE);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(KeSetEvent(&Event, 0, FALSE), 0);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_EQ(Waiters[0].Order, 0); /* of this CPU */
    KeLowerIrql(irql);
    EndWaiters();
}

static VOID NTAPI SetDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeSetEvent(Context, 0, FALSE);
}

TARGET_CASE("EVT-1", set_by_a_dpc, "") {
    static KDPC dpc;
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    for (ULONG round = 0; round < 20; round++) {
        KeInitializeDpc(&dpc, SetDpc, &Event);
        KeSetTargetProcessorDpc(&dpc, (CCHAR)CPU_OF(round));
        KeSetImportanceDpc(&dpc, HighImportance);
        ASSERT_EQ(KeInsertQueueDpc(&dpc, NULL, NULL), TRUE);
        ASSERT_EQ(WaitFor(&Event), STATUS_SUCCESS);
        ASSERT_EQ(KeReadStateEvent(&Event), 0);
    }
}

TARGET_CASE("EVT-3", a_pulse_lets_all_go_and_leaves_it_reset, "") {
    StartWaiters(NotificationEvent, TRUE);
    ASSERT_EQ(KePulseEvent(&Event, 0, FALSE), 0);
    ASSERT_EQ(KeReadStateEvent(&Event), 0);
    ASSERT_EQ(TryFor(&Event), STATUS_TIMEOUT);
    EndWaiters();
}

TARGET_CASE("EVT-3", a_pulse_lets_one_go_and_leaves_it_reset, "") {
    StartWaiters(SynchronizationEvent, TRUE);
    for (ULONG i = 0; i < WAITERS; i++) {
        ASSERT_EQ(KePulseEvent(&Event, 0, FALSE), 0);
        ASSERT_EQ(KeReadStateEvent(&Event), 0);
        WAIT_UNTIL(Waiters[i].Order);
        ASSERT_EQ(Ended, i + 1);
    }
    EndWaiters();
}

TARGET_CASE("EVT-3", a_pulse_that_nobody_waits_for_is_gone, "") {
    static const EVENT_TYPE types[] = {NotificationEvent, SynchronizationEvent};
    for (ULONG i = 0; i < RTL_NUMBER_OF(types); i++) {
        KeInitializeEvent(&Event, types[i], FALSE);
        ASSERT_EQ(KePulseEvent(&Event, 0, FALSE), 0);
        ASSERT_EQ(TryFor(&Event), STATUS_TIMEOUT);
        KeSetEvent(&Event, 0, FALSE);
        ASSERT_NE(KePulseEvent(&Event, 0, FALSE), 0);
        ASSERT_EQ(KeReadStateEvent(&Event), 0);
        ASSERT_EQ(TryFor(&Event), STATUS_TIMEOUT);
    }
}

TARGET_CASE("EVT-1", set_above_dispatch_level_is_refused, "verifier=on bugcheck=0xC4/0x80") {
    KIRQL irql;
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    KeRaiseIrql(DISPATCH_LEVEL + 1, &irql);
    KeSetEvent(&Event, 0, FALSE);
}

TARGET_DRIVER
