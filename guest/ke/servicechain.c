/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens at a vector that has interrupt objects (spec INT-1 to INT-3): their service routines in connection order,
 * each at its SynchronizeIrql with its interrupt spin lock held. Connecting and disconnecting is in ke/interrupt.c.
 */
#include "../include/mutant.h"
#include "ki.h"
#include "verify.h"

#include "../trace/trace.h"

struct _KINTERRUPT *volatile KiInterrupts[256];
volatile UCHAR KiChainWalks[MAXIMUM_CPUS][256];

typedef enum _SERVICE_RESULT {
    ServiceNotCalled, /* it may not run on this CPU, or is inactive */
    ServiceRefused,
    ServiceClaimed,
} SERVICE_RESULT;

static SERVICE_RESULT KiCallServiceRoutine(PKINTERRUPT interrupt, ULONG64 routine) {
    KI_INTERRUPT_PARAMETERS *p = &interrupt->Parameters;
    if (!interrupt->Active && !MUTANT(InactiveIsCalled, "INT-8", "an inactive service routine is called")) {
        return ServiceNotCalled;
    }
    trace(TraceIsrEnter, (ULONG64)interrupt, routine);
    KiVerifyEntry(interrupt, routine);
    BOOLEAN claimed = p->ServiceRoutine != NULL ? p->ServiceRoutine(interrupt, p->ServiceContext)
                                                : p->MessageServiceRoutine(interrupt, p->ServiceContext, p->MessageId);
    KiVerifyExit(interrupt, routine);
    interrupt->Count++;
    interrupt->Claimed += claimed != FALSE;
    trace(TraceIsrExit, (ULONG64)interrupt, claimed);
    if (MUTANT(RefusalIsClaim, "INT-2", "FALSE of a service routine is taken for TRUE")) {
        return ServiceClaimed;
    }
    return claimed != FALSE ? ServiceClaimed : ServiceRefused;
}

static SERVICE_RESULT KiRunServiceRoutine(PKINTERRUPT interrupt) {
    KI_INTERRUPT_PARAMETERS *p = &interrupt->Parameters;
    ULONG64 routine = (ULONG64)(p->ServiceRoutine != NULL ? (PVOID)p->ServiceRoutine : (PVOID)p->MessageServiceRoutine);
    if ((p->Affinity >> KiCurrentPrcb()->Number & 1u) == 0 &&
        !MUTANT(AffinityIgnored, "INT-6", "a service routine runs on CPUs that its mask leaves out")) {
        return ServiceNotCalled;
    }
    BOOLEAN raise = p->SynchronizeIrql > p->Irql &&
        !MUTANT(IsrAtOwnIrql, "INT-1 INT-5", "a service routine runs at its vector's IRQL, not at SynchronizeIrql");
    KIRQL irql = raise ? KiRaiseIrql(p->SynchronizeIrql, routine) : p->Irql;
    BOOLEAN lock = !MUTANT(IsrWithoutLock, "INT-1 SYS-6", "a service routine runs without its interrupt spin lock");
    if (lock) {
        KiAcquireInterruptLock(interrupt->ActualLock, routine);
    }
    SERVICE_RESULT result = KiCallServiceRoutine(interrupt, routine);
    if (lock) {
        KiReleaseInterruptLock(interrupt->ActualLock, routine);
    }
    if (raise) {
        KiLowerIrql(irql, routine);
    }
    return result;
}

typedef struct _CHAIN_PASS {
    BOOLEAN Called;
    BOOLEAN Claimed;
} CHAIN_PASS;

/* Once along the chain. A level-sensitive one ends at the first routine that claims: if the line stays, it comes again. */
static CHAIN_PASS KiPassChain(PKINTERRUPT first) {
    CHAIN_PASS pass = {FALSE, FALSE};
    for (PKINTERRUPT interrupt = first; interrupt != NULL;
         interrupt = __atomic_load_n(&interrupt->Next, __ATOMIC_SEQ_CST)) {
        SERVICE_RESULT result = KiRunServiceRoutine(interrupt);
        pass.Called = pass.Called || result != ServiceNotCalled;
        if (result == ServiceClaimed) {
            pass.Claimed = TRUE;
            if (interrupt->Parameters.Mode == LevelSensitive &&
                !MUTANT(LevelChainGoesOn, "INT-3", "a level-sensitive chain goes on after a routine has claimed")) {
                break;
            }
        }
    }
    return pass;
}

/*
 * Latched and shared: again and again until a whole pass claims nothing, because an edge that came while another device
 * held the line is no new edge (INT-3).
 */
static VOID KiServeChain(const KI_TRAP_FRAME *frame) {
    CHAIN_PASS pass = {FALSE, FALSE};
    CHAIN_PASS whole = {FALSE, FALSE};
    BOOLEAN again;
    do {
        PKINTERRUPT first = __atomic_load_n(&KiInterrupts[frame->Vector], __ATOMIC_SEQ_CST);
        pass = KiPassChain(first);
        whole.Called = whole.Called || pass.Called;
        whole.Claimed = whole.Claimed || pass.Claimed;
        again = pass.Claimed && first->Next != NULL && first->Parameters.Mode == Latched &&
            !MUTANT(LatchedChainOnce, "INT-3", "a latched chain is walked once only");
    } while (again);
    if (!whole.Called) {
        KiCountUnexpected(frame);
    } else if (!whole.Claimed) {
        __atomic_add_fetch(&KiUnclaimedCounts[frame->Vector], 1, __ATOMIC_RELAXED);
    }
}

VOID KiInterruptChain(KI_TRAP_FRAME *frame, PVOID context) {
    UNREFERENCED_PARAMETER(context);
    volatile UCHAR *walks = &KiChainWalks[KiCurrentPrcb()->Number][frame->Vector];
    /* Sequentially consistent, before the chain is read: KiUnlinkInterrupt unlinks first, and then the walks are read. */
    __atomic_store_n(walks, (UCHAR)(*walks + 1), __ATOMIC_SEQ_CST);
    KiServeChain(frame);
    /* Release: the walk's last use of an object comes before this. */
    __atomic_store_n(walks, (UCHAR)(*walks + 1), __ATOMIC_RELEASE);
}
