/* SPDX-License-Identifier: Apache-2.0 */
/* hang.sys: its DriverEntry never returns. */
#include <ntddk.h>

DRIVER_INITIALIZE DriverEntry;

static volatile ULONG64 HangTurns;

static DECLSPEC_NOINLINE VOID HangForEver(VOID) {
    for (;;) {
        HangTurns++;
    }
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    HangForEver();
    return STATUS_SUCCESS;
}
