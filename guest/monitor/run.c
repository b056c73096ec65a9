/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HostRequestRun: a routine of a driver, called on the boot CPU at PASSIVE_LEVEL, with a look at what the machine holds
 * before and after: whoever leaves something behind is told what.
 */
#include "monitor.h"

#include "../ex/ex.h"
#include "../ke/ki.h"
#include "../trace/trace.h"

typedef struct _RUN_INVENTORY {
    ULONG64 Pool;       /* blocks allocated */
    ULONG64 Interrupts; /* interrupt objects connected */
    ULONG64 Vectors;    /* vectors allocated */
} RUN_INVENTORY;

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
        .Pool = ExCountPoolBlocks(),
        .Interrupts = RunCountInterrupts(),
        .Vectors = KiCountVectors(),
    };
    return inventory;
}

static VOID RunReport(HOST_REPLY *reply, RUN_LEFTOVER what, ULONG64 before, ULONG64 after) {
    if (reply->Value[0] == RunLeftNothing) {
        reply->Value[0] = what;
        reply->Value[1] = before;
        reply->Value[2] = after;
    }
}

VOID HostRun(const HOST_REQUEST *request, HOST_REPLY *reply) {
    VOID(NTAPI * routine)(PVOID) = (VOID(NTAPI *)(PVOID))request->Argument[0];
    RUN_INVENTORY before = RunTakeInventory();
    trace(TraceCaseBegin, (ULONG64)routine, 0);
    routine((PVOID)request->Argument[1]);
    KIRQL irql = (KIRQL)__readcr8();
    if (irql != PASSIVE_LEVEL) {
        RunReport(reply, RunLeftIrql, PASSIVE_LEVEL, irql);
        __writecr8(PASSIVE_LEVEL);
    }
    for (ULONG cpu = 1; cpu < KiProcessorCount; cpu++) {
        if (KiIsWorking(cpu)) {
            RunReport(reply, RunLeftWork, 0, cpu);
            trace(TraceCaseEnd, (ULONG64)routine, 0);
            return; /* it may hold anything: nothing more can be said of the machine */
        }
    }
    KeFlushQueuedDpcs(); /* the last DPC may still be on its way home */
    trace(TraceCaseEnd, (ULONG64)routine, 0);
    RUN_INVENTORY after = RunTakeInventory();
    if (before.Interrupts != after.Interrupts) {
        RunReport(reply, RunLeftInterrupts, before.Interrupts, after.Interrupts);
    }
    if (before.Vectors != after.Vectors) {
        RunReport(reply, RunLeftVectors, before.Vectors, after.Vectors);
    }
    if (before.Pool != after.Pool) {
        RunReport(reply, RunLeftPool, before.Pool, after.Pool);
    }
}
