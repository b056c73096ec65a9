/* SPDX-License-Identifier: Apache-2.0 */
/*
 * irpstorm.sys: IRPs from all CPUs to two devices, cancelled at random by all CPUs. One device queues them for StartIo, the other in a
 * cancel-safe queue; both end them in a DPC that an interrupt asked for, on a CPU that the seed chooses. Each IRP has a number of
 * its own, and how often that number was completed is what is counted.
 *
 * Who frees an IRP: a place in a sender's window counts those who may touch its IRP, its completion and each canceller; the last of them
 * frees it and gives the place back.
 */
#include <ntddk.h>

#include <dirql.h>

#define MAXIMUM_CPUS 8
#define WINDOW       16 /* IRPs of one sender that are under way at once */
#define DEVICE_IRQL  6
#define TAG          'mrtS'

typedef struct _STORM_CPU {
    ULONG64 Random; /* this CPU's own sequence */
    ULONG64 Cancels;
    ULONG64 CancelCalls; /* IoCancelIrp found a routine */
    ULONG64 Spare[5];
} STORM_CPU;

typedef struct _IRP_STORM {
    ULONG Cpus; /* senders, the first so many */
    ULONG PerCpu;
    ULONG CancelPercent; /* of sending an IRP: cancel another one too */
    ULONG QueuePercent;  /* of the IRPs: to the device with the cancel-safe queue */
    ULONG StrayPercent;  /* of sending an IRP: an interrupt that no device asked for */
    ULONG Deferred;      /* DeferredStartIo */
    ULONG64 Seed;
    ULONG64 Begin, End; /* TSC */
    /* What came of it. By number: completed never, once, more often; the first that was not completed once, or all ones. */
    ULONG Never, Once, More;
    ULONG FirstWrong;
    volatile LONG Succeeded, Cancelled;
    volatile LONG Started; /* calls of StartIo */
    volatile LONG Interrupts, Strays;
    volatile LONG Dpcs;
    volatile LONG
        Misplaced; /* callbacks at another IRQL than theirs, StartIo of an IRP that is not the current one, two in StartIo */
    volatile LONG Ready;
    STORM_CPU Cpu[MAXIMUM_CPUS];
} IRP_STORM;

IRP_STORM IrpStorm;

typedef struct _PLACE {
    volatile LONG References; /* 0: nobody's */
    volatile LONG Taken;      /* the sender's from taking it until its IRP is freed */
    PIRP Irp;
    ULONG Id;
} PLACE;

typedef struct _STORM_DEVICE {
    PDEVICE_OBJECT Device;
    PKINTERRUPT Interrupt;
    ULONG Vector;
    volatile LONG Asked; /* the interrupt lock's: it is to interrupt */
} STORM_DEVICE;

static PDRIVER_OBJECT Driver;
static STORM_DEVICE StartIoDevice, QueueDevice;
static PLACE Places[MAXIMUM_CPUS][WINDOW];
static KSEMAPHORE
    Free[MAXIMUM_CPUS];    /* places of a sender: it waits for one, and its CPU has time for the others' IRPs */
static UCHAR *Completions; /* by number */
static volatile LONG Inside;

static struct {
    IO_CSQ Csq;
    KSPIN_LOCK Lock;
    LIST_ENTRY List;
} Queue;

/* xorshift64*: any seed but 0. */
static ULONG Draw(STORM_CPU *cpu, ULONG below) {
    cpu->Random ^= cpu->Random >> 12;
    cpu->Random ^= cpu->Random << 25;
    cpu->Random ^= cpu->Random >> 27;
    return (ULONG)(cpu->Random * 0x2545f4914f6cdd1dull >> 33) % below;
}

static VOID Expect(BOOLEAN Right) {
    if (!Right) {
        InterlockedIncrement(&IrpStorm.Misplaced);
    }
}

static VOID Complete(PIRP Irp, NTSTATUS Status) {
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
}

/* Whoever is last frees the IRP: nobody can find it in its place any more. */
static VOID LeavePlace(PLACE *Place) {
    PIRP irp = Place->Irp;
    if (InterlockedDecrement(&Place->References) == 0) {
        IoFreeIrp(irp);
        InterlockedExchange(&Place->Taken, 0);
        KeReleaseSemaphore(&Free[(Place - &Places[0][0]) / WINDOW], IO_NO_INCREMENT, 1, FALSE);
    }
}

