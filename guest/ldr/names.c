/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names across images: what a loaded driver exports, by name or ordinal, and forwarders, which name another module's export
 * ("other.Name", "other.#5"; PE Format, "Export Address Table"). The kernel itself is two modules, as drivers know it.
 */
#include <string.h>

#include "work.h"

#include "../ke/verify.h"

#define LDR_FORWARDS     8  /* one forwarder may lead to another, but not in a circle */
#define LDR_MODULE_BYTES 64 /* of a module's name in a forwarder */

static char LdrLower(char one) {
    return one >= 'A' && one <= 'Z' ? (char)(one + 'a' - 'A') : one;
}

/* Without its extension: the last dot ends it. */
static ULONG LdrStemLength(const char *name) {
    ULONG length = (ULONG)strlen(name);
    for (ULONG i = length; i > 0; i--) {
        if (name[i - 1] == '.') {
            return i - 1;
        }
    }
    return length;
}

BOOLEAN LdrSameModule(const char *left, const char *right) {
    ULONG length = LdrStemLength(left);
    if (LdrStemLength(right) != length) {
        return FALSE;
    }
    for (ULONG i = 0; i < length; i++) {
        if (LdrLower(left[i]) != LdrLower(right[i])) {
            return FALSE;
        }
    }
    return TRUE;
}

BOOLEAN LdrIsKernelModule(const char *module) {
    /* The second is what the multiprocessor kernel's file was called, and still calls itself inside. */
    static const char *const names[] = {"ntoskrnl.exe", "ntkrnlmp.exe", "hal.dll"};
    for (ULONG i = 0; i < RTL_NUMBER_OF(names); i++) {
        if (LdrSameModule(names[i], module)) {
            return TRUE;
        }
    }
    return FALSE;
}

PVOID LdrFindKernels(const char *name) {
    PVOID plain = LdrFindExport(name);
    const KI_VERIFIER *verifier = KiVerifier;
    PVOID checked = plain != NULL && verifier != NULL ? verifier->FindChecked(name) : NULL;
    return checked != NULL ? checked : plain;
}

/* The image's export directory, its arrays inside of it. */
static const IMAGE_EXPORT_DIRECTORY *LdrExports(const LDR_WORK *work) {
    const IMAGE_DATA_DIRECTORY *directory = LdrDirectory(work, IMAGE_DIRECTORY_ENTRY_EXPORT);
    if (directory == NULL || !LdrWithin(work->Size, directory->VirtualAddress, sizeof(IMAGE_EXPORT_DIRECTORY))) {
        return NULL;
    }
    const IMAGE_EXPORT_DIRECTORY *exports = (const VOID *)(work->Base + directory->VirtualAddress);
    BOOLEAN whole = LdrWithin(work->Size, exports->AddressOfFunctions, exports->NumberOfFunctions * 4ull) &&
        LdrWithin(work->Size, exports->AddressOfNames, exports->NumberOfNames * 4ull) &&
        LdrWithin(work->Size, exports->AddressOfNameOrdinals, exports->NumberOfNames * 2ull);
    return whole ? exports : NULL;
}

/* The number of a name in the table of functions; FALSE: there is none. Not by halves: nobody says that an image is sorted. */
static BOOLEAN LdrIndexOf(const LDR_WORK *work, const IMAGE_EXPORT_DIRECTORY *exports, const char *name, ULONG *index) {
    const ULONG *names = (const ULONG *)(work->Base + exports->AddressOfNames);
    const USHORT *numbers = (const USHORT *)(work->Base + exports->AddressOfNameOrdinals);
    for (ULONG i = 0; i < exports->NumberOfNames; i++) {
        const char *known = LdrString(work, names[i]);
        if (known != NULL && strcmp(known, name) == 0) {
            *index = numbers[i];
            return TRUE;
        }
    }
    return FALSE;
}

