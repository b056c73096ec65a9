/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel APCs: routines that a thread calls at the next moment at which nothing holds them back (driver/apc.h, nt/apc.h). What
 * says so is the APC software interrupt, which stays pending in the local APIC behind CR8 until the IRQL is below APC_LEVEL. It
 * belongs to a CPU and an APC to a thread, so whoever gets a CPU and has one pending asks for it anew, and an interrupt
 * that comes to the wrong thread finds nothing.
 *
 * The lists are the dispatcher's, the counts of regions the thread's own. Somebody who queues to a thread that runs always
 * interrupts it, whatever its counts say at that moment: if it leaves its region before the interrupt comes it sees the
 * pending APC by itself, if after, the interrupt finds the count raised. A thread that waits changes no count.
 */
#include "apc.h"

#include "../hal/hal.h"
#include "../include/mutant.h"

static BOOLEAN KiIsSpecial(const KAPC *apc) {
    return apc->NormalRoutine == NULL;
}

/* The first one, if nothing holds it back: where the first must wait, those behind it must too. */
static PKAPC KiFirstApc(const KTHREAD *thread) {
    const KI_APC_STATE *state = &thread->Apc;
    if (IsListEmpty(&state->List) ||
        (state->SpecialApcDisable != 0 &&
         !MUTANT(ApcInGuardedRegion, "APC-2 IRQL-10", "a special APC is delivered in a guarded region"))) {
        return NULL;
    }
    PKAPC apc = CONTAINING_RECORD(state->List.Flink, KAPC, ApcListEntry);
    if (KiIsSpecial(apc)) {
        return apc;
    }
    if (state->KernelApcDisable != 0 &&
        !MUTANT(ApcInCriticalRegion, "APC-2 MUT-3", "a normal APC is delivered in a critical region")) {
        return NULL;
    }
    if (state->NormalInProgress && !MUTANT(ApcNormalNests, "APC-1", "a normal APC interrupts the routine of another")) {
        return NULL;
    }
    return apc;
}

BOOLEAN KiApcDeliverable(const KTHREAD *thread) {
    return KiFirstApc(thread) != NULL;
}

static VOID KiTakeOut(PKTHREAD thread, PKAPC apc) {
    RemoveEntryList(&apc->ApcListEntry);
    thread->Apc.Pending = !IsListEmpty(&thread->Apc.List);
    /* Release: whoever sees it free may write it at once. */
    __atomic_store_n(&apc->Inserted, FALSE, __ATOMIC_RELEASE);
}

static VOID KiInsertApc(PKTHREAD thread, PKAPC apc) {
    PLIST_ENTRY next = &thread->Apc.List;
    if (KiIsSpecial(apc) && !MUTANT(ApcSpecialLast, "APC-1", "a special APC waits behind normal ones")) {
        for (next = next->Flink; next != &thread->Apc.List; next = next->Flink) {
            if (!KiIsSpecial(CONTAINING_RECORD(next, KAPC, ApcListEntry))) {
                break;
            }
        }
    }
    InsertTailList(next, &apc->ApcListEntry); /* before it */
    apc->Inserted = TRUE;
    thread->Apc.Pending = TRUE;
}

static VOID KiInterruptThread(PKTHREAD thread, KPRIORITY increment) {
    if (thread->State == KiThreadRunning) {
        PKPRCB prcb = &KiPcr[thread->Processor].Prcb;
        if (prcb == KiCurrentPrcb()) {
            lapic_self(APC_VECTOR);
        } else {
            trace(TraceIpiSend, APC_VECTOR, prcb->Number);
            lapic_send(prcb->ApicId, APC_VECTOR);
        }
    } else if (thread->State == KiThreadWaiting && thread->WaitBlock != NULL && thread->WaitIrql < APC_LEVEL &&
               KiApcDeliverable(thread) &&
               !MUTANT(ApcLeavesWaiting, "APC-4", "an APC does not reach a thread that waits")) {
        KiEndWait(thread, KI_WAIT_AGAIN, increment);
    }
    /* Ready or about to run: it is asked for when the thread is given its CPU. */
}