static NTSTATUS NTAPI Completed(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    PLACE *place = Context;
    UNREFERENCED_PARAMETER(DeviceObject);
    Expect(Irp == place->Irp);
    __atomic_fetch_add(&Completions[place->Id], 1, __ATOMIC_RELAXED); /* looked at when all have ended */
    InterlockedIncrement(Irp->IoStatus.Status == STATUS_CANCELLED ? &IrpStorm.Cancelled : &IrpStorm.Succeeded);
    LeavePlace(place);
    return STATUS_MORE_PROCESSING_REQUIRED; /* it is freed, or about to be */
}

/* The device interrupts a CPU that the IRP chooses. What it wants is said under its lock; that the vector merges is no loss. */
static BOOLEAN NTAPI AskDevice(PVOID Context) {
    ((STORM_DEVICE *)Context)->Asked = 1;
    return TRUE;
}

static BOOLEAN NTAPI TakeAsked(PVOID Context) {
    STORM_DEVICE *device = Context;
    BOOLEAN asked = device->Asked == 2;
    device->Asked = asked ? 0 : device->Asked;
    return asked;
}

static VOID Ring(STORM_DEVICE *device, ULONG cpu) {
    KeSynchronizeExecution(device->Interrupt, AskDevice, device);
    DirqlInterrupt(cpu, device->Vector);
}

static BOOLEAN NTAPI DeviceIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    STORM_DEVICE *device = ServiceContext;
    UNREFERENCED_PARAMETER(Interrupt);
    Expect(KeGetCurrentIrql() == DEVICE_IRQL);
    if (device->Asked == 0) {
        InterlockedIncrement(&IrpStorm.Strays);
        return FALSE;
    }
    device->Asked = 2; /* its DPC is to see to it */
    InterlockedIncrement(&IrpStorm.Interrupts);
    IoRequestDpc(device->Device, NULL, NULL);
    return TRUE;
}

/* The device with StartIo. */
static VOID NTAPI CancelStarted(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    Expect(KeGetCurrentIrql() == DISPATCH_LEVEL);
    /* The current one is StartIo's, which looks whether it is marked. */
    BOOLEAN queued = Irp != DeviceObject->CurrentIrp &&
        KeRemoveEntryDeviceQueue(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry);
    IoReleaseCancelSpinLock(Irp->CancelIrql);
    if (queued) {
        Complete(Irp, STATUS_CANCELLED);
    }
}

static VOID NTAPI StormStartIo(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    KIRQL irql;
    BOOLEAN cancelled;
    ULONG cpu = ((const PLACE *)Irp->UserBuffer)->Id % IrpStorm.Cpus;
    Expect(KeGetCurrentIrql() == DISPATCH_LEVEL && DeviceObject->CurrentIrp == Irp);
    Expect(InterlockedIncrement(&Inside) == 1 || !IrpStorm.Deferred);
    InterlockedIncrement(&IrpStorm.Started);
    IoAcquireCancelSpinLock(&irql);
    IoSetCancelRoutine(Irp, NULL);
    cancelled = Irp->Cancel;
    IoReleaseCancelSpinLock(irql);
    if (cancelled) {
        IoStartNextPacket(DeviceObject, TRUE);
        Complete(Irp, STATUS_CANCELLED);
    } else {
        Ring(&StartIoDevice, cpu);
    }
    InterlockedDecrement(&Inside);
}

static VOID NTAPI StartIoDpc(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&IrpStorm.Dpcs);
    Expect(KeGetCurrentIrql() == DISPATCH_LEVEL);
    if (KeSynchronizeExecution(StartIoDevice.Interrupt, TakeAsked, &StartIoDevice)) {
        PIRP irp = DeviceObject->CurrentIrp;
        IoStartNextPacket(DeviceObject, TRUE);
        Complete(irp, STATUS_SUCCESS);
    }
}

/* The device with the cancel-safe queue. */
static VOID NTAPI InsertIrp(PIO_CSQ Csq, PIRP Irp) {
    UNREFERENCED_PARAMETER(Csq);
    InsertTailList(&Queue.List, &Irp->Tail.Overlay.ListEntry);
}

