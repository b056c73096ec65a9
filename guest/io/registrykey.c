/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registry keys of devices. Where they lie is not documented, and drivers do not ask: here below the service key of the function driver, with which
 * they go. Value by value they are made by that driver, or given by the host as `service={"Device": {...}}`.
 */
#include "iop.h"

#include "../cm/cm.h"
#include "../rtl/crt.h"

#define IOP_SERVICES    L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\%.*s"
#define IOP_DRIVER_NAME 8 /* characters of "\Driver\" */
#define IOP_KEY_PATH    160
#define IOP_KEY_SUBPATH 40

NTSTATUS NTAPI IoOpenDeviceRegistryKey(PDEVICE_OBJECT DeviceObject, ULONG DevInstKeyType, ACCESS_MASK DesiredAccess,
                                       PHANDLE DevInstRegKey) {
    WCHAR path[IOP_KEY_PATH];
    WCHAR subkey[IOP_KEY_SUBPATH];
    UNICODE_STRING service;
    const IOP_PDO *pdo = IopPdoOf(DeviceObject);
    ULONG kind = DevInstKeyType & (PLUGPLAY_REGKEY_DEVICE | PLUGPLAY_REGKEY_DRIVER);
    UNREFERENCED_PARAMETER(DesiredAccess);
    if (pdo == NULL || pdo->Driver == NULL) {
        return STATUS_INVALID_DEVICE_REQUEST; /* no PDO, or one that is nobody's */
    }
    if (kind != PLUGPLAY_REGKEY_DEVICE && kind != PLUGPLAY_REGKEY_DRIVER) {
        return STATUS_INVALID_PARAMETER;
    }
    const UNICODE_STRING *name = &pdo->Driver->DriverName;
    (void)swprintf_s(path, RTL_NUMBER_OF(path), IOP_SERVICES, (int)(name->Length / sizeof(WCHAR) - IOP_DRIVER_NAME),
                     name->Buffer + IOP_DRIVER_NAME);
    (void)swprintf_s(subkey, RTL_NUMBER_OF(subkey), L"Device\\%08x\\%s", pdo->Location,
                     kind == PLUGPLAY_REGKEY_DEVICE ? L"Device Parameters" : L"Driver");
    RtlInitUnicodeString(&service, path);
    return CmOpenServiceSubkey(&service, subkey, DevInstRegKey);
}
NT_EXPORT(IoOpenDeviceRegistryKey);
