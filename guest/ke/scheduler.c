/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which thread runs where. Each CPU has a ready queue of 32 priorities; a thread that becomes ready goes to an idle CPU, or
 * to one that runs something of lower priority, or into the queue of the CPU that it ran on last. A CPU that needs a thread
 * takes the best of its own queue, unless another CPU's holds a better one that may run here.
 *
 * KPRCB.NextThread is what a CPU is to run instead of its current thread: another CPU is told by the DISPATCH software
 * interrupt, this one looks when it lets the dispatcher lock go. Everything here is under that lock.
 */
#include "dispatcher.h"

#include "../hal/hal.h"
#include "../include/mutant.h"

static volatile KAFFINITY KiIdleCpus;  /* the idle thread runs there and nothing is to follow it */
static volatile KAFFINITY KiReadyCpus; /* the ready queue is not empty */

/* ke/swap.S: saves what the Microsoft convention calls nonvolatile on the old thread's stack, and goes on as the new one. */
VOID KiSwapContext(PKTHREAD old, PKTHREAD new);

static KAFFINITY KiBit(ULONG cpu) {
    return (KAFFINITY)1 << cpu;
}

static BOOLEAN KiIsIdle(const KPRCB *prcb) {
    return prcb->CurrentThread == prcb->IdleThread;
}

/* The priority that a thread must be above to run on a CPU at once. */
static KPRIORITY KiLevelOf(ULONG cpu) {
    const KPRCB *prcb = &KiPcr[cpu].Prcb;
    return (prcb->NextThread != NULL ? prcb->NextThread : prcb->CurrentThread)->Priority;
}

static ULONG KiLowestOf(KAFFINITY cpus) {
    ULONG lowest = (ULONG)__builtin_ctzll(cpus);
    for (KAFFINITY rest = cpus & (cpus - 1); rest != 0; rest &= rest - 1) {
        ULONG cpu = (ULONG)__builtin_ctzll(rest);
        lowest = KiLevelOf(cpu) < KiLevelOf(lowest) ? cpu : lowest;
    }
    return lowest;
}

/* An idle CPU before all others: the one where the thread ran last, the current one, any. Then whom it may preempt. */
static ULONG KiChooseCpu(const KTHREAD *thread) {
    KAFFINITY allowed = thread->Affinity;
    if (MUTANT(ScheduleAnywhere, "THR-1", "a thread made ready goes to any CPU")) {
        allowed = KeQueryActiveProcessors();
    }
    KAFFINITY last = KiBit(thread->Processor) & allowed;
    KAFFINITY idle = KiIdleCpus & allowed;
    if (MUTANT(ScheduleNoIdle, "THR-1", "no idle CPU is looked for") && last != 0) {
        return thread->Processor;
    }
    if (idle != 0) {
        KAFFINITY here = idle & KiBit(KiCurrentPrcb()->Number);
        return (ULONG)__builtin_ctzll((idle & last) != 0 ? last : here != 0 ? here : idle);
    }
    if (last != 0 && thread->Priority > KiLevelOf(thread->Processor)) {
        return thread->Processor;
    }
    ULONG lowest = KiLowestOf(allowed);
    return last == 0 || thread->Priority > KiLevelOf(lowest) ? lowest : thread->Processor;
}

static VOID KiInsertReady(PKPRCB prcb, PKTHREAD thread, BOOLEAN head) {
    PLIST_ENTRY list = &prcb->ReadyList[thread->Priority];
    thread->State = KiThreadReady;
    if (head) {
        InsertHeadList(list, &thread->ReadyEntry);
    } else {
        InsertTailList(list, &thread->ReadyEntry);
    }
    prcb->ReadySummary |= 1u << thread->Priority;
    KiReadyCpus |= KiBit(prcb->Number);
}

static VOID KiRemoveReady(PKTHREAD thread) {
    PKPRCB prcb = &KiPcr[thread->Processor].Prcb;
    RemoveEntryList(&thread->ReadyEntry);
    if (IsListEmpty(&prcb->ReadyList[thread->Priority])) {
        prcb->ReadySummary &= ~(1u << thread->Priority);
        if (prcb->ReadySummary == 0) {
            KiReadyCpus &= ~KiBit(prcb->Number);
        }
    }
}

