/* SPDX-License-Identifier: Apache-2.0 */
/* Base relocations: each address in the image moves by as much as the image does (PE Format, ".reloc"). */
#include "work.h"

/* Kinds of base relocation: filler, and a 64-bit address. */
#define RELOCATION_ABSOLUTE 0
#define RELOCATION_DIR64    10

#define INVALID(...) LdrRefuse(STATUS_INVALID_IMAGE_FORMAT, __VA_ARGS__)

static NTSTATUS LdrRelocateBlock(const LDR_WORK *work, const USHORT *entries, ULONG64 count, ULONG64 page,
                                 ULONG64 delta) {
    for (ULONG64 i = 0; i < count; i++) {
        ULONG64 target = page + (entries[i] & 0xfffu);
        ULONG kind = entries[i] >> 12;
        if (kind == RELOCATION_ABSOLUTE) {
            continue;
        }
        if (kind != RELOCATION_DIR64) {
            return INVALID("the relocation of image address 0x%I64x is of kind %u; 10 (DIR64) is expected", target,
                           kind);
        }
        if (!LdrWithin(work->Size, target, sizeof(ULONG64))) {
            return INVALID("the relocation of image address 0x%I64x is beyond the image's 0x%I64x bytes", target,
                           work->Size);
        }
        *(ULONG64 __attribute__((aligned(1))) *)(work->Base + target) += delta;
    }
    return STATUS_SUCCESS;
}

NTSTATUS LdrRelocate(const LDR_WORK *work) {
    ULONG64 delta = (ULONG64)work->Base - work->Headers->OptionalHeader.ImageBase;
    const IMAGE_DATA_DIRECTORY *directory = LdrDirectory(work, IMAGE_DIRECTORY_ENTRY_BASERELOC);
    if (delta == 0) {
        return STATUS_SUCCESS;
    }
    if (directory == NULL) {
        return work->Headers->FileHeader.Characteristics & IMAGE_FILE_RELOCS_STRIPPED
            ? INVALID("the image has no relocations (IMAGE_FILE_RELOCS_STRIPPED), and its base 0x%I64x is not to be "
                      "had; link it with /DYNAMICBASE or --dynamicbase",
                      work->Headers->OptionalHeader.ImageBase)
            : STATUS_SUCCESS;
    }
    if (!LdrWithin(work->Size, directory->VirtualAddress, directory->Size)) {
        return INVALID("the relocations' 0x%x bytes at image address 0x%x are beyond the image's 0x%I64x",
                       directory->Size, directory->VirtualAddress, work->Size);
    }
    NTSTATUS status = STATUS_SUCCESS;
    ULONG64 offset = 0;
    while (NT_SUCCESS(status) && directory->Size - offset >= sizeof(IMAGE_BASE_RELOCATION)) {
        const UCHAR *at = work->Base + directory->VirtualAddress + offset;
        const IMAGE_BASE_RELOCATION block =
            *(const IMAGE_BASE_RELOCATION *)at; /* it may lie in a word that it changes */
        if (block.SizeOfBlock < sizeof block || block.SizeOfBlock > directory->Size - offset) {
            return INVALID("the block of relocations at image address 0x%I64x has a size of 0x%x; 8 to 0x%I64x is "
                           "expected",
                           directory->VirtualAddress + offset, block.SizeOfBlock, directory->Size - offset);
        }
        status = LdrRelocateBlock(work, (const USHORT *)(at + sizeof block),
                                  (block.SizeOfBlock - sizeof block) / sizeof(USHORT), block.VirtualAddress, delta);
        offset += block.SizeOfBlock;
    }
    return status;
}
