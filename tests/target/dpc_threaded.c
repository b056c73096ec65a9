/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threaded DPCs: at PASSIVE_LEVEL in a thread of their CPU's own, above whatever was there, after the ordinary ones and
 * below them.
 */
#include "dpccase.h"

static NOTED Notes[8], Ordinary;
static volatile LONG Go, In;

static VOID PrepareThreaded(NOTED *Noted) {
    Prepare(Noted);
    KeInitializeThreadedDpc(&Noted->Dpc, NoteDpc, Noted);
}

static VOID NTAPI ThreadedHere(PVOID Context) {
    NOTED *mine = &Notes[(ULONG_PTR)Context % 8];
    PrepareThreaded(mine);
    ASSERT_EQ(KeInsertQueueDpc(&mine->Dpc, (PVOID)0x55, (PVOID)0x66), TRUE);
    WAIT_UNTIL(mine->Runs);
    ASSERT_EQ(mine->Irql, PASSIVE_LEVEL);
    ASSERT_EQ(mine->Cpu, (ULONG_PTR)Context);
    ASSERT_EQ(mine->Argument1, 0x55);
    ASSERT_EQ(mine->Argument2, 0x66);
    ASSERT_NE(mine->Thread, NULL);
    ASSERT_NE(mine->Thread, KeGetCurrentThread());
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("DPC-15", in_a_thread_at_passive_level_on_every_cpu, "placement=routine,first-available,current") {
    OnEveryCpu(ThreadedHere);
    for (ULONG cpu = 1; cpu < TargetCpus() && cpu < 8; cpu++) {
        ASSERT_NE(Notes[cpu].Thread, Notes[0].Thread); /* one thread for each CPU */
    }
    PKTHREAD first = Notes[0].Thread;
    ThreadedHere(NULL);
    ASSERT_EQ(Notes[0].Thread, first); /* and always the same one */
}

TARGET_CASE("DPC-15", not_while_the_irql_is_dispatch_or_above, "") {
    KIRQL irql;
    PrepareThreaded(&Notes[0]);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    ASSERT_EQ(Queue(&Notes[0]), FALSE);
    Settle();
    ASSERT_EQ(Notes[0].Runs, 0);
    KeLowerIrql(APC_LEVEL);
    WAIT_UNTIL(Notes[0].Runs);
    ASSERT_EQ(Notes[0].Irql, PASSIVE_LEVEL);
    KeLowerIrql(irql);
}

TARGET_CASE("DPC-15", after_the_ordinary_ones_and_high_importance_first, "") {
    static const KDPC_IMPORTANCE importance[] = {MediumImportance, LowImportance, HighImportance, MediumHighImportance,
                                                 HighImportance};
    static const LONG order[] = {4, 5, 3, 6, 2}; /* the ordinary one is the first */
    KIRQL irql;
    Prepare(&Ordinary);
    KeSetImportanceDpc(&Ordinary.Dpc, LowImportance);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    for (ULONG i = 0; i < RTL_NUMBER_OF(order); i++) {
        PrepareThreaded(&Notes[i]);
        KeSetImportanceDpc(&Notes[i].Dpc, importance[i]);
        ASSERT_EQ(Queue(&Notes[i]), TRUE);
    }
    ASSERT_EQ(Queue(&Ordinary), TRUE);
    KeLowerIrql(irql);
    WAIT_UNTIL(NotedRuns == RTL_NUMBER_OF(order) + 1);
    ASSERT_EQ(Ordinary.Order, 1);
    for (ULONG i = 0; i < RTL_NUMBER_OF(order); i++) {
        ASSERT_EQ(Notes[i].Order, order[i]);
    }
}

/* Importance does not affect when: low is not deferred, here or on another CPU, on a machine whose clock does not tick. */
TARGET_CASE("DPC-15", importance_says_nothing_of_when, "clock=500000000") {
    for (ULONG i = 0; i < 8; i++) {
        for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
            PrepareThreaded(&Notes[0]);
            KeSetTargetProcessorDpc(&Notes[0].Dpc, (CCHAR)cpu);
            KeSetImportanceDpc(&Notes[0].Dpc, LowImportance);
            ASSERT_EQ(Queue(&Notes[0]), TRUE);
            WAIT_UNTIL(Notes[0].Runs);
            ASSERT_EQ(Notes[0].Cpu, cpu);
        }
    }
}