VOID KiRequestApc(PKTHREAD thread) {
    KiInterruptThread(thread, 0);
}

/* What it asks for takes place when it is over, in the thread that it interrupted (ke/trap.c). */
static VOID KiApcInterrupt(KI_TRAP_FRAME *frame, PVOID context) {
    UNREFERENCED_PARAMETER(frame);
    UNREFERENCED_PARAMETER(context);
}

VOID KiConnectApcInterrupt(VOID) {
    KiConnectVector(APC_VECTOR, KiApcInterrupt, NULL, FALSE);
}

/* 0xC8: current IRQL << 16 | expected << 8 | which routine, KernelRoutine, APC, NormalRoutine (bug-check-0xc8). */
static VOID KiCheckReturn(KIRQL expected, ULONG which, PKKERNEL_ROUTINE kernel, PKAPC apc, PKNORMAL_ROUTINE normal) {
    KIRQL irql = (KIRQL)__readcr8();
    if (irql != expected) {
        KeBugCheckEx(IRQL_UNEXPECTED_VALUE, (ULONG64)irql << 16 | (ULONG64)expected << 8 | which, (ULONG64)kernel,
                     (ULONG64)apc, (ULONG64)normal);
    }
}

/* APC_LEVEL in and out. FALSE: there was none to deliver. */
static BOOLEAN KiRunApc(PKTHREAD thread) {
    KIRQL irql = KiLockDispatcher();
    PKAPC apc = KiFirstApc(thread);
    if (apc == NULL) {
        KiUnlockDispatcher(irql);
        return FALSE;
    }
    PKKERNEL_ROUTINE kernel = apc->KernelRoutine;
    PKNORMAL_ROUTINE normal = apc->NormalRoutine;
    PVOID context = apc->NormalContext;
    PVOID argument1 = apc->SystemArgument1;
    PVOID argument2 = apc->SystemArgument2;
    BOOLEAN special = KiIsSpecial(apc);
    KiTakeOut(thread, apc);
    thread->Apc.NormalInProgress = (BOOLEAN)(thread->Apc.NormalInProgress || !special);
    KiUnlockDispatcher(irql);

    /* From here on the object is its owner's, and may be queued again. */
    trace(TraceApcStart, (ULONG64)apc, (ULONG64)kernel);
    kernel(apc, &normal, &context, &argument1, &argument2);
    KiCheckReturn(APC_LEVEL, 0, kernel, apc, normal);
    trace(TraceApcEnd, (ULONG64)apc, (ULONG64)kernel);
    if (special) {
        return TRUE;
    }
    if (normal != NULL) {
        KIRQL level = MUTANT(ApcNormalAtApcLevel, "APC-1 IRQL-8", "the normal routine of an APC runs at APC_LEVEL")
            ? APC_LEVEL
            : PASSIVE_LEVEL;
        __writecr8(level);
        trace(TraceApcStart, (ULONG64)apc, (ULONG64)normal);
        normal(context, argument1, argument2);
        KiCheckReturn(level, 1, kernel, apc, normal);
        trace(TraceApcEnd, (ULONG64)apc, (ULONG64)normal);
        __writecr8(APC_LEVEL);
    }
    thread->Apc.NormalInProgress = FALSE;
    return TRUE;
}

VOID KiDeliverApcs(KIRQL irql) {
    PKTHREAD thread = KeGetCurrentThread();
    __writecr8(APC_LEVEL);
    _enable();
    while (KiRunApc(thread)) {
    }
    _disable();
    /* What comes between the last look and here waits in the local APIC until the caller's interrupts are on. */
    __writecr8(irql);
}

