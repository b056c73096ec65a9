/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions, raised and handled: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"
#include "../driver/seh.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Go to the handler of a caller, whose frame goes on with its nonvolatile registers as they were; without one they are bugcheck 0x1E
 * KMODE_EXCEPTION_NOT_HANDLED with the status, the caller's return address, 0, 0 (ke/raise.c). ExRaiseStatus: IRQL <= APC_LEVEL, the
 * others: PASSIVE_LEVEL.
 */
VOID NTAPI ExRaiseStatus(NTSTATUS Status) __attribute__((noreturn));
VOID NTAPI ExRaiseAccessViolation(VOID) __attribute__((noreturn));
VOID NTAPI ExRaiseDatatypeMisalignment(VOID) __attribute__((noreturn));

/* Any IRQL, as every exception. Returns if a filter says so and ExceptionFlags allow it. Sets ExceptionAddress. */
VOID NTAPI RtlRaiseException(PEXCEPTION_RECORD ExceptionRecord);

/*
 * Whether a range is one of user mode, and aligned; else they raise STATUS_ACCESS_VIOLATION or STATUS_DATATYPE_MISALIGNMENT. No memory of
 * user mode is mapped here, so ProbeForWrite, which touches each page, raises in any case. IRQL <= APC_LEVEL. Nothing is asked of no bytes.
 */
VOID NTAPI ProbeForRead(CONST VOID *Address, SIZE_T Length, ULONG Alignment);
VOID NTAPI ProbeForWrite(PVOID Address, SIZE_T Length, ULONG Alignment);

/*
 * What compilers make of guarded regions, and stack walks (seh/). Any IRQL; the tables of the images that they meet are resident. Of the
 * kernel's own code the table is no RUNTIME_FUNCTION: RtlLookupFunctionEntry and RtlPcToFileHeader know drivers only. A
 * history table may be given and is left alone.
 */
VOID NTAPI RtlCaptureContext(PCONTEXT ContextRecord);
VOID NTAPI RtlRestoreContext(PCONTEXT ContextRecord, PEXCEPTION_RECORD ExceptionRecord); /* does not return */
PRUNTIME_FUNCTION NTAPI RtlLookupFunctionEntry(ULONG64 ControlPc, PULONG64 ImageBase,
                                               PUNWIND_HISTORY_TABLE HistoryTable);
PEXCEPTION_ROUTINE NTAPI RtlVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 ControlPc,
                                          PRUNTIME_FUNCTION FunctionEntry, PCONTEXT ContextRecord, PVOID *HandlerData,
                                          PULONG64 EstablisherFrame, PKNONVOLATILE_CONTEXT_POINTERS ContextPointers);
VOID NTAPI RtlUnwind(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, PVOID ReturnValue);
VOID NTAPI RtlUnwindEx(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, PVOID ReturnValue,
                       PCONTEXT ContextRecord, PUNWIND_HISTORY_TABLE HistoryTable);
PVOID NTAPI RtlPcToFileHeader(PVOID PcValue, PVOID *BaseOfImage);
VOID __cdecl _local_unwind(PVOID TargetFrame, PVOID TargetIp);

/* NOLINTEND(readability-redundant-declaration) */
