/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPC objects and their queues (spec section 5): what an object says of itself, which queue it goes to, at which end, and
 * whether that queue is to be processed at once. What takes objects off the queues is in dpcrun.c and threadeddpc.c.
 *
 * KDPC.DpcData is the queue that an object is in, NULL for none. It goes from NULL to a queue by an exchange under that
 * queue's lock and back to NULL under the same lock, so whoever holds the lock of the queue that DpcData names can say
 * "queued" and be right. The object leaves its queue before its routine runs (DPC-3).
 */
#include "../include/mutant.h"
#include "ki.h"

KI_DPC_QUEUE KiSharedDpcQueue;

static VOID KiInitializeDpcQueue(KI_DPC_QUEUE *queue, ULONG cpu) {
    InitializeListHead(&queue->List);
    queue->Cpu = cpu;
}

VOID KiInitializeDpcs(ULONG processors) {
    KiInitializeDpcQueue(&KiSharedDpcQueue, DPC_ANY_CPU);
    for (ULONG i = 0; i < processors; i++) {
        PKPRCB prcb = &KiPcr[i].Prcb;
        KiInitializeDpcQueue(&prcb->DpcQueue, i);
        KiInitializeDpcQueue(&prcb->ThreadedDpcQueue, i);
    }
}

BOOLEAN KiInDpc(const KPRCB *prcb) {
    return prcb->DpcRoutineActive || (prcb->CurrentThread == prcb->DpcThread && prcb->CurrentThreadedDpc != NULL);
}

/*
 * The shared queue: the current CPU will be available when it lowers, an idle one is so already. With no idle CPU left every
 * CPU is asked, and the first whose IRQL falls below DISPATCH_LEVEL finds the object (DPC-5, DPC-7).
 */
VOID KiRequestSharedDpc(VOID) {
    ULONG current = KiCurrentPrcb()->Number;
    ULONG after = current;
    KiRequestDpcInterrupt(current);
    if (MUTANT(DpcSharedStaysHere, "DPC-7", "a DPC for the first available CPU waits for the one that queued it")) {
        return;
    }
    /* An idle CPU that was asked before has a DPC to run already: this one is for the next. */
    for (ULONG tried = 1; tried < KiProcessorCount; tried++) {
        after = KiFindIdleProcessor(current, after);
        if (after == DPC_ANY_CPU) {
            break;
        }
        if (KiRequestDpcInterrupt(after)) {
            return;
        }
    }
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        if (cpu != current && KiPcr[cpu].Prcb.Running) {
            KiRequestDpcInterrupt(cpu);
        }
    }
}

/* Threaded DPCs have a queue for each CPU and no other: the policies of D1 are about the ordinary ones. */
static KI_DPC_QUEUE *KiChooseDpcQueue(PKDPC dpc) {
    ULONG target = dpc->Number & 0xffu;
    if (MUTANT(DpcTargetIgnored, "DPC-10", "a DPC's target processor counts for nothing")) {
        target = 0;
    }
    PKPRCB home = target != 0 ? &KiPcr[target - 1].Prcb : KiCurrentPrcb();
    if (dpc->Type == KI_THREADED_DPC_OBJECT) {
        return &home->ThreadedDpcQueue;
    }
    ULONG placement = HostBootOptions.DpcPlacement;
    BOOLEAN shared = placement == DpcPlacementFirstAvailable ||
        (placement == DpcPlacementByRoutine && (dpc->Number & KI_DPC_DEVICE_BOUND) != 0);
    if (MUTANT(DpcPolicySwapped, "DPC-6", "the placement policy is applied the wrong way round")) {
        shared = !shared;
    }
    return target == 0 && shared ? &KiSharedDpcQueue : &home->DpcQueue;
}

/* Whether processing begins at once (organization-of-dpc-queues); asked under the queue's lock, the object in it. */
static BOOLEAN KiDrainAtOnce(const KDPC *dpc, const KI_DPC_QUEUE *queue) {
    if (queue->Cpu == DPC_ANY_CPU || dpc->Type == KI_THREADED_DPC_OBJECT) {
        return TRUE; /* importance says where in a threaded queue, not when */
    }
    if (queue->Depth > KI_DPC_MAXIMUM_DEPTH) {
        return !MUTANT(DpcDepthIgnored, "DPC-8", "a deep queue of DPCs of low importance is left alone");
    }
    if (queue->Cpu == KiCurrentPrcb()->Number) {
        if (MUTANT(DpcLowAtOnce, "DPC-8", "a DPC of low importance is processed at once")) {
            return TRUE;
        }
        return dpc->Importance != LowImportance || KiDpcRate(queue) < KI_DPC_MINIMUM_RATE;
    }
    if (MUTANT(DpcMediumAtOnce, "DPC-9", "a DPC of medium importance interrupts another CPU at once")) {
        return dpc->Importance != LowImportance;
    }
    if (MUTANT(DpcMediumHighWaits, "DPC-9", "a DPC of medium-high importance waits on another CPU")) {
        return dpc->Importance == HighImportance;
    }
    return dpc->Importance == HighImportance || dpc->Importance == MediumHighImportance;
}

