/* SPDX-License-Identifier: Apache-2.0 */
/* System threads (THR-1): PsCreateSystemThread and its kin, and the threads that each CPU has from the start. */
#include "ps.h"

#include "../ex/worker.h"
#include "../ob/ob.h"

/* NOLINTNEXTLINE(misc-static-initialization-cycle): an address is a constant in C */
static OBJECT_TYPE PspThreadType = {.Self = &PspThreadType, .Name = "Thread", .Tag = PS_THREAD_TAG};
NT_EXPORT_AS(&PspThreadType, PsThreadType);

/* The thread's own reference goes with it. */
static VOID PspReapThread(PKTHREAD thread) {
    PspKeepStack(thread->StackTop);
    ObfDereferenceObject(thread);
}

PKTHREAD PsNewThread(PKSTART_ROUTINE routine, PVOID context, KPRIORITY priority, KAFFINITY affinity) {
    PKTHREAD thread = ObCreateObject(&PspThreadType, sizeof(ETHREAD));
    if (thread == NULL) {
        return NULL;
    }
    ULONG64 stack = PspTakeStack();
    if (stack == 0) {
        ObfDereferenceObject(thread);
        return NULL;
    }
    KiInitializeThread(thread, stack, routine, context, priority, affinity);
    thread->Reap = PspReapThread;
    ObfReferenceObject(thread);
    return thread;
}

BOOLEAN PsStartThread(PKSTART_ROUTINE routine, PVOID context) {
    PKTHREAD thread = PsNewThread(routine, context, KI_NORMAL_PRIORITY, KeQueryActiveProcessors());
    if (thread == NULL) {
        return FALSE;
    }
    KiStartThread(thread);
    ObfDereferenceObject(thread);
    return TRUE;
}

static NTSTATUS PspStartWithHandle(PKTHREAD thread, PHANDLE handle, PCLIENT_ID client) {
    NTSTATUS status = ObCreateHandle(thread, handle);
    if (!NT_SUCCESS(status)) {
        PspReapThread(thread); /* it never ran */
    } else {
        if (client != NULL) {
            client->UniqueProcess = NULL;
            client->UniqueThread = (HANDLE)(ULONG64)thread->Id;
        }
        KiStartThread(thread);
    }
    return status;
}

NTSTATUS NTAPI PsCreateSystemThread(PHANDLE ThreadHandle, ULONG DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                                    HANDLE ProcessHandle, PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine,
                                    PVOID StartContext) {
    UNREFERENCED_PARAMETER(DesiredAccess);
    UNREFERENCED_PARAMETER(ObjectAttributes); /* a thread has no name, and its handle is the kernel's anyway */
    UNREFERENCED_PARAMETER(ProcessHandle);    /* there is one process */
    PKTHREAD thread = PsNewThread(StartRoutine, StartContext, KI_NORMAL_PRIORITY, KeQueryActiveProcessors());
    if (thread == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    NTSTATUS status = PspStartWithHandle(thread, ThreadHandle, ClientId);
    ObfDereferenceObject(thread);
    return status;
}
NT_EXPORT(PsCreateSystemThread);

NTSTATUS NTAPI PsTerminateSystemThread(NTSTATUS ExitStatus) {
    if (ExIsWorkerThread(KiCurrentThread())) { /* by a work item's routine */
        KeBugCheckEx(ACTIVE_EX_WORKER_THREAD_TERMINATION, (ULONG64)KiCurrentThread(), 0, 0, 0);
    }
    KiExitThread(ExitStatus);
}
NT_EXPORT(PsTerminateSystemThread);

HANDLE NTAPI PsGetCurrentThreadId(VOID) {
    return (HANDLE)(ULONG64)KiCurrentThread()->Id;
}
NT_EXPORT(PsGetCurrentThreadId);

static PKTHREAD PspProcessorThread(PKSTART_ROUTINE routine, ULONG cpu, KPRIORITY priority) {
    PKTHREAD thread = PsNewThread(routine, &KiPcr[cpu].Prcb, priority, (KAFFINITY)1 << cpu);
    if (thread == NULL) {
        KeBugCheckEx(INSTALL_MORE_MEMORY, cpu, (ULONG64)routine, 5, 0);
    }
    thread->Processor = cpu;
    return thread;
}

VOID PsStartProcessorThreads(VOID) {
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        PKPRCB prcb = &KiPcr[cpu].Prcb;
        PKTHREAD dpcs = PspProcessorThread(KiDpcThread, cpu, KI_HIGHEST_PRIORITY);
        PKTHREAD work = PspProcessorThread(KiWorkThread, cpu, KI_NORMAL_PRIORITY);
        KiStartParked(dpcs);
        KiStartParked(work);
        prcb->WorkThread = work;
        /* Release: the DPC interrupt of that CPU, which takes no lock to look, finds a thread that can be unparked. */
        __atomic_store_n(&prcb->DpcThread, dpcs, __ATOMIC_RELEASE);
    }
}
