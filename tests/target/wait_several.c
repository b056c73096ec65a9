/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for several objects: any of them, all of them, and what each takes. */
#include "threads.h"

#define MOST MAXIMUM_WAIT_OBJECTS

static KEVENT Events[MOST];
static KSEMAPHORE Semaphore;
static KMUTEX Mutex, Second;
static KTIMER Timer;
static PVOID Objects[MOST + 1];
static KWAIT_BLOCK Blocks[MOST];

/* A worker that waits once for some of Objects. */
typedef struct _SEVERAL {
    WORKER Worker;
    ULONG Count;
    WAIT_TYPE Type;
    LONGLONG Time; /* 1: for ever */
    PKWAIT_BLOCK Blocks;
    volatile NTSTATUS Status;
    volatile LONG Done;
} SEVERAL;

static SEVERAL Waiter;

static NTSTATUS WaitSeveral(ULONG Count, WAIT_TYPE Type, LONGLONG Time) {
    LARGE_INTEGER timeout = {.QuadPart = Time};
    return KeWaitForMultipleObjects(Count, Objects, Type, Executive, KernelMode, FALSE, Time == 1 ? NULL : &timeout,
                                    Count > THREAD_WAIT_OBJECTS ? Blocks : NULL);
}

static VOID NTAPI SeveralRoutine(PVOID Context) {
    SEVERAL *several = Context;
    LARGE_INTEGER timeout = {.QuadPart = several->Time};
    several->Status = KeWaitForMultipleObjects(several->Count, Objects, several->Type, Executive, KernelMode, FALSE,
                                               several->Time == 1 ? NULL : &timeout, several->Blocks);
    several->Done = TRUE;
}

static VOID StartSeveral(SEVERAL *Several, ULONG Count, WAIT_TYPE Type, LONGLONG Time, ULONG Cpu) {
    Several->Count = Count;
    Several->Type = Type;
    Several->Time = Time;
    Several->Blocks = Count > THREAD_WAIT_OBJECTS ? Blocks : NULL;
    Several->Status = STATUS_PENDING;
    Several->Done = FALSE;
    StartWorker(&Several->Worker, SeveralRoutine, Several, ABOVE, ON(Cpu));
    WAIT_UNTIL(Waits(Several->Worker.Thread));
}

static NTSTATUS EndSeveral(SEVERAL *Several) {
    EndWorker(&Several->Worker);
    return Several->Status;
}

static VOID PrepareEvents(ULONG Count, EVENT_TYPE Type) {
    for (ULONG i = 0; i < Count; i++) {
        KeInitializeEvent(&Events[i], Type, FALSE);
        Objects[i] = &Events[i];
    }
}

TARGET_CASE("WAIT-2", any_takes_the_lowest_that_is_there_and_no_other, "") {
    PrepareEvents(3, SynchronizationEvent);
    ASSERT_EQ(WaitSeveral(3, WaitAny, 0), STATUS_TIMEOUT);
    KeSetEvent(&Events[2], 0, FALSE);
    KeSetEvent(&Events[1], 0, FALSE);
    ASSERT_EQ(WaitSeveral(3, WaitAny, 1), STATUS_WAIT_1);
    ASSERT_EQ(KeReadStateEvent(&Events[1]), 0);
    ASSERT_NE(KeReadStateEvent(&Events[2]), 0);
    KeSetEvent(&Events[0], 0, FALSE);
    ASSERT_EQ(WaitSeveral(3, WaitAny, 0), STATUS_WAIT_0);
    ASSERT_EQ(WaitSeveral(3, WaitAny, 1), STATUS_WAIT_2);
    ASSERT_EQ(WaitSeveral(3, WaitAny, 0), STATUS_TIMEOUT);
}

TARGET_CASE("WAIT-2", any_tells_which_one_came, "") {
    for (ULONG i = 0; i < 3; i++) {
        PrepareEvents(3, SynchronizationEvent);
        StartSeveral(&Waiter, 3, WaitAny, 1, CPU_OF(i));
        ASSERT_FALSE(Waiter.Done);
        KeSetEvent(&Events[i], 0, FALSE);
        ASSERT_EQ(EndSeveral(&Waiter), STATUS_WAIT_0 + (NTSTATUS)i);
        for (ULONG each = 0; each < 3; each++) {
            ASSERT_EQ(KeReadStateEvent(&Events[each]), 0);
            KeSetEvent(&Events[each], 0, FALSE); /* nobody waits for the others any more */
            ASSERT_NE(KeReadStateEvent(&Events[each]), 0);
        }
    }
}

