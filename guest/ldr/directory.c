/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the parts of a mapped image; none of them is trusted to lie inside of it. */
#include "work.h"

const IMAGE_DATA_DIRECTORY *LdrDirectory(const LDR_WORK *work, ULONG index) {
    const IMAGE_DATA_DIRECTORY *directory = &work->Headers->OptionalHeader.DataDirectory[index];
    BOOLEAN present = index < work->Headers->OptionalHeader.NumberOfRvaAndSizes && directory->Size != 0;
    return present ? directory : NULL;
}

const char *LdrString(const LDR_WORK *work, ULONG64 offset) {
    for (ULONG64 i = offset; i < work->Size; i++) {
        if (work->Base[i] == 0) {
            return (const char *)work->Base + offset;
        }
    }
    return NULL;
}

/* Its headers were found sound when it was loaded; they are read-only since. */
VOID LdrLookAt(LDR_WORK *work, const LDR_IMAGE *image) {
    RtlZeroMemory(work, sizeof *work);
    work->Name = image->Name;
    work->Base = (UCHAR *)image->Base;
    work->Size = image->Size;
    work->Headers = (const IMAGE_NT_HEADERS64 *)(work->Base + ((const IMAGE_DOS_HEADER *)work->Base)->e_lfanew);
}
