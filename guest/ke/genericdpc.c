/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DPC on every processor at once. The routines meet each other at barriers, so two calls under way together could wait
 * for each other's processors: there is one at a time. It ends when its last routine signals, not when its caller notices,
 * because a threaded DPC above that caller may be the next to call.
 */
#include "../include/mutant.h"
#include "ki.h"

typedef struct _KI_GENERIC_CALL {
    volatile LONG Busy;      /* a call is under way */
    volatile LONG Remaining; /* processors that have not signalled Done */
    volatile LONG Arrived;   /* at the barrier */
    volatile LONG Round;     /* of the barrier: it opens when this changes */
    LONG Processors;
    volatile LONG *Complete; /* the caller's own word, on its stack */
    KDPC Dpc[MAXIMUM_CPUS];
} KI_GENERIC_CALL;

static KI_GENERIC_CALL KiGenericCall;

/*
 * Below DISPATCH_LEVEL in, DISPATCH_LEVEL out, the call taken. Waits below, because the call ahead has a DPC for this CPU
 * too; takes it at DISPATCH_LEVEL, because a threaded DPC above its holder that wants the next call would wait for ever.
 */
static KIRQL KiBeginGenericCall(KI_GENERIC_CALL *call) {
    for (;;) {
        KIRQL irql = KiRaiseIrql(DISPATCH_LEVEL, KI_CALLER);
        /* Acquire: what the last call's end left is seen. */
        if (__atomic_exchange_n(&call->Busy, 1, __ATOMIC_ACQUIRE) == 0) {
            return irql;
        }
        KiLowerIrql(irql, KI_CALLER);
        while (__atomic_load_n(&call->Busy, __ATOMIC_RELAXED) != 0) {
            _mm_pause();
        }
    }
}

VOID NTAPI KeGenericCallDpc(PKDEFERRED_ROUTINE Routine, PVOID Context) {
    KI_GENERIC_CALL *call = &KiGenericCall;
    volatile LONG complete = FALSE;
    KIRQL irql = KiBeginGenericCall(call);
    call->Complete = &complete;
    call->Processors = call->Remaining = (LONG)KiProcessorCount;
    call->Arrived = 0;
    ULONG here = KiCurrentPrcb()->Number;
    for (ULONG i = 1; i <= KiProcessorCount; i++) { /* this CPU last */
        ULONG cpu = (here + i) % KiProcessorCount;
        if (MUTANT(DpcGenericSkipsOne, "DPC-4", "KeGenericCallDpc leaves out the calling processor") && cpu == here) {
            KeSignalCallDpcDone(call);
            break;
        }
        PKDPC dpc = &call->Dpc[cpu];
        KeInitializeDpc(dpc, Routine, Context);
        KeSetTargetProcessorDpc(dpc, (CCHAR)cpu);
        KeSetImportanceDpc(dpc, HighImportance);
        KeInsertQueueDpc(dpc, call, call);
    }
    KiLowerIrql(irql, KI_CALLER); /* its own DPC runs here */
    if (MUTANT(DpcGenericDoesNotWait, "DPC-14", "KeGenericCallDpc does not wait for the other processors")) {
        return;
    }
    /* Acquire: what the routines did is visible. */
    while (__atomic_load_n(&complete, __ATOMIC_ACQUIRE) == FALSE) {
        _mm_pause();
    }
}
NT_EXPORT(KeGenericCallDpc);

VOID NTAPI KeSignalCallDpcDone(PVOID SystemArgument1) {
    KI_GENERIC_CALL *call = SystemArgument1;
    /* Acquire and release: the last one passes on what all did before. */
    if (__atomic_sub_fetch(&call->Remaining, 1, __ATOMIC_ACQ_REL) == 0) {
        volatile LONG *complete = call->Complete;
        __atomic_store_n(&call->Busy, 0, __ATOMIC_RELEASE);
        __atomic_store_n(complete, TRUE, __ATOMIC_RELEASE);
    }
}
NT_EXPORT(KeSignalCallDpcDone);

LOGICAL NTAPI KeSignalCallDpcSynchronize(PVOID SystemArgument2) {
    KI_GENERIC_CALL *call = SystemArgument2;
    if (MUTANT(DpcSynchronizeOpen, "DPC-4", "KeSignalCallDpcSynchronize waits for nobody")) {
        return FALSE;
    }
    /* The round is read before this CPU counts as arrived: it cannot change in between. */
    LONG round = __atomic_load_n(&call->Round, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&call->Arrived, 1, __ATOMIC_ACQ_REL) == call->Processors) {
        __atomic_store_n(&call->Arrived, 0, __ATOMIC_RELAXED); /* ordered by the next store */
        __atomic_store_n(&call->Round, round + 1, __ATOMIC_RELEASE);
        return TRUE;
    }
    while (__atomic_load_n(&call->Round, __ATOMIC_ACQUIRE) == round) {
        _mm_pause();
    }
    return FALSE;
}
NT_EXPORT(KeSignalCallDpcSynchronize);
