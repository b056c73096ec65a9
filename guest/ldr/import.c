/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Imports: by name, against the export table. While the verifier is on, a routine that has a checked form is reached through
 * that; switching it sends the imports of every loaded image elsewhere.
 */
#include "work.h"

#include "../include/highlock.h"
#include "../ke/verify.h"

#define CR0_WP 0x10000ull /* a write to a read-only page faults, in the kernel too (Intel SDM 3, 2.5) */

const IMAGE_DATA_DIRECTORY *LdrDirectory(const LDR_WORK *work, ULONG index) {
    const IMAGE_DATA_DIRECTORY *directory = &work->Headers->OptionalHeader.DataDirectory[index];
    BOOLEAN present = index < work->Headers->OptionalHeader.NumberOfRvaAndSizes && directory->Size != 0;
    return present ? directory : NULL;
}

static PVOID LdrFindImport(const char *name) {
    PVOID plain = LdrFindExport(name);
    const KI_VERIFIER *verifier = KiVerifier;
    PVOID checked = plain != NULL && verifier != NULL ? verifier->FindChecked(name) : NULL;
    return checked != NULL ? checked : plain;
}

/* A NUL-terminated string inside the image, NULL if it does not end there. */
static const char *LdrString(const LDR_WORK *work, ULONG64 offset) {
    for (ULONG64 i = offset; i < work->Size; i++) {
        if (work->Base[i] == 0) {
            return (const char *)work->Base + offset;
        }
    }
    return NULL;
}

static NTSTATUS LdrResolveModule(const LDR_WORK *work, const IMAGE_IMPORT_DESCRIPTOR *import, const char *image) {
    ULONG64 slot = import->FirstThunk;
    ULONG64 lookup = import->OriginalFirstThunk != 0 ? import->OriginalFirstThunk : import->FirstThunk;
    const char *module = LdrString(work, import->Name);
    NTSTATUS status = STATUS_SUCCESS;
    for (;; slot += sizeof(ULONG64), lookup += sizeof(ULONG64)) {
        if (module == NULL || !LdrWithin(work->Size, lookup, sizeof(ULONG64)) ||
            !LdrWithin(work->Size, slot, sizeof(ULONG64))) {
            return STATUS_INVALID_IMAGE_FORMAT;
        }
        ULONG64 thunk = *(const ULONG64 *)(work->Base + lookup);
        if (thunk == 0) {
            return status;
        }
        if (IMAGE_SNAP_BY_ORDINAL64(thunk)) {
            DbgPrint("ldr: %s imports ordinal %I64u of %s: only imports by name can be resolved\n", image,
                     IMAGE_ORDINAL64(thunk), module);
            status = STATUS_ORDINAL_NOT_FOUND;
            continue;
        }
        const char *name = LdrString(work, thunk + FIELD_OFFSET(IMAGE_IMPORT_BY_NAME, Name));
        if (name == NULL) {
            return STATUS_INVALID_IMAGE_FORMAT;
        }
        PVOID address = LdrFindImport(name);
        if (address == NULL) {
            DbgPrint("ldr: %s imports %s!%s, which this kernel does not export\n", image, module, name);
            status = STATUS_PROCEDURE_NOT_FOUND;
            continue;
        }
        *(PVOID *)(work->Base + slot) = address;
    }
}

NTSTATUS LdrResolveImports(const LDR_WORK *work, const char *name) {
    const IMAGE_DATA_DIRECTORY *directory = LdrDirectory(work, IMAGE_DIRECTORY_ENTRY_IMPORT);
    NTSTATUS status = STATUS_SUCCESS;
    if (directory == NULL) {
        return STATUS_SUCCESS;
    }
    for (ULONG64 offset = directory->VirtualAddress;; offset += sizeof(IMAGE_IMPORT_DESCRIPTOR)) {
        if (!LdrWithin(work->Size, offset, sizeof(IMAGE_IMPORT_DESCRIPTOR))) {
            return STATUS_INVALID_IMAGE_FORMAT;
        }
        const IMAGE_IMPORT_DESCRIPTOR *import = (const VOID *)(work->Base + offset);
        if (import->Name == 0) {
            return status;
        }
        NTSTATUS one = LdrResolveModule(work, import, name);
        status = NT_SUCCESS(one) ? status : one;
    }
}

/* A driver's import table may lie in a read-only section: the page's protection is passed over for one aligned store. */
static VOID LdrStoreSlot(PVOID *slot, PVOID address) {
    ULONG64 cr0;
    ULONG64 flags = KiDisableInterrupts();
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 & ~CR0_WP) : "memory");
    __atomic_store_n(slot, address, __ATOMIC_RELEASE);
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
    KiRestoreInterrupts(flags);
}

/* The image was found sound when it was loaded; its tables are as they were then, unless its driver has written to them. */
static VOID LdrResolveSlots(const LDR_WORK *work, const IMAGE_IMPORT_DESCRIPTOR *import,
                            const char *(*checked_name)(PVOID)) {
    for (ULONG64 at = import->FirstThunk; LdrWithin(work->Size, at, sizeof(PVOID)); at += sizeof(PVOID)) {
        PVOID *slot = (PVOID *)(work->Base + at);
        if (*slot == NULL) {
            return;
        }
        /* By its address: the table of names may be gone, since an image need not have it twice. */
        const char *name = LdrNameOf(*slot);
        name = name != NULL ? name : checked_name(*slot);
        if (name != NULL) {
            LdrStoreSlot(slot, LdrFindImport(name));
        }
    }
}

VOID LdrResolveAgain(const char *(*checked_name)(PVOID)) {
    for (ULONG i = 0; i < MAXIMUM_IMAGES; i++) {
        if (LdrImages[i].Base == 0) {
            continue;
        }
        LDR_WORK work = {.Base = (UCHAR *)LdrImages[i].Base, .Size = LdrImages[i].Size};
        work.Headers = (const IMAGE_NT_HEADERS64 *)(work.Base + ((const IMAGE_DOS_HEADER *)work.Base)->e_lfanew);
        const IMAGE_DATA_DIRECTORY *directory = LdrDirectory(&work, IMAGE_DIRECTORY_ENTRY_IMPORT);
        if (directory == NULL) {
            continue;
        }
        const IMAGE_IMPORT_DESCRIPTOR *import = (const VOID *)(work.Base + directory->VirtualAddress);
        for (; import->Name != 0; import++) {
            LdrResolveSlots(&work, import, checked_name);
        }
    }
}
