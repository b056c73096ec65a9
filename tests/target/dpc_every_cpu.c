/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for the DPCs of all CPUs, and running one on all of them: KeFlushQueuedDpcs and KeGenericCallDpc. */
#include "dpccase.h"

#include <genericdpc.h>

#define ROUNDS 3

typedef struct _SLOW {
    KDPC Dpc;
    volatile LONG Begun, Done;
} SLOW;

static SLOW Slow[MAXIMUM_CPUS];

static VOID NTAPI TakeTime(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    SLOW *slow = Context;
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    slow->Begun = TRUE;
    Settle();
    Settle();
    slow->Done = TRUE;
}

static VOID QueueSlow(ULONG Cpu, KDPC_IMPORTANCE Importance, BOOLEAN Threaded) {
    SLOW *slow = &Slow[Cpu];
    slow->Begun = slow->Done = FALSE;
    if (Threaded) {
        KeInitializeThreadedDpc(&slow->Dpc, TakeTime, slow);
    } else {
        KeInitializeDpc(&slow->Dpc, TakeTime, slow);
    }
    KeSetTargetProcessorDpc(&slow->Dpc, (CCHAR)Cpu);
    KeSetImportanceDpc(&slow->Dpc, Importance);
    ASSERT_EQ(KeInsertQueueDpc(&slow->Dpc, NULL, NULL), TRUE);
}

/* Deferred ones too: low importance, on a machine whose clock does not tick. */
TARGET_CASE("DPC-14", flush_waits_for_every_cpu, "clock=500000000 oracle=DPC-1,DPC-4") {
    static const KDPC_IMPORTANCE importance[] = {LowImportance, MediumImportance, HighImportance};
    for (ULONG i = 0; i < RTL_NUMBER_OF(importance); i++) {
        for (ULONG cpu = TargetCpus(); cpu-- > 0;) { /* this CPU last: its own may run at once */
            QueueSlow(cpu, importance[i], FALSE);
        }
        KeFlushQueuedDpcs();
        for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
            ASSERT_TRUE(Slow[cpu].Done);
        }
    }
}

TARGET_CASE("DPC-14", flush_waits_for_one_that_runs_already, "smp=2") {
    for (ULONG i = 0; i < 5; i++) {
        QueueSlow(1, HighImportance, FALSE);
        WAIT_UNTIL(Slow[1].Begun);
        KeFlushQueuedDpcs();
        ASSERT_TRUE(Slow[1].Done);
    }
}

TARGET_CASE("DPC-14 DPC-15", flush_waits_for_threaded_ones, "") {
    for (ULONG cpu = TargetCpus(); cpu-- > 0;) {
        QueueSlow(cpu, MediumImportance, TRUE);
    }
    KeFlushQueuedDpcs();
    for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
        ASSERT_TRUE(Slow[cpu].Done);
    }
}

static NOTED Shared;

TARGET_CASE("DPC-14", flush_waits_for_one_that_any_cpu_may_run, "smp=2 placement=first-available") {
    for (ULONG i = 0; i < 10; i++) {
        Prepare(&Shared);
        ASSERT_EQ(Queue(&Shared), TRUE);
        KeFlushQueuedDpcs();
        ASSERT_EQ(Shared.Runs, 1);
    }
}

static VOID NTAPI QueueAndFlush(PVOID Context) {
    ULONG cpu = (ULONG)(ULONG_PTR)Context;
    for (ULONG i = 0; i < ROUNDS; i++) {
        QueueSlow(cpu, MediumImportance, FALSE);
        KeFlushQueuedDpcs();
        ASSERT_TRUE(Slow[cpu].Done);
    }
}

TARGET_CASE("DPC-14", all_cpus_flush_at_once, "smp=2 oracle=DPC-1") {
    OnEveryCpu(QueueAndFlush);
}

static VOID NTAPI FlushInTheDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeFlushQueuedDpcs();
}

