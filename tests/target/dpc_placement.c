/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a DPC runs and when: at DISPATCH_LEVEL, on the CPU whose queue it is in or on the first one available (D1), as
 * soon as the IRQL falls there and no sooner, in the order of the queue.
 */
#include "dpccase.h"

static NOTED Notes[MAXIMUM_CPUS];
static DEVICE_OBJECT Device;
static volatile LONG DeviceRuns;
static volatile ULONG DeviceCpu;

static ULONG Placement(VOID) {
    DIRQL_MACHINE machine;
    DirqlQueryMachine(&machine);
    return machine.DpcPlacement;
}

static VOID NTAPI QueueHere(PVOID Context) {
    NOTED *mine = &Notes[(ULONG_PTR)Context];
    Prepare(mine);
    ASSERT_EQ(Queue(mine), TRUE);
    WAIT_UNTIL(mine->Runs);
    ASSERT_EQ(mine->Irql, DISPATCH_LEVEL);
    ASSERT_EQ(mine->Cpu, (ULONG_PTR)Context);
    ASSERT_EQ(mine->Thread, KeGetCurrentThread()); /* whatever thread was there: no other was switched to */
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("DPC-4", at_dispatch_on_the_cpu_that_queued_it, "placement=routine,current oracle=DPC-4,DPC-5") {
    OnEveryCpu(QueueHere);
}

TARGET_CASE("DPC-4 IRQL-8", it_runs_before_the_lowering_returns, "placement=routine,current") {
    for (ULONG i = 0; i < 20; i++) {
        KIRQL irql;
        Prepare(&Notes[0]);
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        ASSERT_EQ(Queue(&Notes[0]), TRUE);
        Settle();
        ASSERT_EQ(Notes[0].Runs, 0);
        KeLowerIrql(APC_LEVEL); /* below DISPATCH_LEVEL is enough */
        YieldProcessor();
        YieldProcessor();
        ASSERT_EQ(Notes[0].Runs, 1);
        KeLowerIrql(irql);
    }
}

TARGET_CASE("DPC-5", queued_while_every_cpu_is_at_dispatch, "placement=routine,first-available,current oracle=DPC-5") {
    KIRQL irql;
    Prepare(&Notes[0]);
    HoldOthers();
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    Settle();
    DirqlHostCall(HostCallPing, 0, 0, NULL); /* time passes on the host too */
    ASSERT_EQ(Notes[0].Runs, 0);
    KeLowerIrql(irql);
    WAIT_UNTIL(Notes[0].Runs);
    ASSERT_EQ(Notes[0].Cpu, 0); /* the others are still up there */
    ReleaseOthers();
}

TARGET_CASE("DPC-5 DPC-7", the_first_cpu_that_lowers_runs_it, "smp=2 placement=first-available oracle=DPC-5") {
    KIRQL irql;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        Prepare(&Notes[0]);
        HoldOthers();
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        ASSERT_EQ(Queue(&Notes[0]), TRUE);
        Settle();
        ASSERT_EQ(Notes[0].Runs, 0);
        Released[cpu] = TRUE;
        WAIT_UNTIL(Notes[0].Runs);
        ASSERT_EQ(Notes[0].Cpu, cpu);
        ASSERT_EQ(Notes[0].Irql, DISPATCH_LEVEL);
        KeLowerIrql(irql);
        ReleaseOthers();
    }
}

TARGET_CASE("DPC-6", first_in_first_out_and_high_importance_first,
            "placement=routine,first-available,current oracle=DPC-1") {
    static const KDPC_IMPORTANCE importance[] = {MediumImportance, LowImportance,  HighImportance,
                                                 MediumImportance, HighImportance, MediumHighImportance};
    static const LONG order[] = {3, 4, 2, 5, 1, 6};
    KIRQL irql;
    HoldOthers();
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    for (ULONG i = 0; i < RTL_NUMBER_OF(order); i++) {
        Prepare(&Notes[i]);
        KeSetImportanceDpc(&Notes[i].Dpc, importance[i]);
        ASSERT_EQ(Queue(&Notes[i]), TRUE);
    }
    KeLowerIrql(irql);
    WAIT_UNTIL(NotedRuns == RTL_NUMBER_OF(order));
    for (ULONG i = 0; i < RTL_NUMBER_OF(order); i++) {
        ASSERT_EQ(Notes[i].Order, order[i]);
        ASSERT_EQ(Notes[i].Cpu, 0);
    }
    ReleaseOthers();
}

static VOID NTAPI QueueHereHeld(PVOID Context) {
    KIRQL irql;
    NOTED *mine = &Notes[(ULONG_PTR)Context];
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    Prepare(mine);
    ASSERT_EQ(Queue(mine), TRUE);
    Settle(); /* the others come to it too, and leave it alone */
    ASSERT_EQ(mine->Runs, 0);
    KeLowerIrql(irql);
    WAIT_UNTIL(mine->Runs);
    ASSERT_EQ(mine->Cpu, (ULONG_PTR)Context);
}

TARGET_CASE("DPC-6", each_cpu_has_a_queue_of_its_own, "smp=2 placement=routine,current oracle=DPC-4") {
    for (ULONG i = 0; i < 4; i++) {
        OnEveryCpu(QueueHereHeld);
    }
}

static VOID NTAPI DeviceDpc(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    DeviceCpu = KeGetCurrentProcessorNumber();
    InterlockedIncrement(&DeviceRuns);
}

