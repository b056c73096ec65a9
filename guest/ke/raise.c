/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions that are raised on purpose, and the way of all exceptions to those who handle them. What nobody handles ends in its
 * bugcheck (bug-check-0x1e).
 */
#include "ki.h"

#include "verify.h"

#define RFLAGS_IF 0x200u

BOOLEAN (*KiDispatchException)(PEXCEPTION_RECORD record, PCONTEXT context);

BOOLEAN KiAskHandlers(PEXCEPTION_RECORD record, PCONTEXT context) {
    /* Acquire: pairs with the release in SehInitialize. */
    BOOLEAN (*dispatch)(PEXCEPTION_RECORD, PCONTEXT) = __atomic_load_n(&KiDispatchException, __ATOMIC_ACQUIRE);
    return dispatch != NULL && !KiIsBugChecking() && dispatch(record, context);
}

/* XMM6 to XMM15 are still in their registers: nothing in the kernel uses them. */
static VOID KiContextOfTrap(const KI_TRAP_FRAME *frame, PCONTEXT context) {
    RtlCaptureContext(context);
    context->Rax = frame->Rax, context->Rcx = frame->Rcx, context->Rdx = frame->Rdx, context->Rbx = frame->Rbx;
    context->Rsp = frame->Rsp, context->Rbp = frame->Rbp, context->Rsi = frame->Rsi, context->Rdi = frame->Rdi;
    context->R8 = frame->R8, context->R9 = frame->R9, context->R10 = frame->R10, context->R11 = frame->R11;
    context->R12 = frame->R12, context->R13 = frame->R13, context->R14 = frame->R14, context->R15 = frame->R15;
    context->Rip = frame->Rip;
    context->EFlags = (ULONG)frame->Rflags;
    context->MxCsr = frame->MxCsr;
    RtlCopyMemory(&context->Xmm0, frame->Xmm, sizeof frame->Xmm);
}

VOID KiAskHandlersOf(const KI_TRAP_FRAME *frame, NTSTATUS status, ULONG parameters, ULONG64 first, ULONG64 second) {
    CONTEXT context;
    EXCEPTION_RECORD record = {
        .ExceptionCode = status,
        .ExceptionAddress = (PVOID)frame->Rip,
        .NumberParameters = parameters,
        .ExceptionInformation = {first, second},
    };
    KiContextOfTrap(frame, &context);
    if (frame->Rflags & RFLAGS_IF) {
        _enable();
    }
    BOOLEAN goes_on = KiAskHandlers(&record, &context);
    _disable();
    if (goes_on) {
        RtlRestoreContext(&context, &record);
    }
}

static VOID KiRaise(PEXCEPTION_RECORD record, ULONG64 frame) __attribute__((noreturn));

/* frame: of the routine that raised it, for the report. */
static VOID KiRaise(PEXCEPTION_RECORD record, ULONG64 frame) {
    CONTEXT context;
    const ULONG64 parameters[] = {(ULONG64)(LONG64)record->ExceptionCode, (ULONG64)record->ExceptionAddress,
                                  record->ExceptionInformation[0], record->ExceptionInformation[1]};
    RtlCaptureContext(&context);
    KiAskHandlers(record, &context); /* FALSE: it is not continuable */
    /* Address: in the call, not after it. */
    KiVerifyException(KMODE_EXCEPTION_NOT_HANDLED, parameters, parameters[1] - 1, frame);
    KeBugCheckEx(KMODE_EXCEPTION_NOT_HANDLED, parameters[0], parameters[1], parameters[2], parameters[3]);
    __builtin_unreachable();
}

VOID KiRaiseStatus(NTSTATUS status, ULONG64 address, ULONG64 parameter0, ULONG64 parameter1) {
    EXCEPTION_RECORD record = {
        .ExceptionCode = status,
        .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
        .ExceptionAddress = (PVOID)address,
        .NumberParameters = parameter0 != 0 || parameter1 != 0 ? 2 : 0,
        .ExceptionInformation = {parameter0, parameter1},
    };
    /* Two links back: this routine's caller is the exported one, and its caller's frame is wanted. */
    const ULONG64 *const *exported = (const ULONG64 *const *)__builtin_frame_address(0);
    KiRaise(&record, **exported);
}

VOID KiOfferStatus(NTSTATUS status, ULONG64 address) {
    CONTEXT context;
    EXCEPTION_RECORD record = {
        .ExceptionCode = status,
        .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
        .ExceptionAddress = (PVOID)address,
    };
    RtlCaptureContext(&context);
    KiAskHandlers(&record, &context); /* FALSE: it is not continuable */
}

VOID KiRaiseAbout(NTSTATUS status, ULONG64 address, PEXCEPTION_RECORD other) {
    EXCEPTION_RECORD record = {
        .ExceptionCode = status,
        .ExceptionFlags = EXCEPTION_NONCONTINUABLE,
        .ExceptionRecord = other,
        .ExceptionAddress = (PVOID)address,
    };
    KiRaise(&record, (ULONG64)__builtin_frame_address(0));
}

VOID NTAPI ExRaiseStatus(NTSTATUS Status) {
    KiRaiseStatus(Status, KI_CALLER, 0, 0);
}
NT_EXPORT(ExRaiseStatus);

VOID NTAPI ExRaiseAccessViolation(VOID) {
    KiRaiseStatus(STATUS_ACCESS_VIOLATION, KI_CALLER, 0, 0);
}
NT_EXPORT(ExRaiseAccessViolation);

VOID NTAPI ExRaiseDatatypeMisalignment(VOID) {
    KiRaiseStatus(STATUS_DATATYPE_MISALIGNMENT, KI_CALLER, 0, 0);
}
NT_EXPORT(ExRaiseDatatypeMisalignment);
