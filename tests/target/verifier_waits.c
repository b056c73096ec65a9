/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verifier says of waits, of signals, of the mutexes that threads own and of their order (section 9). Built with the IRQL routines
 * out of line, so that raises to APC_LEVEL are watched too.
 */
#include <outofline.h>

#include "threads.h"

#define LEVELS 5

static KEVENT Event;
static KEVENT Go;
static KSEMAPHORE Semaphore;
static KMUTEX First;
static KMUTEX Second;
static FAST_MUTEX Fast;
static FAST_MUTEX OtherFast;
static ERESOURCE Resource;
static KTIMER Timer;
static KDPC Dpc;
static KIRQL Old;
static volatile LONG Done;

static VOID Raise(KIRQL irql) {
    KeRaiseIrql(irql, &Old);
}

TARGET_CASE("WAIT-1", a_wait_at_dispatch_level, "verifier=on bugcheck=0xc4/0x3b/2 named=verifier_waits.c") {
    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    Raise(DISPATCH_LEVEL);
    KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
}

TARGET_CASE("WAIT-1", a_wait_for_some_time_at_dispatch_level, "verifier=on bugcheck=0xc4/0x3b/2") {
    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    Raise(DISPATCH_LEVEL);
    WaitForAtMost(&Event, 10 * MILLISECONDS);
}

TARGET_CASE("WAIT-1", a_look_above_dispatch_level, "verifier=on bugcheck=0xc4/0x3b/5") {
    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    Raise(LEVELS);
    TryFor(&Event);
}

TARGET_CASE("WAIT-1", a_wait_for_several_at_dispatch_level, "verifier=on bugcheck=0xc4/0x3b/2") {
    PVOID objects[] = {&Event, &Go};
    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    KeInitializeEvent(&Go, NotificationEvent, TRUE);
    Raise(DISPATCH_LEVEL);
    KeWaitForMultipleObjects(2, objects, WaitAny, Executive, KernelMode, FALSE, NULL, NULL);
}

static VOID NTAPI WaitsInDpc(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    WaitFor(&Event);
    Done = 1;
}

/* Signalled, so that without the verifier nothing would be noticed. */
TARGET_CASE("WAIT-1 DPC-16", a_wait_in_a_dpc, "verifier=on bugcheck=0xb8 named=WaitsInDpc") {
    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    KeInitializeDpc(&Dpc, WaitsInDpc, NULL);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
}

TARGET_CASE("EVT-1", set_above_dispatch_level, "verifier=on bugcheck=0xc4/0x80/5 named=verifier_waits.c") {
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Raise(LEVELS);
    KeSetEvent(&Event, 0, FALSE);
}

TARGET_CASE("EVT-4", a_wait_announced_at_dispatch_level, "verifier=on bugcheck=0xc4/0x20016/*/2") {
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    Raise(DISPATCH_LEVEL);
    KeSetEvent(&Event, 0, TRUE);
}

TARGET_CASE("EVT-4", a_wait_announced_that_does_not_follow,
            "verifier=on bugcheck=0xc4/0x20016/*/2 named=verifier_waits.c") {
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    KeSetEvent(&Event, 0, TRUE);
    KeSetEvent(&Event, 0, FALSE);
}

TARGET_CASE("EVT-4", a_wait_announced_and_the_level_lowered, "verifier=on bugcheck=0xc4/0x20016/*/2") {
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    KeSetEvent(&Event, 0, TRUE);
    KeLowerIrql(PASSIVE_LEVEL);
}

