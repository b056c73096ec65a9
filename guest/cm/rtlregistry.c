/* SPDX-License-Identifier: Apache-2.0 */
/* The run-time library's way to the registry, by paths that are relative to well-known keys: one value, one key at a time. */
#include "cmp.h"

#include "rtlregistry.h"

#include "../include/export.h"

static const WCHAR *const CmpBases[RTL_REGISTRY_MAXIMUM] = {
    [RTL_REGISTRY_ABSOLUTE] = L"",
    [RTL_REGISTRY_SERVICES] = L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\",
    [RTL_REGISTRY_CONTROL] = L"\\Registry\\Machine\\System\\CurrentControlSet\\Control\\",
    [RTL_REGISTRY_WINDOWS_NT] = L"\\Registry\\Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion\\",
    [RTL_REGISTRY_DEVICEMAP] = L"\\Registry\\Machine\\Hardware\\DeviceMap\\",
    [RTL_REGISTRY_USER] = L"\\Registry\\User\\.Default\\",
};

NTSTATUS CmpOpenRelative(ULONG relative_to, PCWSTR path, BOOLEAN create, PHANDLE handle) {
    UNICODE_STRING base, rest, whole;
    if ((relative_to & RTL_REGISTRY_HANDLE) != 0) {
        *handle = (HANDLE)path;
        return STATUS_SUCCESS;
    }
    relative_to &= ~RTL_REGISTRY_OPTIONAL;
    if (relative_to >= RTL_REGISTRY_MAXIMUM) {
        return STATUS_INVALID_PARAMETER;
    }
    RtlInitUnicodeString(&base, CmpBases[relative_to]);
    NTSTATUS status = RtlInitUnicodeStringEx(&rest, path);
    ULONG bytes = base.Length + rest.Length;
    if (!NT_SUCCESS(status) || bytes > MAXUSHORT) {
        return STATUS_NAME_TOO_LONG;
    }
    whole.Buffer = ExAllocatePoolWithTag(PagedPool, bytes + sizeof(WCHAR), CMP_TAG_BUFFER);
    if (whole.Buffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    whole.Length = 0;
    whole.MaximumLength = (USHORT)bytes;
    RtlAppendUnicodeStringToString(&whole, &base);
    RtlAppendUnicodeStringToString(&whole, &rest);
    status = CmpOpen(NULL, &whole, create, handle, NULL);
    ExFreePoolWithTag(whole.Buffer, CMP_TAG_BUFFER);
    return status;
}

VOID CmpCloseRelative(ULONG relative_to, HANDLE handle) {
    if ((relative_to & RTL_REGISTRY_HANDLE) == 0) {
        ZwClose(handle);
    }
}

NTSTATUS NTAPI RtlCheckRegistryKey(ULONG RelativeTo, PWSTR Path) {
    HANDLE handle;
    NTSTATUS status = CmpOpenRelative(RelativeTo, Path, FALSE, &handle);
    if (NT_SUCCESS(status)) {
        CmpCloseRelative(RelativeTo, handle);
    }
    return status;
}
NT_EXPORT(RtlCheckRegistryKey);

NTSTATUS NTAPI RtlCreateRegistryKey(ULONG RelativeTo, PWSTR Path) {
    HANDLE handle;
    NTSTATUS status = CmpOpenRelative(RelativeTo, Path, TRUE, &handle);
    if (NT_SUCCESS(status)) {
        CmpCloseRelative(RelativeTo, handle);
    }
    return status;
}
NT_EXPORT(RtlCreateRegistryKey);

NTSTATUS NTAPI RtlWriteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName, ULONG ValueType, PVOID ValueData,
                                     ULONG ValueLength) {
    HANDLE handle;
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, ValueName);
    NTSTATUS status = CmpOpenRelative(RelativeTo, Path, TRUE, &handle);
    if (NT_SUCCESS(status)) {
        status = ZwSetValueKey(handle, &name, 0, ValueType, ValueData, ValueLength);
        CmpCloseRelative(RelativeTo, handle);
    }
    return status;
}
NT_EXPORT(RtlWriteRegistryValue);

NTSTATUS NTAPI RtlDeleteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName) {
    HANDLE handle;
    UNICODE_STRING name;
    RtlInitUnicodeString(&name, ValueName);
    NTSTATUS status = CmpOpenRelative(RelativeTo, Path, FALSE, &handle);
    if (NT_SUCCESS(status)) {
        status = ZwDeleteValueKey(handle, &name);
        CmpCloseRelative(RelativeTo, handle);
    }
    return status;
}
NT_EXPORT(RtlDeleteRegistryValue);
