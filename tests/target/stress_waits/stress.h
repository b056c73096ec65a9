/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stress cases share: more threads than CPUs, of random priorities and affinities, each with random numbers of its
 * own that follow from the case's seed. What they do is random, what must come out is exact.
 */
#pragma once

#include "../threads.h"

#define MOST_THREADS 24

typedef struct _STRESS {
    WORKER Worker;
    ULONG Number;
    ULONG64 Random; /* xorshift64: never 0 */
    ULONG64 Count;  /* for the routine's use, 0 at the start */
} STRESS;

static STRESS Stress[MOST_THREADS];
static ULONG Threads;

static inline ULONG Random(ULONG64 *State, ULONG Below) {
    *State ^= *State << 13;
    *State ^= *State >> 7;
    *State ^= *State << 17;
    return (ULONG)(*State >> 33) % Below;
}

/* Among other things nothing: the others get some way. */
static inline VOID Dawdle(STRESS *Me) {
    for (ULONG i = Random(&Me->Random, 8) * Random(&Me->Random, 8); i > 0; i--) {
        YieldProcessor();
    }
}

/* Now and then something that moves the thread: another priority, another CPU, a boost that it has no right to. */
static inline VOID Shuffle(STRESS *Me) {
    switch (Random(&Me->Random, 24)) {
    case 0:
        KeSetPriorityThread(KeGetCurrentThread(), 4 + (KPRIORITY)Random(&Me->Random, 12));
        break;
    case 1:
        KeSetSystemAffinityThread(ON(Random(&Me->Random, TargetCpus())));
        break;
    case 2:
        KeRevertToUserAffinityThread();
        break;
    default:
        break;
    }
}

static inline VOID BeginStress(const char *Name, ULONG64 Seed, PKSTART_ROUTINE Routine) {
    ULONG64 random = Seed * 0x9e3779b97f4a7c15ULL + 1;
    Threads = 2 * TargetCpus() + 3;
    Threads = Threads < MOST_THREADS ? Threads : MOST_THREADS;
    DbgPrint("stress: %s, seed %u, %u threads\n", Name, (ULONG)Seed, Threads);
    for (ULONG i = 0; i < Threads; i++) {
        Stress[i].Number = i;
        Stress[i].Count = 0;
        Random(&random, 1);
        Stress[i].Random = random;
        KPRIORITY priority = 4 + (KPRIORITY)Random(&random, 10);
        KAFFINITY cpus = Random(&random, 3) == 0 ? ON(Random(&random, TargetCpus())) : KeQueryActiveProcessors();
        StartWorker(&Stress[i].Worker, Routine, &Stress[i], priority, cpus);
    }
}

/* The sum of all counts. */
static inline ULONG64 EndStress(VOID) {
    ULONG64 total = 0;
    for (ULONG i = 0; i < Threads; i++) {
        EndWorker(&Stress[i].Worker);
        total += Stress[i].Count;
    }
    return total;
}

/* One case for each seed. */
#define STRESS_CASE(clauses, name, needs, routine) \
    TARGET_CASE(clauses, name##_seed_1, needs) {   \
        routine(#name, 1);                         \
    }                                              \
    TARGET_CASE(clauses, name##_seed_2, needs) {   \
        routine(#name, 2);                         \
    }                                              \
    TARGET_CASE(clauses, name##_seed_3, needs) {   \
        routine(#name, 3);                         \
    }