/* The thread follows the current one of that CPU as soon as its IRQL is below DISPATCH_LEVEL. */
static VOID KiSetNext(PKPRCB prcb, PKTHREAD thread) {
    thread->State = KiThreadStandby;
    prcb->NextThread = thread;
    KiIdleCpus &= ~KiBit(prcb->Number);
    if (prcb != KiCurrentPrcb() &&
        !MUTANT(ScheduleAtTick, "IRQL-9 THR-1", "another CPU is not told that it is to run another thread")) {
        KiRequestDpcInterrupt(prcb->Number);
    }
}

static VOID KiPlace(PKTHREAD thread, BOOLEAN head) {
    ULONG cpu = KiChooseCpu(thread);
    PKPRCB prcb = &KiPcr[cpu].Prcb;
    BOOLEAN now = thread->Priority > KiLevelOf(cpu);
    thread->Processor = cpu;
    trace(TraceThreadReady, (ULONG64)thread, cpu | (ULONG64)thread->Priority << 8 | (ULONG64)now << 16);
    if (!now) {
        KiInsertReady(prcb, thread, head);
        return;
    }
    PKTHREAD passed = prcb->NextThread;
    KiSetNext(prcb, thread);
    if (passed != NULL && passed != prcb->IdleThread) {
        KiPlace(passed, TRUE);
    }
}

VOID KiReadyThread(PKTHREAD thread) {
    KiPlace(thread, FALSE);
}

/* The best thread that waits for a CPU and may run on this one, with a priority of at least that; NULL: none. */
static PKTHREAD KiFindReady(const KPRCB *prcb, KPRIORITY least) {
    PKTHREAD best = NULL;
    if (prcb->ReadySummary >> least != 0) {
        least = MUTANT(ScheduleLowest, "THR-1", "the lowest priority goes first")
            ? __builtin_ctz(prcb->ReadySummary)
            : 31 - __builtin_clz(prcb->ReadySummary);
        best = CONTAINING_RECORD(prcb->ReadyList[least].Flink, KTHREAD, ReadyEntry);
        least++;
    }
    if (MUTANT(ScheduleOwnQueue, "THR-1", "a CPU does not look for threads that wait for another one")) {
        return best;
    }
    for (KAFFINITY rest = KiReadyCpus & ~KiBit(prcb->Number); rest != 0; rest &= rest - 1) {
        PKPRCB other = &KiPcr[__builtin_ctzll(rest)].Prcb;
        for (KPRIORITY level = KI_HIGHEST_PRIORITY; level >= least && other->ReadySummary >> least != 0; level--) {
            for (PLIST_ENTRY entry = other->ReadyList[level].Flink; entry != &other->ReadyList[level];
                 entry = entry->Flink) {
                PKTHREAD thread = CONTAINING_RECORD(entry, KTHREAD, ReadyEntry);
                if ((thread->Affinity & KiBit(prcb->Number)) != 0) {
                    best = thread;
                    least = level + 1;
                    break;
                }
            }
        }
    }
    return best;
}

static PKTHREAD KiSelectThread(PKPRCB prcb) {
    PKTHREAD next = prcb->NextThread;
    prcb->NextThread = NULL;
    if (next != NULL && next != prcb->IdleThread) {
        return next;
    }
    next = KiFindReady(prcb, KI_LOW_PRIORITY);
    if (next == NULL) {
        return prcb->IdleThread;
    }
    KiRemoveReady(next);
    return next;
}

