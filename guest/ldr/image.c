/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PE loader (PE Format specification, Microsoft's public documentation). Sections are copied by the guest itself, since code
 * that the host wrote into RAM could be stale in the emulator's translation cache; then each section gets its own protection,
 * write or execute. A section that its linker lets be discarded and that is both (INIT, with code and imports in one) is executed
 * only: its loader is who writes to it.
 */
#include <string.h>

#include "work.h"

#include "../ke/ki.h"
#include "../ke/verify.h"
#include "../mm/mi.h"
#include "../trace/trace.h"

LDR_IMAGE LdrImages[MAXIMUM_IMAGES];

static NTSTATUS LdrNoMemory(const LDR_WORK *work) {
    return LdrRefuse(STATUS_INSUFFICIENT_RESOURCES, "no memory for an image of 0x%I64x bytes (SizeOfImage)",
                     work->Size);
}

static NTSTATUS LdrMap(LDR_WORK *work) {
    work->Pages = BYTES_TO_PAGES(work->Size);
    work->Physical = MiAllocatePages(work->Pages);
    if (work->Physical == 0) {
        return LdrNoMemory(work);
    }
    ULONG64 address = MiReserveSystem(work->Pages);
    if (address == 0 || !MiMapPages(address, work->Physical, work->Pages, MiReadWrite)) {
        if (address != 0) {
            MiUnmapPages(address, work->Pages);
            MiReleaseSystem(address, work->Pages);
        }
        MiFreePages(work->Physical, work->Pages);
        return LdrNoMemory(work);
    }
    work->Base = (UCHAR *)address;
    return STATUS_SUCCESS;
}

static VOID LdrCopySections(const UCHAR *file, const LDR_WORK *work) {
    RtlZeroMemory(work->Base, work->Pages << PAGE_SHIFT);
    RtlCopyMemory(work->Base, file, work->Headers->OptionalHeader.SizeOfHeaders);
    for (ULONG i = 0; i < work->Headers->FileHeader.NumberOfSections; i++) {
        const IMAGE_SECTION_HEADER *section = &work->Sections[i];
        ULONG bytes = section->SizeOfRawData;
        if (bytes > section->Misc.VirtualSize) {
            bytes = section->Misc.VirtualSize;
        }
        RtlCopyMemory(work->Base + section->VirtualAddress, file + section->PointerToRawData, bytes);
    }
}

/* What may be put out says so by its name, as where a driver's pageable sections are described. */
static BOOLEAN LdrIsPageable(const IMAGE_SECTION_HEADER *section) {
    return strncmp((const char *)section->Name, "PAGE", 4) == 0;
}

static NTSTATUS LdrProtect(const LDR_WORK *work) {
    if (!MiMapPages((ULONG64)work->Base, work->Physical, 1, MiReadOnly) ||
        !MiRegisterImage((ULONG64)work->Base, work->Pages)) {
        return LdrNoMemory(work);
    }
    for (ULONG i = 0; i < work->Headers->FileHeader.NumberOfSections; i++) {
        const IMAGE_SECTION_HEADER *section = &work->Sections[i];
        ULONG flags = section->Characteristics;
        ULONG64 pages = BYTES_TO_PAGES((ULONG64)section->Misc.VirtualSize);
        MI_PROTECTION protection = flags & IMAGE_SCN_MEM_EXECUTE ? MiReadExecute
            : flags & IMAGE_SCN_MEM_WRITE                        ? MiReadWrite
                                                                 : MiReadOnly;
        if ((flags & IMAGE_SCN_MEM_EXECUTE) != 0 && (flags & IMAGE_SCN_MEM_WRITE) != 0 &&
            (flags & IMAGE_SCN_MEM_DISCARDABLE) == 0) {
            return LdrRefuse(STATUS_INVALID_IMAGE_FORMAT,
                             "section %.8s is both writable and executable (Characteristics 0x%08x), which is refused",
                             section->Name, flags);
        }
        if (!MiMapPages((ULONG64)work->Base + section->VirtualAddress, work->Physical + section->VirtualAddress, pages,
                        protection)) {
            return LdrNoMemory(work);
        }
        MiDescribeSection((ULONG64)work->Base + section->VirtualAddress, pages, protection, i + 1u,
                          LdrIsPageable(section));
    }
    MiFlushTb();
    return STATUS_SUCCESS;
}

static LDR_IMAGE *LdrFreeEntry(VOID) {
    for (ULONG i = 0; i < MAXIMUM_IMAGES; i++) {
        if (LdrImages[i].Base == 0) {
            return &LdrImages[i];
        }
    }
    return NULL;
}

NTSTATUS LdrLoadImage(const UCHAR *file, ULONG64 bytes, const char *name, LDR_IMAGE **image) {
    LdrForgetProblem();
    LDR_WORK work = {.Name = name};
    LDR_IMAGE *entry = LdrFreeEntry();
    if (entry == NULL) {
        return LdrRefuse(STATUS_INSUFFICIENT_RESOURCES, "%u images are loaded, which is as many as there can be",
                         MAXIMUM_IMAGES);
    }
    NTSTATUS status = LdrCheckHeaders(file, bytes, &work);
    if (NT_SUCCESS(status)) {
        status = LdrMap(&work);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    LdrCopySections(file, &work);
    status = LdrRelocate(&work);
    if (NT_SUCCESS(status)) {
        status = LdrResolveImports(&work);
    }
    if (NT_SUCCESS(status)) {
        status = LdrConfigure(&work);
    }
    if (NT_SUCCESS(status)) {
        status = LdrProtect(&work);
    }
    if (!NT_SUCCESS(status)) {
        MiReleaseImage((ULONG64)work.Base, work.Pages);
        return status;
    }
    entry->Size = work.Size;
    entry->EntryPoint = (ULONG64)work.Base + work.Headers->OptionalHeader.AddressOfEntryPoint;
    entry->Uses = work.Uses;
    RtlZeroMemory(entry->Name, sizeof entry->Name);
    for (ULONG i = 0; i < sizeof entry->Name - 1 && name[i] != 0; i++) {
        entry->Name[i] = name[i];
    }
    entry->Base = (ULONG64)work.Base;
    trace(TraceImageLoad, entry->Base, entry->Size);
    *image = entry;
    return STATUS_SUCCESS;
}

NTSTATUS LdrMayUnload(const LDR_IMAGE *image) {
    NTSTATUS status = STATUS_SUCCESS;
    LdrForgetProblem();
    for (ULONG i = 0; i < MAXIMUM_IMAGES; i++) {
        if (LdrImages[i].Base != 0 && &LdrImages[i] != image &&
            (LdrImages[i].Uses & 1ull << (image - LdrImages)) != 0) {
            status =
                LdrRefuse(STATUS_DEVICE_BUSY, "%s imports from %s; unload it first", LdrImages[i].Name, image->Name);
        }
    }
    return status;
}

VOID LdrUnloadImage(LDR_IMAGE *image) {
    ULONG64 base = image->Base;
    KiVerifyRelease(base, image->Size);
    trace(TraceImageUnload, base, image->Size);
    image->Base = 0;
    MiReleaseImage(base, BYTES_TO_PAGES(image->Size));
}

LDR_IMAGE *LdrFindImage(ULONG64 base) {
    for (ULONG i = 0; i < MAXIMUM_IMAGES; i++) {
        if (base != 0 && LdrImages[i].Base == base) {
            return &LdrImages[i];
        }
    }
    return NULL;
}
