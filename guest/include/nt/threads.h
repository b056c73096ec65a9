/* SPDX-License-Identifier: Apache-2.0 */
/* System threads: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * PASSIVE_LEVEL. The thread starts at PASSIVE_LEVEL, priority 8, on any CPU; may have run at return. The handle is closed
 * by ZwClose. ObjectAttributes, ProcessHandle and ClientId may be NULL; there is one process.
 */
NTSTATUS NTAPI PsCreateSystemThread(PHANDLE ThreadHandle, ULONG DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                                    HANDLE ProcessHandle, PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                                    PVOID StartContext);
/* PASSIVE_LEVEL, in a system thread; does not return. A thread whose routine returns ends in the same way. Mutexes that it still owns are abandoned. */
NTSTATUS NTAPI PsTerminateSystemThread(NTSTATUS ExitStatus);
/* Any IRQL. */
HANDLE NTAPI PsGetCurrentThreadId(VOID);

/* IRQL <= DISPATCH_LEVEL. Priority 1 to 31; returns the one before. The thread's boost is gone. */
KPRIORITY NTAPI KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority);
KPRIORITY NTAPI KeQueryPriorityThread(PRKTHREAD Thread);
/* IRQL <= DISPATCH_LEVEL: increment over the process's base of 8; returns the one before. */
LONG NTAPI KeSetBasePriorityThread(PKTHREAD Thread, LONG Increment);
/*
 * The current thread. IRQL <= DISPATCH_LEVEL; below DISPATCH_LEVEL it runs on one of those CPUs at return, otherwise as soon as the
 * IRQL falls. Ex: returns the affinity that was set before by these, 0 for none. CPUs that are not there do not count; none left: no effect.
 */
VOID NTAPI KeSetSystemAffinityThread(KAFFINITY Affinity);
KAFFINITY NTAPI KeSetSystemAffinityThreadEx(KAFFINITY Affinity);
VOID NTAPI KeRevertToUserAffinityThread(VOID);
VOID NTAPI KeRevertToUserAffinityThreadEx(KAFFINITY Affinity);

/* Objects and handles (ob/object.c). References: any IRQL <= DISPATCH_LEVEL. By handle, ZwClose: PASSIVE_LEVEL. */
NTSTATUS NTAPI ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                         KPROCESSOR_MODE AccessMode, PVOID *Object,
                                         POBJECT_HANDLE_INFORMATION HandleInformation);
NTSTATUS NTAPI ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                          KPROCESSOR_MODE AccessMode);
LONG_PTR FASTCALL ObfReferenceObject(PVOID Object);
LONG_PTR FASTCALL ObfDereferenceObject(PVOID Object);
VOID NTAPI ObDereferenceObjectDeferDelete(PVOID Object);
NTSTATUS NTAPI ZwClose(HANDLE Handle);

/* NOLINTEND(readability-redundant-declaration) */