TARGET_CASE("WAIT-2", all_takes_nothing_until_all_are_there, "") {
    PrepareEvents(3, SynchronizationEvent);
    StartSeveral(&Waiter, 3, WaitAll, 1, CPU_OF(1));
    KeSetEvent(&Events[0], 0, FALSE);
    KeSetEvent(&Events[2], 0, FALSE);
    ASSERT_TRUE(Waits(Waiter.Worker.Thread));
    ASSERT_NE(KeReadStateEvent(&Events[0]), 0);
    ASSERT_EQ(TryFor(&Events[0]), STATUS_SUCCESS); /* another one takes it */
    KeSetEvent(&Events[1], 0, FALSE);
    ASSERT_TRUE(Waits(Waiter.Worker.Thread));
    ASSERT_NE(KeReadStateEvent(&Events[1]), 0);
    ASSERT_NE(KeReadStateEvent(&Events[2]), 0);
    KeSetEvent(&Events[0], 0, FALSE);
    ASSERT_EQ(EndSeveral(&Waiter), STATUS_SUCCESS);
    for (ULONG i = 0; i < 3; i++) {
        ASSERT_EQ(KeReadStateEvent(&Events[i]), 0);
    }
}

TARGET_CASE("WAIT-2", all_at_once_where_all_are_there, "") {
    PrepareEvents(2, SynchronizationEvent);
    KeInitializeSemaphore(&Semaphore, 2, 2);
    Objects[2] = &Semaphore;
    KeSetEvent(&Events[0], 0, FALSE);
    ASSERT_EQ(WaitSeveral(3, WaitAll, 0), STATUS_TIMEOUT);
    ASSERT_NE(KeReadStateEvent(&Events[0]), 0);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 2);
    KeSetEvent(&Events[1], 0, FALSE);
    ASSERT_EQ(WaitSeveral(3, WaitAll, 0), STATUS_SUCCESS);
    ASSERT_EQ(KeReadStateEvent(&Events[0]), 0);
    ASSERT_EQ(KeReadStateEvent(&Events[1]), 0);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 1);
}

/* Who wants all and cannot have them does not stand in the way of who wants one. */
TARGET_CASE("WAIT-2 EVT-5", who_wants_one_passes_who_wants_all, "") {
    static WAITER one;
    PrepareEvents(2, SynchronizationEvent);
    Ended = 0;
    StartSeveral(&Waiter, 2, WaitAll, 1, CPU_OF(1));
    StartWaiter(&one, &Events[0], ABOVE, 0);
    KeSetEvent(&Events[0], 0, FALSE);
    EndWaiter(&one);
    ASSERT_TRUE(Waits(Waiter.Worker.Thread));
    KeSetEvent(&Events[1], 0, FALSE);
    ASSERT_TRUE(Waits(Waiter.Worker.Thread));
    KeSetEvent(&Events[0], 0, FALSE);
    ASSERT_EQ(EndSeveral(&Waiter), STATUS_SUCCESS);
}

TARGET_CASE("WAIT-2 WAIT-1", a_timeout_takes_nothing, FAST_TICKS) {
    PrepareEvents(3, SynchronizationEvent);
    KeSetEvent(&Events[0], 0, FALSE);
    KeSetEvent(&Events[1], 0, FALSE);
    ASSERT_EQ(WaitSeveral(3, WaitAll, 3 * MILLISECONDS), STATUS_TIMEOUT);
    ASSERT_NE(KeReadStateEvent(&Events[0]), 0);
    ASSERT_NE(KeReadStateEvent(&Events[1]), 0);
    PrepareEvents(3, SynchronizationEvent);
    ASSERT_EQ(WaitSeveral(3, WaitAny, 3 * MILLISECONDS), STATUS_TIMEOUT);
    for (ULONG i = 0; i < 3; i++) {
        KeSetEvent(&Events[i], 0, FALSE);
        ASSERT_NE(KeReadStateEvent(&Events[i]), 0);
    }
}

TARGET_CASE("WAIT-1", several_for_no_time_at_dispatch_level, "") {
    KIRQL irql;
    PrepareEvents(3, SynchronizationEvent);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(WaitSeveral(3, WaitAny, 0), STATUS_TIMEOUT);
    ASSERT_EQ(WaitSeveral(3, WaitAll, 0), STATUS_TIMEOUT);
    KeSetEvent(&Events[1], 0, FALSE);
    ASSERT_EQ(WaitSeveral(3, WaitAll, 0), STATUS_TIMEOUT);
    ASSERT_EQ(WaitSeveral(3, WaitAny, 0), STATUS_WAIT_1);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(irql);
}

