/* SPDX-License-Identifier: Apache-2.0 */
/* Deferred procedure calls: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"
#include "../driver/genericdpc.h" /* KeGenericCallDpc and its two companions, which the DDK headers lack */

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/* DPCs (ke/dpc.c). Any IRQL, HIGH_LEVEL included; the object is resident. */

VOID NTAPI KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext);
/* TRUE: queued; FALSE: it is queued already and its arguments stay. Below DISPATCH_LEVEL it may have run at return. */
BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2);
/* TRUE: it was queued and does not run for that. */
BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC Dpc);
/* These take effect at the next insertion. A processor that does not exist changes nothing. */
VOID NTAPI KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance);
VOID NTAPI KeSetTargetProcessorDpc(PRKDPC Dpc, CCHAR Number);
/* STATUS_INVALID_PARAMETER: no such processor, and nothing has changed. There is one group. */
NTSTATUS NTAPI KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber);
/*
 * PASSIVE_LEVEL; spins until every DPC that was queued before the call, on any CPU, threaded or not, has returned. Any
 * number of callers at once. Never from a DPC: bugcheck ATTEMPTED_SWITCH_FROM_DPC.
 */
VOID NTAPI KeFlushQueuedDpcs(VOID);

/*
 * Threaded DPCs (ke/threadeddpc.c): the same object, but its routine runs at PASSIVE_LEVEL in the DPC thread of the CPU
 * that it was queued to, preempted by interrupts and by ordinary DPCs; at DISPATCH_LEVEL where they are switched off.
 * The restrictions of ordinary DPCs hold: no waits, no pageable memory.
 */
VOID NTAPI KeInitializeThreadedDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext);

/*
 * The clock ticks left to the current DPC and to the current stay at DISPATCH_LEVEL or above (ke/dpcwatchdog.c), 0 for a
 * limit that is off. In a DPC, or at DISPATCH_LEVEL or above; STATUS_UNSUCCESSFUL elsewhere.
 */
NTSTATUS NTAPI KeQueryDpcWatchdogInformation(PKDPC_WATCHDOG_INFORMATION WatchdogInformation);

/* NOLINTEND(readability-redundant-declaration) */
