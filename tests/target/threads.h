/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the cases about threads and waits share. A case runs at priority 8 on CPU 0, so a thread of ABOVE there has done
 * all it can when the call that let it go returns; one on another CPU is waited for. Included once in each source file.
 */
#pragma once

#include <ntddk.h>

#include <dirqltest.h>

#define CASE_PRIORITY 8
#define ABOVE         12 /* of a thread that is to run as soon as it can */
#define BELOW         5  /* of one that is not, on the case's CPU, before the case waits */
#define QUANTUM_TICKS 2
#define MAXIMUM_CPUS  64
#define NO_TICKS      "clock=500000000" /* a tick in 50 seconds: what happens, happens without it */
#define FAST_TICKS    "clock=10000"     /* a tick in a millisecond */
#define CLOCK_VECTOR  0xd1

#define ON(cpu)      ((KAFFINITY)1 << (cpu))
#define CPU_OF(n)    ((ULONG)(n) % TargetCpus())
#define MILLISECONDS (-10000LL) /* as a relative time */

/* The thread itself, referenced. */
static inline PKTHREAD StartThread(PKSTART_ROUTINE Routine, PVOID Context) {
    HANDLE handle;
    PVOID thread;
    ASSERT_EQ(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Routine, Context), STATUS_SUCCESS);
    ASSERT_EQ(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL), STATUS_SUCCESS);
    ASSERT_EQ(ZwClose(handle), STATUS_SUCCESS);
    return thread;
}

static inline NTSTATUS WaitFor(PVOID Object) {
    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, NULL);
}

static inline NTSTATUS WaitForAtMost(PVOID Object, LONGLONG Time) {
    LARGE_INTEGER timeout = {.QuadPart = Time};
    return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &timeout);
}

/* Takes it if it can be had at once: STATUS_SUCCESS or STATUS_TIMEOUT. */
static inline NTSTATUS TryFor(PVOID Object) {
    return WaitForAtMost(Object, 0);
}

static inline VOID EndThread(PKTHREAD Thread) {
    ASSERT_EQ(WaitFor(Thread), STATUS_SUCCESS);
    ObDereferenceObject(Thread);
}

static inline BOOLEAN Waits(PKTHREAD Thread) {
    return DirqlQueryThreadState(Thread) == DirqlThreadWaits;
}

/* A thread with a priority and CPUs of its own. */
typedef struct _WORKER {
    PKSTART_ROUTINE Routine;
    PVOID Context;
    KPRIORITY Priority;
    KAFFINITY Affinity;
    PKTHREAD Thread;
    KEVENT Placed;
} WORKER;

static inline VOID NTAPI PlaceWorker(PVOID Context) {
    WORKER *worker = Context;
    KeSetPriorityThread(KeGetCurrentThread(), worker->Priority); /* first: an equal may have that CPU for long */
    KeSetSystemAffinityThread(worker->Affinity);
    KeSetEvent(&worker->Placed, 0, FALSE);
    worker->Routine(worker->Context);
}

/* It is where it belongs at return; on this CPU and ABOVE it has gone as far as it can. */
static inline VOID StartWorker(WORKER *Worker, PKSTART_ROUTINE Routine, PVOID Context, KPRIORITY Priority,
                               KAFFINITY Affinity) {
    Worker->Routine = Routine;
    Worker->Context = Context;
    Worker->Priority = Priority;
    Worker->Affinity = Affinity;
    KeInitializeEvent(&Worker->Placed, NotificationEvent, FALSE);
    Worker->Thread = StartThread(PlaceWorker, Worker);
    ASSERT_EQ(WaitFor(&Worker->Placed), STATUS_SUCCESS);
}

static inline VOID EndWorker(WORKER *Worker) {
    EndThread(Worker->Thread);
    Worker->Thread = NULL;
}

/* A held worker waits ABOVE until the gate opens, so its priority is set and all of them become ready at one moment, in order. */
static KEVENT Gate;

static inline VOID CloseGate(VOID) {
    KeInitializeEvent(&Gate, NotificationEvent, FALSE);
}

static inline VOID OpenGate(VOID) {
    KeSetEvent(&Gate, 0, FALSE);
}

