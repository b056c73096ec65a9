/* SPDX-License-Identifier: Apache-2.0 */
/*
 * APCs: some threads enter and leave regions, raise, wait; others queue APCs to them and take some back. Each one that was
 * queued runs or was taken back, and none where it is held back.
 */
#include <ntddk.h>

#include "stress.h"

#include <apc.h>

#define TARGETS  3
#define QUEUERS  3
#define OBJECTS  4
#define ATTEMPTS 150
#define DEPTH    4

typedef struct _TARGET_THREAD {
    STRESS Stress;
    volatile LONG Critical; /* regions that it is in, surely */
    volatile LONG Guarded;
    volatile LONG Raised;
    volatile LONG NormalActive;
    volatile LONG KernelRuns;
    volatile LONG NormalRuns;
} TARGET_THREAD;

typedef struct _STRESS_APC {
    KAPC Apc;
    TARGET_THREAD *Target;
    BOOLEAN Normal;
} STRESS_APC;

static TARGET_THREAD Target[TARGETS];
static STRESS Queuer[QUEUERS];
static STRESS_APC Apc[TARGETS][QUEUERS][OBJECTS];
static volatile LONG Queued;
static volatile LONG NormalQueued;
static volatile LONG TakenBack;
static volatile LONG NormalTakenBack;
static volatile LONG Finished;
static KEVENT Never;

static VOID NTAPI KernelPart(PKAPC Object, PKNORMAL_ROUTINE *NormalRoutine, PVOID *NormalContext,
                             PVOID *SystemArgument1, PVOID *SystemArgument2) {
    STRESS_APC *apc = CONTAINING_RECORD(Object, STRESS_APC, Apc);
    TARGET_THREAD *target = apc->Target;
    UNREFERENCED_PARAMETER(NormalContext);
    ASSERT_EQ(KeGetCurrentThread(), target->Stress.Worker.Thread);
    ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
    ASSERT_EQ(target->Guarded, 0);
    ASSERT_EQ(target->Raised, 0);
    ASSERT_EQ(*SystemArgument1, apc);
    ASSERT_EQ(*SystemArgument2, target);
    if (*NormalRoutine != NULL) {
        ASSERT_EQ(target->Critical, 0);
        ASSERT_EQ(target->NormalActive, 0);
    }
    InterlockedIncrement(&target->KernelRuns);
}

static VOID NTAPI NormalPart(PVOID NormalContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    TARGET_THREAD *target = NormalContext;
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(target->Critical, 0);
    ASSERT_EQ(target->Guarded, 0);
    ASSERT_EQ(InterlockedIncrement(&target->NormalActive), 1);
    StressPause(&target->Stress.Numbers);
    InterlockedDecrement(&target->NormalActive);
    InterlockedIncrement(&target->NormalRuns);
}

typedef enum _HOLD { CriticalRegion, GuardedRegion, ApcLevel, HOLDS } HOLD;

static VOID Enter(TARGET_THREAD *target, HOLD hold, PKIRQL old) {
    switch (hold) {
    case CriticalRegion:
        KeEnterCriticalRegion();
        target->Critical++;
        break;
    case GuardedRegion:
        KeEnterGuardedRegion();
        target->Guarded++;
        break;
    default:
        KeRaiseIrql(APC_LEVEL, old);
        target->Raised++;
        break;
    }
}

static VOID Leave(TARGET_THREAD *target, HOLD hold, KIRQL old) {
    switch (hold) {
    case CriticalRegion:
        target->Critical--;
        KeLeaveCriticalRegion();
        break;
    case GuardedRegion:
        target->Guarded--;
        KeLeaveGuardedRegion();
        break;
    default:
        target->Raised--;
        KeLowerIrql(old);
        break;
    }
}

static VOID SpendTime(RANDOM *numbers) {
    LARGE_INTEGER now = {.QuadPart = 0};
    LARGE_INTEGER soon = {.QuadPart = -1};
    if (Random(numbers, 2) == 0) {
        StressPause(numbers);
    } else {
        KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, Random(numbers, 4) == 0 ? &soon : &now);
    }
}

/* Into up to DEPTH regions, and out again. */
static VOID VisitRegions(TARGET_THREAD *target) {
    RANDOM *numbers = &target->Stress.Numbers;
    HOLD hold[DEPTH];
    KIRQL old[DEPTH] = {PASSIVE_LEVEL};
    ULONG depth = Random(numbers, DEPTH + 1);
    for (ULONG i = 0; i < depth; i++) {
        hold[i] = (HOLD)Random(numbers, HOLDS);
        Enter(target, hold[i], &old[i]);
    }
    SpendTime(numbers);
    while (depth-- != 0) {
        Leave(target, hold[depth], old[depth]);
    }
}

static VOID NTAPI IsTarget(PVOID Context) {
    TARGET_THREAD *target = CONTAINING_RECORD(Context, TARGET_THREAD, Stress);
    while (Finished != QUEUERS) {
        VisitRegions(target);
    }
}

static VOID NTAPI QueuesApcs(PVOID Context) {
    STRESS *stress = Context;
    for (ULONG i = 0; i < ATTEMPTS; i++) {
        STRESS_APC *apc = &Apc[Random(&stress->Numbers, TARGETS)][stress->Number][Random(&stress->Numbers, OBJECTS)];
        if (Random(&stress->Numbers, 5) == 0) {
            if (KeRemoveQueueApc(&apc->Apc)) {
                InterlockedIncrement(&TakenBack);
                InterlockedExchangeAdd(&NormalTakenBack, apc->Normal);
            }
        } else if (KeInsertQueueApc(&apc->Apc, apc, apc->Target, (KPRIORITY)Random(&stress->Numbers, 3))) {
            InterlockedIncrement(&Queued);
            InterlockedExchangeAdd(&NormalQueued, apc->Normal);
        }
        StressPause(&stress->Numbers);
    }
    InterlockedIncrement(&Finished);
}

TARGET_CASE("APC-2 APC-3 APC-4", stress_of_apcs_and_regions, FAST_TICKS) {
    ULONG64 seed = StressSeed("APCs");
    LONG kernel = 0;
    LONG normal = 0;
    Queued = NormalQueued = TakenBack = NormalTakenBack = Finished = 0;
    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    for (ULONG i = 0; i < TARGETS; i++) {
        RtlZeroMemory(&Target[i], sizeof Target[i]);
        StartStress(&Target[i].Stress, seed + i, IsTarget, 1);
        for (ULONG j = 0; j < QUEUERS * OBJECTS; j++) {
            STRESS_APC *apc = &Apc[i][j / OBJECTS][j % OBJECTS];
            apc->Target = &Target[i];
            apc->Normal = j % 2 == 0;
            KeInitializeApc(&apc->Apc, Target[i].Stress.Worker.Thread, OriginalApcEnvironment, KernelPart, NULL,
                            apc->Normal ? NormalPart : NULL, KernelMode, &Target[i]);
        }
    }
    StartStress(Queuer, seed + TARGETS, QueuesApcs, QUEUERS);
    EndStress(Queuer, QUEUERS);
    for (ULONG i = 0; i < TARGETS; i++) {
        EndStress(&Target[i].Stress, 1);
        kernel += Target[i].KernelRuns;
        normal += Target[i].NormalRuns;
    }
    ASSERT_GT(Queued, 0);
    ASSERT_EQ(kernel, Queued - TakenBack);
    ASSERT_EQ(normal, NormalQueued - NormalTakenBack);
}
