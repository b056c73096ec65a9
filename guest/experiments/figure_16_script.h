/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figure of "Using Spin Locks: An Example" as a driver that plays it by hand-shakes: its ISR on CPU 0, StartIo on CPU 1, DpcForIsr
 * on CPU 2, all three at SynchronizeContext, which the interrupt spin lock guards. A routine lets the next step come by
 * seeing who has asked for that lock: the second word of an interrupt spin lock is the next ticket. No step waits for time.
 *
 *   1. The ISR holds the lock. StartIo asks for it (KeSynchronizeExecution) and spins at DIRQL. The ISR sees the request, requests
 *      the DpcForIsr and returns.
 *   2. AccessDevice runs for StartIo. DpcForIsr, on the first CPU below DISPATCH_LEVEL, asks for the lock and spins too; or, before
 *      it asks, another interrupt comes, and the ISR asks first.
 *   3. AccessDevice returns. It runs next for DpcForIsr; or, in the other order, the ISR runs, and then AccessDevice for DpcForIsr.
 *
 * CPU 0 is at DISPATCH_LEVEL when it is interrupted and stays there, CPU 1 is in StartIo, CPUs from 3 on are held at DISPATCH_LEVEL: the
 * first CPU that is available for the DpcForIsr is CPU 2.
 */
#pragma once

#include <ntddk.h>

#include <dirql.h>

#define FIGURE_DIRQL      6
#define FIGURE_MOST_TURNS 8
#define FIGURE_ISR_CPU    0
#define FIGURE_START_CPU  1
#define FIGURE_DPC_CPU    2

typedef enum _FIGURE_ROUTINE { FigureIsr = 1, FigureStartIo = 2, FigureDpcForIsr = 3 } FIGURE_ROUTINE;

/* Somebody's turn at SynchronizeContext. */
typedef struct _FIGURE_TURN {
    ULONG Routine; /* FIGURE_ROUTINE */
    ULONG Cpu;
    ULONG Irql;
} FIGURE_TURN;

/* SynchronizeContext. Nothing in it is atomic: the interrupt spin lock alone guards it. */
typedef struct _FIGURE_CONTEXT {
    FIGURE_TURN Turns[FIGURE_MOST_TURNS];
    ULONG TurnCount;
    ULONG Interrupts; /* the ISR adds, DpcForIsr takes all and leaves zero */
    ULONG Taken;
} FIGURE_CONTEXT;

typedef struct _FIGURE {
    FIGURE_CONTEXT Context;
    KSPIN_LOCK Lock;
    PKINTERRUPT Interrupt;
    PDEVICE_OBJECT Device;
    PIRP Irp;
    ULONG Vector;
    ULONG Cpus;
    BOOLEAN InterruptFirst; /* the order of step 3 */
    USHORT FirstTicket;
    volatile LONG Held;     /* CPUs from 3 on that are at DISPATCH_LEVEL */
    volatile LONG InIsr;    /* how often */
    volatile LONG InAccess; /* AccessDevice runs for StartIo */
    volatile LONG AskNow;   /* DpcForIsr may ask for the lock */
    volatile LONG Completed;
    volatile LONG Returned; /* IoCallDriver has */
    ULONG StartIrql[2];     /* of StartIo, before and after */
    ULONG DpcIrql[2];
    ULONG DpcCpu;
} FIGURE;

static FIGURE Figure;

/* How many have asked for the interrupt spin lock in this round. */
static inline ULONG FigureAsked(VOID) {
    return (USHORT)(((const volatile USHORT *)&Figure.Lock)[1] - Figure.FirstTicket);
}

#define FIGURE_WAIT(condition) \
    while (!(condition)) {     \
        YieldProcessor();      \
    }

/* The interrupt spin lock is held. */
static inline VOID FigureTurn(ULONG routine) {
    FIGURE_CONTEXT *context = &Figure.Context;
    FIGURE_TURN *turn = &context->Turns[context->TurnCount % FIGURE_MOST_TURNS];
    turn->Routine = routine;
    turn->Cpu = KeGetCurrentProcessorNumber();
    turn->Irql = KeGetCurrentIrql();
    context->TurnCount++;
}

static BOOLEAN NTAPI FigureServiceRoutine(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    PDEVICE_OBJECT device = ServiceContext;
    UNREFERENCED_PARAMETER(Interrupt);
    FigureTurn(FigureIsr);
    Figure.Context.Interrupts++;
    if (InterlockedIncrement(&Figure.InIsr) == 1) {
        FIGURE_WAIT(FigureAsked() == 2); /* step 1: StartIo spins */
        IoRequestDpc(device, device->CurrentIrp, NULL);
    } /* else: the DpcForIsr has not looked yet and will find both */
    return TRUE;
}

/* SynchCritSection. Context: for whom. */
static BOOLEAN NTAPI AccessDevice(PVOID SynchronizeContext) {
    ULONG routine = *(const ULONG *)SynchronizeContext;
    FigureTurn(routine);
    if (routine == FigureDpcForIsr) {
        Figure.Context.Taken = Figure.Context.Interrupts;
        Figure.Context.Interrupts = 0;
        return TRUE;
    }
    InterlockedExchange(&Figure.InAccess, TRUE);
    if (Figure.InterruptFirst) {
        FIGURE_WAIT(FigureAsked() == 3); /* step 2: the ISR spins on CPU 0 */
        InterlockedExchange(&Figure.AskNow, TRUE);
        FIGURE_WAIT(FigureAsked() == 4); /* and DpcForIsr behind it */
    } else {
        InterlockedExchange(&Figure.AskNow, TRUE);
        FIGURE_WAIT(FigureAsked() == 3); /* step 2: DpcForIsr spins */
    }
    return TRUE;
}

