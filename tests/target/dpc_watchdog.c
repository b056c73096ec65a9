/* SPDX-License-Identifier: Apache-2.0 */
/* The DPC watchdog, in clock ticks of 0.4 ms: what it tells a DPC, and when it bites. */
#include "dpccase.h"

#define WATCHED "clock=4000 watchdog=5 "
#define LIMIT   5
#define PERIOD  30 /* six times as many */

static KDPC_WATCHDOG_INFORMATION First, Last;
static volatile NTSTATUS Status;
static volatile LONG Done, Runs;

static VOID NTAPI QueryInTheDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Status = KeQueryDpcWatchdogInformation(&First);
    do {
        YieldProcessor();
        KeQueryDpcWatchdogInformation(&Last);
    } while (First.DpcTimeLimit != 0 && Last.DpcTimeCount > 2);
    Done = TRUE;
}

static VOID RunQuery(BOOLEAN Threaded) {
    KDPC dpc;
    Done = FALSE;
    if (Threaded) {
        KeInitializeThreadedDpc(&dpc, QueryInTheDpc, NULL);
    } else {
        KeInitializeDpc(&dpc, QueryInTheDpc, NULL);
    }
    KeInsertQueueDpc(&dpc, NULL, NULL);
    WAIT_UNTIL(Done);
}

TARGET_CASE("DPC-16", it_counts_down_in_a_dpc, WATCHED) {
    RunQuery(FALSE);
    ASSERT_EQ(Status, STATUS_SUCCESS);
    ASSERT_EQ(First.DpcTimeLimit, LIMIT);
    ASSERT_EQ(First.DpcWatchdogLimit, PERIOD);
    ASSERT_LE(First.DpcTimeCount, LIMIT);
    ASSERT_LE(First.DpcWatchdogCount, PERIOD);
    ASSERT_LT(Last.DpcTimeCount, First.DpcTimeCount);
    ASSERT_LT(Last.DpcWatchdogCount, First.DpcWatchdogCount);
}

TARGET_CASE("DPC-16", switched_off_its_limits_are_zero, "") {
    RunQuery(FALSE);
    ASSERT_EQ(Status, STATUS_SUCCESS);
    ASSERT_EQ(First.DpcTimeLimit, 0);
    ASSERT_EQ(First.DpcTimeCount, 0);
    ASSERT_EQ(First.DpcWatchdogLimit, 0);
    ASSERT_EQ(First.DpcWatchdogCount, 0);
}

/* "In a DPC" and "at DISPATCH_LEVEL" are not the same, and either will do. */
TARGET_CASE("DPC-16", it_answers_in_a_dpc_or_at_dispatch_only, "") {
    KIRQL irql;
    KDPC_WATCHDOG_INFORMATION information;
    ASSERT_EQ(KeQueryDpcWatchdogInformation(&information), STATUS_UNSUCCESSFUL);
    KeRaiseIrql(APC_LEVEL, &irql);
    ASSERT_EQ(KeQueryDpcWatchdogInformation(&information), STATUS_UNSUCCESSFUL);
    KeLowerIrql(irql);
    for (KIRQL level = DISPATCH_LEVEL; level <= HIGH_LEVEL; level++) {
        KeRaiseIrql(level, &irql);
        ASSERT_EQ(KeQueryDpcWatchdogInformation(&information), STATUS_SUCCESS);
        KeLowerIrql(irql);
    }
    RunQuery(TRUE); /* a threaded DPC is one, at PASSIVE_LEVEL as it is */
    ASSERT_EQ(Status, STATUS_SUCCESS);
    ASSERT_EQ(KeQueryDpcWatchdogInformation(&information), STATUS_UNSUCCESSFUL);
}

static VOID NTAPI NeverReturn(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    WAIT_UNTIL(FALSE);
}

TARGET_CASE("DPC-16", a_dpc_that_takes_too_long, WATCHED "bugcheck=0x133/0/6/5/0") {
    KDPC dpc;
    KeInitializeDpc(&dpc, NeverReturn, NULL);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    WAIT_UNTIL(FALSE);
}

TARGET_CASE("DPC-16", a_dpc_that_takes_too_long_on_another_cpu, "smp=2 " WATCHED "bugcheck=0x133/0/6/5/0") {
    KDPC dpc;
    KeInitializeDpc(&dpc, NeverReturn, NULL);
    KeSetTargetProcessorDpc(&dpc, 1);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    WAIT_UNTIL(FALSE);
}

/* In a DPC: until one tick has come since it began. */
static VOID LastATick(VOID) {
    do {
        YieldProcessor();
        KeQueryDpcWatchdogInformation(&Last);
    } while (Last.DpcTimeCount == Last.DpcTimeLimit);
}

/* Each lasts a tick and queues itself again: none is too long alone, and the IRQL never falls. */
static VOID NTAPI OneAfterTheOther(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    LastATick();
    InterlockedIncrement(&Runs);
    KeInsertQueueDpc(Dpc, NULL, NULL);
}

TARGET_CASE("DPC-16", dpcs_that_take_too_long_together, WATCHED "placement=routine bugcheck=0x133/1/30/0/0") {
    KDPC dpc;
    KeInitializeDpc(&dpc, OneAfterTheOther, NULL);
    KeSetTargetProcessorDpc(&dpc, 0);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    WAIT_UNTIL(FALSE);
}

TARGET_CASE("DPC-16", a_raised_irql_that_is_never_lowered, WATCHED "bugcheck=0x133/1/30/0/0") {
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    WAIT_UNTIL(FALSE);
}

static VOID NTAPI ShortOne(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    LastATick();
    InterlockedIncrement(&Runs);
}

/* Many DPCs of a tick each, more than the period in all: the IRQL falls between them. */
TARGET_CASE("DPC-16", short_ones_with_rests_between_are_left_alone, WATCHED) {
    KDPC dpc;
    Runs = 0;
    KeInitializeDpc(&dpc, ShortOne, NULL);
    for (LONG i = 1; i <= PERIOD + 5; i++) {
        KeInsertQueueDpc(&dpc, NULL, NULL);
        WAIT_UNTIL(Runs == i);
    }
}

TARGET_DRIVER
