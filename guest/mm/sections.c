/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections of drivers' images as drivers lock them and make them pageable. A handle is the address of the section's first page; it is
 * good for as long as the image is.
 */
#include "mi.h"

#include "../include/export.h"
#include "../include/mutant.h"
#include "../ke/ki.h"

/* The image that an address lies in; an address in none is a driver's mistake that the documents give no code for. */
static MI_PAGEABLE *MiImageOf(ULONG64 address, ULONG64 caller) {
    for (ULONG i = 1; i < MI_PAGEABLES; i++) {
        MI_PAGEABLE *range = &MiPageables[i];
        if (range->Base != 0 && address >= range->Base && (address - range->Base) >> PAGE_SHIFT < range->Pages) {
            return range;
        }
    }
    KeBugCheckEx(MEMORY_MANAGEMENT, 0, address, caller, 0);
    __builtin_unreachable();
}

/* The pages of the section that an address lies in: the first, and the one behind the last. */
static VOID MiSectionOf(const MI_PAGEABLE *image, ULONG64 address, ULONG64 *first, ULONG64 *limit) {
    ULONG64 at = (address - image->Base) >> PAGE_SHIFT;
    UCHAR number = image->Page[at].Section;
    for (*first = at; *first != 0 && image->Page[*first - 1].Section == number; (*first)--) {
    }
    for (*limit = at + 1; *limit < image->Pages && image->Page[*limit].Section == number; (*limit)++) {
    }
}

static PVOID MiLockSection(ULONG64 address, ULONG64 caller) {
    const MI_PAGEABLE *image = MiImageOf(address, caller);
    ULONG64 first, limit;
    MiSectionOf(image, address, &first, &limit);
    for (ULONG64 i = first; i < limit; i++) {
        if (i != first && MUTANT(LockOnlyFirstPage, "MEM-3", "of a section only the first page is locked")) {
            break;
        }
        MiLockPage(image->Base + (i << PAGE_SHIFT));
    }
    return (PVOID)(image->Base + (first << PAGE_SHIFT));
}

PVOID NTAPI MmLockPagableDataSection(PVOID AddressWithinSection) {
    return MiLockSection((ULONG64)AddressWithinSection, KI_CALLER);
}
NT_EXPORT(MmLockPagableDataSection);

VOID NTAPI MmLockPagableSectionByHandle(PVOID ImageSectionHandle) {
    MiLockSection((ULONG64)ImageSectionHandle, KI_CALLER);
}
NT_EXPORT(MmLockPagableSectionByHandle);

VOID NTAPI MmUnlockPagableImageSection(PVOID ImageSectionHandle) {
    const MI_PAGEABLE *image = MiImageOf((ULONG64)ImageSectionHandle, KI_CALLER);
    ULONG64 first, limit;
    MiSectionOf(image, (ULONG64)ImageSectionHandle, &first, &limit);
    for (ULONG64 i = first; i < limit; i++) {
        MiUnlockPage(image->Base + (i << PAGE_SHIFT));
    }
}
NT_EXPORT(MmUnlockPagableImageSection);

/* All sections; the headers stay, since the loader reads them. */
PVOID NTAPI MmPageEntireDriver(PVOID AddressWithinSection) {
    KIRQL irql = MiLockPaging();
    MI_PAGEABLE *image = MiImageOf((ULONG64)AddressWithinSection, KI_CALLER);
    for (ULONG64 i = 0; i < image->Pages; i++) {
        if (image->Page[i].Section != 0) {
            image->Page[i].Pageable |= MI_MAY_GO;
        }
    }
    MiUnlockPaging(irql);
    return (PVOID)image->Base;
}
NT_EXPORT(MmPageEntireDriver);

VOID NTAPI MmResetDriverPaging(PVOID AddressWithinSection) {
    KIRQL irql = MiLockPaging();
    MI_PAGEABLE *image = MiImageOf((ULONG64)AddressWithinSection, KI_CALLER);
    for (ULONG64 i = 0; i < image->Pages; i++) {
        MI_PAGE *page = &image->Page[i];
        if ((page->Pageable & MI_OWN_WILL) == 0) {
            page->Pageable = 0;
            if (page->Frame != 0 && !page->Resident) {
                MiBringIn(image->Base + (i << PAGE_SHIFT), page);
            }
        }
    }
    MiUnlockPaging(irql);
}
NT_EXPORT(MmResetDriverPaging);

BOOLEAN NTAPI MmIsAddressValid(PVOID VirtualAddress) {
    ULONG64 address = (ULONG64)VirtualAddress;
    ULONG64 physical;
    BOOLEAN canonical = (LONG64)(address << 16) >> 16 == (LONG64)address;
    return canonical && MiTranslate(address, &physical);
}
NT_EXPORT(MmIsAddressValid);

BOOLEAN NTAPI MmIsNonPagedSystemAddressValid(PVOID VirtualAddress) {
    return MmIsAddressValid(VirtualAddress) && !MiIsPageable((ULONG64)VirtualAddress);
}
NT_EXPORT(MmIsNonPagedSystemAddressValid);

/* Where the direct map has it; an address that is no RAM's has none. */
PVOID NTAPI MmGetVirtualForPhysical(PHYSICAL_ADDRESS PhysicalAddress) {
    ULONG64 found;
    PVOID address = MiPhysicalToVirtual((ULONG64)PhysicalAddress.QuadPart);
    return MiTranslate((ULONG64)address, &found) ? address : NULL;
}
NT_EXPORT(MmGetVirtualForPhysical);