TARGET_CASE("EVT-4", a_wait_announced_that_follows, "") {
    KeInitializeEvent(&Event, NotificationEvent, FALSE);
    KeInitializeEvent(&Go, SynchronizationEvent, TRUE);
    KeSetEvent(&Event, 0, TRUE);
    ASSERT_EQ(WaitFor(&Go), STATUS_SUCCESS);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("SEM-4", initialised_at_dispatch_level, "verifier=on bugcheck=0xc4/0xe5/2") {
    Raise(DISPATCH_LEVEL);
    KeInitializeSemaphore(&Semaphore, 0, 1);
}

TARGET_CASE("SEM-4", released_above_dispatch_level, "verifier=on bugcheck=0xc4/0x20011/*/5") {
    KeInitializeSemaphore(&Semaphore, 0, 1);
    Raise(LEVELS);
    KeReleaseSemaphore(&Semaphore, 0, 1, FALSE);
}

TARGET_CASE("MUT-5", a_mutex_released_above_dispatch_level, "verifier=on bugcheck=0xc4/0x20011/*/5") {
    KeInitializeMutex(&First, 0);
    WaitFor(&First);
    Raise(LEVELS);
    KeReleaseMutex(&First, FALSE);
}

TARGET_CASE("TMR-2", set_above_dispatch_level_too, "verifier=on bugcheck=0xc4/0x20011/*/5") {
    LARGE_INTEGER due = {.QuadPart = MILLISECONDS};
    KeInitializeTimer(&Timer);
    Raise(LEVELS);
    KeSetTimer(&Timer, due, NULL);
}

TARGET_CASE("THR-1", a_thread_made_at_apc_level, "verifier=on bugcheck=0xc4/0x2001c/*/1") {
    Raise(APC_LEVEL);
    StartThread(NULL, NULL);
}

static VOID NTAPI OwnsAMutex(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    WaitFor(&First);
}

TARGET_CASE("MUT-1", a_thread_ends_with_a_mutex, "verifier=on bugcheck=0xc4/0x100a named=!First,OwnsAMutex") {
    KeInitializeMutex(&First, 0);
    EndThread(StartThread(OwnsAMutex, NULL));
}

static VOID NTAPI OwnsAFastMutex(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&Fast);
    KeLeaveCriticalRegion();
}

TARGET_CASE("FMX-1", a_thread_ends_with_a_fast_mutex, "verifier=on bugcheck=0xc4/0x100a named=!Fast,OwnsAFastMutex") {
    ExInitializeFastMutex(&Fast);
    EndThread(StartThread(OwnsAFastMutex, NULL));
}

static VOID NTAPI ReleasesFirst(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    KeReleaseMutex(&First, FALSE);
}

TARGET_CASE("MUT-1", a_mutex_released_by_another_is_named,
            "verifier=on bugcheck=0x1e/0xffffffffc0000046 named=!First,ReleasesFirst") {
    KeInitializeMutex(&First, 0);
    WaitFor(&First);
    EndThread(StartThread(ReleasesFirst, NULL));
}

static DECLSPEC_NOINLINE VOID FirstThenSecond(VOID) {
    WaitFor(&First);
    WaitFor(&Second);
    KeReleaseMutex(&Second, FALSE);
    KeReleaseMutex(&First, FALSE);
}

static DECLSPEC_NOINLINE VOID SecondThenFirst(VOID) {
    WaitFor(&Second);
    WaitFor(&First);
    KeReleaseMutex(&First, FALSE);
    KeReleaseMutex(&Second, FALSE);
}

TARGET_CASE("MUT-1 SPIN-9", mutexes_against_the_order,
            "verifier=on bugcheck=0xc4/0x1001 named=!First,!Second,FirstThenSecond,SecondThenFirst") {
    KeInitializeMutex(&First, 0);
    KeInitializeMutex(&Second, 0);
    FirstThenSecond();
    SecondThenFirst();
}

TARGET_CASE("MUT-1", mutexes_in_one_order_and_again, "") {
    KeInitializeMutex(&First, 0);
    KeInitializeMutex(&Second, 0);
    for (ULONG i = 0; i < 3; i++) {
        FirstThenSecond();
        WaitFor(&First);
        WaitFor(&First); /* its owner may */
        FirstThenSecond();
        KeReleaseMutex(&First, FALSE);
        KeReleaseMutex(&First, FALSE);
    }
}

