/* SPDX-License-Identifier: Apache-2.0 */
/* Timers under load: set, set again, cancelled, waited for; whatever was set either expired or was taken back, once. */
#include "stress.h"

#define ROUNDS 30

typedef struct _TIMED {
    KTIMER Timer;
    KDPC Dpc;
    volatile LONG Runs; /* of its DPC */
} TIMED;

static TIMED Timed[MOST_THREADS];
static volatile LONG64 Set, Back, Expired;

static VOID NTAPI CountRun(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    InterlockedIncrement(&((TIMED *)Context)->Runs);
}

static LARGE_INTEGER SomeTime(STRESS *Me) {
    LARGE_INTEGER due = {.QuadPart =
                             Random(&Me->Random, 4) == 0 ? -36000000000LL : -(LONGLONG)Random(&Me->Random, 40000)};
    return due;
}

/* A timer that could not be taken back has expired: it is signalled, and its DPC runs if it has not. */
static VOID AwaitExpiry(TIMED *Mine, LONG Runs) {
    ASSERT_EQ(WaitFor(&Mine->Timer), STATUS_SUCCESS);
    while (Mine->Runs == Runs) { /* it was queued before the timer let anybody go, or right after */
        LARGE_INTEGER interval = {.QuadPart = MILLISECONDS};
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
    }
    ASSERT_EQ(Mine->Runs, Runs + 1);
    InterlockedIncrement64(&Expired);
}

static VOID NTAPI SetAndCancel(PVOID Context) {
    STRESS *me = Context;
    TIMED *mine = &Timed[me->Number];
    for (ULONG round = 0; round < ROUNDS; round++) {
        LONG runs = mine->Runs;
        LARGE_INTEGER due = SomeTime(me);
        ASSERT_EQ(KeSetTimer(&mine->Timer, due, &mine->Dpc), FALSE);
        InterlockedIncrement64(&Set);
        me->Count++;
        Dawdle(me);
        Shuffle(me);
        if (Random(&me->Random, 2) != 0 || due.QuadPart < -40000) {
            if (KeCancelTimer(&mine->Timer)) {
                ASSERT_FALSE(KeReadStateTimer(&mine->Timer));
                ASSERT_EQ(mine->Runs, runs);
                InterlockedIncrement64(&Back);
                continue;
            }
            ASSERT_TRUE(KeReadStateTimer(&mine->Timer));
        }
        AwaitExpiry(mine, runs);
    }
}

static VOID EachItsOwn(const char *Name, ULONG64 Seed) {
    Set = Back = Expired = 0;
    for (ULONG i = 0; i < MOST_THREADS; i++) {
        KeInitializeTimer(&Timed[i].Timer);
        KeInitializeDpc(&Timed[i].Dpc, CountRun, &Timed[i]);
        Timed[i].Runs = 0;
    }
    BeginStress(Name, Seed, SetAndCancel);
    ULONG64 count = EndStress();
    ASSERT_EQ(Set, count);
    ASSERT_EQ(Set, Back + Expired);
    ASSERT_GT(Back, 0);
    ASSERT_GT(Expired, 0);
}

STRESS_CASE("TMR-2 TMR-4", set_cancelled_and_waited_for, FAST_TICKS, EachItsOwn)
