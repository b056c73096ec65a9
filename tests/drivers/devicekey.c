/* SPDX-License-Identifier: Apache-2.0 */
/* Its AddDevice opens the device's registry keys, says what is in them, adds a value, and refuses the device. */
#include <ntddk.h>

static VOID Show(PDEVICE_OBJECT pdo, ULONG kind) {
    HANDLE key;
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"Seen");
    UCHAR room[64];
    KEY_VALUE_PARTIAL_INFORMATION *partial = (PVOID)room;
    ULONG bytes;
    ULONG seen = 0;
    NTSTATUS status = IoOpenDeviceRegistryKey(pdo, kind, KEY_ALL_ACCESS, &key);
    if (NT_SUCCESS(status)) {
        if (NT_SUCCESS(ZwQueryValueKey(key, &name, KeyValuePartialInformation, room, sizeof room, &bytes))) {
            seen = *(const ULONG *)partial->Data;
        }
        seen += kind;
        ZwSetValueKey(key, &name, 0, REG_DWORD, &seen, sizeof seen);
        ZwClose(key);
    }
    DbgPrint("devicekey: %u %08x %u\n", kind, status, seen);
}

static NTSTATUS NTAPI AddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
    UNREFERENCED_PARAMETER(DriverObject);
    Show(PhysicalDeviceObject, PLUGPLAY_REGKEY_DEVICE);
    Show(PhysicalDeviceObject, PLUGPLAY_REGKEY_DRIVER);
    Show(PhysicalDeviceObject, PLUGPLAY_REGKEY_CURRENT_HWPROFILE); /* of neither kind */
    return STATUS_NO_SUCH_DEVICE;
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverExtension->AddDevice = AddDevice;
    DriverObject->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