static VOID NTAPI WaitForTheOthers(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    PKTHREAD thread = KeGetCurrentThread();
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    In = TRUE;
    Prepare(&Ordinary);
    ASSERT_EQ(Queue(&Ordinary), TRUE);
    WAIT_UNTIL(Ordinary.Runs); /* an ordinary DPC of this CPU preempts it */
    ASSERT_EQ(Ordinary.Thread, thread);
    ASSERT_EQ(Ordinary.Irql, DISPATCH_LEVEL);
    ASSERT_EQ(Ordinary.Cpu, 0);
    PrepareThreaded(&Notes[1]);
    ASSERT_EQ(Queue(&Notes[1]), TRUE); /* another threaded one does not */
    Settle();
    ASSERT_EQ(Notes[1].Runs, 0);
    DirqlInterrupt(0, (ULONG)(ULONG_PTR)Context);
    WAIT_UNTIL(Go); /* nor does it keep interrupts out */
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(KeGetCurrentThread(), thread);
    NoteDpc(&Notes[0].Dpc, NULL, NULL, NULL);
}

static BOOLEAN NTAPI LetItGo(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    UNREFERENCED_PARAMETER(Interrupt);
    UNREFERENCED_PARAMETER(ServiceContext);
    Go = TRUE;
    return TRUE;
}

TARGET_CASE("DPC-15", preempted_by_interrupts_and_ordinary_ones_only, "placement=routine,current oracle=DPC-4,INT-1") {
    PKINTERRUPT interrupt;
    ULONG vector = DirqlAllocateVector(5);
    ASSERT_EQ(IoConnectInterrupt(&interrupt, LetItGo, NULL, NULL, vector, 5, 5, Latched, FALSE,
                                 KeQueryActiveProcessors(), FALSE),
              STATUS_SUCCESS);
    Prepare(&Notes[0]);
    Go = In = FALSE;
    KeInitializeThreadedDpc(&Notes[0].Dpc, WaitForTheOthers, (PVOID)(ULONG_PTR)vector);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    WAIT_UNTIL(Notes[0].Runs && Notes[1].Runs);
    ASSERT_LT(Notes[0].Order, Notes[1].Order);
    IoDisconnectInterrupt(interrupt);
    DirqlFreeVector(vector);
}

/* What it interrupts keeps its stack: a threaded DPC that fills its own leaves these words alone. */
static volatile ULONG64 *Interrupted;

static VOID NTAPI LookAtTheStack(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
    volatile ULONG64 words[64];
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    for (ULONG i = 0; i < RTL_NUMBER_OF(words); i++) {
        words[i] = i;
    }
    ULONG64 distance = words > Interrupted ? (ULONG64)(words - Interrupted) : (ULONG64)(Interrupted - words);
    ASSERT_GT(distance * sizeof *words, 0x4000); /* not on the stack that it interrupted */
    NoteDpc(Dpc, NULL, NULL, NULL);
}

TARGET_CASE("DPC-15", on_a_stack_of_its_own, "") {
    volatile ULONG64 word = 0;
    Interrupted = &word;
    Prepare(&Notes[0]);
    KeInitializeThreadedDpc(&Notes[0].Dpc, LookAtTheStack, NULL);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    WAIT_UNTIL(Notes[0].Runs);
    Interrupted = NULL;
}

TARGET_CASE("DPC-15 DPC-12", a_removed_threaded_dpc_never_runs, "") {
    KIRQL irql;
    PrepareThreaded(&Notes[0]);
    PrepareThreaded(&Notes[1]);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    ASSERT_EQ(Queue(&Notes[1]), TRUE);
    ASSERT_EQ(KeRemoveQueueDpc(&Notes[0].Dpc), TRUE);
    ASSERT_EQ(KeRemoveQueueDpc(&Notes[0].Dpc), FALSE);
    KeLowerIrql(irql);
    WAIT_UNTIL(Notes[1].Runs);
    Settle();
    ASSERT_EQ(Notes[0].Runs, 0);
}

TARGET_CASE("DPC-15", switched_off_it_is_an_ordinary_one, "threaded=off oracle=DPC-4") {
    PrepareThreaded(&Notes[0]);
    ASSERT_EQ(Queue(&Notes[0]), TRUE);
    WAIT_UNTIL(Notes[0].Runs);
    ASSERT_EQ(Notes[0].Irql, DISPATCH_LEVEL);
    ASSERT_EQ(Notes[0].Thread, KeGetCurrentThread());
}

TARGET_DRIVER
