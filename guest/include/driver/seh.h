/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured exception handling for drivers made with the DDK's headers of mingw-w64: the documented types and routines that those
 * headers lack (x64 exception handling, RtlUnwindEx, RtlVirtualUnwind), and guarded regions for a compiler that has no __try.
 *
 *     static LONG Filter(PEXCEPTION_POINTERS Pointers, PVOID Frame) { return EXCEPTION_EXECUTE_HANDLER; }
 *
 *     static DECLSPEC_NOINLINE NTSTATUS Read(ULONG *Address) {
 *         volatile NTSTATUS status = STATUS_ACCESS_VIOLATION;
 *         SEH_HANDLERS(1, SEH_EXCEPT(Access, Filter));
 *         SEH_BEGIN(Access);
 *         Value = *(volatile ULONG *)Address;
 *         status = STATUS_SUCCESS;
 *         SEH_END(Access);        // an exception that the filter takes goes on here too
 *         return status;
 *     }
 *
 * SEH_HANDLERS comes once in a function, before its regions, inner regions first; SEH_FINALLY names a routine
 * VOID Routine(BOOLEAN Abnormal, PVOID Frame) that runs when the region is left by an exception; a region that is left otherwise calls it
 * itself. The compiler does not know of the second way to SEH_END: what is changed inside and used behind it is volatile. Names
 * of regions are the file's. A routine that is declared never to return, as ExRaiseStatus is, stands in a function of its own, or there
 * is no end of the region. A file that uses any of this is compiled with -fasynchronous-unwind-tables.
 */
#pragma once

#include <ntddk.h>

/* NOLINTBEGIN(bugprone-reserved-identifier): names of public structures */

/* An entry of .pdata: image addresses of a function's begin and end, and of its unwind information. */
typedef struct _RUNTIME_FUNCTION {
    ULONG BeginAddress;
    ULONG EndAddress;
    ULONG UnwindData;
} RUNTIME_FUNCTION, *PRUNTIME_FUNCTION;

#define UNWIND_HISTORY_TABLE_SIZE 12

typedef struct _UNWIND_HISTORY_TABLE_ENTRY {
    ULONG64 ImageBase;
    PRUNTIME_FUNCTION FunctionEntry;
} UNWIND_HISTORY_TABLE_ENTRY, *PUNWIND_HISTORY_TABLE_ENTRY;

/* A cache for searches that its caller may give; this kernel needs none and leaves it alone. */
typedef struct _UNWIND_HISTORY_TABLE {
    ULONG Count;
    UCHAR LocalHint;
    UCHAR GlobalHint;
    UCHAR Search;
    UCHAR Once;
    ULONG64 LowAddress;
    ULONG64 HighAddress;
    UNWIND_HISTORY_TABLE_ENTRY Entry[UNWIND_HISTORY_TABLE_SIZE];
} UNWIND_HISTORY_TABLE, *PUNWIND_HISTORY_TABLE;

/* Where each register was found that a routine has saved: NULL where it has not. */
typedef struct _KNONVOLATILE_CONTEXT_POINTERS {
    PM128A FloatingContext[16];
    PULONG64 IntegerContext[16];
} KNONVOLATILE_CONTEXT_POINTERS, *PKNONVOLATILE_CONTEXT_POINTERS;

typedef struct _DISPATCHER_CONTEXT {
    ULONG64 ControlPc;
    ULONG64 ImageBase;
    PRUNTIME_FUNCTION FunctionEntry;
    ULONG64 EstablisherFrame;
    ULONG64 TargetIp;
    PCONTEXT ContextRecord;
    PEXCEPTION_ROUTINE LanguageHandler;
    PVOID HandlerData;
    PUNWIND_HISTORY_TABLE HistoryTable;
    ULONG ScopeIndex;
    ULONG Fill0;
} DISPATCHER_CONTEXT, *PDISPATCHER_CONTEXT;

/* What __C_specific_handler finds behind a function's unwind information: its guarded regions, inner ones first. */
typedef struct _SCOPE_TABLE {
    ULONG Count;
    struct {
        ULONG BeginAddress;
        ULONG EndAddress;
        ULONG HandlerAddress; /* the filter, or 1: every exception; of a __finally its routine */
        ULONG JumpTarget;     /* where the __except block begins; 0: it is a __finally */
    } ScopeRecord[1];
} SCOPE_TABLE, *PSCOPE_TABLE;

