/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.sys: events, semaphores, mutexes and timers, and six threads that do to them what the host asks for. The host
 * writes an operation beside a worker in ObjectsTest and runs ObjectsDo with the worker's number, which returns when every
 * worker waits: for its next operation, or within one. What came out is beside the worker too.
 */
#include <ntddk.h>

#include <dirql.h>

#define OBJECTS_WORKERS  6
#define OBJECTS_COUNT    10 /* two events of each type, two semaphores, two mutexes, a timer of each type */
#define OBJECTS_WAIT     4  /* objects of one wait */
#define OBJECTS_LIMIT    3  /* of the semaphores */
#define OBJECTS_PRIORITY 12 /* above the routine that the host runs */
#define OBJECTS_FOR_EVER 1

typedef enum _OBJECTS_OPERATION {
    ObjectsWait = 1,
    ObjectsSetEvent = 2,
    ObjectsResetEvent = 3,
    ObjectsClearEvent = 4,
    ObjectsPulseEvent = 5,
    ObjectsReleaseSemaphore = 6,
    ObjectsReleaseMutex = 7,
    ObjectsSetTimer = 8,
    ObjectsCancelTimer = 9,
    ObjectsEndThread = 10, /* another one takes its place */
} OBJECTS_OPERATION;

typedef struct _OBJECTS_WORKER {
    /* The host's. */
    OBJECTS_OPERATION Operation;
    ULONG Object;
    LONG Argument; /* how many a semaphore is released by */
    ULONG Raised;  /* at DISPATCH_LEVEL */
    LONGLONG Time; /* of a wait, OBJECTS_FOR_EVER; of a timer */
    ULONG Await;   /* 1: a wait that ends by itself, soon; a timer that expires, soon: ObjectsDo returns after that */
    ULONG WaitAll;
    ULONG WaitCount;
    ULONG Waited[OBJECTS_WAIT];
    /* The guest's. */
    ULONG Done; /* operations */
    LONG64 Result;
} OBJECTS_WORKER;

typedef struct _OBJECTS_TEST {
    OBJECTS_WORKER Worker[OBJECTS_WORKERS];
    LONG State[OBJECTS_COUNT]; /* of each object, when ObjectsDo returned */
} OBJECTS_TEST;

OBJECTS_TEST ObjectsTest;

DRIVER_INITIALIZE DriverEntry;
DIRQL_WORK_ROUTINE ObjectsDo;

static KEVENT ObjectsEvents[4];
static KSEMAPHORE ObjectsSemaphores[2];
static KMUTEX ObjectsMutexes[2];
static KTIMER ObjectsTimers[2];
static PVOID ObjectsAll[OBJECTS_COUNT] = {
    &ObjectsEvents[0],     &ObjectsEvents[1],  &ObjectsEvents[2],  &ObjectsEvents[3], &ObjectsSemaphores[0],
    &ObjectsSemaphores[1], &ObjectsMutexes[0], &ObjectsMutexes[1], &ObjectsTimers[0], &ObjectsTimers[1]};

static PKTHREAD ObjectsThreads[OBJECTS_WORKERS];
static KEVENT ObjectsKicks[OBJECTS_WORKERS];
static KEVENT ObjectsFinished; /* an operation that was to be awaited is done */
static KDPC ObjectsDpc;

static VOID NTAPI ObjectsExpired(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeSetEvent(&ObjectsFinished, 0, FALSE);
}

static LONG64 ObjectsWaitFor(const OBJECTS_WORKER *Worker) {
    PVOID objects[OBJECTS_WAIT] = {NULL};
    KWAIT_BLOCK blocks[OBJECTS_WAIT];
    LARGE_INTEGER timeout = {.QuadPart = Worker->Time};
    PLARGE_INTEGER limit = Worker->Time == OBJECTS_FOR_EVER ? NULL : &timeout;
    for (ULONG i = 0; i < Worker->WaitCount && i < OBJECTS_WAIT; i++) {
        objects[i] = ObjectsAll[Worker->Waited[i]];
    }
    if (Worker->WaitCount == 1 && !Worker->WaitAll) {
        return KeWaitForSingleObject(objects[0], Executive, KernelMode, FALSE, limit);
    }
    return KeWaitForMultipleObjects(Worker->WaitCount, objects, Worker->WaitAll ? WaitAll : WaitAny, Executive,
                                    KernelMode, FALSE, limit, blocks);
}

static LONG64 ObjectsPerform(const OBJECTS_WORKER *Worker) {
    PVOID object = ObjectsAll[Worker->Object];
    LARGE_INTEGER due = {.QuadPart = Worker->Time};
    switch (Worker->Operation) {
    case ObjectsWait:
        return ObjectsWaitFor(Worker);
    case ObjectsSetEvent:
        return KeSetEvent(object, 0, FALSE);
    case ObjectsResetEvent:
        return KeResetEvent(object);
    case ObjectsClearEvent:
        KeClearEvent(object);
        return 0;
    case ObjectsPulseEvent:
        return KePulseEvent(object, 0, FALSE);
    case ObjectsReleaseSemaphore:
        return KeReleaseSemaphore(object, 0, Worker->Argument, FALSE);
    case ObjectsReleaseMutex:
        return KeReleaseMutex(object, FALSE);
    case ObjectsSetTimer:
        return KeSetTimer(object, due, Worker->Await ? &ObjectsDpc : NULL);
    case ObjectsCancelTimer:
        return KeCancelTimer(object);
    default:
        return -1;
    }
}

