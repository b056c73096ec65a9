/* SPDX-License-Identifier: Apache-2.0 */
/* Objects with a count of references, and handles to them. There is one handle table: the kernel's. */
#pragma once

#include "../include/ddk.h"
#include "../include/nt.h"

/* Its first word points to itself: a driver finds the type whether it takes the exported name for the variable or its address. */
typedef struct _OBJECT_TYPE {
    struct _OBJECT_TYPE *Self;
    const char *Name;
    ULONG Tag;
    VOID (*Delete)(PVOID object); /* <= DISPATCH_LEVEL, before its memory is given back; NULL: nothing to do */
} OBJECT_TYPE;

/* PASSIVE_LEVEL to DISPATCH_LEVEL. One reference, the caller's; zeroed. NULL: no memory. */
PVOID ObCreateObject(POBJECT_TYPE type, SIZE_T bytes);
/* PASSIVE_LEVEL. The handle has a reference of its own. STATUS_INSUFFICIENT_RESOURCES: the table is full. */
NTSTATUS ObCreateHandle(PVOID object, PHANDLE handle);
ULONG ObCountHandles(VOID);
