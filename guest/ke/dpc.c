/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deferred procedure calls (spec section 5). Each CPU has a queue, and one more is served by the first available CPU
 * (D1). Queueing sends the DPC software interrupt, which stays pending in the local APIC behind CR8; nothing polls.
 *
 * KDPC.DpcData is the queue that an object is in, NULL for none. It goes from NULL to a queue by an exchange under that
 * queue's lock and back to NULL under the same lock, so whoever holds the lock of the queue that DpcData names can say
 * "queued" and be right. The object leaves its queue before its routine runs (DPC-3).
 */
#include "ki.h"

#include "../hal/hal.h"
#include "../trace/trace.h"

#define KI_DPC_OBJECT       0x13  /* KDPC.Type */
#define KI_DPC_DEVICE_BOUND 0x100 /* in KDPC.Number: a DpcForIsr; the low byte is the target CPU + 1, 0 for none */
#define KI_DPC_LOW_DEPTH    4     /* a queue this deep is drained at once, low importance or not (DPC-8) */

KI_DPC_QUEUE KiSharedDpcQueue;

static VOID KiInitializeDpcQueue(KI_DPC_QUEUE *queue, ULONG cpu) {
    InitializeListHead(&queue->List);
    queue->Cpu = cpu;
}

VOID KiInitializeDpcQueues(ULONG processors) {
    KiInitializeDpcQueue(&KiSharedDpcQueue, DPC_ANY_CPU);
    for (ULONG i = 0; i < processors; i++) {
        KiInitializeDpcQueue(&KiPcr[i].Prcb.DpcQueue, i);
    }
}

/*
 * Asks a CPU for the DPC interrupt, once until it has come: the flag is cleared before the queues are looked at. FALSE: it
 * had been asked already.
 */
static BOOLEAN KiRequestDpcInterrupt(ULONG cpu) {
    PKPRCB target = &KiPcr[cpu].Prcb;
    if (__atomic_exchange_n(&target->DpcRequested, 1, __ATOMIC_SEQ_CST) != 0) {
        return FALSE;
    }
    if (target == KiCurrentPrcb()) {
        lapic_self(DPC_VECTOR);
    } else {
        trace(TraceIpiSend, DPC_VECTOR, cpu);
        lapic_send(target->ApicId, DPC_VECTOR);
    }
    return TRUE;
}

/*
 * The shared queue: the current CPU will be available when it lowers, an idle one is so already. With no idle CPU left every
 * CPU is asked, and the first whose IRQL falls below DISPATCH_LEVEL finds the object (DPC-5, DPC-7).
 */
