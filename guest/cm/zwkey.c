/* SPDX-License-Identifier: Apache-2.0 */
/* Keys by handle: open, create, delete, query, enumerate. */
#include "cmp.h"

#include "../include/export.h"
#include "../include/mutant.h"

NTSTATUS NTAPI ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes) {
    UNREFERENCED_PARAMETER(DesiredAccess);
    return CmpOpen(ObjectAttributes->RootDirectory, ObjectAttributes->ObjectName, FALSE, KeyHandle, NULL);
}
NT_EXPORT(ZwOpenKey);

NTSTATUS NTAPI ZwOpenKeyEx(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                           ULONG OpenOptions) {
    UNREFERENCED_PARAMETER(OpenOptions); /* backup, and links that are not followed: there are none */
    return ZwOpenKey(KeyHandle, DesiredAccess, ObjectAttributes);
}
NT_EXPORT(ZwOpenKeyEx);

NTSTATUS NTAPI ZwCreateKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                           ULONG TitleIndex, PUNICODE_STRING Class, ULONG CreateOptions, PULONG Disposition) {
    BOOLEAN created;
    UNREFERENCED_PARAMETER(DesiredAccess);
    UNREFERENCED_PARAMETER(TitleIndex);
    UNREFERENCED_PARAMETER(Class);
    if ((CreateOptions & REG_OPTION_CREATE_LINK) != 0) {
        return STATUS_NOT_SUPPORTED; /* every other key is as a volatile one: nothing outlives the machine */
    }
    NTSTATUS status = CmpOpen(ObjectAttributes->RootDirectory, ObjectAttributes->ObjectName, TRUE, KeyHandle, &created);
    if (NT_SUCCESS(status) && Disposition != NULL) {
        *Disposition = created ? REG_CREATED_NEW_KEY : REG_OPENED_EXISTING_KEY;
    }
    return status;
}
NT_EXPORT(ZwCreateKey);

NTSTATUS NTAPI ZwDeleteKey(HANDLE KeyHandle) {
    CMP_KEY *key;
    NTSTATUS status = CmpReferenceKey(KeyHandle, &key);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    CmpAcquire();
    if (key->Deleted) {
        status = STATUS_KEY_DELETED;
    } else if (key->Parent == NULL ||
               (key->ChildCount != 0 && !MUTANT(KeyDeletesChildren, "REG-1", "a key goes although it has subkeys"))) {
        status = STATUS_CANNOT_DELETE;
    } else {
        CmpDeleteTree(key);
    }
    CmpRelease();
    ObfDereferenceObject(key);
    return status;
}
NT_EXPORT(ZwDeleteKey);

NTSTATUS NTAPI ZwFlushKey(HANDLE KeyHandle) {
    CMP_KEY *key;
    NTSTATUS status = CmpReferenceKey(KeyHandle, &key);
    if (NT_SUCCESS(status)) { /* there is no disk behind it */
        ObfDereferenceObject(key);
    }
    return status;
}
NT_EXPORT(ZwFlushKey);

/* KEY_NAME_INFORMATION, which mingw's headers lack. */
typedef struct _CMP_NAME_INFORMATION {
    ULONG NameLength;
    WCHAR Name[1];
} CMP_NAME_INFORMATION;

static VOID CmpPutFull(CMP_OUTPUT *output, const CMP_KEY *key) {
    KEY_FULL_INFORMATION full = {.LastWriteTime = key->Written, .ClassOffset = MAXULONG};
    full.SubKeys = key->ChildCount;
    full.Values = key->ValueCount;
    for (LIST_ENTRY *link = key->Children.Flink; link != &key->Children; link = link->Flink) {
        full.MaxNameLen = max(full.MaxNameLen, CONTAINING_RECORD(link, CMP_KEY, Sibling)->Name.Length);
    }
    for (LIST_ENTRY *link = key->Values.Flink; link != &key->Values; link = link->Flink) {
        const CMP_VALUE *value = CONTAINING_RECORD(link, CMP_VALUE, Link);
        full.MaxValueNameLen = max(full.MaxValueNameLen, value->Name.Length);
        full.MaxValueDataLen = max(full.MaxValueDataLen, value->DataBytes);
    }
    output->Fixed = FIELD_OFFSET(KEY_FULL_INFORMATION, Class);
    CmpPut(output, 0, &full, output->Fixed);
}

