/* SPDX-License-Identifier: Apache-2.0 */
/* System addresses: a bitmap over the region, handed out for device registers, stacks and driver images. */
#include "mi.h"

#include "../ke/ki.h"

static ULONG64 MiSystemBitmap[MI_SYSTEM_PAGES / 64];
static ULONG64 MiSystemHint;
static KSPIN_LOCK MiSystemLock;

static BOOLEAN MiSystemUsed(ULONG64 page) {
    return (MiSystemBitmap[page / 64] >> (page & 63u) & 1u) != 0;
}

static VOID MiSystemMark(ULONG64 first, ULONG64 count) {
    for (ULONG64 page = first; page < first + count; page++) {
        MiSystemBitmap[page / 64] ^= 1ull << (page & 63u);
    }
}

static ULONG64 MiSystemFind(ULONG64 from, ULONG64 count) {
    ULONG64 run = 0;
    for (ULONG64 page = from; page < MI_SYSTEM_PAGES; page++) {
        run = MiSystemUsed(page) ? 0 : run + 1;
        if (run == count) {
            return page + 1 - count;
        }
    }
    return MI_SYSTEM_PAGES;
}

ULONG64 MiReserveSystem(ULONG64 pages) {
    ULONG64 address = 0;
    KIRQL irql = KiAcquireLockAtHigh(&MiSystemLock);
    ULONG64 page = MiSystemFind(MiSystemHint, pages);
    if (page == MI_SYSTEM_PAGES) {
        page = MiSystemFind(0, pages);
    }
    if (page != MI_SYSTEM_PAGES) {
        MiSystemMark(page, pages);
        MiSystemHint = page + pages;
        address = MI_SYSTEM_BASE + (page << PAGE_SHIFT);
    }
    KiReleaseLockFromHigh(&MiSystemLock, irql);
    return address;
}

VOID MiReleaseSystem(ULONG64 address, ULONG64 pages) {
    KIRQL irql = KiAcquireLockAtHigh(&MiSystemLock);
    MiSystemMark((address - MI_SYSTEM_BASE) >> PAGE_SHIFT, pages);
    KiReleaseLockFromHigh(&MiSystemLock, irql);
}

PVOID MiMapDevice(ULONG64 physical, ULONG64 bytes) {
    ULONG64 offset = physical & (PAGE_SIZE - 1);
    ULONG64 pages = BYTES_TO_PAGES(offset + bytes);
    ULONG64 address = MiReserveSystem(pages);
    if (address == 0) {
        return NULL;
    }
    if (!MiMapPages(address, physical - offset, pages, MiDevice)) {
        MiUnmapPages(address, pages);
        MiReleaseSystem(address, pages);
        return NULL;
    }
    return (PVOID)(address + offset);
}

VOID MiUnmapDevice(PVOID address, ULONG64 bytes) {
    ULONG64 offset = (ULONG64)address & (PAGE_SIZE - 1);
    ULONG64 pages = BYTES_TO_PAGES(offset + bytes);
    MiUnmapPages((ULONG64)address - offset, pages);
    MiFlushTb();
    MiReleaseSystem((ULONG64)address - offset, pages);
}

ULONG64 MiTryCreateStack(ULONG pages) {
    ULONG64 guard = MiReserveSystem(pages + 1);
    ULONG64 physical = guard != 0 ? MiAllocatePages(pages) : 0;
    if (physical != 0 && MiMapPages(guard + PAGE_SIZE, physical, pages, MiReadWrite)) {
        return guard + PAGE_SIZE + ((ULONG64)pages << PAGE_SHIFT);
    }
    if (physical != 0) {
        MiUnmapPages(guard + PAGE_SIZE, pages);
        MiFreePages(physical, pages);
    }
    if (guard != 0) {
        MiReleaseSystem(guard, pages + 1);
    }
    return 0;
}

ULONG64 MiCreateStack(ULONG pages) {
    ULONG64 top = MiTryCreateStack(pages);
    if (top == 0) {
        KeBugCheckEx(INSTALL_MORE_MEMORY, MiTotalPageCount(), pages, 3, 0);
    }
    return top;
}

PVOID NTAPI MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE CacheType) {
    UNREFERENCED_PARAMETER(CacheType); /* QEMU's memory has one kind of caching */
    return NumberOfBytes == 0 ? NULL : MiMapDevice((ULONG64)PhysicalAddress.QuadPart, NumberOfBytes);
}
NT_EXPORT(MmMapIoSpace);

VOID NTAPI MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes) {
    MiUnmapDevice(BaseAddress, NumberOfBytes);
}
NT_EXPORT(MmUnmapIoSpace);

PHYSICAL_ADDRESS NTAPI MmGetPhysicalAddress(PVOID BaseAddress) {
    PHYSICAL_ADDRESS physical = {.QuadPart = 0};
    ULONG64 found;
    if (MiTranslate((ULONG64)BaseAddress, &found)) {
        physical.QuadPart = (LONGLONG)found;
    }
    return physical;
}
NT_EXPORT(MmGetPhysicalAddress);
