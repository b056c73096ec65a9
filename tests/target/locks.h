/* SPDX-License-Identifier: Apache-2.0 */
/* What the cases about locks share: work on every CPU, an interrupt to one of them, time given to the others. */
#pragma once

#include <dirqltest.h>

#define LOCK_IRQL   5
#define LOCK_YIELDS 400 /* PAUSEs in which, under icount, every other CPU gets some way */

/* The routine on CPUs 1 and up; its context is the CPU's number. */
static inline VOID StartOthers(DIRQL_WORK_ROUTINE *Routine) {
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, Routine, (PVOID)(ULONG_PTR)cpu);
    }
}

static inline VOID WaitForOthers(VOID) {
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
}

static inline VOID Yield(VOID) {
    for (ULONG i = 0; i < LOCK_YIELDS; i++) {
        YieldProcessor();
    }
}

/* An interrupt at LOCK_IRQL that any CPU takes. */
typedef struct _LOCK_INTERRUPT {
    PKINTERRUPT Object;
    ULONG Vector;
} LOCK_INTERRUPT;

static inline LOCK_INTERRUPT ConnectLockInterrupt(PKSERVICE_ROUTINE Routine, PVOID Context) {
    LOCK_INTERRUPT interrupt = {NULL, DirqlAllocateVector(LOCK_IRQL)};
    ASSERT_NE(interrupt.Vector, 0);
    ASSERT_EQ(IoConnectInterrupt(&interrupt.Object, Routine, Context, NULL, interrupt.Vector, LOCK_IRQL, LOCK_IRQL,
                                 Latched, FALSE, KeQueryActiveProcessors(), FALSE),
              STATUS_SUCCESS);
    return interrupt;
}

static inline VOID DisconnectLockInterrupt(const LOCK_INTERRUPT *Interrupt) {
    IoDisconnectInterrupt(Interrupt->Object);
    DirqlFreeVector(Interrupt->Vector);
}
