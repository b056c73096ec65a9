# SPDX-License-Identifier: Apache-2.0
"""Small images, compiled once: an ELF object and a driver."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = r"""
typedef unsigned int ULONG;
typedef unsigned long long ULONG64;
typedef enum _COLOUR { Red = 1, Green = 2, Blue = 40 } COLOUR;
typedef struct _POINT { short X; short Y; } POINT;
typedef struct _SHAPE {
    char Name[10];
    volatile ULONG64 Area;
    POINT Corner[3];
    union {
        ULONG Flags;
        struct { unsigned char Low, High; };
    };
    struct _SHAPE *Next;
    void (*Draw)(void);
    const COLOUR Colour;
    ULONG64 Matrix[2][3];
} SHAPE;
SHAPE Shape;
static volatile SHAPE Shapes[4];
ULONG64 Word = 7;
extern POINT Declared;
POINT Declared = {1, 2};
int Area(int x) {
    static POINT Origin;
    int local = x;
    Origin.X += local;
    return Origin.X + (int)Shapes[x].Area + (int)Word + (int)Shape.Area + Declared.X; /* line 29 */
}
"""


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_folder))


def _compile(folder: Path, compiler: str, *arguments: str) -> Path:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    source = folder / "shape.c"
    source.write_text(SOURCE, encoding="utf-8")
    output = folder / "shape.out"
    command = [compiler, "-g", "-O1", "-fno-common", *arguments, "-o", str(output), source.name]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return output


@pytest.fixture(scope="session")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linked ELF of the source above."""
    arguments = ["-nostdlib", "-static", "-Wl,-e,Area", "-Wl,-Ttext=0x400000"]
    return _compile(tmp_path_factory.mktemp("elf"), "gcc", *arguments)


@pytest.fixture(scope="session")
def sys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PE image of the source above."""
    arguments = ["-shared", "-nostdlib", "-Wl,--subsystem,native", "-Wl,-e,Area", "-Wl,--image-base,0x140000000"]
    return _compile(tmp_path_factory.mktemp("sys"), "x86_64-w64-mingw32-gcc", *arguments)
