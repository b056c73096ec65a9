/* SPDX-License-Identifier: Apache-2.0 */
/* An image at work: what the loader knows of one while it places it, or looks at it again. */
#pragma once

#include "ldr.h"

#include <ntimage.h>

typedef struct _LDR_WORK {
    const char *Name; /* the file's, as it is told */
    UCHAR *Base;      /* where the image is mapped, writable until it is protected */
    const IMAGE_NT_HEADERS64 *Headers;
    const IMAGE_SECTION_HEADER *Sections;
    ULONG64 Size; /* bytes mapped */
    ULONG64 Pages;
    ULONG64 Physical;
    ULONG64 Uses; /* bit n: it imports from LdrImages[n] */
} LDR_WORK;

static inline BOOLEAN LdrWithin(ULONG64 limit, ULONG64 offset, ULONG64 bytes) {
    return offset <= limit && bytes <= limit - offset;
}

/* ldr/report.c: a reason to refuse the image, to the console and to the host. Returns the status. */
NTSTATUS LdrRefuse(NTSTATUS status, const char *format, ...);

/* ldr/headers.c: of the file, before anything is mapped; fills Headers, Sections and Size. */
NTSTATUS LdrCheckHeaders(const UCHAR *file, ULONG64 bytes, LDR_WORK *work);

/* ldr/directory.c: parts of a mapped image. NULL: not there, or not wholly inside of the image. */
const IMAGE_DATA_DIRECTORY *LdrDirectory(const LDR_WORK *work, ULONG index);
const char *LdrString(const LDR_WORK *work, ULONG64 offset); /* that ends there too */
VOID LdrLookAt(LDR_WORK *work, const LDR_IMAGE *image);      /* of one that is loaded */

/* ldr/relocate.c */
NTSTATUS LdrRelocate(const LDR_WORK *work);

/* ldr/import.c: what is missing is told, all of it. */
NTSTATUS LdrResolveImports(LDR_WORK *work);
typedef struct _LDR_MODULE_IMPORTS {
    ULONG Name;   /* image address of the module's name, 0: no more modules */
    ULONG Lookup; /* of the names and ordinals */
    ULONG Slots;  /* of the addresses */
} LDR_MODULE_IMPORTS;
/* Module `number` of the imports (delayed: of those that are to be found at their first call). FALSE: outside of the image. */
BOOLEAN LdrModuleImports(const LDR_WORK *work, BOOLEAN delayed, ULONG number, LDR_MODULE_IMPORTS *imports);

/* ldr/names.c: what loaded images export. */
typedef enum _LDR_FOUND {
    LdrFound,
    LdrNoModule,
    LdrNoName,
    LdrBadForwarder, /* leads to what is not there, or in a circle */
} LDR_FOUND;
/* name NULL: by ordinal. *uses gets the bits of the images that it led through. */
PVOID LdrFindKernels(
    const char *name); /* its checked form while the verifier is on and it has one. NULL: not exported */
LDR_FOUND LdrFindIn(const char *module, const char *name, ULONG ordinal, PVOID *address, ULONG64 *uses);
BOOLEAN LdrIsKernelModule(const char *module);
BOOLEAN LdrSameModule(const char *left, const char *right); /* with or without .sys, whatever the case */

/* ldr/config.c: what the image's load configuration asks its loader for. */
NTSTATUS LdrConfigure(const LDR_WORK *work);
