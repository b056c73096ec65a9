/* SPDX-License-Identifier: Apache-2.0 */
/* Cancelling: IRP-8, IRQL-8; and what the verifier says of IRPs that are handled wrongly. */
#include <ntddk.h>

#include "irpcase.h"

#define INSTANTS 400 /* of a sweep */
#define STEP     3   /* pauses from one instant to the next */
#define QUEUED   200

static REQUEST Requests[QUEUED];
static KIRQL SeenIrql, SeenCancelIrql, Old;
static BOOLEAN SeenMark;
static PDRIVER_CANCEL SeenRoutine;
static volatile LONG Calls;
static volatile LONG InCancel;
static volatile LONG Count; /* under the cancel spin lock */
static volatile LONG Turn, Answered;
static volatile LONG ByOwner;
static volatile LONG Go;
static PIRP volatile Current;

static VOID NTAPI NotesCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    ASSERT_EQ(DeviceObject, IoGetCurrentIrpStackLocation(Irp)->DeviceObject);
    SeenIrql = KeGetCurrentIrql();
    SeenCancelIrql = Irp->CancelIrql;
    SeenMark = Irp->Cancel;
    SeenRoutine = Irp->CancelRoutine;
    InterlockedIncrement(&Calls);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    Complete(Irp, STATUS_CANCELLED);
}

TARGET_CASE("IRP-8 IRQL-8", its_routine_is_called_once_at_dispatch_level, "cpus=1,4") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NULL);
    for (KIRQL irql = PASSIVE_LEVEL; irql <= DISPATCH_LEVEL; irql++) {
        PIRP irp = MakeIrpAt(device, &Requests[0], 0);
        Calls = 0;
        ASSERT_EQ(IoSetCancelRoutine(irp, NotesCancel), NULL);
        KeRaiseIrql(irql, &Old);
        ASSERT_TRUE(IoCancelIrp(irp));
        ASSERT_EQ(KeGetCurrentIrql(), irql);
        KeLowerIrql(Old);
        ASSERT_EQ(Calls, 1);
        ASSERT_EQ(SeenIrql, DISPATCH_LEVEL);
        ASSERT_EQ(SeenCancelIrql, irql);
        ASSERT_TRUE(SeenMark);
        ASSERT_EQ(SeenRoutine, NULL); /* it is taken off before it is called */
        ASSERT_EQ(Requests[0].Cancelled, 1);
        FreeOnce(&Requests[0]);
    }
    IoDeleteDevice(device);
}

TARGET_CASE("IRP-8", without_a_routine_it_is_marked, "cpus=1,4") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NULL);
    PIRP irp = MakeIrpAt(device, &Requests[0], 0);
    ASSERT_FALSE(irp->Cancel);
    ASSERT_FALSE(IoCancelIrp(irp));
    ASSERT_TRUE(irp->Cancel);
    ASSERT_EQ(IoSetCancelRoutine(irp, NotesCancel), NULL);
    ASSERT_EQ(IoSetCancelRoutine(irp, NULL), NotesCancel); /* the owner has it back, and the IRP */
    Complete(irp, STATUS_CANCELLED);
    FreeOnce(&Requests[0]);
    IoDeleteDevice(device);
}

/* The lock is held for the routine: nobody else has it until the routine gives it back. */
static VOID NTAPI TriesTheLock(PVOID Context) {
    KIRQL irql;
    UNREFERENCED_PARAMETER(Context);
    WAIT_UNTIL(InCancel);
    InterlockedExchange(&Turn, 1);
    IoAcquireCancelSpinLock(&irql);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_EQ(irql, PASSIVE_LEVEL);
    ASSERT_EQ(InCancel, 0);
    Count++;
    IoReleaseCancelSpinLock(irql);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID NTAPI HoldsTheLock(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    InterlockedExchange(&InCancel, 1);
    WAIT_UNTIL(Turn);
    for (ULONG i = 0; i < 200; i++) {
        ASSERT_EQ(Count, 0);
        YieldProcessor();
    }
    InterlockedExchange(&InCancel, 0);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    Complete(Irp, STATUS_CANCELLED);
}

TARGET_CASE("IRP-8", the_cancel_spin_lock_is_held_for_it, "cpus=2 oracle=SPIN-1") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NULL);
    PIRP irp = MakeIrpAt(device, &Requests[0], 0);
    InCancel = 0;
    Turn = 0;
    Count = 0;
    IoSetCancelRoutine(irp, HoldsTheLock);
    DirqlStartOn(1, TriesTheLock, NULL);
    ASSERT_TRUE(IoCancelIrp(irp));
    DirqlWaitFor(1);
    ASSERT_EQ(Count, 1);
    FreeOnce(&Requests[0]);
    IoDeleteDevice(device);
}

/* The routine that the documents show for drivers with StartIo. */
static VOID NTAPI StartIoCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    BOOLEAN queued = Irp != DeviceObject->CurrentIrp &&
        KeRemoveEntryDeviceQueue(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry);
    InterlockedIncrement(&Calls);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    if (queued) {
        Complete(Irp, STATUS_CANCELLED);
    }
}

