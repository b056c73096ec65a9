/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher: one lock over the state of every thread, every object that can be waited for, every wait block, ready
 * queue and timer. A thread that waits looks at its objects, puts its wait blocks into their lists and gives its CPU away
 * under this lock, and whoever signals an object does so under it: a wake-up that comes between the look and the sleep
 * does not exist, so none can be lost.
 *
 * The lock belongs to the CPU and not to a thread: who gives the CPU away holds it, and who is given the CPU lets it go. So
 * nobody can run a thread whose registers are not yet saved.
 */
#pragma once

#include "ki.h"
#include "thread.h"

/* IRQL <= DISPATCH_LEVEL in, DISPATCH_LEVEL out, the lock held. A thread whose last call had Wait = TRUE holds it already. */
KIRQL KiLockDispatcher(VOID);
VOID KiTakeDispatcher(VOID); /* the lock alone; DISPATCH_LEVEL, interrupts on */
/*
 * The lock held in and free at return; irql out, which KiLockDispatcher returned. Gives the CPU away first if a thread of
 * higher priority was made ready for it and irql is below DISPATCH_LEVEL; above, the DISPATCH software interrupt will.
 */
VOID KiUnlockDispatcher(KIRQL irql);
/* The same after a signal; with Wait = TRUE the lock and the IRQL are kept until the wait that follows. */
VOID KiUnlockAfterSignal(KIRQL irql, BOOLEAN wait);
/* The last part of the above: whatever has the CPU now lets the lock go, and reaps the thread that ended there. */
VOID KiReleaseDispatcher(KIRQL irql);

/* DISPATCHER_HEADER.Type */
enum {
    EventNotificationObject = 0,
    EventSynchronizationObject = 1,
    MutantObject = 2,
    QueueObject = 4,
    SemaphoreObject = 5,
    ThreadObject = 6,
    TimerNotificationObject = 8,
    TimerSynchronizationObject = 9,
};

static inline PKTHREAD KiCurrentThread(VOID) {
    return (PKTHREAD)__readgsqword(FIELD_OFFSET(KIPCR, Prcb) + FIELD_OFFSET(KPRCB, CurrentThread));
}

/* All below: the lock held. */

static inline VOID KiInitializeHeader(DISPATCHER_HEADER *header, UCHAR type, ULONG bytes, LONG state) {
    header->Lock = 0;
    header->Type = type;
    header->Size = (UCHAR)(bytes / sizeof(LONG));
    header->SignalState = state;
    InitializeListHead(&header->WaitListHead);
}

static inline VOID KiTraceSignal(const DISPATCHER_HEADER *header) {
    trace(TraceSignal, (ULONG64)header, (ULONG)header->SignalState | (ULONG64)header->Type << 32);
}

/* ke/signal.c: SignalState has just been raised; lets go whom it satisfies, first come, first served, priorities boosted. */
VOID KiReleaseWaiters(DISPATCHER_HEADER *header, KPRIORITY increment);
BOOLEAN KiIsSignaled(const DISPATCHER_HEADER *header,
                     const KTHREAD *thread); /* for that thread: a mutex knows its owner */
NTSTATUS KiTakeSignal(DISPATCHER_HEADER *header,
                      PKTHREAD thread); /* what a satisfied wait does to the object. STATUS_SUCCESS, STATUS_ABANDONED */
VOID KiEndWait(PKTHREAD thread, NTSTATUS status,
               KPRIORITY increment); /* it waits: takes it out of every list, makes it ready */

/* ke/wait.c */
#define KI_WAIT_AGAIN ((NTSTATUS)0x00000100) /* STATUS_KERNEL_APC: an APC ended the wait, which begins again */
NTSTATUS
KiBlock(PKTHREAD thread,
        KIRQL irql); /* its wait blocks are linked: gives the CPU away; WaitStatus when it runs again, lock held */
