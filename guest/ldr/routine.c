/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's routines by name, at run time: what an import of that name would lead to, the checked form while the verifier is on. */
#include "work.h"

#include "../include/export.h"

#define LDR_ROUTINE_NAME 64

PVOID NTAPI MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName) {
    char name[LDR_ROUTINE_NAME];
    ULONG length = SystemRoutineName->Length / sizeof(WCHAR);
    if (length >= sizeof name) {
        return NULL;
    }
    for (ULONG i = 0; i < length; i++) {
        WCHAR c = SystemRoutineName->Buffer[i];
        if (c == 0 || c >= 0x80) {
            return NULL;
        }
        name[i] = (char)c;
    }
    name[length] = 0;
    return LdrFindKernels(name);
}
NT_EXPORT(MmGetSystemRoutineAddress);
