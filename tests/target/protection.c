/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No page can be both written and executed, by whatever addresses (MEM-9): a walk over the machine's own page tables, with images,
 * pools, stacks and second mappings as they are. And each pool refuses to run what was written into it.
 */
#define POOL_TAGGING
#include <ntddk.h>

#include <dirqltest.h>

#define PRESENT    0x1ull
#define WRITE      0x2ull
#define LARGE      0x80ull
#define NO_EXECUTE 0x8000000000000000ull
#define ADDRESS    0x000ffffffffff000ull
#define TAG        'torP'
#define MOST       4096

typedef struct _SPAN {
    ULONG64 First, Limit; /* physical pages */
} SPAN;

typedef struct _WALK {
    SPAN Run[MOST]; /* that can be executed */
    ULONG Runs;
    ULONG64 Writable; /* leaf entries that can be written */
    BOOLEAN Collect;  /* the first walk gathers Run, the second compares */
} WALK;

static WALK Walk;

static PVOID Table(ULONG64 entry) {
    PHYSICAL_ADDRESS physical = {.QuadPart = (LONGLONG)(entry & ADDRESS)};
    return MmGetVirtualForPhysical(physical);
}

static VOID Leaf(ULONG64 entry, ULONG shift, BOOLEAN writable, BOOLEAN executable) {
    SPAN span = {(entry & ADDRESS) >> PAGE_SHIFT, ((entry & ADDRESS) >> PAGE_SHIFT) + (1ull << (shift - PAGE_SHIFT))};
    ASSERT_FALSE(writable && executable);
    if (Walk.Collect && executable) {
        ASSERT_LT(Walk.Runs, MOST);
        Walk.Run[Walk.Runs++] = span;
    }
    for (ULONG i = 0; !Walk.Collect && writable && i < Walk.Runs; i++) {
        ASSERT_TRUE(span.Limit <= Walk.Run[i].First || span.First >= Walk.Run[i].Limit);
    }
    Walk.Writable += !Walk.Collect && writable;
}

/* NOLINTNEXTLINE(misc-no-recursion): four levels at most, each calling the next, as deep as the tables */
static VOID Entries(const ULONG64 *table, ULONG shift, BOOLEAN writable, BOOLEAN executable) {
    for (ULONG i = 0; i < 512; i++) {
        ULONG64 entry = table[i];
        if ((entry & PRESENT) == 0) {
            continue;
        }
        BOOLEAN write = writable && (entry & WRITE) != 0;
        BOOLEAN execute = executable && (entry & NO_EXECUTE) == 0;
        if (shift == PAGE_SHIFT || (entry & LARGE) != 0) {
            Leaf(entry, shift, write, execute);
        } else {
            Entries(Table(entry), shift - 9, write, execute);
        }
    }
}

static VOID LookAtAll(VOID) {
    ULONG64 top;
    __asm__ volatile("mov %%cr3, %0" : "=r"(top));
    Walk.Runs = 0;
    Walk.Writable = 0;
    Walk.Collect = TRUE;
    Entries(Table(top), 39, TRUE, TRUE);
    Walk.Collect = FALSE;
    Entries(Table(top), 39, TRUE, TRUE);
    ASSERT_GT(Walk.Runs, 20); /* the kernel's text alone has more */
    ASSERT_GT(Walk.Writable, 20);
}

__attribute__((section("PAGE"), noinline)) static ULONG Two(VOID) {
    return 2;
}

TARGET_CASE("MEM-9", no_page_is_writable_and_executable, "limit=300") {
    UCHAR *resident = ExAllocatePoolWithTag(NonPagedPoolExecute, 3000, TAG);
    UCHAR *paged = ExAllocatePoolWithTag(PagedPool, 5000, TAG);
    PMDL mdl = IoAllocateMdl((PVOID)(ULONG_PTR)Two, 16, FALSE, FALSE, NULL);
    LookAtAll();
    MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
    ASSERT_NE(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority), NULL); /* code, at a second address */
    LookAtAll();
    MmUnlockPages(mdl);
    LookAtAll();
    DirqlPageOut(NULL, 0);
    LookAtAll();
    ASSERT_EQ(Two(), 2);
    LookAtAll();
    IoFreeMdl(mdl);
    ExFreePool(paged);
    ExFreePool(resident);
}

static VOID Run(PVOID code) {
    *(volatile UCHAR *)code = 0xc3; /* ret */
    VOID (*routine)(VOID) = (VOID (*)(VOID))code;
    routine();
}

TARGET_CASE("MEM-9", nonpaged_pool_does_not_run, "bugcheck=0xFC") {
    Run(ExAllocatePoolWithTag(NonPagedPoolExecute, 64, TAG));
}

TARGET_CASE("MEM-9", paged_pool_does_not_run, "bugcheck=0xFC") {
    Run(ExAllocatePoolWithTag(PagedPool, 64, TAG));
}

TARGET_CASE("MEM-9", a_stack_does_not_run, "bugcheck=0xFC") {
    UCHAR code[16];
    Run(code);
}

TARGET_CASE("MEM-9", pageable_code_is_not_written, "bugcheck=0xBE") {
    DirqlPageOut(NULL, 0);
    *(volatile UCHAR *)(ULONG_PTR)Two = 0;
}

TARGET_CASE("MEM-9", code_by_a_second_address_is_not_written, "bugcheck=0xBE") {
    PMDL mdl = IoAllocateMdl((PVOID)(ULONG_PTR)Two, 16, FALSE, FALSE, NULL);
    MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
    *(volatile UCHAR *)MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority) = 0;
}

TARGET_DRIVER
