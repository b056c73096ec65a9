/* SPDX-License-Identifier: Apache-2.0 */
/* Mutexes: owned by a thread, as often as it acquired them; handed on in order; abandoned by an owner that ends. */
#include "threads.h"

#define WAITERS 5

static KMUTEX Mutex, Second;
static KEVENT Go, Done;
static WAITER Waiters[WAITERS];
static WORKER Owner;

TARGET_CASE("MUT-1 MUT-2", acquired_and_released_as_often, "") {
    KeInitializeMutex(&Mutex, 0);
    ASSERT_EQ(KeReadStateMutex(&Mutex), 1);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    ASSERT_EQ(KeReadStateMutex(&Mutex), 0);
    ASSERT_EQ(TryFor(&Mutex), STATUS_SUCCESS);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    ASSERT_EQ((LONG)KeReadStateMutex(&Mutex) < 0, TRUE);
    ASSERT_NE(KeReleaseMutex(&Mutex, FALSE), 0);
    ASSERT_NE(KeReleaseMutex(&Mutex, FALSE), 0);
    ASSERT_EQ(KeReadStateMutex(&Mutex), 0);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0); /* free now */
    ASSERT_EQ(KeReadStateMutex(&Mutex), 1);
}

static VOID NTAPI TryTheMutex(PVOID Context) {
    *(volatile NTSTATUS *)Context = TryFor(&Mutex);
    if (*(volatile NTSTATUS *)Context == STATUS_SUCCESS) {
        KeReleaseMutex(&Mutex, FALSE);
    }
}

/* It is a thread's and not a CPU's. */
TARGET_CASE("MUT-1", another_thread_gets_it_only_when_it_is_free, "") {
    volatile NTSTATUS status;
    KeInitializeMutex(&Mutex, 0);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    for (ULONG held = 2;; held--) {
        for (ULONG cpu = 0; cpu < TargetCpus(); cpu++) {
            StartWorker(&Owner, TryTheMutex, (PVOID)&status, ABOVE, ON(cpu));
            EndWorker(&Owner);
            ASSERT_EQ(status, held == 0 ? STATUS_SUCCESS : STATUS_TIMEOUT);
        }
        if (held == 0) {
            break;
        }
        KeReleaseMutex(&Mutex, FALSE);
    }
}

TARGET_CASE("MUT-1 EVT-5", handed_on_in_order, "") {
    Ended = 0;
    KeInitializeMutex(&Mutex, 0);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    for (ULONG i = 0; i < WAITERS; i++) {
        StartWaiter(&Waiters[i], &Mutex, ABOVE + (i % 2), CPU_OF(i));
        Waiters[i].Release = TRUE;
    }
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
    for (ULONG i = 0; i < WAITERS; i++) {
        EndWaiter(&Waiters[i]);
        ASSERT_EQ(Waiters[i].Status, STATUS_SUCCESS);
        ASSERT_EQ(Waiters[i].Order, i + 1);
    }
    ASSERT_EQ(KeReadStateMutex(&Mutex), 1);
}

/* Who waited owns it from the release on, before it has run. */
TARGET_CASE("MUT-1", who_waited_goes_before_who_released, "") {
    KeInitializeMutex(&Mutex, 0);
    Ended = 0;
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    StartWaiter(&Waiters[0], &Mutex, ABOVE, 0);
    Waiters[0].Release = TRUE;
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0); /* MUT-5 */
    ASSERT_EQ(KeReadStateMutex(&Mutex), 0);
    ASSERT_EQ(TryFor(&Mutex), STATUS_TIMEOUT);
    ASSERT_EQ(Ended, 0);
    KeLowerIrql(irql);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    ASSERT_EQ(Ended, 1);
    KeReleaseMutex(&Mutex, FALSE);
    EndWaiter(&Waiters[0]);
}

TARGET_CASE("MUT-5", released_at_dispatch_level, "") {
    KIRQL irql;
    KeInitializeMutex(&Mutex, 0);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_EQ(KeReadStateMutex(&Mutex), 1);
    ASSERT_EQ(TryFor(&Mutex), STATUS_SUCCESS); /* a wait of no length may be there too */
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
    KeLowerIrql(irql);
}

TARGET_CASE("MUT-3", its_owner_is_in_a_critical_region, "") {
    KeInitializeMutex(&Mutex, 0);
    KeInitializeMutex(&Second, 0);
    ASSERT_FALSE(KeAreApcsDisabled());
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    ASSERT_TRUE(KeAreApcsDisabled());
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    ASSERT_EQ(WaitFor(&Second), STATUS_SUCCESS);
    KeReleaseMutex(&Mutex, FALSE);
    KeReleaseMutex(&Mutex, FALSE);
    ASSERT_TRUE(KeAreApcsDisabled());
    KeReleaseMutex(&Second, FALSE);
    ASSERT_FALSE(KeAreApcsDisabled());
}

