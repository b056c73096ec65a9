/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a key, each one block of paged pool. */
#include "cmp.h"

#include "../include/mutant.h"

CMP_VALUE *CmpFindValue(const CMP_KEY *key, PCUNICODE_STRING name) {
    for (LIST_ENTRY *link = key->Values.Flink; link != &key->Values; link = link->Flink) {
        CMP_VALUE *value = CONTAINING_RECORD(link, CMP_VALUE, Link);
        if (RtlEqualUnicodeString(&value->Name, name, TRUE)) {
            return value;
        }
    }
    return NULL;
}

CMP_VALUE *CmpValueAt(const CMP_KEY *key, ULONG index) {
    LIST_ENTRY *link = key->Values.Flink;
    for (; link != &key->Values && index != 0; index--) {
        link = link->Flink;
    }
    return link == &key->Values ? NULL : CONTAINING_RECORD(link, CMP_VALUE, Link);
}

/* A value that is replaced keeps its place: enumeration by number meets each one once. */
NTSTATUS CmpSetValue(CMP_KEY *key, PCUNICODE_STRING name, ULONG type, const VOID *data, ULONG bytes) {
    if (bytes > CMP_MAXIMUM_VALUE || (bytes != 0 && data == NULL)) {
        return STATUS_INVALID_PARAMETER;
    }
    ULONG64 data_at = ALIGN_UP_BY(sizeof(CMP_VALUE) + name->Length, 8);
    CMP_VALUE *value = ExAllocatePoolWithTag(PagedPool, data_at + bytes, CMP_TAG_VALUE);
    if (value == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    value->Name.Buffer = (WCHAR *)(value + 1);
    value->Name.Length = 0;
    value->Name.MaximumLength = name->Length;
    RtlCopyUnicodeString(&value->Name, name);
    value->Type = type;
    value->DataBytes = bytes;
    value->Data = (UCHAR *)value + data_at;
    RtlCopyMemory(value->Data, data, bytes);
    CMP_VALUE *old = CmpFindValue(key, name);
    InsertHeadList(old != NULL ? &old->Link : key->Values.Blink, &value->Link);
    key->ValueCount++;
    if (old != NULL) {
        CmpDeleteValue(key, old);
    }
    CmpTouch(key);
    return STATUS_SUCCESS;
}

VOID CmpDeleteValue(CMP_KEY *key, CMP_VALUE *value) {
    RemoveEntryList(&value->Link);
    key->ValueCount--;
    CmpTouch(key);
    if (!MUTANT(ValueLeaks, "REG-5", "a value that is deleted keeps its pool")) {
        ExFreePoolWithTag(value, CMP_TAG_VALUE);
    }
}