static VOID KiRequestSharedDpc(VOID) {
    ULONG current = KiCurrentPrcb()->Number;
    ULONG after = current;
    KiRequestDpcInterrupt(current);
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

static KI_DPC_QUEUE *KiChooseDpcQueue(PKDPC dpc) {
    ULONG target = dpc->Number & 0xffu;
    if (target != 0) {
        return &KiPcr[target - 1].Prcb.DpcQueue;
    }
    ULONG placement = HostBootOptions.DpcPlacement;
    if (placement == DpcPlacementFirstAvailable ||
        (placement == DpcPlacementByRoutine && (dpc->Number & KI_DPC_DEVICE_BOUND) != 0)) {
        return &KiSharedDpcQueue;
    }
    return &KiCurrentPrcb()->DpcQueue;
}

static BOOLEAN KiDrainAtOnce(PKDPC dpc, const KI_DPC_QUEUE *queue) {
    if (queue->Cpu == DPC_ANY_CPU || queue->Depth >= KI_DPC_LOW_DEPTH) {
        return TRUE;
    }
    if (queue->Cpu == KiCurrentPrcb()->Number) {
        return dpc->Importance != LowImportance;
    }
    return dpc->Importance == HighImportance || dpc->Importance == MediumHighImportance;
}

/* home: the queue to use; NULL: the one that the object's target and the placement policy say. */
static BOOLEAN KiInsertDpc(PRKDPC Dpc, KI_DPC_QUEUE *home, PVOID SystemArgument1, PVOID SystemArgument2) {
    for (;;) {
        KIRQL irql = (KIRQL)__readcr8();
        __writecr8(HIGH_LEVEL); /* stay on this CPU while "current processor" means something */
        KI_DPC_QUEUE *chosen = home != NULL ? home : KiChooseDpcQueue(Dpc);
        KI_DPC_QUEUE *queue = __atomic_load_n((KI_DPC_QUEUE **)&Dpc->DpcData, __ATOMIC_ACQUIRE);
        if (queue == NULL) {
            queue = chosen;
        }
        KiAcquireLockAtHigh(&queue->Lock);
        PVOID found = NULL;
        BOOLEAN inserted = queue == chosen &&
            __atomic_compare_exchange_n((PVOID *)&Dpc->DpcData, &found, queue, FALSE, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE);
        if (!inserted && __atomic_load_n((PVOID *)&Dpc->DpcData, __ATOMIC_ACQUIRE) != queue) {
            KiReleaseLockFromHigh(&queue->Lock, irql); /* it left that queue meanwhile: look again */
            continue;
        }
        if (inserted) {
            Dpc->SystemArgument1 = SystemArgument1;
            Dpc->SystemArgument2 = SystemArgument2;
            if (Dpc->Importance == HighImportance) {
                InsertHeadList(&queue->List, &Dpc->DpcListEntry);
            } else {
                InsertTailList(&queue->List, &Dpc->DpcListEntry);
            }
            queue->Depth++;
        }
        trace(TraceDpcInsert, (ULONG64)Dpc, inserted | (ULONG64)queue->Cpu << 8 | (ULONG64)Dpc->Importance << 16);
        BOOLEAN request = inserted && KiDrainAtOnce(Dpc, queue);
        KiReleaseLockFromHigh(&queue->Lock, HIGH_LEVEL);
        if (request && queue->Cpu == DPC_ANY_CPU) {
            KiRequestSharedDpc();
        } else if (request) {
            KiRequestDpcInterrupt(queue->Cpu);
        }
        __writecr8(irql); /* below DISPATCH_LEVEL the DPC interrupt is taken here */
        return inserted;
    }
}

BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2) {
    return KiInsertDpc(Dpc, NULL, SystemArgument1, SystemArgument2);
}
NT_EXPORT(KeInsertQueueDpc);

BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC Dpc) {
    for (;;) {
        KI_DPC_QUEUE *queue = __atomic_load_n((KI_DPC_QUEUE **)&Dpc->DpcData, __ATOMIC_ACQUIRE);
        if (queue == NULL) {
            trace(TraceDpcRemove, (ULONG64)Dpc, FALSE);
            return FALSE;
        }
        KIRQL irql = KiAcquireLockAtHigh(&queue->Lock);
        BOOLEAN removed = Dpc->DpcData == queue;
        if (removed) {
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

/* Runs the first DPC of a queue. Returns FALSE if there was none. */
static BOOLEAN KiRunDpc(PKPRCB prcb, KI_DPC_QUEUE *queue) {
    KIRQL irql = KiAcquireLockAtHigh(&queue->Lock);
    if (IsListEmpty(&queue->List)) {
        KiReleaseLockFromHigh(&queue->Lock, irql);
        return FALSE;
    }
    PKDPC dpc = CONTAINING_RECORD(RemoveHeadList(&queue->List), KDPC, DpcListEntry);
    PKDEFERRED_ROUTINE routine = dpc->DeferredRoutine;
    PVOID context = dpc->DeferredContext;
    PVOID argument1 = dpc->SystemArgument1;
    PVOID argument2 = dpc->SystemArgument2;
    queue->Depth--;
    /* The record is made under the lock, yet carries the IRQL that the routine runs at: interrupts off in between. */
    ULONG64 flags = KiDisableInterrupts();
    __writecr8(irql);
    trace(TraceDpcStart, (ULONG64)dpc, (ULONG64)routine);
    /* Release: from here on another CPU may queue the object again, with other arguments. */
    __atomic_store_n((PVOID *)&dpc->DpcData, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&queue->Lock, 0, __ATOMIC_RELEASE);
    KiRestoreInterrupts(flags);
    prcb->CurrentDpc = dpc;
    prcb->DpcRoutineActive = TRUE;
    routine(dpc, context, argument1, argument2);
    prcb->DpcRoutineActive = FALSE;
    prcb->CurrentDpc = NULL;
    prcb->DpcCount++;
    trace(TraceDpcEnd, (ULONG64)dpc, (ULONG64)routine);
    return TRUE;
}

/* The DPC software interrupt, at DISPATCH_LEVEL, already acknowledged. */
static VOID KiDpcInterrupt(KI_TRAP_FRAME *frame, PVOID context) {
    UNREFERENCED_PARAMETER(frame);
    UNREFERENCED_PARAMETER(context);
    PKPRCB prcb = KiCurrentPrcb();
    /* Sequentially consistent, and before the queues are read: a request made after this sends another interrupt. */
    __atomic_store_n(&prcb->DpcRequested, 0, __ATOMIC_SEQ_CST);
    while (KiRunDpc(prcb, &prcb->DpcQueue) || KiRunDpc(prcb, &KiSharedDpcQueue)) {
    }
}

VOID KiConnectDpcInterrupt(VOID) {
    KiConnectVector(DPC_VECTOR, KiDpcInterrupt, NULL, TRUE);
}

VOID KiClockTickDpcs(PKPRCB prcb) {
    if (prcb->DpcQueue.Depth != 0) {
        KiRequestDpcInterrupt(prcb->Number);
    }
}

VOID NTAPI KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext) {
    Dpc->Type = KI_DPC_OBJECT;
    Dpc->Importance = MediumImportance;
    Dpc->Number = 0;
    Dpc->DeferredRoutine = DeferredRoutine;
    Dpc->DeferredContext = DeferredContext;
    Dpc->DpcData = NULL;
    /* IoInitializeDpcRequest is a macro over this routine: what it makes is the DPC inside the device object itself. */
    PDEVICE_OBJECT device = CONTAINING_RECORD(Dpc, DEVICE_OBJECT, Dpc);
    if (DeferredContext == device && device->Type == IO_TYPE_DEVICE) {
        Dpc->Number = KI_DPC_DEVICE_BOUND;
    }
}
NT_EXPORT(KeInitializeDpc);

VOID NTAPI KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance) {
    Dpc->Importance = (UCHAR)Importance;
}
NT_EXPORT(KeSetImportanceDpc);

VOID NTAPI KeSetTargetProcessorDpc(PRKDPC Dpc, CCHAR Number) {
    if (Number >= 0 && (ULONG)Number < KiProcessorCount) {
        Dpc->Number = (USHORT)((Dpc->Number & KI_DPC_DEVICE_BOUND) | (Number + 1));
    }
}
NT_EXPORT(KeSetTargetProcessorDpc);

static VOID NTAPI KiFlushMarker(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    /* Release: what the DPCs before this one did is visible to whoever sees the count. */
    __atomic_add_fetch((volatile LONG *)DeferredContext, 1, __ATOMIC_RELEASE);
}

static VOID KiAwaitMarkers(const volatile LONG *passed, LONG wanted) {
    while (__atomic_load_n(passed, __ATOMIC_ACQUIRE) != wanted) {
        _mm_pause();
    }
}

/*
 * A marker at the end of the shared queue: when it runs, what was before it has been taken by some CPU. Then one at the end
 * of each CPU's own queue: a CPU comes to it only when the DPC that it was running has returned.
 */
VOID NTAPI KeFlushQueuedDpcs(VOID) {
    static KDPC markers[MAXIMUM_CPUS]; /* one flush at a time: requests and unloads come from one thread */
    volatile LONG passed = 0;
    KeInitializeDpc(&markers[0], KiFlushMarker, (PVOID)&passed);
    KiInsertDpc(&markers[0], &KiSharedDpcQueue, NULL, NULL);
    KiAwaitMarkers(&passed, 1);
    for (ULONG cpu = 0; cpu < KiProcessorCount; cpu++) {
        KeInitializeDpc(&markers[cpu], KiFlushMarker, (PVOID)&passed);
        markers[cpu].Importance = MediumHighImportance; /* the tail, and drained at once on another CPU too */
        KiInsertDpc(&markers[cpu], &KiPcr[cpu].Prcb.DpcQueue, NULL, NULL);
    }
    KiAwaitMarkers(&passed, 1 + (LONG)KiProcessorCount);
}
NT_EXPORT(KeFlushQueuedDpcs);
