/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What code that holds a spin lock must not do (seed 003, SYS-13), one case for each rule, and where a lock must not lie (SYS-14). Each
 * breach is caught and named: the rule, the lock, where it had been taken and where the rule was broken.
 */
#include <ntddk.h>

#include <dirqltest.h>

#define PAGED __attribute__((section("PAGEDATA")))

static KSPIN_LOCK Guard;
static KSPIN_LOCK Inner;
static KIRQL Old;
static volatile ULONG Zero;
static volatile ULONG Result;
static volatile ULONG PagedWord PAGED = 5;
static KSPIN_LOCK PagedLock PAGED = 0;
static KEVENT PagedEvent PAGED = {.Header = {.Type = 1}};
static KEVENT Event;
static FAST_MUTEX FastMutex;

static DECLSPEC_NOINLINE VOID TakeGuard(VOID) {
    KeAcquireSpinLock(&Guard, &Old);
}

static DECLSPEC_NOINLINE VOID LeaveGuard(VOID) {
    KeReleaseSpinLock(&Guard, Old);
}

static DECLSPEC_NOINLINE VOID DivideUnderGuard(VOID) {
    Result = 1000 / Zero;
}

TARGET_CASE("SYS-13", an_exception,
            "verifier=on bugcheck=0x1e/0xffffffffc0000094 named=exception,!Guard,TakeGuard,DivideUnderGuard") {
    TakeGuard();
    DivideUnderGuard();
}

TARGET_CASE("SYS-13", an_exception_in_a_free_build, "verifier=off bugcheck=0x1e/0xffffffffc0000094") {
    TakeGuard();
    DivideUnderGuard();
}

static DECLSPEC_NOINLINE VOID BreakUnderGuard(VOID) {
    __asm__ volatile("int3");
}

TARGET_CASE("SYS-13", a_breakpoint,
            "verifier=on bugcheck=0x1e/0xffffffff80000003 named=!Guard,TakeGuard,BreakUnderGuard") {
    TakeGuard();
    BreakUnderGuard();
}

static DECLSPEC_NOINLINE VOID ReadPaged(VOID) {
    Result = PagedWord;
}

TARGET_CASE("SYS-13 SYS-14", pageable_data_that_is_out,
            "verifier=on bugcheck=0xa/*/2/0 named=pageable,!Guard,TakeGuard,ReadPaged") {
    DirqlPageOut((PVOID)(ULONG_PTR)&PagedWord, sizeof PagedWord);
    TakeGuard();
    ReadPaged();
}

/* It is there, and no harm is done: this time. */
TARGET_CASE("SYS-13", pageable_data_that_is_there, "") {
    ReadPaged();
    TakeGuard();
    ASSERT_TRUE(DirqlIsResident((PVOID)(ULONG_PTR)&PagedWord));
    ReadPaged();
    LeaveGuard();
    ASSERT_EQ(Result, 5);
}

TARGET_CASE("SYS-13", pageable_data_with_pages_put_out,
            "cpus=1 verifier=on trim=on bugcheck=0xa/*/2/0 named=!Guard,TakeGuard,ReadPaged") {
    ReadPaged();
    TakeGuard();
    ReadPaged();
}

__attribute__((section("PAGECODE"))) static DECLSPEC_NOINLINE ULONG PagedRoutine(VOID) {
    return Result + 1;
}

TARGET_CASE("SYS-13", pageable_code_with_pages_put_out,
            "cpus=1 verifier=on trim=on bugcheck=0xa/*/2/8 named=!Guard,TakeGuard,execute") {
    Result = PagedRoutine();
    TakeGuard();
    Result = PagedRoutine();
}

TARGET_CASE("SYS-13", pages_put_out_come_back, "trim=on") {
    for (ULONG i = 0; i < 3; i++) {
        ReadPaged();
        TakeGuard();
        LeaveGuard();
        KeRaiseIrql(DISPATCH_LEVEL, &Old);
        KeLowerIrql(Old);
        ReadPaged();
        ASSERT_EQ(Result, 5);
    }
}

TARGET_CASE("SYS-13", recursion, "verifier=on bugcheck=0xf named=!Guard,TakeGuard,seed003.c limit=5") {
    TakeGuard();
    KeAcquireSpinLockAtDpcLevel(&Guard);
}

static DECLSPEC_NOINLINE VOID GuardThenInner(VOID) {
    TakeGuard();
    KeAcquireSpinLockAtDpcLevel(&Inner);
    KeReleaseSpinLockFromDpcLevel(&Inner);
    LeaveGuard();
}

static DECLSPEC_NOINLINE VOID InnerThenGuard(VOID) {
    KIRQL irql;
    KeAcquireSpinLock(&Inner, &irql);
    KeAcquireSpinLockAtDpcLevel(&Guard);
    KeReleaseSpinLockFromDpcLevel(&Guard);
    KeReleaseSpinLock(&Inner, irql);
}

TARGET_CASE("SYS-13", a_second_lock_against_the_order,
            "verifier=on bugcheck=0xc4/0x1001 named=!Guard,!Inner,GuardThenInner,InnerThenGuard") {
    GuardThenInner();
    InnerThenGuard();
}

static DECLSPEC_NOINLINE VOID WaitUnderGuard(VOID) {
    KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
}

TARGET_CASE("SYS-13", a_wait, "verifier=on bugcheck=0xc4/0x3b/2 named=!Guard,TakeGuard,WaitUnderGuard") {
    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    TakeGuard();
    WaitUnderGuard();
}

