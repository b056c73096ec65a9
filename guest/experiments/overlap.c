/* SPDX-License-Identifier: Apache-2.0 */
/*
 * up-vs-smp, the half on the guest: a driver with dispatch routine, StartIo, ISR and DpcForIsr, and clients that keep it busy. The
 * same binary and the same requests on one CPU and on many; which routines then run beside each other is in the trace.
 *
 * Its device is made of two words and an interrupt that StartIo sends to each CPU in turn: it has done what it was told to as soon
 * as it is told. What StartIo, ISR and DpcForIsr share is guarded by the interrupt spin lock and nothing else is needed:
 * DpcForIsr takes the result before it lets the next request start.
 */
#include "system_thread.h"

#define OVERLAP_DIRQL   6
#define MAXIMUM_CLIENTS 16
#define CLIENT_PRIORITY 8

typedef struct _OVERLAP_RUN {
    ULONG Requests; /* of all clients */
    ULONG Clients;
    ULONG Work;      /* PAUSEs of each routine */
    ULONG Completed; /* from here on what came of it */
    ULONG Wrong;     /* with another request's result */
    ULONG Interrupts;
    ULONG64 Begin; /* TSC */
    ULONG64 End;
    ULONG64 Dpc; /* for the host: the trace names it by its address */
} OVERLAP_RUN;

OVERLAP_RUN OverlapRun;

/* SynchronizeContext */
typedef struct _OVERLAP_DEVICE {
    ULONG Command; /* the device's registers: what it was told, */
    ULONG Result;  /* and what it says */
    ULONG Interrupts;
} OVERLAP_DEVICE;

typedef struct _OVERLAP_CLIENT {
    SYSTEM_THREAD Thread;
    ULONG Requests;
    ULONG First; /* its requests' numbers */
    ULONG Wrong;
} OVERLAP_CLIENT;

static PDRIVER_OBJECT Driver;
static PDEVICE_OBJECT Device;
static PKINTERRUPT Interrupt;
static OVERLAP_DEVICE Registers;
static OVERLAP_CLIENT Clients[MAXIMUM_CLIENTS];
static ULONG Vector;
static ULONG Cpus;

static ULONG NumberOf(PIRP irp) {
    return IoGetCurrentIrpStackLocation(irp)->Parameters.Read.Key;
}

/* The three that follow run at DIRQL, the interrupt spin lock held: two SynchCritSections and the ISR. */
static BOOLEAN NTAPI TellDevice(PVOID SynchronizeContext) {
    Registers.Command = NumberOf(SynchronizeContext);
    return TRUE;
}

static BOOLEAN NTAPI TakeResult(PVOID SynchronizeContext) {
    *(ULONG *)SynchronizeContext = Registers.Result;
    Registers.Result = 0;
    return TRUE;
}

static BOOLEAN NTAPI DeviceInterrupts(PKINTERRUPT Object, PVOID ServiceContext) {
    PDEVICE_OBJECT device = ServiceContext;
    UNREFERENCED_PARAMETER(Object);
    Registers.Result = Registers.Command;
    Registers.Interrupts++;
    Pause(OverlapRun.Work);
    IoRequestDpc(device, NULL, NULL);
    return TRUE;
}

static VOID NTAPI StartDevice(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    ULONG cpu = NumberOf(Irp) % Cpus;
    UNREFERENCED_PARAMETER(DeviceObject);
    Pause(OverlapRun.Work);
    KeSynchronizeExecution(Interrupt, TellDevice, Irp);
    DirqlInterrupt(cpu, Vector); /* from here on the IRP may be completed on another CPU */
    Pause(OverlapRun.Work);
}

static VOID NTAPI DeviceIsDone(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    PIRP done = DeviceObject->CurrentIrp;
    ULONG result;
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    KeSynchronizeExecution(Interrupt, TakeResult, &result);
    IoStartNextPacket(DeviceObject, FALSE);
    Pause(OverlapRun.Work);
    done->IoStatus.Status = STATUS_SUCCESS;
    done->IoStatus.Information = result;
    IoCompleteRequest(done, IO_NO_INCREMENT);
}

