/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service routine and its DpcForIsr: on two CPUs at the same time, in either order, and what they share only by
 * KeSynchronizeExecution. The overlaps are forced, each side waiting for the other, so what is lost is lost every time.
 */
#include "dpccase.h"

static DEVICE_OBJECT Device;
static PKINTERRUPT Interrupt;
static ULONG Vector;
static volatile LONG IsrIn, IsrOut, DpcIn, DpcOut;
static volatile ULONG IsrCpu, DpcCpu;
static volatile ULONG64 Shared; /* what an ISR and a DPC both count in, as a driver would in its device extension */

static VOID Connect(PKSERVICE_ROUTINE Isr, PIO_DPC_ROUTINE Dpc) {
    IsrIn = IsrOut = DpcIn = DpcOut = 0;
    Shared = 0;
    Device.Type = IO_TYPE_DEVICE;
    IoInitializeDpcRequest(&Device, Dpc);
    Vector = DirqlAllocateVector(6);
    ASSERT_EQ(
        IoConnectInterrupt(&Interrupt, Isr, NULL, NULL, Vector, 6, 6, Latched, FALSE, KeQueryActiveProcessors(), FALSE),
        STATUS_SUCCESS);
}

static VOID Disconnect(VOID) {
    IoDisconnectInterrupt(Interrupt);
    DirqlFreeVector(Vector);
}

static VOID NTAPI NoteTheDpc(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    DpcCpu = KeGetCurrentProcessorNumber();
    InterlockedIncrement(&DpcIn);
}

static BOOLEAN NTAPI RequestAndLinger(PKINTERRUPT Object, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(ServiceContext);
    IsrCpu = KeGetCurrentProcessorNumber();
    ASSERT_EQ(IoRequestDpc(&Device, NULL, NULL), TRUE);
    WAIT_UNTIL(DpcIn); /* elsewhere: this CPU is at DIRQL */
    InterlockedIncrement(&IsrOut);
    return TRUE;
}

TARGET_CASE("DPC-17 DPC-7", the_dpc_runs_before_the_isr_returns,
            "smp=2 placement=routine,first-available oracle=DPC-4,INT-1") {
    Connect(RequestAndLinger, NoteTheDpc);
    for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
        DpcIn = IsrOut = 0;
        DirqlInterrupt(cpu, Vector);
        WAIT_UNTIL(IsrOut);
        ASSERT_EQ(IsrCpu, cpu);
        ASSERT_NE(DpcCpu, IsrCpu);
    }
    Disconnect();
}

static BOOLEAN NTAPI RequestAndLook(PKINTERRUPT Object, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(ServiceContext);
    IsrCpu = KeGetCurrentProcessorNumber();
    ASSERT_EQ(IoRequestDpc(&Device, NULL, NULL), TRUE);
    Settle();
    ASSERT_EQ(DpcIn, 0);
    InterlockedIncrement(&IsrOut);
    return TRUE;
}

TARGET_CASE("DPC-17 DPC-6", on_the_same_cpu_the_dpc_follows_the_isr, "placement=current oracle=DPC-4,DPC-5") {
    Connect(RequestAndLook, NoteTheDpc);
    for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
        DpcIn = IsrOut = 0;
        DirqlInterrupt(cpu, Vector);
        WAIT_UNTIL(IsrOut && DpcIn);
        ASSERT_EQ(IsrCpu, cpu);
        ASSERT_EQ(DpcCpu, cpu);
    }
    Disconnect();
}

/* The second interrupt comes while the DPC of the first is between reading and writing. */
static BOOLEAN NTAPI CountInTheIsr(PKINTERRUPT Object, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(ServiceContext);
    Shared = Shared + 1;
    InterlockedIncrement(&IsrOut);
    return TRUE;
}

static VOID NTAPI CountInTheDpc(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    ULONG64 value = Shared;
    DpcCpu = KeGetCurrentProcessorNumber();
    DpcIn = TRUE;
    WAIT_UNTIL(IsrOut);
    Shared = value + 1;
    DpcOut = TRUE;
}

static ULONG Rendezvous(BOOLEAN WaitForDpc) {
    KeSetTargetProcessorDpc(&Device.Dpc, 1);
    KeSetImportanceDpc(&Device.Dpc, HighImportance);
    ASSERT_EQ(IoRequestDpc(&Device, NULL, NULL), TRUE);
    WAIT_UNTIL(DpcIn);
    DirqlInterrupt(0, Vector);
    if (WaitForDpc) {
        WAIT_UNTIL(DpcOut);
    }
    WAIT_UNTIL(IsrOut);
    return DpcCpu;
}

TARGET_CASE("DPC-18", unsynchronised_an_update_is_lost, "smp=2 oracle=INT-1") {
    Connect(CountInTheIsr, CountInTheDpc);
    ASSERT_EQ(Rendezvous(TRUE), 1);
    ASSERT_EQ(Shared, 1); /* of two */
    Disconnect();
}

static volatile LONG IsrWhileInside;

static BOOLEAN NTAPI CountWithoutTheIsr(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ULONG64 value = Shared;
    LONG before = IsrOut;
    DpcIn = TRUE;
    Settle(); /* the interrupt is taken on CPU 0 meanwhile, and waits for the lock */
    Settle();
    IsrWhileInside = IsrOut - before;
    Shared = value + 1;
    return TRUE;
}

static VOID NTAPI CountInStep(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    DpcCpu = KeGetCurrentProcessorNumber();
    ASSERT_EQ(KeSynchronizeExecution(Interrupt, CountWithoutTheIsr, NULL), TRUE);
    DpcOut = TRUE;
}

TARGET_CASE("DPC-18 SYN-3", synchronised_nothing_is_lost, "smp=2 oracle=INT-1,SYN-1") {
    Connect(CountInTheIsr, CountInStep);
    ASSERT_EQ(Rendezvous(TRUE), 1);
    ASSERT_EQ(IsrWhileInside, 0);
    ASSERT_EQ(Shared, 2);
    Disconnect();
}

TARGET_DRIVER
