/* SPDX-License-Identifier: Apache-2.0 */
/* badimport.sys: imports two routines that a kernel without file systems and a cache manager does not have. */
#include <ntddk.h>

DRIVER_INITIALIZE DriverEntry;

NTSYSAPI BOOLEAN NTAPI FsRtlDoesNameContainWildCards(PUNICODE_STRING Name);
NTSYSAPI BOOLEAN NTAPI CcPurgeCacheSection(PVOID SectionObjectPointer, PLARGE_INTEGER FileOffset, ULONG Length,
                                           BOOLEAN UninitializeCacheMaps);

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(DriverObject);
    if (FsRtlDoesNameContainWildCards(RegistryPath)) {
        CcPurgeCacheSection(NULL, NULL, 0, FALSE);
    }
    DbgPrint("badimport: was loaded\n");
    return STATUS_UNSUCCESSFUL;
}
