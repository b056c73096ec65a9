/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small exercises for a person at the console, each with a result that can be wrong: IPIs answered by every CPU, DPCs run
 * once for each time they were queued, an exact count under a spin lock fought for by all CPUs.
 */
#include <string.h>

#include "monitor.h"

#include "../ke/ki.h"

typedef struct _EXERCISE {
    const char *Name;
    const char *Help;
    VOID (*Routine)(ULONG count);
} EXERCISE;

typedef struct _EXERCISE_DPC {
    KDPC Dpc;
    ULONG Rounds;
    volatile ULONG Runs;
} EXERCISE_DPC;

static EXERCISE_DPC ExerciseDpcs[MAXIMUM_CPUS];
static volatile LONG ExerciseStarted;
static volatile LONG ExerciseFinished;
static KSPIN_LOCK ExerciseLock;
static volatile ULONG64 ExerciseTotal; /* guarded by ExerciseLock, and on purpose not an atomic */

static VOID CountIpi(PVOID context) {
    __atomic_add_fetch((volatile LONG *)context, 1, __ATOMIC_RELAXED); /* the call's own end orders it */
}

static VOID ExerciseIpi(ULONG count) {
    volatile LONG answered = 0;
    ULONG64 expected = (ULONG64)count * (KiProcessorCount - 1);
    ULONG64 start = __rdtsc();
    for (ULONG i = 0; i < count; i++) {
        KiCallOthers(CountIpi, (PVOID)&answered);
    }
    ULONG64 ticks = count == 0 ? 0 : (__rdtsc() - start) / count;
    ConsolePrint("ipi: %u calls to %u other CPUs, %d answers of %I64u, %I64u TSC ticks a call: %s\n", count,
                 KiProcessorCount - 1, answered, expected, ticks, (ULONG64)answered == expected ? "ok" : "WRONG");
}

/* Starts the routine as a DPC on every CPU and waits, idle, until all have said that they are finished. */
static VOID RunOnEveryCpu(PKDEFERRED_ROUTINE routine, ULONG count) {
    ExerciseFinished = 0;
    ExerciseStarted = 0;
    /* This CPU last: its own DPC runs at once, and the others are to be under way by then. */
    for (ULONG i = 1; i <= KiProcessorCount; i++) {
        ULONG cpu = (KiCurrentPrcb()->Number + i) % KiProcessorCount;
        EXERCISE_DPC *exercise = &ExerciseDpcs[cpu];
        exercise->Rounds = count;
        exercise->Runs = 0;
        KeInitializeDpc(&exercise->Dpc, routine, exercise);
        KeSetTargetProcessorDpc(&exercise->Dpc, (CCHAR)cpu);
        KeSetImportanceDpc(&exercise->Dpc, HighImportance);
        KeInsertQueueDpc(&exercise->Dpc, NULL, NULL);
    }
    while ((ULONG)__atomic_load_n(&ExerciseFinished, __ATOMIC_ACQUIRE) != KiProcessorCount) {
        _mm_pause();
    }
}

static VOID NTAPI RequeueDpc(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2) {
    EXERCISE_DPC *exercise = context;
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    if (++exercise->Runs < exercise->Rounds) {
        KeInsertQueueDpc(dpc, NULL, NULL); /* off its queue while it runs: this queues it again (DPC-3) */
    } else {
        __atomic_add_fetch(&ExerciseFinished, 1, __ATOMIC_RELEASE);
    }
}

static VOID ExerciseDpc(ULONG count) {
    ULONG64 runs = 0;
    RunOnEveryCpu(RequeueDpc, count);
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        runs += ExerciseDpcs[cpu].Runs;
    }
    ULONG64 expected = (ULONG64)count * KiProcessorCount;
    ConsolePrint("dpc: %u CPUs, %I64u runs of %I64u: %s\n", KiProcessorCount, runs, expected,
                 runs == expected ? "ok" : "WRONG");
}

static VOID NTAPI ContendDpc(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2) {
    EXERCISE_DPC *exercise = context;
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    __atomic_add_fetch(&ExerciseStarted, 1, __ATOMIC_RELAXED); /* only a start line: the lock orders the rest */
    while ((ULONG)__atomic_load_n(&ExerciseStarted, __ATOMIC_RELAXED) != KiProcessorCount) {
        _mm_pause();
    }
    for (ULONG i = 0; i < exercise->Rounds; i++) {
        KeAcquireSpinLockAtDpcLevel(&ExerciseLock);
        ExerciseTotal = ExerciseTotal + 1;
        KeReleaseSpinLockFromDpcLevel(&ExerciseLock);
    }
    __atomic_add_fetch(&ExerciseFinished, 1, __ATOMIC_RELEASE);
}

static VOID ExerciseSpinLock(ULONG count) {
    ExerciseTotal = 0;
    RunOnEveryCpu(ContendDpc, count);
    ULONG64 expected = (ULONG64)count * KiProcessorCount;
    ConsolePrint("lock: %u CPUs, counted %I64u of %I64u: %s\n", KiProcessorCount, ExerciseTotal, expected,
                 ExerciseTotal == expected ? "ok" : "WRONG");
}

static const EXERCISE Exercises[] = {
    {"ipi", "COUNT calls to all other CPUs at IPI_LEVEL", ExerciseIpi},
    {"dpc", "a DPC on each CPU that queues itself again COUNT times", ExerciseDpc},
    {"lock", "all CPUs count to COUNT each under one spin lock", ExerciseSpinLock},
};

BOOLEAN ConsoleExercise(const char *name, ULONG count) {
    for (ULONG i = 0; i < RTL_NUMBER_OF(Exercises); i++) {
        if (strcmp(Exercises[i].Name, name) == 0) {
            Exercises[i].Routine(count);
            return TRUE;
        }
    }
    return FALSE;
}

VOID ConsoleListExercises(VOID) {
    for (ULONG i = 0; i < RTL_NUMBER_OF(Exercises); i++) {
        ConsolePrint("run %-5s %s\n", Exercises[i].Name, Exercises[i].Help);
    }
}
