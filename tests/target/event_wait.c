/* SPDX-License-Identifier: Apache-2.0 */
/* Wait = TRUE: a signal and the wait that follows are one step. */
#include "threads.h"

#define ROUNDS 300

static KEVENT Signalled, Awaited;
static KMUTEX Mutex;
static KSEMAPHORE Semaphore;
static WAITER Waiter;
static WORKER Other;

static VOID Prepare(ULONG Cpu) {
    Ended = 0;
    KeInitializeEvent(&Signalled, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Awaited, SynchronizationEvent, TRUE);
    StartWaiter(&Waiter, &Signalled, ABOVE, Cpu);
}

TARGET_CASE("EVT-4", the_irql_stays_raised_until_the_wait, "") {
    static const KIRQL levels[] = {PASSIVE_LEVEL, APC_LEVEL};
    for (ULONG i = 0; i < RTL_NUMBER_OF(levels); i++) {
        KIRQL irql;
        Prepare(0);
        KeRaiseIrql(levels[i], &irql);
        ASSERT_EQ(KeSetEvent(&Signalled, 0, TRUE), 0);
        ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
        ASSERT_EQ(Ended, 0);
        ASSERT_EQ(WaitFor(&Awaited), STATUS_SUCCESS);
        ASSERT_EQ(KeGetCurrentIrql(), levels[i]);
        ASSERT_EQ(Ended, 1); /* it came as soon as it could */
        ASSERT_EQ(KeReadStateEvent(&Awaited), 0);
        KeLowerIrql(irql);
        EndWaiter(&Waiter);
    }
}

/* On another CPU too nobody goes on before the wait: not for as long as this thread takes. */
TARGET_CASE("EVT-4", nobody_else_goes_on_in_between, "smp=2") {
    Prepare(1);
    ASSERT_EQ(KeSetEvent(&Signalled, 0, TRUE), 0);
    Settle();
    ASSERT_EQ(Ended, 0);
    ASSERT_EQ(WaitFor(&Awaited), STATUS_SUCCESS);
    EndWaiter(&Waiter);
}

TARGET_CASE("EVT-4", a_wait_that_times_out_ends_it_too, "") {
    Prepare(0);
    KeClearEvent(&Awaited);
    KeSetEvent(&Signalled, 0, TRUE);
    ASSERT_EQ(TryFor(&Awaited), STATUS_TIMEOUT);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(Ended, 1);
    EndWaiter(&Waiter);
}

TARGET_CASE("EVT-4 MUT-1 SEM-3", pulse_mutex_and_semaphore_have_it_too, "") {
    Prepare(0);
    ASSERT_EQ(KePulseEvent(&Signalled, 0, TRUE), 0);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_EQ(Ended, 0);
    ASSERT_EQ(WaitFor(&Awaited), STATUS_SUCCESS);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    EndWaiter(&Waiter);

    KeInitializeMutex(&Mutex, 0);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS);
    StartWaiter(&Waiter, &Mutex, ABOVE, 0);
    Waiter.Release = TRUE;
    ASSERT_EQ(KeReleaseMutex(&Mutex, TRUE), 0);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_EQ(Ended, 1);
    ASSERT_EQ(WaitFor(&Mutex), STATUS_SUCCESS); /* behind the other one */
    ASSERT_EQ(Ended, 2);
    ASSERT_EQ(KeReleaseMutex(&Mutex, FALSE), 0);
    EndWaiter(&Waiter);

    KeInitializeSemaphore(&Semaphore, 0, 1);
    StartWaiter(&Waiter, &Semaphore, ABOVE, 0);
    ASSERT_EQ(KeReleaseSemaphore(&Semaphore, 0, 1, TRUE), 0);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_EQ(Ended, 2);
    ASSERT_EQ(TryFor(&Semaphore), STATUS_TIMEOUT);
    ASSERT_EQ(Ended, 3);
    EndWaiter(&Waiter);
}

TARGET_CASE("EVT-4", with_a_wait_for_several, "") {
    PVOID objects[] = {&Awaited, &Semaphore};
    Prepare(0);
    KeInitializeSemaphore(&Semaphore, 3, 3);
    KeSetEvent(&Signalled, 0, TRUE);
    ASSERT_EQ(KeWaitForMultipleObjects(2, objects, WaitAll, Executive, KernelMode, FALSE, NULL, NULL), STATUS_SUCCESS);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 2);
    EndWaiter(&Waiter);
}

/* A pulse is lost on whoever does not wait yet: this answers each signal with one, at once. */
static VOID NTAPI Answer(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < ROUNDS; i++) {
        ASSERT_EQ(WaitFor(&Signalled), STATUS_SUCCESS);
        ASSERT_EQ(KePulseEvent(&Awaited, 0, FALSE), 0);
    }
}

TARGET_CASE("EVT-4", the_answer_never_comes_before_the_wait, "") {
    KeInitializeEvent(&Signalled, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Awaited, SynchronizationEvent, FALSE);
    StartWorker(&Other, Answer, NULL, ABOVE, ON(CPU_OF(1)));
    for (ULONG i = 0; i < ROUNDS; i++) {
        KeSetEvent(&Signalled, 0, TRUE);
        ASSERT_EQ(WaitFor(&Awaited), STATUS_SUCCESS);
    }
    EndWorker(&Other);
}

TARGET_DRIVER
