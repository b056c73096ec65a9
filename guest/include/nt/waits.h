/* SPDX-License-Identifier: Apache-2.0 */
/* Dispatcher objects and waits: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Waits. IRQL <= APC_LEVEL, may wait; with a timeout of zero IRQL <= DISPATCH_LEVEL, and does not wait. Timeout in 100 ns: NULL
 * for ever, negative from now, positive a system time. Otherwise at DISPATCH_LEVEL or above: bugcheck 0xB8. More than
 * THREAD_WAIT_OBJECTS objects need a WaitBlockArray, more than MAXIMUM_WAIT_OBJECTS are bugcheck 0xC.
 * STATUS_SUCCESS or STATUS_WAIT_0 + index, STATUS_ABANDONED_WAIT_0 + index, STATUS_TIMEOUT, STATUS_ALERTED.
 */
NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                     PLARGE_INTEGER Timeout);
NTSTATUS NTAPI KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType, KWAIT_REASON WaitReason,
                                        KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                                        PKWAIT_BLOCK WaitBlockArray);
/* IRQL <= APC_LEVEL; waits. STATUS_SUCCESS, STATUS_ALERTED. */
NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Interval);

/*
 * Events, mutexes, semaphores. Objects are resident. Initialise: any IRQL (semaphores: PASSIVE_LEVEL). Signal: IRQL <=
 * DISPATCH_LEVEL; with Wait = TRUE IRQL <= APC_LEVEL in, DISPATCH_LEVEL out with the dispatcher lock held, and a wait is the very next
 * call. All but KeClearEvent return the state before; KeReadState: any IRQL.
 */
VOID NTAPI KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State);
LONG NTAPI KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);
LONG NTAPI KeResetEvent(PRKEVENT Event);
VOID NTAPI KeClearEvent(PRKEVENT Event);
LONG NTAPI KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);
LONG NTAPI KeReadStateEvent(PRKEVENT Event);
VOID NTAPI KeInitializeMutex(PRKMUTEX Mutex, ULONG Level);
/* By its owner, as often as it was acquired; 0: it is free now. Otherwise raises STATUS_MUTANT_NOT_OWNED, which is fatal here (0x1E). */
LONG NTAPI KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait);
LONG NTAPI KeReadStateMutex(PRKMUTEX Mutex); /* 1: free */
VOID NTAPI KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit);
/* Above the limit: raises STATUS_SEMAPHORE_LIMIT_EXCEEDED, which is fatal here (0x1E); the count is unchanged. */
LONG NTAPI KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, BOOLEAN Wait);
LONG NTAPI KeReadStateSemaphore(PRKSEMAPHORE Semaphore);

/* NOLINTEND(readability-redundant-declaration) */
