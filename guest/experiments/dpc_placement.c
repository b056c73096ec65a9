/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpc-placement, the half on the guest: interrupts on every CPU in turn, each of which requests the DPC of its device and
 * queues one of the driver's own. Meanwhile the other CPUs go up to DISPATCH_LEVEL and down again, as drivers do, so that
 * the CPU which was interrupted is often not the first one available. Where each DPC ran, and when, is in the trace.
 */
#include <ntddk.h>

#include <dirql.h>

#define MAXIMUM_CPUS    64
#define PLACEMENT_DIRQL 6

typedef struct _PLACEMENT_CPU {
    KDPC Custom;          /* CustomDpc, untargeted */
    DEVICE_OBJECT Device; /* with the DpcForIsr */
    volatile LONG Requested;
    volatile LONG Ran;
    volatile LONG CustomRan;
} PLACEMENT_CPU;

typedef struct _DPC_PLACEMENT_RUN {
    ULONG Rounds; /* interrupts on each CPU */
    ULONG Busy;   /* PAUSEs at DISPATCH_LEVEL, of each CPU but the first */
    ULONG Rest;   /* and at PASSIVE_LEVEL */
    ULONG Work;   /* PAUSEs of a DPC */
    volatile LONG Stop;
    volatile LONG Ready;
    volatile LONG64 Interrupts;
    volatile LONG64 DeviceRuns;
    volatile LONG64 CustomRuns;
} DPC_PLACEMENT_RUN;

DPC_PLACEMENT_RUN PlacementRun;

static PLACEMENT_CPU Cpus[MAXIMUM_CPUS];
/* The address of each KDPC, for the host: the trace names DPCs by it. */
typedef struct _PLACEMENT_OBJECTS {
    ULONG64 Device[MAXIMUM_CPUS];
    ULONG64 Custom[MAXIMUM_CPUS];
} PLACEMENT_OBJECTS;
PLACEMENT_OBJECTS PlacementObjects;

static inline VOID Pause(ULONG count) {
    for (ULONG i = 0; i < count; i++) {
        YieldProcessor();
    }
}

static BOOLEAN NTAPI RequestBoth(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    PLACEMENT_CPU *cpu = &Cpus[KeGetCurrentProcessorNumber()];
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    InterlockedIncrement64(&PlacementRun.Interrupts);
    IoRequestDpc(&cpu->Device, NULL, NULL);
    KeInsertQueueDpc(&cpu->Custom, NULL, NULL);
    return TRUE;
}

static VOID NTAPI DeviceDpc(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    PLACEMENT_CPU *cpu = CONTAINING_RECORD(DeviceObject, PLACEMENT_CPU, Device);
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    Pause(PlacementRun.Work);
    InterlockedIncrement64(&PlacementRun.DeviceRuns);
    InterlockedIncrement(&cpu->Ran);
}

static VOID NTAPI CustomDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    PLACEMENT_CPU *cpu = Context;
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Pause(PlacementRun.Work);
    InterlockedIncrement64(&PlacementRun.CustomRuns);
    InterlockedIncrement(&cpu->CustomRan);
}

static VOID NTAPI UpAndDown(PVOID Context) {
    KIRQL irql;
    UNREFERENCED_PARAMETER(Context);
    InterlockedIncrement(&PlacementRun.Ready);
    while (!PlacementRun.Stop) {
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        Pause(PlacementRun.Busy);
        KeLowerIrql(irql);
        Pause(PlacementRun.Rest);
    }
}

static VOID InterruptOnce(ULONG number, ULONG vector) {
    PLACEMENT_CPU *cpu = &Cpus[number];
    LONG ran = cpu->Ran;
    LONG custom = cpu->CustomRan;
    DirqlInterrupt(number, vector);
    while (cpu->Ran == ran || cpu->CustomRan == custom) { /* one at a time: no request finds the DPC queued already */
        YieldProcessor();
    }
}

static PKINTERRUPT Prepare(ULONG cpus, ULONG *vector) {
    PKINTERRUPT interrupt;
    for (ULONG i = 0; i < cpus; i++) {
        PLACEMENT_CPU *cpu = &Cpus[i];
        RtlZeroMemory(cpu, sizeof *cpu);
        cpu->Device.Type = IO_TYPE_DEVICE;
        cpu->Device.Size = sizeof cpu->Device;
        IoInitializeDpcRequest(&cpu->Device, DeviceDpc);
        KeInitializeDpc(&cpu->Custom, CustomDpc, cpu);
        PlacementObjects.Device[i] = (ULONG64)&cpu->Device.Dpc;
        PlacementObjects.Custom[i] = (ULONG64)&cpu->Custom;
    }
    *vector = DirqlAllocateVector(PLACEMENT_DIRQL);
    NTSTATUS status = IoConnectInterrupt(&interrupt, RequestBoth, NULL, NULL, *vector, PLACEMENT_DIRQL, PLACEMENT_DIRQL,
                                         Latched, FALSE, KeQueryActiveProcessors(), FALSE);
    if (!NT_SUCCESS(status)) {
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, (ULONG_PTR)status, 0, 0, 0);
    }
    return interrupt;
}

/* Called by the host, which has filled in the parameters. PASSIVE_LEVEL. */
VOID NTAPI RunDpcPlacement(PVOID Context);
VOID NTAPI RunDpcPlacement(PVOID Context) {
    DIRQL_MACHINE machine;
    ULONG vector;
    UNREFERENCED_PARAMETER(Context);
    DirqlQueryMachine(&machine);
    PKINTERRUPT interrupt = Prepare(machine.Cpus, &vector);
    PlacementRun.Stop = PlacementRun.Ready = 0;
    PlacementRun.Interrupts = PlacementRun.DeviceRuns = PlacementRun.CustomRuns = 0;
    for (ULONG cpu = 1; cpu < machine.Cpus; cpu++) {
        DirqlStartOn(cpu, UpAndDown, NULL);
    }
    while (PlacementRun.Ready != (LONG)machine.Cpus - 1) {
        YieldProcessor();
    }
    for (ULONG round = 0; round < PlacementRun.Rounds; round++) {
        for (ULONG cpu = 0; cpu < machine.Cpus; cpu++) {
            InterruptOnce(cpu, vector);
        }
    }
    PlacementRun.Stop = TRUE;
    for (ULONG cpu = 1; cpu < machine.Cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    KeFlushQueuedDpcs();
    IoDisconnectInterrupt(interrupt);
    DirqlFreeVector(vector);
}

static VOID NTAPI PlacementUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = PlacementUnload;
    return STATUS_SUCCESS;
}
