/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HostRequestRun: a routine of a driver, called at PASSIVE_LEVEL in a thread of its own on the boot CPU, with a look at what
 * the machine holds before and after: whoever leaves something behind is told what.
 */
#include "monitor.h"

#include "../ob/ob.h"
#include "../ps/ps.h"

typedef struct _RUN_CALL {
    VOID(NTAPI *Routine)(PVOID);
    PVOID Argument;
    KIRQL Irql; /* that it returned at */
    ULONG Mutexes;
} RUN_CALL;

static VOID RunReport(HOST_REPLY *reply, RUN_LEFTOVER what, ULONG64 before, ULONG64 after) {
    if (reply->Value[0] == RunLeftNothing && before != after) {
        reply->Value[0] = what;
        reply->Value[1] = before;
        reply->Value[2] = after;
    }
}

static HOST_INVENTORY RunBefore, RunAfter; /* one request is served at a time */

/* Tag by tag: one that has a block more is not made up for by another that has one less. */
static VOID RunComparePool(HOST_REPLY *reply) {
    for (ULONG i = 0; i < RunAfter.TagCount && reply->Value[0] == RunLeftNothing; i++) {
        const ULONG64 *before = RunBefore.Tag[i].Blocks, *after = RunAfter.Tag[i].Blocks;
        RunReport(reply, RunLeftPool, before[0] + before[1], after[0] + after[1]);
        reply->Value[3] = RunAfter.Tag[i].Tag;
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
    MonitorTakeInventory(&RunBefore);
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
    MonitorRest(); /* the last DPC may still be on its way home */
    trace(TraceCaseEnd, (ULONG64)call.Routine, 0);
    MonitorTakeInventory(&RunAfter);
    RunReport(reply, RunLeftInterrupts, RunBefore.Interrupts, RunAfter.Interrupts);
    RunReport(reply, RunLeftVectors, RunBefore.Vectors, RunAfter.Vectors);
    RunReport(reply, RunLeftThreads, RunBefore.Threads, RunAfter.Threads);
    RunReport(reply, RunLeftTimers, RunBefore.Timers, RunAfter.Timers);
    RunReport(reply, RunLeftHandles, RunBefore.Handles, RunAfter.Handles);
    RunComparePool(reply);
}
