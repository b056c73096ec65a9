/* SPDX-License-Identifier: Apache-2.0 */
/* Which image an address is in, and which function: the image's exception directory, sorted by address. */
#include "seh.h"

#include <ntimage.h>

#include "../include/export.h"

const LDR_IMAGE *SehImageAt(ULONG64 address) {
    for (ULONG i = 0; i < MAXIMUM_IMAGES; i++) {
        if (LdrImages[i].Base != 0 && address >= LdrImages[i].Base && address - LdrImages[i].Base < LdrImages[i].Size) {
            return &LdrImages[i];
        }
    }
    return NULL;
}

PRUNTIME_FUNCTION SehFindFunction(const LDR_IMAGE *image, ULONG64 address, BOOLEAN *table) {
    const UCHAR *base = (const UCHAR *)image->Base;
    const IMAGE_NT_HEADERS64 *headers = (const VOID *)(base + ((const IMAGE_DOS_HEADER *)base)->e_lfanew);
    const IMAGE_DATA_DIRECTORY *directory = &headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_EXCEPTION];
    *table = headers->OptionalHeader.NumberOfRvaAndSizes > IMAGE_DIRECTORY_ENTRY_EXCEPTION && directory->Size != 0 &&
        directory->VirtualAddress < image->Size && directory->Size <= image->Size - directory->VirtualAddress;
    if (!*table) {
        return NULL;
    }
    PRUNTIME_FUNCTION functions = (PRUNTIME_FUNCTION)(base + directory->VirtualAddress);
    ULONG offset = (ULONG)(address - image->Base);
    ULONG low = 0, high = directory->Size / sizeof *functions;
    while (low < high) {
        ULONG middle = low + (high - low) / 2;
        if (functions[middle].BeginAddress <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    PRUNTIME_FUNCTION found = low != 0 ? &functions[low - 1] : NULL;
    return found != NULL && offset < found->EndAddress ? found : NULL;
}

PRUNTIME_FUNCTION NTAPI RtlLookupFunctionEntry(ULONG64 ControlPc, PULONG64 ImageBase,
                                               PUNWIND_HISTORY_TABLE HistoryTable) {
    UNREFERENCED_PARAMETER(HistoryTable);
    const LDR_IMAGE *image = SehImageAt(ControlPc);
    BOOLEAN table;
    *ImageBase = image != NULL ? image->Base : 0;
    return image != NULL ? SehFindFunction(image, ControlPc, &table) : NULL;
}
NT_EXPORT(RtlLookupFunctionEntry);

PVOID NTAPI RtlPcToFileHeader(PVOID PcValue, PVOID *BaseOfImage) {
    const LDR_IMAGE *image = SehImageAt((ULONG64)PcValue);
    *BaseOfImage = image != NULL ? (PVOID)image->Base : NULL;
    return *BaseOfImage;
}
NT_EXPORT(RtlPcToFileHeader);

VOID RtlpCheckStack(VOID); /* rtl/chkstk.S */
NT_EXPORT_AS(RtlpCheckStack, __chkstk);
