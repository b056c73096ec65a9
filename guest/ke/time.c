/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. The boot CPU keeps it: at each of its clock interrupts interrupt time becomes the counter's (hal/hpet.c), cut to
 * whole clock periods. So ticks that came as one, because that CPU was above CLOCK_LEVEL for long or its host thread did not
 * run, are caught up with at the next, and none is lost or counted twice; until then time stands still for everybody but the
 * precise routines, which read the counter.
 *
 * Drivers read interrupt time, system time and tick count without a call, from the page at KI_USER_SHARED_DATA, which they may
 * not write. Each is one 8-byte store within a cache line, so no reader sees half of one; the copies of their high
 * halves come first, for readers of 32 bits.
 */
#include "../hal/hal.h"
#include "../include/mutant.h"
#include "timer.h"

#include "../include/highlock.h"

#define KI_DEFAULT_SYSTEM_TIME 132223104000000000ull /* 2020-01-01 00:00 UTC */

UCHAR KiSharedData[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

static volatile ULONG64 KiTicks;    /* interrupt time in clock periods: the boot CPU's to store */
static volatile LONG64 KiTimeBias;  /* system time less interrupt time: changed under both locks */
static ULONG64 KiCounterStart;      /* the counter when interrupt time was 0, in 100 ns */
static KSPIN_LOCK KiSharedDataLock; /* at HIGH_LEVEL: who writes the shared page */

ULONG64 KiCurrentTick(VOID) {
    return __atomic_load_n(&KiTicks, __ATOMIC_SEQ_CST);
}

ULONG64 KiInterruptTime(VOID) {
    return KiCurrentTick() * KiClockPeriod100ns;
}

static ULONG64 KiPreciseInterruptTime(VOID) {
    return HalpCounterTo100ns(HalpReadCounter()) - KiCounterStart;
}

/* Relaxed: one word, and whoever needs it to go with something else holds the dispatcher lock. */
static LONG64 KiReadTimeBias(VOID) {
    return __atomic_load_n(&KiTimeBias, __ATOMIC_RELAXED);
}

ULONG64 KiInterruptTimeOf(ULONG64 system_time) {
    LONG64 time = (LONG64)system_time - KiReadTimeBias();
    return time < 0 ? 0 : (ULONG64)time;
}

/* By one instruction, wherever it lies in its line: C's own atomic store would want it aligned. */
static VOID KiStoreTime(ULONG offset, ULONG64 value) {
    volatile ULONG *time = (volatile ULONG *)(KiSharedData + offset);
    __atomic_store_n(&time[2], (ULONG)(value >> 32), __ATOMIC_RELEASE);
    __asm__ volatile("movq %1, %0" : "=m"(*(volatile ULONG64 *)time) : "r"(value) : "memory");
}
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, InterruptTime) % KI_CACHE_LINE <= KI_CACHE_LINE - sizeof(ULONG64));
C_ASSERT(FIELD_OFFSET(KUSER_SHARED_DATA, SystemTime) % KI_CACHE_LINE <= KI_CACHE_LINE - sizeof(ULONG64));
C_ASSERT(KI_USER_SHARED_DATA + FIELD_OFFSET(KUSER_SHARED_DATA, InterruptTime) == SharedInterruptTime);
C_ASSERT(KI_USER_SHARED_DATA + FIELD_OFFSET(KUSER_SHARED_DATA, SystemTime) == SharedSystemTime);
C_ASSERT(KI_USER_SHARED_DATA + FIELD_OFFSET(KUSER_SHARED_DATA, TickCountQuad) == SharedTickCount);

/* KiSharedDataLock held. */
static VOID KiPublishTime(VOID) {
    ULONG64 ticks = KiCurrentTick();
    ULONG64 time = ticks * KiClockPeriod100ns;
    KiStoreTime(FIELD_OFFSET(KUSER_SHARED_DATA, InterruptTime), time);
    KiStoreTime(FIELD_OFFSET(KUSER_SHARED_DATA, SystemTime), time + (ULONG64)KiReadTimeBias());
    KiStoreTime(FIELD_OFFSET(KUSER_SHARED_DATA, TickCountQuad), ticks);
    *(volatile ULONG *)KiSharedData = (ULONG)ticks; /* TickCountLowDeprecated */
}

