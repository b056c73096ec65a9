/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt objects (spec section 6): connected to a vector's chain, taken out of it, made active and inactive. What
 * happens when the vector comes is in ke/servicechain.c.
 */
#include "../include/mutant.h"
#include "ki.h"
#include "verify.h"

#include "../trace/trace.h"

static KSPIN_LOCK KiInterruptLock;    /* guards the chains' links against a second writer */
static ULONG64 KiVectorsOfObjects[4]; /* bit n of word w: vector 64 * w + n was reserved by connecting to it */

static VOID KiTraceConnect(PKINTERRUPT interrupt) {
    KI_INTERRUPT_PARAMETERS *p = &interrupt->Parameters;
    trace(TraceInterruptConnect, (ULONG64)interrupt,
          p->Vector | (ULONG64)p->Irql << 8 | (ULONG64)p->SynchronizeIrql << 16 | (ULONG64)p->Cpu << 24 |
              (ULONG64)(ULONG)p->Affinity << 32);
}

/* KiInterruptLock is held. Returns the link that the object is to hang on; NULL: the vector may not be shared so. */
static struct _KINTERRUPT *volatile *KiFindPlace(const KI_INTERRUPT_PARAMETERS *parameters) {
    struct _KINTERRUPT *volatile *link = &KiInterrupts[parameters->Vector];
    PKINTERRUPT head = *link;
    if (head != NULL && !MUTANT(ExclusiveIsShared, "INT-2 INT-3", "an exclusive vector takes a second object") &&
        (!parameters->ShareVector || !head->Parameters.ShareVector || head->Parameters.Mode != parameters->Mode)) {
        return NULL;
    }
    while (*link != NULL && !MUTANT(ChainBackwards, "INT-3", "the last object connected is called first")) {
        link = (struct _KINTERRUPT *volatile *)&(*link)->Next;
    }
    return link;
}

NTSTATUS KiConnectInterrupt(PKINTERRUPT interrupt, const KI_INTERRUPT_PARAMETERS *parameters) {
    NTSTATUS status = STATUS_INVALID_PARAMETER;
    ULONG vector = parameters->Vector;
    RtlZeroMemory(interrupt, sizeof *interrupt);
    interrupt->Parameters = *parameters;
    interrupt->Active = TRUE;
    interrupt->ActualLock = parameters->SpinLock;
    if (interrupt->ActualLock == NULL || MUTANT(GivenLockIgnored, "INT-4 SYS-6", "a driver's spin lock is ignored")) {
        interrupt->ActualLock = &interrupt->OwnLock;
    }
    KiVerifyConnect(interrupt);
    KiTraceConnect(interrupt);
    KIRQL old = KiAcquireLockAtHigh(&KiInterruptLock);
    struct _KINTERRUPT *volatile *link = KiFindPlace(parameters);
    if (link != NULL) {
        if (!MUTANT(NamedVectorIsFree, "INT-2", "a vector that a driver names is handed out again") &&
            KiReserveVector(vector)) {
            KiVectorsOfObjects[vector / 64] |= 1ull << (vector & 63u);
        }
        interrupt->Next = *link;
        __atomic_store_n(link, interrupt, __ATOMIC_SEQ_CST);
        KiConnectVector(vector, KiInterruptChain, NULL, FALSE);
        status = STATUS_SUCCESS;
    }
    KiReleaseLockFromHigh(&KiInterruptLock, old);
    return status;
}

VOID KiUnlinkInterrupt(PKINTERRUPT interrupt) {
    ULONG vector = interrupt->Parameters.Vector;
    ULONG64 bit = 1ull << (vector & 63u);
    KIRQL old = KiAcquireLockAtHigh(&KiInterruptLock);
    struct _KINTERRUPT *volatile *link = &KiInterrupts[vector];
    while (*link != interrupt) {
        link = (struct _KINTERRUPT *volatile *)&(*link)->Next;
    }
    __atomic_store_n(link, interrupt->Next, __ATOMIC_SEQ_CST);
    if (KiInterrupts[vector] == NULL) {
        KiDisconnectVector(vector);
        if ((KiVectorsOfObjects[vector / 64] & bit) != 0) {
            KiVectorsOfObjects[vector / 64] &= ~bit;
            KiFreeVector(vector);
        }
    }
    KiReleaseLockFromHigh(&KiInterruptLock, old);
}

