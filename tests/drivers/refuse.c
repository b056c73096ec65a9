/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refuse.sys: its DriverEntry fails and forgets a device object. It is also what the loader's tests damage: small, with
 * code, constants, data that needs relocation, and imports by name.
 */
#include <ntddk.h>

DRIVER_INITIALIZE DriverEntry;

static const char RefuseText[] = "refuse: %wZ\n";
static const char *volatile RefuseFormat = RefuseText; /* an address in .data: needs a base relocation */

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    PDEVICE_OBJECT device;
    UNREFERENCED_PARAMETER(RegistryPath);
    DbgPrint(RefuseFormat, &DriverObject->DriverName);
    NTSTATUS status = IoCreateDevice(DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    return NT_SUCCESS(status) ? STATUS_DEVICE_CONFIGURATION_ERROR : status;
}