TARGET_CASE("WAIT-2 THR-1", objects_of_every_kind, FAST_TICKS) {
    static WAITER ending;
    LARGE_INTEGER due = {.QuadPart = 2 * MILLISECONDS};
    Ended = 0;
    PrepareEvents(2, NotificationEvent);
    KeInitializeSemaphore(&Semaphore, 0, 9);
    KeInitializeMutex(&Mutex, 0);
    KeInitializeTimer(&Timer);
    StartWaiter(&ending, &Events[1], ABOVE, CPU_OF(1));
    PVOID objects[] = {&Events[0], &Semaphore, &Timer, ending.Worker.Thread, &Mutex};
    for (ULONG i = 0; i < RTL_NUMBER_OF(objects); i++) {
        Objects[i] = objects[i];
    }
    ASSERT_EQ(WaitSeveral(5, WaitAny, 1), STATUS_WAIT_0 + 4);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
    KeSetTimer(&Timer, due, NULL);
    ASSERT_EQ(WaitSeveral(4, WaitAny, 1), STATUS_WAIT_0 + 2);
    ASSERT_EQ(WaitSeveral(4, WaitAny, 1), STATUS_WAIT_0 + 2); /* a notification timer stays signalled */
    KeCancelTimer(&Timer);
    KeInitializeTimer(&Timer);
    KeSetEvent(&Events[1], 0, FALSE);
    ASSERT_EQ(WaitSeveral(4, WaitAny, 1), STATUS_WAIT_0 + 3);
    KeReleaseSemaphore(&Semaphore, 0, 2, FALSE);
    ASSERT_EQ(WaitSeveral(5, WaitAny, 1), STATUS_WAIT_0 + 1);
    KeSetEvent(&Events[0], 0, FALSE);
    KeSetTimer(&Timer, due, NULL);
    ASSERT_EQ(WaitSeveral(5, WaitAll, 1), STATUS_SUCCESS);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 0);
    ASSERT_EQ(KeReadStateMutex(&Mutex), 0);
    ASSERT_NE(KeReadStateEvent(&Events[0]), 0);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
    EndWaiter(&ending);
}

TARGET_CASE("WAIT-2 MUT-1", a_mutex_that_is_mine_is_there, "") {
    PrepareEvents(2, SynchronizationEvent);
    KeInitializeMutex(&Mutex, 0);
    Objects[0] = &Mutex;
    ASSERT_EQ(WaitSeveral(2, WaitAny, 1), STATUS_WAIT_0);
    ASSERT_EQ(WaitSeveral(2, WaitAny, 1), STATUS_WAIT_0);
    KeSetEvent(&Events[1], 0, FALSE);
    ASSERT_EQ(WaitSeveral(2, WaitAll, 0), STATUS_SUCCESS);
    ASSERT_NE(KeReleaseMutex(&Mutex, FALSE), 0);
    ASSERT_NE(KeReleaseMutex(&Mutex, FALSE), 0);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
    ASSERT_EQ(KeReadStateMutex(&Mutex), 1);
}

static VOID NTAPI AbandonBoth(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    ASSERT_EQ(WaitFor(&Second), STATUS_SUCCESS);
}

static VOID AbandonMutexes(VOID) {
    static WORKER owner;
    KeInitializeMutex(&Mutex, 0);
    KeInitializeMutex(&Second, 0);
    StartWorker(&owner, AbandonBoth, NULL, ABOVE, ON(CPU_OF(1)));
    EndWorker(&owner);
    PrepareEvents(1, SynchronizationEvent);
    Objects[1] = &Mutex;
    Objects[2] = &Second;
}

TARGET_CASE("WAIT-2 MUT-1", which_mutex_was_abandoned, "verifier=off") {
    AbandonMutexes();
    ASSERT_EQ(WaitSeveral(3, WaitAny, 1), STATUS_ABANDONED_WAIT_0 + 1);
    ASSERT_EQ(WaitSeveral(3, WaitAny, 1), STATUS_WAIT_1);
    Objects[1] = &Events[0];
    ASSERT_EQ(WaitSeveral(3, WaitAny, 1), STATUS_ABANDONED_WAIT_0 + 2);
    ASSERT_EQ(KeReleaseMutex(&Second, FALSE), 0);
    ASSERT_EQ(WaitSeveral(3, WaitAny, 1), STATUS_WAIT_2);
    ASSERT_EQ(KeReleaseMutex(&Second, FALSE), 0);
    ASSERT_NE(KeReleaseMutex(&Mutex, FALSE), 0);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
}

TARGET_CASE("WAIT-2 MUT-1", all_with_an_abandoned_mutex, "verifier=off") {
    AbandonMutexes();
    ASSERT_EQ(WaitSeveral(3, WaitAll, 0), STATUS_TIMEOUT); /* the word is not lost on it */
    KeSetEvent(&Events[0], 0, FALSE);
    NTSTATUS status = WaitSeveral(3, WaitAll, 1);
    ASSERT_GE(status, STATUS_ABANDONED_WAIT_0);
    ASSERT_LE(status, STATUS_ABANDONED_WAIT_0 + 2);
    ASSERT_EQ(WaitSeveral(3, WaitAny, 1), STATUS_WAIT_1);
    ASSERT_NE(KeReleaseMutex(&Mutex, FALSE), 0);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
    ASSERT_EQ(KeReleaseMutex(&Second, FALSE), 0);
}

