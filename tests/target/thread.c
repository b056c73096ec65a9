/* SPDX-License-Identifier: Apache-2.0 */
/* System threads: how they begin, run and end, what they leave, and the stack that they have. */
#include "threads.h"

#define MANY 100

static WORKER Worker, Workers[8];
static WAITER Waiters[4];
static KEVENT Go;
static volatile LONG Runs, Inside;

typedef struct _SEEN {
    PVOID Context;
    PKTHREAD Thread;
    HANDLE Id;
    KIRQL Irql;
    KPRIORITY Priority;
    volatile LONG Done;
} SEEN;

static SEEN Seen;

static VOID NTAPI See(PVOID Context) {
    SEEN *seen = Context;
    seen->Context = Context;
    seen->Thread = KeGetCurrentThread();
    seen->Id = PsGetCurrentThreadId();
    seen->Irql = KeGetCurrentIrql();
    seen->Priority = KeQueryPriorityThread(KeGetCurrentThread());
    seen->Done = TRUE;
}

TARGET_CASE("THR-1 IRQL-8", a_thread_begins_at_passive_level_and_is_signalled_at_its_end, "") {
    HANDLE handle;
    CLIENT_ID id = {NULL, NULL};
    PVOID thread;
    RtlZeroMemory(&Seen, sizeof Seen);
    ASSERT_EQ(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, &id, See, &Seen), STATUS_SUCCESS);
    ASSERT_EQ(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL), STATUS_SUCCESS);
    ASSERT_EQ(ZwClose(handle), STATUS_SUCCESS);
    ASSERT_EQ(WaitFor(thread), STATUS_SUCCESS);
    ASSERT_TRUE(Seen.Done);
    ASSERT_EQ(Seen.Context, &Seen);
    ASSERT_EQ(Seen.Thread, thread);
    ASSERT_NE(Seen.Thread, KeGetCurrentThread());
    ASSERT_EQ(Seen.Irql, PASSIVE_LEVEL);
    ASSERT_EQ(Seen.Priority, 8);
    ASSERT_EQ(Seen.Id, id.UniqueThread);
    ASSERT_NE(Seen.Id, PsGetCurrentThreadId());
    ASSERT_EQ(DirqlQueryThreadState(thread), DirqlThreadEnded);
    ASSERT_EQ(TryFor(thread), STATUS_SUCCESS); /* it stays signalled */
    ASSERT_EQ(WaitFor(thread), STATUS_SUCCESS);
    ObDereferenceObject(thread);
}

static VOID NTAPI WaitForGo(PVOID Context) {
    InterlockedIncrement((volatile LONG *)Context);
    ASSERT_EQ(WaitFor(&Go), STATUS_SUCCESS);
    InterlockedDecrement((volatile LONG *)Context);
}

TARGET_CASE("THR-1", not_signalled_while_it_lives_and_then_for_all, "") {
    Ended = Inside = 0;
    KeInitializeEvent(&Go, NotificationEvent, FALSE);
    StartWorker(&Worker, WaitForGo, (PVOID)&Inside, ABOVE, ON(CPU_OF(1)));
    ASSERT_EQ(TryFor(Worker.Thread), STATUS_TIMEOUT);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Waiters); i++) {
        StartWaiter(&Waiters[i], Worker.Thread, ABOVE, CPU_OF(i));
    }
    ASSERT_EQ(TryFor(Worker.Thread), STATUS_TIMEOUT);
    ASSERT_EQ(Ended, 0);
    KeSetEvent(&Go, 0, FALSE);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Waiters); i++) {
        EndWaiter(&Waiters[i]);
        ASSERT_EQ(Waiters[i].Status, STATUS_SUCCESS);
    }
    ASSERT_EQ(TryFor(Worker.Thread), STATUS_SUCCESS);
    EndWorker(&Worker);
    ASSERT_EQ(Inside, 0);
}

