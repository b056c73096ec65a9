/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Importance: where in the queue, and whether processing begins at once. What is deferred is processed at a clock tick at
 * the latest, so most cases have a tick that does not come; there the request rate is what the case itself made of it.
 */
#include "dpccase.h"

#define DPC_VECTOR 0x2f

#define NO_TICK "clock=500000000 "
#define FAST    "clock=4000 " /* where a tick is awaited */
#define DEPTH   4             /* a deeper queue is processed at once */

static NOTED Notes[8];
static volatile LONG Stop, Started;

/* More requests than the least that counts as frequent. */
static VOID RaiseRequestRate(VOID) {
    for (ULONG i = 0; i < 6; i++) {
        Prepare(&Notes[0]);
        ASSERT_EQ(Queue(&Notes[0]), TRUE);
        WAIT_UNTIL(Notes[0].Runs);
    }
}

static VOID QueueLow(NOTED *Noted) {
    Prepare(Noted);
    KeSetImportanceDpc(&Noted->Dpc, LowImportance);
    ASSERT_EQ(Queue(Noted), TRUE);
    Settle();
}

TARGET_CASE("DPC-8", low_waits_until_the_queue_is_deep, NO_TICK "oracle=DPC-1") {
    RaiseRequestRate();
    for (ULONG i = 0; i < DEPTH; i++) {
        QueueLow(&Notes[i]);
        ASSERT_EQ(Notes[i].Runs, 0);
    }
    ASSERT_EQ(Notes[0].Runs, 0);
    NotedRuns = 0;
    QueueLow(&Notes[DEPTH]);
    for (ULONG i = 0; i <= DEPTH; i++) {
        ASSERT_EQ(Notes[i].Runs, 1);
        ASSERT_EQ(Notes[i].Cpu, 0);
    }
    ASSERT_LT(Notes[0].Order, Notes[DEPTH].Order); /* at the tail, in order */
}

TARGET_CASE("DPC-8", low_runs_with_the_next_that_does_not_wait, NO_TICK) {
    static const KDPC_IMPORTANCE importance[] = {MediumImportance, MediumHighImportance, HighImportance};
    for (ULONG i = 0; i < RTL_NUMBER_OF(importance); i++) {
        RaiseRequestRate();
        QueueLow(&Notes[0]);
        ASSERT_EQ(Notes[0].Runs, 0);
        Prepare(&Notes[1]);
        KeSetImportanceDpc(&Notes[1].Dpc, importance[i]);
        ASSERT_EQ(Queue(&Notes[1]), TRUE);
        Settle();
        ASSERT_EQ(Notes[1].Runs, 1);
        ASSERT_EQ(Notes[0].Runs, 1);
        ASSERT_EQ(Notes[0].Order < Notes[1].Order, importance[i] != HighImportance);
    }
}

/* With few requests in a clock tick nothing is gained by waiting. Two whole ticks without one are awaited at most. */
TARGET_CASE("DPC-8", low_does_not_wait_when_requests_are_rare, FAST) {
    ULONG at_once = 0;
    for (ULONG i = 0; i < 6; i++) {
        QueueLow(&Notes[0]);
        at_once += Notes[0].Runs != 0;
        WAIT_UNTIL(Notes[0].Runs); /* a tick sees to it otherwise */
    }
    ASSERT_NE(at_once, 0);
}

TARGET_CASE("DPC-8", a_clock_tick_sees_to_what_waits, FAST) {
    for (ULONG i = 0; i < 3; i++) {
        RaiseRequestRate();
        QueueLow(&Notes[0]);
        WAIT_UNTIL(Notes[0].Runs);
        ASSERT_EQ(Notes[0].Cpu, 0);
    }
}

static VOID NTAPI BusyAtPassive(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    Started = TRUE;
    WAIT_UNTIL(Stop);
}

/* The other CPU does something at PASSIVE_LEVEL and drains nothing of its own accord. */
static VOID KeepBusy(VOID) {
    Stop = Started = FALSE;
    DirqlStartOn(1, BusyAtPassive, NULL);
    WAIT_UNTIL(Started);
}