static VOID NTAPI CountsStart(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    ASSERT_EQ(DeviceObject->CurrentIrp, Irp);
    Count++;
}

TARGET_CASE("IRP-8 IRP-1", cancelled_before_it_is_queued, "cpus=1,4") {
    PDEVICE_OBJECT device = MakeDevice(CountsStart, NULL);
    Calls = 0;
    Count = 0;
    IoStartPacket(device, MakeIrpAt(device, &Requests[0], 0), NULL, StartIoCancel);
    PIRP irp = MakeIrpAt(device, &Requests[1], 1);
    ASSERT_FALSE(IoCancelIrp(irp));
    IoStartPacket(device, irp, NULL, StartIoCancel);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(Calls, 1);
    ASSERT_EQ(Requests[1].Cancelled, 1); /* queued, and taken out at once */
    ASSERT_TRUE(IsListEmpty(&device->DeviceQueue.DeviceListHead));
    ASSERT_EQ(Count, 1);
    IoSetCancelRoutine(Requests[0].Irp, NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &Old);
    IoStartNextPacket(device, TRUE);
    KeLowerIrql(Old);
    Complete(Requests[0].Irp, STATUS_SUCCESS);
    ASSERT_EQ(Count, 1);
    FreeOnce(&Requests[0]);
    FreeOnce(&Requests[1]);
    IoDeleteDevice(device);
}

/* The owner's end of an IRP, and its canceller's, at instants that are moved against each other. */
static VOID CompleteAsOwner(PIRP Irp) {
    if (IoSetCancelRoutine(Irp, NULL) != NULL) {
        InterlockedIncrement(&ByOwner);
        Complete(Irp, STATUS_SUCCESS);
    }
}

static VOID Pause(LONG Times) {
    for (LONG i = 0; i < Times; i++) {
        YieldProcessor();
    }
}

static VOID NTAPI Cancels(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (LONG i = 1; i <= INSTANTS; i++) {
        WAIT_UNTIL(Turn == i);
        Pause((INSTANTS - i) * STEP);
        IoCancelIrp(Current);
        InterlockedExchange(&Answered, i);
    }
}

TARGET_CASE("IRP-8", cancelled_or_completed_at_every_instant, "cpus=2") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NULL);
    LONG cancelled = 0;
    Turn = 0;
    Answered = 0;
    ByOwner = 0;
    Calls = 0;
    DirqlStartOn(1, Cancels, NULL);
    for (LONG i = 1; i <= INSTANTS; i++) {
        PIRP irp = MakeIrpAt(device, &Requests[0], (ULONG)i);
        IoSetCancelRoutine(irp, NotesCancel);
        Current = irp;
        InterlockedExchange(&Turn, i);
        Pause(i * STEP);
        CompleteAsOwner(irp);
        WAIT_UNTIL(Answered == i);
        ASSERT_EQ(Requests[0].Completed, 1); /* whoever has done it */
        cancelled += Requests[0].Cancelled;
        FreeOnce(&Requests[0]);
    }
    DirqlWaitFor(1);
    ASSERT_EQ(cancelled, Calls);
    ASSERT_EQ(cancelled + ByOwner, INSTANTS);
    if (TargetCpus() > 1) {
        DIRQL_MACHINE machine;
        DirqlQueryMachine(&machine);
        if (machine.VirtualTime) { /* the same each time: both have been first */
            ASSERT_GT(cancelled, 0);
            ASSERT_GT(ByOwner, 0);
        }
    }
    IoDeleteDevice(device);
}

/* StartIo and cancellers on all CPUs: each IRP leaves once, whichever way. */
static VOID EndCancelable(PDEVICE_OBJECT Device) {
    PIRP irp = Device->CurrentIrp;
    NTSTATUS status = irp->Cancel ? STATUS_CANCELLED : STATUS_SUCCESS;
    IoStartNextPacket(Device, TRUE);
    Complete(irp, status);
}

static VOID NTAPI TakesOffItsRoutine(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    KIRQL irql;
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    IoAcquireCancelSpinLock(&irql);
    ASSERT_EQ(DeviceObject->CurrentIrp, Irp);
    IoSetCancelRoutine(Irp, NULL); /* a canceller that was first has found it current and let it be */
    IoReleaseCancelSpinLock(irql);
    KeInsertQueueDpc(&DeviceObject->Dpc, NULL, NULL);
}

static VOID NTAPI EndsCurrent(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    EndCancelable(DeviceObject);
    InterlockedIncrement(&Count);
}

/* CPU n cancels every IRP whose number is n in this turn. */
static VOID NTAPI CancelsMine(PVOID Context) {
    ULONG cpus = TargetCpus();
    UNREFERENCED_PARAMETER(Context);
    InterlockedDecrement(&Go);
    WAIT_UNTIL(Go == 0);
    for (ULONG i = KeGetCurrentProcessorNumber(); i < QUEUED; i += cpus) {
        Pause((LONG)(i % 7) * STEP);
        IoCancelIrp(Requests[i].Irp);
    }
}

