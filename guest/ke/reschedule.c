/* SPDX-License-Identifier: Apache-2.0 */
/* A thread's priority or affinity changes: what that means where it runs, is about to, or waits for its turn. */
#include "ready.h"

#include "../include/mutant.h"

VOID KiBoost(PKTHREAD thread, KPRIORITY increment) {
    KPRIORITY boosted = thread->BasePriority + increment;
    if (!MUTANT(BoostUnbounded, "THR-1 EVT-5", "a boost goes into the real-time priorities")) {
        boosted = boosted < KI_LOWEST_REAL_TIME ? boosted : KI_LOWEST_REAL_TIME - 1;
    }
    if (thread->BasePriority < KI_LOWEST_REAL_TIME && boosted > thread->Priority) {
        thread->Priority = boosted;
    }
}

/* Whether what a CPU runs is still what it should run: something may be better, or the thread may have to leave. */
static VOID KiReconsider(PKPRCB prcb) {
    PKTHREAD thread = prcb->CurrentThread;
    if (prcb->NextThread != NULL) {
        return;
    }
    BOOLEAN stays = (thread->Affinity & KiBit(prcb->Number)) != 0;
    PKTHREAD better = KiFindReady(prcb, stays ? thread->Priority + 1 : KI_LOW_PRIORITY);
    if (better != NULL) {
        KiTakeReady(prcb, better);
    } else if (!stays) {
        KiSetNext(prcb, prcb->IdleThread);
    }
}

/* It is ready, in a queue or as the next one of a CPU: out of there, changed, and to wherever it now belongs. */
static VOID KiReplace(PKTHREAD thread, KPRIORITY priority, KAFFINITY affinity) {
    PKPRCB prcb = &KiPcr[thread->Processor].Prcb;
    BOOLEAN next = thread->State == KiThreadStandby;
    if (next) {
        prcb->NextThread = NULL;
        if (KiIsIdle(prcb)) {
            KiIdleCpus |= KiBit(prcb->Number);
        }
    } else {
        KiRemoveReady(thread);
    }
    thread->Priority = priority;
    thread->Affinity = affinity;
    KiReadyThread(thread);
    if (next) {
        KiReconsider(prcb);
    }
}

static VOID KiChange(PKTHREAD thread, KPRIORITY priority, KAFFINITY affinity) {
    if (thread->State == KiThreadReady || thread->State == KiThreadStandby) {
        KiReplace(thread, priority, affinity);
        return;
    }
    thread->Priority = priority;
    thread->Affinity = affinity;
    if (thread->State == KiThreadRunning) {
        KiReconsider(&KiPcr[thread->Processor].Prcb);
    }
}

VOID KiChangePriority(PKTHREAD thread, KPRIORITY priority) {
    KiChange(thread, priority, thread->Affinity);
}

VOID KiChangeAffinity(PKTHREAD thread, KAFFINITY affinity) {
    KiChange(thread, thread->Priority, affinity);
}
