# SPDX-License-Identifier: Apache-2.0
"""From C sources to a driver, a PE image with debug information, built as the drivers of this project are."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dirql.driverkit.toolchain import compiler, ddk, flags, headers
from dirql.errors import BuildError, UsageError
from dirql.guest import artifacts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HEADER_FOLDERS = ("inc", "include")
"""Folders of a source tree whose headers are found without -I."""
_NOT_C = {".asm", ".cc", ".cpp", ".cxx", ".mc", ".rc", ".s"}
_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*[<"](?P<name>[^>"\r\n]+)[>"]', re.MULTILINE)
_UNDEFINED = re.compile(r"undefined reference to [`'](?:__imp_)?(?P<name>\w+)'")
_FORCED = "annotations.h"
_HANDLES_EXCEPTIONS = re.compile(rb"""^\s*#\s*include\s*[<"](seh|excpt)\.h[>"]""", re.MULTILINE)


@dataclass(frozen=True)
class DriverSources:
    """What a driver is made of.

    Attributes:
        files: its C files.
        root: the folder that its debug information names files from.
        name: what it is called, without `.sys`.
        includes: folders of headers, beside each file's own.
        left: files beside them that are no C and were left out.
    """

    files: tuple[Path, ...]
    root: Path
    name: str
    includes: tuple[Path, ...] = ()
    left: tuple[Path, ...] = ()


def build(*sources: str | Path, output: str | Path | None = None) -> Path:
    """Build a driver from C files, or from one folder of them, as `dirql build` does.

    Args:
        sources: the files, or the folder.
        output: the image to write; None: `NAME.sys` beside the first of them.

    Returns:
        The image's path.

    Raises:
        UsageError: there is no C file.
        BuildError: it does not compile, and the text has what the compiler says; or the compiler is not installed.
    """
    found = find_sources([Path(source) for source in sources])
    messages: list[str] = []
    try:
        return build_driver(found, Path(output or found.files[0].parent / f"{found.name}.sys"), told=messages.append)
    except BuildError as error:
        raise BuildError("\n".join([*filter(None, map(str.strip, messages)), str(error)])) from None


def find_sources(given: Sequence[Path]) -> DriverSources:
    """Return what is to be compiled.

    Args:
        given: C files, or one folder: then every C file that lies in it, and its headers and those in `inc`, `include`.

    Raises:
        UsageError: there is no C file.
    """
    for path in given:
        if not path.exists():
            raise UsageError(f"there is no {path}")
    if len(given) == 1 and given[0].is_dir():
        return _tree(given[0])
    strange = [str(path) for path in given if not path.is_file() or path.suffix.lower() != ".c"]
    if strange or not given:
        raise UsageError(f"a driver is built from C files, or from one folder of them; not from {', '.join(strange)}")
    root = Path.cwd() if all(path.resolve().is_relative_to(Path.cwd()) for path in given) else given[0].parent
    return DriverSources(tuple(given), root, given[0].stem)


def _tables(sources: DriverSources) -> tuple[str, ...]:
    """Return the flags for unwind tables if a file handles exceptions: then all of the driver must have them."""
    return flags("tables") if any(_HANDLES_EXCEPTIONS.search(file.read_bytes()) for file in sources.files) else ()


def _tree(folder: Path) -> DriverSources:
    entries = sorted(path for path in folder.iterdir() if path.is_file())
    files = tuple(path for path in entries if path.suffix.lower() == ".c")
    left = tuple(path for path in entries if path.suffix.lower() in _NOT_C)
    if not files:
        below = sorted({str(path.parent) for path in folder.rglob("*.[cC]")})
        hint = f"; there are some in {', '.join(below[:4])}" if below else ""
        raise UsageError(f"{folder} holds no C files{hint}")
    includes = (folder, *(folder / name for name in _HEADER_FOLDERS if (folder / name).is_dir()))
    return DriverSources(files, folder, folder.resolve().name, includes, left)


