/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interlocked work queue between dispatch routines on all CPUs, a worker thread's routine and a DPC, as in the example of the
 * documents' page on spin locks (seed 003): IRP-9, SYS-11.
 */
#include <ntddk.h>

#include "irpcase.h"

#define CPUS     8
#define OF_A_CPU 80

static REQUEST Requests[CPUS * OF_A_CPU];
static LIST_ENTRY WorkQueue, DpcQueue;
static KSPIN_LOCK WorkLock, DpcLock; /* each with its ExInterlocked routines alone */
static volatile LONG Queued;         /* of WorkQueue, and not taken yet: who makes it 1 queues the work item */
static PIO_WORKITEM Item;
static KDPC Dpc;
static volatile LONG Dpcs;
static ULONG NextWork[CPUS], NextDone[CPUS]; /* the worker's, the DPC's */
static volatile LONG Left;
static volatile LONG Go;

static PIRP IrpOf(PLIST_ENTRY Link) {
    return CONTAINING_RECORD(Link, IRP, Tail.Overlay.ListEntry);
}

/* Takes all there is, and what comes meanwhile. Whoever makes the count 1 again queues the work item again. */
static VOID NTAPI Work(PDEVICE_OBJECT DeviceObject, PVOID Context) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Context);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    do {
        PLIST_ENTRY link = ExInterlockedRemoveHeadList(&WorkQueue, &WorkLock);
        ASSERT_NE(link, NULL);
        const REQUEST *request = RequestOf(IrpOf(link));
        ASSERT_EQ(request->Id, NextWork[request->Producer]);
        NextWork[request->Producer]++;
        ExInterlockedInsertTailList(&DpcQueue, link, &DpcLock);
        KeInsertQueueDpc(&Dpc, NULL, NULL);
    } while (InterlockedDecrement(&Queued) != 0);
}

static VOID NTAPI Ends(PKDPC Object, PVOID Context, PVOID Argument1, PVOID Argument2) {
    PLIST_ENTRY link;
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    ASSERT_EQ(InterlockedIncrement(&Dpcs), 1); /* it has one CPU */
    while ((link = ExInterlockedRemoveHeadList(&DpcQueue, &DpcLock)) != NULL) {
        PIRP irp = IrpOf(link);
        const REQUEST *request = RequestOf(irp);
        ASSERT_EQ(request->Id, NextDone[request->Producer]);
        NextDone[request->Producer]++;
        Complete(irp, STATUS_SUCCESS);
        InterlockedDecrement(&Left);
    }
    InterlockedDecrement(&Dpcs);
}

static NTSTATUS NTAPI QueuesRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    IoMarkIrpPending(Irp);
    ExInterlockedInsertTailList(&WorkQueue, &Irp->Tail.Overlay.ListEntry, &WorkLock);
    if (InterlockedIncrement(&Queued) == 1) {
        IoQueueWorkItem(Item, Work, DelayedWorkQueue, DeviceObject);
    }
    return STATUS_PENDING;
}

static VOID NTAPI Sends(PVOID Context) {
    PDEVICE_OBJECT device = Context;
    ULONG me = KeGetCurrentProcessorNumber();
    KIRQL old;
    InterlockedDecrement(&Go);
    WAIT_UNTIL(Go == 0);
    for (ULONG i = 0; i < OF_A_CPU; i++) {
        KeRaiseIrql(i % 2 ? DISPATCH_LEVEL : PASSIVE_LEVEL, &old);
        ASSERT_EQ(IoCallDriver(device, Requests[me * OF_A_CPU + i].Irp), STATUS_PENDING);
        KeLowerIrql(old);
    }
}

TARGET_CASE("IRP-9 SYS-11", every_irp_leaves_once_in_its_producers_order, "") {
    PDEVICE_OBJECT device = MakeDevice(NULL, QueuesRead);
    LARGE_INTEGER instant = {.QuadPart = -10000};
    ULONG cpus = TargetCpus();
    InitializeListHead(&WorkQueue);
    InitializeListHead(&DpcQueue);
    KeInitializeDpc(&Dpc, Ends, NULL);
    KeSetTargetProcessorDpc(&Dpc, (CCHAR)(cpus - 1));
    KeSetImportanceDpc(&Dpc, MediumHighImportance);
    Item = IoAllocateWorkItem(device);
    Queued = 0;
    Left = (LONG)(cpus * OF_A_CPU);
    Go = (LONG)cpus;
    RtlZeroMemory(NextWork, sizeof NextWork);
    RtlZeroMemory(NextDone, sizeof NextDone);
    for (ULONG cpu = 0; cpu < cpus; cpu++) {
        for (ULONG i = 0; i < OF_A_CPU; i++) {
            MakeIrp(device, &Requests[cpu * OF_A_CPU + i], i, cpu);
        }
    }
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlStartOn(cpu, Sends, device);
    }
    Sends(device);
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    while (Left != 0) { /* this CPU may be the worker's */
        KeDelayExecutionThread(KernelMode, FALSE, &instant);
    }
    KeFlushQueuedDpcs();
    ASSERT_EQ(Queued, 0);
    ASSERT_TRUE(IsListEmpty(&WorkQueue));
    ASSERT_TRUE(IsListEmpty(&DpcQueue));
    for (ULONG i = 0; i < cpus * OF_A_CPU; i++) {
        ASSERT_EQ(Requests[i].Irql, DISPATCH_LEVEL);
        FreeOnce(&Requests[i]);
    }
    IoFreeWorkItem(Item);
    IoDeleteDevice(device);
}

IRP_DRIVER
