/* SPDX-License-Identifier: Apache-2.0 */
/* IoStartPacket, IoStartNextPacket and what they call: IRP-1, IRP-2, IRP-3, IRQL-8. */
#include <ntddk.h>

#include "irpcase.h"

#define MANY     40
#define CPUS     8
#define OF_A_CPU 60

static REQUEST Requests[CPUS * OF_A_CPU];
static ULONG Started[MANY]; /* the numbers of the IRPs that StartIo was called for */
static volatile LONG StartedCount;
static KIRQL StartIrql;
static volatile LONG Inside;  /* calls of StartIo that have not returned */
static volatile LONG Deepest; /* the most there were */
static volatile LONG InFlight;
static volatile LONG Left; /* IRPs that the storm still has to complete */
static ULONG NextOf[CPUS];
static volatile LONG Go;
static KSPIN_LOCK Lock;

static VOID NTAPI NotesStart(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    ASSERT_EQ(DeviceObject->CurrentIrp, Irp);
    StartIrql = KeGetCurrentIrql();
    Started[StartedCount++] = RequestOf(Irp)->Id;
}

/* As a DpcForIsr does. The IRP is the case's again. */
static VOID EndCurrent(PDEVICE_OBJECT Device, BOOLEAN Cancelable) {
    PIRP irp = Device->CurrentIrp;
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    IoStartNextPacket(Device, Cancelable);
    Complete(irp, STATUS_SUCCESS);
    KeLowerIrql(old);
}

TARGET_CASE("IRP-1 IRP-2 IRQL-8", started_or_queued, "cpus=1,4") {
    PDEVICE_OBJECT device = MakeDevice(NotesStart, NULL);
    StartedCount = 0;
    for (ULONG turn = 0; turn < 2; turn++) {
        for (ULONG i = 0; i < 5; i++) {
            StartIrql = 0;
            IoStartPacket(device, MakeIrpAt(device, &Requests[i], i), NULL, NULL);
            ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
            ASSERT_EQ(StartIrql, i == 0 ? DISPATCH_LEVEL : 0); /* the first at once, the others not yet */
            ASSERT_EQ(StartedCount, 5 * turn + 1);
        }
        for (ULONG i = 0; i < 5; i++) {
            ASSERT_EQ(StartedCount, 5 * turn + i + 1);
            ASSERT_EQ(Started[5 * turn + i], i);
            ASSERT_EQ(device->CurrentIrp, Requests[i].Irp);
            EndCurrent(device, FALSE);
            FreeOnce(&Requests[i]);
        }
        ASSERT_EQ(StartedCount, 5 * turn + 5);
        ASSERT_EQ(device->CurrentIrp, NULL); /* idle: the next one is started at once again */
        ASSERT_FALSE(device->DeviceQueue.Busy);
    }
    IoDeleteDevice(device);
}

TARGET_CASE("IRP-1 IRP-2", keys_decide_who_is_next, "cpus=1,4") {
    static const ULONG key[] = {0, 20, 10, 20, 5};
    static const ULONG order[] = {0, 4, 2, 1, 3};
    PDEVICE_OBJECT device = MakeDevice(NotesStart, NULL);
    PIRP first;
    KIRQL old;
    StartedCount = 0;
    for (ULONG i = 0; i < RTL_NUMBER_OF(key); i++) {
        ULONG value = key[i];
        IoStartPacket(device, MakeIrpAt(device, &Requests[i], i), &value, NULL);
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(key); i++) {
        ASSERT_EQ(Started[i], order[i]);
        EndCurrent(device, FALSE);
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(key); i++) {
        FreeOnce(&Requests[i]);
    }
    /* By key: 15 takes 20, the first of the two; then 21 finds none and takes the first. */
    StartedCount = 0;
    for (ULONG i = 0; i < RTL_NUMBER_OF(key); i++) {
        ULONG value = key[i];
        IoStartPacket(device, MakeIrpAt(device, &Requests[i], i), &value, NULL);
    }
    for (ULONG i = 0; i < 2; i++) {
        first = device->CurrentIrp;
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        IoStartNextPacketByKey(device, FALSE, i == 0 ? 15 : 21);
        Complete(first, STATUS_SUCCESS);
        KeLowerIrql(old);
        ASSERT_EQ(Started[i + 1], i == 0 ? 1 : 4);
    }
    for (ULONG i = 0; i < 3; i++) {
        EndCurrent(device, FALSE);
    }
    ASSERT_EQ(Started[3], 2);
    ASSERT_EQ(Started[4], 3);
    for (ULONG i = 0; i < RTL_NUMBER_OF(key); i++) {
        FreeOnce(&Requests[i]);
    }
    IoDeleteDevice(device);
}

/* Ends its IRP itself, and asks for the next: by recursion, or not. */
static VOID NTAPI StartsTheNext(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    LONG depth = InterlockedIncrement(&Inside);
    ASSERT_EQ(DeviceObject->CurrentIrp, Irp);
    Deepest = depth > Deepest ? depth : Deepest;
    Started[StartedCount++] = RequestOf(Irp)->Id;
    if (StartedCount != 1) { /* the first one's end is the case's */
        IoStartNextPacket(DeviceObject, FALSE);
        Complete(Irp, STATUS_SUCCESS);
    }
    InterlockedDecrement(&Inside);
}