def build_driver(
    sources: DriverSources,
    output: Path,
    *,
    includes: Sequence[Path] = (),
    defines: Sequence[str] = (),
    extra: Sequence[str] = (),
    told: Callable[[str], None] | None = None,
    commands: Callable[[str], None] | None = None,
) -> Path:
    """Compile and link a driver.

    Args:
        sources: what from.
        output: the image to write.
        includes: more folders of headers.
        defines: `NAME` or `NAME=VALUE`.
        extra: more options for the compiler.
        told: given what the compiler prints: warnings and errors.
        commands: given each command line.

    Returns:
        `output`.

    Raises:
        BuildError: a file does not compile, a name is not there, the compiler is not installed.
    """
    told = told or _quiet
    commands = commands or _quiet
    with tempfile.TemporaryDirectory(prefix="dirql-build-") as scratch:
        folder = Path(scratch)
        own = [
            *(f"-D{define}" for define in defines),
            *(f"-I{path}" for path in (*includes, *sources.includes)),
            *(["-isystem", str(spelt)] if (spelt := _spelt_headers(sources, folder)) else []),
        ]
        common = [
            *(
                compiler(),
                *flags("compile"),
                *_tables(sources),
                *flags("warn"),
                f"-ffile-prefix-map={sources.root.resolve()}=.",
            ),
            *own,
            *headers(),
            *("-include", _FORCED),
            *extra,
        ]
        objects = [folder / f"{at}.o" for at in range(len(sources.files))]

        def compile_one(at: int) -> subprocess.CompletedProcess[str]:
            return _run([*common, "-c", "-o", str(objects[at]), "-x", "c", str(sources.files[at].resolve())], commands)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(compile_one, range(len(objects))))
        for result in results:
            told(result.stderr)
        bad = [str(file) for file, result in zip(sources.files, results, strict=True) if result.returncode]
        if bad:
            raise BuildError(f"{', '.join(bad)} {'does' if len(bad) == 1 else 'do'} not compile")
        libraries = [f"-L{artifacts.driver_library()}", *flags("libraries")]
        image = folder / "driver.sys"
        linked = _run([compiler(), *flags("link"), "-o", str(image), *map(str, objects), *libraries], commands)
        told(linked.stderr)
        if linked.returncode or "cannot find entry symbol" in linked.stderr:
            raise BuildError(_unlinked(output, linked.stderr))
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_bytes(image.read_bytes())
        except OSError as error:
            raise BuildError(f"{output} cannot be written: {error.strerror}") from error
    return output


def _unlinked(output: Path, messages: str) -> str:
    missing = sorted({match["name"] for match in _UNDEFINED.finditer(messages)})
    if missing:
        return (
            f"{output.name} is not linked: neither the sources nor the kernel's import libraries have "
            f"{', '.join(missing)}"
        )
    if "cannot find entry symbol" in messages:
        return f"{output.name} is not linked: the sources have no DriverEntry, where a driver begins"
    return f"{output.name} is not linked"


def _spelt_headers(sources: DriverSources, scratch: Path) -> Path | None:
    """Make headers that the sources spell in other letters than their files, as `Ntddk.h`, found by that spelling."""
    known = {path.name.lower(): path for folder in (ddk().parent, ddk()) for path in folder.glob("*.h")}
    own = [
        path for near in {*(file.parent for file in sources.files), *sources.includes} for path in near.glob("*.[hH]")
    ]
    folder = scratch / "spelt"
    known.update((path.name.lower(), path) for path in own)
    for file in {*sources.files, *own}:
        for match in _INCLUDE.finditer(file.read_bytes()):
            name = match["name"].decode("utf-8", "replace").strip()
            meant = known.get(name.lower())
            if meant is not None and meant.name != name:
                folder.mkdir(exist_ok=True)
                link = folder / name
                if not link.exists():
                    link.symlink_to(meant.resolve())
    return folder if folder.is_dir() else None


def _run(command: Sequence[str], commands: Callable[[str], None]) -> subprocess.CompletedProcess[str]:
    commands(shlex.join(command))
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def _quiet(text: str) -> None:
    """Print nothing."""