TARGET_CASE("IRP-8 IRP-2 IRP-3", startio_against_cancellers_on_all_cpus, "smp=2 oracle=IRP-3,IRP-8") {
    PDEVICE_OBJECT device = MakeDevice(TakesOffItsRoutine, NULL);
    ULONG cpus = TargetCpus();
    ULONG started;
    IoInitializeDpcRequest(device, EndsCurrent);
    Count = 0;
    Calls = 0;
    Go = (LONG)cpus;
    KeRaiseIrql(DISPATCH_LEVEL, &Old); /* what this CPU's DPC does comes when all are queued */
    for (ULONG i = 0; i < QUEUED; i++) {
        IoStartPacket(device, MakeIrpAt(device, &Requests[i], i), NULL, StartIoCancel);
    }
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlStartOn(cpu, CancelsMine, NULL);
    }
    InterlockedDecrement(&Go);
    WAIT_UNTIL(Go == 0);
    KeLowerIrql(Old);
    for (ULONG cpu = 1; cpu < cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    WAIT_UNTIL(!device->DeviceQueue.Busy);
    KeFlushQueuedDpcs();
    started = (ULONG)Count;
    for (ULONG i = 0; i < QUEUED; i++) {
        if (i % cpus == 0) {
            ASSERT_EQ(Requests[i].Cancelled, 0); /* nobody did */
        }
        FreeOnce(&Requests[i]);
    }
    ASSERT_GE(started, QUEUED / cpus); /* those, and the ones that were faster than their canceller */
    IoDeleteDevice(device);
}

static VOID NTAPI KeepsTheLock(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
}

TARGET_CASE("IRP-8", a_routine_that_keeps_the_lock, "cpus=2 bugcheck=0x11b") {
    PIRP irp = MakeIrpAt(MakeDevice(NULL, NULL), &Requests[0], 0);
    IoSetCancelRoutine(irp, KeepsTheLock);
    IoCancelIrp(irp);
}

static VOID NTAPI ReleasesElsewhere(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    IoReleaseCancelSpinLock(APC_LEVEL);
}

TARGET_CASE("IRP-8", a_routine_that_forgets_cancel_irql,
            "cpus=2 verifier=on bugcheck=0xc4/0x31 named=ReleasesElsewhere") {
    PIRP irp = MakeIrpAt(MakeDevice(NULL, NULL), &Requests[0], 0);
    IoSetCancelRoutine(irp, ReleasesElsewhere);
    IoCancelIrp(irp);
}

TARGET_CASE("IRP-8", cancelled_under_the_cancel_lock, "cpus=2 verifier=on bugcheck=0xf named=irp_cancel.c limit=5") {
    PIRP irp = MakeIrpAt(MakeDevice(NULL, NULL), &Requests[0], 0);
    IoAcquireCancelSpinLock(&Old);
    IoCancelIrp(irp);
}

static VOID NTAPI CompletesUnderIt(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    Complete(Irp, STATUS_CANCELLED);
}

TARGET_CASE("IRP-8 SPIN-17", completed_under_the_cancel_lock,
            "cpus=2 verifier=on bugcheck=0xc4/0x40009 named=CompletesUnderIt") {
    PIRP irp = MakeIrpAt(MakeDevice(NULL, NULL), &Requests[0], 0);
    IoSetCancelRoutine(irp, CompletesUnderIt);
    IoCancelIrp(irp);
}

TARGET_CASE("IRP-8", completed_with_its_routine_set,
            "cpus=2 verifier=on bugcheck=0xc9/0x07 named=completed_with_its_routine_set") {
    PIRP irp = MakeIrpAt(MakeDevice(NULL, NULL), &Requests[0], 0);
    IoSetCancelRoutine(irp, NotesCancel);
    Complete(irp, STATUS_SUCCESS);
}

TARGET_CASE("IRP-8", completed_twice, "cpus=2 verifier=on bugcheck=0x44") {
    PIRP irp = MakeIrpAt(MakeDevice(NULL, NULL), &Requests[0], 0);
    Complete(irp, STATUS_SUCCESS);
    Complete(irp, STATUS_SUCCESS);
}

static NTSTATUS NTAPI NeverCalled(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    ASSERT_TRUE(FALSE);
    return STATUS_UNSUCCESSFUL;
}

TARGET_CASE("IRP-8", sent_on_with_its_routine_set, "cpus=2 verifier=on bugcheck=0xc9/0x203 named=irp_cancel.c") {
    PDEVICE_OBJECT device = MakeDevice(NULL, NeverCalled);
    PIRP irp = MakeIrp(device, &Requests[0], 0, 0);
    IoSetCancelRoutine(irp, NotesCancel);
    IoCallDriver(device, irp);
}

IRP_DRIVER