VOID KiAdvanceTime(VOID) {
    ULONG64 ticks = KiPreciseInterruptTime() / KiClockPeriod100ns;
    if (MUTANT(TimeCountsInterrupts, "TMR-5", "clock ticks that came as one are counted as one")) {
        ticks = KiTicks + 1;
    }
    KIRQL irql = KiAcquireLockAtHigh(&KiSharedDataLock);
    /* Sequentially consistent: see KiNoteNextTick. */
    __atomic_store_n(&KiTicks, ticks, __ATOMIC_SEQ_CST);
    KiPublishTime();
    KiReleaseLockFromHigh(&KiSharedDataLock, irql);
}

VOID KiStartTime(ULONG64 boot_time, ULONG64 counter_100ns) {
    KiTimeBias = (LONG64)(boot_time != 0 ? boot_time : KI_DEFAULT_SYSTEM_TIME);
    PKUSER_SHARED_DATA shared = (PKUSER_SHARED_DATA)(PVOID)KiSharedData;
    shared->TickCountMultiplier = (ULONG)(((ULONG64)KiClockPeriod100ns << 24) / KI_100NS_PER_MS);
    KiCounterStart = counter_100ns;
    KiAdvanceTime();
}

/* Bias and timers change under one hold of the dispatcher lock: no timer is set by the old bias and moved, or the reverse. */
ULONG64 NTAPI DirqlSetSystemTime(ULONG64 SystemTime) {
    KIRQL irql = KiLockDispatcher();
    KIRQL level = KiAcquireLockAtHigh(&KiSharedDataLock);
    ULONG64 now = KiInterruptTime();
    LONG64 before = KiReadTimeBias();
    LONG64 after = (LONG64)(SystemTime - now);
    __atomic_store_n(&KiTimeBias, after, __ATOMIC_RELAXED);
    KiPublishTime();
    KiReleaseLockFromHigh(&KiSharedDataLock, level);
    if (!MUTANT(TimerAbsoluteKept, "TMR-9", "a change of system time leaves absolute timers as they are")) {
        KiAdjustAbsoluteTimers(after - before);
    }
    KiUnlockDispatcher(irql);
    return now + (ULONG64)before;
}
NT_EXPORT(DirqlSetSystemTime);

static ULONG64 NTAPI KiExportedInterruptTime(VOID) {
    return KiInterruptTime();
}
NT_EXPORT_AS(KiExportedInterruptTime, KeQueryInterruptTime);

static VOID NTAPI KiExportedSystemTime(PLARGE_INTEGER CurrentTime) {
    CurrentTime->QuadPart = (LONGLONG)KiInterruptTime() + KiReadTimeBias();
}
NT_EXPORT_AS(KiExportedSystemTime, KeQuerySystemTime);

static VOID NTAPI KiExportedTickCount(PLARGE_INTEGER CurrentCount) {
    CurrentCount->QuadPart = (LONGLONG)KiCurrentTick();
}
NT_EXPORT_AS(KiExportedTickCount, KeQueryTickCount);

VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime) {
    CurrentTime->QuadPart = (LONGLONG)KiPreciseInterruptTime() + KiReadTimeBias();
}
NT_EXPORT(KeQuerySystemTimePrecise);

ULONG64 NTAPI KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp) {
    *QpcTimeStamp = HalpReadCounter();
    return HalpCounterTo100ns(*QpcTimeStamp) - KiCounterStart;
}
NT_EXPORT(KeQueryInterruptTimePrecise);

/* There is no state of sleep that would have to be left out. */
ULONGLONG NTAPI KeQueryUnbiasedInterruptTime(VOID) {
    return KiInterruptTime();
}
NT_EXPORT(KeQueryUnbiasedInterruptTime);

LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency) {
    if (PerformanceFrequency != NULL) {
        PerformanceFrequency->QuadPart = (LONGLONG)HalpCounterFrequency();
    }
    LARGE_INTEGER counter = {.QuadPart = (LONGLONG)HalpReadCounter()};
    return counter;
}
NT_EXPORT(KeQueryPerformanceCounter);

VOID NTAPI KeStallExecutionProcessor(ULONG MicroSeconds) {
    ULONG64 end = HalpReadCounter() + MicroSeconds * (HalpCounterFrequency() / 1000000);
    while (HalpReadCounter() < end) {
        _mm_pause();
    }
}
NT_EXPORT(KeStallExecutionProcessor);