static VOID NTAPI FigureStart(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    static ULONG me = FigureStartIo;
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    Figure.StartIrql[0] = KeGetCurrentIrql();
    FIGURE_WAIT(Figure.InIsr != 0);
    KeSynchronizeExecution(Figure.Interrupt, AccessDevice, &me);
    Figure.StartIrql[1] = KeGetCurrentIrql();
}

static VOID NTAPI FigureDpc(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    static ULONG me = FigureDpcForIsr;
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    Figure.DpcCpu = KeGetCurrentProcessorNumber();
    Figure.DpcIrql[0] = KeGetCurrentIrql();
    FIGURE_WAIT(Figure.AskNow);
    KeSynchronizeExecution(Figure.Interrupt, AccessDevice, &me);
    Figure.DpcIrql[1] = KeGetCurrentIrql();
    IoStartNextPacket(DeviceObject, FALSE);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
}

static NTSTATUS NTAPI FigureRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
    IoMarkIrpPending(Irp);
    IoStartPacket(DeviceObject, Irp, NULL, NULL);
    return STATUS_PENDING;
}

static NTSTATUS NTAPI FigureCompleted(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
    UNREFERENCED_PARAMETER(DeviceObject);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);
    InterlockedExchange(&Figure.Completed, TRUE);
    return STATUS_MORE_PROCESSING_REQUIRED; /* whoever allocated it frees it */
}

/* CPU 1 */
static VOID NTAPI FigureSend(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    IoGetNextIrpStackLocation(Figure.Irp)->MajorFunction = IRP_MJ_READ;
    IoSetCompletionRoutine(Figure.Irp, FigureCompleted, NULL, TRUE, TRUE, TRUE);
    IoCallDriver(Figure.Device, Figure.Irp);
    InterlockedExchange(&Figure.Returned, TRUE);
}

/* CPUs from 3 on */
static VOID NTAPI FigureHold(PVOID Context) {
    KIRQL irql;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    InterlockedIncrement(&Figure.Held);
    FIGURE_WAIT(Figure.Completed);
    KeLowerIrql(irql);
}

/* CPU 0, PASSIVE_LEVEL. The device, its interrupt and its driver's routines. */
static NTSTATUS FigureBegin(PDRIVER_OBJECT driver) {
    DIRQL_MACHINE machine;
    DirqlQueryMachine(&machine);
    RtlZeroMemory(&Figure, sizeof Figure);
    Figure.Cpus = machine.Cpus;
    driver->DriverStartIo = FigureStart;
    driver->MajorFunction[IRP_MJ_READ] = FigureRead;
    NTSTATUS status = IoCreateDevice(driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Figure.Device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    Figure.Device->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    IoInitializeDpcRequest(Figure.Device, FigureDpc);
    KeInitializeSpinLock(&Figure.Lock);
    Figure.Vector = DirqlAllocateVector(FIGURE_DIRQL);
    return IoConnectInterrupt(&Figure.Interrupt, FigureServiceRoutine, Figure.Device, &Figure.Lock, Figure.Vector,
                              FIGURE_DIRQL, FIGURE_DIRQL, Latched, FALSE, KeQueryActiveProcessors(), FALSE);
}

static VOID FigureEnd(VOID) {
    IoDisconnectInterrupt(Figure.Interrupt);
    DirqlFreeVector(Figure.Vector);
    IoDeleteDevice(Figure.Device);
}

/* CPU 0, PASSIVE_LEVEL. One round; what happened is in Figure. */
static VOID FigurePlay(BOOLEAN interrupt_first) {
    KIRQL irql;
    RtlZeroMemory(&Figure.Context, sizeof Figure.Context);
    Figure.InterruptFirst = interrupt_first;
    Figure.FirstTicket = ((const volatile USHORT *)&Figure.Lock)[1];
    Figure.Held = Figure.InIsr = Figure.InAccess = Figure.AskNow = Figure.Completed = Figure.Returned = 0;
    Figure.Irp = IoAllocateIrp(Figure.Device->StackSize, FALSE);
    if (Figure.Irp == NULL) {
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, (ULONG_PTR)STATUS_INSUFFICIENT_RESOURCES, 0, 0, 0);
    }
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    DirqlTraceMark(interrupt_first, TRUE);
    DirqlStartOn(FIGURE_START_CPU, FigureSend, NULL);
    for (ULONG cpu = FIGURE_DPC_CPU + 1; cpu < Figure.Cpus; cpu++) {
        DirqlStartOn(cpu, FigureHold, NULL);
    }
    FIGURE_WAIT((ULONG)Figure.Held + FIGURE_DPC_CPU + 1 == Figure.Cpus && Figure.Device->CurrentIrp != NULL);
    DirqlInterrupt(FIGURE_ISR_CPU, Figure.Vector);
    FIGURE_WAIT(Figure.InAccess);
    if (interrupt_first) {
        DirqlInterrupt(FIGURE_ISR_CPU, Figure.Vector);
    }
    FIGURE_WAIT(Figure.Completed && Figure.Returned);
    KeLowerIrql(irql);
    for (ULONG cpu = FIGURE_START_CPU; cpu < Figure.Cpus; cpu++) {
        if (cpu != FIGURE_DPC_CPU) {
            DirqlWaitFor(cpu);
        }
    }
    KeFlushQueuedDpcs(); /* DpcForIsr has returned: the IRP and its device are nobody's */
    DirqlTraceMark(interrupt_first, FALSE);
    IoFreeIrp(Figure.Irp);
}
