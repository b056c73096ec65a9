/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens at a vector. An interrupt raises IRQL to its vector's, runs its routine with interrupts on, acknowledges,
 * and restores the interrupted IRQL exactly (spec IRQL-6); an exception becomes its bugcheck.
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

#define TRAP_NMI           2
#define TRAP_DOUBLE_FAULT  8
#define TRAP_PAGE_FAULT    14
#define TRAP_COUNT         32
#define PAGE_FAULT_WRITE   0x2
#define PAGE_FAULT_PRESENT 0x1
#define PAGE_FAULT_FETCH   0x10
#define RFLAGS_IF          0x200

extern const UCHAR KiTextStart[], KiTextEnd[];

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

KI_FAULT (*KiResolveFault)(ULONG64 address, ULONG64 rip, BOOLEAN resolve);

/* Interrupts off in and out; on while a page is brought in, on whatever CPU the thread then is. */
static KI_FAULT KiAskForPage(ULONG64 address, const KI_TRAP_FRAME *frame, BOOLEAN resolve) {
    /* Acquire: pairs with the release in MiInitializePaging. */
    KI_FAULT (*ask)(ULONG64, ULONG64, BOOLEAN) = __atomic_load_n(&KiResolveFault, __ATOMIC_ACQUIRE);
    if (ask == NULL) {
        return KiFaultInvalid;
    }
    if (!resolve) {
        return ask(address, frame->Rip, FALSE);
    }
    _enable();
    KI_FAULT found = ask(address, frame->Rip, TRUE);
    _disable();
    return found;
}

/*
 * A page that is out is brought in where the touch may wait: below DISPATCH_LEVEL, interrupts on. Elsewhere it is 0xA with address,
 * IRQL, access and instruction, whoever touched it (spec SYS-14). An address that no page belongs to is, there, 0xD1 with the same
 * parameters if a driver's code used it and 0xA if the kernel's did (bug-check-0xd1, -0xa); else 0x50. With interrupts off
 * the IRQL is said to be 0xFF, as in the dumps that NT leaves. A page that is there and forbids the access: -0xbe, -0xfc.
 */
static VOID KiPageFault(KI_TRAP_FRAME *frame) {
    ULONG64 address;
    __asm__("mov %%cr2, %0" : "=r"(address)); /* before anything that may fault, or let another thread fault */
    ULONG64 access = frame->ErrorCode & PAGE_FAULT_FETCH ? 8 : frame->ErrorCode & PAGE_FAULT_WRITE ? 1 : 0;
    KIRQL irql = (KIRQL)__readcr8();
    if (frame->ErrorCode & PAGE_FAULT_PRESENT) {
        ULONG code = access == 8 ? ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY : ATTEMPTED_WRITE_TO_READONLY_MEMORY;
        KiBugCheckFrame(code, address, frame->ErrorCode, (ULONG64)frame, irql, frame);
    }
    BOOLEAN interrupts_on = (frame->Rflags & RFLAGS_IF) != 0;
    BOOLEAN may_wait = interrupts_on &&
        (irql < DISPATCH_LEVEL || MUTANT(PageInAtDispatch, "SYS-14", "a touch at DISPATCH_LEVEL brings a page back"));
    KI_FAULT found = KiAskForPage(address, frame, may_wait);
    if (found == KiFaultResolved) {
        return;
    }
    if (found == KiFaultPageOut) {
        KiBugCheckFrame(IRQL_NOT_LESS_OR_EQUAL, address, interrupts_on ? irql : 0xff, access, frame->Rip, frame);
    }
    if (irql >= DISPATCH_LEVEL) {
        BOOLEAN kernel = frame->Rip >= (ULONG64)KiTextStart && frame->Rip < (ULONG64)KiTextEnd;
        KiBugCheckFrame(kernel ? IRQL_NOT_LESS_OR_EQUAL : DRIVER_IRQL_NOT_LESS_OR_EQUAL, address, irql, access,
                        frame->Rip, frame);
    }
    KiBugCheckFrame(PAGE_FAULT_IN_NONPAGED_AREA, address, access, frame->Rip, 0, frame);
}

static VOID KiException(KI_TRAP_FRAME *frame) {
    static const ULONG status[TRAP_COUNT] = {
        [0] = (ULONG)STATUS_INTEGER_DIVIDE_BY_ZERO,
        [1] = (ULONG)STATUS_SINGLE_STEP,
        [3] = (ULONG)STATUS_BREAKPOINT,
        [4] = (ULONG)STATUS_INTEGER_OVERFLOW,
        [5] = (ULONG)STATUS_ARRAY_BOUNDS_EXCEEDED,
        [6] = (ULONG)STATUS_ILLEGAL_INSTRUCTION,
        [13] = (ULONG)STATUS_ACCESS_VIOLATION,
        [16] = (ULONG)STATUS_FLOAT_INVALID_OPERATION,
        [17] = (ULONG)STATUS_DATATYPE_MISALIGNMENT,
        [19] = (ULONG)STATUS_FLOAT_INVALID_OPERATION,
    };
    switch (frame->Vector) {
    case TRAP_NMI:
        KiFreezeProcessor(frame);
        return;
    case TRAP_PAGE_FAULT:
        KiPageFault(frame);
        return;
    default:
        if (status[frame->Vector] != 0) {
            KiBugCheckFrame(KMODE_EXCEPTION_NOT_HANDLED, (LONG64)(LONG)status[frame->Vector], frame->Rip, frame->Vector,
                            frame->ErrorCode, frame);
        }
        KiBugCheckFrame(UNEXPECTED_KERNEL_MODE_TRAP, frame->Vector, frame->ErrorCode, frame->Rip, frame->Rsp, frame);
    }
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
    if (frame->Vector < TRAP_COUNT && frame->Vector != APC_VECTOR) {
        KiException(frame);
    } else {
        KiInterrupt(frame);
    }
}