static VOID KiLinkDpc(PKDPC dpc, KI_DPC_QUEUE *queue) {
    BOOLEAN head = dpc->Importance == HighImportance;
    if (MUTANT(DpcHighAtTail, "DPC-6", "a DPC of high importance goes to the tail of its queue") &&
        dpc->Type == KI_DPC_OBJECT) {
        head = FALSE;
    }
    if (MUTANT(DpcThreadedHighAtTail, "DPC-15", "a threaded DPC of high importance goes to the tail of its queue") &&
        dpc->Type == KI_THREADED_DPC_OBJECT) {
        head = FALSE;
    }
    if (MUTANT(DpcLastInFirstOut, "DPC-6", "every DPC goes to the head of its queue")) {
        head = TRUE;
    }
    if (head) {
        InsertHeadList(&queue->List, &dpc->DpcListEntry);
    } else {
        InsertTailList(&queue->List, &dpc->DpcListEntry);
    }
    queue->Depth++;
    /* Atomic: the clock tick of the queue's CPU takes the count away without the lock. */
    __atomic_add_fetch(&queue->Requests, 1, __ATOMIC_RELAXED);
}

/* Back to the caller's IRQL; below DISPATCH_LEVEL the DPC interrupt is taken here. */
static VOID KiLeaveInsertion(KIRQL irql) {
    if (MUTANT(DpcDrainsAtDispatch, "DPC-5", "queueing at DISPATCH_LEVEL drains the queue") && irql == DISPATCH_LEVEL) {
        __writecr8(PASSIVE_LEVEL);
        _mm_pause();
    }
    __writecr8(irql);
    if (MUTANT(DpcInsertLowers, "DPC-13", "queueing above DISPATCH_LEVEL returns at DISPATCH_LEVEL") &&
        irql > DISPATCH_LEVEL) {
        __writecr8(DISPATCH_LEVEL);
    }
}

BOOLEAN KiInsertDpc(PRKDPC dpc, KI_DPC_QUEUE *home, PVOID argument1, PVOID argument2) {
    for (;;) {
        KIRQL irql = (KIRQL)__readcr8();
        __writecr8(HIGH_LEVEL); /* stay on this CPU while "current processor" means something */
        KI_DPC_QUEUE *chosen = home != NULL ? home : KiChooseDpcQueue(dpc);
        KI_DPC_QUEUE *queue = __atomic_load_n((KI_DPC_QUEUE **)&dpc->DpcData, __ATOMIC_ACQUIRE);
        if (queue == NULL) {
            queue = chosen;
        }
        KiAcquireLockAtHigh(&queue->Lock);
        PVOID found = NULL;
        BOOLEAN inserted = queue == chosen &&
            __atomic_compare_exchange_n((PVOID *)&dpc->DpcData, &found, queue, FALSE, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE);
        if (!inserted && __atomic_load_n((PVOID *)&dpc->DpcData, __ATOMIC_ACQUIRE) != queue) {
            KiReleaseLockFromHigh(&queue->Lock, irql); /* it left that queue meanwhile: look again */
            continue;
        }
        if (inserted || MUTANT(DpcArgumentsReplaced, "DPC-1", "queueing a queued DPC replaces its arguments")) {
            dpc->SystemArgument1 = argument1;
            dpc->SystemArgument2 = argument2;
        }
        if (inserted) {
            KiLinkDpc(dpc, queue);
        }
        trace(TraceDpcInsert, (ULONG64)dpc,
              inserted | (ULONG64)queue->Cpu << 8 | (ULONG64)dpc->Importance << 16 |
                  (ULONG64)(dpc->Type == KI_THREADED_DPC_OBJECT) << 24);
        BOOLEAN request = inserted && KiDrainAtOnce(dpc, queue);
        KiReleaseLockFromHigh(&queue->Lock, HIGH_LEVEL);
        if (request && queue->Cpu == DPC_ANY_CPU) {
            KiRequestSharedDpc();
        } else if (request) {
            KiRequestDpcInterrupt(queue->Cpu);
        }
        KiLeaveInsertion(irql);
        return inserted || MUTANT(DpcInsertAlwaysTrue, "DPC-1", "queueing a queued DPC returns TRUE");
    }
}

BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2) {
    return KiInsertDpc(Dpc, NULL, SystemArgument1, SystemArgument2);
}
NT_EXPORT(KeInsertQueueDpc);

