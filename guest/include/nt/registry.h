/* SPDX-License-Identifier: Apache-2.0 */
/* The registry: the contracts (see ../nt.h). */
#pragma once

#include "../ddk.h"

/* NOLINTBEGIN(readability-redundant-declaration): declared again on purpose */

/*
 * Keys and values by handle (cm/zwkey.c, cm/zwvalue.c). PASSIVE_LEVEL, may wait. The tree begins at \Registry and lives in memory; names
 * have no case. A handle is opened for everything, whatever access was asked for, and closed by ZwClose. Of a key that was deleted, by
 * whomever: STATUS_KEY_DELETED. One with subkeys is not deleted: STATUS_CANNOT_DELETE. Creating makes the last name of a path only, of at
 * most 255 characters. Data of at most 1 MiB. Queries: STATUS_BUFFER_TOO_SMALL without room for the fixed part, STATUS_BUFFER_OVERFLOW
 * without room for all; ResultLength is what is needed, in any case. Classes beyond the documented ones: STATUS_INVALID_PARAMETER.
 */
NTSTATUS NTAPI ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes);
NTSTATUS NTAPI ZwOpenKeyEx(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                           ULONG OpenOptions);
NTSTATUS NTAPI ZwCreateKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                           ULONG TitleIndex, PUNICODE_STRING Class, ULONG CreateOptions, PULONG Disposition);
NTSTATUS NTAPI ZwDeleteKey(HANDLE KeyHandle);
NTSTATUS NTAPI ZwFlushKey(HANDLE KeyHandle); /* nothing to do */
NTSTATUS NTAPI ZwQueryKey(HANDLE KeyHandle, KEY_INFORMATION_CLASS KeyInformationClass, PVOID KeyInformation,
                          ULONG Length, PULONG ResultLength);
NTSTATUS NTAPI ZwEnumerateKey(HANDLE KeyHandle, ULONG Index, KEY_INFORMATION_CLASS KeyInformationClass,
                              PVOID KeyInformation, ULONG Length, PULONG ResultLength);
NTSTATUS NTAPI ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName,
                               KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass, PVOID KeyValueInformation,
                               ULONG Length, PULONG ResultLength);
NTSTATUS NTAPI ZwEnumerateValueKey(HANDLE KeyHandle, ULONG Index, KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass,
                                   PVOID KeyValueInformation, ULONG Length, PULONG ResultLength);
NTSTATUS NTAPI ZwSetValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, ULONG TitleIndex, ULONG Type, PVOID Data,
                             ULONG DataSize);
NTSTATUS NTAPI ZwDeleteValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName);

/*
 * By paths (cm/rtlregistry.c, cm/rtlquery.c). PASSIVE_LEVEL, may wait. Writing and creating make the last key of the path where it is
 * missing. RtlQueryRegistryValues calls routines without a lock, so they may use the registry; with RTL_REGISTRY_OPTIONAL a key that is
 * not there is as one without values. There are no environment variables to expand. A REG_MULTI_SZ value that is wanted directly
 * needs RTL_QUERY_REGISTRY_NOEXPAND: STATUS_INVALID_PARAMETER.
 */
NTSTATUS NTAPI RtlQueryRegistryValues(ULONG RelativeTo, PCWSTR Path, PRTL_QUERY_REGISTRY_TABLE QueryTable,
                                      PVOID Context, PVOID Environment);
NTSTATUS NTAPI RtlWriteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName, ULONG ValueType, PVOID ValueData,
                                     ULONG ValueLength);
NTSTATUS NTAPI RtlCheckRegistryKey(ULONG RelativeTo, PWSTR Path);
NTSTATUS NTAPI RtlCreateRegistryKey(ULONG RelativeTo, PWSTR Path);
NTSTATUS NTAPI RtlDeleteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName);

/*
 * A device's own key, or its driver's (io/registrykey.c), by its PDO. PASSIVE_LEVEL. Made where it is missing; it goes with the driver. Not a PDO
 * whose driver's AddDevice has been called: STATUS_INVALID_DEVICE_REQUEST.
 */
NTSTATUS NTAPI IoOpenDeviceRegistryKey(PDEVICE_OBJECT DeviceObject, ULONG DevInstKeyType, ACCESS_MASK DesiredAccess,
                                       PHANDLE DevInstRegKey);

/* NOLINTEND(readability-redundant-declaration) */
