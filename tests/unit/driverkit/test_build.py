# SPDX-License-Identifier: Apache-2.0
"""`dirql new driver` and `dirql build`, in a folder outside of the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dirql.driverkit.build import build
from dirql.driverkit.new import TEMPLATE, new_driver
from dirql.driverkit.toolchain import compiler, flags, headers
from dirql.errors import BuildError, UsageError
from dirql.guest import artifacts
from dirql.guest.image import DriverImage, KernelImage

ENTRY = """\
#include <Ntddk.h>
#include "Part.h"

_Function_class_(DRIVER_UNLOAD) _IRQL_requires_max_(PASSIVE_LEVEL)
static VOID NTAPI Unload(_In_ PDRIVER_OBJECT driver) {
    UNREFERENCED_PARAMETER(driver);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path) {
    UNREFERENCED_PARAMETER(path);
    driver->DriverUnload = Unload;
    return PART_STATUS;
}
"""


def dirql(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dirql", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def tree(folder: Path) -> Path:
    """An existing source tree: headers in `inc`, names in other letters than their files, other things beside."""
    (folder / "inc").mkdir(parents=True)
    (folder / "entry.c").write_text(ENTRY)
    (folder / "other.C").write_text("#include <wdm.h>\nint Other(void);\nint Other(void) { return 1; }\n")
    (folder / "inc" / "part.h").write_text("#pragma once\n#define PART_STATUS STATUS_SUCCESS\n")
    (folder / "driver.rc").write_text("")
    return folder


class TestNew:
    def test_a_new_driver_is_built_and_loads(self, tmp_path: Path) -> None:
        made = dirql("new", "driver", "mydrv", cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        files = {path.name for path in (tmp_path / "mydrv").iterdir()}
        assert files == {"mydrv.c", "mydrv.h", "test_mydrv.py", "README.md"}
        assert not re.search("sample", "".join(path.read_text() for path in (tmp_path / "mydrv").iterdir()), re.I)
        built = dirql("build", "mydrv.c", cwd=tmp_path / "mydrv")
        assert (built.returncode, built.stderr) == (0, "")
        image = DriverImage(tmp_path / "mydrv" / "mydrv.sys")
        image.require_imports(KernelImage(artifacts.kernel()))
        assert "mydrv.c" in {file for _, file, _ in image.lines}

    def test_the_template_is_as_clean_as_the_drivers_here(self, tmp_path: Path) -> None:
        done = dirql("build", str(TEMPLATE / "sample.c"), "--", *flags("house"), cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")

    def test_what_cannot_be_done_is_said(self, tmp_path: Path) -> None:
        new_driver("mydrv", tmp_path)
        before = (tmp_path / "mydrv" / "mydrv.c").read_bytes()
        again = dirql("new", "driver", "mydrv", cwd=tmp_path)
        assert again.returncode == 2
        assert "mydrv exists already; nothing in it was touched" in again.stderr
        assert (tmp_path / "mydrv" / "mydrv.c").read_bytes() == before
        for name in ("MyDrv", "1st", "a-b", "", "a" * 25, "../up", "mysample"):
            with pytest.raises(UsageError, match="no name for a driver"):
                new_driver(name, tmp_path)
        (tmp_path / "file").write_text("")
        with pytest.raises(UsageError, match="cannot be written"):
            new_driver("other", tmp_path / "file")


class TestBuild:
    def test_an_existing_tree_is_built_as_it_is(self, tmp_path: Path) -> None:
        folder = tree(tmp_path / "echo")
        done = dirql("build", "echo", "-o", "out/echo.sys", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr == "dirql: echo/driver.rc is not compiled: a driver is built from its C files\n"
        assert done.stdout.startswith("out/echo.sys: ")
        assert {"entry.c", "other.C"} <= {file for _, file, _ in DriverImage(tmp_path / "out" / "echo.sys").lines}
        assert sorted(path.name for path in folder.iterdir()) == ["driver.rc", "entry.c", "inc", "other.C"]

    def test_same_bytes_anywhere(self, tmp_path: Path) -> None:
        one, two = (build(tree(tmp_path / where / "echo"), output=tmp_path / f"{where}.sys") for where in ("a", "b"))
        assert one.read_bytes() == two.read_bytes()

    def test_more_headers_macros_and_flags(self, tmp_path: Path) -> None:
        (tmp_path / "one.c").write_text(ENTRY.replace("Part.h", "more.h"))
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / "more.h").write_text("#define PART_STATUS (VALUE + OTHER)\n")
        arguments = ("-I", "more", "-D", "VALUE=1", "--verbose", "--", "-include", "more.h", "-DOTHER=2")
        done = dirql("build", "one.c", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "-Wl,--subsystem,native" in done.stdout
        assert (tmp_path / "one.sys").is_file()

    def test_errors_are_the_compilers(self, tmp_path: Path) -> None:
        (tmp_path / "bad.c").write_text("#include <ntddk.h>\n\nint Broken(void) { return x; }\n")
        done = dirql("build", "bad.c", cwd=tmp_path)
        assert done.returncode == 2
        assert "bad.c:3:27: error: " in done.stderr
        assert done.stderr.endswith("dirql: bad.c does not compile\n")
        assert not (tmp_path / "bad.sys").exists()
        with pytest.raises(BuildError, match=r"(?s)bad\.c:3:27: error.*bad\.c does not compile$"):
            build(tmp_path / "bad.c")

    def test_what_is_not_there_is_named(self, tmp_path: Path) -> None:
        text = (
            "#include <ntddk.h>\nint Nowhere(void);\n"
            "{}NTSTATUS NTAPI {}(PDRIVER_OBJECT d, PUNICODE_STRING p) {{ {} }}\n"
        )
        bodies = {
            "entry.c": ("", "Entry", "return d == (PVOID)p;"),
            "link.c": ("", "DriverEntry", "return (d == (PVOID)p) + Nowhere();"),
            "load.c": ("#include <ntifs.h>\n", "DriverEntry", "return (d == (PVOID)p) + CcIsThereDirtyData(NULL);"),
        }
        for name, parts in bodies.items():
            (tmp_path / name).write_text(text.format(*parts))
        assert "the sources have no DriverEntry" in dirql("build", "entry.c", cwd=tmp_path).stderr
        assert "neither the sources nor the kernel's import libraries have Nowhere" in (
            dirql("build", "link.c", cwd=tmp_path).stderr
        )
        unloadable = dirql("build", "load.c", cwd=tmp_path)
        assert unloadable.returncode == 0
        assert "it is built, but will not load: load.sys imports 1 name" in unloadable.stderr
        assert "CcIsThereDirtyData" in unloadable.stderr

    def test_strange_sources(self, tmp_path: Path) -> None:
        (tmp_path / "deep" / "src").mkdir(parents=True)
        (tmp_path / "deep" / "src" / "one.c").write_text("")
        (tmp_path / "two.cpp").write_text("")
        for arguments, text in (
            (["none.c"], "there is no none.c"),
            (["two.cpp"], "a driver is built from C files, or from one folder of them; not from two.cpp"),
            (["deep"], "deep holds no C files; there are some in deep/src"),
        ):
            done = dirql("build", *arguments, cwd=tmp_path)
            assert (done.returncode, done.stderr.strip()) == (2, f"dirql: {text}")

    def test_without_a_compiler_the_remedy_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "one.c").write_text("")
        done = dirql("build", "one.c", cwd=tmp_path, PATH="/nowhere")
        assert done.returncode == 2
        assert "x86_64-w64-mingw32-gcc is not on PATH" in done.stderr
        assert "apt-get install gcc-mingw-w64-x86-64-win32" in done.stderr


LISTS = """\
#include <ntddk.h>
ULONG Count(PCM_RESOURCE_LIST list) {
    ULONG found = 0;
    for (ULONG i = 0; i < list->List[0].PartialResourceList.Count; i++) {
        found += list->List[0].PartialResourceList.PartialDescriptors[i].Type == CmResourceTypeMemory;
    }
    return found;
}
"""


@pytest.mark.parametrize("flagged", [True, False])
def test_a_loop_over_a_list_of_the_headers_stays_a_loop(tmp_path: Path, flagged: bool) -> None:
    """Such a list ends in arrays of one element that go on, which the compiler takes at their word if it may."""
    (tmp_path / "lists.c").write_text(LISTS, encoding="utf-8")
    options = [flag for flag in flags("compile") if flagged or flag != "-fno-aggressive-loop-optimizations"]
    command = [compiler(), *options, *headers(), "-S", "-g0", "-o", "-", "lists.c"]
    text = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    backward = re.search(r"^(\.L\d+):$(?s:.*)^\s+j\w+\s+\1$", text, re.MULTILINE)
    assert (backward is not None) is flagged
