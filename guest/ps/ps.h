/* SPDX-License-Identifier: Apache-2.0 */
/* System threads: objects, handles and stacks around the kernel's own threads. */
#pragma once

#include "../ke/dispatcher.h"

#define PS_THREAD_TAG 'erhT' /* of thread objects in the pool */

VOID PsInitializeProcess(VOID); /* boot CPU, once: the one process. Bugchecks without memory */

/* PASSIVE_LEVEL. Stacks of threads that have ended are kept for new ones. 0: no memory. */
ULONG64 PspTakeStack(VOID);
VOID PspKeepStack(ULONG64 top); /* <= DISPATCH_LEVEL */

/*
 * PASSIVE_LEVEL. A thread that has not begun, with a reference for the caller and one for itself; NULL: no memory. The caller starts it
 * by KiStartThread or KiStartParked.
 */
PKTHREAD PsNewThread(PKSTART_ROUTINE routine, PVOID context, KPRIORITY priority, KAFFINITY affinity);
/* PASSIVE_LEVEL. Starts one that nobody has a reference to, of normal priority, on any CPU; FALSE: no memory. */
BOOLEAN PsStartThread(PKSTART_ROUTINE routine, PVOID context);
/* Boot CPU, once all run: for each CPU the thread of its threaded DPCs and that of DirqlStartOn. Bugchecks without memory. */
VOID PsStartProcessorThreads(VOID);
