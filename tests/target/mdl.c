/* SPDX-License-Identifier: Apache-2.0 */
/* MDLs and memory by its physical place (MEM-7, MEM-8). */
#define POOL_TAGGING
#include <ntddk.h>

#include <dirqltest.h>

#define TAG 'ldMT'

static const PHYSICAL_ADDRESS Zero = {.QuadPart = 0};
static const PHYSICAL_ADDRESS Highest = {.QuadPart = -1};

static ULONG64 FrameOf(PVOID address) {
    return (ULONG64)MmGetPhysicalAddress(address).QuadPart >> PAGE_SHIFT;
}

TARGET_CASE("MEM-7", it_describes_nonpaged_pool, "") {
    UCHAR *buffer = ExAllocatePoolWithTag(NonPagedPoolNx, 3ull * PAGE_SIZE, TAG);
    PMDL mdl = IoAllocateMdl(buffer + 100, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    ASSERT_EQ(MmGetMdlByteCount(mdl), 2 * PAGE_SIZE);
    ASSERT_EQ(MmGetMdlByteOffset(mdl), 100);
    ASSERT_EQ(MmGetMdlVirtualAddress(mdl), (ULONG_PTR)(buffer + 100));
    ASSERT_EQ(mdl->Size, MmSizeOfMdl(buffer + 100, 2ull * PAGE_SIZE));
    MmBuildMdlForNonPagedPool(mdl);
    for (ULONG i = 0; i < 3; i++) {
        ASSERT_EQ(MmGetMdlPfnArray(mdl)[i], FrameOf(buffer + (ULONG64)i * PAGE_SIZE));
    }
    ASSERT_EQ(MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority), (ULONG_PTR)(buffer + 100));
    IoFreeMdl(mdl);
    ExFreePoolWithTag(buffer, TAG);
}

TARGET_CASE("MEM-7 MEM-3", locking_brings_pages_in_and_keeps_them, "") {
    ULONG64 *buffer = ExAllocatePoolWithTag(PagedPool, 3ull * PAGE_SIZE, TAG);
    buffer[600] = 77;
    DirqlPageOut(NULL, 0);
    PMDL mdl = IoAllocateMdl(buffer, 3 * PAGE_SIZE, FALSE, FALSE, NULL);
    MmProbeAndLockPages(mdl, KernelMode, IoModifyAccess);
    ASSERT_NE(mdl->MdlFlags & MDL_PAGES_LOCKED, 0);
    ASSERT_NE(mdl->MdlFlags & MDL_WRITE_OPERATION, 0);
    DirqlPageOut(NULL, 0);
    for (ULONG i = 0; i < 3; i++) {
        ASSERT_TRUE(DirqlIsResident(buffer + (ULONG64)i * 512));
        ASSERT_EQ(MmGetMdlPfnArray(mdl)[i], FrameOf(buffer + (ULONG64)i * 512));
    }
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ULONG64 *mapped = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority);
    ULONG64 seen = mapped[600];
    mapped[601] = 78;
    KeLowerIrql(irql);
    ASSERT_EQ(seen, 77);
    ASSERT_EQ(buffer[601], 78);
    ASSERT_NE(mapped, (ULONG_PTR)buffer);
    MmUnlockPages(mdl);
    ASSERT_FALSE(MmIsAddressValid(mapped)); /* the second address went with the lock */
    ASSERT_EQ(DirqlPageOut(buffer, 3ull * PAGE_SIZE), 3);
    ASSERT_EQ(buffer[601], 78);
    IoFreeMdl(mdl);
    ExFreePoolWithTag(buffer, TAG);
}

TARGET_CASE("MEM-7", locked_twice_it_stays_until_the_second_is_gone, "") {
    UCHAR *buffer = ExAllocatePoolWithTag(PagedPool, PAGE_SIZE, TAG);
    PMDL first = IoAllocateMdl(buffer, 100, FALSE, FALSE, NULL);
    PMDL second = IoAllocateMdl(buffer + 200, 100, FALSE, FALSE, NULL);
    MmProbeAndLockPages(first, KernelMode, IoReadAccess);
    MmProbeAndLockPages(second, KernelMode, IoReadAccess);
    MmUnlockPages(first);
    ASSERT_EQ(DirqlPageOut(buffer, 1), 0);
    MmUnlockPages(second);
    ASSERT_EQ(DirqlPageOut(buffer, 1), 1);
    IoFreeMdl(first);
    IoFreeMdl(second);
    ExFreePoolWithTag(buffer, TAG);
}

