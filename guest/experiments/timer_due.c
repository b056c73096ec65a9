/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer-accuracy, the half on the guest: sets timers of one kind, one after the other, each from another point of a clock tick, and
 * notes when each was to be due and when its DPC ran, by the counter that moves between ticks.
 */
#include <ntddk.h>

#include <dirql.h>
#include <precisetime.h>

#define SAMPLES                    4096
#define INSTRUCTIONS_BETWEEN_LOOKS 1000 /* a look at the counter is slow where it is emulated */

typedef enum _TIMER_KIND {
    TimerRelative = 0,
    TimerAbsolute = 1,
    TimerPeriodic = 2, /* one timer, of which each expiry is a sample */
} TIMER_KIND;

typedef struct _TIMER_DUE {
    ULONG Kind; /* TIMER_KIND */
    ULONG Count;
    ULONG Seed;
    ULONG Longest;         /* the longest due time in 100 ns; of a periodic timer, its period in ms */
    LONG64 Asked[SAMPLES]; /* precise interrupt time, 100 ns */
    LONG64 Fired[SAMPLES];
} TIMER_DUE;

TIMER_DUE TimerDue;

static KTIMER Timer;
static KDPC Dpc;
static KEVENT Done;
static volatile ULONG Fired;

static ULONG Random(ULONG limit) {
    TimerDue.Seed = TimerDue.Seed * 1664525u + 1013904223u;
    return (ULONG)((ULONG64)TimerDue.Seed * limit >> 32);
}

static LONG64 Now(VOID) {
    ULONG64 counter;
    return (LONG64)KeQueryInterruptTimePrecise(&counter);
}

/* System time less interrupt time: both are read within one tick. */
static LONG64 Bias(VOID) {
    for (;;) {
        LARGE_INTEGER system = {.QuadPart = 0};
        ULONG64 before = KeQueryInterruptTime();
        KeQuerySystemTime(&system);
        if (KeQueryInterruptTime() == before) {
            return system.QuadPart - (LONG64)before;
        }
    }
}

static VOID NTAPI NoteDue(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    ULONG at = Fired;
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    if (at < TimerDue.Count) {
        TimerDue.Fired[at] = Now();
        Fired = at + 1;
        if (TimerDue.Kind != TimerPeriodic || Fired == TimerDue.Count) {
            KeSetEvent(&Done, 0, FALSE);
        }
    }
}

static VOID WaitUntilDone(VOID) {
    KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
}

/* The point of the tick at which the next timer is set is drawn too. */
static VOID LetSomeTimePass(VOID) {
    LONG64 end = Now() + Random(KeQueryTimeIncrement());
    while (Now() < end) {
        for (ULONG i = 0; i < INSTRUCTIONS_BETWEEN_LOOKS; i++) {
            __asm__ volatile("");
        }
        YieldProcessor();
    }
}

static VOID MeasureOne(ULONG at) {
    LONG64 delay = 1 + Random(TimerDue.Longest);
    LARGE_INTEGER due;
    LetSomeTimePass();
    TimerDue.Asked[at] = Now() + delay;
    due.QuadPart = TimerDue.Kind == TimerAbsolute ? TimerDue.Asked[at] + Bias() : -delay;
    KeSetTimer(&Timer, due, &Dpc);
    WaitUntilDone();
}

static VOID MeasurePeriodic(VOID) {
    LARGE_INTEGER due = {.QuadPart = -(LONG64)TimerDue.Longest * 10000};
    LetSomeTimePass();
    LONG64 start = Now();
    for (ULONG i = 0; i < TimerDue.Count; i++) {
        TimerDue.Asked[i] = start - due.QuadPart * ((LONG64)i + 1);
    }
    KeSetTimerEx(&Timer, due, (LONG)TimerDue.Longest, &Dpc);
    WaitUntilDone();
    KeCancelTimer(&Timer);
    KeFlushQueuedDpcs();
}

VOID NTAPI MeasureTimers(PVOID Context);
VOID NTAPI MeasureTimers(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    Fired = 0;
    KeInitializeTimer(&Timer);
    KeInitializeDpc(&Dpc, NoteDue, NULL);
    KeInitializeEvent(&Done, SynchronizationEvent, FALSE);
    if (TimerDue.Kind == TimerPeriodic) {
        MeasurePeriodic();
        return;
    }
    for (ULONG i = 0; i < TimerDue.Count; i++) {
        MeasureOne(i);
    }
}

static VOID NTAPI DueUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DueUnload;
    return STATUS_SUCCESS;
}
