/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens at a vector. An interrupt raises IRQL to its vector's, runs its routine with interrupts on, acknowledges,
 * and restores the interrupted IRQL exactly (spec IRQL-6). Exceptions are ke/exception.c's.
 */
#include "../include/mutant.h"
#include "dispatcher.h"
#include "frame.h"

#include "../hal/hal.h"
#include "../trace/trace.h"

C_ASSERT(FIELD_OFFSET(KI_TRAP_FRAME, MxCsr) == KI_FRAME_MXCSR);
C_ASSERT(FIELD_OFFSET(KI_TRAP_FRAME, Xmm) == KI_FRAME_XMM);
C_ASSERT(FIELD_OFFSET(KI_TRAP_FRAME, Link) == KI_FRAME_LINK);
C_ASSERT(FIELD_OFFSET(KI_TRAP_FRAME, R15) == KI_FRAME_R15);
C_ASSERT(FIELD_OFFSET(KI_TRAP_FRAME, Rip) == KI_FRAME_RIP);
C_ASSERT(sizeof(KI_TRAP_FRAME) == KI_FRAME_BYTES);

typedef struct _KI_VECTOR {
    KI_VECTOR_ROUTINE *Routine;
    PVOID Context;
    BOOLEAN EarlyEoi;
} KI_VECTOR;

static KI_VECTOR KiVectors[256];

VOID KiConnectVector(ULONG vector, KI_VECTOR_ROUTINE *routine, PVOID context, BOOLEAN early_eoi) {
    KiVectors[vector].Context = context;
    KiVectors[vector].EarlyEoi = early_eoi;
    /* Release: a CPU that sees the routine sees its context. */
    __atomic_store_n(&KiVectors[vector].Routine, routine, __ATOMIC_RELEASE);
}

VOID KiDisconnectVector(ULONG vector) {
    __atomic_store_n(&KiVectors[vector].Routine, NULL, __ATOMIC_RELEASE);
}

static VOID KiInterrupt(KI_TRAP_FRAME *frame) {
    PKPRCB prcb = KiCurrentPrcb();
    ULONG vector = (ULONG)frame->Vector;
    frame->PreviousIrql = __readcr8();
    frame->Previous = prcb->InterruptFrame;
    prcb->InterruptFrame = frame;
    __writecr8(MUTANT(InterruptMasksAll, "IRQL-2 IRQL-6", "an interrupt masks those above it too")
                   ? HIGH_LEVEL
                   : VECTOR_IRQL(vector));
    ULONG64 what = vector | frame->PreviousIrql << 8;
    trace(TraceInterruptEnter, what, frame->Rip);
    BOOLEAN was_idle = KiLeaveIdle(prcb->Number);
    if (was_idle) {
        trace(TraceIdleExit, 0, 0);
    }
    prcb->InterruptCount++;
    KiInterruptCounts[prcb->Number][vector]++;
    KI_VECTOR *handler = &KiVectors[vector];
    /* Acquire: pairs with KiConnectVector. */
    KI_VECTOR_ROUTINE *routine = __atomic_load_n(&handler->Routine, __ATOMIC_ACQUIRE);
    BOOLEAN acknowledge = vector != SPURIOUS_VECTOR; /* a spurious interrupt is not in service (Intel SDM 3, 10.9) */
    if (routine == NULL) {
        KiCountUnexpected(frame);
    } else {
        if (handler->EarlyEoi) {
            lapic_eoi();
            acknowledge = FALSE;
        }
        /* Below DISPATCH_LEVEL the thread could leave this CPU: what is to be done there comes when the interrupt is over. */
        if (VECTOR_IRQL(vector) >= DISPATCH_LEVEL &&
            !MUTANT(InterruptsStayOff, "IRQL-7", "interrupts are off while an interrupt is served")) {
            _enable();
        }
        routine(frame, handler->Context);
        _disable();
    }
    if (acknowledge) {
        lapic_eoi();
    }
    __writecr8(MUTANT(InterruptLosesIrql, "IRQL-6", "an interrupt returns at PASSIVE_LEVEL") ? PASSIVE_LEVEL
                                                                                             : frame->PreviousIrql);
    trace(TraceInterruptExit, what, frame->Rip);
    prcb->InterruptFrame = frame->Previous;
    /* The interrupt is over; what it asked for takes place in the thread that it interrupted, maybe on another CPU in the end. */
    if (vector == DPC_VECTOR && KiWantsSwitch(prcb)) {
        KiPreempt((KIRQL)frame->PreviousIrql);
    } else if (vector == APC_VECTOR) {
        KiDeliverApcs((KIRQL)frame->PreviousIrql);
    }
}

VOID KiDispatchTrap(KI_TRAP_FRAME *frame) {
    if ((frame->Vector < KI_EXCEPTIONS && frame->Vector != APC_VECTOR) || KiIsRaisingVector((ULONG)frame->Vector)) {
        KiException(frame);
    } else {
        KiInterrupt(frame);
    }
}