TARGET_CASE("MEM-7", a_part_of_it, "") {
    UCHAR *buffer = ExAllocatePoolWithTag(NonPagedPoolNx, 4ull * PAGE_SIZE, TAG);
    PMDL whole = IoAllocateMdl(buffer, 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL part = IoAllocateMdl(buffer, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(whole);
    IoBuildPartialMdl(whole, part, buffer + PAGE_SIZE + 8, PAGE_SIZE);
    ASSERT_EQ(MmGetMdlByteOffset(part), 8);
    ASSERT_EQ(MmGetMdlByteCount(part), PAGE_SIZE);
    ASSERT_EQ(MmGetMdlPfnArray(part)[0], FrameOf(buffer + PAGE_SIZE));
    ASSERT_EQ(MmGetMdlPfnArray(part)[1], FrameOf(buffer + 2ull * PAGE_SIZE));
    ASSERT_EQ(MmGetSystemAddressForMdlSafe(part, NormalPagePriority), (ULONG_PTR)(buffer + PAGE_SIZE + 8));
    IoBuildPartialMdl(whole, part, buffer + 3ull * PAGE_SIZE, 0); /* to the end */
    ASSERT_EQ(MmGetMdlByteCount(part), PAGE_SIZE);
    IoFreeMdl(part);
    IoFreeMdl(whole);
    ExFreePoolWithTag(buffer, TAG);
}

TARGET_CASE("MEM-7", a_part_that_is_mapped_for_itself, "") {
    ULONG *buffer = ExAllocatePoolWithTag(PagedPool, 2ull * PAGE_SIZE, TAG);
    PMDL whole = IoAllocateMdl(buffer, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL part = IoAllocateMdl(buffer + 1024, PAGE_SIZE, FALSE, FALSE, NULL);
    MmProbeAndLockPages(whole, KernelMode, IoWriteAccess);
    IoBuildPartialMdl(whole, part, buffer + 1024, PAGE_SIZE);
    ULONG *mapped = MmGetSystemAddressForMdlSafe(part, NormalPagePriority);
    *mapped = 9;
    ASSERT_EQ(buffer[1024], 9);
    MmPrepareMdlForReuse(part);
    ASSERT_FALSE(MmIsAddressValid(mapped));
    ASSERT_NE(MmGetSystemAddressForMdlSafe(part, NormalPagePriority), NULL);
    IoFreeMdl(part); /* with its mapping */
    MmUnlockPages(whole);
    IoFreeMdl(whole);
    ExFreePoolWithTag(buffer, TAG);
}

TARGET_CASE("MEM-7", a_target_that_is_too_small, "bugcheck=0x40") {
    UCHAR *buffer = ExAllocatePoolWithTag(NonPagedPoolNx, 4ull * PAGE_SIZE, TAG);
    PMDL whole = IoAllocateMdl(buffer, 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL part = IoAllocateMdl(buffer, PAGE_SIZE, FALSE, FALSE, NULL);
    MmBuildMdlForNonPagedPool(whole);
    IoBuildPartialMdl(whole, part, buffer, 3 * PAGE_SIZE);
}

TARGET_CASE("MEM-7", they_hang_on_an_irp_in_order, "") {
    static UCHAR buffer[64];
    PIRP irp = IoAllocateIrp(1, FALSE);
    PMDL first = IoAllocateMdl(buffer, 8, FALSE, FALSE, irp);
    PMDL second = IoAllocateMdl(buffer + 8, 8, TRUE, FALSE, irp);
    PMDL third = IoAllocateMdl(buffer + 16, 8, TRUE, FALSE, irp);
    ASSERT_EQ(irp->MdlAddress, (ULONG_PTR)first);
    ASSERT_EQ(first->Next, (ULONG_PTR)second);
    ASSERT_EQ(second->Next, (ULONG_PTR)third);
    ASSERT_EQ(third->Next, NULL);
    IoFreeMdl(first);
    IoFreeMdl(second);
    IoFreeMdl(third);
    irp->MdlAddress = NULL;
    IoFreeIrp(irp);
}

TARGET_CASE("MEM-7", what_is_not_there_cannot_be_locked, "bugcheck=0x1E/0xFFFFFFFFC0000005") {
    PMDL mdl = IoAllocateMdl((PVOID)0x1000, 8, FALSE, FALSE, NULL);
    MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
}

TARGET_CASE("MEM-7", code_cannot_be_locked_for_writing, "bugcheck=0x1E/0xFFFFFFFFC0000005") {
    PMDL mdl = IoAllocateMdl((PVOID)(ULONG_PTR)FrameOf, 8, FALSE, FALSE, NULL);
    MmProbeAndLockPages(mdl, KernelMode, IoWriteAccess);
}

TARGET_CASE("MEM-7", locked_memory_must_not_be_freed, "bugcheck=0x4E/0x9A") {
    UCHAR *buffer = ExAllocatePoolWithTag(PagedPool, PAGE_SIZE, TAG);
    PMDL mdl = IoAllocateMdl(buffer, 8, FALSE, FALSE, NULL);
    MmProbeAndLockPages(mdl, KernelMode, IoReadAccess);
    ExFreePoolWithTag(buffer, TAG);
}

TARGET_CASE("MEM-7", pages_without_an_address, "") {
    PMDL mdl = MmAllocatePagesForMdlEx(Zero, Highest, Zero, 5ull * PAGE_SIZE, MmCached, 0);
    ASSERT_EQ(MmGetMdlByteCount(mdl), 5 * PAGE_SIZE);
    ULONG64 *mapped = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority);
    for (ULONG i = 0; i < 2560; i++) {
        ASSERT_EQ(mapped[i], 0);
        mapped[i] = i;
    }
    for (ULONG i = 0; i < 5; i++) {
        ASSERT_EQ(FrameOf(mapped + (ULONG64)i * 512), MmGetMdlPfnArray(mdl)[i]);
    }
    MmUnmapLockedPages(mapped, mdl);
    MmFreePagesFromMdl(mdl);
    ExFreePool(mdl);
}

TARGET_CASE("MEM-7 MEM-8", pages_below_an_address_in_chunks, "") {
    PHYSICAL_ADDRESS limit = {.QuadPart = (32LL << 20) - 1};
    PHYSICAL_ADDRESS chunk = {.QuadPart = 4LL * PAGE_SIZE};
    PMDL mdl = MmAllocatePagesForMdlEx(Zero, limit, chunk, 16ull * PAGE_SIZE, MmCached,
                                       MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS | MM_ALLOCATE_FULLY_REQUIRED);
    const PFN_NUMBER *frames = MmGetMdlPfnArray(mdl);
    for (ULONG i = 0; i < 16; i++) {
        ASSERT_LT((ULONG64)frames[i] << PAGE_SHIFT, limit.QuadPart);
        ASSERT_EQ(frames[i], frames[i & ~3u] + i % 4);
    }
    MmFreePagesFromMdl(mdl);
    ExFreePool(mdl);
    ASSERT_EQ(MmAllocatePagesForMdlEx(Zero, limit, Zero, 64ull << 20, MmCached, MM_ALLOCATE_FULLY_REQUIRED), NULL);
}

TARGET_CASE("MEM-8", contiguous_memory_lies_where_it_is_to, "") {
    PHYSICAL_ADDRESS low = {.QuadPart = 44LL << 20};
    PHYSICAL_ADDRESS high = {.QuadPart = (52LL << 20) - 1};
    PHYSICAL_ADDRESS boundary = {.QuadPart = 64 << 10};
    for (ULONG round = 0; round < 40; round++) {
        UCHAR *memory = MmAllocateContiguousMemorySpecifyCache(40 << 10, low, high, boundary, MmNonCached);
        UCHAR *other = MmAllocateContiguousMemorySpecifyCache(12 << 10, low, high, boundary, MmCached);
        ASSERT_NE(memory, NULL);
        ASSERT_NE(other, NULL);
        ULONG64 at = (ULONG64)MmGetPhysicalAddress(memory).QuadPart;
        ASSERT_EQ(at % PAGE_SIZE, 0);
        ASSERT_GE(at, low.QuadPart);
        ASSERT_LE(at + (40 << 10) - 1, high.QuadPart);
        ASSERT_EQ(at / (64 << 10), (at + (40 << 10) - 1) / (64 << 10));
        for (ULONG64 offset = 0; offset < 40 << 10; offset += PAGE_SIZE) {
            ASSERT_EQ(MmGetPhysicalAddress(memory + offset).QuadPart, at + offset);
        }
        RtlFillMemory(memory, 40 << 10, 1);
        MmFreeContiguousMemorySpecifyCache(memory, 40 << 10, MmNonCached);
        MmFreeContiguousMemory(other);
    }
    PHYSICAL_ADDRESS below = {.QuadPart = (4LL << 20) - 1};
    ASSERT_EQ(MmAllocateContiguousMemory(8ull << 20, below), NULL);
    PVOID plain = MmAllocateContiguousMemory(100, Highest);
    ASSERT_EQ((ULONG_PTR)plain % PAGE_SIZE, 0);
    MmFreeContiguousMemory(plain);
    PVOID uncached = MmAllocateNonCachedMemory(5000);
    ASSERT_EQ((ULONG_PTR)uncached % PAGE_SIZE, 0);
    MmFreeNonCachedMemory(uncached, 5000);
}

TARGET_CASE("MEM-8 MEM-5", contiguous_memory_freed_as_pool, "bugcheck=0xC2/0xA") {
    ExFreePoolWithTag(MmAllocateContiguousMemory(PAGE_SIZE, Highest), TAG);
}

TARGET_DRIVER