static NTSTATUS NTAPI QueueRequest(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    Pause(OverlapRun.Work);
    IoMarkIrpPending(Irp);
    IoStartPacket(DeviceObject, Irp, NULL, NULL);
    return STATUS_PENDING;
}

static NTSTATUS NTAPI RequestIsDone(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    KeSetEvent(Context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED; /* the client frees it */
}

static VOID NTAPI RunClient(PVOID Context) {
    OVERLAP_CLIENT *client = Context;
    KEVENT done;
    KeInitializeEvent(&done, SynchronizationEvent, FALSE);
    for (ULONG i = 0; i < client->Requests; i++) {
        PIRP irp = IoAllocateIrp(Device->StackSize, FALSE);
        if (irp == NULL) {
            KeBugCheckEx(MANUALLY_INITIATED_CRASH, (ULONG_PTR)STATUS_INSUFFICIENT_RESOURCES, 0, 0, 0);
        }
        IoGetNextIrpStackLocation(irp)->MajorFunction = IRP_MJ_READ;
        IoGetNextIrpStackLocation(irp)->Parameters.Read.Key = client->First + i;
        IoSetCompletionRoutine(irp, RequestIsDone, &done, TRUE, TRUE, TRUE);
        IoCallDriver(Device, irp);
        WaitForever(&done);
        client->Wrong += irp->IoStatus.Information != client->First + i;
        IoFreeIrp(irp);
    }
}

static NTSTATUS CreateDevice(VOID) {
    NTSTATUS status = IoCreateDevice(Driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    Device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    IoInitializeDpcRequest(Device, DeviceIsDone);
    IoSetStartIoAttributes(Device, TRUE, FALSE); /* deferred: StartIo is not called before its last call has returned */
    OverlapRun.Dpc = (ULONG64)&Device->Dpc;
    Vector = DirqlAllocateVector(OVERLAP_DIRQL);
    return IoConnectInterrupt(&Interrupt, DeviceInterrupts, Device, NULL, Vector, OVERLAP_DIRQL, OVERLAP_DIRQL, Latched,
                              FALSE, KeQueryActiveProcessors(), FALSE);
}

VOID NTAPI RunOverlap(PVOID Context);
/* Called by the host, which has filled in Requests, Clients and Work. PASSIVE_LEVEL, on CPU 0. */
VOID NTAPI RunOverlap(PVOID Context) {
    OVERLAP_RUN *run = &OverlapRun;
    DIRQL_MACHINE machine;
    UNREFERENCED_PARAMETER(Context);
    DirqlQueryMachine(&machine);
    Cpus = machine.Cpus;
    Registers = (OVERLAP_DEVICE){0};
    run->Wrong = 0;
    NTSTATUS status = CreateDevice();
    if (!NT_SUCCESS(status)) {
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, (ULONG_PTR)status, 0, 0, 0);
    }
    run->Begin = __rdtsc();
    for (ULONG i = 0; i < run->Clients; i++) {
        OVERLAP_CLIENT *client = &Clients[i];
        *client = (OVERLAP_CLIENT){.Requests = run->Requests / run->Clients, .First = 1 + run->Requests * i};
        client->Thread = (SYSTEM_THREAD){RunClient, client, CLIENT_PRIORITY, (KAFFINITY)1 << i % Cpus, NULL};
        StartSystemThread(&client->Thread);
    }
    run->Completed = 0;
    for (ULONG i = 0; i < run->Clients; i++) {
        EndSystemThread(&Clients[i].Thread);
        run->Completed += Clients[i].Requests;
        run->Wrong += Clients[i].Wrong;
    }
    run->End = __rdtsc();
    KeFlushQueuedDpcs(); /* the last DpcForIsr has returned */
    run->Interrupts = Registers.Interrupts;
    IoDisconnectInterrupt(Interrupt);
    DirqlFreeVector(Vector);
    IoDeleteDevice(Device);
}

static VOID NTAPI OverlapUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    Driver = DriverObject;
    DriverObject->DriverStartIo = StartDevice;
    DriverObject->MajorFunction[IRP_MJ_READ] = QueueRequest;
    DriverObject->DriverUnload = OverlapUnload;
    return STATUS_SUCCESS;
}
