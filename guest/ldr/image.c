/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PE loader (PE Format specification, Microsoft's public documentation). Every offset in the file is checked before it
 * is used: the bytes come from outside. Sections are copied by the guest itself, since code that the host wrote into RAM
 * could be stale in the emulator's translation cache; then each section gets its own protection, write or execute.
 */
#include <string.h>

#include "work.h"

#include "../ke/ki.h"
#include "../ke/verify.h"
#include "../mm/mi.h"
#include "../trace/trace.h"

LDR_IMAGE LdrImages[MAXIMUM_IMAGES];

#define LDR_MAXIMUM_SECTIONS 96
/* Kinds of base relocation (PE Format, ".reloc"): filler, and a 64-bit address. */
#define RELOCATION_ABSOLUTE 0
#define RELOCATION_DIR64    10

static NTSTATUS LdrCheckHeaders(const UCHAR *file, ULONG64 bytes, LDR_WORK *work) {
    const IMAGE_DOS_HEADER *dos = (const IMAGE_DOS_HEADER *)file;
    if (bytes < sizeof *dos || dos->e_magic != IMAGE_DOS_SIGNATURE ||
        !LdrWithin(bytes, (ULONG)dos->e_lfanew, sizeof(IMAGE_NT_HEADERS64))) {
        return STATUS_INVALID_IMAGE_FORMAT;
    }
    const IMAGE_NT_HEADERS64 *headers = (const IMAGE_NT_HEADERS64 *)(file + dos->e_lfanew);
    ULONG64 sections = (ULONG64)dos->e_lfanew + FIELD_OFFSET(IMAGE_NT_HEADERS64, OptionalHeader) +
        headers->FileHeader.SizeOfOptionalHeader;
    ULONG count = headers->FileHeader.NumberOfSections;
    if (headers->Signature != IMAGE_NT_SIGNATURE || headers->FileHeader.Machine != IMAGE_FILE_MACHINE_AMD64 ||
        headers->OptionalHeader.Magic != IMAGE_NT_OPTIONAL_HDR64_MAGIC || count > LDR_MAXIMUM_SECTIONS ||
        headers->OptionalHeader.SectionAlignment != PAGE_SIZE ||
        headers->FileHeader.SizeOfOptionalHeader < sizeof(IMAGE_OPTIONAL_HEADER64) ||
        !LdrWithin(bytes, sections, count * sizeof(IMAGE_SECTION_HEADER)) ||
        headers->OptionalHeader.SizeOfHeaders > bytes ||
        headers->OptionalHeader.SizeOfHeaders > headers->OptionalHeader.SizeOfImage ||
        headers->OptionalHeader.AddressOfEntryPoint >= headers->OptionalHeader.SizeOfImage) {
        return STATUS_INVALID_IMAGE_FORMAT;
    }
    work->Headers = headers;
    work->Sections = (const IMAGE_SECTION_HEADER *)(file + sections);
    work->Size = headers->OptionalHeader.SizeOfImage;
    /* Sections follow the headers and each other: a page has one owner, and so one protection. */
    ULONG64 limit = ROUND_TO_PAGES((ULONG64)headers->OptionalHeader.SizeOfHeaders);
    for (ULONG i = 0; i < count; i++) {
        const IMAGE_SECTION_HEADER *section = &work->Sections[i];
        ULONG raw = section->SizeOfRawData;
        if ((section->VirtualAddress & (PAGE_SIZE - 1)) != 0 || !LdrWithin(bytes, section->PointerToRawData, raw) ||
            section->VirtualAddress < limit ||
            !LdrWithin(work->Size, section->VirtualAddress, section->Misc.VirtualSize)) {
            return STATUS_INVALID_IMAGE_FORMAT;
        }
        limit = ROUND_TO_PAGES((ULONG64)section->VirtualAddress + section->Misc.VirtualSize);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS LdrMap(LDR_WORK *work) {
    work->Pages = BYTES_TO_PAGES(work->Size);
    work->Physical = MiAllocatePages(work->Pages);
    if (work->Physical == 0) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    ULONG64 address = MiReserveSystem(work->Pages);
    if (address == 0 || !MiMapPages(address, work->Physical, work->Pages, MiReadWrite)) {
        if (address != 0) {
            MiUnmapPages(address, work->Pages);
            MiReleaseSystem(address, work->Pages);
        }
        MiFreePages(work->Physical, work->Pages);
        return STATUS_INSUFFICIENT_RESOURCES;
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

static NTSTATUS LdrRelocate(const LDR_WORK *work) {
    ULONG64 delta = (ULONG64)work->Base - work->Headers->OptionalHeader.ImageBase;
    const IMAGE_DATA_DIRECTORY *directory = LdrDirectory(work, IMAGE_DIRECTORY_ENTRY_BASERELOC);
    if (delta == 0) {
        return STATUS_SUCCESS;
    }
    if (directory == NULL) {
        return work->Headers->FileHeader.Characteristics & IMAGE_FILE_RELOCS_STRIPPED ? STATUS_INVALID_IMAGE_FORMAT
                                                                                      : STATUS_SUCCESS;
    }
    if (!LdrWithin(work->Size, directory->VirtualAddress, directory->Size)) {
        return STATUS_INVALID_IMAGE_FORMAT;
    }
    ULONG64 offset = 0;
    while (directory->Size - offset >= sizeof(IMAGE_BASE_RELOCATION)) {
        const UCHAR *at = work->Base + directory->VirtualAddress + offset;
        const IMAGE_BASE_RELOCATION block =
            *(const IMAGE_BASE_RELOCATION *)at; /* it may lie in a word that it changes */
        if (block.SizeOfBlock < sizeof block || block.SizeOfBlock > directory->Size - offset) {
            return STATUS_INVALID_IMAGE_FORMAT;
        }
        const USHORT *entries = (const USHORT *)(at + sizeof block);
        for (ULONG i = 0; i < (block.SizeOfBlock - sizeof block) / sizeof(USHORT); i++) {
            ULONG64 target = (ULONG64)block.VirtualAddress + (entries[i] & 0xfffu);
            if (entries[i] >> 12 == RELOCATION_ABSOLUTE) {
                continue;
            }
            if (entries[i] >> 12 != RELOCATION_DIR64 || !LdrWithin(work->Size, target, sizeof(ULONG64))) {
                return STATUS_INVALID_IMAGE_FORMAT;
            }
            *(ULONG64 __attribute__((aligned(1))) *)(work->Base + target) += delta;
        }
        offset += block.SizeOfBlock;
    }
    return STATUS_SUCCESS;
}

/* What may be put out says so by its name, as where a driver's pageable sections are described. */
static BOOLEAN LdrIsPageable(const IMAGE_SECTION_HEADER *section) {
    return strncmp((const char *)section->Name, "PAGE", 4) == 0;
}

static NTSTATUS LdrProtect(const LDR_WORK *work) {
    if (!MiMapPages((ULONG64)work->Base, work->Physical, 1, MiReadOnly) ||
        !MiRegisterImage((ULONG64)work->Base, work->Pages)) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    for (ULONG i = 0; i < work->Headers->FileHeader.NumberOfSections; i++) {
        const IMAGE_SECTION_HEADER *section = &work->Sections[i];
        ULONG flags = section->Characteristics;
        ULONG64 pages = BYTES_TO_PAGES((ULONG64)section->Misc.VirtualSize);
        MI_PROTECTION protection = flags & IMAGE_SCN_MEM_EXECUTE ? MiReadExecute
            : flags & IMAGE_SCN_MEM_WRITE                        ? MiReadWrite
                                                                 : MiReadOnly;
        if ((flags & IMAGE_SCN_MEM_EXECUTE) != 0 && (flags & IMAGE_SCN_MEM_WRITE) != 0) {
            DbgPrint("ldr: section %.8s is both writable and executable, which is refused\n", section->Name);
            return STATUS_INVALID_IMAGE_FORMAT;
        }
        if (!MiMapPages((ULONG64)work->Base + section->VirtualAddress, work->Physical + section->VirtualAddress, pages,
                        protection)) {
            return STATUS_INSUFFICIENT_RESOURCES;
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
    LDR_WORK work = {0};
    LDR_IMAGE *entry = LdrFreeEntry();
    if (entry == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
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
        status = LdrResolveImports(&work, name);
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
    RtlZeroMemory(entry->Name, sizeof entry->Name);
    for (ULONG i = 0; i < sizeof entry->Name - 1 && name[i] != 0; i++) {
        entry->Name[i] = name[i];
    }
    entry->Base = (ULONG64)work.Base;
    trace(TraceImageLoad, entry->Base, entry->Size);
    *image = entry;
    return STATUS_SUCCESS;
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