/* RtlVirtualUnwind's HandlerType, and the flags of unwind information. */
#define UNW_FLAG_NHANDLER  0
#define UNW_FLAG_EHANDLER  1
#define UNW_FLAG_UHANDLER  2
#define UNW_FLAG_CHAININFO 4

/* EXCEPTION_RECORD.ExceptionFlags beside EXCEPTION_NONCONTINUABLE. */
#define EXCEPTION_UNWINDING       0x02
#define EXCEPTION_EXIT_UNWIND     0x04
#define EXCEPTION_STACK_INVALID   0x08
#define EXCEPTION_NESTED_CALL     0x10
#define EXCEPTION_TARGET_UNWIND   0x20
#define EXCEPTION_COLLIDED_UNWIND 0x40
#define EXCEPTION_UNWIND \
    (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND | EXCEPTION_TARGET_UNWIND | EXCEPTION_COLLIDED_UNWIND)

/* What a filter returns. */
#ifndef EXCEPTION_EXECUTE_HANDLER
#define EXCEPTION_EXECUTE_HANDLER    1
#define EXCEPTION_CONTINUE_SEARCH    0
#define EXCEPTION_CONTINUE_EXECUTION (-1)
#endif

NTSYSAPI VOID NTAPI RtlCaptureContext(PCONTEXT ContextRecord);
NTSYSAPI VOID NTAPI RtlRestoreContext(PCONTEXT ContextRecord, PEXCEPTION_RECORD ExceptionRecord);
NTSYSAPI VOID NTAPI RtlRaiseException(PEXCEPTION_RECORD ExceptionRecord);
NTSYSAPI PRUNTIME_FUNCTION NTAPI RtlLookupFunctionEntry(ULONG64 ControlPc, PULONG64 ImageBase,
                                                        PUNWIND_HISTORY_TABLE HistoryTable);
NTSYSAPI PEXCEPTION_ROUTINE NTAPI RtlVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 ControlPc,
                                                   PRUNTIME_FUNCTION FunctionEntry, PCONTEXT ContextRecord,
                                                   PVOID *HandlerData, PULONG64 EstablisherFrame,
                                                   PKNONVOLATILE_CONTEXT_POINTERS ContextPointers);
NTSYSAPI VOID NTAPI RtlUnwind(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, PVOID ReturnValue);
NTSYSAPI VOID NTAPI RtlUnwindEx(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, PVOID ReturnValue,
                                PCONTEXT ContextRecord, PUNWIND_HISTORY_TABLE HistoryTable);
NTSYSAPI PVOID NTAPI RtlPcToFileHeader(PVOID PcValue, PVOID *BaseOfImage);
NTSYSAPI VOID __cdecl _local_unwind(PVOID TargetFrame, PVOID TargetIp);
/* NOLINTBEGIN(bugprone-macro-parentheses): names and assembly, no expressions */
#define SEH_BEGIN(region) __asm__ volatile(".Lseh_" #region "_begin:\n\tnop" : : : "memory")
#define SEH_END(region)                                                                                            \
    __asm__ volatile("nop\n.Lseh_" #region "_end:\n\tnop"                                                          \
                     :                                                                                             \
                     :                                                                                             \
                     : "memory", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", \
                       "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5")
#define SEH_EXCEPT(region, filter) \
    "\t.rva .Lseh_" #region "_begin, .Lseh_" #region "_end, " #filter ", .Lseh_" #region "_end\n"
#define SEH_FINALLY(region, routine) "\t.rva .Lseh_" #region "_begin, .Lseh_" #region "_end, " #routine "\n\t.long 0\n"
#define SEH_HANDLERS(count, regions)                                                                              \
    __asm__ volatile("\t.seh_handler __C_specific_handler, @except, @unwind\n\t.seh_handlerdata\n\t.long " #count \
                     "\n" regions "\t.text")
/* NOLINTEND(bugprone-macro-parentheses) */

/* NOLINTEND(bugprone-reserved-identifier) */
