/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the cases of timers and time share: a timer whose DPC notes what it saw, due times, and CPUs held at DISPATCH_LEVEL. Included
 * once in each source file. What a case concludes from time it concludes from the guest's own clock.
 */
#pragma once

#include <ntddk.h>

#include <dirqltest.h>
#include <precisetime.h>

#define MAXIMUM_CPUS 64
#define HOUR         36000000000LL /* in 100 ns */

typedef struct _ALARM {
    KTIMER Timer;
    KDPC Dpc;
    volatile LONG Runs;
    volatile ULONG Cpu; /* of its last run, and what it saw there */
    volatile KIRQL Irql;
    volatile ULONG64 InterruptTime, SystemTime, Precise;
} ALARM;

static inline BOOLEAN VirtualTime(VOID) {
    DIRQL_MACHINE machine;
    DirqlQueryMachine(&machine);
    return machine.VirtualTime != 0;
}

static inline LONGLONG SystemNow(VOID) {
    LARGE_INTEGER now = {.QuadPart = 0};
    KeQuerySystemTime(&now);
    return now.QuadPart;
}

static inline ULONG64 PreciseNow(VOID) {
    ULONG64 counter;
    return KeQueryInterruptTimePrecise(&counter);
}

static inline VOID NTAPI NoteAlarm(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    ALARM *alarm = Context;
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    alarm->InterruptTime = KeQueryInterruptTime();
    alarm->SystemTime = (ULONG64)SystemNow();
    alarm->Precise = PreciseNow();
    alarm->Cpu = KeGetCurrentProcessorNumber();
    alarm->Irql = KeGetCurrentIrql();
    InterlockedIncrement(&alarm->Runs);
}

/* The timer is not set. */
static inline VOID PrepareAlarm(ALARM *Alarm, TIMER_TYPE Type) {
    RtlZeroMemory(Alarm, sizeof *Alarm);
    KeInitializeTimerEx(&Alarm->Timer, Type);
    KeInitializeDpc(&Alarm->Dpc, NoteAlarm, Alarm);
}

static inline LARGE_INTEGER In(LONGLONG Time) {
    LARGE_INTEGER due = {.QuadPart = -Time};
    return due;
}

static inline LARGE_INTEGER At(LONGLONG Time) {
    LARGE_INTEGER due = {.QuadPart = Time};
    return due;
}

static inline LONGLONG Ticks(ULONG Count) {
    return (LONGLONG)Count * KeQueryTimeIncrement();
}

static inline BOOLEAN SetAlarm(ALARM *Alarm, LARGE_INTEGER Due) {
    return KeSetTimer(&Alarm->Timer, Due, &Alarm->Dpc);
}

/* Below CLOCK_LEVEL: spins until interrupt time has moved on by so many ticks. */
static inline VOID LetTicksPass(ULONG Count) {
    ULONG64 end = KeQueryInterruptTime() + (ULONG64)Ticks(Count);
    WAIT_UNTIL(KeQueryInterruptTime() >= end);
}

/* PASSIVE_LEVEL: looks once a tick and sleeps in between, so that virtual time leaps. */
#define SLEEP_UNTIL(condition)                                \
    do {                                                      \
        LARGE_INTEGER tick = In(1);                           \
        while (!(condition)) {                                \
            KeDelayExecutionThread(KernelMode, FALSE, &tick); \
        }                                                     \
    } while (0)

/* The same at PASSIVE_LEVEL, asleep. */
static inline VOID SleepTicks(ULONG Count) {
    ULONG64 end = KeQueryInterruptTime() + (ULONG64)Ticks(Count);
    SLEEP_UNTIL(KeQueryInterruptTime() >= end);
}

static volatile LONG Held;
static volatile LONG Released[MAXIMUM_CPUS];

static inline VOID NTAPI HoldHere(PVOID Context) {
    KIRQL irql;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    InterlockedIncrement(&Held);
    WAIT_UNTIL(Released[KeGetCurrentProcessorNumber()]);
    KeLowerIrql(irql);
}

/* That CPU is at DISPATCH_LEVEL when it returns. */
static inline VOID Hold(ULONG Cpu) {
    LONG before = Held;
    Released[Cpu] = FALSE;
    DirqlStartOn(Cpu, HoldHere, NULL);
    WAIT_UNTIL(Held == before + 1);
}

static inline VOID Release(ULONG Cpu) {
    Released[Cpu] = TRUE;
    DirqlWaitFor(Cpu);
}