static VOID NTAPI OwnUntilGo(PVOID Context) {
    ASSERT_EQ(WaitFor(Context), STATUS_SUCCESS);
    KeSetEvent(&Done, 0, FALSE);
    ASSERT_EQ(WaitFor(&Go), STATUS_SUCCESS);
    ASSERT_EQ(KeReleaseMutex(Context, FALSE), 0);
}

static VOID HaveItOwned(PKSTART_ROUTINE Routine, ULONG Cpu) {
    KeInitializeMutex(&Mutex, 0);
    KeInitializeEvent(&Go, NotificationEvent, FALSE);
    KeInitializeEvent(&Done, NotificationEvent, FALSE);
    StartWorker(&Owner, Routine, &Mutex, ABOVE, ON(Cpu));
    ASSERT_EQ(WaitFor(&Done), STATUS_SUCCESS);
}

TARGET_CASE("MUT-1", released_by_another_thread, "bugcheck=0x1E/0xffffffffC0000046") {
    HaveItOwned(OwnUntilGo, CPU_OF(1));
    ASSERT_EQ(TryFor(&Mutex), STATUS_TIMEOUT);
    KeReleaseMutex(&Mutex, FALSE);
}

TARGET_CASE("MUT-1", released_once_too_often, "bugcheck=0x1E/0xffffffffC0000046") {
    KeInitializeMutex(&Mutex, 0);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
    KeReleaseMutex(&Mutex, FALSE);
}

TARGET_CASE("MUT-1", released_before_it_was_acquired, "bugcheck=0x1E/0xffffffffC0000046") {
    KeInitializeMutex(&Mutex, 0);
    KeReleaseMutex(&Mutex, FALSE);
}

/* As if it had been acquired 2 to the 31st times: the state counts down from 1, and its storage is the driver's. */
TARGET_CASE("MUT-4", acquired_too_often, "bugcheck=0x1E/0xffffffffC0000191") {
    KeInitializeMutex(&Mutex, 0);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    Mutex.Header.SignalState = (LONG)0x80000001;
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    ASSERT_EQ((ULONG)KeReadStateMutex(&Mutex), 0x80000000u);
    TryFor(&Mutex);
}

static VOID NTAPI Abandon(PVOID Context) {
    ASSERT_EQ(WaitFor(Context), STATUS_SUCCESS);
    ASSERT_EQ(WaitFor(Context), STATUS_SUCCESS);
    KeSetEvent(&Done, 0, FALSE);
    ASSERT_EQ(WaitFor(&Go), STATUS_SUCCESS);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* verifier=off: a thread that ends as an owner is a fault that the verifier may tell. */
TARGET_CASE("MUT-1 WAIT-2", an_owner_that_ends_abandons_it_to_who_comes, "verifier=off") {
    HaveItOwned(Abandon, CPU_OF(1));
    ASSERT_EQ(TryFor(&Mutex), STATUS_TIMEOUT);
    KeSetEvent(&Go, 0, FALSE);
    EndWorker(&Owner);
    ASSERT_EQ(KeReadStateMutex(&Mutex), 1);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_ABANDONED);
    ASSERT_EQ(KeReadStateMutex(&Mutex), 0);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS); /* it is said once */
    ASSERT_NE(KeReleaseMutex(&Mutex, FALSE), 0);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
}

TARGET_CASE("MUT-1 WAIT-2", an_owner_that_ends_abandons_it_to_who_waits, "verifier=off") {
    Ended = 0;
    HaveItOwned(Abandon, CPU_OF(1));
    for (ULONG i = 0; i < WAITERS; i++) {
        StartWaiter(&Waiters[i], &Mutex, ABOVE, CPU_OF(i));
        Waiters[i].Release = TRUE;
    }
    KeSetEvent(&Go, 0, FALSE);
    for (ULONG i = 0; i < WAITERS; i++) {
        EndWaiter(&Waiters[i]);
        ASSERT_EQ(Waiters[i].Order, i + 1);
        ASSERT_EQ(Waiters[i].Status, i == 0 ? STATUS_ABANDONED : STATUS_SUCCESS);
    }
    EndWorker(&Owner);
    ASSERT_EQ(KeReadStateMutex(&Mutex), 1);
}

TARGET_DRIVER