static DECLSPEC_NOINLINE VOID FastAgainstOrder(PFAST_MUTEX one, PFAST_MUTEX other) {
    ExAcquireFastMutex(one);
    ExAcquireFastMutex(other);
    ExReleaseFastMutex(other);
    ExReleaseFastMutex(one);
}

TARGET_CASE("FMX-1", fast_mutexes_against_the_order,
            "verifier=on bugcheck=0xc4/0x1001 named=!Fast,!OtherFast,FastAgainstOrder") {
    ExInitializeFastMutex(&Fast);
    ExInitializeFastMutex(&OtherFast);
    FastAgainstOrder(&Fast, &OtherFast);
    FastAgainstOrder(&OtherFast, &Fast);
}

TARGET_CASE("MUT-1 WAIT-2", a_mutex_among_several_is_owned, "verifier=on bugcheck=0xc4/0x100b named=verifier_waits.c") {
    PKMUTEX mutex = ExAllocatePoolWithTag(NonPagedPool, sizeof *mutex, 'sawv');
    PVOID objects[] = {&Event, mutex};
    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    KeInitializeMutex(mutex, 0);
    KeWaitForMultipleObjects(2, objects, WaitAll, Executive, KernelMode, FALSE, NULL, NULL);
    ExFreePoolWithTag(mutex, 'sawv');
}

/* It would wait for itself. */
TARGET_CASE("ERES-1", a_resource_that_is_shared_is_wanted_alone,
            "verifier=on bugcheck=0xc4/0x1000 named=!Resource limit=10") {
    ExInitializeResourceLite(&Resource);
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(&Resource, TRUE);
    ExAcquireResourceExclusiveLite(&Resource, TRUE);
}

TARGET_CASE("ERES-1", a_resource_that_is_shared_is_asked_for_alone, "") {
    ExInitializeResourceLite(&Resource);
    KeEnterCriticalRegion();
    ASSERT_TRUE(ExAcquireResourceSharedLite(&Resource, TRUE));
    ASSERT_FALSE(ExAcquireResourceExclusiveLite(&Resource, FALSE));
    ExReleaseResourceLite(&Resource);
    KeLeaveCriticalRegion();
    ExDeleteResourceLite(&Resource);
}

static VOID NTAPI RaisesAndLowers(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    KeRaiseIrql(APC_LEVEL, &old);
    WaitFor(&Go);
    KeLowerIrql(old);
}

/* A thread at APC_LEVEL waits; another one on its CPU raises meanwhile, and is left in the middle when the first goes on. */
TARGET_CASE("IRQL-10 IRQL-4", raises_to_apc_level_belong_to_their_thread, "verifier=on") {
    WORKER worker;
    KIRQL old[2];
    KeInitializeEvent(&Go, SynchronizationEvent, FALSE);
    StartWorker(&worker, RaisesAndLowers, NULL, ABOVE, ON(0));
    KeRaiseIrql(APC_LEVEL, &old[0]);
    KeRaiseIrql(APC_LEVEL, &old[1]);
    KeSetEvent(&Go, 0, FALSE); /* it runs to its end here */
    KeLowerIrql(old[1]);
    KeLowerIrql(old[0]);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    EndWorker(&worker);
}

static VOID NTAPI GoesToLastCpu(PVOID Context) {
    KIRQL old;
    UNREFERENCED_PARAMETER(Context);
    for (ULONG i = 0; i < 20; i++) {
        KeRaiseIrql(APC_LEVEL, &old);
        KeSetSystemAffinityThread(ON(i % TargetCpus()));
        ASSERT_EQ(KeGetCurrentProcessorNumber(), i % TargetCpus());
        KeLowerIrql(old);
    }
}

TARGET_CASE("IRQL-10", raised_on_one_cpu_lowered_on_another, "verifier=on smp=2") {
    PKTHREAD thread[3];
    for (ULONG i = 0; i < RTL_NUMBER_OF(thread); i++) {
        thread[i] = StartThread(GoesToLastCpu, NULL);
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(thread); i++) {
        EndThread(thread[i]);
    }
}

TARGET_DRIVER