static VOID PrepareDevice(VOID) {
    DeviceRuns = 0;
    Device.Type = IO_TYPE_DEVICE;
    IoInitializeDpcRequest(&Device, DeviceDpc);
}

TARGET_CASE("DPC-7", a_request_runs_on_the_first_available_cpu,
            "smp=2 placement=routine,first-available oracle=DPC-4") {
    KIRQL irql;
    PrepareDevice();
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(IoRequestDpc(&Device, NULL, NULL), TRUE);
    WAIT_UNTIL(DeviceRuns); /* not here: this CPU stays at DISPATCH_LEVEL until it has run */
    ASSERT_NE(DeviceCpu, 0);
    KeLowerIrql(irql);
}

TARGET_CASE("DPC-7 DPC-6", under_the_other_policy_a_request_stays, "smp=2 placement=current oracle=DPC-4") {
    KIRQL irql;
    PrepareDevice();
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(IoRequestDpc(&Device, NULL, NULL), TRUE);
    Settle();
    DirqlHostCall(HostCallPing, 0, 0, NULL);
    ASSERT_EQ(DeviceRuns, 0);
    KeLowerIrql(irql);
    WAIT_UNTIL(DeviceRuns);
    ASSERT_EQ(DeviceCpu, 0);
}

TARGET_CASE("DPC-7 DPC-6", an_untargeted_dpc_goes_where_the_policy_says,
            "smp=2 placement=routine,first-available,current") {
    KIRQL irql;
    Prepare(&Notes[0]);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    if (Placement() == 1) {
        WAIT_UNTIL(Notes[0].Runs);
        ASSERT_NE(Notes[0].Cpu, 0);
    } else {
        Settle();
        DirqlHostCall(HostCallPing, 0, 0, NULL);
        ASSERT_EQ(Notes[0].Runs, 0);
    }
    KeLowerIrql(irql);
    WAIT_UNTIL(Notes[0].Runs);
    ASSERT_EQ(Notes[0].Cpu == 0, Placement() != 1);
}

TARGET_CASE("DPC-10", the_target_runs_it_and_nobody_else,
            "smp=2 placement=routine,first-available,current oracle=DPC-4") {
    for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
        PrepareOn(&Notes[0], cpu, MediumHighImportance);
        ASSERT_EQ(Queue(&Notes[0]), TRUE);
        WAIT_UNTIL(Notes[0].Runs);
        ASSERT_EQ(Notes[0].Cpu, cpu);
    }
    PrepareDevice();
    KeSetTargetProcessorDpc(&Device.Dpc, 1); /* a DpcForIsr too */
    KeSetImportanceDpc(&Device.Dpc, HighImportance);
    ASSERT_EQ(IoRequestDpc(&Device, NULL, NULL), TRUE);
    WAIT_UNTIL(DeviceRuns);
    ASSERT_EQ(DeviceCpu, 1);
}

TARGET_CASE("DPC-10", a_target_set_after_queueing_is_for_the_next_time, "smp=2 oracle=DPC-4") {
    KIRQL irql;
    PrepareOn(&Notes[0], 0, MediumHighImportance);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    KeSetTargetProcessorDpc(&Notes[0].Dpc, 1);
    ASSERT_EQ(Queue(&Notes[0]), FALSE);
    Settle();
    ASSERT_EQ(Notes[0].Runs, 0);
    KeLowerIrql(irql);
    WAIT_UNTIL(Notes[0].Runs == 1);
    ASSERT_EQ(Notes[0].Cpu, 0);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    WAIT_UNTIL(Notes[0].Runs == 2);
    ASSERT_EQ(Notes[0].Cpu, 1);
}

TARGET_CASE("DPC-10", an_invalid_target_changes_nothing, "smp=2") {
    PROCESSOR_NUMBER number = {0, 1, 0};
    PROCESSOR_NUMBER beyond = {0, (UCHAR)TargetCpus(), 0};
    PROCESSOR_NUMBER group = {1, 0, 0};
    PROCESSOR_NUMBER reserved = {0, 0, 1};
    PrepareOn(&Notes[0], 1, HighImportance);
    KeSetTargetProcessorDpc(&Notes[0].Dpc, (CCHAR)TargetCpus());
    KeSetTargetProcessorDpc(&Notes[0].Dpc, 127);
    KeSetTargetProcessorDpc(&Notes[0].Dpc, -1);
    ASSERT_EQ(KeSetTargetProcessorDpcEx(&Notes[0].Dpc, &beyond), STATUS_INVALID_PARAMETER);
    ASSERT_EQ(KeSetTargetProcessorDpcEx(&Notes[0].Dpc, &group), STATUS_INVALID_PARAMETER);
    ASSERT_EQ(KeSetTargetProcessorDpcEx(&Notes[0].Dpc, &reserved), STATUS_INVALID_PARAMETER);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    WAIT_UNTIL(Notes[0].Runs == 1);
    ASSERT_EQ(Notes[0].Cpu, 1);
    for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
        number.Number = (UCHAR)cpu;
        PrepareOn(&Notes[0], 0, HighImportance);
        ASSERT_EQ(KeSetTargetProcessorDpcEx(&Notes[0].Dpc, &number), STATUS_SUCCESS);
        ASSERT_EQ(Queue(&Notes[0]), TRUE);
        WAIT_UNTIL(Notes[0].Runs == 1);
        ASSERT_EQ(Notes[0].Cpu, cpu);
    }
}

TARGET_DRIVER
