/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel-mode APCs and alerts: routines that ntoskrnl.lib has and the DDK headers do not declare. A driver that uses them
 * includes this after its DDK header. KAPC and the types of its routines are the DDK's own.
 *
 * A special kernel APC has no NormalRoutine: its KernelRoutine runs at APC_LEVEL in the thread that it is queued to. A normal
 * one's KernelRoutine does too, and may change or withdraw (NULL) the NormalRoutine and its arguments; then that runs at
 * PASSIVE_LEVEL, and no further normal APC until it has returned. The object is resident and belongs to the caller again
 * as soon as its KernelRoutine runs. Special ones go first; within a kind they run in the order of their insertion.
 *
 * Held back are normal ones by critical regions, both by guarded regions and by an IRQL of APC_LEVEL or above.
 */
#pragma once

#ifndef NTSYSAPI
#define NTSYSAPI
#endif

typedef enum _KAPC_ENVIRONMENT {
    OriginalApcEnvironment,
    AttachedApcEnvironment,
    CurrentApcEnvironment,
    InsertApcEnvironment
} KAPC_ENVIRONMENT;

/* Any IRQL. There is one process, so Environment changes nothing. ApcMode UserMode: such an APC is never queued. */
NTSYSAPI VOID NTAPI KeInitializeApc(PRKAPC Apc, PKTHREAD Thread, KAPC_ENVIRONMENT Environment,
                                    PKKERNEL_ROUTINE KernelRoutine, PKRUNDOWN_ROUTINE RundownRoutine,
                                    PKNORMAL_ROUTINE NormalRoutine, KPROCESSOR_MODE ApcMode, PVOID NormalContext);
/*
 * IRQL <= DISPATCH_LEVEL. TRUE: queued; FALSE: it is queued already, its thread has ended, or it is of UserMode. A thread that
 * waits is woken for it, if nothing holds it back, with its priority boosted by Increment, and waits again afterwards.
 */
NTSYSAPI BOOLEAN NTAPI KeInsertQueueApc(PRKAPC Apc, PVOID SystemArgument1, PVOID SystemArgument2, KPRIORITY Increment);
/* IRQL <= DISPATCH_LEVEL. TRUE: it was queued and does not run for that. */
NTSYSAPI BOOLEAN NTAPI KeRemoveQueueApc(PRKAPC Apc);

/*
 * IRQL <= DISPATCH_LEVEL. Ends an alertable wait of the thread with STATUS_ALERTED (an alert of UserMode only one of UserMode);
 * otherwise the next such wait, or KeTestAlertThread, finds it. Returns whether the thread was alerted already.
 */
NTSYSAPI BOOLEAN NTAPI KeAlertThread(PKTHREAD Thread, KPROCESSOR_MODE AlertMode);
/* IRQL <= DISPATCH_LEVEL. Whether the current thread was alerted; it is not any more. */
NTSYSAPI BOOLEAN NTAPI KeTestAlertThread(KPROCESSOR_MODE AlertMode);