TARGET_CASE("IRP-3", startio_that_starts_the_next, "cpus=1,4") {
    PDEVICE_OBJECT device = MakeDevice(StartsTheNext, NULL);
    for (ULONG deferred = 0; deferred < 2; deferred++) {
        IoSetStartIoAttributes(device, (BOOLEAN)deferred, FALSE);
        StartedCount = 0;
        Inside = 0;
        Deepest = 0;
        for (ULONG i = 0; i < 10; i++) {
            IoStartPacket(device, MakeIrpAt(device, &Requests[i], i), NULL, NULL);
        }
        ASSERT_EQ(StartedCount, 1);
        EndCurrent(device, FALSE);
        ASSERT_EQ(StartedCount, 10);
        ASSERT_EQ(Deepest, deferred ? 1 : 9);
        ASSERT_FALSE(device->DeviceQueue.Busy);
        for (ULONG i = 0; i < 10; i++) {
            ASSERT_EQ(Started[i], i);
            FreeOnce(&Requests[i]);
        }
    }
    IoDeleteDevice(device);
}

/* A storm: IRPs from all CPUs by their dispatch routine, ended by the device's DPC on whatever CPU it comes to. */
static NTSTATUS NTAPI PendsRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    IoMarkIrpPending(Irp);
    IoStartPacket(DeviceObject, Irp, NULL, NULL);
    return STATUS_PENDING;
}

static VOID NTAPI StormStartIo(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    REQUEST *request = RequestOf(Irp);
    LONG depth = InterlockedIncrement(&Inside);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_EQ(DeviceObject->CurrentIrp, Irp);
    ASSERT_EQ(InterlockedIncrement(&InFlight), 1); /* the request before has ended */
    ASSERT_EQ(request->Id, NextOf[request->Producer]);
    NextOf[request->Producer]++;
    Deepest = depth > Deepest ? depth : Deepest;
    KeSetTargetProcessorDpc(&DeviceObject->Dpc, (CCHAR)((request->Id + request->Producer + 1) % TargetCpus()));
    KeInsertQueueDpc(&DeviceObject->Dpc, Irp, NULL);
    InterlockedDecrement(&Inside); /* the DPC may run before this, on another CPU */
}

static VOID NTAPI StormDpc(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    ASSERT_EQ(DeviceObject->CurrentIrp, Irp);
    InterlockedDecrement(&InFlight);
    IoStartNextPacket(DeviceObject, FALSE);
    Complete(Irp, STATUS_SUCCESS);
    InterlockedDecrement(&Left);
}

static VOID NTAPI SendAll(PVOID Context) {
    PDEVICE_OBJECT device = Context;
    ULONG me = KeGetCurrentProcessorNumber();
    InterlockedDecrement(&Go);
    WAIT_UNTIL(Go == 0);
    for (ULONG i = 0; i < OF_A_CPU; i++) {
        ASSERT_EQ(IoCallDriver(device, Requests[me * OF_A_CPU + i].Irp), STATUS_PENDING);
    }
}

static VOID Storm(BOOLEAN Deferred) {
    PDEVICE_OBJECT device = MakeDevice(StormStartIo, PendsRead);
    ULONG cpus = TargetCpus();
    IoInitializeDpcRequest(device, (PIO_DPC_ROUTINE)(PVOID)StormDpc);
    KeSetImportanceDpc(&device->Dpc, MediumHighImportance); /* run at once on another CPU too */
    IoSetStartIoAttributes(device, Deferred, FALSE);
    Inside = 0;
    Deepest = 0;
    InFlight = 0;
    Left = (LONG)(cpus * OF_A_CPU);
    Go = (LONG)cpus;
    for (ULONG cpu = 0; cpu < cpus; cpu++) {
        NextOf[cpu] = 0;
        for (ULONG i = 0; i < OF_A_CPU; i++) {
            MakeIrp(device, &Requests[cpu * OF_A_CPU + i], i, cpu);
        }
    }
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlStartOn(cpu, SendAll, device);
    }
    SendAll(device);
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    WAIT_UNTIL(Left == 0);
    KeFlushQueuedDpcs();
    ASSERT_FALSE(device->DeviceQueue.Busy);
    ASSERT_EQ(device->CurrentIrp, NULL);
    for (ULONG i = 0; i < cpus * OF_A_CPU; i++) {
        ASSERT_EQ(Requests[i].Irql,
                  DISPATCH_LEVEL); /* where a higher driver's completion routine is called from a DPC */
        FreeOnce(&Requests[i]);
    }
    IoDeleteDevice(device);
}

TARGET_CASE("IRP-3 IRP-1 IRP-2 IRQL-8", one_request_at_a_time, "smp=2 oracle=IRP-3") {
    Storm(FALSE);
}

