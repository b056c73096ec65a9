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
    BOOLEAN Passive;              /* Delete is called at PASSIVE_LEVEL, in a worker thread if need be */
    VOID (*Close)(PVOID object);  /* PASSIVE_LEVEL, after its last handle was closed; NULL: nothing to do */
    volatile LONG Count;          /* of its objects */
} OBJECT_TYPE;

VOID ObInitialize(VOID); /* boot CPU, once, before there are other threads */
/* PASSIVE_LEVEL, may wait. Of the objects whose last reference went before the call, none waits to be deleted afterwards. */
VOID ObDeleteDeferred(VOID);
/* PASSIVE_LEVEL to DISPATCH_LEVEL. One reference, the caller's; zeroed. NULL: no memory. */
PVOID ObCreateObject(POBJECT_TYPE type, SIZE_T bytes);
/* PASSIVE_LEVEL. The handle has a reference of its own. STATUS_INSUFFICIENT_RESOURCES: the table is full. */
NTSTATUS ObCreateHandle(PVOID object, PHANDLE handle);
ULONG ObCountHandles(VOID);
POBJECT_TYPE ObTypeOf(PVOID object);

/*
 * ob/names.c: names of objects, full paths without regard to case. \DosDevices and \GLOBAL??, and what programs write as
 * \\.\ or \\?\, are \??. A name is there until it is removed; it holds no reference. PASSIVE_LEVEL to DISPATCH_LEVEL.
 * STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_PATH_NOT_FOUND (no such directory), STATUS_OBJECT_NAME_COLLISION.
 */
NTSTATUS ObInsertName(PCUNICODE_STRING name, PVOID object);
NTSTATUS ObInsertLink(PCUNICODE_STRING name,
                      PCUNICODE_STRING target); /* a symbolic link, followed when a name is looked up */
NTSTATUS ObRemoveLink(PCUNICODE_STRING name);   /* STATUS_OBJECT_NAME_NOT_FOUND */
VOID ObRemoveNameOf(PVOID object);              /* whatever name it has, if any */
ULONG ObCountNames(VOID);
/*
 * The object of a name, or of the longest part of it that ends before a backslash, links followed; referenced. *rest: what
 * comes after that part, backslash included, in pool that the caller frees (POOL_TAG_NAME); empty without a buffer.
 * STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH (type is not NULL and it is of another).
 */
NTSTATUS ObFindByName(PCUNICODE_STRING name, POBJECT_TYPE type, PVOID *object, PUNICODE_STRING rest);
#define POOL_TAG_NAME 'emaN'
