/* SPDX-License-Identifier: Apache-2.0 */
/* Between the ready queues (ke/ready.c) and who runs next (ke/scheduler.c, ke/reschedule.c). Under the dispatcher lock. */
#pragma once

#include "dispatcher.h"

extern volatile KAFFINITY KiIdleCpus; /* the idle thread runs there and nothing is to follow it */

static inline KAFFINITY KiBit(ULONG cpu) {
    return (KAFFINITY)1 << cpu;
}

static inline BOOLEAN KiIsIdle(const KPRCB *prcb) {
    return prcb->CurrentThread == prcb->IdleThread;
}

VOID KiPlaceThread(PKTHREAD thread, BOOLEAN head); /* KiReadyThread; head: it had not used up its turn */
VOID KiRemoveReady(PKTHREAD thread);               /* it is in a ready queue */
/* The best thread that waits for a CPU and may run on this one, with a priority of at least that; NULL: none. */
PKTHREAD KiFindReady(const KPRCB *prcb, KPRIORITY least);
/* The thread follows the current one of that CPU as soon as its IRQL is below DISPATCH_LEVEL. The idle one: the best there is. */
VOID KiSetNext(PKPRCB prcb, PKTHREAD thread);
VOID KiTakeReady(PKPRCB prcb, PKTHREAD thread); /* out of its queue, to follow on that CPU */