static VOID LetGo(VOID) {
    Stop = TRUE;
    DirqlWaitFor(1);
}

static VOID QueueOnOther(NOTED *Noted, KDPC_IMPORTANCE Importance) {
    PrepareOn(Noted, 1, Importance);
    ASSERT_EQ(Queue(Noted), TRUE);
}

TARGET_CASE("DPC-9", low_and_medium_wait_on_another_cpu, "smp=2 " NO_TICK "oracle=DPC-4") {
    static const KDPC_IMPORTANCE importance[] = {MediumHighImportance, HighImportance};
    for (ULONG i = 0; i < RTL_NUMBER_OF(importance); i++) {
        KeepBusy();
        QueueOnOther(&Notes[0], MediumImportance);
        QueueOnOther(&Notes[1], LowImportance);
        Settle();
        DirqlHostCall(HostCallPing, 0, 0, NULL);
        Settle();
        ASSERT_EQ(Notes[0].Runs, 0);
        ASSERT_EQ(Notes[1].Runs, 0);
        QueueOnOther(&Notes[2], importance[i]);
        WAIT_UNTIL(Notes[0].Runs && Notes[1].Runs && Notes[2].Runs); /* no tick comes: it was asked for at once */
        ASSERT_LT(Notes[0].Order, Notes[1].Order);
        ASSERT_EQ(Notes[2].Order < Notes[0].Order, importance[i] == HighImportance);
        for (ULONG n = 0; n < 3; n++) {
            ASSERT_EQ(Notes[n].Cpu, 1);
        }
        LetGo();
    }
}

TARGET_CASE("DPC-9", a_deep_queue_is_drained_on_another_cpu, "smp=2 " NO_TICK "oracle=DPC-4") {
    KeepBusy();
    for (ULONG i = 0; i <= DEPTH; i++) {
        QueueOnOther(&Notes[i], i % 2 ? LowImportance : MediumImportance);
        if (i < DEPTH) {
            Settle();
            ASSERT_EQ(Notes[i].Runs, 0);
        }
    }
    WAIT_UNTIL(Notes[DEPTH].Runs);
    for (ULONG i = 0; i <= DEPTH; i++) {
        ASSERT_EQ(Notes[i].Runs, 1);
        ASSERT_EQ(Notes[i].Cpu, 1);
    }
    LetGo();
}

TARGET_CASE("DPC-9", deferred_until_that_cpu_happens_to_drain, "smp=2 " NO_TICK) {
    KeepBusy();
    QueueOnOther(&Notes[0], MediumImportance);
    Settle();
    ASSERT_EQ(Notes[0].Runs, 0);
    DirqlInterrupt(1, DPC_VECTOR); /* whatever it is for */
    WAIT_UNTIL(Notes[0].Runs);
    ASSERT_EQ(Notes[0].Cpu, 1);
    LetGo();
}

TARGET_CASE("DPC-9", a_clock_tick_there_sees_to_what_waits, "smp=2 " FAST) {
    KeepBusy();
    QueueOnOther(&Notes[0], LowImportance);
    WAIT_UNTIL(Notes[0].Runs);
    ASSERT_EQ(Notes[0].Cpu, 1);
    LetGo();
}

TARGET_CASE("DPC-11", importance_counts_when_it_is_queued, "oracle=DPC-1") {
    KIRQL irql;
    Prepare(&Notes[0]);
    Prepare(&Notes[1]);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    ASSERT_EQ(Queue(&Notes[1]), TRUE);
    KeSetImportanceDpc(&Notes[1].Dpc, HighImportance);
    KeLowerIrql(irql);
    WAIT_UNTIL(NotedRuns == 2);
    ASSERT_LT(Notes[0].Order, Notes[1].Order);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    ASSERT_EQ(Queue(&Notes[1]), TRUE);
    KeLowerIrql(irql);
    WAIT_UNTIL(NotedRuns == 4);
    ASSERT_LT(Notes[1].Order, Notes[0].Order);
}

TARGET_DRIVER
