# SPDX-License-Identifier: Apache-2.0
"""The makefiles, on a small checkout: driver images, the compilation database, the list of targets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pefile
import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DRIVER = """\
#include <ntddk.h>
#include "part.h"

static VOID Unload(PDRIVER_OBJECT DriverObject) {
    UNREFERENCED_PARAMETER(DriverObject);
}

static PDRIVER_UNLOAD const Table[] = {NULL, Unload};

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = Table[PartIndex(DriverObject)];
    DbgPrint("loaded\\n");
    return STATUS_SUCCESS;
}
"""
PART_HEADER = "#pragma once\n#include <ntddk.h>\nULONG PartIndex(PDRIVER_OBJECT DriverObject);\n"
PART = '#include "part.h"\n\nULONG PartIndex(PDRIVER_OBJECT DriverObject) {\n    return DriverObject->Flags & 1;\n}\n'


def make(checkout: Path, *arguments: str) -> str:
    """Run make in a checkout, without the options of a make that runs these tests, and return what it prints."""
    outer = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "V")
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    result = subprocess.run(
        ["make", *arguments], cwd=checkout, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one driver of two files and one of one file, built."""
    checkout = small_checkout(tmp_path_factory.mktemp("built") / "a")
    make(checkout, "--jobs=2")
    return checkout


def small_checkout(checkout: Path) -> Path:
    """Lay out a checkout that builds drivers only."""
    (checkout / "mk").mkdir(parents=True)
    shutil.copytree(CHECKOUT / "mk", checkout / "mk", dirs_exist_ok=True)
    shutil.copytree(CHECKOUT / "guest/include/driver", checkout / "guest/include/driver")
    (checkout / "Makefile").write_text(
        "include mk/common.mk mk/drivers.mk\n.DEFAULT_GOAL := all\nall: $(DRIVER_IMAGES)\n"
    )
    large, small = checkout / "guest/drivers/large", checkout / "tests/drivers"
    large.mkdir(parents=True)
    small.mkdir(parents=True)
    (large / "entry.c").write_text(DRIVER)
    (large / "part.h").write_text(PART_HEADER)
    (large / "part.c").write_text(PART)
    (small / "small.c").write_text(
        DRIVER.replace('#include "part.h"\n', "").replace("PartIndex(DriverObject)", "DriverObject->Flags & 1")
    )
    return checkout


class TestDrivers:
    def test_images_are_what_a_loader_wants(self, checkout: Path) -> None:
        for name in ("drivers/large.sys", "tests/small.sys"):
            image = pefile.PE(checkout / "build" / name)
            directories = {entry.name: entry for entry in image.OPTIONAL_HEADER.DATA_DIRECTORY}
            assert image.OPTIONAL_HEADER.Subsystem == pefile.SUBSYSTEM_TYPE["IMAGE_SUBSYSTEM_NATIVE"]
            assert image.OPTIONAL_HEADER.AddressOfEntryPoint != 0
            assert image.FILE_HEADER.TimeDateStamp == 0
            assert not image.FILE_HEADER.Characteristics & pefile.IMAGE_CHARACTERISTICS["IMAGE_FILE_RELOCS_STRIPPED"]
            assert [library.dll for library in image.DIRECTORY_ENTRY_IMPORT] == [b"ntoskrnl.exe"]
            assert directories["IMAGE_DIRECTORY_ENTRY_BASERELOC"].Size > 0
            names = {section.Name.rstrip(b"\0") for section in image.sections}
            assert b".text" in names
            assert any(name.startswith(b"/") for name in names), (
                "no debug sections (their names are in the string table)"
            )
            image.close()

    def test_same_bytes_anywhere(self, checkout: Path, tmp_path: Path) -> None:
        other = small_checkout(tmp_path / "elsewhere" / "b")
        make(other, "--jobs=2")
        for name in ("drivers/large.sys", "tests/small.sys"):
            assert (checkout / "build" / name).read_bytes() == (other / "build" / name).read_bytes()

    def test_second_build_does_nothing_and_a_header_counts(self, checkout: Path) -> None:
        assert "CC" not in make(checkout)
        header = checkout / "guest/drivers/large/part.h"
        built = max(path.stat().st_mtime for path in (checkout / "build").rglob("*.*"))
        os.utime(header, (built + 10,) * 2)
        steps = make(checkout).splitlines()
        assert [step.split() for step in steps] == [
            ["CC", "guest/drivers/large/entry.c"],
            ["CC", "guest/drivers/large/part.c"],
            ["SYS", "build/drivers/large.sys"],
        ]

    def test_verbose_shows_the_commands(self, checkout: Path) -> None:
        assert "-Wl,--subsystem,native" in make(checkout, "V=1", "--dry-run", "--always-make")


class TestCompileCommands:
    def test_gcc_becomes_clang(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        subprocess.run(
            [sys.executable, CHECKOUT / "tools/compile_commands.py", "compile_commands.json"],
            cwd=tmp_path,
            env={
                "DIRQL_GUEST_CFLAGS": "-O2 -mabi=ms -fms-extensions '-D__int64=long long'",
                "DIRQL_GUEST_SOURCES": "guest/ke/dpc.c guest/ke/trap.S",
                "DIRQL_DRIVER_CFLAGS": "-O2",
                "DIRQL_DRIVER_SOURCES": "guest/drivers/edu.c",
            },
            check=True,
        )
        guest, driver = json.loads((tmp_path / "compile_commands.json").read_text())
        assert guest["file"] == "guest/ke/dpc.c"
        assert guest["directory"] == str(tmp_path)
        assert "-D__int64=long long" in guest["arguments"]
        assert not {"-mabi=ms", "-fms-extensions"} & set(guest["arguments"])
        assert driver["arguments"][1] == "--target=x86_64-w64-mingw32"


class TestTargets:
    def test_alone_make_lists_them(self) -> None:
        text = make(CHECKOUT, "--silent")
        listed = {line.split()[0] for line in text.splitlines() if line.startswith("  ")}
        assert listed >= {
            "run",
            "test",
            "check",
            "bench",
            "soak",
            "qemu",
            "qemu-gdb",
            "doctor",
            "build",
            "clean",
            "docs",
        }
        assert text == make(CHECKOUT, "--silent", "help")

    def test_the_main_job_gets_its_cpus_and_mode(self) -> None:
        commands = make(CHECKOUT, "--dry-run", "run", "CPUS=8", "MODE=icount")
        assert commands.splitlines()[-1] == ".venv/bin/dirql run interrupt-storm --cpus 8 --mode icount"
