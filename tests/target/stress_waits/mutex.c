/* SPDX-License-Identifier: Apache-2.0 */
/* Mutexes under load: taken one, two or three deep, in one order, for a time or for ever; each guards a count. */
#include "stress.h"

#define MUTEXES 4
#define ROUNDS  50

static KMUTEX Mutexes[MUTEXES];
static volatile ULONG64 Guarded[MUTEXES];
static PKTHREAD volatile Owner[MUTEXES];

static BOOLEAN Take(STRESS *Me, ULONG Which) {
    NTSTATUS status = Random(&Me->Random, 3) == 0
        ? WaitForAtMost(&Mutexes[Which], -(LONGLONG)Random(&Me->Random, 30000))
        : WaitFor(&Mutexes[Which]);
    if (status == STATUS_TIMEOUT) {
        return FALSE;
    }
    ASSERT_EQ(status, STATUS_SUCCESS);
    ASSERT_EQ(Owner[Which], NULL);
    Owner[Which] = KeGetCurrentThread();
    return TRUE;
}

static VOID Give(ULONG Which) {
    ASSERT_EQ(Owner[Which], KeGetCurrentThread());
    Owner[Which] = NULL;
    ASSERT_EQ(KeReleaseMutex(&Mutexes[Which], FALSE), 0);
}

/* Once more, twice more: it is the owner's. */
static VOID Recurse(STRESS *Me, ULONG Which) {
    ULONG more = Random(&Me->Random, 3);
    for (ULONG i = 0; i < more; i++) {
        ASSERT_EQ(Random(&Me->Random, 2) ? WaitFor(&Mutexes[Which]) : TryFor(&Mutexes[Which]), STATUS_SUCCESS);
    }
    ULONG64 seen = Guarded[Which];
    Dawdle(Me);
    Guarded[Which] = seen + 1;
    for (ULONG i = 0; i < more; i++) {
        ASSERT_NE(KeReleaseMutex(&Mutexes[Which], FALSE), 0);
    }
}

static VOID NTAPI TakeSome(PVOID Context) {
    STRESS *me = Context;
    for (ULONG round = 0; round < ROUNDS; round++) {
        ULONG first = Random(&me->Random, MUTEXES);
        ULONG last = first + Random(&me->Random, MUTEXES - first);
        ULONG held = first;
        while (held <= last && Take(me, held)) {
            Recurse(me, held++);
            me->Count++;
        }
        while (held > first) {
            Give(--held);
        }
        Shuffle(me);
    }
}

static VOID AllOfThem(const char *Name, ULONG64 Seed) {
    ULONG64 total = 0;
    for (ULONG i = 0; i < MUTEXES; i++) {
        KeInitializeMutex(&Mutexes[i], i + 1);
        Guarded[i] = 0;
    }
    BeginStress(Name, Seed, TakeSome);
    ULONG64 count = EndStress();
    for (ULONG i = 0; i < MUTEXES; i++) {
        total += Guarded[i];
        ASSERT_EQ(KeReadStateMutex(&Mutexes[i]), 1);
    }
    ASSERT_EQ(total, count);
    ASSERT_GT(count, 0);
}

STRESS_CASE("MUT-1", taken_in_order_at_any_depth, FAST_TICKS, AllOfThem)
