# SPDX-License-Identifier: Apache-2.0
"""The libraries that samples link with, as sources use them: <wdmsec.h>, and cancel-safe queues by both headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql.machine import Machine
from tests.system.guest.building import build_driver

if TYPE_CHECKING:
    from pathlib import Path

SECURE = """
#include <ntddk.h>
#include <wdmsec.h>
static PDEVICE_OBJECT Device;
static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); IoDeleteDevice(Device); }
DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    static const GUID class = {0x5f1c3d2a, 0x1111, 0x2222, {1, 2, 3, 4, 5, 6, 7, 8}};
    UNICODE_STRING name;
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    if (!NT_SUCCESS(RtlInitUnicodeStringEx(&name, L"\\\\Device\\\\Secure"))) return STATUS_UNSUCCESSFUL;
    if (NT_SUCCESS(IoCreateDeviceSecure(DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE,
                                        &SDDL_DEVOBJ_SYS_ALL_ADM_ALL, &class, &Device))) return STATUS_UNSUCCESSFUL;
    if (NT_SUCCESS(IoCreateDeviceSecure(DriverObject, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &name, &class, &Device)))
        return STATUS_UNSUCCESSFUL;
    return IoCreateDeviceSecure(DriverObject, 0, &name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE,
                                &SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_RW_RES_R, &class, &Device);
}
"""

QUEUE = """
HEADERS
static IO_CSQ Queue;
static KSPIN_LOCK Lock;
static LIST_ENTRY List;
static ULONG Inserted, Removed;
static VOID NTAPI Insert(PIO_CSQ Csq, PIRP Irp) {
    UNREFERENCED_PARAMETER(Csq);
    InsertTailList(&List, &Irp->Tail.Overlay.ListEntry);
    Inserted++;
}
static VOID NTAPI Remove(PIO_CSQ Csq, PIRP Irp) {
    UNREFERENCED_PARAMETER(Csq);
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
    Removed++;
}
static PIRP NTAPI Peek(PIO_CSQ Csq, PIRP Irp, PVOID PeekContext) {
    UNREFERENCED_PARAMETER(Csq); UNREFERENCED_PARAMETER(PeekContext);
    PLIST_ENTRY next = Irp == NULL ? List.Flink : Irp->Tail.Overlay.ListEntry.Flink;
    return next == &List ? NULL : CONTAINING_RECORD(next, IRP, Tail.Overlay.ListEntry);
}
static VOID NTAPI Acquire(PIO_CSQ Csq, PKIRQL Irql) { UNREFERENCED_PARAMETER(Csq); KeAcquireSpinLock(&Lock, Irql); }
static VOID NTAPI Release(PIO_CSQ Csq, KIRQL Irql) { UNREFERENCED_PARAMETER(Csq); KeReleaseSpinLock(&Lock, Irql); }
static VOID NTAPI Complete(PIO_CSQ Csq, PIRP Irp) { UNREFERENCED_PARAMETER(Csq); UNREFERENCED_PARAMETER(Irp); }
static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }
DRIVER_INITIALIZE DriverEntry;
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    PIRP irp = IoAllocateIrp(1, FALSE);
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    KeInitializeSpinLock(&Lock);
    InitializeListHead(&List);
    IoCsqInitialize(&Queue, Insert, Remove, Peek, Acquire, Release, Complete);
    IoSetNextIrpStackLocation(irp);
    IoCsqInsertIrp(&Queue, irp, NULL);
    BOOLEAN right = IoCsqRemoveNextIrp(&Queue, NULL) == irp && Inserted == 1 && Removed == 1;
    IoFreeIrp(irp);
    return right ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
"""


def test_devices_with_a_security_descriptor(tmp_path: Path) -> None:
    with Machine(cpus=1) as machine:
        driver = machine.load(build_driver(tmp_path, "secure", SECURE))
        assert not [name for _, name in driver.image.imports if name.startswith("Wdmlib")]
        driver.unload()


@pytest.mark.parametrize("headers", [["wdm.h", "csq.h"], ["ntddk.h"], ["ntddk.h", "csq.h"]], ids=" ".join)
def test_cancel_safe_queues(tmp_path: Path, headers: list[str]) -> None:
    source = QUEUE.replace("HEADERS", "\n".join(f"#include <{name}>" for name in headers))
    with Machine(cpus=1) as machine:
        machine.load(build_driver(tmp_path, "queue", source)).unload()