static VOID NTAPI RemoveIrp(PIO_CSQ Csq, PIRP Irp) {
    UNREFERENCED_PARAMETER(Csq);
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

static PIRP NTAPI PeekNextIrp(PIO_CSQ Csq, PIRP Irp, PVOID PeekContext) {
    PLIST_ENTRY next = Irp == NULL ? Queue.List.Flink : Irp->Tail.Overlay.ListEntry.Flink;
    UNREFERENCED_PARAMETER(Csq);
    UNREFERENCED_PARAMETER(PeekContext);
    return next == &Queue.List ? NULL : CONTAINING_RECORD(next, IRP, Tail.Overlay.ListEntry);
}

static VOID NTAPI AcquireQueue(PIO_CSQ Csq, PKIRQL Irql) {
    UNREFERENCED_PARAMETER(Csq);
    KeAcquireSpinLock(&Queue.Lock, Irql);
}

static VOID NTAPI ReleaseQueue(PIO_CSQ Csq, KIRQL Irql) {
    UNREFERENCED_PARAMETER(Csq);
    KeReleaseSpinLock(&Queue.Lock, Irql);
}

static VOID NTAPI CompleteCanceledIrp(PIO_CSQ Csq, PIRP Irp) {
    UNREFERENCED_PARAMETER(Csq);
    Complete(Irp, STATUS_CANCELLED);
}

static VOID NTAPI QueueDpc(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    PIRP next;
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&IrpStorm.Dpcs);
    KeSynchronizeExecution(QueueDevice.Interrupt, TakeAsked, &QueueDevice);
    while ((next = IoCsqRemoveNextIrp(&Queue.Csq, NULL)) != NULL) {
        Complete(next, STATUS_SUCCESS);
    }
}

static NTSTATUS NTAPI PendRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    ULONG cpu = ((const PLACE *)Irp->UserBuffer)->Id % IrpStorm.Cpus; /* it may be gone afterwards */
    IoMarkIrpPending(Irp);
    if (DeviceObject == StartIoDevice.Device) {
        IoStartPacket(DeviceObject, Irp, NULL, CancelStarted);
    } else {
        IoCsqInsertIrp(&Queue.Csq, Irp, NULL);
        Ring(&QueueDevice, cpu);
    }
    return STATUS_PENDING;
}

/* The senders. */
static PLACE *TakePlace(ULONG me) {
    ULONG i = 0;
    KeWaitForSingleObject(&Free[me], Executive, KernelMode, FALSE, NULL);
    while (Places[me][i].Taken) { /* one of them is free, and its sender alone takes it */
        i = (i + 1) % WINDOW;
    }
    Places[me][i].Taken = 1;
    return &Places[me][i];
}

static VOID Send(STORM_CPU *cpu, ULONG me, ULONG id) {
    STORM_DEVICE *device = Draw(cpu, 100) < IrpStorm.QueuePercent ? &QueueDevice : &StartIoDevice;
    PLACE *place = TakePlace(me);
    PIRP irp = IoAllocateIrp(device->Device->StackSize, FALSE);
    KIRQL old = PASSIVE_LEVEL;
    if (irp == NULL) {
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, id, 0, 0, 0);
    }
    irp->UserBuffer = place;
    place->Irp = irp;
    place->Id = id;
    IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_READ;
    IoSetCompletionRoutine(irp, Completed, place, TRUE, TRUE, TRUE);
    InterlockedExchange(&place->References, 1); /* from here on it may be cancelled */
    if (Draw(cpu, 2) != 0) {
        KeRaiseIrql(DISPATCH_LEVEL, &old);
    }
    Expect(IoCallDriver(device->Device, irp) == STATUS_PENDING);
    if (old != KeGetCurrentIrql()) {
        KeLowerIrql(old);
    }
}

static VOID CancelAny(STORM_CPU *cpu) {
    PLACE *place = &Places[Draw(cpu, IrpStorm.Cpus)][Draw(cpu, WINDOW)];
    LONG references = place->References;
    while (references != 0) {
        LONG seen = InterlockedCompareExchange(&place->References, references + 1, references);
        if (seen == references) {
            cpu->Cancels++;
            cpu->CancelCalls += IoCancelIrp(place->Irp);
            LeavePlace(place);
            return;
        }
        references = seen;
    }
}

static VOID NTAPI SendAll(PVOID Context) {
    ULONG me = (ULONG)(ULONG_PTR)Context;
    STORM_CPU *cpu = &IrpStorm.Cpu[me];
    InterlockedIncrement(&IrpStorm.Ready);
    while (IrpStorm.Ready != (LONG)IrpStorm.Cpus) { /* all start together */
        YieldProcessor();
    }
    for (ULONG i = 0; i < IrpStorm.PerCpu; i++) {
        Send(cpu, me, me * IrpStorm.PerCpu + i);
        if (Draw(cpu, 100) < IrpStorm.CancelPercent) {
            CancelAny(cpu);
        }
        if (Draw(cpu, 100) < IrpStorm.StrayPercent) {
            DirqlInterrupt(Draw(cpu, IrpStorm.Cpus), Draw(cpu, 2) ? StartIoDevice.Vector : QueueDevice.Vector);
        }
    }
    for (ULONG i = 0; i < WINDOW; i++) { /* until all places are free */
        KeWaitForSingleObject(&Free[me], Executive, KernelMode, FALSE, NULL);
    }
}

