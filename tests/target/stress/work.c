/* SPDX-License-Identifier: Apache-2.0 */
/* Work items: queued at random on all queues, from threads, from DISPATCH_LEVEL and from their own routines; each runs once for it. */
#include <ntddk.h>

#include "stress.h"

#define ITEMS 40

typedef struct _WORK {
    WORK_QUEUE_ITEM Item;
    RANDOM Numbers;
    ULONG Left; /* times that it queues itself again */
    volatile LONG Active;
} WORK;

static WORK Work[STRESS_THREADS][ITEMS];
static volatile LONG Queued;
static volatile LONG Ran;
static KEVENT Done;
static volatile LONG Producing;

static VOID QueueWork(WORK *work, RANDOM *numbers) {
    static const WORK_QUEUE_TYPE types[] = {DelayedWorkQueue, CriticalWorkQueue, DelayedWorkQueue,
                                            HyperCriticalWorkQueue};
    InterlockedIncrement(&Queued);
    ExQueueWorkItem(&work->Item, types[Random(numbers, RTL_NUMBER_OF(types))]);
}

static VOID EndIfDone(VOID) {
    if (Producing == 0 && Ran == Queued) {
        KeSetEvent(&Done, 0, FALSE);
    }
}

static VOID NTAPI WorkRoutine(PVOID Parameter) {
    WORK *work = Parameter;
    LARGE_INTEGER soon = {.QuadPart = -1};
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(InterlockedIncrement(&work->Active), 1);
    if (Random(&work->Numbers, 8) == 0) {
        KeDelayExecutionThread(KernelMode, FALSE, &soon);
    } else {
        StressPause(&work->Numbers);
    }
    InterlockedDecrement(&work->Active);
    if (work->Left != 0) {
        RANDOM numbers = work->Numbers; /* it may run again before the call has returned */
        work->Left--;
        Random(&work->Numbers, 2);
        QueueWork(work, &numbers);
    }
    InterlockedIncrement(&Ran);
    EndIfDone();
}

static VOID NTAPI QueuesWork(PVOID Context) {
    STRESS *stress = Context;
    for (ULONG i = 0; i < ITEMS; i++) {
        WORK *work = &Work[stress->Number][i];
        KIRQL old;
        ExInitializeWorkItem(&work->Item, WorkRoutine, work);
        work->Numbers.State = stress->Numbers.State + i;
        work->Left = Random(&stress->Numbers, 4);
        work->Active = 0;
        KeRaiseIrql((KIRQL)Random(&stress->Numbers, DISPATCH_LEVEL + 1), &old);
        QueueWork(work, &stress->Numbers);
        KeLowerIrql(old);
        StressPause(&stress->Numbers);
    }
    InterlockedDecrement(&Producing);
    EndIfDone();
}

TARGET_CASE("WORK-1 WORK-2", stress_of_work_items, FAST_TICKS) {
    static STRESS stress[STRESS_THREADS];
    Queued = Ran = 0;
    Producing = STRESS_THREADS;
    KeInitializeEvent(&Done, NotificationEvent, FALSE);
    StartStress(stress, StressSeed("work items"), QueuesWork, STRESS_THREADS);
    EndStress(stress, STRESS_THREADS);
    ASSERT_EQ(WaitFor(&Done), STATUS_SUCCESS);
    ASSERT_GE(Ran, STRESS_THREADS * ITEMS);
    ASSERT_EQ(Ran, Queued);
}
