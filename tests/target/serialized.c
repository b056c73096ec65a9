/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is serialised on one CPU and overlaps on many, and what that means for data that an ISR leaves for its DpcForIsr: SYS-4, SYS-5,
 * SYS-10. naive.sys and the experiments isr-count and up-vs-smp show the same with numbers.
 */
#include "interrupts.h"

#include "irpcase.h"

#define DIRQL    6
#define REQUESTS 3

static REQUEST Requests[REQUESTS];
static PDEVICE_OBJECT Device;
static volatile LONG InIsr;
static volatile LONG InStartIo;
static volatile LONG Release;
static volatile LONG Started;

static BOOLEAN NTAPI StayInIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    InterlockedExchange(&InIsr, TRUE);
    WAIT_UNTIL(Release);
    InterlockedExchange(&InIsr, FALSE);
    return TRUE;
}

static VOID NTAPI CountStart(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    Started++;
}

static VOID EndOne(REQUEST *request) {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    IoStartNextPacket(Device, FALSE);
    Complete(request->Irp, STATUS_SUCCESS);
    KeLowerIrql(old);
    FreeOnce(request);
}

TARGET_CASE("SYS-5", startio_beside_the_isr, "smp=2 oracle=IRP-3,INT-1") {
    InIsr = Release = Started = 0;
    Device = MakeDevice(CountStart, NULL);
    PKINTERRUPT interrupt = ConnectLevel(DIRQL, StayInIsr, NULL);
    DirqlInterrupt(1, LEVEL_VECTOR(DIRQL));
    WAIT_UNTIL(InIsr);
    IoStartPacket(Device, MakeIrpAt(Device, &Requests[0], 0), NULL, NULL); /* here, while CPU 1 is in the ISR */
    ASSERT_EQ(Started, 1);
    ASSERT_TRUE(InIsr);
    EndOne(&Requests[0]);
    ASSERT_TRUE(InIsr);
    Release = TRUE;
    WAIT_UNTIL(!InIsr);
    IoDisconnectInterrupt(interrupt);
    IoDeleteDevice(Device);
}

static VOID NTAPI StayInStartIo(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    if (InterlockedIncrement(&Started) == 1) {
        InterlockedExchange(&InStartIo, TRUE);
        WAIT_UNTIL(Release);
        InterlockedExchange(&InStartIo, FALSE);
    }
}

static VOID NTAPI StartThere(PVOID Context) {
    IoStartPacket(Device, Context, NULL, NULL);
}

TARGET_CASE("SYS-5 IRP-3", queuing_beside_startio, "smp=2 oracle=IRP-3") {
    InStartIo = Release = Started = 0;
    Device = MakeDevice(StayInStartIo, NULL);
    DirqlStartOn(1, StartThere, MakeIrpAt(Device, &Requests[0], 0));
    WAIT_UNTIL(InStartIo);
    for (ULONG i = 1; i < REQUESTS; i++) { /* each comes back at once, and waits its turn */
        IoStartPacket(Device, MakeIrpAt(Device, &Requests[i], i), NULL, NULL);
        ASSERT_EQ(Started, 1);
        ASSERT_TRUE(InStartIo);
    }
    Release = TRUE;
    DirqlWaitFor(1);
    for (ULONG i = 0; i < REQUESTS; i++) {
        ASSERT_EQ(Started, i + 1);
        EndOne(&Requests[i]);
    }
    IoDeleteDevice(Device);
}

/* What an ISR leaves: one value, a count, and a value in each IRP. Guarded by the interrupt spin lock. */
static ULONG Latest;
static ULONG Count;
static ULONG NextRequest;
static ULONG SeenLatest, SeenCount, DpcRuns;
static PKINTERRUPT Interrupt10;

static BOOLEAN NTAPI LeaveData(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    Latest = NextRequest + 1;
    Requests[NextRequest].Irp->IoStatus.Information = NextRequest + 1;
    NextRequest++;
    Count++;
    IoRequestDpc(Device, NULL, NULL);
    return TRUE;
}

static BOOLEAN NTAPI TakeData(PVOID SynchronizeContext) {
    UNREFERENCED_PARAMETER(SynchronizeContext);
    SeenLatest = Latest;
    SeenCount += Count;
    Count = 0;
    return TRUE;
}

static VOID NTAPI UseData(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    DpcRuns++;
    KeSynchronizeExecution(Interrupt10, TakeData, NULL);
}

static VOID NTAPI HoldAtDispatch(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    InterlockedIncrement(&Started);
    WAIT_UNTIL(Release);
    KeLowerIrql(old);
}

/* No CPU is below DISPATCH_LEVEL: all interrupts, on whatever CPUs, come before the DPC. On one CPU as on many. */
TARGET_CASE("SYS-10 SYS-4 DPC-2", data_of_an_isr_is_overwritten, "") {
    ULONG cpus = TargetCpus();
    KIRQL old;
    Release = Started = 0;
    Latest = Count = NextRequest = SeenLatest = SeenCount = DpcRuns = 0;
    Device = MakeDevice(CountStart, NULL);
    IoInitializeDpcRequest(Device, UseData);
    Interrupt10 = ConnectLevel(DIRQL, LeaveData, NULL);
    for (ULONG i = 0; i < REQUESTS; i++) {
        MakeIrpAt(Device, &Requests[i], i);
    }
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlStartOn(cpu, HoldAtDispatch, NULL);
    }
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    WAIT_UNTIL((ULONG)Started == cpus - 1);
    for (ULONG i = 0; i < REQUESTS; i++) {
        DirqlInterrupt(i % cpus, LEVEL_VECTOR(DIRQL));
        WAIT_UNTIL(((volatile ULONG *)&NextRequest)[0] == i + 1);
    }
    ASSERT_EQ(DpcRuns, 0);
    Release = TRUE;
    KeLowerIrql(old);
    KeFlushQueuedDpcs();
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    ASSERT_EQ(DpcRuns, 1);
    ASSERT_EQ(SeenLatest, REQUESTS); /* the naive driver has one of them, */
    ASSERT_EQ(SeenCount, REQUESTS);  /* a count knows of all, */
    for (ULONG i = 0; i < REQUESTS; i++) {
        ASSERT_EQ(Requests[i].Irp->IoStatus.Information, i + 1); /* and so do the IRPs */
        Requests[i].Irp->IoStatus.Status = STATUS_SUCCESS;
        IoCompleteRequest(Requests[i].Irp, IO_NO_INCREMENT);
        FreeOnce(&Requests[i]);
    }
    IoDisconnectInterrupt(Interrupt10);
    IoDeleteDevice(Device);
}

IRP_DRIVER
