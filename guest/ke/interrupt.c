/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt objects (spec sections 6 and 7): a vector's chain of service routines, each run at its SynchronizeIrql with
 * its interrupt spin lock held, and KeSynchronizeExecution, which enters the same lock from below.
 */
#include "ki.h"

#include "../hal/hal.h"
#include "../trace/trace.h"

static struct _KINTERRUPT *volatile KiInterrupts[256];
static ULONG64 KiVectorsTaken[4];      /* bit n of word w: vector 64 * w + n is allocated */
static KSPIN_LOCK KiInterruptLock;     /* guards both, and the chains' links against a second writer */
static volatile LONG KiInService[256]; /* CPUs that walk the vector's chain now */

static BOOLEAN KiRunServiceRoutine(PKINTERRUPT interrupt) {
    KI_INTERRUPT_PARAMETERS *p = &interrupt->Parameters;
    BOOLEAN claimed;
    KIRQL irql = p->Irql;
    if (p->SynchronizeIrql > p->Irql) {
        irql = KiRaiseIrql(p->SynchronizeIrql, KI_CALLER);
    }
    ULONG64 routine = (ULONG64)(p->ServiceRoutine != NULL ? (PVOID)p->ServiceRoutine : (PVOID)p->MessageServiceRoutine);
    KiAcquireInterruptLock(interrupt->ActualLock, routine);
    trace(TraceIsrEnter, (ULONG64)interrupt, routine);
    if (p->ServiceRoutine != NULL) {
        claimed = p->ServiceRoutine(interrupt, p->ServiceContext);
    } else {
        claimed = p->MessageServiceRoutine(interrupt, p->ServiceContext, p->MessageId);
    }
    interrupt->Count++;
    interrupt->Claimed += claimed != FALSE;
    trace(TraceIsrExit, (ULONG64)interrupt, claimed);
    KiReleaseInterruptLock(interrupt->ActualLock, routine);
    if (p->SynchronizeIrql > p->Irql) {
        KiLowerIrql(irql, KI_CALLER);
    }
    return claimed != FALSE;
}

/* Level: in connection order until one claims. Latched: again and again until a whole pass claims nothing (INT-3). */
static VOID KiInterruptChain(KI_TRAP_FRAME *frame, PVOID context) {
    UNREFERENCED_PARAMETER(context);
    BOOLEAN again;
    /* Sequentially consistent, before the chain is read: KiDisconnectInterrupt unlinks first and then looks here. */
    __atomic_add_fetch(&KiInService[frame->Vector], 1, __ATOMIC_SEQ_CST);
    do {
        again = FALSE;
        PKINTERRUPT interrupt = __atomic_load_n(&KiInterrupts[frame->Vector], __ATOMIC_SEQ_CST);
        BOOLEAN shared = interrupt != NULL && interrupt->Next != NULL;
        for (; interrupt != NULL; interrupt = interrupt->Next) {
            BOOLEAN claimed = KiRunServiceRoutine(interrupt);
            if (claimed && interrupt->Parameters.Mode == LevelSensitive) {
                again = FALSE;
                break;
            }
            again = again || (claimed && shared);
        }
    } while (again);
    __atomic_sub_fetch(&KiInService[frame->Vector], 1, __ATOMIC_RELEASE);
}

ULONG KiAllocateVector(KIRQL irql) {
    ULONG found = 0;
    KIRQL old = KiAcquireLockAtHigh(&KiInterruptLock);
    for (ULONG vector = (ULONG)irql << 4; vector < ((ULONG)irql << 4) + 16 && found == 0; vector++) {
        if ((KiVectorsTaken[vector / 64] >> (vector & 63u) & 1u) == 0) {
            KiVectorsTaken[vector / 64] |= 1ull << (vector & 63u);
            found = vector;
        }
    }
    KiReleaseLockFromHigh(&KiInterruptLock, old);
    return found;
}

ULONG KiCountVectors(VOID) {
    ULONG count = 0;
    for (ULONG word = 0; word < RTL_NUMBER_OF(KiVectorsTaken); word++) {
        for (ULONG64 bits = KiVectorsTaken[word]; bits != 0; bits &= bits - 1) {
            count++;
        }
    }
    return count;
}

VOID KiFreeVector(ULONG vector) {
    KIRQL old = KiAcquireLockAtHigh(&KiInterruptLock);
    KiVectorsTaken[vector / 64] &= ~(1ull << (vector & 63u));
    KiReleaseLockFromHigh(&KiInterruptLock, old);
}

