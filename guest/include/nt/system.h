/* SPDX-License-Identifier: Apache-2.0 */
/* Processors, clock and the end: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/* Processors, clock and the end (ke/processor.c, ke/clock.c, ke/bugcheck.c). Any IRQL. */

KAFFINITY NTAPI KeQueryActiveProcessors(VOID);
ULONG NTAPI KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors);
ULONG NTAPI KeQueryMaximumProcessorCount(VOID);
ULONG NTAPI KeQueryTimeIncrement(VOID); /* 100 ns units between two clock ticks */
VOID NTAPI KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4);

/*
 * Processors by group and number (ke/group.c): one group, one node. Any IRQL; affinity as KeSetSystemAffinityThreadEx. Counts of another
 * group are 0; an index that is none: STATUS_INVALID_PARAMETER, INVALID_PROCESSOR_INDEX.
 */
ULONG NTAPI KeQueryActiveProcessorCountEx(USHORT GroupNumber);
NTSTATUS NTAPI KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber);
ULONG NTAPI KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber);
VOID NTAPI KeSetSystemGroupAffinityThread(PGROUP_AFFINITY Affinity, PGROUP_AFFINITY PreviousAffinity);
VOID NTAPI KeRevertToUserGroupAffinityThread(PGROUP_AFFINITY PreviousAffinity);

/* Floating point (ke/extended.c). IRQL <= DISPATCH_LEVEL. Nothing need be saved; AVX and later: STATUS_NOT_SUPPORTED. */
NTSTATUS NTAPI KeSaveFloatingPointState(PKFLOATING_SAVE FloatSave);
NTSTATUS NTAPI KeRestoreFloatingPointState(PKFLOATING_SAVE FloatSave);
NTSTATUS NTAPI KeSaveExtendedProcessorState(ULONG64 Mask, PXSTATE_SAVE XStateSave);
VOID NTAPI KeRestoreExtendedProcessorState(PXSTATE_SAVE XStateSave);

/*
 * Routines that are called when the machine ends (ke/bugcheckcall.c). Any IRQL; takes a lock at HIGH_LEVEL. The record is resident and
 * initialised; FALSE: it is registered already, or not. The routine runs at HIGH_LEVEL while all other CPUs are stopped.
 */
BOOLEAN NTAPI KeRegisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD CallbackRecord,
                                         PKBUGCHECK_CALLBACK_ROUTINE CallbackRoutine, PVOID Buffer, ULONG Length,
                                         PUCHAR Component);
BOOLEAN NTAPI KeDeregisterBugCheckCallback(PKBUGCHECK_CALLBACK_RECORD CallbackRecord);
BOOLEAN NTAPI KeRegisterBugCheckReasonCallback(PKBUGCHECK_REASON_CALLBACK_RECORD CallbackRecord,
                                               PKBUGCHECK_REASON_CALLBACK_ROUTINE CallbackRoutine,
                                               KBUGCHECK_CALLBACK_REASON Reason, PUCHAR Component);
BOOLEAN NTAPI KeDeregisterBugCheckReasonCallback(PKBUGCHECK_REASON_CALLBACK_RECORD CallbackRecord);

/* Break points (ke/assert.c). Any IRQL; bugcheck 0x1E where no handler of the driver's takes STATUS_BREAKPOINT. */
VOID NTAPI DbgBreakPointWithStatus(ULONG Status);
VOID NTAPI RtlAssert(PVOID FailedAssertion, PVOID FileName, ULONG LineNumber, PSTR Message);

/* The one process, and the kernel's own mode (ps/process.c). Any IRQL. */
HANDLE NTAPI PsGetCurrentProcessId(VOID);
HANDLE NTAPI PsGetProcessId(PEPROCESS Process);
HANDLE NTAPI PsGetThreadId(PETHREAD Thread);
HANDLE NTAPI PsGetThreadProcessId(PETHREAD Thread);
BOOLEAN NTAPI PsIsSystemThread(PETHREAD Thread);
KPROCESSOR_MODE NTAPI ExGetPreviousMode(VOID);

/* Numbers that are given once (ex/unique.c), and a routine of the kernel by its name (ldr/routine.c; NULL: none). PASSIVE_LEVEL. */
NTSTATUS NTAPI ExUuidCreate(UUID *Uuid);
NTSTATUS NTAPI ZwAllocateLocallyUniqueId(PLUID Luid);
PVOID NTAPI MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName);
ULONG NTAPI ExSetTimerResolution(ULONG DesiredTime, BOOLEAN SetResolution); /* PASSIVE_LEVEL */
BOOLEAN NTAPI ExIsProcessorFeaturePresent(ULONG ProcessorFeature);          /* any IRQL */
BOOLEAN NTAPI ExVerifySuite(SUITE_TYPE SuiteType);                          /* PASSIVE_LEVEL */

/* NOLINTEND(readability-redundant-declaration) */