static VOID NTAPI ObjectsThread(PVOID Context) {
    ULONG number = (ULONG)(ULONG_PTR)Context;
    OBJECTS_WORKER *mine = &ObjectsTest.Worker[number];
    KeSetPriorityThread(KeGetCurrentThread(), OBJECTS_PRIORITY);
    KeSetSystemAffinityThread((KAFFINITY)1 << number % KeNumberProcessors);
    for (;;) {
        KIRQL irql = PASSIVE_LEVEL;
        KeWaitForSingleObject(&ObjectsKicks[number], Executive, KernelMode, FALSE, NULL);
        if (mine->Operation == ObjectsEndThread) {
            PsTerminateSystemThread(STATUS_SUCCESS);
        }
        if (mine->Raised) {
            KeRaiseIrql(DISPATCH_LEVEL, &irql);
        }
        mine->Result = ObjectsPerform(mine);
        if (mine->Raised) {
            KeLowerIrql(irql);
        }
        mine->Done++;
        if (mine->Await && mine->Operation == ObjectsWait) {
            KeSetEvent(&ObjectsFinished, 0, FALSE);
        }
    }
}

static NTSTATUS ObjectsStart(ULONG Number) {
    HANDLE handle;
    PVOID thread = NULL;
    KeInitializeEvent(&ObjectsKicks[Number], SynchronizationEvent, FALSE);
    NTSTATUS status =
        PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, ObjectsThread, (PVOID)(ULONG_PTR)Number);
    if (NT_SUCCESS(status)) {
        status = ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL);
        ZwClose(handle);
    }
    ObjectsThreads[Number] = thread;
    return status;
}

static VOID ObjectsEnd(ULONG Number) {
    ObjectsTest.Worker[Number].Operation = ObjectsEndThread;
    KeSetEvent(&ObjectsKicks[Number], 0, FALSE);
    KeWaitForSingleObject(ObjectsThreads[Number], Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(ObjectsThreads[Number]);
    ObjectsThreads[Number] = NULL;
}

/* One that was let go is seen to run before it is seen to wait again: it became ready under the lock that let it go. */
static VOID ObjectsSettle(VOID) {
    for (ULONG i = 0; i < OBJECTS_WORKERS; i++) {
        while (ObjectsThreads[i] != NULL && DirqlQueryThreadState(ObjectsThreads[i]) != DirqlThreadWaits) {
            YieldProcessor();
            i = 0; /* it may let go one that was looked at before */
        }
    }
}

VOID NTAPI ObjectsDo(PVOID Context) {
    ULONG number = (ULONG)(ULONG_PTR)Context;
    OBJECTS_WORKER *worker = &ObjectsTest.Worker[number];
    KeClearEvent(&ObjectsFinished);
    if (worker->Operation == ObjectsEndThread) {
        ObjectsEnd(number);
        ObjectsStart(number);
        worker->Done++;
        worker->Result = 0;
    } else {
        KeSetEvent(&ObjectsKicks[number], 0, FALSE);
        if (worker->Await) {
            KeWaitForSingleObject(&ObjectsFinished, Executive, KernelMode, FALSE, NULL);
        }
    }
    ObjectsSettle();
    for (ULONG i = 0; i < OBJECTS_COUNT; i++) {
        ObjectsTest.State[i] = i < 4 ? KeReadStateEvent(ObjectsAll[i])
            : i < 6                  ? KeReadStateSemaphore(ObjectsAll[i])
            : i < 8                  ? KeReadStateMutex(ObjectsAll[i])
                                     : KeReadStateTimer(ObjectsAll[i]);
    }
}

/* Every worker is idle. */
static VOID NTAPI ObjectsUnload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
    for (ULONG i = 0; i < OBJECTS_WORKERS; i++) {
        if (ObjectsThreads[i] != NULL) {
            ObjectsEnd(i);
        }
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(ObjectsTimers); i++) {
        KeCancelTimer(&ObjectsTimers[i]);
    }
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    NTSTATUS status = STATUS_SUCCESS;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = ObjectsUnload;
    KeInitializeEvent(&ObjectsFinished, SynchronizationEvent, FALSE);
    KeInitializeDpc(&ObjectsDpc, ObjectsExpired, NULL);
    for (ULONG i = 0; i < 2; i++) {
        KeInitializeEvent(&ObjectsEvents[i], NotificationEvent, FALSE);
        KeInitializeEvent(&ObjectsEvents[2 + i], SynchronizationEvent, FALSE);
        KeInitializeSemaphore(&ObjectsSemaphores[i], (LONG)i, OBJECTS_LIMIT);
        KeInitializeMutex(&ObjectsMutexes[i], 0);
        KeInitializeTimerEx(&ObjectsTimers[i], i == 0 ? NotificationTimer : SynchronizationTimer);
    }
    for (ULONG i = 0; i < OBJECTS_WORKERS && NT_SUCCESS(status); i++) {
        status = ObjectsStart(i);
    }
    if (!NT_SUCCESS(status)) {
        ObjectsUnload(DriverObject);
    }
    return status;
}
