/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpc-vs-workitem, the half on the guest: a thread at PASSIVE_LEVEL defers a routine in each way there is, one at a time, and
 * notes the TSC before the call, when the call returned, and in the routine. The thread has priority 8 on CPU 0, so whatever
 * is deferred to that CPU has run when the call returns.
 */
#include "system_thread.h"

#define MAXIMUM_ROUNDS  4096
#define THREAD_PRIORITY 16 /* of the dedicated threads */

typedef enum _DEFERRAL {
    DeferDpc,
    DeferDpcElsewhere,
    DeferThreadedDpc,
    DeferWorkItem,
    DeferThread,
    DeferThreadElsewhere,
    Deferrals,
} DEFERRAL;

typedef struct _DEFERRAL_RUN {
    ULONG Kind;
    ULONG Rounds;
    ULONG64 Begin[MAXIMUM_ROUNDS];  /* from before the call to the routine's first instruction, ticks */
    ULONG64 Return[MAXIMUM_ROUNDS]; /* to the call's return */
} DEFERRAL_RUN;

DEFERRAL_RUN DeferralRun;

static KDPC Dpc;
static WORK_QUEUE_ITEM Item;
static KEVENT Event;
static volatile ULONG64 Begun;
static volatile LONG Stop;

static VOID NTAPI NoteDpc(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    Begun = __rdtsc();
}

static VOID NTAPI NoteWorkItem(PVOID Parameter) {
    UNREFERENCED_PARAMETER(Parameter);
    Begun = __rdtsc();
}

static VOID NTAPI NoteEvents(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (;;) {
        WaitForever(&Event);
        if (Stop) {
            return;
        }
        Begun = __rdtsc();
    }
}

static BOOLEAN IsThread(ULONG kind) {
    return kind == DeferThread || kind == DeferThreadElsewhere;
}

static VOID Defer(ULONG kind) {
    if (IsThread(kind)) {
        KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
    } else if (kind == DeferWorkItem) {
        ExQueueWorkItem(&Item, CriticalWorkQueue);
    } else {
        KeInsertQueueDpc(&Dpc, NULL, NULL);
    }
}

static VOID Prepare(ULONG kind, SYSTEM_THREAD *thread) {
    KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
    if (kind == DeferThreadedDpc) {
        KeInitializeThreadedDpc(&Dpc, NoteDpc, NULL);
    } else {
        KeInitializeDpc(&Dpc, NoteDpc, NULL);
    }
    if (kind == DeferDpcElsewhere) {
        KeSetTargetProcessorDpc(&Dpc, 1);
        KeSetImportanceDpc(&Dpc, HighImportance);
    }
    if (IsThread(kind)) {
        Stop = FALSE;
        *thread = (SYSTEM_THREAD){NoteEvents, NULL, THREAD_PRIORITY, kind == DeferThread ? 1 : 2, NULL};
        StartSystemThread(thread);
        WaitUntilItWaits(thread);
    }
}

VOID NTAPI RunDeferral(PVOID Context);
/* Called by the host, which has filled in Kind and Rounds. PASSIVE_LEVEL, on CPU 0. */
VOID NTAPI RunDeferral(PVOID Context) {
    SYSTEM_THREAD thread;
    ULONG kind = DeferralRun.Kind;
    UNREFERENCED_PARAMETER(Context);
    Prepare(kind, &thread);
    for (ULONG i = 0; i < DeferralRun.Rounds; i++) {
        /* Its list entry's head is not the system's any more when the routine runs, so each round begins as the first. */
        ExInitializeWorkItem(&Item, NoteWorkItem, NULL);
        Begun = 0;
        ULONG64 started = __rdtsc();
        Defer(kind);
        ULONG64 returned = __rdtsc();
        while (Begun == 0) {
            YieldProcessor();
        }
        DeferralRun.Begin[i] = Begun - started;
        DeferralRun.Return[i] = returned - started;
        if (IsThread(kind)) {
            WaitUntilItWaits(&thread); /* so that each round finds it waiting */
        }
    }
    if (IsThread(kind)) {
        Stop = TRUE;
        KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
        EndSystemThread(&thread);
    }
}

static VOID NTAPI DeferralUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DeferralUnload;
    return STATUS_SUCCESS;
}
