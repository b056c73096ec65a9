/* SPDX-License-Identifier: Apache-2.0 */
/* Deferred procedure calls: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/* DPCs (ke/dpc.c). Any IRQL, HIGH_LEVEL included; the object is resident. */

VOID NTAPI KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext);
/* TRUE: queued; FALSE: it is queued already and its arguments stay. Below DISPATCH_LEVEL it may have run at return. */
BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2);
/* TRUE: it was queued and does not run for that. */
BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC Dpc);
/* PASSIVE_LEVEL; spins until every DPC that was queued before the call, on any CPU, has returned. */
VOID NTAPI KeFlushQueuedDpcs(VOID);
/* Both take effect at the next insertion. A processor that does not exist changes nothing. */
VOID NTAPI KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance);
VOID NTAPI KeSetTargetProcessorDpc(PRKDPC Dpc, CCHAR Number);

/* NOLINTEND(readability-redundant-declaration) */
