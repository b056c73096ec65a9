/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which thread has a CPU, and when it gives it away: by waiting, to a thread of higher priority, at the end of its turn.
 *
 * KPRCB.NextThread is what a CPU is to run instead of its current thread: another CPU is told by the DISPATCH software
 * interrupt, this one looks when it lets the dispatcher lock go. Everything here is under that lock.
 */
#include "ready.h"

#include "../hal/hal.h"
#include "../include/mutant.h"

/* ke/swap.S: saves what the Microsoft convention calls nonvolatile on the old thread's stack, and goes on as the new one. */
VOID KiSwapContext(PKTHREAD old, PKTHREAD new);

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
        KiPlaceThread(prcb->CurrentThread, head);
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
        KiTakeReady(prcb, next);
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

VOID KiTickThread(PKPRCB prcb) {
    PKTHREAD thread = prcb->CurrentThread;
    if (!KiIsIdle(prcb) && --thread->QuantumLeft <= 0 && !MUTANT(QuantumEndless, "THR-1", "a quantum never ends")) {
        prcb->QuantumEnd = TRUE;
        KiRequestDpcInterrupt(prcb->Number);
    }
}

VOID KiInitializeScheduler(VOID) {
    InitializeListHead(&KiAllThreads);
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
