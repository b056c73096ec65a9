/* SPDX-License-Identifier: Apache-2.0 */
/* Semaphores under load: a bounded buffer of numbers between makers and takers; none is lost, none comes twice. */
#include "stress.h"

#define ROUNDS 60
#define PLACES 5

static KSEMAPHORE Free, Full;
static KSPIN_LOCK Lock;
static ULONG64 Buffer[PLACES];
static ULONG In, Out;
static volatile LONG64 Made, Taken; /* sums of the numbers */
static ULONG Makers;

static VOID Take(STRESS *Me, KSEMAPHORE *Semaphore) {
    while (Random(&Me->Random, 3) == 0) {
        NTSTATUS status = WaitForAtMost(Semaphore, -(LONGLONG)Random(&Me->Random, 20000));
        if (status == STATUS_SUCCESS) {
            return;
        }
        ASSERT_EQ(status, STATUS_TIMEOUT);
    }
    ASSERT_EQ(WaitFor(Semaphore), STATUS_SUCCESS);
}

static VOID Make(STRESS *Me) {
    KIRQL irql;
    ULONG64 number = (ULONG64)Random(&Me->Random, 1000000) + 1;
    Take(Me, &Free);
    KeAcquireSpinLock(&Lock, &irql);
    ASSERT_EQ(Buffer[In], 0);
    Buffer[In] = number;
    In = (In + 1) % PLACES;
    KeReleaseSpinLock(&Lock, irql);
    InterlockedAdd64(&Made, (LONG64)number);
    ASSERT_LT(KeReleaseSemaphore(&Full, (KPRIORITY)Random(&Me->Random, 3), 1, FALSE), PLACES);
}

static VOID Consume(STRESS *Me) {
    KIRQL irql;
    Take(Me, &Full);
    KeAcquireSpinLock(&Lock, &irql);
    ULONG64 number = Buffer[Out];
    Buffer[Out] = 0;
    Out = (Out + 1) % PLACES;
    ASSERT_LT(KeReleaseSemaphore(&Free, 0, 1, FALSE), PLACES); /* at DISPATCH_LEVEL too */
    KeReleaseSpinLock(&Lock, irql);
    ASSERT_NE(number, 0);
    InterlockedAdd64(&Taken, (LONG64)number);
}

static VOID NTAPI MakeOrTake(PVOID Context) {
    STRESS *me = Context;
    ULONG rounds = ROUNDS;
    if (me->Number >= Makers) { /* as many takings as makings, whoever does them */
        rounds =
            ROUNDS * Makers / (Threads - Makers) + (me->Number == Makers ? ROUNDS * Makers % (Threads - Makers) : 0);
    }
    for (ULONG round = 0; round < rounds; round++) {
        if (me->Number < Makers) {
            Make(me);
        } else {
            Consume(me);
        }
        Dawdle(me);
        Shuffle(me);
        me->Count++;
    }
}

static VOID Bounded(const char *Name, ULONG64 Seed) {
    ULONG64 random = Seed + 77;
    RtlZeroMemory(Buffer, sizeof Buffer);
    In = Out = 0;
    Made = Taken = 0;
    KeInitializeSpinLock(&Lock);
    KeInitializeSemaphore(&Free, PLACES, PLACES);
    KeInitializeSemaphore(&Full, 0, PLACES);
    Makers = 1 + Random(&random, 4);
    BeginStress(Name, Seed, MakeOrTake);
    ASSERT_EQ(EndStress(), 2ULL * ROUNDS * Makers);
    ASSERT_EQ(Made, Taken);
    ASSERT_EQ(KeReadStateSemaphore(&Free), PLACES);
    ASSERT_EQ(KeReadStateSemaphore(&Full), 0);
}

STRESS_CASE("SEM-3", a_bounded_buffer, FAST_TICKS, Bounded)
