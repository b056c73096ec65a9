/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions: each ends in the bugcheck that its page names, with the parameters that it states, and a report that names what was
 * touched and who touched it. tests/system/guest/test_faults.py looks at the stacks and at what only a host can bring about.
 */
#include <ntddk.h>

#include <dirqltest.h>

#define NOWHERE     0x7f0000001000ull
#define STACK_DEPTH 1000000 /* of the recursion: more than any stack here holds */

static volatile ULONG Zero;
static volatile ULONG Result;
static ULONG *volatile Null = (ULONG *)8;
static ULONG *volatile Nowhere = (ULONG *)NOWHERE;
static volatile UCHAR Data[16] = {0xc3}; /* RET, were it executable */
static const ULONG Constant = 5;
static KDPC Dpc;

TARGET_CASE("0x1E", an_integer_divided_by_zero, "bugcheck=0x1e/0xffffffffc0000094/*/0/0 named=exception.c") {
    Result = 1000 / Zero;
}

TARGET_CASE("0x1E", an_undefined_instruction,
            "bugcheck=0x1e/0xffffffffc000001d/*/0/0 named=STATUS_ILLEGAL_INSTRUCTION") {
    __asm__ volatile("ud2");
}

TARGET_CASE("0x1E", a_breakpoint, "bugcheck=0x1e/0xffffffff80000003/*/0/0 named=STATUS_BREAKPOINT,exception.c") {
    __asm__ volatile("int3");
}

TARGET_CASE("0x1E", an_address_that_is_not_canonical, "bugcheck=0x1e/0xffffffffc0000005/*/0/0xffffffffffffffff") {
    Result = *(volatile ULONG *)0x8000000000000000ull;
}

TARGET_CASE("0x1E", a_selector_that_is_none, "bugcheck=0x1e/0xffffffffc0000005") {
    __asm__ volatile("mov %0, %%ds" : : "r"(0xfff8));
}

TARGET_CASE("0x1E", a_status_that_is_raised,
            "bugcheck=0x1e/0xffffffffc000009a/*/0/0 named=STATUS_INSUFFICIENT_RESOURCES") {
    ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
}

TARGET_CASE("0x1E", an_access_violation_that_is_raised, "bugcheck=0x1e/0xffffffffc0000005/*/0/0") {
    ExRaiseAccessViolation();
}

TARGET_CASE("0x1E", a_misalignment_that_is_raised, "bugcheck=0x1e/0xffffffff80000002/*/0/0") {
    ExRaiseDatatypeMisalignment();
}

TARGET_CASE("0x50", a_null_pointer, "bugcheck=0x50/8/0 named=read,0x8,NULL,exception.c") {
    Result = *Null;
}

TARGET_CASE("0x50", memory_that_is_not_there_is_written, "bugcheck=0x50/0x7f0000001000/1 named=write,0x7f0000001000") {
    *Nowhere = 1;
}

TARGET_CASE("0x50", code_that_is_not_there, "bugcheck=0x50/0x7f0000001000/8/0x7f0000001000 named=execute") {
    ((VOID(NTAPI *)(VOID))(ULONG_PTR)Nowhere)();
    Result = 1;
}

TARGET_CASE("0xD1", a_drivers_null_pointer_at_dispatch_level, "bugcheck=0xd1/8/2/0 named=read,0x8,exception.c") {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    Result = *Null;
}

TARGET_CASE("0xD1", a_drivers_write_at_dirql, "bugcheck=0xd1/0x7f0000001000/9/1 named=write,0x7f0000001000") {
    KIRQL old;
    KeRaiseIrql(9, &old);
    *Nowhere = 1;
}

TARGET_CASE("0xD1", a_drivers_call_to_nowhere_at_dispatch_level, "bugcheck=0xd1/0x7f0000001000/2/8 named=execute") {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ((VOID(NTAPI *)(VOID))(ULONG_PTR)Nowhere)();
    Result = 1;
}

static VOID NTAPI ReadNullInDpc(PKDPC Object, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2) {
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(DeferredContext);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    Result = *Null;
}

TARGET_CASE("0xD1", a_null_pointer_in_a_dpc, "bugcheck=0xd1/8/2/0 named=ReadNullInDpc") {
    KeInitializeDpc(&Dpc, ReadNullInDpc, NULL);
    KeSetTargetProcessorDpc(&Dpc, (CCHAR)(TargetCpus() - 1));
    KeSetImportanceDpc(&Dpc, HighImportance);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    WAIT_UNTIL(Result == (ULONG)~0u); /* never */
}

/* The kernel's own instruction touches it: 0xA, not 0xD1. */
TARGET_CASE("0xA", the_kernel_follows_a_bad_pointer, "bugcheck=0xa/0x7f0000001000/2 named=dirql-guest.elf") {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ExQueryDepthSList((PSLIST_HEADER)(ULONG_PTR)Nowhere);
}

TARGET_CASE("0xBE", a_constant_is_written, "bugcheck=0xbe named=write,exception.c") {
    *(volatile ULONG *)(ULONG_PTR)&Constant = 6;
}

TARGET_CASE("0xBE", code_is_written_at_dispatch_level, "bugcheck=0xbe named=write,exception.c") {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    *(volatile UCHAR *)(ULONG_PTR)ReadNullInDpc = 0x90;
}

TARGET_CASE("0xFC", data_is_executed, "bugcheck=0xfc named=execute") {
    ((VOID(NTAPI *)(VOID))(ULONG_PTR)Data)();
    Result = 1;
}

/* NOLINTNEXTLINE(misc-no-recursion): that is the fault */
static DECLSPEC_NOINLINE ULONG Overflow(ULONG depth) {
    volatile ULONG local[64];
    local[depth % 64] = depth;
    if (depth == STACK_DEPTH) {
        return 0;
    }
    return Overflow(depth + 1) + local[depth % 64];
}

TARGET_CASE("0x7F", a_kernel_stack_overflows, "bugcheck=0x7f/8 named=overflowed,Overflow") {
    Result = Overflow(0);
}

static VOID NTAPI OverflowOnAnother(PVOID Context) {
    UNREFERENCED_PARAMETER(Context);
    Result = Overflow(0);
}

TARGET_CASE("0x7F", another_cpus_stack_overflows, "smp=2 bugcheck=0x7f/8 named=overflowed") {
    DirqlStartOn(1, OverflowOnAnother, NULL);
    DirqlWaitFor(1);
}

TARGET_DRIVER
