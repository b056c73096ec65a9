/* SPDX-License-Identifier: Apache-2.0 */
/* Fast and guarded mutexes: random forms, one owner at a time, no increment lost. */
#include <ntddk.h>

#include "stress.h"

#define ROUNDS 150

static FAST_MUTEX Fast;
static KGUARDED_MUTEX Guarded;
static ULONG FastTotal; /* by nothing but the mutexes */
static ULONG GuardedTotal;
static volatile LONG FastInside;
static volatile LONG GuardedInside;
static volatile LONG FastTaken;
static volatile LONG GuardedTaken;

static VOID Count(ULONG *total, volatile LONG *inside, volatile LONG *taken, RANDOM *numbers) {
    LARGE_INTEGER soon = {.QuadPart = -1};
    ASSERT_EQ(InterlockedIncrement(inside), 1);
    ULONG seen = *total;
    if (Random(numbers, 16) == 0) { /* its owner may wait */
        KeDelayExecutionThread(KernelMode, FALSE, &soon);
    } else {
        StressPause(numbers);
    }
    *total = seen + 1;
    ASSERT_EQ(InterlockedDecrement(inside), 0);
    InterlockedIncrement(taken);
}

static VOID UseFast(RANDOM *numbers) {
    switch (Random(numbers, 3)) {
    case 0:
        ExAcquireFastMutex(&Fast);
        ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
        Count(&FastTotal, &FastInside, &FastTaken, numbers);
        ExReleaseFastMutex(&Fast);
        break;
    case 1:
        if (ExTryToAcquireFastMutex(&Fast)) {
            Count(&FastTotal, &FastInside, &FastTaken, numbers);
            ExReleaseFastMutex(&Fast);
        }
        break;
    default:
        KeEnterCriticalRegion();
        ExAcquireFastMutexUnsafe(&Fast);
        Count(&FastTotal, &FastInside, &FastTaken, numbers);
        ExReleaseFastMutexUnsafe(&Fast);
        KeLeaveCriticalRegion();
        break;
    }
}

static VOID UseGuarded(RANDOM *numbers) {
    switch (Random(numbers, 3)) {
    case 0:
        KeAcquireGuardedMutex(&Guarded);
        ASSERT_TRUE(KeAreAllApcsDisabled());
        Count(&GuardedTotal, &GuardedInside, &GuardedTaken, numbers);
        KeReleaseGuardedMutex(&Guarded);
        break;
    case 1:
        if (KeTryToAcquireGuardedMutex(&Guarded)) {
            Count(&GuardedTotal, &GuardedInside, &GuardedTaken, numbers);
            KeReleaseGuardedMutex(&Guarded);
        }
        break;
    default:
        KeEnterGuardedRegion();
        KeAcquireGuardedMutexUnsafe(&Guarded);
        Count(&GuardedTotal, &GuardedInside, &GuardedTaken, numbers);
        KeReleaseGuardedMutexUnsafe(&Guarded);
        KeLeaveGuardedRegion();
        break;
    }
}

static VOID NTAPI UsesBoth(PVOID Context) {
    STRESS *stress = Context;
    for (ULONG i = 0; i < ROUNDS; i++) {
        if (Random(&stress->Numbers, 2) == 0) {
            UseFast(&stress->Numbers);
        } else {
            UseGuarded(&stress->Numbers);
        }
        ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
        ASSERT_FALSE(KeAreApcsDisabled());
    }
}

TARGET_CASE("FMX-1 GMX-1", stress_of_fast_and_guarded_mutexes, FAST_TICKS) {
    static STRESS stress[STRESS_THREADS];
    ExInitializeFastMutex(&Fast);
    KeInitializeGuardedMutex(&Guarded);
    FastTotal = GuardedTotal = 0;
    FastInside = GuardedInside = FastTaken = GuardedTaken = 0;
    StartStress(stress, StressSeed("fast and guarded mutexes"), UsesBoth, STRESS_THREADS);
    EndStress(stress, STRESS_THREADS);
    ASSERT_GT(FastTaken, 0);
    ASSERT_GT(GuardedTaken, 0);
    ASSERT_EQ(FastTotal, FastTaken);
    ASSERT_EQ(GuardedTotal, GuardedTaken);
    ASSERT_EQ(Fast.Count, 1);
    ASSERT_EQ(Guarded.Count, 1);
}