VOID KiSwapThread(PKPRCB prcb) {
    PKTHREAD old = prcb->CurrentThread;
    PKTHREAD new = KiSelectThread(prcb);
    KI_THREAD_STATE left_as = old->State;
    if (new == prcb->IdleThread) {
        KiIdleCpus |= KiBit(prcb->Number);
    }
    new->State = KiThreadRunning;
    new->Processor = prcb->Number;
    if (new->QuantumLeft <= 0) {
        new->QuantumLeft = KI_QUANTUM_TICKS;
    }
    if (new == old) {
        return;
    }
    new->Switches++;
    old->InterruptFrame = prcb->InterruptFrame;
    prcb->InterruptFrame = new->InterruptFrame;
    prcb->CurrentThread = new;
    trace(TraceThreadSwitch, (ULONG64)new, left_as | (ULONG64)old->Priority << 8 | (ULONG64)new->Priority << 16);
    KiSwapContext(old, new);
    if (MUTANT(SwitchXmm7, "THR-1", "XMM7 is not kept when a thread gives its CPU away")) {
        __asm__ volatile("pxor %xmm7, %xmm7");
    }
    if (MUTANT(SwitchMxCsr, "THR-1", "MXCSR is not kept when a thread gives its CPU away")) {
        __asm__ volatile("ldmxcsr %0" : : "m"(prcb->MxCsr));
    }
    /* Another CPU, maybe, and another time. */
    if (old->Apc.Pending) {
        lapic_self(APC_VECTOR);
    }
}

/* The current thread stays ready while something else has the CPU. head: it had not used up its turn. */
static VOID KiGiveWay(PKPRCB prcb, BOOLEAN head) {
    if (!KiIsIdle(prcb)) {
        KiPlace(prcb->CurrentThread, head);
    } else {
        prcb->CurrentThread->State = KiThreadReady;
    }
    KiSwapThread(prcb);
}

/* The turn of the next thread that has at least the current one's priority. FALSE: there is none. */
static BOOLEAN KiPassTurn(PKPRCB prcb) {
    if (prcb->NextThread == NULL) {
        PKTHREAD next = KiFindReady(prcb, prcb->CurrentThread->Priority);
        if (next == NULL) {
            return FALSE;
        }
        KiRemoveReady(next);
        next->Processor = prcb->Number;
        KiSetNext(prcb, next);
    }
    return TRUE;
}

/* A boost wears off by one with each turn that is used up. */
static BOOLEAN KiEndQuantum(PKPRCB prcb) {
    PKTHREAD thread = prcb->CurrentThread;
    prcb->QuantumEnd = FALSE;
    if (KiIsIdle(prcb) || thread->QuantumLeft > 0) {
        return FALSE;
    }
    thread->QuantumLeft = KI_QUANTUM_TICKS;
    if (thread->Priority > thread->BasePriority && thread->Priority < KI_LOWEST_REAL_TIME &&
        !MUTANT(BoostForEver, "THR-1", "a boost does not wear off")) {
        thread->Priority--;
    }
    return KiPassTurn(prcb);
}

BOOLEAN KiWantsSwitch(const KPRCB *prcb) {
    return prcb->NextThread != NULL || prcb->QuantumEnd;
}

VOID KiPreempt(KIRQL irql) {
    __writecr8(DISPATCH_LEVEL);
    _enable(); /* who holds the lock may have to answer an IPI that this CPU has to answer too */
    KiTakeDispatcher();
    PKPRCB prcb = KiCurrentPrcb();
    BOOLEAN used_up = prcb->QuantumEnd && KiEndQuantum(prcb);
    if (prcb->NextThread != NULL) {
        if (MUTANT(TurnKept, "THR-1", "a thread that used up its turn stays the first of its equals")) {
            used_up = FALSE;
        }
        if (MUTANT(TurnLost, "THR-1", "a preempted thread becomes the last of its equals")) {
            used_up = TRUE;
        }
        KiGiveWay(prcb, !used_up);
    }
    KiReleaseDispatcher(DISPATCH_LEVEL);
    _disable();
    __writecr8(irql);
}

VOID KiYield(VOID) {
    KIRQL irql = KiLockDispatcher();
    PKPRCB prcb = KiCurrentPrcb();
    if (irql < DISPATCH_LEVEL && KiPassTurn(prcb)) {
        KiGiveWay(prcb, FALSE);
    }
    KiUnlockDispatcher(irql);
}

VOID KiLetNextRun(KIRQL irql) {
    PKPRCB prcb = KiCurrentPrcb();
    if (prcb->NextThread == NULL) {
        return;
    }
    if (irql < DISPATCH_LEVEL ||
        MUTANT(SwitchAtDispatch, "IRQL-9", "a thread made ready at DISPATCH_LEVEL runs at once")) {
        KiGiveWay(prcb, !MUTANT(TurnLost, "THR-1", "a preempted thread becomes the last of its equals"));
    } else {
        KiRequestDpcInterrupt(prcb->Number);
    }
}