static VOID CountCompletions(ULONG total) {
    IrpStorm.Never = IrpStorm.Once = IrpStorm.More = 0;
    IrpStorm.FirstWrong = 0xffffffff;
    for (ULONG id = total; id-- > 0;) {
        ULONG *count = Completions[id] == 0 ? &IrpStorm.Never : Completions[id] == 1 ? &IrpStorm.Once : &IrpStorm.More;
        (*count)++;
        if (count != &IrpStorm.Once) {
            IrpStorm.FirstWrong = id;
        }
    }
}

/* Called by the host, which has filled in the parameters. PASSIVE_LEVEL. */
VOID NTAPI RunIrpStorm(PVOID Context);
VOID NTAPI RunIrpStorm(PVOID Context) {
    ULONG total = IrpStorm.Cpus * IrpStorm.PerCpu;
    UNREFERENCED_PARAMETER(Context);
    Completions = ExAllocatePoolWithTag(NonPagedPool, total, TAG);
    if (Completions == NULL) {
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, total, 0, 0, 0);
    }
    RtlZeroMemory(Completions, total);
    IoSetStartIoAttributes(StartIoDevice.Device, (BOOLEAN)IrpStorm.Deferred, FALSE);
    IrpStorm.Succeeded = IrpStorm.Cancelled = IrpStorm.Started = IrpStorm.Interrupts = IrpStorm.Strays = 0;
    IrpStorm.Dpcs = IrpStorm.Misplaced = IrpStorm.Ready = 0;
    for (ULONG cpu = 0; cpu < IrpStorm.Cpus; cpu++) {
        KeInitializeSemaphore(&Free[cpu], WINDOW, WINDOW);
        RtlZeroMemory(&IrpStorm.Cpu[cpu], sizeof IrpStorm.Cpu[cpu]);
        IrpStorm.Cpu[cpu].Random = (IrpStorm.Seed + cpu + 1) * 0x9e3779b97f4a7c15ull | 1;
    }
    IrpStorm.Begin = __rdtsc();
    for (ULONG cpu = 1; cpu < IrpStorm.Cpus; cpu++) {
        DirqlStartOn(cpu, SendAll, (PVOID)(ULONG_PTR)cpu);
    }
    SendAll(NULL);
    for (ULONG cpu = 1; cpu < IrpStorm.Cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    IrpStorm.End = __rdtsc();
    KeFlushQueuedDpcs();
    Expect(!StartIoDevice.Device->DeviceQueue.Busy && IsListEmpty(&Queue.List));
    CountCompletions(total);
    ExFreePoolWithTag(Completions, TAG);
}

static NTSTATUS MakeDevice(STORM_DEVICE *device, PIO_DPC_ROUTINE routine) {
    NTSTATUS status = IoCreateDevice(Driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device->Device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    device->Device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    IoInitializeDpcRequest(device->Device, routine);
    device->Vector = DirqlAllocateVector(DEVICE_IRQL);
    return IoConnectInterrupt(&device->Interrupt, DeviceIsr, device, NULL, device->Vector, DEVICE_IRQL, DEVICE_IRQL,
                              Latched, FALSE, KeQueryActiveProcessors(), FALSE);
}

static VOID DropDevice(STORM_DEVICE *device) {
    if (device->Interrupt != NULL) {
        IoDisconnectInterrupt(device->Interrupt);
    }
    if (device->Vector != 0) {
        DirqlFreeVector(device->Vector);
    }
    if (device->Device != NULL) {
        IoDeleteDevice(device->Device);
    }
}

static VOID NTAPI StormUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
    DropDevice(&QueueDevice);
    DropDevice(&StartIoDevice);
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    NTSTATUS status;
    UNREFERENCED_PARAMETER(RegistryPath);
    Driver = DriverObject;
    DriverObject->DriverUnload = StormUnload;
    DriverObject->DriverStartIo = StormStartIo;
    DriverObject->MajorFunction[IRP_MJ_READ] = PendRead;
    KeInitializeSpinLock(&Queue.Lock);
    InitializeListHead(&Queue.List);
    IoCsqInitialize(&Queue.Csq, InsertIrp, RemoveIrp, PeekNextIrp, AcquireQueue, ReleaseQueue, CompleteCanceledIrp);
    status = MakeDevice(&StartIoDevice, StartIoDpc);
    if (NT_SUCCESS(status)) {
        status = MakeDevice(&QueueDevice, QueueDpc);
    }
    if (!NT_SUCCESS(status)) {
        StormUnload(DriverObject);
    }
    return status;
}
