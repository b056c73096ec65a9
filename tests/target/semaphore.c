/* SPDX-License-Identifier: Apache-2.0 */
/* Semaphores: a count with a limit; a wait takes one, a release gives some. */
#include "threads.h"

#define WAITERS 6

static KSEMAPHORE Semaphore;
static WAITER Waiters[WAITERS];

TARGET_CASE("SEM-2 SEM-3", a_wait_takes_one_a_release_tells_the_count_before, "") {
    KeInitializeSemaphore(&Semaphore, 2, 5);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 2);
    ASSERT_EQ(WaitFor(&Semaphore), STATUS_SUCCESS);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 1);
    ASSERT_EQ(TryFor(&Semaphore), STATUS_SUCCESS);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 0);
    ASSERT_EQ(TryFor(&Semaphore), STATUS_TIMEOUT);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 0);
    ASSERT_EQ(KeReleaseSemaphore(&Semaphore, 0, 3, FALSE), 0);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 3);
    ASSERT_EQ(KeReleaseSemaphore(&Semaphore, 0, 2, FALSE), 3); /* up to its limit */
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 5);
    for (ULONG i = 0; i < 5; i++) {
        ASSERT_EQ(WaitFor(&Semaphore), STATUS_SUCCESS);
    }
    ASSERT_EQ(TryFor(&Semaphore), STATUS_TIMEOUT);
}

TARGET_CASE("SEM-3 EVT-5", a_release_lets_that_many_in_the_first_ones, "") {
    Ended = 0;
    KeInitializeSemaphore(&Semaphore, 0, 100);
    for (ULONG i = 0; i < WAITERS; i++) {
        StartWaiter(&Waiters[i], &Semaphore, ABOVE, CPU_OF(i));
    }
    ASSERT_EQ(KeReleaseSemaphore(&Semaphore, 0, 1, FALSE), 0);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 0);
    WAIT_UNTIL(Ended == 1);
    ASSERT_EQ(Waiters[0].Order, 1);
    ASSERT_EQ(KeReleaseSemaphore(&Semaphore, 0, 3, FALSE), 0);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 0);
    WAIT_UNTIL(Ended == 4);
    for (ULONG i = 1; i < WAITERS; i++) {
        ASSERT_EQ(StillWaits(&Waiters[i]), i > 3);
    }
    ASSERT_EQ(KeReleaseSemaphore(&Semaphore, 0, 5, FALSE), 0);
    for (ULONG i = 0; i < WAITERS; i++) {
        EndWaiter(&Waiters[i]);
        ASSERT_EQ(Waiters[i].Status, STATUS_SUCCESS);
    }
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 3); /* what nobody waited for */
}

TARGET_CASE("SEM-4", released_at_dispatch_level, "") {
    KIRQL irql;
    Ended = 0;
    KeInitializeSemaphore(&Semaphore, 0, 2);
    StartWaiter(&Waiters[0], &Semaphore, ABOVE, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(KeReleaseSemaphore(&Semaphore, 0, 2, FALSE), 0);
    ASSERT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    ASSERT_EQ(KeReadStateSemaphore(&Semaphore), 1); /* the waiter has the other */
    ASSERT_EQ(TryFor(&Semaphore), STATUS_SUCCESS);
    ASSERT_EQ(TryFor(&Semaphore), STATUS_TIMEOUT);
    ASSERT_EQ(Ended, 0);
    KeLowerIrql(irql);
    ASSERT_EQ(Ended, 1);
    EndWaiter(&Waiters[0]);
}

TARGET_CASE("SEM-1", above_its_limit, "bugcheck=0x1E/0xffffffffC0000047") {
    KeInitializeSemaphore(&Semaphore, 3, 4);
    ASSERT_EQ(KeReleaseSemaphore(&Semaphore, 0, 1, FALSE), 3);
    KeReleaseSemaphore(&Semaphore, 0, 1, FALSE);
}

TARGET_CASE("SEM-1", far_above_its_limit, "bugcheck=0x1E/0xffffffffC0000047") {
    KeInitializeSemaphore(&Semaphore, 0x7fffffff, 0x7fffffff);
    KeReleaseSemaphore(&Semaphore, 0, 0x7fffffff, FALSE);
}

/* The waiters do not make room: the count would be above it first. */
TARGET_CASE("SEM-1", above_its_limit_with_waiters, "bugcheck=0x1E/0xffffffffC0000047") {
    KeInitializeSemaphore(&Semaphore, 0, 1);
    StartWaiter(&Waiters[0], &Semaphore, ABOVE, 0);
    StartWaiter(&Waiters[1], &Semaphore, ABOVE, 0);
    KeReleaseSemaphore(&Semaphore, 0, 2, FALSE);
}

TARGET_DRIVER
