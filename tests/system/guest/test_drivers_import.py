# SPDX-License-Identifier: Apache-2.0
"""Drivers that import from drivers: by name, by number, through a third; and what keeps one from going."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql.errors import GuestBugCheck, GuestRequestError, UsageError
from dirql.machine import Machine
from tests.system.guest.building import build_driver, import_library
from tests.system.guest.test_bad_images import send

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DRIVER = """
#include <ntddk.h>
DRIVER_INITIALIZE DriverEntry;
static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }
"""
ENTRY = """
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Unload;
    return %s;
}
"""
EXPORTER = f"""{DRIVER}
ULONG Counter;
ULONG Add(ULONG Left, ULONG Right) {{ Counter++; return Left + Right; }}
ULONG Seven(VOID) {{ return 7; }}
VOID Crash(PVOID Context) {{ *(volatile ULONG *)Context = 1; }}
{ENTRY % "STATUS_SUCCESS"}"""
EXPORTS = "Add\nSeven @7 NONAME\nCrash"
SECOND = DRIVER + ENTRY % "STATUS_SUCCESS"
FORWARDS = "Again = exporter.Add\nAgainSeven = exporter.x7\nLost = exporter.Nothing\nPrint = ntoskrnl.DbgPrint"
IMPORTER = f"""{DRIVER}
NTSYSAPI ULONG Add(ULONG Left, ULONG Right);
NTSYSAPI ULONG Seven(VOID);
NTSYSAPI ULONG Again(ULONG Left, ULONG Right);
NTSYSAPI ULONG AgainSeven(VOID);
NTSYSAPI ULONG Print(PCSTR Format, ...);
static BOOLEAN Right(VOID) {{
    Print("importer: %u\\n", Add(1, 2) + Again(10, 20));
    return Add(1, 2) == 3 && Seven() == 7 && Again(10, 20) == 30 && AgainSeven() == 7;
}}
{ENTRY % "Right() ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL"}"""
LOST = f"""{DRIVER}
NTSYSAPI ULONG Lost(VOID);
NTSYSAPI ULONG Ninth(VOID);
NTSYSAPI ULONG Absent(VOID);
{ENTRY % "(NTSTATUS)(Lost() + Ninth() + Absent())"}"""
TIMEOUT = 30.0


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(cpus=2, trace_mask=0) as machine:
        yield machine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build exporter, second (which forwards to it), importer (of both), lost (imports what is not there)."""
    folder = tmp_path_factory.mktemp("drivers")
    build_driver(folder, "exporter", EXPORTER, exports=EXPORTS)
    image = build_driver(folder, "second", SECOND, exports=FORWARDS)
    image.write_bytes(image.read_bytes().replace(b"exporter.x7", b"exporter.#7"))  # for which ld has no syntax
    first = import_library(folder, "exporter", EXPORTS)
    second = import_library(folder, "second", "Again\nAgainSeven\nPrint")
    build_driver(folder, "importer", IMPORTER, uses=[first, second])
    absent = import_library(folder, "exporter", "Absent\nNinth @9 NONAME")
    lost = import_library(folder, "second", "Lost")
    build_driver(folder, "lost", LOST, uses=[absent, lost])
    return folder


def test_what_is_not_loaded_is_named(machine: Machine, folder: Path) -> None:
    with pytest.raises(UsageError, match=r"imports from what is not loaded \(load it first\): ") as usage:
        machine.load(folder / "importer.sys")
    assert "exporter.sys!Add" in str(usage.value)
    assert "second.sys!AgainSeven" in str(usage.value)
    with pytest.raises(GuestRequestError, match="STATUS_DLL_NOT_FOUND"):
        send(machine, (folder / "importer.sys").read_bytes())
    machine.session.console.expect("sent.sys imports exporter.sys!#7, but exporter.sys is not loaded", TIMEOUT)


def test_by_name_by_number_and_forwarded(machine: Machine, folder: Path) -> None:
    exporter, second = machine.load(folder / "exporter.sys"), machine.load(folder / "second.sys")
    importer = machine.load(folder / "importer.sys")
    with pytest.raises(GuestRequestError, match=r"importer\.sys imports from exporter\.sys; unload it first"):
        exporter.unload()
    with pytest.raises(GuestRequestError, match=r"importer\.sys imports from second\.sys; unload it first"):
        second.unload()
    assert exporter.image.debug.variables["Counter"]
    importer.unload()
    exporter.unload()
    second.unload()


def test_what_a_loaded_driver_does_not_export(machine: Machine, folder: Path) -> None:
    exporter, second = machine.load(folder / "exporter.sys"), machine.load(folder / "second.sys")
    with pytest.raises(UsageError) as usage:
        machine.load(folder / "lost.sys")
    assert "exporter.sys!Absent" in str(usage.value)
    assert "exporter.sys!#9" in str(usage.value)
    with pytest.raises(GuestRequestError):
        send(machine, (folder / "lost.sys").read_bytes())
    for line in (
        "sent.sys imports exporter.sys!Absent, which that driver does not export",
        "sent.sys imports ordinal 9 of exporter.sys, which has no such export",
        "sent.sys imports second.sys!Lost, which second.sys forwards to what is not there",
    ):
        assert line in machine.session.console.text
    exporter.unload()
    second.unload()


def test_one_driver_twice(machine: Machine, folder: Path) -> None:
    first = machine.load(folder / "exporter.sys")
    second = machine.load(folder / "second.sys")
    importer = machine.load(folder / "importer.sys")
    before = {driver.base for driver in (first, second, importer)}
    importer.unload()
    again = machine.load(folder / "importer.sys")
    assert again.base not in {first.base, second.base}
    assert machine.symbols.where(again.base + 0x1000).startswith("importer.sys!")
    again.unload()
    assert machine.symbols.module(again.base) is None
    first.unload()
    second.unload()
    assert len(before) == 3


def test_a_driver_without_debug_information_has_the_names_that_it_exports(tmp_path: Path) -> None:
    image = build_driver(tmp_path, "bare", EXPORTER, exports=EXPORTS, strip=True)
    with Machine(cpus=1) as machine:
        driver = machine.load(image)
        with pytest.raises(GuestBugCheck) as caught:
            driver.run("Crash", 8)
        assert "bare.sys!Crash+" in str(caught.value)
