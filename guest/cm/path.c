/* SPDX-License-Identifier: Apache-2.0 */
/* From names to keys, and from keys to handles. Every handle may do everything: there is no security here. */
#include "cmp.h"

#define CMP_SEPARATOR L'\\'

static VOID CmpSkip(PUNICODE_STRING string, ULONG characters) {
    string->Buffer += characters;
    string->Length = (USHORT)(string->Length - characters * sizeof(WCHAR));
    string->MaximumLength = string->Length;
}

static ULONG CmpNameCharacters(PCUNICODE_STRING rest) {
    ULONG count = 0;
    while (count < rest->Length / sizeof(WCHAR) && rest->Buffer[count] != CMP_SEPARATOR) {
        count++;
    }
    return count;
}

UNICODE_STRING CmpNextName(PUNICODE_STRING rest) {
    UNICODE_STRING name = *rest;
    ULONG count = CmpNameCharacters(rest);
    name.Length = name.MaximumLength = (USHORT)(count * sizeof(WCHAR));
    CmpSkip(rest,
            rest->Length > name.Length ? count + 1 : count); /* and the separator; one at the end counts for nothing */
    return name;
}

CMP_KEY *CmpFollow(CMP_KEY *from, PUNICODE_STRING rest) {
    while (rest->Length != 0) {
        UNICODE_STRING after = *rest;
        UNICODE_STRING name = CmpNextName(&after);
        CMP_KEY *child = CmpFindChild(from, &name);
        if (child == NULL) {
            return from;
        }
        from = child;
        *rest = after;
    }
    return from;
}

NTSTATUS CmpReferenceKey(HANDLE handle, CMP_KEY **key) {
    return ObReferenceObjectByHandle(handle, 0, &CmpKeyType, KernelMode, (PVOID *)key, NULL);
}

NTSTATUS CmpResolveStart(HANDLE root, PCUNICODE_STRING path, CMP_KEY **start, PUNICODE_STRING rest) {
    static const UNICODE_STRING prefix = RTL_CONSTANT_STRING(L"\\Registry");
    *rest = *path;
    if (root != NULL) {
        BOOLEAN absolute = path->Length != 0 && path->Buffer[0] == CMP_SEPARATOR;
        return absolute ? STATUS_OBJECT_PATH_SYNTAX_BAD : CmpReferenceKey(root, start);
    }
    if (path->Length == 0 || path->Buffer[0] != CMP_SEPARATOR) {
        return STATUS_OBJECT_PATH_SYNTAX_BAD;
    }
    if (!RtlPrefixUnicodeString(&prefix, path, TRUE)) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    CmpSkip(rest, prefix.Length / sizeof(WCHAR));
    if (rest->Length != 0 && rest->Buffer[0] != CMP_SEPARATOR) {
        return STATUS_OBJECT_NAME_NOT_FOUND; /* \Registryx */
    }
    CmpSkip(rest, rest->Length != 0 ? 1 : 0);
    ObfReferenceObject(CmpRoot);
    *start = CmpRoot;
    return STATUS_SUCCESS;
}

/* The lock held; the key that is found has a reference more. */
static NTSTATUS CmpFindOrCreate(CMP_KEY *start, UNICODE_STRING rest, BOOLEAN create, CMP_KEY **found,
                                BOOLEAN *created) {
    if (start->Deleted) {
        return STATUS_KEY_DELETED;
    }
    CMP_KEY *key = CmpFollow(start, &rest);
    *created = rest.Length != 0;
    if (rest.Length != 0) {
        UNICODE_STRING name = CmpNextName(&rest);
        if (!create || rest.Length != 0) { /* only the last name of a path is made */
            return STATUS_OBJECT_NAME_NOT_FOUND;
        }
        NTSTATUS status = CmpCreateChild(key, &name, &key);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    ObfReferenceObject(key);
    *found = key;
    return STATUS_SUCCESS;
}

NTSTATUS CmpOpen(HANDLE root, PCUNICODE_STRING path, BOOLEAN create, PHANDLE handle, BOOLEAN *created) {
    CMP_KEY *start;
    CMP_KEY *key;
    UNICODE_STRING rest;
    BOOLEAN made;
    NTSTATUS status = CmpResolveStart(root, path, &start, &rest);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    CmpAcquire();
    status = CmpFindOrCreate(start, rest, create, &key, &made);
    CmpRelease();
    ObfDereferenceObject(start);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = ObCreateHandle(key, handle);
    ObfDereferenceObject(key);
    if (created != NULL) {
        *created = made;
    }
    return status;
}
