/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unwind to the frame that handles an exception: from the caller outwards each function's handler is told, so that its __finally
 * blocks run; then the target frame's registers are put in place and execution goes on there.
 */
#include "seh.h"

#include "../include/export.h"
#include "../include/mutant.h"
#include "../ke/ki.h"

static VOID SehBadUnwind(NTSTATUS status, PEXCEPTION_RECORD record) __attribute__((noreturn));

static VOID SehBadUnwind(NTSTATUS status, PEXCEPTION_RECORD record) {
    KiRaiseAbout(status, (ULONG64)record->ExceptionAddress, record);
}

static VOID SehTellHandler(SEH_WALK *walk, SEH_FRAME *frame, PEXCEPTION_RECORD record, ULONG64 target_ip, PVOID value) {
    frame->Dispatch.TargetIp = target_ip;
    walk->Context.Rax = (ULONG64)value;
    frame->Dispatch.ContextRecord = &walk->Context;
    EXCEPTION_DISPOSITION answer =
        SehCallUnwindHandler(record, frame->Dispatch.EstablisherFrame, &walk->Context, &frame->Dispatch);
    if (answer != ExceptionContinueSearch) {
        SehBadUnwind(STATUS_INVALID_DISPOSITION, record);
    }
}

/* Goes from *walk to the target's frame. record: ExceptionFlags are this unwind's. */
static VOID SehUnwindTo(SEH_WALK *walk, ULONG64 target, ULONG64 target_ip, PEXCEPTION_RECORD record, PVOID value) {
    ULONG flags = record->ExceptionFlags | EXCEPTION_UNWINDING | (target == 0 ? EXCEPTION_EXIT_UNWIND : 0);
    SEH_WALK next;
    SEH_FRAME frame;
    for (;;) {
        SEH_STEP step = SehStep(UNW_FLAG_UHANDLER, walk, &next, &frame);
        if (step == SehStepEnd) {
            SehBadUnwind(STATUS_BAD_STACK, record);
        }
        if (step == SehStepKernel) {
            continue;
        }
        ULONG64 establisher = frame.Dispatch.EstablisherFrame;
        if (target != 0 && establisher > target) {
            SehBadUnwind(STATUS_INVALID_UNWIND_TARGET, record);
        }
        if (frame.Dispatch.LanguageHandler != NULL) {
            record->ExceptionFlags = flags | (establisher == target ? EXCEPTION_TARGET_UNWIND : 0) |
                (frame.Collided ? EXCEPTION_COLLIDED_UNWIND : 0);
            SehTellHandler(walk, &frame, record, target_ip, value);
        }
        if (establisher == target) {
            return;
        }
        *walk = next;
    }
}

/* ContextRecord is room for the walk; it need not hold anything. */
VOID NTAPI RtlUnwindEx(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, PVOID ReturnValue,
                       PCONTEXT ContextRecord, PUNWIND_HISTORY_TABLE HistoryTable) {
    UNREFERENCED_PARAMETER(HistoryTable);
    SEH_WALK walk = {.Exact = FALSE};
    EXCEPTION_RECORD own = {.ExceptionCode = STATUS_UNWIND, .ExceptionAddress = (PVOID)KI_CALLER};
    RtlCaptureContext(&walk.Context);
    PEXCEPTION_RECORD record = ExceptionRecord != NULL ? ExceptionRecord : &own;
    SehUnwindTo(&walk, (ULONG64)TargetFrame, (ULONG64)TargetIp, record, ReturnValue);
    walk.Context.Rax = (ULONG64)ReturnValue;
    walk.Context.Rip = (ULONG64)TargetIp;
    if (ContextRecord != NULL) {
        *ContextRecord = walk.Context;
    }
    RtlRestoreContext(&walk.Context, record);
}
NT_EXPORT(RtlUnwindEx);

VOID NTAPI RtlUnwind(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, PVOID ReturnValue) {
    RtlUnwindEx(TargetFrame, TargetIp, ExceptionRecord, ReturnValue, NULL, NULL);
}
NT_EXPORT(RtlUnwind);

/* Out of a guarded region by a jump, as compilers make it of goto and return: its __finally blocks run. */
VOID __cdecl _local_unwind(PVOID TargetFrame, PVOID TargetIp) {
    RtlUnwindEx(TargetFrame, TargetIp, NULL, NULL, NULL, NULL);
}
NT_EXPORT(_local_unwind);

NT_EXPORT(RtlCaptureContext);
NT_EXPORT(RtlRestoreContext);
