/* SPDX-License-Identifier: Apache-2.0 */
/* An image at work: what the loader knows of one while it places it, or looks at it again. */
#pragma once

#include "ldr.h"

#include <ntimage.h>

typedef struct _LDR_WORK {
    UCHAR *Base; /* where the image is mapped, writable until it is protected */
    const IMAGE_NT_HEADERS64 *Headers;
    const IMAGE_SECTION_HEADER *Sections;
    ULONG64 Size; /* bytes mapped */
    ULONG64 Pages;
    ULONG64 Physical;
} LDR_WORK;

static inline BOOLEAN LdrWithin(ULONG64 limit, ULONG64 offset, ULONG64 bytes) {
    return offset <= limit && bytes <= limit - offset;
}

/* ldr/import.c */
const IMAGE_DATA_DIRECTORY *LdrDirectory(const LDR_WORK *work,
                                         ULONG index);              /* NULL: the image has none, or not inside itself */
NTSTATUS LdrResolveImports(const LDR_WORK *work, const char *name); /* what is missing is printed, all of it */