/* Outside of objects: a thread parks until somebody unparks it, before or after. Park: < DISPATCH_LEVEL, lock not held. */
VOID KiPark(VOID);
VOID KiUnpark(PKTHREAD thread, KPRIORITY increment); /* <= DISPATCH_LEVEL, lock not held */

/* ke/ready.c, ke/scheduler.c, ke/reschedule.c */
VOID KiReadyThread(PKTHREAD thread); /* in no list: finds it a CPU */
VOID KiSwapThread(
    PKPRCB prcb); /* the current thread is where it belongs: runs the next one; returns when it runs again */
VOID KiChangePriority(PKTHREAD thread, KPRIORITY priority);
VOID KiChangeAffinity(PKTHREAD thread, KAFFINITY affinity); /* of CPUs that there are, at least one */
VOID KiBoost(PKTHREAD thread, KPRIORITY increment);
VOID KiYield(VOID); /* < DISPATCH_LEVEL, lock not held: to another ready thread of the same priority, if there is one */
VOID KiLetNextRun(
    KIRQL irql); /* KiUnlockDispatcher's: the thread that was chosen to follow the current one, if there is one */
VOID KiTickThread(PKPRCB prcb); /* CLOCK_LEVEL, lock not held */
/* The end of the DISPATCH software interrupt, interrupts off and the interrupted IRQL restored: another thread's turn? */
BOOLEAN KiWantsSwitch(const KPRCB *prcb);
VOID KiPreempt(KIRQL irql);
VOID KiInitializeScheduler(VOID); /* boot CPU, before the others start: the idle threads */

extern KTHREAD KiIdleThreads[];

/* ke/threads.c. Initialize: no lock needed. */
VOID KiInitializeThread(PKTHREAD thread, ULONG64 stack_top, PKSTART_ROUTINE routine, PVOID context, KPRIORITY priority,
                        KAFFINITY affinity);
VOID KiStartThread(PKTHREAD thread);           /* <= DISPATCH_LEVEL, lock not held */
VOID KiStartParked(PKTHREAD thread);           /* the same, but it begins when it is unparked */
VOID KiAbandonMutexes(PKTHREAD thread);        /* ke/mutex.c. The lock held */
extern VOID (*KiEndThreadIo)(PKTHREAD thread); /* set by the I/O manager: PASSIVE_LEVEL, a thread is about to end */
VOID KiExitThread(NTSTATUS status) __attribute__((noreturn)); /* PASSIVE_LEVEL, the current thread, lock not held */
extern LIST_ENTRY KiAllThreads;
extern ULONG KiThreadCount;           /* in KiAllThreads: begun and not ended */
extern volatile LONG KiThreadsEnding; /* ended, and not yet reaped */

/* ke/timer.c: the lock held. A timer in no list has Header.Inserted FALSE. */
VOID KiInitializeTimers(VOID);
BOOLEAN
KiInsertTimer(PKTIMER timer,
              LARGE_INTEGER due);  /* negative: relative, else absolute; FALSE: is due already, and not inserted */
VOID KiRemoveTimer(PKTIMER timer); /* it is inserted */
BOOLEAN KiTimersDue(VOID);         /* CLOCK_LEVEL, boot CPU, lock not held: whether a tick has anything to expire */
VOID KiExpireTimers(VOID);         /* DISPATCH_LEVEL, in the DISPATCH software interrupt, lock not held */

ULONG64 KiInterruptTime(VOID); /* any IRQL: 100 ns units since the start, as of the last tick */

/* ke/apc.c: the lock held. */
BOOLEAN KiApcDeliverable(const KTHREAD *thread); /* something waits that nothing holds back */
VOID KiDeliverApcs(
    KIRQL
        irql); /* the end of the APC interrupt: interrupts off in and out, irql (below APC_LEVEL) out; lock not held */
VOID KiRequestApc(
    PKTHREAD
        thread); /* something was queued for it, or is no longer held back: interrupts it where it runs, ends its wait */
