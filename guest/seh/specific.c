/* SPDX-License-Identifier: Apache-2.0 */
/*
 * __C_specific_handler: the language handler of functions with __try. Its data is a table of guarded regions. While a handler is
 * looked for, filters are called; while frames are left, __finally blocks are, each once: ScopeIndex says how far that is.
 */
#include "seh.h"

#include "../include/export.h"
#include "../include/mutant.h"
#include "../ke/ki.h"

#define FILTER_ALWAYS 1 /* a filter that is this is EXCEPTION_EXECUTE_HANDLER and no code */

typedef LONG SEH_FILTER_ROUTINE(PEXCEPTION_POINTERS pointers, PVOID frame);
typedef VOID SEH_TERMINATION(BOOLEAN abnormal, PVOID frame);

static BOOLEAN SehInScope(const SCOPE_TABLE *table, ULONG index, ULONG64 offset) {
    return offset >= table->ScopeRecord[index].BeginAddress && offset < table->ScopeRecord[index].EndAddress;
}

static EXCEPTION_DISPOSITION SehFilter(PEXCEPTION_RECORD record, PVOID frame, PCONTEXT context,
                                       PDISPATCHER_CONTEXT dispatch) {
    const SCOPE_TABLE *table = dispatch->HandlerData;
    ULONG64 pc = dispatch->ControlPc - dispatch->ImageBase;
    EXCEPTION_POINTERS pointers = {.ExceptionRecord = record, .ContextRecord = context};
    for (ULONG i = dispatch->ScopeIndex; i < table->Count; i++) {
        if (!SehInScope(table, i, pc) || table->ScopeRecord[i].JumpTarget == 0) {
            continue;
        }
        ULONG filter = table->ScopeRecord[i].HandlerAddress;
        LONG answer = filter == FILTER_ALWAYS
            ? EXCEPTION_EXECUTE_HANDLER
            : ((SEH_FILTER_ROUTINE *)(dispatch->ImageBase + filter))(&pointers, frame);
        if (answer < 0) {
            return ExceptionContinueExecution;
        }
        if (answer > 0) {
            RtlUnwindEx(frame, (PVOID)(dispatch->ImageBase + table->ScopeRecord[i].JumpTarget), record,
                        (PVOID)(ULONG64)(ULONG)record->ExceptionCode, NULL, dispatch->HistoryTable);
        }
    }
    return ExceptionContinueSearch;
}

/* Whether a jump's target lies in the same region, which then is not left: another record may describe a part of it. */
static BOOLEAN SehStaysInside(const SCOPE_TABLE *table, ULONG index, ULONG64 target) {
    for (ULONG i = 0; i < table->Count; i++) {
        if (SehInScope(table, i, target) && table->ScopeRecord[i].JumpTarget == table->ScopeRecord[index].JumpTarget &&
            table->ScopeRecord[i].HandlerAddress == table->ScopeRecord[index].HandlerAddress) {
            return TRUE;
        }
    }
    return FALSE;
}

static VOID SehFinish(PEXCEPTION_RECORD record, PVOID frame, PDISPATCHER_CONTEXT dispatch) {
    const SCOPE_TABLE *table = dispatch->HandlerData;
    ULONG64 pc = dispatch->ControlPc - dispatch->ImageBase;
    BOOLEAN target_here = (record->ExceptionFlags & EXCEPTION_TARGET_UNWIND) != 0;
    ULONG64 target = dispatch->TargetIp - dispatch->ImageBase;
    for (ULONG i = dispatch->ScopeIndex; i < table->Count; i++) {
        if (!SehInScope(table, i, pc)) {
            continue;
        }
        ULONG jump = table->ScopeRecord[i].JumpTarget;
        if (target_here && (SehStaysInside(table, i, target) || (jump != 0 && target == jump))) {
            return;
        }
        if (jump == 0 && !MUTANT(FinallyForgotten, "SEH-3", "__finally blocks do not run while frames are left")) {
            dispatch->ScopeIndex = i + 1; /* before the call: it may never return here */
            ((SEH_TERMINATION *)(dispatch->ImageBase + table->ScopeRecord[i].HandlerAddress))(TRUE, frame);
        }
    }
}

EXCEPTION_DISPOSITION __cdecl __C_specific_handler(PEXCEPTION_RECORD ExceptionRecord, PVOID EstablisherFrame,
                                                   PCONTEXT ContextRecord, PDISPATCHER_CONTEXT DispatcherContext) {
    if ((ExceptionRecord->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND)) == 0) {
        return SehFilter(ExceptionRecord, EstablisherFrame, ContextRecord, DispatcherContext);
    }
    SehFinish(ExceptionRecord, EstablisherFrame, DispatcherContext);
    return ExceptionContinueSearch;
}
NT_EXPORT(__C_specific_handler);
