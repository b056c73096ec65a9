/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for several under load: tokens of several kinds, taken one of any or one of all; every one is accounted for. */
#include "stress.h"

#define KINDS  3
#define ROUNDS 60

static KSEMAPHORE Tokens[KINDS];
static KEVENT Stop;
static volatile LONG64 Posted[KINDS], Taken[KINDS], Timeouts;

static NTSTATUS WaitKinds(STRESS *Me, WAIT_TYPE Type, ULONG First, ULONG Count, BOOLEAN Stoppable) {
    PVOID objects[KINDS + 1];
    KWAIT_BLOCK blocks[KINDS + 1];
    LARGE_INTEGER timeout = {.QuadPart = -(LONGLONG)Random(&Me->Random, 20000)};
    for (ULONG i = 0; i < Count; i++) {
        objects[i] = &Tokens[(First + i) % KINDS];
    }
    objects[Count] = &Stop;
    return KeWaitForMultipleObjects(Count + Stoppable, objects, Type, Executive, KernelMode, FALSE,
                                    Random(&Me->Random, 3) == 0 || !Stoppable ? &timeout : NULL, blocks);
}

static VOID Post(STRESS *Me) {
    ULONG kind = Random(&Me->Random, KINDS);
    LONG some = 1 + (LONG)Random(&Me->Random, 3);
    InterlockedAdd64(&Posted[kind], some);
    KeReleaseSemaphore(&Tokens[kind], (KPRIORITY)Random(&Me->Random, 3), some, FALSE);
}

/* Takers wait until they are stopped, and then for no time until nothing is left. */
static VOID TakeAny(STRESS *Me) {
    for (;;) {
        ULONG first = Random(&Me->Random, KINDS), count = 1 + Random(&Me->Random, KINDS);
        if (Random(&Me->Random, 4) == 0) {
            NTSTATUS all = WaitKinds(Me, WaitAll, first, count, FALSE);
            if (all == STATUS_SUCCESS) {
                for (ULONG i = 0; i < count; i++) {
                    InterlockedIncrement64(&Taken[(first + i) % KINDS]);
                }
            } else {
                ASSERT_EQ(all, STATUS_TIMEOUT);
            }
        }
        NTSTATUS any = WaitKinds(Me, WaitAny, first, count, TRUE);
        if (any == STATUS_TIMEOUT) {
            InterlockedIncrement64(&Timeouts);
        } else if (any == STATUS_WAIT_0 + (NTSTATUS)count) {
            break;
        } else {
            ASSERT_LT(any, count);
            InterlockedIncrement64(&Taken[(first + any) % KINDS]);
        }
        Shuffle(Me);
    }
}

static VOID NTAPI PostOrTake(PVOID Context) {
    STRESS *me = Context;
    if (me->Number % 3 != 0) {
        TakeAny(me);
        return;
    }
    for (ULONG round = 0; round < ROUNDS; round++) {
        Post(me);
        Dawdle(me);
        Shuffle(me);
    }
    me->Count = 1;
}

static VOID AnyAndAll(const char *Name, ULONG64 Seed) {
    KeInitializeEvent(&Stop, NotificationEvent, FALSE);
    for (ULONG i = 0; i < KINDS; i++) {
        KeInitializeSemaphore(&Tokens[i], 0, MAXLONG);
        Posted[i] = Taken[i] = 0;
    }
    BeginStress(Name, Seed, PostOrTake);
    for (ULONG i = 0; i < Threads; i += 3) {
        ASSERT_EQ(WaitFor(Stress[i].Worker.Thread), STATUS_SUCCESS); /* all is posted */
    }
    KeSetEvent(&Stop, 0, FALSE);
    ASSERT_EQ(EndStress(), (Threads + 2) / 3);
    for (ULONG i = 0; i < KINDS; i++) {
        ASSERT_GT(Taken[i], 0);
        ASSERT_EQ(Posted[i], Taken[i] + KeReadStateSemaphore(&Tokens[i]));
    }
}

STRESS_CASE("WAIT-2", one_of_any_or_one_of_all, FAST_TICKS, AnyAndAll)