static VOID KiTraceConnect(PKINTERRUPT interrupt) {
    KI_INTERRUPT_PARAMETERS *p = &interrupt->Parameters;
    trace(TraceInterruptConnect, (ULONG64)interrupt,
          p->Vector | (ULONG64)p->Irql << 8 | (ULONG64)p->SynchronizeIrql << 16 | (ULONG64)p->Cpu << 24);
}

NTSTATUS KiConnectInterrupt(PKINTERRUPT interrupt, const KI_INTERRUPT_PARAMETERS *parameters) {
    NTSTATUS status = STATUS_SUCCESS;
    RtlZeroMemory(interrupt, sizeof *interrupt);
    interrupt->Parameters = *parameters;
    interrupt->ActualLock = parameters->SpinLock != NULL ? parameters->SpinLock : &interrupt->OwnLock;
    KiTraceConnect(interrupt);
    KIRQL old = KiAcquireLockAtHigh(&KiInterruptLock);
    PKINTERRUPT head = KiInterrupts[parameters->Vector];
    if (head == NULL) {
        __atomic_store_n(&KiInterrupts[parameters->Vector], interrupt, __ATOMIC_SEQ_CST);
        KiConnectVector(parameters->Vector, KiInterruptChain, NULL, FALSE);
    } else if (!parameters->ShareVector || !head->Parameters.ShareVector || head->Parameters.Mode != parameters->Mode) {
        status = STATUS_INVALID_PARAMETER;
    } else {
        while (head->Next != NULL) {
            head = head->Next;
        }
        __atomic_store_n(&head->Next, interrupt, __ATOMIC_SEQ_CST);
    }
    KiReleaseLockFromHigh(&KiInterruptLock, old);
    return status;
}

ULONG KiInterruptVector(PKINTERRUPT interrupt) {
    return interrupt->Parameters.Vector;
}

BOOLEAN KiIsOnlyInterrupt(PKINTERRUPT interrupt) {
    return KiInterrupts[interrupt->Parameters.Vector] == interrupt && interrupt->Next == NULL;
}

VOID KiDisconnectInterrupt(PKINTERRUPT interrupt) {
    ULONG vector = interrupt->Parameters.Vector;
    KIRQL old = KiAcquireLockAtHigh(&KiInterruptLock);
    struct _KINTERRUPT *volatile *link = &KiInterrupts[vector];
    while (*link != interrupt) {
        link = (struct _KINTERRUPT *volatile *)&(*link)->Next;
    }
    __atomic_store_n(link, interrupt->Next, __ATOMIC_SEQ_CST);
    if (KiInterrupts[vector] == NULL) {
        KiDisconnectVector(vector);
    }
    KiReleaseLockFromHigh(&KiInterruptLock, old);
    while (__atomic_load_n(&KiInService[vector], __ATOMIC_SEQ_CST) != 0) {
        _mm_pause();
    }
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

BOOLEAN NTAPI KeSynchronizeExecution(PKINTERRUPT Interrupt, PKSYNCHRONIZE_ROUTINE SynchronizeRoutine,
                                     PVOID SynchronizeContext) {
    trace(TraceSyncRequest, (ULONG64)Interrupt, (ULONG64)SynchronizeRoutine);
    KIRQL old = KiRaiseIrql(Interrupt->Parameters.SynchronizeIrql, KI_CALLER);
    KiAcquireInterruptLock(Interrupt->ActualLock, KI_CALLER);
    trace(TraceSyncEnter, (ULONG64)Interrupt, (ULONG64)SynchronizeRoutine);
    BOOLEAN value = SynchronizeRoutine(SynchronizeContext);
    trace(TraceSyncExit, (ULONG64)Interrupt, value);
    KiReleaseInterruptLock(Interrupt->ActualLock, KI_CALLER);
    KiLowerIrql(old, KI_CALLER);
    trace(TraceSyncReturn, (ULONG64)Interrupt, value);
    return value;
}
NT_EXPORT(KeSynchronizeExecution);

KIRQL NTAPI KeAcquireInterruptSpinLock(PKINTERRUPT Interrupt) {
    KIRQL old = KiRaiseIrql(Interrupt->Parameters.SynchronizeIrql, KI_CALLER);
    KiAcquireInterruptLock(Interrupt->ActualLock, KI_CALLER);
    return old;
}
NT_EXPORT(KeAcquireInterruptSpinLock);

VOID NTAPI KeReleaseInterruptSpinLock(PKINTERRUPT Interrupt, KIRQL OldIrql) {
    KiReleaseInterruptLock(Interrupt->ActualLock, KI_CALLER);
    KiLowerIrql(OldIrql, KI_CALLER);
}
NT_EXPORT(KeReleaseInterruptSpinLock);
