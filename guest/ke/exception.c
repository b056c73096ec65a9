/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU's exceptions (Intel SDM 3, chapter 6). Those that have an NT status go to whoever handles them (seh/), and are bugcheck
 * 0x1E with it if nobody does (bug-check-0x1e); page faults are what they are (ke/pagefault.c), all others 0x7F with their vector
 * (bug-check-0x7f). INT 29h is what a driver does that has found itself damaged: 0x139, without asking anyone (bug-check-0x139).
 */
#include "ki.h"

#include "../include/mutant.h"
#include "verify.h"

#define TRAP_NMI              2
#define TRAP_BREAKPOINT       3
#define TRAP_DOUBLE_FAULT     8
#define TRAP_GENERAL          13
#define TRAP_PAGE_FAULT       14
#define TRAP_SIMD             19
#define TRAP_COUNT            32
#define MXCSR_MASKS_SHIFT     7
#define MXCSR_INVALID         0x01u
#define MXCSR_DENORMAL        0x02u
#define MXCSR_DIVIDE          0x04u
#define MXCSR_OVERFLOW        0x08u
#define MXCSR_UNDERFLOW       0x10u
#define MXCSR_ALL             0x3fu
#define INT3_BYTES            1
#define INT_BYTES             2
#define KERNEL_SECURITY_CHECK 0x139 /* KERNEL_SECURITY_CHECK_FAILURE, which the DDK's headers lack */
#define ACCESS_READ           0
#define ADDRESS_NOT_KNOWN     ~0ull
#define PTE_PRESENT           0x1ull
#define CALL_BYTES_ON_STACK   8

/* Of the exceptions that MXCSR shows and does not mask, the first by the CPU's own priority (Intel SDM 1, table 4-11). */
static ULONG KiSimdStatus(ULONG mxcsr) {
    ULONG raised = mxcsr & ~(mxcsr >> MXCSR_MASKS_SHIFT) & MXCSR_ALL;
    return (ULONG)(raised & MXCSR_INVALID         ? STATUS_FLOAT_INVALID_OPERATION
                       : raised & MXCSR_DENORMAL  ? STATUS_FLOAT_DENORMAL_OPERAND
                       : raised & MXCSR_DIVIDE    ? STATUS_FLOAT_DIVIDE_BY_ZERO
                       : raised & MXCSR_OVERFLOW  ? STATUS_FLOAT_OVERFLOW
                       : raised & MXCSR_UNDERFLOW ? STATUS_FLOAT_UNDERFLOW
                                                  : STATUS_FLOAT_INEXACT_RESULT);
}

/* 0: it has none. */
static ULONG KiExceptionStatus(const KI_TRAP_FRAME *frame) {
    if (frame->Vector == KI_ASSERTION_VECTOR) {
        return (ULONG)STATUS_ASSERTION_FAILURE;
    }
    static const ULONG status[TRAP_COUNT] = {
        [0] = (ULONG)STATUS_INTEGER_DIVIDE_BY_ZERO,      [1] = (ULONG)STATUS_SINGLE_STEP,
        [TRAP_BREAKPOINT] = (ULONG)STATUS_BREAKPOINT,    [4] = (ULONG)STATUS_INTEGER_OVERFLOW,
        [5] = (ULONG)STATUS_ARRAY_BOUNDS_EXCEEDED,       [6] = (ULONG)STATUS_ILLEGAL_INSTRUCTION,
        [TRAP_GENERAL] = (ULONG)STATUS_ACCESS_VIOLATION, [16] = (ULONG)STATUS_FLOAT_INVALID_OPERATION,
        [17] = (ULONG)STATUS_DATATYPE_MISALIGNMENT,
    };
    return frame->Vector == TRAP_SIMD ? KiSimdStatus(frame->MxCsr) : status[frame->Vector];
}

static BOOLEAN KiIsMapped(ULONG64 address) {
    return KiPageEntry != NULL && (KiPageEntry(address) & PTE_PRESENT) != 0;
}

