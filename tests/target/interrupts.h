/* SPDX-License-Identifier: Apache-2.0 */
/* What cases about interrupts share: a free vector of each IRQL, connecting to it, a log of what happened in which order. */
#pragma once

#include <ntddk.h>

#include <ddkinterrupts.h>
#include <dirqltest.h>

#define LOWEST_LEVEL  3
#define HIGHEST_LEVEL 15

/* A vector of an IRQL from 3 to 15 that neither the executive nor a device has. */
#define LEVEL_VECTOR(irql) ((ULONG)(irql) << 4 | 0xd)
#define CLOCK_VECTOR       0xd1
#define LEVEL_OF_CLOCK     13
#define LEVEL_OF_POWER     14
#define LEVEL_OF_PROFILE   15

/* PAUSEs that give another CPU time to do what it must not do; how many is no condition of any verdict but that one. */
#define LONG_ENOUGH 5000

#define ALL_CPUS KeQueryActiveProcessors()

typedef struct _STEP {
    ULONG What;
    ULONG Cpu;
    KIRQL Irql;
} STEP;

#define MAXIMUM_STEPS 64
static volatile LONG StepCount;
static STEP Steps[MAXIMUM_STEPS];

static inline VOID Step(ULONG what) {
    LONG at = InterlockedIncrement(&StepCount) - 1;
    if (at < MAXIMUM_STEPS) {
        Steps[at].What = what;
        Steps[at].Cpu = KeGetCurrentProcessorNumber();
        Steps[at].Irql = KeGetCurrentIrql();
    }
}

static inline PKINTERRUPT ConnectTo(ULONG vector, KIRQL synchronize, PKSERVICE_ROUTINE routine, PVOID context,
                                    PKSPIN_LOCK lock, KAFFINITY mask) {
    PKINTERRUPT interrupt = NULL;
    ASSERT_EQ(IoConnectInterrupt(&interrupt, routine, context, lock, vector, (KIRQL)(vector >> 4), synchronize, Latched,
                                 FALSE, mask, FALSE),
              STATUS_SUCCESS);
    ASSERT_NE(interrupt, NULL);
    return interrupt;
}

/* Connect the free vector of a level, exclusively, on all CPUs, with a lock of its own. */
static inline PKINTERRUPT ConnectLevel(KIRQL level, PKSERVICE_ROUTINE routine, PVOID context) {
    return ConnectTo(LEVEL_VECTOR(level), level, routine, context, NULL, ALL_CPUS);
}

/* How many have asked for an interrupt spin lock since it was initialised: its second word is the next ticket. */
static inline USHORT TicketsDrawn(const KSPIN_LOCK *lock) {
    return ((const volatile USHORT *)lock)[1];
}

static inline VOID WaitLong(VOID) {
    for (ULONG i = 0; i < LONG_ENOUGH; i++) {
        YieldProcessor();
    }
}

static VOID NTAPI DoNothingThere(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
}

/* Until another CPU has served every interrupt that was sent to it: then only does its idle loop go on. */
static inline VOID Settle(ULONG cpu) {
    if (cpu != 0) {
        DirqlStartOn(cpu, DoNothingThere, NULL);
        DirqlWaitFor(cpu);
    }
}

static inline KIRQL RaiseTo(KIRQL irql) {
    KIRQL old;
    KeRaiseIrql(irql, &old);
    return old;
}

static inline VOID Report(PKINTERRUPT interrupt, BOOLEAN active) {
    IO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS parameters = {.Version = CONNECT_FULLY_SPECIFIED};
    parameters.ConnectionContext.InterruptObject = interrupt;
    if (active) {
        IoReportInterruptActive(&parameters);
    } else {
        IoReportInterruptInactive(&parameters);
    }
}
