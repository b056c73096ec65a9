/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HostRequestRun: a routine of a driver, called at PASSIVE_LEVEL in a thread of its own on the boot CPU, with a look at what
 * the machine holds before and after: whoever leaves something behind is told what.
 */
#include "monitor.h"

#include "../ex/ex.h"
#include "../ke/timer.h"
#include "../ob/ob.h"
#include "../ps/ps.h"

typedef struct _RUN_INVENTORY {
    ULONG64 Interrupts; /* interrupt objects connected */
    ULONG64 Vectors;    /* vectors allocated */
    ULONG64 Threads;    /* begun and not ended */
    ULONG64 Timers;     /* set */
    ULONG64 Handles;    /* open */
} RUN_INVENTORY;

typedef struct _RUN_CALL {
    VOID(NTAPI *Routine)(PVOID);
    PVOID Argument;
    KIRQL Irql; /* that it returned at */
    ULONG Mutexes;
} RUN_CALL;

static ULONG64 RunCountInterrupts(VOID) {
    ULONG64 connected = 0, count, claimed;
    for (ULONG vector = 0; vector < 256; vector++) {
        PKINTERRUPT interrupt = NULL;
        while (KiQueryInterrupt(vector, &interrupt, &count, &claimed)) {
            connected++;
        }
    }
    return connected;
}

static RUN_INVENTORY RunTakeInventory(VOID) {
    RUN_INVENTORY inventory = {
        .Interrupts = RunCountInterrupts(),
        .Vectors = KiCountVectors(),
        .Threads = KiThreadCount,
        .Timers = KiTimerCount,
        .Handles = ObCountHandles(),
    };
    return inventory;
}

static VOID RunReport(HOST_REPLY *reply, RUN_LEFTOVER what, ULONG64 before, ULONG64 after) {
    if (reply->Value[0] == RunLeftNothing && before != after) {
        reply->Value[0] = what;
        reply->Value[1] = before;
        reply->Value[2] = after;
    }
}

static ULONG64 RunPoolBefore[EX_POOL_TAGS]; /* one request is served at a time */

static ULONG64 RunBlocksOf(const EX_POOL_TAG *tag) {
    return tag->Pool[0].Allocations + tag->Pool[1].Allocations - tag->Pool[0].Frees - tag->Pool[1].Frees;
}

static VOID RunCountPool(VOID) {
    EX_POOL_TAG tag;
    for (ULONG i = 0; ExQueryPoolTag(i, &tag); i++) {
        RunPoolBefore[i] = RunBlocksOf(&tag);
    }
}

/* Tag by tag: one that has a block more is not made up for by another that has one less. */
static VOID RunComparePool(HOST_REPLY *reply) {
    EX_POOL_TAG tag;
    for (ULONG i = 0; ExQueryPoolTag(i, &tag) && reply->Value[0] == RunLeftNothing; i++) {
        RunReport(reply, RunLeftPool, RunPoolBefore[i], RunBlocksOf(&tag));
        reply->Value[3] = tag.Tag;
    }
}

static VOID RunThread(PVOID context) {
    RUN_CALL *call = context;
    trace(TraceCaseBegin, (ULONG64)call->Routine, 0);
    call->Routine(call->Argument);
    call->Irql = (KIRQL)__readcr8();
    __writecr8(PASSIVE_LEVEL);
    PLIST_ENTRY owned = &KiCurrentThread()->Mutexes;
    for (PLIST_ENTRY entry = owned->Flink; entry != owned; entry = entry->Flink) {
        call->Mutexes++;
    }
}

/* STATUS_INSUFFICIENT_RESOURCES: no memory for the thread. */
static NTSTATUS RunInThread(RUN_CALL *call) {
    PKTHREAD thread = PsNewThread(RunThread, call, KI_NORMAL_PRIORITY, 1);
    if (thread == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    KiStartThread(thread);
    KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(thread);
    return STATUS_SUCCESS;
}

VOID HostRun(const HOST_REQUEST *request, HOST_REPLY *reply) {
    RUN_CALL call = {.Routine = (VOID(NTAPI *)(PVOID))request->Argument[0], .Argument = (PVOID)request->Argument[1]};
    RUN_INVENTORY before = RunTakeInventory();
    RunCountPool();
    reply->Status = RunInThread(&call);
    RunReport(reply, RunLeftIrql, PASSIVE_LEVEL, call.Irql);
    RunReport(reply, RunLeftMutexes, 0, call.Mutexes);
    for (ULONG cpu = 1; cpu < KiProcessorCount; cpu++) {
        if (KiIsWorking(cpu)) {
            RunReport(reply, RunLeftWork, 0, cpu);
            trace(TraceCaseEnd, (ULONG64)call.Routine, 0);
            return; /* it may hold anything: nothing more can be said of the machine */
        }
    }
    KeFlushQueuedDpcs(); /* the last DPC may still be on its way home */
    /* Acquire: what threads that have just ended held has been given back. */
    while (__atomic_load_n(&KiThreadsEnding, __ATOMIC_ACQUIRE) != 0) {
        _mm_pause();
    }
    trace(TraceCaseEnd, (ULONG64)call.Routine, 0);
    RUN_INVENTORY after = RunTakeInventory();
    RunReport(reply, RunLeftInterrupts, before.Interrupts, after.Interrupts);
    RunReport(reply, RunLeftVectors, before.Vectors, after.Vectors);
    RunReport(reply, RunLeftThreads, before.Threads, after.Threads);
    RunReport(reply, RunLeftTimers, before.Timers, after.Timers);
    RunReport(reply, RunLeftHandles, before.Handles, after.Handles);
    RunComparePool(reply);
}
