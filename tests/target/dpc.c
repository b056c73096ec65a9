/* SPDX-License-Identifier: Apache-2.0 */
/* DPC objects: queued once, run once, requeued, removed, flushed, with the arguments of the insertion that counted. */
#include "dpccase.h"

#define ROUNDS 2000

static NOTED One, Two;

TARGET_CASE("DPC-1", true_when_queued_and_false_when_queued_already,
            "placement=routine,first-available,current oracle=DPC-1,DPC-2") {
    KIRQL irql;
    Prepare(&One);
    HoldOthers();
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(KeInsertQueueDpc(&One.Dpc, (PVOID)1, (PVOID)2), TRUE);
    ASSERT_EQ(KeInsertQueueDpc(&One.Dpc, (PVOID)3, (PVOID)4), FALSE);
    ASSERT_EQ(One.Runs, 0);
    KeLowerIrql(irql);
    WAIT_UNTIL(One.Runs);
    ReleaseOthers();
    ASSERT_EQ(One.Runs, 1);
    ASSERT_EQ(One.Argument1, 1);
    ASSERT_EQ(One.Argument2, 2);
}

static DEVICE_OBJECT Device;
static volatile LONG DeviceRuns;

static VOID NTAPI DeviceDpc(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    ASSERT_EQ(Dpc, &Device.Dpc);
    ASSERT_EQ(DeviceObject, &Device);
    ASSERT_EQ(Irp, 0x10);
    ASSERT_EQ(Context, 0x20);
    InterlockedIncrement(&DeviceRuns);
}

TARGET_CASE("DPC-2", many_requests_before_it_runs_are_one_run,
            "placement=routine,first-available,current oracle=DPC-1,DPC-2") {
    KIRQL irql;
    Device.Type = IO_TYPE_DEVICE;
    DeviceRuns = 0;
    IoInitializeDpcRequest(&Device, DeviceDpc);
    for (LONG round = 1; round <= 3; round++) {
        HoldOthers();
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        ASSERT_EQ(IoRequestDpc(&Device, (PIRP)0x10, (PVOID)0x20), TRUE);
        for (ULONG i = 0; i < 100; i++) {
            ASSERT_EQ(IoRequestDpc(&Device, (PIRP)0x30, (PVOID)0x40), FALSE);
        }
        KeLowerIrql(irql);
        WAIT_UNTIL(DeviceRuns == round);
        ReleaseOthers();
    }
    Settle();
    ASSERT_EQ(DeviceRuns, 3);
}

static volatile LONG Again;

static VOID NTAPI QueueAgain(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (InterlockedIncrement(&Again) < 5) {
        ASSERT_EQ(KeInsertQueueDpc(Dpc, NULL, NULL), TRUE);
        ASSERT_EQ(KeInsertQueueDpc(Dpc, NULL, NULL), FALSE);
    }
}

TARGET_CASE("DPC-3", a_dpc_queues_itself_again_from_its_routine, "oracle=DPC-1,DPC-2,DPC-3") {
    KDPC dpc;
    Again = 0;
    KeInitializeDpc(&dpc, QueueAgain, NULL);
    ASSERT_EQ(KeInsertQueueDpc(&dpc, NULL, NULL), TRUE);
    WAIT_UNTIL(Again == 5);
    KeFlushQueuedDpcs();
    ASSERT_EQ(Again, 5);
}

static KDPC Overlapping;
static volatile LONG Inside, Most;

static VOID NTAPI Overlap(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    LONG inside = InterlockedIncrement(&Inside);
    if (inside > Most) {
        Most = inside;
    }
    WAIT_UNTIL(Most == 2);
}

static volatile LONG Ready;

/* At DISPATCH_LEVEL until the first run has begun, so that it begins elsewhere. */
static VOID NTAPI QueueWhileItRuns(PVOID Context) {
    KIRQL irql;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    Ready = TRUE;
    WAIT_UNTIL(Inside == 1);
    ASSERT_EQ(KeInsertQueueDpc(&Overlapping, NULL, NULL), TRUE);
    KeLowerIrql(irql);
}

TARGET_CASE("DPC-3", a_dpc_runs_on_two_cpus_at_once, "smp=2 placement=routine,first-available,current") {
    Inside = Most = Ready = 0;
    KeInitializeDpc(&Overlapping, Overlap, NULL);
    DirqlStartOn(1, QueueWhileItRuns, NULL);
    WAIT_UNTIL(Ready);
    ASSERT_EQ(KeInsertQueueDpc(&Overlapping, NULL, NULL), TRUE);
    WAIT_UNTIL(Inside == 2);
    DirqlWaitFor(1);
    KeFlushQueuedDpcs();
    ASSERT_EQ(Inside, 2);
}

TARGET_CASE("DPC-12", a_removed_dpc_never_runs, "placement=routine,first-available,current oracle=DPC-1") {
    KIRQL irql;
    Prepare(&One);
    Prepare(&Two);
    ASSERT_EQ(KeRemoveQueueDpc(&One.Dpc), FALSE);
    HoldOthers();
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(Queue(&One), TRUE);
    ASSERT_EQ(Queue(&Two), TRUE);
    ASSERT_EQ(KeRemoveQueueDpc(&One.Dpc), TRUE);
    ASSERT_EQ(KeRemoveQueueDpc(&One.Dpc), FALSE);
    KeLowerIrql(irql);
    ReleaseOthers();
    WAIT_UNTIL(Two.Runs);
    KeFlushQueuedDpcs();
    ASSERT_EQ(One.Runs, 0);
    ASSERT_EQ(Two.Runs, 1);
    ASSERT_EQ(KeRemoveQueueDpc(&Two.Dpc), FALSE);
    ASSERT_EQ(Queue(&One), TRUE); /* and it can be queued again */
    WAIT_UNTIL(One.Runs == 1);
}

