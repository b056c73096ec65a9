/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Imports, by name or ordinal, of the kernel and of drivers that are loaded. Delayed ones are found at once, like the others: no
 * driver can ask for them later. What a linker has bound beforehand is found anew. All that is missing is told before the image
 * is refused.
 */
#include "work.h"

/* A descriptor of delayed imports (PE Format, "Delay-Load Import Tables"); all but Attributes are image addresses. */
typedef struct _LDR_DELAY_DESCRIPTOR {
    ULONG Attributes; /* 1: image addresses; older forms have virtual ones, in 32-bit images only */
    ULONG Name;
    ULONG Handle;
    ULONG Slots;
    ULONG Lookup;
    ULONG BoundSlots;
    ULONG UnloadSlots;
    ULONG TimeStamp;
} LDR_DELAY_DESCRIPTOR;
C_ASSERT(sizeof(LDR_DELAY_DESCRIPTOR) == 32);

BOOLEAN LdrModuleImports(const LDR_WORK *work, BOOLEAN delayed, ULONG number, LDR_MODULE_IMPORTS *imports) {
    const IMAGE_DATA_DIRECTORY *directory =
        LdrDirectory(work, delayed ? IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT : IMAGE_DIRECTORY_ENTRY_IMPORT);
    ULONG64 size = delayed ? sizeof(LDR_DELAY_DESCRIPTOR) : sizeof(IMAGE_IMPORT_DESCRIPTOR);
    imports->Name = 0;
    if (directory == NULL) {
        return TRUE;
    }
    ULONG64 offset = directory->VirtualAddress + number * size;
    if (!LdrWithin(work->Size, offset, size)) {
        return FALSE;
    }
    if (delayed) {
        const LDR_DELAY_DESCRIPTOR *one = (const VOID *)(work->Base + offset);
        *imports = (LDR_MODULE_IMPORTS){.Name = one->Name, .Lookup = one->Lookup, .Slots = one->Slots};
    } else {
        const IMAGE_IMPORT_DESCRIPTOR *one = (const VOID *)(work->Base + offset);
        ULONG lookup = one->OriginalFirstThunk != 0 ? one->OriginalFirstThunk : one->FirstThunk;
        *imports = (LDR_MODULE_IMPORTS){.Name = one->Name, .Lookup = lookup, .Slots = one->FirstThunk};
    }
    return TRUE;
}

static NTSTATUS LdrMissing(LDR_FOUND found, const LDR_WORK *work, const char *module, const char *name, ULONG ordinal) {
    BOOLEAN kernel = LdrIsKernelModule(module);
    switch (found) {
    case LdrNoModule:
        return LdrRefuse(STATUS_DLL_NOT_FOUND,
                         name != NULL ? "%s imports %s!%s, but %s is not loaded; load it first"
                                      : "%s imports %s!#%u, but %s is not loaded; load it first",
                         work->Name, module, name != NULL ? name : (PVOID)(ULONG_PTR)ordinal, module);
    case LdrBadForwarder:
        return LdrRefuse(STATUS_PROCEDURE_NOT_FOUND,
                         name != NULL ? "%s imports %s!%s, which %s forwards to what is not there"
                                      : "%s imports %s!#%u, which %s forwards to what is not there",
                         work->Name, module, name != NULL ? name : (PVOID)(ULONG_PTR)ordinal, module);
    default:
        break;
    }
    if (name == NULL) {
        return LdrRefuse(STATUS_ORDINAL_NOT_FOUND,
                         kernel ? "%s imports ordinal %u of %s, whose exports have names only"
                                : "%s imports ordinal %u of %s, which has no such export",
                         work->Name, ordinal, module);
    }
    return LdrRefuse(STATUS_PROCEDURE_NOT_FOUND,
                     kernel ? "%s imports %s!%s, which this kernel does not export"
                            : "%s imports %s!%s, which that driver does not export",
                     work->Name, module, name);
}

static NTSTATUS LdrResolveModule(LDR_WORK *work, const LDR_MODULE_IMPORTS *imports) {
    ULONG64 slot = imports->Slots;
    ULONG64 lookup = imports->Lookup;
    const char *module = LdrString(work, imports->Name);
    NTSTATUS status = STATUS_SUCCESS;
    if (module == NULL) {
        return LdrRefuse(STATUS_INVALID_IMAGE_FORMAT,
                         "the name of an imported module at image address 0x%x is beyond the image's 0x%I64x bytes",
                         imports->Name, work->Size);
    }
    for (;; slot += sizeof(ULONG64), lookup += sizeof(ULONG64)) {
        if (!LdrWithin(work->Size, lookup, sizeof(ULONG64)) || !LdrWithin(work->Size, slot, sizeof(ULONG64))) {
            return LdrRefuse(STATUS_INVALID_IMAGE_FORMAT,
                             "the imports of %s at image addresses 0x%I64x and 0x%I64x are beyond the image's 0x%I64x "
                             "bytes",
                             module, lookup, slot, work->Size);
        }
        ULONG64 thunk = *(const ULONG64 *)(work->Base + lookup);
        if (thunk == 0) {
            return status;
        }
        BOOLEAN by_ordinal = IMAGE_SNAP_BY_ORDINAL64(thunk) != 0;
        ULONG ordinal = by_ordinal ? (ULONG)IMAGE_ORDINAL64(thunk) : 0;
        const char *name = by_ordinal ? NULL : LdrString(work, thunk + FIELD_OFFSET(IMAGE_IMPORT_BY_NAME, Name));
        if (!by_ordinal && name == NULL) {
            return LdrRefuse(STATUS_INVALID_IMAGE_FORMAT,
                             "the name of an import of %s at image address 0x%I64x is beyond the image's 0x%I64x bytes",
                             module, thunk, work->Size);
        }
        PVOID address = NULL;
        LDR_FOUND found = LdrFindIn(module, name, ordinal, &address, &work->Uses);
        if (found == LdrFound) {
            *(PVOID *)(work->Base + slot) = address;
        } else {
            status = LdrMissing(found, work, module, name, ordinal);
        }
    }
}

NTSTATUS LdrResolveImports(LDR_WORK *work) {
    NTSTATUS status = STATUS_SUCCESS;
    for (ULONG delayed = 0; delayed < 2; delayed++) {
        for (ULONG number = 0;; number++) {
            LDR_MODULE_IMPORTS imports;
            if (!LdrModuleImports(work, delayed != 0, number, &imports)) {
                return LdrRefuse(STATUS_INVALID_IMAGE_FORMAT,
                                 "import descriptor %u is beyond the image's 0x%I64x bytes", number, work->Size);
            }
            if (imports.Name == 0) {
                break;
            }
            NTSTATUS one = LdrResolveModule(work, &imports);
            status = NT_SUCCESS(status) ? one : status;
        }
    }
    return status;
}
