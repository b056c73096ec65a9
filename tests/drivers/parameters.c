/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what its service key holds, key by key and value by value, and leaves a key and a value of its own behind. */
#include <ntddk.h>

#define DEPTH 3
#define TAG   'mraP'

static NTSTATUS Open(HANDLE root, PUNICODE_STRING name, HANDLE *key) {
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, root, NULL);
    return ZwOpenKey(key, KEY_ALL_ACCESS, &attributes);
}

static VOID ShowValues(HANDLE key, PCUNICODE_STRING path) {
    ULONG needed;
    for (ULONG index = 0;; index++) {
        NTSTATUS status = ZwEnumerateValueKey(key, index, KeyValueFullInformation, NULL, 0, &needed);
        if (status != STATUS_BUFFER_TOO_SMALL) {
            return;
        }
        KEY_VALUE_FULL_INFORMATION *full = ExAllocatePoolWithTag(PagedPool, needed, TAG);
        ZwEnumerateValueKey(key, index, KeyValueFullInformation, full, needed, &needed);
        UNICODE_STRING name = {(USHORT)full->NameLength, (USHORT)full->NameLength, full->Name};
        DbgPrint("parameters: %wZ|%wZ|%u|", path, &name, full->Type);
        for (ULONG i = 0; i < full->DataLength; i++) {
            DbgPrint("%02x", ((UCHAR *)full)[full->DataOffset + i]);
        }
        DbgPrint("\n");
        ExFreePoolWithTag(full, TAG);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): DEPTH levels */
static VOID Show(HANDLE root, PUNICODE_STRING name, PCUNICODE_STRING path, ULONG depth) {
    HANDLE key;
    ULONG needed;
    UCHAR room[512];
    KEY_BASIC_INFORMATION *basic = (PVOID)room;
    NTSTATUS status = Open(root, name, &key);
    if (!NT_SUCCESS(status)) {
        DbgPrint("parameters: %wZ does not open: %08x\n", name, status);
        return;
    }
    ShowValues(key, path);
    for (ULONG index = 0;
         depth != 0 && NT_SUCCESS(ZwEnumerateKey(key, index, KeyBasicInformation, room, sizeof room, &needed));
         index++) {
        UNICODE_STRING child = {(USHORT)basic->NameLength, (USHORT)basic->NameLength, basic->Name};
        WCHAR text[64];
        UNICODE_STRING below = {0, sizeof text, text};
        RtlAppendUnicodeStringToString(&below, path);
        RtlAppendUnicodeToString(&below, L"\\");
        RtlAppendUnicodeStringToString(&below, &child);
        Show(key, &child, &below, depth - 1);
    }
    ZwClose(key);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNICODE_STRING top = RTL_CONSTANT_STRING(L"");
    ULONG fails = 0;
    RTL_QUERY_REGISTRY_TABLE table[] = {
        {NULL, RTL_QUERY_REGISTRY_DIRECT, (PWSTR)L"Fail", &fails, REG_NONE, NULL, 0},
        {NULL, 0, NULL, NULL, 0, NULL, 0},
    };
    DriverObject->DriverUnload = Unload;
    Show(NULL, RegistryPath, &top, DEPTH);
    RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, L"parameters\\Made\\", L"Here", REG_SZ, (PVOID)L"x", 4);
    RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, RegistryPath->Buffer, table, NULL, NULL);
    DbgPrint("parameters: end\n");
    return fails != 0 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
}