TARGET_CASE("IRP-3", nobody_in_startio_twice, "smp=2 oracle=IRP-3,IRP-8") {
    for (ULONG i = 0; i < 3; i++) {
        Storm(TRUE);
        ASSERT_EQ(Deepest, 1);
    }
}

/*
 * Another CPU ends the request while StartIo has not returned: with DeferredStartIo the next call waits for that, and is made where
 * StartIo was.
 */
static volatile LONG Asked;
static volatile ULONG StartCpu[2];

static VOID NTAPI EndsTheFirst(PVOID Context) {
    PDEVICE_OBJECT device = Context;
    KIRQL old;
    WAIT_UNTIL(Inside == 1);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    IoStartPacket(device, Requests[1].Irp, NULL, NULL); /* busy: queued */
    PIRP irp = device->CurrentIrp;
    ASSERT_EQ(irp, Requests[0].Irp);
    IoStartNextPacket(device, FALSE);
    ASSERT_EQ(StartedCount, 1);
    Complete(irp, STATUS_SUCCESS);
    KeLowerIrql(old);
    InterlockedExchange(&Asked, 1);
}

static VOID NTAPI StaysInside(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    StartCpu[StartedCount++] = KeGetCurrentProcessorNumber();
    ASSERT_EQ(InterlockedIncrement(&Inside), 1);
    WAIT_UNTIL(Asked);
    InterlockedDecrement(&Inside);
}

TARGET_CASE("IRP-3", the_cpu_in_startio_makes_the_next_call, "cpus=2") {
    PDEVICE_OBJECT device = MakeDevice(StaysInside, NULL);
    IoSetStartIoAttributes(device, TRUE, FALSE);
    StartedCount = 0;
    Inside = 0;
    Asked = 0;
    MakeIrpAt(device, &Requests[1], 1);
    DirqlStartOn(1, EndsTheFirst, device);
    IoStartPacket(device, MakeIrpAt(device, &Requests[0], 0), NULL, NULL);
    DirqlWaitFor(1);
    ASSERT_EQ(StartedCount, 2);
    ASSERT_EQ(StartCpu[0], 0);
    ASSERT_EQ(StartCpu[1], 0);
    EndCurrent(device, FALSE);
    FreeOnce(&Requests[0]);
    FreeOnce(&Requests[1]);
    IoDeleteDevice(device);
}

static VOID NTAPI NoCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    ASSERT_TRUE(FALSE); /* nobody cancels here */
}

TARGET_CASE("IRP-2 IRP-8", what_is_started_may_be_made_uncancellable, "cpus=1,4") {
    PDEVICE_OBJECT device = MakeDevice(NotesStart, NULL);
    for (ULONG not_cancelable = 0; not_cancelable < 2; not_cancelable++) {
        IoSetStartIoAttributes(device, FALSE, (BOOLEAN)not_cancelable);
        StartedCount = 0;
        for (ULONG i = 0; i < 2; i++) {
            IoStartPacket(device, MakeIrpAt(device, &Requests[i], i), NULL, NoCancel);
        }
        ASSERT_EQ(Requests[1].Irp->CancelRoutine, NoCancel); /* queued, it can be cancelled */
        IoSetCancelRoutine(Requests[0].Irp, NULL);
        EndCurrent(device, TRUE);
        ASSERT_EQ(device->CurrentIrp, Requests[1].Irp);
        ASSERT_EQ(IoSetCancelRoutine(Requests[1].Irp, NULL), not_cancelable ? NULL : NoCancel);
        ASSERT_EQ(IoCancelIrp(Requests[1].Irp), FALSE);
        EndCurrent(device, TRUE);
        FreeOnce(&Requests[0]);
        FreeOnce(&Requests[1]);
    }
    IoDeleteDevice(device);
}

TARGET_CASE("IRP-2", next_below_dispatch_level, "cpus=2 verifier=on bugcheck=0xc4/0x20003 named=irp_startio.c") {
    IoStartNextPacket(MakeDevice(NotesStart, NULL), FALSE);
}

TARGET_CASE("IRP-2", next_under_a_lock, "cpus=2 verifier=on bugcheck=0xc4/0x40009 named=!Lock") {
    PDEVICE_OBJECT device = MakeDevice(NotesStart, NULL);
    KIRQL old;
    IoStartPacket(device, MakeIrpAt(device, &Requests[0], 0), NULL, NULL);
    KeAcquireSpinLock(&Lock, &old);
    IoStartNextPacket(device, FALSE);
}

static VOID NTAPI ForgetsToLower(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    KIRQL ignored;
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    KeRaiseIrql(5, &ignored);
}

TARGET_CASE("IRQL-8", startio_returns_above, "cpus=2 verifier=on bugcheck=0xc8/0x050202 violates=IRP-3") {
    PDEVICE_OBJECT device = MakeDevice(ForgetsToLower, NULL);
    IoStartPacket(device, MakeIrpAt(device, &Requests[0], 0), NULL, NULL);
}

IRP_DRIVER