TARGET_CASE("WAIT-3", sixty_four_objects, "") {
    for (ULONG i = 0; i < MOST; i += 21) {
        PrepareEvents(MOST, SynchronizationEvent);
        StartSeveral(&Waiter, MOST, WaitAny, 1, CPU_OF(i));
        KeSetEvent(&Events[i], 0, FALSE);
        ASSERT_EQ(EndSeveral(&Waiter), STATUS_WAIT_0 + (NTSTATUS)i);
    }
    PrepareEvents(MOST, SynchronizationEvent);
    StartSeveral(&Waiter, MOST, WaitAll, 1, CPU_OF(1));
    for (ULONG i = 0; i < MOST; i++) {
        ASSERT_TRUE(Waits(Waiter.Worker.Thread));
        KeSetEvent(&Events[(i * 37) % MOST], 0, FALSE);
    }
    ASSERT_EQ(EndSeveral(&Waiter), STATUS_SUCCESS);
    ASSERT_EQ(WaitSeveral(MOST, WaitAny, 0), STATUS_TIMEOUT);
}

TARGET_CASE("WAIT-3", three_need_no_wait_blocks, "") {
    PrepareEvents(3, SynchronizationEvent);
    StartSeveral(&Waiter, THREAD_WAIT_OBJECTS, WaitAny, 600000 * MILLISECONDS, 0);
    KeSetEvent(&Events[2], 0, FALSE);
    ASSERT_EQ(EndSeveral(&Waiter), STATUS_WAIT_2);
}

TARGET_CASE("WAIT-3", four_without_wait_blocks, "bugcheck=0xC") {
    PrepareEvents(4, SynchronizationEvent);
    LARGE_INTEGER timeout = {.QuadPart = 0};
    KeWaitForMultipleObjects(4, Objects, WaitAny, Executive, KernelMode, FALSE, &timeout, NULL);
}

TARGET_CASE("WAIT-3", sixty_five_objects, "bugcheck=0xC") {
    static KWAIT_BLOCK blocks[MOST + 1];
    PrepareEvents(MOST, SynchronizationEvent);
    Objects[MOST] = &Events[0];
    LARGE_INTEGER timeout = {.QuadPart = 0};
    KeWaitForMultipleObjects(MOST + 1, Objects, WaitAny, Executive, KernelMode, FALSE, &timeout, blocks);
}

TARGET_CASE("WAIT-1", several_at_dispatch_level, "verifier=off bugcheck=0xB8") {
    KIRQL irql;
    PrepareEvents(3, SynchronizationEvent);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    WaitSeveral(3, WaitAny, 1);
}

TARGET_CASE("WAIT-1", several_at_dispatch_level_the_verifier_names_it, "verifier=on bugcheck=0xC4/0x3B") {
    KIRQL irql;
    PrepareEvents(3, SynchronizationEvent);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    WaitSeveral(3, WaitAny, 1);
}

/* Two that want the same two, in opposite orders, never both get stuck with one. */
#define ROUNDS 200

static VOID NTAPI WantBoth(PVOID Context) {
    PVOID mine[] = {&Mutex, &Second};
    PVOID other[] = {&Second, &Mutex};
    static volatile LONG inside;
    for (ULONG i = 0; i < ROUNDS; i++) {
        ASSERT_EQ(KeWaitForMultipleObjects(2, Context != NULL ? mine : other, WaitAll, Executive, KernelMode, FALSE,
                                           NULL, NULL),
                  STATUS_SUCCESS);
        ASSERT_EQ(InterlockedIncrement(&inside), 1);
        YieldProcessor();
        ASSERT_EQ(InterlockedDecrement(&inside), 0);
        KeReleaseMutex(i % 2 ? &Mutex : &Second, FALSE);
        KeReleaseMutex(i % 2 ? &Second : &Mutex, FALSE);
    }
}

TARGET_CASE("WAIT-2 MUT-1", all_in_opposite_orders_does_not_deadlock, "") {
    static WORKER workers[4];
    KeInitializeMutex(&Mutex, 0);
    KeInitializeMutex(&Second, 0);
    for (ULONG i = 0; i < RTL_NUMBER_OF(workers); i++) {
        StartWorker(&workers[i], WantBoth, (PVOID)(ULONG_PTR)(i % 2), CASE_PRIORITY, ON(CPU_OF(i)));
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(workers); i++) {
        EndWorker(&workers[i]);
    }
    ASSERT_EQ(KeReadStateMutex(&Mutex), 1);
    ASSERT_EQ(KeReadStateMutex(&Second), 1);
}

TARGET_DRIVER