TARGET_CASE("DPC-12", removed_from_another_cpus_queue, "smp=2") {
    HoldOthers();
    PrepareOn(&One, 1, HighImportance);
    PrepareOn(&Two, 1, HighImportance);
    ASSERT_EQ(Queue(&One), TRUE);
    ASSERT_EQ(Queue(&Two), TRUE);
    ASSERT_EQ(KeRemoveQueueDpc(&Two.Dpc), TRUE);
    ReleaseOthers();
    KeFlushQueuedDpcs();
    ASSERT_EQ(One.Runs, 1);
    ASSERT_EQ(Two.Runs, 0);
}

static volatile LONG RemovedElsewhere, Stop;

static VOID NTAPI RemoveAndRemove(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    while (!Stop) {
        if (KeRemoveQueueDpc(&One.Dpc)) {
            InterlockedIncrement(&RemovedElsewhere);
        }
        YieldProcessor();
    }
}

TARGET_CASE("DPC-12", either_it_runs_or_it_was_removed, "smp=2 oracle=DPC-1,DPC-2") {
    LONG queued = 0;
    Prepare(&One);
    RemovedElsewhere = Stop = 0;
    DirqlStartOn(1, RemoveAndRemove, NULL);
    for (ULONG i = 0; i < ROUNDS; i++) {
        KIRQL irql;
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        queued += Queue(&One);
        YieldProcessor();
        KeLowerIrql(irql);
    }
    Stop = TRUE;
    DirqlWaitFor(1);
    KeFlushQueuedDpcs();
    ASSERT_EQ(One.Runs + RemovedElsewhere, queued);
}

TARGET_CASE("DPC-13", queued_and_removed_at_every_irql, "") {
    for (KIRQL level = PASSIVE_LEVEL; level <= HIGH_LEVEL; level++) {
        KIRQL irql;
        Prepare(&One);
        KeRaiseIrql(level, &irql);
        if (level >= DISPATCH_LEVEL) {
            ASSERT_EQ(Queue(&One), TRUE);
            ASSERT_EQ(Queue(&One), FALSE);
            ASSERT_EQ(KeRemoveQueueDpc(&One.Dpc), TRUE);
            ASSERT_EQ(KeRemoveQueueDpc(&One.Dpc), FALSE);
            ASSERT_EQ(One.Runs, 0);
        }
        ASSERT_EQ(Queue(&One), TRUE);
        ASSERT_EQ(KeGetCurrentIrql(), level);
        KeLowerIrql(irql);
        WAIT_UNTIL(One.Runs);
        ASSERT_EQ(One.Runs, 1);
        ASSERT_EQ(One.Irql, DISPATCH_LEVEL);
    }
}

static volatile LONG Interrupts;

static BOOLEAN NTAPI QueueFromIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    ASSERT_EQ(Queue(&Two), TRUE);
    ASSERT_EQ(KeRemoveQueueDpc(&Two.Dpc), TRUE);
    ASSERT_EQ(Queue(&One), TRUE);
    ASSERT_EQ(One.Runs, 0);
    ASSERT_EQ(KeGetCurrentIrql(), 9);
    InterlockedIncrement(&Interrupts);
    return TRUE;
}

TARGET_CASE("DPC-13", queued_and_removed_by_a_service_routine, "placement=routine,current oracle=DPC-1,DPC-4,DPC-5") {
    PKINTERRUPT interrupt;
    ULONG vector = DirqlAllocateVector(9);
    Prepare(&One);
    Prepare(&Two);
    Interrupts = 0;
    ASSERT_EQ(IoConnectInterrupt(&interrupt, QueueFromIsr, NULL, NULL, vector, 9, 9, Latched, FALSE,
                                 KeQueryActiveProcessors(), FALSE),
              STATUS_SUCCESS);
    DirqlInterrupt(0, vector);
    WAIT_UNTIL(Interrupts && One.Runs);
    ASSERT_EQ(One.Runs, 1);
    ASSERT_EQ(One.Cpu, 0);
    ASSERT_EQ(Two.Runs, 0);
    IoDisconnectInterrupt(interrupt);
    DirqlFreeVector(vector);
}

TARGET_CASE("DPC-19", the_arguments_of_init_and_of_the_insertion_that_counted, "") {
    static const ULONG64 values[] = {0, 1, 0x123456789abcdef0ull, ~0ull};
    for (ULONG i = 0; i < RTL_NUMBER_OF(values); i++) {
        for (ULONG j = 0; j < RTL_NUMBER_OF(values); j++) {
            KIRQL irql;
            Prepare(&One);
            KeRaiseIrql(DISPATCH_LEVEL, &irql);
            ASSERT_EQ(KeInsertQueueDpc(&One.Dpc, (PVOID)values[i], (PVOID)values[j]), TRUE);
            ASSERT_EQ(KeInsertQueueDpc(&One.Dpc, (PVOID)0x77, (PVOID)0x88), FALSE);
            KeLowerIrql(irql);
            WAIT_UNTIL(One.Runs);
            ASSERT_EQ(One.Context, &One);
            ASSERT_EQ(One.Argument1, values[i]);
            ASSERT_EQ(One.Argument2, values[j]);
        }
    }
}

TARGET_DRIVER
