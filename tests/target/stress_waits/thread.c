/* SPDX-License-Identifier: Apache-2.0 */
/* Threads under load: threads that start threads, wait for them at once or later, and end in both ways. */
#include "stress.h"

#define ROUNDS 12

static volatile LONG64 Begun, Finished;

/* The low bit of its context: ends by PsTerminateSystemThread. */
static VOID NTAPI ShortLife(PVOID Context) {
    KeSetPriorityThread(KeGetCurrentThread(), 1 + (KPRIORITY)((ULONG_PTR)Context >> 1) % 31);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    InterlockedIncrement64(&Finished);
    if ((ULONG_PTR)Context & 1) {
        PsTerminateSystemThread(STATUS_SUCCESS);
        ASSERT_TRUE(FALSE);
    }
}

static VOID NTAPI StartSome(PVOID Context) {
    STRESS *me = Context;
    PKTHREAD later[ROUNDS];
    ULONG kept = 0;
    for (ULONG round = 0; round < ROUNDS; round++) {
        PKTHREAD threads[3];
        ULONG count = Random(&me->Random, 3);
        count = count < RTL_NUMBER_OF(threads) ? count + 1 : 1;
        for (ULONG i = 0; i < count; i++) {
            InterlockedIncrement64(&Begun);
            threads[i] = StartThread(ShortLife, (PVOID)(ULONG_PTR)Random(&me->Random, 1000));
            me->Count++;
        }
        if (Random(&me->Random, 2) != 0) {
            later[kept++] = threads[--count];
        }
        for (ULONG i = 0; i < count; i++) {
            EndThread(threads[i]);
        }
        Shuffle(me);
    }
    while (kept > 0) {
        EndThread(later[--kept]);
    }
}

static VOID ManyLives(const char *Name, ULONG64 Seed) {
    Begun = Finished = 0;
    BeginStress(Name, Seed, StartSome);
    ULONG64 count = EndStress();
    ASSERT_EQ(Begun, count);
    ASSERT_EQ(Finished, count);
}

STRESS_CASE("THR-1", short_lives, "", ManyLives)
