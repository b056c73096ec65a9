/* SPDX-License-Identifier: Apache-2.0 */
/* A system thread with a priority and CPUs of its own: what experiments and benchmarks start. PASSIVE_LEVEL. */
#pragma once

#include <ntddk.h>

#include <dirql.h>

typedef struct _SYSTEM_THREAD {
    PKSTART_ROUTINE Routine;
    PVOID Context;
    KPRIORITY Priority;
    KAFFINITY Affinity;
    PKTHREAD Thread; /* referenced until it is ended */
} SYSTEM_THREAD;

static VOID NTAPI SystemThreadBegins(PVOID StartContext) {
    const SYSTEM_THREAD *own = StartContext;
    KeSetSystemAffinityThread(own->Affinity);
    own->Routine(own->Context);
}

static inline VOID StartSystemThread(SYSTEM_THREAD *thread) {
    HANDLE handle;
    PVOID object;
    NTSTATUS status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, SystemThreadBegins, thread);
    if (NT_SUCCESS(status)) {
        status = ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &object, NULL);
    }
    if (!NT_SUCCESS(status)) {
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, (ULONG_PTR)status, 0, 0, 0);
    }
    ZwClose(handle);
    thread->Thread = object;
    /* From here and not by itself: it may never get a CPU to do so beside others of such a priority. */
    KeSetPriorityThread(thread->Thread, thread->Priority);
}

/* Its routine returns, or has returned. */
static inline VOID EndSystemThread(SYSTEM_THREAD *thread) {
    KeWaitForSingleObject(thread->Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(thread->Thread);
}

static inline VOID WaitForever(PVOID Object) {
    KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, NULL);
}

/* Until it waits for the first time: from then on it does nothing before it is let go. */
static inline VOID WaitUntilItWaits(const SYSTEM_THREAD *thread) {
    while (DirqlQueryThreadState(thread->Thread) != DirqlThreadWaits) {
        YieldProcessor();
    }
}

static inline VOID Pause(ULONG count) {
    for (ULONG i = 0; i < count; i++) {
        YieldProcessor();
    }
}