/* The whole path, from its last name to its first. */
static VOID CmpPutPath(CMP_OUTPUT *output, const CMP_KEY *key) {
    ULONG bytes = 0;
    for (const CMP_KEY *next = key; next != NULL; next = next->Parent) {
        bytes += next->Name.Length + (ULONG)sizeof(WCHAR);
    }
    output->Fixed = FIELD_OFFSET(CMP_NAME_INFORMATION, Name);
    CmpPut(output, 0, &bytes, sizeof bytes);
    for (ULONG at = output->Fixed + bytes; key != NULL; key = key->Parent) {
        at -= key->Name.Length;
        CmpPut(output, at, key->Name.Buffer, key->Name.Length);
        at -= (ULONG)sizeof(WCHAR);
        CmpPut(output, at, L"\\", sizeof(WCHAR));
    }
}

/* The lock held. */
static NTSTATUS CmpDescribe(const CMP_KEY *key, KEY_INFORMATION_CLASS kind, CMP_OUTPUT *output, PULONG needed) {
    KEY_BASIC_INFORMATION basic = {.LastWriteTime = key->Written, .NameLength = key->Name.Length};
    KEY_NODE_INFORMATION node = {
        .LastWriteTime = key->Written, .ClassOffset = MAXULONG, .NameLength = key->Name.Length};
    switch (kind) {
    case KeyBasicInformation:
        output->Fixed = FIELD_OFFSET(KEY_BASIC_INFORMATION, Name);
        CmpPut(output, 0, &basic, output->Fixed);
        CmpPut(output, output->Fixed, key->Name.Buffer, key->Name.Length);
        break;
    case KeyNodeInformation:
        output->Fixed = FIELD_OFFSET(KEY_NODE_INFORMATION, Name);
        CmpPut(output, 0, &node, output->Fixed);
        CmpPut(output, output->Fixed, key->Name.Buffer, key->Name.Length);
        break;
    case KeyFullInformation:
        CmpPutFull(output, key);
        break;
    case KeyNameInformation:
        CmpPutPath(output, key);
        break;
    default:
        return STATUS_INVALID_PARAMETER;
    }
    return CmpFinish(output, needed);
}

NTSTATUS NTAPI ZwQueryKey(HANDLE KeyHandle, KEY_INFORMATION_CLASS KeyInformationClass, PVOID KeyInformation,
                          ULONG Length, PULONG ResultLength) {
    CMP_KEY *key;
    CMP_OUTPUT output = {KeyInformation, Length, 0, 0};
    NTSTATUS status = CmpReferenceKey(KeyHandle, &key);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    CmpAcquire();
    status = key->Deleted ? STATUS_KEY_DELETED : CmpDescribe(key, KeyInformationClass, &output, ResultLength);
    CmpRelease();
    ObfDereferenceObject(key);
    return status;
}
NT_EXPORT(ZwQueryKey);

NTSTATUS NTAPI ZwEnumerateKey(HANDLE KeyHandle, ULONG Index, KEY_INFORMATION_CLASS KeyInformationClass,
                              PVOID KeyInformation, ULONG Length, PULONG ResultLength) {
    CMP_KEY *key;
    CMP_OUTPUT output = {KeyInformation, Length, 0, 0};
    NTSTATUS status = CmpReferenceKey(KeyHandle, &key);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    if (KeyInformationClass > KeyFullInformation) {
        ObfDereferenceObject(key);
        return STATUS_INVALID_PARAMETER;
    }
    CmpAcquire();
    LIST_ENTRY *link = key->Children.Flink;
    for (; link != &key->Children && Index != 0; Index--) {
        link = link->Flink;
    }
    if (key->Deleted) {
        status = STATUS_KEY_DELETED;
    } else if (link == &key->Children) {
        status = STATUS_NO_MORE_ENTRIES;
    } else {
        CMP_KEY *child = CONTAINING_RECORD(link, CMP_KEY, Sibling);
        status = CmpDescribe(child, KeyInformationClass, &output, ResultLength);
    }
    CmpRelease();
    ObfDereferenceObject(key);
    return status;
}
NT_EXPORT(ZwEnumerateKey);
