/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the headers of an image must say (PE Format specification, Microsoft's public documentation). The bytes come from outside:
 * every offset is checked before it is used, and a refusal names the field, where it is in the file, what it is, and what is
 * expected there. The checksum, time stamps and versions say nothing about whether an image can be loaded; nobody reads them.
 */
#include "work.h"

#define LDR_MAXIMUM_SECTIONS 96

/* PE Format, "Windows Subsystem" */
#define SUBSYSTEM_NATIVE  1
#define SUBSYSTEM_WINDOW  2
#define SUBSYSTEM_CONSOLE 3
#define SUBSYSTEM_EFI     10 /* and the three after it */
#define SUBSYSTEM_EFI_ROM 13

#define INVALID(...) LdrRefuse(STATUS_INVALID_IMAGE_FORMAT, __VA_ARGS__)

/* Where a field of the headers is in the file. */
#define AT(field) ((ULONG64)((const UCHAR *)&(field) - file))

static const char *LdrMachineName(USHORT machine) {
    switch (machine) {
    case IMAGE_FILE_MACHINE_I386:
        return "i386";
    case 0xaa64:
        return "ARM64";
    case 0x1c4:
        return "ARM";
    case IMAGE_FILE_MACHINE_IA64:
        return "Itanium";
    default:
        return "no machine that is known here";
    }
}

static const char *LdrSubsystemName(USHORT subsystem) {
    return subsystem == SUBSYSTEM_WINDOW                               ? "a window program"
        : subsystem == SUBSYSTEM_CONSOLE                               ? "a console program"
        : subsystem >= SUBSYSTEM_EFI && subsystem <= SUBSYSTEM_EFI_ROM ? "firmware"
                                                                       : "no driver";
}

static NTSTATUS LdrCheckFileHeader(const UCHAR *file, const IMAGE_FILE_HEADER *header) {
    if (header->Machine != IMAGE_FILE_MACHINE_AMD64) {
        return INVALID("Machine at offset 0x%I64x is 0x%04x (%s); 0x8664 (x64) is expected", AT(header->Machine),
                       header->Machine, LdrMachineName(header->Machine));
    }
    if (header->NumberOfSections > LDR_MAXIMUM_SECTIONS) {
        return INVALID("NumberOfSections at offset 0x%I64x is %u; at most %u are expected",
                       AT(header->NumberOfSections), header->NumberOfSections, LDR_MAXIMUM_SECTIONS);
    }
    if (header->SizeOfOptionalHeader < sizeof(IMAGE_OPTIONAL_HEADER64)) {
        return INVALID("SizeOfOptionalHeader at offset 0x%I64x is %u; at least %u are expected",
                       AT(header->SizeOfOptionalHeader), header->SizeOfOptionalHeader,
                       (ULONG)sizeof(IMAGE_OPTIONAL_HEADER64));
    }
    return STATUS_SUCCESS;
}

static NTSTATUS LdrCheckOptionalHeader(const UCHAR *file, ULONG64 bytes, const IMAGE_OPTIONAL_HEADER64 *header) {
    if (header->Magic != IMAGE_NT_OPTIONAL_HDR64_MAGIC) {
        return INVALID("Magic at offset 0x%I64x is 0x%x%s; 0x20b (PE32+) is expected", AT(header->Magic), header->Magic,
                       header->Magic == IMAGE_NT_OPTIONAL_HDR32_MAGIC ? " (PE32, 32 bits)" : "");
    }
    if (header->Subsystem != SUBSYSTEM_NATIVE) {
        return INVALID("Subsystem at offset 0x%I64x is %u (%s); 1 (native, a driver) is expected",
                       AT(header->Subsystem), header->Subsystem, LdrSubsystemName(header->Subsystem));
    }
    if (header->SectionAlignment != PAGE_SIZE) {
        return INVALID("SectionAlignment at offset 0x%I64x is 0x%x; 0x%x, a page, is expected",
                       AT(header->SectionAlignment), header->SectionAlignment, PAGE_SIZE);
    }
    if (header->SizeOfHeaders > bytes || header->SizeOfHeaders > header->SizeOfImage) {
        return INVALID("SizeOfHeaders at offset 0x%I64x is 0x%x; the file has 0x%I64x bytes, the image 0x%x",
                       AT(header->SizeOfHeaders), header->SizeOfHeaders, bytes, header->SizeOfImage);
    }
    if (header->AddressOfEntryPoint == 0 || header->AddressOfEntryPoint >= header->SizeOfImage) {
        return INVALID("AddressOfEntryPoint at offset 0x%I64x is 0x%x; an address inside of the image's 0x%x bytes is "
                       "expected",
                       AT(header->AddressOfEntryPoint), header->AddressOfEntryPoint, header->SizeOfImage);
    }
    return STATUS_SUCCESS;
}

/* Sections follow the headers and each other: a page has one owner, and so one protection. */
static NTSTATUS LdrCheckSection(const UCHAR *file, ULONG64 bytes, const IMAGE_SECTION_HEADER *section, ULONG64 limit,
                                ULONG64 image) {
    if ((section->VirtualAddress & (PAGE_SIZE - 1)) != 0) {
        return INVALID("VirtualAddress of section %.8s at offset 0x%I64x is 0x%x; a multiple of 0x%x is expected",
                       section->Name, AT(section->VirtualAddress), section->VirtualAddress, PAGE_SIZE);
    }
    if (section->VirtualAddress < limit) {
        return INVALID("VirtualAddress of section %.8s at offset 0x%I64x is 0x%x, which overlaps what is before it; "
                       "0x%I64x or more is expected",
                       section->Name, AT(section->VirtualAddress), section->VirtualAddress, limit);
    }
    if (!LdrWithin(image, section->VirtualAddress, section->Misc.VirtualSize)) {
        return INVALID("section %.8s at offset 0x%I64x has 0x%x bytes at 0x%x, beyond the image's 0x%I64x",
                       section->Name, AT(*section), section->Misc.VirtualSize, section->VirtualAddress, image);
    }
    if (section->SizeOfRawData != 0 && !LdrWithin(bytes, section->PointerToRawData, section->SizeOfRawData)) {
        return INVALID("section %.8s, whose header is at offset 0x%I64x, has 0x%x bytes at offset 0x%x, beyond the "
                       "file's 0x%I64x: the file is cut short or damaged",
                       section->Name, AT(*section), section->SizeOfRawData, section->PointerToRawData, bytes);
    }
    return STATUS_SUCCESS;
}

NTSTATUS LdrCheckHeaders(const UCHAR *file, ULONG64 bytes, LDR_WORK *work) {
    const IMAGE_DOS_HEADER *dos = (const IMAGE_DOS_HEADER *)file;
    if (bytes < sizeof *dos) {
        return INVALID("the file has %I64u bytes; at least %u, a DOS header, are expected", bytes, (ULONG)sizeof *dos);
    }
    if (dos->e_magic != IMAGE_DOS_SIGNATURE) {
        return INVALID("e_magic at offset 0x0 is 0x%04x; 0x5a4d (MZ) is expected", dos->e_magic);
    }
    if (!LdrWithin(bytes, (ULONG)dos->e_lfanew, sizeof(IMAGE_NT_HEADERS64))) {
        return INVALID("e_lfanew at offset 0x%I64x is 0x%x; headers inside of the file's 0x%I64x bytes are expected",
                       AT(dos->e_lfanew), dos->e_lfanew, bytes);
    }
    const IMAGE_NT_HEADERS64 *headers = (const IMAGE_NT_HEADERS64 *)(file + dos->e_lfanew);
    if (headers->Signature != IMAGE_NT_SIGNATURE) {
        return INVALID("Signature at offset 0x%I64x is 0x%08x; 0x00004550 (PE) is expected", AT(headers->Signature),
                       headers->Signature);
    }
    NTSTATUS status = LdrCheckFileHeader(file, &headers->FileHeader);
    if (NT_SUCCESS(status)) {
        status = LdrCheckOptionalHeader(file, bytes, &headers->OptionalHeader);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    ULONG64 sections = AT(headers->OptionalHeader) + headers->FileHeader.SizeOfOptionalHeader;
    ULONG count = headers->FileHeader.NumberOfSections;
    if (!LdrWithin(bytes, sections, count * sizeof(IMAGE_SECTION_HEADER))) {
        return INVALID("%u section headers at offset 0x%I64x are beyond the file's 0x%I64x bytes", count, sections,
                       bytes);
    }
    work->Headers = headers;
    work->Sections = (const IMAGE_SECTION_HEADER *)(file + sections);
    work->Size = headers->OptionalHeader.SizeOfImage;
    ULONG64 limit = ROUND_TO_PAGES((ULONG64)headers->OptionalHeader.SizeOfHeaders);
    for (ULONG i = 0; i < count && NT_SUCCESS(status); i++) {
        status = LdrCheckSection(file, bytes, &work->Sections[i], limit, work->Size);
        limit = ROUND_TO_PAGES((ULONG64)work->Sections[i].VirtualAddress + work->Sections[i].Misc.VirtualSize);
    }
    return status;
}