/* NOLINTBEGIN(misc-no-recursion): a deep stack is what it is about */
static __attribute__((noinline)) VOID EndDeepInside(ULONG Depth) {
    volatile ULONG64 words[16] = {Depth};
    if (Depth == 0) {
        PsTerminateSystemThread(STATUS_UNSUCCESSFUL);
    } else {
        EndDeepInside(Depth - 1);
    }
    Runs += (LONG)words[0] + 1000; /* never */
}
/* NOLINTEND(misc-no-recursion) */

static VOID NTAPI EndInside(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    Runs++;
    EndDeepInside(10);
    Runs += 1000;
}

TARGET_CASE("THR-1", terminated_it_does_not_go_on, "") {
    Runs = 0;
    for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
        StartWorker(&Worker, EndInside, NULL, ABOVE, ON(cpu));
        EndWorker(&Worker);
        ASSERT_EQ(Runs, cpu + 1);
    }
}

static VOID NTAPI Count(PVOID Context) {
    InterlockedIncrement((volatile LONG *)Context);
}

/* Neither handle nor object is kept: the thread runs and goes all the same, and nothing of it stays. */
TARGET_CASE("THR-1", nobody_has_to_keep_it, "") {
    Runs = 0;
    for (ULONG i = 0; i < MANY; i++) {
        HANDLE handle;
        ASSERT_EQ(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Count, (PVOID)&Runs),
                  STATUS_SUCCESS);
        ASSERT_EQ(ZwClose(handle), STATUS_SUCCESS);
        if (i % 10 == 9) {
            StartWorker(&Worker, Count, (PVOID)&Inside, BELOW, ON(0)); /* lets those of this CPU through */
            EndWorker(&Worker);
        }
    }
    LARGE_INTEGER interval = {.QuadPart = MILLISECONDS};
    while (Runs < MANY) {
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
    }
    ASSERT_EQ(Runs, MANY);
}

static VOID NTAPI StartMore(PVOID Context) {
    ULONG_PTR more = (ULONG_PTR)Context;
    InterlockedIncrement(&Runs);
    if (more > 0) {
        PKTHREAD first = StartThread(StartMore, (PVOID)(more - 1));
        PKTHREAD second = StartThread(StartMore, (PVOID)(more - 1));
        EndThread(first);
        EndThread(second);
    }
}

TARGET_CASE("THR-1", threads_start_threads, "") {
    Runs = 0;
    StartMore((PVOID)(ULONG_PTR)4);
    ASSERT_EQ(Runs, 31);
}

TARGET_CASE("THR-1 WAIT-2", all_have_ended, "") {
    PVOID objects[RTL_NUMBER_OF(Workers)];
    KWAIT_BLOCK blocks[RTL_NUMBER_OF(Workers)];
    LARGE_INTEGER now = {.QuadPart = 0};
    KeInitializeEvent(&Go, NotificationEvent, FALSE);
    Inside = 0;
    for (ULONG i = 0; i < RTL_NUMBER_OF(Workers); i++) {
        StartWorker(&Workers[i], WaitForGo, (PVOID)&Inside, ABOVE, ON(CPU_OF(i)));
        objects[i] = Workers[i].Thread;
    }
    ASSERT_EQ(
        KeWaitForMultipleObjects(RTL_NUMBER_OF(objects), objects, WaitAny, Executive, KernelMode, FALSE, &now, blocks),
        STATUS_TIMEOUT);
    KeSetEvent(&Go, 0, FALSE);
    ASSERT_EQ(
        KeWaitForMultipleObjects(RTL_NUMBER_OF(objects), objects, WaitAll, Executive, KernelMode, FALSE, NULL, blocks),
        STATUS_SUCCESS);
    ASSERT_EQ(Inside, 0);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Workers); i++) {
        ASSERT_EQ(DirqlQueryThreadState(Workers[i].Thread), DirqlThreadEnded);
        EndWorker(&Workers[i]);
    }
}