VOID KiBoost(PKTHREAD thread, KPRIORITY increment) {
    KPRIORITY boosted = thread->BasePriority + increment;
    if (!MUTANT(BoostUnbounded, "THR-1 EVT-5", "a boost goes into the real-time priorities")) {
        boosted = boosted < KI_LOWEST_REAL_TIME ? boosted : KI_LOWEST_REAL_TIME - 1;
    }
    if (thread->BasePriority < KI_LOWEST_REAL_TIME && boosted > thread->Priority) {
        thread->Priority = boosted;
    }
}

/* Its CPU runs, or is about to run, a thread that should not be there any more: something else follows. */
static VOID KiVacate(PKTHREAD thread, PKTHREAD next) {
    PKPRCB prcb = &KiPcr[thread->Processor].Prcb;
    if (next != NULL) {
        KiRemoveReady(next);
        next->Processor = prcb->Number;
    }
    KiSetNext(prcb, next != NULL ? next : prcb->IdleThread);
}

/* Takes a standby thread off the CPU that it was to follow on. */
static VOID KiUnchoose(PKTHREAD thread) {
    PKPRCB prcb = &KiPcr[thread->Processor].Prcb;
    prcb->NextThread = NULL;
    if (KiIsIdle(prcb)) {
        KiIdleCpus |= KiBit(prcb->Number);
    }
}

VOID KiChangePriority(PKTHREAD thread, KPRIORITY priority) {
    KPRIORITY old = thread->Priority;
    if (thread->State == KiThreadReady) {
        KiRemoveReady(thread);
    } else if (thread->State == KiThreadStandby) {
        KiUnchoose(thread);
    }
    thread->Priority = priority;
    if (thread->State == KiThreadReady || thread->State == KiThreadStandby) {
        KiReadyThread(thread);
    } else if (thread->State == KiThreadRunning && priority < old) {
        PKPRCB prcb = &KiPcr[thread->Processor].Prcb;
        PKTHREAD better = prcb->NextThread == NULL ? KiFindReady(prcb, priority + 1) : NULL;
        if (better != NULL) {
            KiVacate(thread, better);
        }
    }
}

VOID KiChangeAffinity(PKTHREAD thread, KAFFINITY affinity) {
    thread->Affinity = affinity;
    if ((affinity & KiBit(thread->Processor)) != 0) {
        return;
    }
    if (thread->State == KiThreadReady) {
        KiRemoveReady(thread);
        KiReadyThread(thread);
    } else if (thread->State == KiThreadStandby) {
        KiUnchoose(thread);
        KiReadyThread(thread);
    } else if (thread->State == KiThreadRunning && KiPcr[thread->Processor].Prcb.NextThread == NULL) {
        KiVacate(thread, KiFindReady(&KiPcr[thread->Processor].Prcb, KI_LOW_PRIORITY));
    }
}

VOID KiTickThread(PKPRCB prcb) {
    PKTHREAD thread = prcb->CurrentThread;
    if (!KiIsIdle(prcb) && --thread->QuantumLeft <= 0 && !MUTANT(QuantumEndless, "THR-1", "a quantum never ends")) {
        prcb->QuantumEnd = TRUE;
        KiRequestDpcInterrupt(prcb->Number);
    }
}

VOID KiInitializeScheduler(VOID) {
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        PKPRCB prcb = &KiPcr[cpu].Prcb;
        for (ULONG level = 0; level < KI_PRIORITIES; level++) {
            InitializeListHead(&prcb->ReadyList[level]);
        }
        PKTHREAD idle = &KiIdleThreads[cpu];
        KiInitializeThread(idle, prcb->StackTop, NULL, NULL, KI_LOW_PRIORITY, KiBit(cpu));
        idle->Processor = cpu;
        idle->State = KiThreadRunning;
        prcb->IdleThread = prcb->CurrentThread = idle;
        KiIdleCpus |= KiBit(cpu);
    }
}
