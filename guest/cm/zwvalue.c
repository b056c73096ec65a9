/* SPDX-License-Identifier: Apache-2.0 */
/* Values by their key's handle: query, enumerate, set, delete. */
#include "cmp.h"

#include "../include/export.h"
#include "../include/mutant.h"

/* The lock held. align: of the data. */
static NTSTATUS CmpPutFull(const CMP_VALUE *value, ULONG align, CMP_OUTPUT *output, PULONG needed) {
    KEY_VALUE_FULL_INFORMATION full = {.Type = value->Type, .DataLength = value->DataBytes};
    output->Fixed = FIELD_OFFSET(KEY_VALUE_FULL_INFORMATION, Name);
    full.NameLength = value->Name.Length;
    full.DataOffset = (output->Fixed + value->Name.Length + align - 1) & ~(align - 1);
    CmpPut(output, 0, &full, output->Fixed);
    CmpPut(output, output->Fixed, value->Name.Buffer, value->Name.Length);
    CmpPut(output, full.DataOffset, value->Data, value->DataBytes);
    return CmpFinish(output, needed);
}

static NTSTATUS CmpDescribe(const CMP_VALUE *value, KEY_VALUE_INFORMATION_CLASS kind, CMP_OUTPUT *output,
                            PULONG needed) {
    KEY_VALUE_BASIC_INFORMATION basic = {.Type = value->Type, .NameLength = value->Name.Length};
    KEY_VALUE_PARTIAL_INFORMATION partial = {.Type = value->Type, .DataLength = value->DataBytes};
    KEY_VALUE_PARTIAL_INFORMATION_ALIGN64 aligned = {.Type = value->Type, .DataLength = value->DataBytes};
    switch (kind) {
    case KeyValueBasicInformation:
        output->Fixed = FIELD_OFFSET(KEY_VALUE_BASIC_INFORMATION, Name);
        CmpPut(output, 0, &basic, output->Fixed);
        CmpPut(output, output->Fixed, value->Name.Buffer, value->Name.Length);
        break;
    case KeyValueFullInformation:
        return CmpPutFull(value, sizeof(ULONG), output, needed);
    case KeyValueFullInformationAlign64:
        return CmpPutFull(value, sizeof(ULONG64), output, needed);
    case KeyValuePartialInformation:
        output->Fixed = FIELD_OFFSET(KEY_VALUE_PARTIAL_INFORMATION, Data);
        CmpPut(output, 0, &partial, output->Fixed);
        CmpPut(output, output->Fixed, value->Data, value->DataBytes);
        break;
    case KeyValuePartialInformationAlign64:
        output->Fixed = FIELD_OFFSET(KEY_VALUE_PARTIAL_INFORMATION_ALIGN64, Data);
        CmpPut(output, 0, &aligned, output->Fixed);
        CmpPut(output, output->Fixed, value->Data, value->DataBytes);
        break;
    default:
        return STATUS_INVALID_PARAMETER;
    }
    return CmpFinish(output, needed);
}

NTSTATUS NTAPI ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName,
                               KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass, PVOID KeyValueInformation,
                               ULONG Length, PULONG ResultLength) {
    CMP_KEY *key;
    CMP_OUTPUT output = {KeyValueInformation, Length, 0, 0};
    NTSTATUS status = CmpReferenceKey(KeyHandle, &key);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    CmpAcquire();
    const CMP_VALUE *value = CmpFindValue(key, ValueName);
    if (value == NULL) {
        status = key->Deleted ? STATUS_KEY_DELETED : STATUS_OBJECT_NAME_NOT_FOUND;
    } else {
        status = CmpDescribe(value, KeyValueInformationClass, &output, ResultLength);
    }
    CmpRelease();
    ObfDereferenceObject(key);
    return status;
}
NT_EXPORT(ZwQueryValueKey);

NTSTATUS NTAPI ZwEnumerateValueKey(HANDLE KeyHandle, ULONG Index, KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass,
                                   PVOID KeyValueInformation, ULONG Length, PULONG ResultLength) {
    CMP_KEY *key;
    CMP_OUTPUT output = {KeyValueInformation, Length, 0, 0};
    NTSTATUS status = CmpReferenceKey(KeyHandle, &key);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    CmpAcquire();
    const CMP_VALUE *value = CmpValueAt(key, Index);
    if (value == NULL) {
        status = key->Deleted ? STATUS_KEY_DELETED : STATUS_NO_MORE_ENTRIES;
    } else {
        status = CmpDescribe(value, KeyValueInformationClass, &output, ResultLength);
    }
    CmpRelease();
    ObfDereferenceObject(key);
    return status;
}
NT_EXPORT(ZwEnumerateValueKey);

NTSTATUS NTAPI ZwSetValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, ULONG TitleIndex, ULONG Type, PVOID Data,
                             ULONG DataSize) {
    CMP_KEY *key;
    UNREFERENCED_PARAMETER(TitleIndex);
    NTSTATUS status = CmpReferenceKey(KeyHandle, &key);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    CmpAcquire();
    status = key->Deleted ? STATUS_KEY_DELETED : CmpSetValue(key, ValueName, Type, Data, DataSize);
    CmpRelease();
    ObfDereferenceObject(key);
    return status;
}
NT_EXPORT(ZwSetValueKey);

NTSTATUS NTAPI ZwDeleteValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName) {
    CMP_KEY *key;
    NTSTATUS status = CmpReferenceKey(KeyHandle, &key);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    CmpAcquire();
    CMP_VALUE *value = CmpFindValue(key, ValueName);
    if (value == NULL) {
        status = key->Deleted ? STATUS_KEY_DELETED : STATUS_OBJECT_NAME_NOT_FOUND;
    } else {
        CmpDeleteValue(key, value);
    }
    CmpRelease();
    ObfDereferenceObject(key);
    return status;
}
NT_EXPORT(ZwDeleteValueKey);
