/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for who handles an exception: from the frame that caused it outwards, each function's language handler is asked. It
 * lets the search go on, has the instruction tried again, or begins an unwind and never returns.
 */
#include "seh.h"

#include "../include/mutant.h"
#include "../ke/ki.h"

static VOID SehRaiseOver(NTSTATUS status, PEXCEPTION_RECORD record) __attribute__((noreturn));

/* What a handler answered cannot be done: an exception of its own, about the first one. */
static VOID SehRaiseOver(NTSTATUS status, PEXCEPTION_RECORD record) {
    KiRaiseAbout(status, (ULONG64)record->ExceptionAddress, record);
}

/* A handler of an outer search is under way at this place of the stack: it lies inside of that search's frame. */
static ULONG64 SehNestedIn(const SEH_WALK *walk) {
    extern const UCHAR SehCallHandlerEnd[];
    ULONG64 rip = walk->Context.Rip;
    if (rip < (ULONG64)SehCallHandler || rip >= (ULONG64)SehCallHandlerEnd) {
        return 0;
    }
    return (*(DISPATCHER_CONTEXT **)(walk->Context.Rsp + SEH_HANDLER_DISPATCH))->EstablisherFrame;
}

BOOLEAN SehDispatch(PEXCEPTION_RECORD record, PCONTEXT context) {
    SEH_WALK walk = {.Context = *context, .Exact = TRUE};
    SEH_WALK next;
    SEH_FRAME frame;
    ULONG64 nested = 0;
    for (;;) {
        ULONG64 outer = SehNestedIn(&walk);
        nested = outer > nested ? outer : nested;
        SEH_STEP step = SehStep(UNW_FLAG_EHANDLER, &walk, &next, &frame);
        if (step == SehStepEnd) {
            return FALSE;
        }
        if (step == SehStepKernel) {
            continue;
        }
        if (frame.Dispatch.LanguageHandler != NULL) {
            record->ExceptionFlags &= ~(ULONG)EXCEPTION_NESTED_CALL;
            if (frame.Dispatch.EstablisherFrame <= nested) {
                record->ExceptionFlags |= EXCEPTION_NESTED_CALL;
            }
            frame.Dispatch.ContextRecord = context;
            EXCEPTION_DISPOSITION answer =
                SehCallHandler(record, frame.Dispatch.EstablisherFrame, context, &frame.Dispatch);
            if (answer == ExceptionContinueExecution) {
                if ((record->ExceptionFlags & EXCEPTION_NONCONTINUABLE) != 0 &&
                    !MUTANT(EverythingContinues, "SEH-4", "an exception that cannot continue does")) {
                    SehRaiseOver(STATUS_NONCONTINUABLE_EXCEPTION, record);
                }
                return TRUE;
            }
            if (answer != ExceptionContinueSearch) {
                SehRaiseOver(STATUS_INVALID_DISPOSITION, record);
            }
        }
        walk = next;
    }
}

VOID SehInitialize(VOID) {
    /* Release: whoever calls it finds what it uses in place. */
    __atomic_store_n(&KiDispatchException, SehDispatch, __ATOMIC_RELEASE);
}