TARGET_CASE("DPC-16 DPC-14", a_dpc_must_not_wait_for_dpcs, "bugcheck=0xb8") {
    KDPC dpc;
    KeInitializeDpc(&dpc, FlushInTheDpc, NULL);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    WAIT_UNTIL(FALSE);
}

TARGET_CASE("DPC-16 DPC-15", nor_must_a_threaded_one, "bugcheck=0xb8") {
    KDPC dpc;
    KeInitializeThreadedDpc(&dpc, FlushInTheDpc, NULL);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    WAIT_UNTIL(FALSE);
}

/* What a call on all CPUs leaves behind: one for each CPU, and none is out before the last is in. */
typedef struct _MEETING {
    volatile LONG Arrived[ROUNDS], Chosen[ROUNDS], Runs;
    volatile LONG PerCpu[MAXIMUM_CPUS];
} MEETING;

static MEETING Meetings[MAXIMUM_CPUS];

static VOID NTAPI Meet(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    MEETING *meeting = Context;
    UNREFERENCED_PARAMETER(Dpc);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    for (ULONG round = 0; round < ROUNDS; round++) {
        InterlockedIncrement(&meeting->Arrived[round]);
        if (KeSignalCallDpcSynchronize(Argument2)) {
            InterlockedIncrement(&meeting->Chosen[round]);
        }
        ASSERT_EQ(meeting->Arrived[round], TargetCpus());
    }
    InterlockedIncrement(&meeting->PerCpu[KeGetCurrentProcessorNumber()]);
    InterlockedIncrement(&meeting->Runs);
    KeSignalCallDpcDone(Argument1);
}

static VOID NTAPI CallEveryCpu(PVOID Context) {
    MEETING *meeting = &Meetings[(ULONG_PTR)Context];
    RtlZeroMemory(meeting, sizeof *meeting);
    KeGenericCallDpc(Meet, meeting);
    ASSERT_EQ(meeting->Runs, TargetCpus());
    for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
        ASSERT_EQ(meeting->PerCpu[cpu], 1);
    }
    for (ULONG round = 0; round < ROUNDS; round++) {
        ASSERT_EQ(meeting->Chosen[round], 1);
    }
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("DPC-4 DPC-10", a_generic_call_runs_on_every_cpu, "placement=routine,first-available oracle=DPC-4,DPC-5") {
    CallEveryCpu(NULL);
}

TARGET_CASE("DPC-4 DPC-10", every_cpu_makes_a_generic_call_at_once, "smp=2 oracle=DPC-4,DPC-1") {
    OnEveryCpu(CallEveryCpu);
}

static volatile LONG Finished;

static VOID NTAPI TakeTimeElsewhere(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument2);
    if (KeGetCurrentProcessorNumber() != (ULONG_PTR)Context) {
        Settle();
        Settle();
    }
    InterlockedIncrement(&Finished);
    KeSignalCallDpcDone(Argument1);
}

TARGET_CASE("DPC-4 DPC-14", a_generic_call_waits_for_the_slowest, "smp=2") {
    Finished = 0;
    KeGenericCallDpc(TakeTimeElsewhere, NULL); /* this CPU's own is done at once */
    ASSERT_EQ(Finished, TargetCpus());
}

static VOID NTAPI CallFromTheThread(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    CallEveryCpu((PVOID)1);
    *(volatile LONG *)Context = TRUE;
}

/* The threaded DPC comes above a caller that has its own call under way: neither waits for the other. */
TARGET_CASE("DPC-15", a_threaded_dpc_makes_a_generic_call, "smp=2") {
    KDPC dpc;
    for (ULONG i = 0; i < 20; i++) {
        volatile LONG done = FALSE;
        KeInitializeThreadedDpc(&dpc, CallFromTheThread, (PVOID)&done);
        ASSERT_EQ(KeInsertQueueDpc(&dpc, NULL, NULL), TRUE);
        CallEveryCpu(NULL);
        WAIT_UNTIL(done);
    }
}

TARGET_DRIVER