typedef struct _HELD {
    WORKER Worker;
    PKSTART_ROUTINE Routine;
    PVOID Context;
} HELD;

static inline VOID NTAPI HeldRoutine(PVOID Context) {
    HELD *held = Context;
    ASSERT_EQ(WaitFor(&Gate), STATUS_SUCCESS);
    held->Routine(held->Context);
}

static inline VOID StartHeld(HELD *Held, PKSTART_ROUTINE Routine, PVOID Context, KPRIORITY Priority, ULONG Cpu) {
    Held->Routine = Routine;
    Held->Context = Context;
    StartWorker(&Held->Worker, HeldRoutine, Held, ABOVE, ON(Cpu));
    WAIT_UNTIL(Waits(Held->Worker.Thread));
    KeSetPriorityThread(Held->Worker.Thread, Priority);
}

static inline VOID EndHeld(HELD *Held) {
    EndWorker(&Held->Worker);
}

/* A worker that waits for one object and notes how that ended, and when among all. */
typedef struct _WAITER {
    WORKER Worker;
    PVOID Object;
    LONGLONG Time;        /* of the wait, 1: for ever */
    BOOLEAN Release;      /* what it gets is a mutex, which it gives back */
    NTSTATUS Status;      /* what the wait returned */
    volatile LONG Order;  /* 0: it waits still */
    KPRIORITY SeenBefore; /* its own priority */
    KPRIORITY SeenAfter;
    ULONG Cpu; /* that it went on */
} WAITER;

static volatile LONG Ended; /* waits of waiters, by now */

static inline VOID NTAPI WaiterRoutine(PVOID Context) {
    WAITER *waiter = Context;
    waiter->SeenBefore = KeQueryPriorityThread(KeGetCurrentThread());
    waiter->Status = waiter->Time == 1 ? WaitFor(waiter->Object) : WaitForAtMost(waiter->Object, waiter->Time);
    waiter->SeenAfter = KeQueryPriorityThread(KeGetCurrentThread());
    waiter->Cpu = KeGetCurrentProcessorNumber();
    waiter->Order = InterlockedIncrement(&Ended);
    if (waiter->Release) {
        KeReleaseMutex(waiter->Object, FALSE);
    }
}

static inline VOID StartTimedWaiter(WAITER *Waiter, PVOID Object, LONGLONG Time, KPRIORITY Priority, ULONG Cpu) {
    Waiter->Object = Object;
    Waiter->Time = Time;
    Waiter->Release = FALSE;
    Waiter->Status = STATUS_PENDING;
    Waiter->Order = 0;
    StartWorker(&Waiter->Worker, WaiterRoutine, Waiter, Priority, ON(Cpu));
    if (Priority > CASE_PRIORITY && Cpu == 0) {
        ASSERT_TRUE(Waits(Waiter->Worker.Thread));
    } else if (Cpu != 0) {
        WAIT_UNTIL(Waiter->Order != 0 || Waits(Waiter->Worker.Thread)); /* a short timeout may be over already */
    }
}

/* It waits at return, unless it is to run on this CPU and is not ABOVE. */
static inline VOID StartWaiter(WAITER *Waiter, PVOID Object, KPRIORITY Priority, ULONG Cpu) {
    StartTimedWaiter(Waiter, Object, 1, Priority, Cpu);
}

static inline BOOLEAN StillWaits(const WAITER *Waiter) {
    return Waiter->Order == 0 && Waits(Waiter->Worker.Thread);
}

static inline VOID EndWaiter(WAITER *Waiter) {
    EndWorker(&Waiter->Worker);
    ASSERT_NE(Waiter->Order, 0);
}

/* Long enough for whatever is on its way to arrive: nothing is concluded from it but that nothing came. */
static inline VOID Settle(VOID) {
    for (ULONG i = 0; i < 2000; i++) {
        YieldProcessor();
    }
}

static inline ULONG64 Ticks(VOID) {
    return DirqlInterruptCount(KeGetCurrentProcessorNumber(), CLOCK_VECTOR);
}

/* Spins for so many clock ticks of this CPU. */
static inline VOID SpinTicks(ULONG Count) {
    ULONG64 begin = Ticks();
    WAIT_UNTIL(Ticks() - begin >= Count);
}
