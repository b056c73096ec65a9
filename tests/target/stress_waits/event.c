/* SPDX-License-Identifier: Apache-2.0 */
/* Events under load: one that synchronises hands a token round, ones that notify let whole rounds go. */
#include "stress.h"

#define ROUNDS 60

static KEVENT Token, Gates[2];
static volatile ULONG64 Total;
static volatile LONG64 Passed;
static volatile LONG Arrived;

static VOID GiveBack(STRESS *Me) {
    KIRQL irql = PASSIVE_LEVEL;
    BOOLEAN raised = Random(&Me->Random, 3) == 0;
    if (raised) {
        KeRaiseIrql(Random(&Me->Random, 2) ? DISPATCH_LEVEL : APC_LEVEL, &irql);
    }
    ASSERT_EQ(KeSetEvent(&Token, (KPRIORITY)Random(&Me->Random, 4), FALSE), 0);
    if (raised) {
        KeLowerIrql(irql);
    }
}

/* Who has the token is alone. */
static VOID NTAPI HandRound(PVOID Context) {
    STRESS *me = Context;
    while (me->Count < ROUNDS) {
        LONGLONG time = Random(&me->Random, 3) == 0 ? -(LONGLONG)Random(&me->Random, 20000) : 1;
        NTSTATUS status = time == 1 ? WaitFor(&Token) : WaitForAtMost(&Token, time);
        if (status == STATUS_TIMEOUT) {
            continue;
        }
        ASSERT_EQ(status, STATUS_SUCCESS);
        ULONG64 seen = Total;
        Dawdle(me);
        Total = seen + 1;
        me->Count++;
        GiveBack(me);
        Shuffle(me);
    }
}

static VOID OneToken(const char *Name, ULONG64 Seed) {
    Total = 0;
    KeInitializeEvent(&Token, SynchronizationEvent, TRUE);
    BeginStress(Name, Seed, HandRound);
    ASSERT_EQ(EndStress(), Total);
    ASSERT_EQ(Total, (ULONG64)Threads * ROUNDS);
    ASSERT_NE(KeReadStateEvent(&Token), 0);
}

STRESS_CASE("EVT-1", one_token_for_all, FAST_TICKS, OneToken)

/* A barrier: who comes last closes the gate of the round before, which all have left, and opens this one's. */
static VOID NTAPI MeetEachRound(PVOID Context) {
    STRESS *me = Context;
    for (ULONG round = 0; round < ROUNDS; round++) {
        Dawdle(me);
        Shuffle(me);
        me->Count++;
        InterlockedIncrement64(&Passed);
        if (InterlockedIncrement(&Arrived) == (LONG)Threads) {
            ASSERT_EQ(Passed, (round + 1ULL) * Threads); /* nobody is a round ahead */
            Arrived = 0;
            ASSERT_EQ(KeResetEvent(&Gates[(round + 1) % 2]) != 0, round > 0);
            ASSERT_EQ(KeSetEvent(&Gates[round % 2], (KPRIORITY)Random(&me->Random, 4), FALSE), 0);
        } else {
            ASSERT_EQ(WaitFor(&Gates[round % 2]), STATUS_SUCCESS);
        }
    }
}

static VOID Barriers(const char *Name, ULONG64 Seed) {
    Passed = Arrived = 0;
    KeInitializeEvent(&Gates[0], NotificationEvent, FALSE);
    KeInitializeEvent(&Gates[1], NotificationEvent, FALSE);
    BeginStress(Name, Seed, MeetEachRound);
    ASSERT_EQ(EndStress(), (ULONG64)Threads * ROUNDS);
}

STRESS_CASE("EVT-1", rounds_that_all_begin_together, "", Barriers)

TARGET_DRIVER