VOID KiAwaitInterruptWalks(ULONG vector) {
    if (MUTANT(DisconnectDoesNotWait, "INT-7", "IoDisconnectInterrupt returns while the service routine runs")) {
        return;
    }
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        const volatile UCHAR *walks = &KiChainWalks[cpu][vector];
        /* Sequentially consistent, after the unlinking: a walk that is not seen here does not find the object. */
        UCHAR seen = __atomic_load_n(walks, __ATOMIC_SEQ_CST);
        while ((seen & 1u) != 0 && __atomic_load_n(walks, __ATOMIC_ACQUIRE) == seen) {
            _mm_pause();
        }
    }
}

VOID KiDisconnectInterrupt(PKINTERRUPT interrupt) {
    ULONG vector = interrupt->Parameters.Vector;
    KiUnlinkInterrupt(interrupt);
    KiAwaitInterruptWalks(vector);
}

VOID KiSetInterruptActive(PKINTERRUPT interrupt, BOOLEAN active) {
    KIRQL old = KiRaiseIrql(interrupt->Parameters.SynchronizeIrql, KI_CALLER);
    KiAcquireInterruptLock(interrupt->ActualLock, KI_CALLER);
    if (interrupt->Active != active) {
        interrupt->Active = active;
        trace(TraceInterruptActive, (ULONG64)interrupt, active);
    }
    KiReleaseInterruptLock(interrupt->ActualLock, KI_CALLER);
    KiLowerIrql(old, KI_CALLER);
}

VOID KiSetInterruptCpu(PKINTERRUPT interrupt, ULONG cpu) {
    interrupt->Parameters.Cpu = cpu;
    KiTraceConnect(interrupt);
}

BOOLEAN KiQueryInterrupt(ULONG vector, PKINTERRUPT *interrupt, ULONG64 *count, ULONG64 *claimed) {
    *interrupt = *interrupt == NULL ? KiInterrupts[vector] : (*interrupt)->Next;
    if (*interrupt == NULL) {
        return FALSE;
    }
    *count = (ULONG64)(*interrupt)->Count;
    *claimed = (ULONG64)(*interrupt)->Claimed;
    return TRUE;
}

KI_VECTOR_USE KiQueryVectorUse(ULONG vector) {
    KI_VECTOR_USE use = {.Affinity = ~(KAFFINITY)0};
    KIRQL old = KiAcquireLockAtHigh(&KiInterruptLock);
    for (PKINTERRUPT interrupt = KiInterrupts[vector]; interrupt != NULL; interrupt = interrupt->Next) {
        use.Objects++;
        use.Active += interrupt->Active != FALSE;
        use.Affinity &= interrupt->Parameters.Affinity;
    }
    KiReleaseLockFromHigh(&KiInterruptLock, old);
    return use;
}

PKINTERRUPT KiFindInterrupt(const VOID *owner, ULONG64 base, ULONG64 size) {
    for (ULONG vector = 0; vector < RTL_NUMBER_OF(KiInterrupts); vector++) {
        for (PKINTERRUPT interrupt = KiInterrupts[vector]; interrupt != NULL; interrupt = interrupt->Next) {
            PKINTERRUPT drivers = interrupt->PassiveObject != NULL ? interrupt->PassiveObject : interrupt;
            const KI_INTERRUPT_PARAMETERS *p = &drivers->Parameters;
            ULONG64 routine =
                p->ServiceRoutine != NULL ? (ULONG64)p->ServiceRoutine : (ULONG64)p->MessageServiceRoutine;
            if ((owner != NULL && p->Owner == owner) || routine - base < size) {
                return drivers;
            }
        }
    }
    return NULL;
}
