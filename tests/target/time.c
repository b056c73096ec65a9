/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as drivers read it: the page that the DDK's inline functions look at, the routines of the same names, and the precise ones.
 * Clock granularity is TMR-5's, a change of system time TMR-9's.
 */
#include "timercase.h"

#undef KeQueryInterruptTime
#undef KeQuerySystemTime
#undef KeQueryTickCount
NTSYSAPI ULONG64 NTAPI KeQueryInterruptTime(VOID);
NTSYSAPI VOID NTAPI KeQuerySystemTime(PLARGE_INTEGER CurrentTime);
NTSYSAPI VOID NTAPI KeQueryTickCount(PLARGE_INTEGER CurrentCount);

#define SHARED_INTERRUPT_TIME (*(volatile ULONG64 *)SharedInterruptTime)
#define SHARED_SYSTEM_TIME    (*(volatile ULONG64 *)SharedSystemTime)
#define SHARED_TICK_COUNT     (*(volatile ULONG64 *)SharedTickCount)

static VOID OnEveryCpu(DIRQL_WORK_ROUTINE *Routine) {
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, Routine, NULL);
    }
    Routine(NULL);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
}

/* What was read first is not after what is read next, whichever way it is read. */
static VOID NTAPI ReadAllClocks(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < 200; i++) {
        LARGE_INTEGER count, system, precise;
        ULONG64 shared = SHARED_INTERRUPT_TIME, counter;
        ULONG64 called = KeQueryInterruptTime();
        ULONG64 unbiased = KeQueryUnbiasedInterruptTime();
        ULONG64 exact = KeQueryInterruptTimePrecise(&counter);
        ULONG64 ticks = SHARED_TICK_COUNT;
        KeQueryTickCount(&count);
        ASSERT_LE(shared, called);
        ASSERT_LE(called, unbiased);
        ASSERT_LE(unbiased, exact);
        ASSERT_EQ(shared % KeQueryTimeIncrement(), 0);
        ASSERT_LE(shared / KeQueryTimeIncrement(), ticks);
        ASSERT_LE(ticks, (ULONG64)count.QuadPart);
        ULONG64 shared_system = SHARED_SYSTEM_TIME;
        KeQuerySystemTime(&system);
        KeQuerySystemTimePrecise(&precise);
        ASSERT_LE(shared_system, (ULONG64)system.QuadPart);
        ASSERT_LE((ULONG64)system.QuadPart, (ULONG64)precise.QuadPart);
        YieldProcessor();
    }
}

TARGET_CASE("TMR-5", clocks_agree_on_every_cpu, "clock=10000") {
    OnEveryCpu(ReadAllClocks);
}

TARGET_CASE("TMR-5", time_moves_by_whole_periods, "clock=10000") {
    ULONG64 start = KeQueryInterruptTime();
    for (ULONG i = 0; i < 20; i++) {
        LARGE_INTEGER count;
        SLEEP_UNTIL(KeQueryInterruptTime() != start);
        ULONG64 now = KeQueryInterruptTime();
        KeQueryTickCount(&count);
        ASSERT_EQ(now % KeQueryTimeIncrement(), 0);
        ASSERT_GT(now, start);
        ASSERT_GE((ULONG64)count.QuadPart * KeQueryTimeIncrement(), now);
        if (VirtualTime()) {
            ASSERT_EQ(now - start, KeQueryTimeIncrement());
        }
        start = now;
    }
}

static volatile ULONG64 Last;
static KSPIN_LOCK Lock;

/* Under one lock, so that readings are in an order: the counter is one for all CPUs. */
static VOID NTAPI ReadCounter(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < 200; i++) {
        LARGE_INTEGER frequency;
        KIRQL irql;
        KeAcquireSpinLock(&Lock, &irql);
        ULONG64 now = (ULONG64)KeQueryPerformanceCounter(&frequency).QuadPart;
        BOOLEAN later = now >= Last;
        Last = now;
        KeReleaseSpinLock(&Lock, irql);
        ASSERT_TRUE(later);
        ASSERT_GE((ULONG64)frequency.QuadPart, 10000000);
    }
}

TARGET_CASE("TMR-5", one_counter_for_all_cpus, "") {
    KeInitializeSpinLock(&Lock);
    Last = 0;
    OnEveryCpu(ReadCounter);
}

TARGET_CASE("TMR-5", the_counter_is_the_precise_clock, "") {
    LARGE_INTEGER frequency;
    ULONG64 first, second;
    ULONG64 start = KeQueryInterruptTimePrecise(&first);
    KeStallExecutionProcessor(100);
    ULONG64 end = KeQueryInterruptTimePrecise(&second);
    KeQueryPerformanceCounter(&frequency);
    ULONG64 per_100ns = (ULONG64)frequency.QuadPart / 10000000;
    ASSERT_GE(end - start, 1000);
    ASSERT_LE(end - start, (second - first) / per_100ns + 1);
    ASSERT_GE(end - start + 1, (second - first) / per_100ns);
}

#define EARLY 0x01d5000000000000ull
#define LATE  0x01d5fffffff00000ull /* other in both halves */

static volatile LONG Stop;

static VOID NTAPI ReadSystemTime(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    while (!Stop) {
        ULONG64 seen = SHARED_SYSTEM_TIME;
        /* by halves, as code of 32 bits does */
        const volatile KSYSTEM_TIME *halves = (const volatile KSYSTEM_TIME *)SharedSystemTime;
        LONG high;
        ULONG low;
        do {
            high = halves->High1Time;
            low = halves->LowPart;
        } while (high != halves->High2Time);
        ULONG64 joined = (ULONG64)(ULONG)high << 32 | low;
        /* Either of the two that are set, and what may have passed since. */
        ASSERT_TRUE(seen - EARLY < HOUR || seen - LATE < HOUR);
        ASSERT_TRUE(joined - EARLY < HOUR || joined - LATE < HOUR);
        YieldProcessor();
    }
}

TARGET_CASE("TMR-9", no_reader_sees_half_a_time, "smp=2 clock=10000") {
    LARGE_INTEGER before;
    KeQuerySystemTime(&before);
    ULONG64 start = KeQueryInterruptTime();
    DirqlSetSystemTime(EARLY);
    Stop = FALSE;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, ReadSystemTime, NULL);
    }
    for (ULONG i = 0; i < 2000; i++) {
        DirqlSetSystemTime(LATE);
        DirqlSetSystemTime(EARLY);
    }
    Stop = TRUE;
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
    DirqlSetSystemTime((ULONG64)before.QuadPart + KeQueryInterruptTime() - start);
}

TARGET_CASE("TMR-9", interrupt_time_does_not_follow_a_change, "clock=10000") {
    LARGE_INTEGER before;
    KeQuerySystemTime(&before);
    ULONG64 start = KeQueryInterruptTime(), exact = PreciseNow();
    DirqlSetSystemTime((ULONG64)(before.QuadPart - HOUR));
    ASSERT_GE(KeQueryInterruptTime(), start);
    ASSERT_LT(KeQueryInterruptTime(), start + HOUR / 2);
    ASSERT_GE(PreciseNow(), exact);
    ASSERT_LT(SHARED_INTERRUPT_TIME, start + HOUR / 2);
    DirqlSetSystemTime((ULONG64)before.QuadPart + KeQueryInterruptTime() - start);
}

TARGET_DRIVER
