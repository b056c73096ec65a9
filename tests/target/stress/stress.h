/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stress cases share: threads that do random operations on one object, from a seed that is printed, and totals that must
 * be exact. The threads may run on any CPU, at priorities around that of the case. Nothing here says when anything happens.
 */
#pragma once

#include "../threads.h"

#define STRESS_THREADS 6

/* Random numbers of one thread's own (xorshift64, Marsaglia 2003). */
typedef struct _RANDOM {
    ULONG64 State;
} RANDOM;

static inline ULONG Random(RANDOM *Numbers, ULONG Below) {
    Numbers->State ^= Numbers->State << 13;
    Numbers->State ^= Numbers->State >> 7;
    Numbers->State ^= Numbers->State << 17;
    return (ULONG)((Numbers->State >> 32) % Below);
}

typedef struct _STRESS {
    WORKER Worker;
    RANDOM Numbers;
    ULONG Number; /* of the thread */
} STRESS;

/* Under icount the same each time: the clock counts instructions. */
static inline ULONG64 StressSeed(const char *Name) {
    ULONG64 seed = __rdtsc() | 1;
    DbgPrint("stress: %s, seed 0x%llx\n", Name, seed);
    return seed;
}

static inline VOID StartStress(STRESS *Stress, ULONG64 Seed, PKSTART_ROUTINE Routine, ULONG Count) {
    for (ULONG i = 0; i < Count; i++) {
        Stress[i].Number = i;
        Stress[i].Numbers.State = Seed + (i + 1) * 0x9e3779b97f4a7c15ULL;
        KPRIORITY priority = CASE_PRIORITY - 1 + (KPRIORITY)Random(&Stress[i].Numbers, 3);
        StartWorker(&Stress[i].Worker, Routine, &Stress[i], priority, KeQueryActiveProcessors());
    }
}

static inline VOID EndStress(STRESS *Stress, ULONG Count) {
    for (ULONG i = 0; i < Count; i++) {
        EndWorker(&Stress[i].Worker);
    }
}

static inline VOID StressPause(RANDOM *Numbers) {
    for (ULONG i = Random(Numbers, 8); i != 0; i--) {
        YieldProcessor();
    }
}
