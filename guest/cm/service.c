/* SPDX-License-Identifier: Apache-2.0 */
/* A driver's service key: what the host gives to a driver when it loads it, and nothing any more when that is gone. */
#include "cmp.h"

#define CMP_NAME_BYTES (40 * sizeof(WCHAR))

typedef struct _CMP_SERVICE_NAME {
    UNICODE_STRING String;
    WCHAR Text[CMP_NAME_BYTES / sizeof(WCHAR)];
} CMP_SERVICE_NAME;

/* As in a driver object's name: without the extension, and cut where that is cut. */
static VOID CmpServiceName(const char *file, CMP_SERVICE_NAME *name) {
    ULONG count = 0;
    for (; count < RTL_NUMBER_OF(name->Text) - 1 && file[count] != 0 && file[count] != '.'; count++) {
        name->Text[count] = (UCHAR)file[count];
    }
    name->String.Buffer = name->Text;
    name->String.Length = name->String.MaximumLength = (USHORT)(count * sizeof(WCHAR));
}

/* The lock held. */
static CMP_KEY *CmpServices(VOID) {
    UNICODE_STRING rest;
    RtlInitUnicodeString(&rest, L"Machine\\System\\CurrentControlSet\\Services");
    return CmpFollow(CmpRoot, &rest);
}

static NTSTATUS CmpFindOrMake(CMP_KEY *parent, PCUNICODE_STRING name, CMP_KEY **child) {
    *child = CmpFindChild(parent, name);
    return *child != NULL ? STATUS_SUCCESS : CmpCreateChild(parent, name, child);
}

static NTSTATUS CmpSetWord(CMP_KEY *key, PCWSTR name, ULONG value) {
    UNICODE_STRING string;
    RtlInitUnicodeString(&string, name);
    return CmpSetValue(key, &string, REG_DWORD, &value, sizeof value);
}

/* What every service key has: a kernel driver (1), started on demand (3), whose failure is reported (1). */
static NTSTATUS CmpSetDefaults(CMP_KEY *key) {
    CMP_KEY *parameters;
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, L"Parameters");
    NTSTATUS status = CmpFindOrMake(key, &name, &parameters);
    status = NT_SUCCESS(status) ? CmpSetWord(key, L"Type", 1) : status;
    status = NT_SUCCESS(status) ? CmpSetWord(key, L"Start", 3) : status;
    return NT_SUCCESS(status) ? CmpSetWord(key, L"ErrorControl", 1) : status;
}

/* The lock held. */
static NTSTATUS CmpTakeRecord(CMP_KEY **key, const CMP_KEY *top, const CM_RECORD *record, PCUNICODE_STRING name,
                              const VOID *data) {
    if (record->Kind == CM_RECORD_ENTER) {
        return CmpFindOrMake(*key, name, key);
    }
    if (record->Kind == CM_RECORD_LEAVE) {
        BOOLEAN above = *key == top;
        *key = above ? *key : (*key)->Parent;
        return above ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
    }
    return CmpSetValue(*key, name, record->Kind, data, record->DataBytes);
}

/* The lock held. */
static NTSTATUS CmpTakeBlob(CMP_KEY *top, const UCHAR *blob, ULONG64 bytes) {
    CMP_KEY *key = top;
    while (bytes != 0) {
        const CM_RECORD *record = (const VOID *)blob;
        if (bytes < sizeof *record || record->NameBytes % 2 != 0 || record->NameBytes > MAXUSHORT ||
            record->DataBytes > CMP_MAXIMUM_VALUE) {
            return STATUS_INVALID_PARAMETER;
        }
        ULONG64 data_at = sizeof *record + ALIGN_UP_BY((ULONG64)record->NameBytes, 8);
        ULONG64 end = data_at + ALIGN_UP_BY((ULONG64)record->DataBytes, 8);
        if (end > bytes) {
            return STATUS_INVALID_PARAMETER;
        }
        UNICODE_STRING name = {(USHORT)record->NameBytes, (USHORT)record->NameBytes, (WCHAR *)(record + 1)};
        NTSTATUS status = CmpTakeRecord(&key, top, record, &name, blob + data_at);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        blob += end;
        bytes -= end;
    }
    return key == top ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

NTSTATUS CmCreateService(const char *name, const VOID *blob, ULONG64 bytes) {
    CMP_SERVICE_NAME service;
    CMP_KEY *key;
    CmpServiceName(name, &service);
    CmpAcquire();
    NTSTATUS status = CmpFindOrMake(CmpServices(), &service.String, &key);
    if (NT_SUCCESS(status)) {
        status = key->Uses++ == 0 ? CmpSetDefaults(key) : STATUS_SUCCESS;
        status = NT_SUCCESS(status) ? CmpTakeBlob(key, blob, bytes) : status;
    }
    CmpRelease();
    if (!NT_SUCCESS(status)) {
        CmDeleteService(name);
    }
    return status;
}

VOID CmDeleteService(const char *name) {
    CMP_SERVICE_NAME service;
    CmpServiceName(name, &service);
    CmpAcquire();
    CMP_KEY *key = CmpFindChild(CmpServices(), &service.String);
    if (key != NULL && key->Uses != 0) {
        key->Uses--;
        if (key->Uses == 0) {
            CmpDeleteTree(key);
        }
    }
    CmpRelease();
}

NTSTATUS CmOpenServiceSubkey(PCUNICODE_STRING service_path, PCWSTR path, PHANDLE handle) {
    CMP_KEY *key;
    UNICODE_STRING rest, subkey;
    NTSTATUS status = CmpResolveStart(NULL, service_path, &key, &rest);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    CMP_KEY *start = key;
    CmpAcquire();
    key = CmpFollow(key, &rest);
    status = rest.Length == 0 ? STATUS_SUCCESS : STATUS_OBJECT_NAME_NOT_FOUND;
    RtlInitUnicodeString(&subkey, path);
    while (NT_SUCCESS(status) && subkey.Length != 0) {
        UNICODE_STRING name = CmpNextName(&subkey);
        status = CmpFindOrMake(key, &name, &key);
    }
    if (NT_SUCCESS(status)) {
        ObfReferenceObject(key);
    }
    CmpRelease();
    ObfDereferenceObject(start);
    if (NT_SUCCESS(status)) {
        status = ObCreateHandle(key, handle);
        ObfDereferenceObject(key);
    }
    return status;
}