TARGET_CASE("SYS-13 WAIT-1", a_look_is_no_wait, "") {
    LARGE_INTEGER zero = {.QuadPart = 0};
    KeInitializeEvent(&Event, NotificationEvent, TRUE);
    TakeGuard();
    ASSERT_EQ(KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &zero), STATUS_SUCCESS);
    LeaveGuard();
}

static DECLSPEC_NOINLINE VOID DelayUnderGuard(VOID) {
    LARGE_INTEGER interval = {.QuadPart = -10};
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

TARGET_CASE("SYS-13", a_delay, "verifier=on bugcheck=0xc4/0x3b/2 named=!Guard,TakeGuard,DelayUnderGuard") {
    TakeGuard();
    DelayUnderGuard();
}

static DECLSPEC_NOINLINE VOID PagedPoolUnderGuard(VOID) {
    Result = ExAllocatePoolWithTag(PagedPool, 16, '3des') != NULL;
}

TARGET_CASE("SYS-13", paged_pool, "verifier=on bugcheck=0xc4/0x01/2/1/16 named=!Guard,TakeGuard,PagedPoolUnderGuard") {
    TakeGuard();
    PagedPoolUnderGuard();
}

static DECLSPEC_NOINLINE VOID FreePagedUnderGuard(PVOID Block) {
    ExFreePoolWithTag(Block, '3des');
    Result = 0;
}

TARGET_CASE("SYS-13", paged_pool_is_freed,
            "verifier=on bugcheck=0xc4/0x11/2/1 named=!Guard,TakeGuard,FreePagedUnderGuard") {
    PVOID block = ExAllocatePoolWithTag(PagedPool, 16, '3des');
    TakeGuard();
    FreePagedUnderGuard(block);
}

static DECLSPEC_NOINLINE VOID CompleteUnderGuard(PIRP Irp) {
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    Result = 0;
}

TARGET_CASE("SYS-13 SPIN-17", an_irp_is_completed,
            "verifier=on bugcheck=0xc4/0x40009 named=!Guard,TakeGuard,CompleteUnderGuard") {
    PIRP irp = IoAllocateIrp(1, FALSE);
    TakeGuard();
    CompleteUnderGuard(irp);
}

static DECLSPEC_NOINLINE VOID FastMutexUnderGuard(VOID) {
    ExAcquireFastMutex(&FastMutex);
    Result = 0;
}

TARGET_CASE("SYS-13", a_fast_mutex, "verifier=on bugcheck=0xc4/0x33/2 named=!Guard,TakeGuard,FastMutexUnderGuard") {
    ExInitializeFastMutex(&FastMutex);
    TakeGuard();
    FastMutexUnderGuard();
}

static DECLSPEC_NOINLINE VOID CloseUnderGuard(VOID) {
    ZwClose(NULL);
    Result = 0;
}

TARGET_CASE("SYS-13", a_routine_for_passive_level,
            "verifier=on bugcheck=0xc4/0x2001f/*/2 named=!Guard,TakeGuard,CloseUnderGuard") {
    TakeGuard();
    CloseUnderGuard();
}

/* 30 microseconds and more, of virtual time. */
static DECLSPEC_NOINLINE VOID HoldTooLong(VOID) {
    TakeGuard();
    KeStallExecutionProcessor(40);
    LeaveGuard();
}

TARGET_CASE("SYS-13 SPIN-10", more_than_25_microseconds,
            "mode=icount verifier=on hold=fatal bugcheck=0xc4/0x40009 named=!Guard,TakeGuard,LeaveGuard,HoldTooLong") {
    HoldTooLong();
}

TARGET_CASE("SYS-13 SPIN-10", more_than_25_microseconds_goes_on, "verifier=on") {
    HoldTooLong();
    HoldTooLong();
}

TARGET_CASE("SYS-13 SPIN-10", less_than_25_microseconds, "cpus=1 mode=icount verifier=on hold=fatal") {
    for (ULONG i = 0; i < 100; i++) {
        TakeGuard();
        KeStallExecutionProcessor(5);
        LeaveGuard();
    }
}

TARGET_CASE("SYS-14", a_lock_in_pageable_data_is_acquired,
            "verifier=on bugcheck=0xc4/0xe1 named=!PagedLock,seed003.c") {
    KeAcquireSpinLock(&PagedLock, &Old);
}

TARGET_CASE("SYS-14", a_lock_in_paged_pool, "verifier=on bugcheck=0xc4/0xe1 named=seed003.c") {
    PKSPIN_LOCK lock = ExAllocatePoolWithTag(PagedPool, sizeof *lock, '3des');
    *lock = 0;
    KeAcquireSpinLock(lock, &Old);
}

TARGET_CASE("SYS-14", a_queued_lock_in_pageable_data, "verifier=on bugcheck=0xc4/0xe1 named=!PagedLock") {
    KLOCK_QUEUE_HANDLE handle;
    KeAcquireInStackQueuedSpinLock(&PagedLock, &handle);
}

TARGET_CASE("SYS-14", an_event_in_pageable_data, "verifier=on bugcheck=0xc4/0xe1 named=!PagedEvent") {
    KeInitializeEvent(&PagedEvent, NotificationEvent, FALSE);
}

TARGET_CASE("SYS-14", pageable_data_that_is_locked_is_resident, "") {
    PVOID handle = MmLockPagableDataSection((PVOID)(ULONG_PTR)&PagedLock);
    KIRQL irql;
    KeAcquireSpinLock(&PagedLock, &irql);
    KeReleaseSpinLock(&PagedLock, irql);
    MmUnlockPagableImageSection(handle);
}

TARGET_DRIVER
