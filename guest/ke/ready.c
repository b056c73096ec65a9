/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ready threads and the CPUs for them. Each CPU has a queue of 32 priorities; a thread that becomes ready goes to an idle CPU,
 * or to one that runs something of lower priority, or into the queue of the CPU that it ran on last. A CPU that needs a
 * thread takes the best of its own queue, unless another CPU's holds a better one that may run here. Under the dispatcher lock.
 */
#include "ready.h"

#include "../include/mutant.h"

volatile KAFFINITY KiIdleCpus;
static volatile KAFFINITY KiReadyCpus; /* the ready queue is not empty */

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

VOID KiRemoveReady(PKTHREAD thread) {
    PKPRCB prcb = &KiPcr[thread->Processor].Prcb;
    RemoveEntryList(&thread->ReadyEntry);
    if (IsListEmpty(&prcb->ReadyList[thread->Priority])) {
        prcb->ReadySummary &= ~(1u << thread->Priority);
        if (prcb->ReadySummary == 0) {
            KiReadyCpus &= ~KiBit(prcb->Number);
        }
    }
}

VOID KiSetNext(PKPRCB prcb, PKTHREAD thread) {
    thread->State = KiThreadStandby;
    prcb->NextThread = thread;
    KiIdleCpus &= ~KiBit(prcb->Number);
    if (prcb != KiCurrentPrcb() &&
        !MUTANT(ScheduleAtTick, "IRQL-9 THR-1", "another CPU is not told that it is to run another thread")) {
        KiRequestDpcInterrupt(prcb->Number);
    }
}

VOID KiPlaceThread(PKTHREAD thread, BOOLEAN head) {
    while (thread != NULL) {
        ULONG cpu = KiChooseCpu(thread);
        PKPRCB prcb = &KiPcr[cpu].Prcb;
        BOOLEAN now = thread->Priority > KiLevelOf(cpu);
        PKTHREAD passed = NULL;
        thread->Processor = cpu;
        trace(TraceThreadReady, (ULONG64)thread, cpu | (ULONG64)thread->Priority << 8 | (ULONG64)now << 16);
        if (now) {
            passed = prcb->NextThread != prcb->IdleThread ? prcb->NextThread : NULL;
            KiSetNext(prcb, thread);
        } else {
            KiInsertReady(prcb, thread, head);
        }
        thread = passed; /* who was to follow there and no longer does */
        head = TRUE;
    }
}

VOID KiReadyThread(PKTHREAD thread) {
    KiPlaceThread(thread, FALSE);
}

PKTHREAD KiFindReady(const KPRCB *prcb, KPRIORITY least) {
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

VOID KiTakeReady(PKPRCB prcb, PKTHREAD thread) {
    KiRemoveReady(thread);
    thread->Processor = prcb->Number;
    KiSetNext(prcb, thread);
}