/* What was to be pushed did not fit: below the stack pointer there is nothing, and above it there is a stack. */
static BOOLEAN KiStackOverflowed(const KI_TRAP_FRAME *frame) {
    ULONG64 wanted = frame->Rsp - CALL_BYTES_ON_STACK;
    return !KiIsMapped(wanted) && KiIsMapped(wanted + PAGE_SIZE) &&
        !MUTANT(OverflowHasNoName, "0x7F", "a kernel stack that overflows is a double fault like any other");
}

static VOID KiUnexpectedTrap(KI_TRAP_FRAME *frame) __attribute__((noreturn));

static VOID KiUnexpectedTrap(KI_TRAP_FRAME *frame) {
    KI_CAUSE cause = {
        .Code = UNEXPECTED_KERNEL_MODE_TRAP,
        .Parameter = {frame->Vector, frame->ErrorCode, frame->Rip, frame->Rsp},
    };
    if (frame->Vector == TRAP_DOUBLE_FAULT) {
        cause.Text = "a fault could not be delivered";
        if (KiStackOverflowed(frame)) {
            cause.Text = "the kernel stack has overflowed into its guard page";
            cause.Access = KiAccessWrite;
            cause.Address = frame->Rsp - CALL_BYTES_ON_STACK;
        }
    }
    KiVerifyException(cause.Code, cause.Parameter, frame->Rip, frame->Rbp);
    KiBugCheckCause(&cause, frame);
}

static VOID KiFastFail(KI_TRAP_FRAME *frame) __attribute__((noreturn));

static VOID KiFastFail(KI_TRAP_FRAME *frame) {
    frame->Rip -= INT_BYTES;
    EXCEPTION_RECORD record = {
        .ExceptionCode = STATUS_STACK_BUFFER_OVERRUN, /* the status of every fast fail; its code is the parameter */
        .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
        .ExceptionAddress = (PVOID)frame->Rip,
        .NumberParameters = 1,
        .ExceptionInformation = {frame->Rcx},
    };
    KI_CAUSE cause = {
        .Code = KERNEL_SECURITY_CHECK,
        .Parameter = {frame->Rcx, (ULONG64)frame, (ULONG64)&record, 0},
        .Text = "the driver has found its own memory damaged (__fastfail), for the reason that is the first parameter",
    };
    KiVerifyException(cause.Code, cause.Parameter, frame->Rip, frame->Rbp);
    KiBugCheckCause(&cause, frame);
}

VOID KiException(KI_TRAP_FRAME *frame) {
    if (frame->Vector == TRAP_NMI) {
        KiFreezeProcessor(frame);
        return;
    }
    if (frame->Vector == TRAP_PAGE_FAULT) {
        KiPageFault(frame);
        return;
    }
    if (frame->Vector == KI_FAST_FAIL_VECTOR) {
        KiFastFail(frame);
    }
    ULONG status = KiExceptionStatus(frame);
    if (status == 0) {
        KiUnexpectedTrap(frame);
    }
    KI_CAUSE cause = {.Code = KMODE_EXCEPTION_NOT_HANDLED, .Parameter = {(ULONG64)(LONG64)(LONG)status}};
    if (frame->Vector == TRAP_BREAKPOINT) {
        frame->Rip -= INT3_BYTES; /* the CPU is past it; its address is the instruction's */
    } else if (frame->Vector == KI_ASSERTION_VECTOR) {
        frame->Rip -= INT_BYTES;
    } else if (frame->Vector == TRAP_GENERAL) {
        /* An access violation has two parameters: what was tried and where. The CPU says neither. */
        cause.Parameter[2] = ACCESS_READ;
        cause.Parameter[3] = ADDRESS_NOT_KNOWN;
        cause.Text = "an address that is not canonical, or something else that the CPU refuses";
    }
    cause.Parameter[1] = frame->Rip;
    KiAskHandlersOf(frame, (NTSTATUS)status, frame->Vector == TRAP_GENERAL ? 2 : 0, cause.Parameter[2],
                    cause.Parameter[3]);
    KiVerifyException(cause.Code, cause.Parameter, frame->Rip, frame->Rbp);
    KiBugCheckCause(&cause, frame);
}
