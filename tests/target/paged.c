/* SPDX-License-Identifier: Apache-2.0 */
/* Pageable sections of an image: what goes out, what brings it back, what is fatal (SYS-14, MEM-1 to MEM-3). */
#include <ntddk.h>

#include <dirqltest.h>

#define PAGEABLE_DATA  __attribute__((section("PAGEDATA")))
#define PAGEABLE_CODE  __attribute__((section("PAGE"), noinline))
#define PAGEABLE_CONST __attribute__((section("PAGECNST")))
#define PAGE_WORDS     (PAGE_SIZE / sizeof(ULONG64))

static PAGEABLE_DATA __attribute__((aligned(PAGE_SIZE))) ULONG64 Data[3 * PAGE_WORDS] = {1};
static PAGEABLE_DATA KSPIN_LOCK LockThere = 0;
static PAGEABLE_CONST const ULONG64 Constant[PAGE_WORDS] = {0x1234, [PAGE_WORDS - 1] = 0x5678};
static ULONG64 Resident[PAGE_WORDS] = {1};

static PAGEABLE_CODE ULONG64 Twice(ULONG64 value) {
    PAGED_CODE();
    return value * 2 + (ULONG64)(KeGetCurrentIrql() & ~APC_LEVEL);
}

static VOID Fill(ULONG64 seed) {
    for (ULONG i = 0; i < RTL_NUMBER_OF(Data); i++) {
        Data[i] = seed ^ i * 0x9e3779b97f4a7c15ull;
    }
}

static VOID Check(ULONG64 seed) {
    for (ULONG i = 0; i < RTL_NUMBER_OF(Data); i++) {
        ASSERT_EQ(Data[i], seed ^ i * 0x9e3779b97f4a7c15ull);
    }
}

TARGET_CASE("MEM-1", what_went_out_comes_back_as_it_was, "") {
    Fill(7);
    ASSERT_EQ(DirqlPageOut(Data, sizeof Data), 3);
    ASSERT_FALSE(DirqlIsResident(Data));
    ASSERT_FALSE(MmIsAddressValid(Data));
    ASSERT_FALSE(DirqlIsResident(&Data[2 * PAGE_WORDS]));
    ASSERT_EQ(Data[PAGE_WORDS], 7 ^ PAGE_WORDS * 0x9e3779b97f4a7c15ull); /* the page in the middle alone */
    ASSERT_TRUE(DirqlIsResident(&Data[2 * PAGE_WORDS - 1]));
    ASSERT_FALSE(DirqlIsResident(Data));
    Check(7);
    ASSERT_TRUE(MmIsAddressValid(Data));
}

TARGET_CASE("MEM-1", a_write_brings_back_too, "") {
    Fill(9);
    DirqlPageOut(NULL, 0);
    Data[5] = 55;
    ASSERT_EQ(Data[5], 55);
    ASSERT_EQ(Data[4], 9 ^ 4 * 0x9e3779b97f4a7c15ull);
    ASSERT_EQ(DirqlPageOut(Data, 1), 1);
    ASSERT_EQ(Data[5], 55);
}

TARGET_CASE("MEM-1", read_only_data_and_code_come_back, "") {
    DirqlPageOut(NULL, 0);
    ASSERT_FALSE(DirqlIsResident((PVOID)(ULONG_PTR)Twice));
    ASSERT_FALSE(DirqlIsResident((PVOID)Constant));
    ASSERT_EQ(Constant[0] + Constant[PAGE_WORDS - 1], 0x1234 + 0x5678);
    ASSERT_EQ(Twice(21), 42);
    ASSERT_TRUE(DirqlIsResident((PVOID)(ULONG_PTR)Twice));
}

TARGET_CASE("MEM-1", it_comes_back_at_apc_level, "") {
    KIRQL irql;
    Fill(3);
    DirqlPageOut(NULL, 0);
    KeRaiseIrql(APC_LEVEL, &irql);
    ASSERT_EQ(Data[0], 3);
    ASSERT_EQ(Twice(4), 8);
    ASSERT_EQ(KeGetCurrentIrql(), APC_LEVEL);
    KeLowerIrql(irql);
}

TARGET_CASE("MEM-1", the_page_it_lay_in_is_emptied, "") {
    Fill(11);
    const ULONG64 *before = MmGetVirtualForPhysical(MmGetPhysicalAddress(Data));
    ASSERT_EQ(*before, 11);
    DirqlPageOut(Data, PAGE_SIZE);
    ASSERT_NE(*before, 11);
    ASSERT_EQ(MmGetPhysicalAddress(Data).QuadPart, 0);
    ASSERT_EQ(Data[0], 11);
}

static volatile LONG Step;

/* Has the page in its TB when it goes out; what it then writes must not go where the page was. */
static VOID NTAPI WriteLater(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    volatile ULONG64 *word = Data;
    ULONG64 before = *word;
    Step = 1;
    WAIT_UNTIL(Step == 2);
    *word = before + 1;
}

TARGET_CASE("MEM-1", it_is_out_on_every_cpu, "smp=2") {
    Fill(20);
    Step = 0;
    DirqlStartOn(1, WriteLater, NULL);
    WAIT_UNTIL(Step == 1);
    ASSERT_EQ(DirqlPageOut(Data, PAGE_SIZE), 1);
    Step = 2;
    DirqlWaitFor(1);
    ASSERT_TRUE(DirqlIsResident(Data));
    ASSERT_EQ(Data[0], 21);
}