/* A CustomTimerDpc is documented as a DpcForIsr is: the first processor that is available (TMR-8). */
VOID KiInsertTimerDpc(PRKDPC dpc) {
    BOOLEAN shared = (dpc->Number & 0xffu) == 0 && dpc->Type == KI_DPC_OBJECT &&
        HostBootOptions.DpcPlacement == DpcPlacementByRoutine &&
        !MUTANT(TimerDpcStaysHere, "TMR-8", "a timer's DPC waits for the CPU that found the timer due");
    KiInsertDpc(dpc, shared ? &KiSharedDpcQueue : NULL, NULL, NULL);
}

BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC Dpc) {
    for (;;) {
        KI_DPC_QUEUE *queue = __atomic_load_n((KI_DPC_QUEUE **)&Dpc->DpcData, __ATOMIC_ACQUIRE);
        if (queue == NULL) {
            trace(TraceDpcRemove, (ULONG64)Dpc, FALSE);
            return MUTANT(DpcRemoveAlwaysTrue, "DPC-12", "removing a DPC that is not queued returns TRUE");
        }
        KIRQL irql = KiAcquireLockAtHigh(&queue->Lock);
        BOOLEAN removed = Dpc->DpcData == queue;
        if (removed && !MUTANT(DpcRemovedRuns, "DPC-12", "a removed DPC stays in its queue and runs")) {
            RemoveEntryList(&Dpc->DpcListEntry);
            queue->Depth--;
            trace(TraceDpcRemove, (ULONG64)Dpc, TRUE);
            __atomic_store_n((PVOID *)&Dpc->DpcData, NULL, __ATOMIC_RELEASE);
        }
        KiReleaseLockFromHigh(&queue->Lock, irql);
        if (removed) {
            return TRUE;
        }
    }
}
NT_EXPORT(KeRemoveQueueDpc);

static VOID KiInitializeDpcObject(PKDPC dpc, UCHAR type, PKDEFERRED_ROUTINE routine, PVOID context) {
    dpc->Type = type;
    dpc->Importance = MediumImportance;
    dpc->Number = 0;
    dpc->DeferredRoutine = routine;
    dpc->DeferredContext = context;
    dpc->DpcData = NULL;
    /* IoInitializeDpcRequest is a macro over this routine: what it makes is the DPC inside the device object itself. */
    PDEVICE_OBJECT device = CONTAINING_RECORD(dpc, DEVICE_OBJECT, Dpc);
    if (context == device && device->Type == IO_TYPE_DEVICE) {
        dpc->Number = KI_DPC_DEVICE_BOUND;
    }
}

VOID NTAPI KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext) {
    KiInitializeDpcObject(Dpc, KI_DPC_OBJECT, DeferredRoutine, DeferredContext);
}
NT_EXPORT(KeInitializeDpc);

VOID NTAPI KeInitializeThreadedDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext) {
    UCHAR type = HostBootOptions.ThreadedDpcsOff != 0 ? KI_DPC_OBJECT : KI_THREADED_DPC_OBJECT;
    KiInitializeDpcObject(Dpc, type, DeferredRoutine, DeferredContext);
}
NT_EXPORT(KeInitializeThreadedDpc);

VOID NTAPI KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance) {
    Dpc->Importance = (UCHAR)Importance;
}
NT_EXPORT(KeSetImportanceDpc);

static VOID KiSetDpcTarget(PKDPC dpc, ULONG cpu) {
    dpc->Number = (USHORT)((dpc->Number & KI_DPC_DEVICE_BOUND) | (cpu + 1));
}

VOID NTAPI KeSetTargetProcessorDpc(PRKDPC Dpc, CCHAR Number) {
    if (Number >= 0 && (ULONG)Number < KiProcessorCount) {
        KiSetDpcTarget(Dpc, (ULONG)Number);
    } else if (MUTANT(DpcInvalidTargetResets, "DPC-10", "an invalid target processor takes the old one away")) {
        Dpc->Number &= KI_DPC_DEVICE_BOUND;
    }
}
NT_EXPORT(KeSetTargetProcessorDpc);

/* One group is all there is: any other, a number beyond its CPUs, or a reserved field in use, names no processor. */
NTSTATUS NTAPI KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber) {
    if (ProcNumber->Group != 0 || ProcNumber->Reserved != 0 || ProcNumber->Number >= KiProcessorCount) {
        return MUTANT(DpcTargetExSucceeds, "DPC-10", "an invalid PROCESSOR_NUMBER is taken for success")
            ? STATUS_SUCCESS
            : STATUS_INVALID_PARAMETER;
    }
    KiSetDpcTarget(Dpc, ProcNumber->Number);
    return STATUS_SUCCESS;
}
NT_EXPORT(KeSetTargetProcessorDpcEx);
