/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and values inside the registry. A key is an object: its place in the tree is one reference, each handle another. All that is
 * in it is changed and read with CmpLock held, at APC_LEVEL; no routine of a driver is called then.
 */
#pragma once

#include "cm.h"

#include "../ob/ob.h"

#define CMP_TAG_VALUE        'aVmC'
#define CMP_TAG_BUFFER       'uBmC'
#define CMP_MAXIMUM_KEY_NAME (255 * sizeof(WCHAR)) /* documented */
#define CMP_MAXIMUM_VALUE    (1024 * 1024)         /* the documented advice */

typedef struct _CMP_VALUE {
    LIST_ENTRY Link;
    UNICODE_STRING Name;
    ULONG Type;
    ULONG DataBytes;
    UCHAR *Data;
    /* name and data follow */
} CMP_VALUE;

typedef struct _CMP_KEY {
    struct _CMP_KEY *Parent; /* NULL: the root, or deleted; then no handle leads anywhere */
    LIST_ENTRY Sibling;
    LIST_ENTRY Children; /* in order of their creation, as values are */
    LIST_ENTRY Values;
    ULONG ChildCount, ValueCount;
    ULONG Uses; /* of a service: drivers that are loaded under its name */
    BOOLEAN Deleted;
    LARGE_INTEGER Written;
    UNICODE_STRING Name;
    WCHAR NameText[];
} CMP_KEY;

extern CMP_KEY *CmpRoot;
extern OBJECT_TYPE CmpKeyType;
VOID CmpAcquire(VOID); /* IRQL <= APC_LEVEL in, APC_LEVEL out */
VOID CmpRelease(VOID);

/* key.c, the lock held. Find and create: no reference is added. Create: STATUS_INSUFFICIENT_RESOURCES or STATUS_INVALID_PARAMETER. */
CMP_KEY *CmpFindChild(const CMP_KEY *parent, PCUNICODE_STRING name);
NTSTATUS CmpCreateChild(CMP_KEY *parent, PCUNICODE_STRING name, CMP_KEY **child);
VOID CmpDeleteTree(CMP_KEY *key); /* and all below it */
VOID CmpTouch(CMP_KEY *key);

/* path.c. The next name of a path, or none: an empty one. */
UNICODE_STRING CmpNextName(PUNICODE_STRING rest);
/*
 * The lock held. Follows a path from a key; what is left of it stays in *rest: nothing, or where it leads nowhere the first name that
 * is not there and what follows.
 */
CMP_KEY *CmpFollow(CMP_KEY *from, PUNICODE_STRING rest);
/* The key where a path begins that is relative to a handle, or else absolute, with a reference; *rest is the path from there. */
NTSTATUS CmpResolveStart(HANDLE root, PCUNICODE_STRING path, CMP_KEY **start, PUNICODE_STRING rest);
NTSTATUS CmpReferenceKey(HANDLE handle, CMP_KEY **key);
/* Opens, or with create makes the last name of the path; *created may be NULL. */
NTSTATUS CmpOpen(HANDLE root, PCUNICODE_STRING path, BOOLEAN create, PHANDLE handle, BOOLEAN *created);

/* value.c, the lock held. */
CMP_VALUE *CmpFindValue(const CMP_KEY *key, PCUNICODE_STRING name);
CMP_VALUE *CmpValueAt(const CMP_KEY *key, ULONG index); /* NULL: there are not so many */
NTSTATUS CmpSetValue(CMP_KEY *key, PCUNICODE_STRING name, ULONG type, const VOID *data, ULONG bytes);
VOID CmpDeleteValue(CMP_KEY *key, CMP_VALUE *value);

/*
 * output.c: fills a caller's structure in order: first what is of fixed size, then as much of the rest as there is room for.
 * STATUS_BUFFER_TOO_SMALL: not even the fixed part; nothing was written. STATUS_BUFFER_OVERFLOW: not all of the rest.
 */
typedef struct _CMP_OUTPUT {
    UCHAR *Buffer;
    ULONG Bytes; /* room */
    ULONG Fixed; /* of the structure, before its name or data */
    ULONG Needed;
} CMP_OUTPUT;
VOID CmpPut(CMP_OUTPUT *output, ULONG at, const VOID *data, ULONG bytes);
NTSTATUS CmpFinish(const CMP_OUTPUT *output, PULONG needed);
