/* SPDX-License-Identifier: Apache-2.0 */
/* Timer objects that the system allocates: setting and cancelling (TMR-2, TMR-4), callbacks (TMR-3, TMR-8), deletion in each of its ways. */
#include "timercase.h"

static volatile LONG Calls, Deletions, Inside;
static volatile KIRQL CallIrql;
static PEX_TIMER volatile Called;
static volatile LONG Stay, DeleteFromCallback;

static VOID NTAPI NoteDeletion(PVOID Context) {
    ASSERT_EQ((ULONG_PTR)Context, 0x1234);
    ASSERT_EQ(Inside, 0); /* the last callback has returned */
    InterlockedIncrement(&Deletions);
}

static BOOLEAN Delete(PEX_TIMER Timer, BOOLEAN Cancel, BOOLEAN Wait) {
    EXT_DELETE_PARAMETERS parameters;
    RtlZeroMemory(&parameters, sizeof parameters);
    parameters.DeleteCallback = NoteDeletion;
    parameters.DeleteContext = (PVOID)0x1234;
    return ExDeleteTimer(Timer, Cancel, Wait, &parameters);
}

static VOID NTAPI NoteCall(PEX_TIMER Timer, PVOID Context) {
    ASSERT_EQ((ULONG_PTR)Context, 0x5678);
    InterlockedIncrement(&Inside);
    Called = Timer;
    CallIrql = KeGetCurrentIrql();
    InterlockedIncrement(&Calls);
    if (DeleteFromCallback) {
        ASSERT_FALSE(Delete(Timer, TRUE, FALSE));
        ASSERT_FALSE(Delete(Timer, TRUE, FALSE)); /* it is being deleted already */
    }
    WAIT_UNTIL(!Stay);
    InterlockedDecrement(&Inside);
}

static PEX_TIMER Allocate(ULONG Attributes) {
    Calls = Deletions = Inside = Stay = DeleteFromCallback = 0;
    PEX_TIMER timer = ExAllocateTimer(NoteCall, (PVOID)0x5678, Attributes);
    ASSERT_NE((ULONG_PTR)timer, 0);
    return timer;
}

TARGET_CASE("TMR-3 TMR-4", a_callback_at_dispatch_once, "clock=10000") {
    PEX_TIMER timer = Allocate(0);
    ASSERT_FALSE(ExSetTimer(timer, -Ticks(2), 0, NULL));
    SLEEP_UNTIL(Calls);
    ASSERT_EQ((ULONG_PTR)Called, (ULONG_PTR)timer);
    ASSERT_EQ(CallIrql, DISPATCH_LEVEL);
    SleepTicks(3);
    ASSERT_EQ(Calls, 1);
    ASSERT_FALSE(ExCancelTimer(timer, NULL));
    ASSERT_FALSE(Delete(timer, TRUE, TRUE));
    ASSERT_EQ(Deletions, 1); /* with Wait, before the call returns */
}

TARGET_CASE("TMR-2 TMR-4", set_and_cancel_say_whether_it_was_set, "") {
    PEX_TIMER timer = Allocate(0);
    ASSERT_FALSE(ExCancelTimer(timer, NULL));
    ASSERT_FALSE(ExSetTimer(timer, -HOUR, 0, NULL));
    ASSERT_TRUE(ExSetTimer(timer, SystemNow() + HOUR, 100, NULL));
    ASSERT_TRUE(ExCancelTimer(timer, NULL));
    ASSERT_FALSE(ExCancelTimer(timer, NULL));
    ASSERT_FALSE(ExSetTimer(timer, -HOUR, 0, NULL));
    ASSERT_TRUE(Delete(timer, TRUE, TRUE));
    ASSERT_EQ(Calls, 0);
    ASSERT_EQ(Deletions, 1);
}

/* A period in units of 100 ns: one and a half milliseconds. */
TARGET_CASE("TMR-4 TMR-5", periods_are_finer_than_milliseconds, "mode=icount clock=5000") {
    PEX_TIMER timer = Allocate(0);
    ULONG64 start = KeQueryInterruptTime();
    ExSetTimer(timer, -15000, 15000, NULL);
    for (LONG i = 1; i <= 10; i++) {
        SLEEP_UNTIL(Calls == i);
        ASSERT_GE(KeQueryInterruptTime(), start + (ULONG64)i * 15000);
        ASSERT_LE(KeQueryInterruptTime(), start + (ULONG64)i * 15000 + (ULONG64)Ticks(2));
    }
    ASSERT_TRUE(Delete(timer, TRUE, TRUE));
}

