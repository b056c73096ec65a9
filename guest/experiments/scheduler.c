/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scheduler, the half on the guest. RunLoad: threads of different priorities and affinities compete for the CPUs for a
 * while; some never wait, others sleep between their bursts. RunPreemption: an event lets a thread of higher priority go,
 * which waits on this CPU, on another one that is busy with something of lower priority, or on another one that is idle. Who
 * ran where and when, and from when to when a thread that was let go did not run, is in the trace.
 */
#include "system_thread.h"

#define MAXIMUM_THREADS 32
#define OWN_PRIORITY    20 /* of the thread that runs the experiment: above the load */
#define WAITER_PRIORITY 24
#define BUSY_PRIORITY   8

typedef struct _SCHEDULER_THREAD {
    ULONG64 Affinity; /* the host fills these in */
    ULONG Priority;
    ULONG Burst; /* PAUSE instructions at a stretch */
    ULONG Rest;  /* microseconds that it sleeps after each; 0: it never does */
    ULONG Spare;
    ULONG64 Object; /* its KTHREAD, for the host */
    ULONG64 Bursts; /* that it has finished */
} SCHEDULER_THREAD;

typedef enum _PREEMPTION_KIND { PreemptSameCpu, PreemptBusyCpu, PreemptIdleCpu, PreemptKinds } PREEMPTION_KIND;

typedef struct _SCHEDULER_RUN {
    ULONG Threads;
    ULONG Milliseconds; /* that the load lasts */
    ULONG Rounds;       /* events set for each kind of preemption */
    volatile LONG Stop;
    ULONG64 Events[PreemptKinds]; /* their addresses, for the host: the trace names events by them */
    SCHEDULER_THREAD Thread[MAXIMUM_THREADS];
} SCHEDULER_RUN;

SCHEDULER_RUN SchedulerRun;

static SYSTEM_THREAD Threads[MAXIMUM_THREADS];
static KEVENT Go;
static KEVENT Events[PreemptKinds];
static volatile LONG Answered;

static VOID NTAPI Load(PVOID Context) {
    SCHEDULER_THREAD *own = Context;
    LARGE_INTEGER rest = {.QuadPart = -10LL * own->Rest};
    own->Object = (ULONG64)KeGetCurrentThread();
    WaitForever(&Go);
    while (!SchedulerRun.Stop) {
        Pause(own->Burst);
        own->Bursts++;
        if (own->Rest != 0) {
            KeDelayExecutionThread(KernelMode, FALSE, &rest);
        }
    }
}

VOID NTAPI RunLoad(PVOID Context);
/* Called by the host, which has filled in the parameters. PASSIVE_LEVEL, on CPU 0. */
VOID NTAPI RunLoad(PVOID Context) {
    LARGE_INTEGER time = {.QuadPart = -10000LL * SchedulerRun.Milliseconds};
    UNREFERENCED_PARAMETER(Context);
    KeInitializeEvent(&Go, NotificationEvent, FALSE);
    SchedulerRun.Stop = FALSE;
    KPRIORITY before = KeSetPriorityThread(KeGetCurrentThread(), OWN_PRIORITY);
    for (ULONG i = 0; i < SchedulerRun.Threads; i++) {
        SCHEDULER_THREAD *each = &SchedulerRun.Thread[i];
        each->Bursts = 0;
        Threads[i] = (SYSTEM_THREAD){Load, each, (KPRIORITY)each->Priority, each->Affinity, NULL};
        StartSystemThread(&Threads[i]);
    }
    for (ULONG i = 0; i < SchedulerRun.Threads; i++) { /* those of this CPU run when this thread sleeps */
        LARGE_INTEGER soon = {.QuadPart = -1};
        while (DirqlQueryThreadState(Threads[i].Thread) != DirqlThreadWaits) {
            KeDelayExecutionThread(KernelMode, FALSE, &soon);
        }
    }
    DirqlTraceMark(1, 0);
    KeSetEvent(&Go, IO_NO_INCREMENT, FALSE);
    KeDelayExecutionThread(KernelMode, FALSE, &time);
    DirqlTraceMark(2, 0);
    SchedulerRun.Stop = TRUE;
    for (ULONG i = 0; i < SchedulerRun.Threads; i++) {
        EndSystemThread(&Threads[i]);
    }
    KeSetPriorityThread(KeGetCurrentThread(), before);
}

static VOID NTAPI AnswerEach(PVOID Context) {
    for (ULONG i = 0; i < SchedulerRun.Rounds; i++) {
        WaitForever(Context);
        InterlockedIncrement(&Answered);
    }
}

static VOID NTAPI BeBusy(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    while (!SchedulerRun.Stop) {
        YieldProcessor();
    }
}

static VOID Preempt(PREEMPTION_KIND kind, ULONG cpu) {
    SYSTEM_THREAD waiter = {AnswerEach, &Events[kind], WAITER_PRIORITY, (KAFFINITY)1 << cpu, NULL};
    KeInitializeEvent(&Events[kind], SynchronizationEvent, FALSE);
    SchedulerRun.Events[kind] = (ULONG64)&Events[kind];
    Answered = 0;
    StartSystemThread(&waiter);
    for (ULONG i = 0; i < SchedulerRun.Rounds; i++) {
        WaitUntilItWaits(&waiter);
        KeSetEvent(&Events[kind], IO_NO_INCREMENT, FALSE);
        while (Answered != (LONG)i + 1) {
            YieldProcessor();
        }
    }
    EndSystemThread(&waiter);
}

VOID NTAPI RunPreemption(PVOID Context);
/* The same. With one CPU there is only the first kind. */
VOID NTAPI RunPreemption(PVOID Context) {
    DIRQL_MACHINE machine;
    SYSTEM_THREAD busy = {BeBusy, NULL, BUSY_PRIORITY, 2, NULL};
    UNREFERENCED_PARAMETER(Context);
    DirqlQueryMachine(&machine);
    KPRIORITY before = KeSetPriorityThread(KeGetCurrentThread(), OWN_PRIORITY);
    RtlZeroMemory(SchedulerRun.Events, sizeof SchedulerRun.Events);
    Preempt(PreemptSameCpu, 0);
    if (machine.Cpus > 1) {
        Preempt(PreemptIdleCpu, 1);
        SchedulerRun.Stop = FALSE;
        StartSystemThread(&busy);
        Preempt(PreemptBusyCpu, 1);
        SchedulerRun.Stop = TRUE;
        EndSystemThread(&busy);
    }
    KeSetPriorityThread(KeGetCurrentThread(), before);
}

static VOID NTAPI SchedulerUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = SchedulerUnload;
    return STATUS_SUCCESS;
}
