/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_events.sys: CPUs that write trace records, at a pace or as fast as they can, and count them. What the host asks for
 * and what came of it is in EventLoop.
 */
#include <ntddk.h>

#include <dirql.h>

#define MAXIMUM_CPUS 64
#define LINE         64

typedef struct _EVENT_CPU {
    ULONG64 Made;
    ULONG64 Spare[7];
} EVENT_CPU;
C_ASSERT(sizeof(EVENT_CPU) == LINE);

typedef struct _EVENT_LOOP {
    ULONG64 Cpus;   /* the first so many take part */
    ULONG64 Ticks;  /* for how long, by the TSC */
    ULONG64 Most;   /* records of each CPU at most; 0: no limit */
    ULONG64 Gap;    /* ticks from one record of a CPU to its next; 0: none. A CPU that comes late makes up for it */
    ULONG64 Passed; /* ticks that it took */
    volatile LONG Ready;
    EVENT_CPU Cpu[MAXIMUM_CPUS] __attribute__((aligned(LINE)));
} EVENT_LOOP;

DRIVER_INITIALIZE DriverEntry;

EVENT_LOOP EventLoop __attribute__((aligned(LINE)));

static VOID NTAPI MakeEvents(PVOID Context) {
    ULONG64 number = (ULONG64)Context;
    ULONG64 made = 0;
    KIRQL old;
    InterlockedIncrement(&EventLoop.Ready);
    while (EventLoop.Ready != (LONG)EventLoop.Cpus) { /* all start together */
        YieldProcessor();
    }
    KeRaiseIrql(DISPATCH_LEVEL, &old); /* where most records are made; interrupts come all the same */
    ULONG64 begin = __rdtsc();
    for (ULONG64 now = begin; now - begin < EventLoop.Ticks && (EventLoop.Most == 0 || made < EventLoop.Most);
         now = __rdtsc()) {
        if (made * EventLoop.Gap <= now - begin) {
            DirqlTraceMark(number, made++);
        } else {
            YieldProcessor();
        }
    }
    KeLowerIrql(old);
    EventLoop.Cpu[number].Made = made;
}

/* Called by the host, which has filled in what it wants. PASSIVE_LEVEL. */
VOID NTAPI RunEventLoop(PVOID Context);
VOID NTAPI RunEventLoop(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    EventLoop.Ready = 0;
    for (ULONG cpu = 1; cpu < EventLoop.Cpus; cpu++) {
        DirqlStartOn(cpu, MakeEvents, (PVOID)(ULONG_PTR)cpu);
    }
    ULONG64 begin = __rdtsc();
    MakeEvents(NULL);
    for (ULONG cpu = 1; cpu < EventLoop.Cpus; cpu++) {
        DirqlWaitFor(cpu);
    }
    EventLoop.Passed = __rdtsc() - begin;
}

static VOID NTAPI EventsUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = EventsUnload;
    return STATUS_SUCCESS;
}