TARGET_CASE("TMR-3", an_allocated_timer_is_waited_for, "clock=10000") {
    LARGE_INTEGER zero = {.QuadPart = 0};
    for (ULONG type = 0; type < 2; type++) {
        PEX_TIMER timer = ExAllocateTimer(NULL, NULL, type != 0 ? EX_TIMER_NOTIFICATION : 0);
        ExSetTimer(timer, -Ticks(1), 0, NULL);
        ASSERT_EQ(KeWaitForSingleObject(timer, Executive, KernelMode, FALSE, NULL), STATUS_SUCCESS);
        ASSERT_EQ(KeWaitForSingleObject(timer, Executive, KernelMode, FALSE, &zero),
                  type != 0 ? STATUS_SUCCESS : STATUS_TIMEOUT);
        ASSERT_FALSE(ExDeleteTimer(timer, TRUE, TRUE, NULL));
    }
}

TARGET_CASE("TMR-4", a_timer_that_is_not_cancelled_expires_before_it_is_deleted, "clock=10000") {
    PEX_TIMER timer = Allocate(0);
    KIRQL irql;
    ExSetTimer(timer, -Ticks(5), 0, NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_FALSE(Delete(timer, FALSE, FALSE));
    KeLowerIrql(irql);
    SLEEP_UNTIL(Deletions);
    ASSERT_EQ(Calls, 1);
    timer = Allocate(0);
    ExSetTimer(timer, -Ticks(5), Ticks(1), NULL);
    ASSERT_FALSE(Delete(timer, FALSE, FALSE));
    SLEEP_UNTIL(Deletions);
    LONG calls = Calls;
    SleepTicks(5);
    ASSERT_EQ(Calls, calls); /* a periodic one does not expire again */
}

/* The callback is held inside while the timer is deleted: the object and what is said of it outlast the callback. */
TARGET_CASE("TMR-2 TMR-4 TMR-8", a_deletion_waits_for_the_callback,
            "smp=2 clock=10000 placement=routine,first-available") {
    KIRQL irql;
    PEX_TIMER timer = Allocate(0);
    Stay = TRUE;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ExSetTimer(timer, 0, 0, NULL); /* due at once, on another CPU */
    WAIT_UNTIL(Inside == 1);
    KeLowerIrql(irql);
    ASSERT_FALSE(Delete(timer, TRUE, FALSE));
    ASSERT_FALSE(ExSetTimer(timer, 0, 0, NULL)); /* neither returns TRUE nor does anything */
    ASSERT_FALSE(ExCancelTimer(timer, NULL));
    SleepTicks(3);
    ASSERT_EQ(Deletions, 0);
    Stay = FALSE;
    SLEEP_UNTIL(Deletions);
    ASSERT_EQ(Calls, 1);
}

TARGET_CASE("TMR-4", the_callback_deletes_its_own_timer, "clock=10000") {
    PEX_TIMER timer = Allocate(0);
    DeleteFromCallback = TRUE;
    ExSetTimer(timer, -Ticks(1), 0, NULL);
    SLEEP_UNTIL(Deletions);
    ASSERT_EQ(Calls, 1);
}

TARGET_CASE("TMR-1", attributes_that_are_none_are_refused, "") {
    ASSERT_EQ((ULONG_PTR)ExAllocateTimer(NULL, NULL, 1), 0);
}

/* STATUS_INVALID_PARAMETER, raised: nobody handles it. */
TARGET_CASE("TMR-4", waiting_without_cancelling_is_fatal, "bugcheck=0x1E/0xFFFFFFFFC000000D") {
    PEX_TIMER timer = ExAllocateTimer(NULL, NULL, 0);
    ExDeleteTimer(timer, FALSE, TRUE, NULL);
}

/* The page of the clocks is the kernel's to write. */
TARGET_CASE("0xBE", a_driver_cannot_set_the_clock_by_hand, "bugcheck=0xBE/0xFFFFF78000000008") {
    *(volatile ULONG64 *)SharedInterruptTime = 0;
}

TARGET_DRIVER