VOID KiDeliverHeldApcs(PKTHREAD thread) {
    /* Acquire: pairs with the dispatcher lock that it was queued under. */
    if (!__atomic_load_n(&thread->Apc.Pending, __ATOMIC_ACQUIRE) || thread->Apc.SpecialApcDisable != 0 ||
        MUTANT(ApcForgotten, "APC-3", "what a region held back is not delivered when it is left")) {
        return;
    }
    if (__readcr8() >= APC_LEVEL) {
        lapic_self(APC_VECTOR); /* the interrupt of its insertion may have come and gone */
        return;
    }
    ULONG64 flags = KiDisableInterrupts();
    KiDeliverApcs(PASSIVE_LEVEL);
    KiRestoreInterrupts(flags);
}

VOID KiEndApcs(PKTHREAD thread) {
    KIRQL irql = KiLockDispatcher();
    KiAbandonMutexes(thread); /* each of them held normal ones back */
    while (irql < APC_LEVEL && KiApcDeliverable(thread)) {
        KiUnlockDispatcher(irql);
        KiDeliverHeldApcs(thread);
        irql = KiLockDispatcher();
        KiAbandonMutexes(thread);
    }
    const KI_APC_STATE *state = &thread->Apc;
    if (irql != PASSIVE_LEVEL || !IsListEmpty(&state->List) || state->KernelApcDisable != 0 ||
        state->SpecialApcDisable != 0) {
        PKAPC apc = IsListEmpty(&state->List) ? NULL : CONTAINING_RECORD(state->List.Flink, KAPC, ApcListEntry);
        KeBugCheckEx(KERNEL_APC_PENDING_DURING_EXIT, (ULONG64)apc, (ULONG64)(LONG64)state->KernelApcDisable, irql,
                     (ULONG64)(LONG64)state->SpecialApcDisable);
    }
}

VOID NTAPI KeInitializeApc(PRKAPC Apc, PKTHREAD Thread, KAPC_ENVIRONMENT Environment, PKKERNEL_ROUTINE KernelRoutine,
                           PKRUNDOWN_ROUTINE RundownRoutine, PKNORMAL_ROUTINE NormalRoutine, KPROCESSOR_MODE ApcMode,
                           PVOID NormalContext) {
    RtlZeroMemory(Apc, sizeof *Apc);
    Apc->Type = KI_APC_OBJECT;
    Apc->Size = sizeof *Apc;
    Apc->Thread = Thread;
    Apc->ApcStateIndex = (CCHAR)Environment;
    Apc->KernelRoutine = KernelRoutine;
    Apc->RundownRoutine = RundownRoutine;
    Apc->NormalRoutine = NormalRoutine;
    Apc->ApcMode = NormalRoutine != NULL ? ApcMode : KernelMode;
    Apc->NormalContext = NormalRoutine != NULL ? NormalContext : NULL;
}
NT_EXPORT(KeInitializeApc);
NT_PARTIAL(KeInitializeApc,
           "an APC of UserMode is never queued: no thread runs in user mode; RundownRoutine is kept and never called");

BOOLEAN NTAPI KeInsertQueueApc(PRKAPC Apc, PVOID SystemArgument1, PVOID SystemArgument2, KPRIORITY Increment) {
    PKTHREAD thread = Apc->Thread;
    KIRQL irql = KiLockDispatcher();
    if (Apc->Inserted || Apc->ApcMode != KernelMode || thread->State == KiThreadTerminated) {
        KiUnlockDispatcher(irql);
        return FALSE;
    }
    Apc->SystemArgument1 = SystemArgument1;
    Apc->SystemArgument2 = SystemArgument2;
    KiInsertApc(thread, Apc);
    KiInterruptThread(thread, Increment);
    KiUnlockDispatcher(irql);
    return TRUE;
}
NT_EXPORT(KeInsertQueueApc);

BOOLEAN NTAPI KeRemoveQueueApc(PRKAPC Apc) {
    KIRQL irql = KiLockDispatcher();
    BOOLEAN queued = Apc->Inserted;
    if (queued) {
        KiTakeOut(Apc->Thread, Apc);
    }
    KiUnlockDispatcher(irql);
    return queued;
}
NT_EXPORT(KeRemoveQueueApc);
