/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the DPC cases share: a DPC that notes what it saw, the other CPUs held at DISPATCH_LEVEL so that nothing drains
 * anywhere, and a wait that is long for the machine and short for the host. Included once in each source file.
 */
#pragma once

#include <ntddk.h>

#include <dirqltest.h>

#define MAXIMUM_CPUS 64

typedef struct _NOTED {
    KDPC Dpc;
    volatile LONG Runs;
    volatile LONG Order; /* of its last run among all that note */
    volatile ULONG Cpu;
    volatile KIRQL Irql;
    PVOID volatile Context, Argument1, Argument2;
    PKTHREAD volatile Thread;
} NOTED;

static volatile LONG NotedRuns;

static inline VOID NTAPI NoteDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    NOTED *noted = CONTAINING_RECORD(Dpc, NOTED, Dpc);
    noted->Cpu = KeGetCurrentProcessorNumber();
    noted->Irql = KeGetCurrentIrql();
    noted->Context = Context;
    noted->Argument1 = Argument1;
    noted->Argument2 = Argument2;
    noted->Thread = KeGetCurrentThread();
    noted->Order = InterlockedIncrement(&NotedRuns);
    InterlockedIncrement(&noted->Runs);
}

static inline VOID Prepare(NOTED *Noted) {
    RtlZeroMemory(Noted, sizeof *Noted);
    KeInitializeDpc(&Noted->Dpc, NoteDpc, Noted);
    NotedRuns = 0;
}

static inline VOID PrepareOn(NOTED *Noted, ULONG Cpu, KDPC_IMPORTANCE Importance) {
    Prepare(Noted);
    KeSetTargetProcessorDpc(&Noted->Dpc, (CCHAR)Cpu);
    KeSetImportanceDpc(&Noted->Dpc, Importance);
}

static inline BOOLEAN Queue(NOTED *Noted) {
    return KeInsertQueueDpc(&Noted->Dpc, NULL, NULL);
}

/* Long enough for whatever is on its way to arrive: nothing is concluded from it but that nothing came. */
static inline VOID Settle(VOID) {
    for (ULONG i = 0; i < 2000; i++) {
        YieldProcessor();
    }
}

static volatile LONG Held;
static volatile LONG Released[MAXIMUM_CPUS];

static inline VOID NTAPI HoldHere(PVOID Context) {
    KIRQL irql;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    InterlockedIncrement(&Held);
    WAIT_UNTIL(Released[KeGetCurrentProcessorNumber()]);
    KeLowerIrql(irql);
}

/* All CPUs but this one are at DISPATCH_LEVEL when it returns. */
static inline VOID HoldOthers(VOID) {
    Held = 0;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        Released[cpu] = FALSE;
        DirqlStartOn(cpu, HoldHere, NULL);
    }
    WAIT_UNTIL(Held == (LONG)TargetCpus() - 1);
}

static inline VOID ReleaseOne(ULONG Cpu) {
    Released[Cpu] = TRUE;
    DirqlWaitFor(Cpu);
}

static inline VOID ReleaseOthers(VOID) {
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        ReleaseOne(cpu);
    }
}

/* A routine at PASSIVE_LEVEL on each CPU, this one included; returns when all have. */
static inline VOID OnEveryCpu(DIRQL_WORK_ROUTINE *Routine) {
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, Routine, (PVOID)(ULONG_PTR)cpu);
    }
    Routine(NULL);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
}