TARGET_CASE("THR-1", a_priority_is_what_was_set_and_a_change_tells_the_one_before, "") {
    PKTHREAD mine = KeGetCurrentThread();
    Inside = 0;
    ASSERT_EQ(KeQueryPriorityThread(mine), CASE_PRIORITY);
    ASSERT_EQ(KeSetPriorityThread(mine, 20), CASE_PRIORITY);
    ASSERT_EQ(KeQueryPriorityThread(mine), 20);
    ASSERT_EQ(KeSetPriorityThread(mine, 31), 20);
    ASSERT_EQ(KeSetPriorityThread(mine, 1), 31);
    ASSERT_EQ(KeSetPriorityThread(mine, CASE_PRIORITY), 1);
    KeInitializeEvent(&Go, NotificationEvent, FALSE);
    StartWorker(&Worker, WaitForGo, (PVOID)&Inside, ABOVE, ON(0)); /* one that waits */
    ASSERT_EQ(KeQueryPriorityThread(Worker.Thread), ABOVE);
    ASSERT_EQ(KeSetPriorityThread(Worker.Thread, BELOW), ABOVE);
    ASSERT_EQ(KeSetPriorityThread(Worker.Thread, BELOW), BELOW);
    KeSetEvent(&Go, 0, FALSE);
    ASSERT_EQ(Inside, 1); /* it is below this one now */
    ASSERT_EQ(KeSetPriorityThread(Worker.Thread, ABOVE), BELOW);
    ASSERT_EQ(Inside, 0); /* and above again: it runs at once */
    EndWorker(&Worker);
    ASSERT_EQ(KeQueryPriorityThread(mine), CASE_PRIORITY);
}

/* Most of a stack can be used: twenty kilobytes, each word still there after the others have filled theirs. */
/* NOLINTNEXTLINE(misc-no-recursion): a deep stack is what it is about */
static __attribute__((noinline)) VOID FillStack(ULONG Depth, ULONG Mark) {
    volatile ULONG words[500];
    for (ULONG i = 0; i < RTL_NUMBER_OF(words); i++) {
        words[i] = i ^ Mark ^ Depth << 16;
    }
    if (Depth == 0) {
        ASSERT_EQ(WaitFor(&Go), STATUS_SUCCESS);
    } else {
        FillStack(Depth - 1, Mark);
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(words); i++) {
        ASSERT_EQ(words[i], i ^ Mark ^ Depth << 16);
    }
}

static VOID NTAPI FillMyStack(PVOID Context) {
    FillStack(9, (ULONG)(ULONG_PTR)Context);
}

TARGET_CASE("THR-1", each_has_a_stack_of_its_own, "") {
    KeInitializeEvent(&Go, NotificationEvent, FALSE);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Workers); i++) {
        StartWorker(&Workers[i], FillMyStack, (PVOID)(ULONG_PTR)(i * 37), ABOVE, ON(CPU_OF(i)));
    }
    KeSetEvent(&Go, 0, FALSE);
    for (ULONG i = 0; i < RTL_NUMBER_OF(Workers); i++) {
        EndWorker(&Workers[i]);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): a stack that overflows is what it is about */
static __attribute__((noinline)) ULONG64 Endless(ULONG64 Depth) {
    volatile ULONG64 words[64] = {Depth};
    return Depth == 0 ? 0 : Endless(Depth + words[0]) + words[0]; /* it never is, and gcc does not know */
}

static VOID NTAPI OverflowStack(PVOID Context) {
    Seen.Id = (HANDLE)Endless((ULONG_PTR)Context);
}

/* A double fault: there is no stack left to push the page fault's frame on. */
TARGET_CASE("THR-1", a_stack_ends_in_a_page_that_is_not_there, "bugcheck=0x7F/0x8") {
    StartWorker(&Worker, OverflowStack, (PVOID)1, ABOVE, ON(CPU_OF(1)));
    WAIT_UNTIL(FALSE);
}

TARGET_DRIVER
