/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_timers.sys: what setting and cancelling a timer costs while others are armed. The host runs MeasureTimers with the number
 * of the others and reads Timers; ticks are the TSC's, under icount 1/8 instruction.
 */
#include <ntddk.h>

#include <dirql.h>

#define ROUNDS 256
#define OTHERS 100000

typedef struct _TIMERS {
    ULONG64 Rounds;
    ULONG64 Empty;        /* the loop's own ticks, to be taken off Pair */
    ULONG64 Pair[ROUNDS]; /* KeSetTimer and KeCancelTimer of one timer: each round */
    ULONG64 Armed;        /* how many others were armed: those that a cancel found */
} TIMERS;

DRIVER_INITIALIZE DriverEntry;
DIRQL_WORK_ROUTINE MeasureTimers;

TIMERS Timers = {.Rounds = ROUNDS};

static KTIMER Others[OTHERS], Probe;
static ULONG Seed;

/* From seconds to years away: near slots and far ones. None is due while this runs. */
static LARGE_INTEGER DrawDue(VOID) {
    LARGE_INTEGER due;
    Seed = Seed * 1664525u + 1013904223u;
    due.QuadPart = -(600000000LL << (Seed >> 28));
    due.QuadPart -= Seed >> 8;
    return due;
}

static ULONG64 MeasureOne(LARGE_INTEGER due) {
    ULONG64 started = __rdtsc();
    KeSetTimer(&Probe, due, NULL);
    KeCancelTimer(&Probe);
    return __rdtsc() - started;
}

/* The kernel's timing wheel turns over 4,000 ticks after the start: what is measured is what comes then, with all its levels in use. */
static VOID LetTheWheelTurnOver(VOID) {
    LARGE_INTEGER delay = {.QuadPart = -4100LL * KeQueryTimeIncrement()};
    KeDelayExecutionThread(KernelMode, FALSE, &delay);
}

VOID NTAPI MeasureTimers(PVOID Context) {
    ULONG others = (ULONG)(ULONG_PTR)Context - 1; /* the probe is armed too */
    LetTheWheelTurnOver();
    Seed = 1;
    for (ULONG i = 0; i < others; i++) {
        KeInitializeTimer(&Others[i]);
        KeSetTimer(&Others[i], DrawDue(), NULL);
    }
    KeInitializeTimer(&Probe);
    MeasureOne(DrawDue()); /* so that all of it has been translated */
    ULONG64 started = __rdtsc();
    Timers.Empty = __rdtsc() - started;
    for (ULONG i = 0; i < ROUNDS; i++) {
        Timers.Pair[i] = MeasureOne(DrawDue());
    }
    Timers.Armed = 0;
    for (ULONG i = 0; i < others; i++) {
        Timers.Armed += KeCancelTimer(&Others[i]);
    }
}

static VOID NTAPI TimersUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = TimersUnload;
    return STATUS_SUCCESS;
}