TARGET_CASE("MEM-2", resident_memory_never_goes_out, "") {
    DirqlPageOut(NULL, 0);
    ASSERT_TRUE(DirqlIsResident(Resident));
    ASSERT_TRUE(DirqlIsResident((PVOID)(ULONG_PTR)target_run_resident_memory_never_goes_out));
    ASSERT_EQ(DirqlPageOut(Resident, sizeof Resident), 0);
    ASSERT_TRUE(MmIsNonPagedSystemAddressValid(Resident));
    ASSERT_FALSE(MmIsNonPagedSystemAddressValid(Data));
    ASSERT_FALSE(MmIsAddressValid(NULL));
    ASSERT_FALSE(MmIsAddressValid((PVOID)0x8000000000000000ull));
}

TARGET_CASE("MEM-3", a_locked_section_stays, "") {
    DirqlPageOut(NULL, 0);
    PVOID handle = MmLockPagableDataSection(&Data[PAGE_WORDS]);
    ASSERT_TRUE(DirqlIsResident(Data));
    ASSERT_TRUE(DirqlIsResident(&Data[2 * PAGE_WORDS]));
    ASSERT_EQ(DirqlPageOut(Data, sizeof Data), 0);
    MmLockPagableSectionByHandle(handle);
    MmUnlockPagableImageSection(handle);
    DirqlPageOut(NULL, 0); /* once locked, twice locked, once unlocked */
    ASSERT_TRUE(DirqlIsResident(Data));
    ASSERT_FALSE(DirqlIsResident((PVOID)Constant)); /* another section */
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    Data[3] = 1;
    KeLowerIrql(irql);
    MmUnlockPagableImageSection(handle);
    ASSERT_EQ(DirqlPageOut(Data, sizeof Data), 3);
}

TARGET_CASE("MEM-3", locked_code_runs_at_dispatch_level, "") {
    KIRQL irql;
    PVOID handle = MmLockPagableCodeSection(Twice);
    DirqlPageOut(NULL, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ULONG64 four = Twice(1);
    KeLowerIrql(irql);
    MmUnlockPagableImageSection(handle);
    ASSERT_EQ(four, 4); /* 2, and the IRQL */
}

TARGET_CASE("MEM-3", unlocked_once_too_often, "bugcheck=0x4E/7") {
    PVOID handle = MmLockPagableDataSection(Data);
    MmUnlockPagableImageSection(handle);
    MmUnlockPagableImageSection(handle);
}

TARGET_CASE("MEM-2", a_whole_driver_is_made_pageable_and_resident_again, "") {
    PVOID base = MmPageEntireDriver(Resident);
    ASSERT_EQ(MmPageEntireDriver(Data), (ULONG64)base);
    ASSERT_EQ(DirqlPageOut(Resident, 1), 1);
    ASSERT_EQ(Resident[0], 1);
    DirqlPageOut(NULL, 0);
    MmResetDriverPaging(Resident);
    ASSERT_TRUE(DirqlIsResident(Resident));
    ASSERT_EQ(DirqlPageOut(Resident, 1), 0);
    Fill(2);
    ASSERT_EQ(DirqlPageOut(Data, sizeof Data), 3); /* its own sections stay pageable */
    Check(2);
}

TARGET_CASE("SYS-14", a_read_at_dispatch_level_is_fatal, "bugcheck=0xA/*/2/0") {
    KIRQL irql;
    DirqlPageOut(NULL, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    Resident[1] = *(volatile ULONG64 *)Data;
}

TARGET_CASE("SYS-14", a_write_at_device_level_is_fatal, "bugcheck=0xA/*/6/1") {
    KIRQL irql;
    DirqlPageOut(NULL, 0);
    KeRaiseIrql(6, &irql);
    Data[0] = 1;
}

TARGET_CASE("SYS-14", code_at_dispatch_level_is_fatal, "bugcheck=0xA/*/2/8") {
    KIRQL irql;
    DirqlPageOut(NULL, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    Resident[1] = Twice(1);
}

TARGET_CASE("SYS-14", with_interrupts_off_it_is_fatal, "bugcheck=0xA/*/0xFF/0") {
    DirqlPageOut(NULL, 0);
    __asm__ volatile("cli" : : : "memory");
    Resident[1] = *(volatile ULONG64 *)Data;
}

/* QEMU calls the access of a locked instruction a read where only one CPU runs at a time. */
TARGET_CASE("SYS-14", a_lock_in_a_page_that_is_out, "verifier=off bugcheck=0xA/*/2") {
    KIRQL irql;
    KeInitializeSpinLock(&LockThere);
    DirqlPageOut(NULL, 0);
    KeAcquireSpinLock(&LockThere, &irql);
}

TARGET_CASE("SYS-14", a_page_that_is_in_may_be_touched_anywhere, "") {
    KIRQL irql;
    Fill(1);
    KeRaiseIrql(HIGH_LEVEL, &irql);
    Data[0] = 4;
    ULONG64 read = Data[0];
    KeLowerIrql(irql);
    ASSERT_EQ(read, 4);
}

TARGET_CASE("SYS-14", an_address_that_is_nowhere_is_the_drivers, "bugcheck=0xD1/0x1000/2/0") {
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    Resident[1] = *(volatile ULONG64 *)0x1000;
}

TARGET_CASE("SYS-14", an_address_that_is_nowhere_used_by_the_kernel, "bugcheck=0xA/*/2/1") {
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeInitializeDpc((PKDPC)0x1000, NULL, NULL);
}

TARGET_CASE("SYS-14", an_address_that_is_nowhere_below_dispatch_level, "bugcheck=0x50/0x1000/1") {
    *(volatile ULONG64 *)0x1000 = 1;
}

TARGET_DRIVER
