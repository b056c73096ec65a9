/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_threads.sys: what it costs to give the CPU to another thread, in ticks of the TSC (see bench_primitives.c). Two threads
 * of one CPU hand it to and fro by two events, or yield; an event lets a thread of higher priority go, here and on CPU 1.
 */
#include "../../guest/experiments/system_thread.h"

#define ROUNDS        256
#define PAIR_PRIORITY 12
#define OWN_PRIORITY  8
#define MUCH_HIGHER   20

typedef struct _THREADS {
    ULONG64 Rounds;
    ULONG64 Switch;            /* 2 * ROUNDS switches, each by KeSetEvent and KeWaitForSingleObject */
    ULONG64 Yield;             /* 2 * ROUNDS switches, each by KeDelayExecutionThread of nothing */
    ULONG64 WakeSame[ROUNDS];  /* KeSetEvent to the waiter's next instruction, this CPU */
    ULONG64 WakeOther[ROUNDS]; /* the same, the waiter on CPU 1, which is idle */
} THREADS;

DRIVER_INITIALIZE DriverEntry;
DIRQL_WORK_ROUTINE MeasureSwitch, MeasureYield, MeasureWake;

THREADS Threads = {.Rounds = ROUNDS};

static KEVENT Ping, Pong, Wake;
static volatile LONG Ready;
static volatile ULONG64 Awake;

static VOID NTAPI AnswerPings(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i <= ROUNDS; i++) {
        WaitForever(&Ping);
        KeSetEvent(&Pong, IO_NO_INCREMENT, FALSE);
    }
}

static VOID NTAPI SendPings(PVOID Context) {
    ULONG64 started = 0;
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i <= ROUNDS; i++) {
        WaitForever(&Pong);
        started = i == 0 ? __rdtsc() : started; /* the first time everything is translated */
        KeSetEvent(&Ping, IO_NO_INCREMENT, FALSE);
    }
    Threads.Switch = __rdtsc() - started;
}

static VOID RunPair(PKSTART_ROUTINE first, PKSTART_ROUTINE second) {
    SYSTEM_THREAD one = {first, NULL, PAIR_PRIORITY, 1, NULL};
    SYSTEM_THREAD other = {second, NULL, PAIR_PRIORITY, 1, NULL};
    StartSystemThread(&one);
    StartSystemThread(&other);
    WaitUntilItWaits(&one);
    WaitUntilItWaits(&other);
    KeSetEvent(&Ping, IO_NO_INCREMENT, FALSE); /* begins it */
    EndSystemThread(&one);
    EndSystemThread(&other);
}

VOID NTAPI MeasureSwitch(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeInitializeEvent(&Ping, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Pong, SynchronizationEvent, FALSE);
    RunPair(AnswerPings, SendPings);
}

static VOID NTAPI YieldOften(PVOID Context) {
    LARGE_INTEGER nothing = {.QuadPart = 0};
    UNREFERENCED_PARAMETER(Context);
    WaitForever(&Ping); /* who starts them has a lower priority */
    Ready++;
    while (Ready != 2) {
        YieldProcessor();
        KeDelayExecutionThread(KernelMode, FALSE, &nothing);
    }
    ULONG64 started = __rdtsc();
    for (ULONG i = 0; i < ROUNDS; i++) {
        KeDelayExecutionThread(KernelMode, FALSE, &nothing);
    }
    Threads.Yield = __rdtsc() - started; /* of the one that ends last */
}

VOID NTAPI MeasureYield(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeInitializeEvent(&Ping, NotificationEvent, FALSE);
    Ready = 0;
    RunPair(YieldOften, YieldOften);
}

static VOID NTAPI NoteWakes(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < ROUNDS; i++) {
        WaitForever(&Wake);
        Awake = __rdtsc();
    }
}

static VOID MeasureWakeOn(ULONG cpu, ULONG64 *ticks) {
    SYSTEM_THREAD waiter = {NoteWakes, NULL, MUCH_HIGHER, (KAFFINITY)1 << cpu, NULL};
    KeInitializeEvent(&Wake, SynchronizationEvent, FALSE);
    StartSystemThread(&waiter);
    for (ULONG i = 0; i < ROUNDS; i++) {
        WaitUntilItWaits(&waiter);
        Awake = 0;
        ULONG64 started = __rdtsc();
        KeSetEvent(&Wake, IO_NO_INCREMENT, FALSE);
        while (Awake == 0) {
            YieldProcessor();
        }
        ticks[i] = Awake - started;
    }
    EndSystemThread(&waiter);
}

VOID NTAPI MeasureWake(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    MeasureWakeOn(0, Threads.WakeSame);
    MeasureWakeOn(1, Threads.WakeOther);
}

static VOID NTAPI ThreadsUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = ThreadsUnload;
    return STATUS_SUCCESS;
}
