/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_primitives.sys: what the executive's primitives cost, in ticks of the TSC. Each Measure routine is run by the
 * host, which reads Primitives. Under icount a tick is 1/8 instruction, exactly; elsewhere ticks are time.
 */
#include <ntddk.h>

#include <dirql.h>

#define ROUNDS 256
#define IRQL   8

typedef struct _PRIMITIVES {
    ULONG64 Rounds;
    ULONG64 Empty;             /* the loops' own ticks, to be taken off Pair, Synchronize */
    ULONG64 Pair;              /* KeAcquireSpinLock and KeReleaseSpinLock */
    ULONG64 Synchronize;       /* KeSynchronizeExecution of a routine that does nothing */
    ULONG64 IsrEntry;          /* from the instruction that lets an interrupt in to the ISR's first */
    ULONG64 IsrExit;           /* from the ISR's last to the interrupted code's next */
    ULONG64 Unexpected;        /* there and back for a vector that nobody connected */
    ULONG64 DpcSame;           /* KeInsertQueueDpc to the routine, this CPU */
    ULONG64 DpcOther[ROUNDS];  /* the same, a DPC targeted at CPU 1: each round */
    ULONG64 FlagOther[ROUNDS]; /* a store here seen by CPU 1, which spins for it, and back: each round */
} PRIMITIVES;

DRIVER_INITIALIZE DriverEntry;
DIRQL_WORK_ROUTINE MeasurePair, MeasureInterrupt, MeasureDpc, MeasureDpcOther;

PRIMITIVES Primitives = {.Rounds = ROUNDS};

static KSPIN_LOCK Lock;
static volatile ULONG64 IsrFirst, IsrLast, DpcFirst;
static volatile ULONG Turn;
static KDPC Dpc;

VOID NTAPI MeasurePair(PVOID Context) {
    KIRQL irql;
    UNREFERENCED_PARAMETER(Context);
    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &irql); /* once, so that all of it has been translated */
    KeReleaseSpinLock(&Lock, irql);
    ULONG64 started = __rdtsc();
    for (ULONG i = 0; i < ROUNDS; i++) {
        __asm__ volatile("" : "+r"(i)); /* the empty loop stays */
    }
    Primitives.Empty = __rdtsc() - started;
    started = __rdtsc();
    for (ULONG i = 0; i < ROUNDS; i++) {
        KeAcquireSpinLock(&Lock, &irql);
        KeReleaseSpinLock(&Lock, irql);
    }
    Primitives.Pair = __rdtsc() - started;
}

static BOOLEAN NTAPI NoteIsr(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    IsrFirst = __rdtsc();
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    IsrLast = __rdtsc();
    return TRUE;
}

static BOOLEAN NTAPI Nothing(PVOID SynchronizeContext) {
    UNREFERENCED_PARAMETER(SynchronizeContext);
    return TRUE;
}

/* The interrupt waits behind CR8 when this returns; the store to CR8 lets it in. */
static KIRQL Pend(ULONG vector) {
    KIRQL irql;
    KeRaiseIrql(HIGH_LEVEL, &irql);
    DirqlInterrupt(KeGetCurrentProcessorNumber(), vector);
    return irql;
}

VOID NTAPI MeasureInterrupt(PVOID Context) {
    PKINTERRUPT interrupt;
    ULONG vector = DirqlAllocateVector(IRQL);
    ULONG unexpected = DirqlAllocateVector(IRQL);
    UNREFERENCED_PARAMETER(Context);
    if (!NT_SUCCESS(IoConnectInterrupt(&interrupt, NoteIsr, NULL, NULL, vector, IRQL, IRQL, Latched, FALSE,
                                       KeQueryActiveProcessors(), FALSE))) {
        return;
    }
    Primitives.IsrEntry = Primitives.IsrExit = Primitives.Unexpected = Primitives.Synchronize = 0;
    for (ULONG i = 0; i < ROUNDS; i++) {
        KIRQL irql = Pend(vector);
        ULONG64 started = __rdtsc();
        KeLowerIrql(irql);
        Primitives.IsrExit += __rdtsc() - IsrLast;
        Primitives.IsrEntry += IsrFirst - started;
        irql = Pend(unexpected);
        started = __rdtsc();
        KeLowerIrql(irql);
        Primitives.Unexpected += __rdtsc() - started;
        started = __rdtsc();
        KeSynchronizeExecution(interrupt, Nothing, NULL);
        Primitives.Synchronize += __rdtsc() - started;
    }
    IoDisconnectInterrupt(interrupt);
    DirqlFreeVector(vector);
    DirqlFreeVector(unexpected);
}

static VOID NTAPI NoteDpc(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    DpcFirst = __rdtsc();
}

VOID NTAPI MeasureDpc(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeInitializeDpc(&Dpc, NoteDpc, NULL);
    Primitives.DpcSame = 0;
    for (ULONG i = 0; i < ROUNDS; i++) {
        ULONG64 started = __rdtsc();
        KeInsertQueueDpc(&Dpc, NULL, NULL); /* at PASSIVE_LEVEL: it has run at return */
        Primitives.DpcSame += DpcFirst - started;
    }
}

static VOID NTAPI AnswerFlag(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < ROUNDS; i++) {
        while (Turn != 2 * i + 1) {
            YieldProcessor();
        }
        Turn = 2 * i + 2;
    }
}

VOID NTAPI MeasureDpcOther(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeInitializeDpc(&Dpc, NoteDpc, NULL);
    KeSetTargetProcessorDpc(&Dpc, 1);
    KeSetImportanceDpc(&Dpc, HighImportance);
    for (ULONG i = 0; i < ROUNDS; i++) {
        DpcFirst = 0;
        ULONG64 started = __rdtsc();
        KeInsertQueueDpc(&Dpc, NULL, NULL);
        while (DpcFirst == 0) {
            YieldProcessor();
        }
        Primitives.DpcOther[i] = DpcFirst - started;
    }
    Turn = 0;
    DirqlStartOn(1, AnswerFlag, NULL);
    for (ULONG i = 0; i < ROUNDS; i++) {
        ULONG64 started = __rdtsc();
        Turn = 2 * i + 1;
        while (Turn != 2 * i + 2) {
            YieldProcessor();
        }
        Primitives.FlagOther[i] = __rdtsc() - started;
    }
    DirqlWaitFor(1);
}

static VOID NTAPI PrimitivesUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = PrimitivesUnload;
    return STATUS_SUCCESS;
}
