/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RtlQueryRegistryValues. Each value is copied out of the tree before it goes anywhere, so that a caller's routine may itself use
 * the registry, and so that it may change meanwhile.
 */
#include "rtlregistry.h"

#include "../include/export.h"
#include "../include/mutant.h"

typedef struct _CMP_QUERY {
    CMP_KEY *Top;     /* NULL: it is not there, and need not be */
    CMP_KEY *Current; /* Top, or a subkey; NULL: not there */
    PVOID Context;
} CMP_QUERY;

/* A value and its name, both with a NUL behind them, in one block of paged pool. */
typedef struct _CMP_COPY {
    ULONG Type;
    ULONG Bytes;
    PVOID Data;
    UNICODE_STRING Name;
} CMP_COPY;

/* The lock held. */
static NTSTATUS CmpCopyValue(const CMP_VALUE *value, CMP_COPY **copy) {
    ULONG64 data_at = ALIGN_UP_BY(sizeof(CMP_COPY) + value->Name.Length + sizeof(WCHAR), 8);
    CMP_COPY *made = ExAllocatePoolWithTag(PagedPool, data_at + value->DataBytes + 2 * sizeof(WCHAR), CMP_TAG_BUFFER);
    if (made == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    made->Type = value->Type;
    made->Bytes = value->DataBytes;
    made->Data = (UCHAR *)made + data_at;
    made->Name.Buffer = (WCHAR *)(made + 1);
    made->Name.MaximumLength = (USHORT)(value->Name.Length + sizeof(WCHAR));
    RtlCopyUnicodeString(&made->Name, &value->Name);
    RtlCopyMemory(made->Data, value->Data, value->DataBytes);
    RtlZeroMemory((UCHAR *)made->Data + value->DataBytes, 2 * sizeof(WCHAR));
    *copy = made;
    return STATUS_SUCCESS;
}

/* By name, or without one by number. Nothing there: *copy is NULL. */
static NTSTATUS CmpTake(CMP_KEY *key, PCWSTR name, ULONG index, CMP_COPY **copy) {
    NTSTATUS status = STATUS_SUCCESS;
    UNICODE_STRING string;
    *copy = NULL;
    if (key == NULL) {
        return STATUS_SUCCESS;
    }
    RtlInitUnicodeString(&string, name);
    CmpAcquire();
    const CMP_VALUE *value = name != NULL ? CmpFindValue(key, &string) : CmpValueAt(key, index);
    if (value != NULL) {
        status = CmpCopyValue(value, copy);
    }
    CmpRelease();
    return status;
}

static VOID CmpForget(CMP_KEY *key, PCUNICODE_STRING name) {
    CmpAcquire();
    CMP_VALUE *value = CmpFindValue(key, name);
    if (value != NULL) {
        CmpDeleteValue(key, value);
    }
    CmpRelease();
}

static NTSTATUS CmpGive(const CMP_QUERY *query, const RTL_QUERY_REGISTRY_TABLE *entry, const CMP_COPY *copy) {
    CMP_DELIVERY delivery = {entry, query->Context, copy->Name.Buffer, copy->Type, copy->Data, copy->Bytes, FALSE};
    NTSTATUS status = CmpDeliver(&delivery);
    if (NT_SUCCESS(status) && (entry->Flags & RTL_QUERY_REGISTRY_DELETE) != 0) {
        CmpForget(query->Current, &copy->Name);
    }
    return status;
}

/* How long a default is that does not say so: with its NUL, or both of them. */
static ULONG CmpDefaultBytes(const RTL_QUERY_REGISTRY_TABLE *entry, ULONG type) {
    const WCHAR *text = entry->DefaultData;
    ULONG count = 0;
    if (entry->DefaultLength != 0 || text == NULL ||
        (type != REG_SZ && type != REG_EXPAND_SZ && type != REG_MULTI_SZ)) {
        return entry->DefaultLength;
    }
    while (text[count] != 0 || (type == REG_MULTI_SZ && (count == 0 ? text[0] != 0 : text[count + 1] != 0))) {
        count++;
    }
    count += type == REG_MULTI_SZ && count != 0 ? 2 : 1;
    return count * (ULONG)sizeof(WCHAR);
}

static NTSTATUS CmpGiveDefault(const CMP_QUERY *query, const RTL_QUERY_REGISTRY_TABLE *entry) {
    ULONG type = entry->DefaultType & 0xff;
    if ((entry->Flags & RTL_QUERY_REGISTRY_REQUIRED) != 0) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    if (type == REG_NONE ||
        MUTANT(DefaultsForgotten, "REG-3", "a value that is not there is none, whatever its default")) {
        return STATUS_SUCCESS;
    }
    CMP_DELIVERY delivery = {
        entry, query->Context, (PWSTR)entry->Name, type, entry->DefaultData, CmpDefaultBytes(entry, type), TRUE};
    return CmpDeliver(&delivery);
}

/* Every value of the key. One that is deleted makes room for the next. */
static NTSTATUS CmpGiveAll(const CMP_QUERY *query, const RTL_QUERY_REGISTRY_TABLE *entry) {
    ULONG given = 0;
    ULONG index = 0;
    for (;; given++) {
        CMP_COPY *copy;
        NTSTATUS status = CmpTake(query->Current, NULL, index, &copy);
        if (!NT_SUCCESS(status) || copy == NULL) {
            BOOLEAN missing = NT_SUCCESS(status) && given == 0 && (entry->Flags & RTL_QUERY_REGISTRY_REQUIRED) != 0;
            return missing ? STATUS_OBJECT_NAME_NOT_FOUND : status;
        }
        status = CmpGive(query, entry, copy);
        ExFreePoolWithTag(copy, CMP_TAG_BUFFER);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        index += (entry->Flags & RTL_QUERY_REGISTRY_DELETE) != 0 ? 0 : 1;
    }
}

static NTSTATUS CmpGiveOne(const CMP_QUERY *query, const RTL_QUERY_REGISTRY_TABLE *entry) {
    CMP_COPY *copy;
    NTSTATUS status = CmpTake(query->Current, entry->Name, 0, &copy);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (copy == NULL) {
        return CmpGiveDefault(query, entry);
    }
    status = CmpGive(query, entry, copy);
    ExFreePoolWithTag(copy, CMP_TAG_BUFFER);
    return status;
}

static VOID CmpMoveTo(CMP_QUERY *query, CMP_KEY *key) {
    if (key != NULL) {
        ObfReferenceObject(key);
    }
    if (query->Current != NULL) {
        ObfDereferenceObject(query->Current);
    }
    query->Current = key;
}

static NTSTATUS CmpEnterSubkey(CMP_QUERY *query, const RTL_QUERY_REGISTRY_TABLE *entry) {
    UNICODE_STRING rest;
    RtlInitUnicodeString(&rest, entry->Name);
    CmpAcquire();
    CMP_KEY *key = query->Top == NULL || query->Top->Deleted ? NULL : CmpFollow(query->Top, &rest);
    CmpMoveTo(query, rest.Length == 0 ? key : NULL);
    CmpRelease();
    if (query->Current == NULL) {
        return (entry->Flags & RTL_QUERY_REGISTRY_REQUIRED) != 0 ? STATUS_OBJECT_NAME_NOT_FOUND : STATUS_SUCCESS;
    }
    return entry->QueryRoutine != NULL ? CmpGiveAll(query, entry) : STATUS_SUCCESS;
}

static NTSTATUS CmpAnswer(CMP_QUERY *query, const RTL_QUERY_REGISTRY_TABLE *entry) {
    BOOLEAN direct = (entry->Flags & RTL_QUERY_REGISTRY_DIRECT) != 0;
    if ((entry->Flags & (RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_TOPKEY)) != 0) {
        CmpMoveTo(query, query->Top);
    }
    if ((entry->Flags & RTL_QUERY_REGISTRY_SUBKEY) != 0) {
        return entry->Name == NULL || direct ? STATUS_INVALID_PARAMETER : CmpEnterSubkey(query, entry);
    }
    if (direct ? entry->Name == NULL || entry->QueryRoutine != NULL || entry->EntryContext == NULL
               : entry->QueryRoutine == NULL) {
        /* A TOPKEY entry with neither a name nor a routine does no more than that. */
        BOOLEAN nothing = (entry->Flags & RTL_QUERY_REGISTRY_TOPKEY) != 0 && entry->Name == NULL && !direct;
        return nothing ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    }
    if ((entry->Flags & RTL_QUERY_REGISTRY_TYPECHECK) != 0 && !direct) {
        return STATUS_INVALID_PARAMETER;
    }
    if ((entry->Flags & RTL_QUERY_REGISTRY_NOVALUE) != 0) {
        return entry->QueryRoutine(NULL, REG_NONE, NULL, 0, query->Context, entry->EntryContext);
    }
    return entry->Name == NULL ? CmpGiveAll(query, entry) : CmpGiveOne(query, entry);
}

static BOOLEAN CmpIsLast(const RTL_QUERY_REGISTRY_TABLE *entry) {
    ULONG without = RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_TOPKEY | RTL_QUERY_REGISTRY_DIRECT;
    return entry->QueryRoutine == NULL && entry->Name == NULL && (entry->Flags & without) == 0;
}

NTSTATUS NTAPI RtlQueryRegistryValues(ULONG RelativeTo, PCWSTR Path, PRTL_QUERY_REGISTRY_TABLE QueryTable,
                                      PVOID Context, PVOID Environment) {
    HANDLE handle;
    CMP_QUERY query = {NULL, NULL, Context};
    UNREFERENCED_PARAMETER(Environment);
    NTSTATUS status = CmpOpenRelative(RelativeTo, Path, FALSE, &handle);
    if (NT_SUCCESS(status)) {
        status = CmpReferenceKey(handle, &query.Top);
        CmpCloseRelative(RelativeTo, handle);
    } else if (status == STATUS_OBJECT_NAME_NOT_FOUND && (RelativeTo & RTL_REGISTRY_OPTIONAL) != 0) {
        status = STATUS_SUCCESS; /* as one without values */
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    CmpMoveTo(&query, query.Top);
    for (const RTL_QUERY_REGISTRY_TABLE *entry = QueryTable; NT_SUCCESS(status) && !CmpIsLast(entry); entry++) {
        status = CmpAnswer(&query, entry);
    }
    CmpMoveTo(&query, NULL);
    if (query.Top != NULL) {
        ObfDereferenceObject(query.Top);
    }
    return status;
}
NT_EXPORT(RtlQueryRegistryValues);