/* A forwarder's text in its two parts. FALSE: it is none. */
static BOOLEAN LdrSplit(const char *forwarder, char *module, const char **name, ULONG *ordinal) {
    ULONG length = LdrStemLength(forwarder);
    if (forwarder[length] == 0 || length >= LDR_MODULE_BYTES) {
        return FALSE;
    }
    RtlCopyMemory(module, forwarder, length);
    module[length] = 0;
    *name = forwarder + length + 1;
    *ordinal = 0;
    if (**name == '#') {
        for (const char *digit = *name + 1; *digit >= '0' && *digit <= '9' && *ordinal < 0x10000; digit++) {
            *ordinal = *ordinal * 10 + (ULONG)(*digit - '0');
        }
        *name = NULL;
    }
    return TRUE;
}

/* forwarder: NULL, or where the export leads on. */
static LDR_FOUND LdrFindInImage(const LDR_WORK *work, const char *name, ULONG ordinal, PVOID *address,
                                const char **forwarder) {
    const IMAGE_EXPORT_DIRECTORY *exports = LdrExports(work);
    const IMAGE_DATA_DIRECTORY *directory = LdrDirectory(work, IMAGE_DIRECTORY_ENTRY_EXPORT);
    ULONG index = 0;
    if (exports == NULL || (name != NULL && !LdrIndexOf(work, exports, name, &index)) ||
        (name == NULL && ordinal < exports->Base)) {
        return LdrNoName;
    }
    index = name == NULL ? ordinal - exports->Base : index;
    if (index >= exports->NumberOfFunctions) {
        return LdrNoName;
    }
    ULONG offset = ((const ULONG *)(work->Base + exports->AddressOfFunctions))[index];
    if (offset == 0 || offset >= work->Size) {
        return LdrNoName;
    }
    /* An address inside of the export directory is a forwarder's text. */
    BOOLEAN forwarded = offset >= directory->VirtualAddress && offset - directory->VirtualAddress < directory->Size;
    *forwarder = forwarded ? LdrString(work, offset) : NULL;
    *address = work->Base + offset;
    return forwarded && *forwarder == NULL ? LdrBadForwarder : LdrFound;
}

static LDR_IMAGE *LdrFindModule(const char *module) {
    for (ULONG i = 0; i < MAXIMUM_IMAGES; i++) {
        if (LdrImages[i].Base != 0 && LdrSameModule(LdrImages[i].Name, module)) {
            return &LdrImages[i];
        }
    }
    return NULL;
}

/* What was not found behind a forwarder makes that a bad one. */
static LDR_FOUND LdrMissed(ULONG step, LDR_FOUND found) {
    return step == 0 ? found : LdrBadForwarder;
}

LDR_FOUND LdrFindIn(const char *module, const char *name, ULONG ordinal, PVOID *address, ULONG64 *uses) {
    char buffers[2][LDR_MODULE_BYTES]; /* the name in hand, and the one that comes next */
    for (ULONG step = 0; step < LDR_FORWARDS; step++) {
        if (LdrIsKernelModule(module)) {
            *address = name != NULL ? LdrFindKernels(name) : NULL;
            return *address != NULL ? LdrFound : LdrMissed(step, LdrNoName);
        }
        LDR_IMAGE *image = LdrFindModule(module);
        if (image == NULL) {
            return LdrMissed(step, LdrNoModule);
        }
        LDR_WORK work;
        const char *forwarder;
        LdrLookAt(&work, image);
        LDR_FOUND found = LdrFindInImage(&work, name, ordinal, address, &forwarder);
        if (found != LdrFound) {
            return LdrMissed(step, found);
        }
        *uses |= 1ull << (image - LdrImages);
        if (forwarder == NULL) {
            return LdrFound;
        }
        char *next = buffers[step % 2];
        if (!LdrSplit(forwarder, next, &name, &ordinal)) {
            return LdrBadForwarder;
        }
        module = next;
    }
    return LdrBadForwarder;
}
