# SPDX-License-Identifier: Apache-2.0
"""The routines that the DDK headers declare, found by the compiler that builds drivers; and what of them a kernel has.

The headers are those of the installed mingw-w64 and, for what they lack, dirql's own (`guest/include/driver`). gcc's
`-aux-info` lists every prototype with its place and says which have a body there; macros come from its preprocessor.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dirql.driverkit.toolchain import COMPILER, compiler, ddk, headers
from dirql.errors import BuildError
from dirql.guest import artifacts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dirql.guest.image import KernelImage

HEADERS = ("wdm.h", "ntddk.h", "ntifs.h", "csq.h", "ntstrsafe.h", "wdmsec.h")
"""What a documented routine is: one of these declares it, or a header that they include."""

LINKED = frozenset(
    ("WdmlibIoCreateDeviceSecure", "WdmlibRtlInitUnicodeStringEx", "WdmlibIoValidateDeviceIoControlAccess")
)
"""Routines that drivers have linked in, out of dirql's library (`guest/lib`)."""

OWN_HEADERS = tuple(
    f"{name}.h" for name in ("ddkinterrupts", "apc", "genericdpc", "pool2", "precisetime", "rwlock", "seh", "dirql")
)
_PROTOTYPE = re.compile(r"^/\* (?P<file>[^:]+):\d+:.(?P<form>[CFI]) \*/ (?P<text>.*)$")
_NAME = re.compile(r"\b(?P<name>[A-Za-z_]\w*) \(")
_LINE_MARK = re.compile(r'^# \d+ "(?P<file>[^"]*)"')
_MACRO = re.compile(r"^#define (?P<name>[A-Z][a-z]\w*)(?P<arguments>\([^)]*\))?(?: (?P<body>.*))?$")
_IDENTIFIER = re.compile(r"\b[A-Za-z_]\w*\b")
_PREFIX = re.compile(r"^[A-Z][a-z0-9]+")


@dataclass(frozen=True)
class Routine:
    """A routine that a header declares.

    Attributes:
        name: as drivers write it.
        header: the header's file name.
        form: `function` (an import), `inline` (its body is in the header) or `macro`.
        uses: of a macro, the functions that it calls.
    """

    name: str
    header: str
    form: str
    uses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """What a kernel has of a routine.

    Attributes:
        routine: the routine.
        state: `in`, `partial` or `out`.
        note: what is missing, or how it comes to be in.
    """

    routine: Routine
    state: str
    note: str = ""


def mingw_version() -> str:
    """Return the version of the installed mingw-w64 headers, such as `10.0`.

    Raises:
        BuildError: there are none.
    """
    text = _compile("#include <_mingw_mac.h>\n", "-E", "-dM", "-o", "-")
    found = dict(re.findall(r"#define __MINGW64_VERSION_(MAJOR|MINOR) (\d+)", text))
    return f"{found['MAJOR']}.{found['MINOR']}"


def documented_routines() -> tuple[Routine, ...]:
    """Return every routine that the headers declare, by header in the order of HEADERS, then by name.

    Raises:
        BuildError: the compiler or its headers are not there.
    """
    source = "".join(f"#include <{name}>\n" for name in ("ntifs.h", *HEADERS, *OWN_HEADERS))
    with tempfile.TemporaryDirectory(prefix="dirql-") as folder:
        listing = Path(folder) / "prototypes"
        _compile(source, "-O2", "-S", "-o", "/dev/null", "-aux-info", str(listing))
        functions = _functions(listing.read_text(encoding="utf-8").splitlines())
    macros = _macros(_compile(source, "-E", "-dD", "-o", "-").splitlines(), functions)
    order = {name: at for at, name in enumerate((*HEADERS, *OWN_HEADERS))}
    routines = {**macros, **functions}.values()
    return tuple(sorted(routines, key=lambda routine: (order.get(routine.header, len(HEADERS)), routine.name)))


def standings(routines: Iterable[Routine], kernel: KernelImage) -> tuple[Standing, ...]:
    """Compare routines with what a kernel exports.

    Args:
        routines: of the headers.
        kernel: its image.
    """
    found: list[Standing] = []
    for routine in routines:
        wanted = routine.uses if routine.form == "macro" else (routine.name,)
        missing = [name for name in wanted if name not in kernel.exports and name not in LINKED]
        note = kernel.partial.get(routine.name, "")
        if routine.form == "inline":
            found.append(Standing(routine, "in", "inline"))
        elif missing:
            found.append(Standing(routine, "out", f"macro: {', '.join(missing)}" if routine.form == "macro" else ""))
        elif routine.form == "macro":
            found.append(Standing(routine, "in", f"macro: {', '.join(wanted)}" if wanted else "macro"))
        elif routine.name in LINKED:
            found.append(Standing(routine, "in", "linked in"))
        else:
            found.append(Standing(routine, "partial" if note else "in", note))
    return tuple(found)


def _functions(lines: Iterable[str]) -> dict[str, Routine]:
    """Read what -aux-info wrote: `/* FILE:LINE:NC */ extern TYPE NAME (ARGUMENTS);`, F instead of C for a body."""
    found: dict[str, Routine] = {}
    for line in lines:
        prototype = _PROTOTYPE.match(line)
        header = prototype and _header(prototype["file"])
        name = prototype and _NAME.search(prototype["text"])
        if not (prototype and header and name) or name["name"].startswith("_"):
            continue
        first = found.get(name["name"])
        form = "inline" if prototype["form"] == "F" else first.form if first else "function"
        found[name["name"]] = Routine(name["name"], first.header if first else header, form)
    return found


def _macros(lines: Iterable[str], functions: dict[str, Routine]) -> dict[str, Routine]:
    """Read macros that stand for routines: with arguments, or another name of a routine."""
    prefixes = {match[0] for name in functions if (match := _PREFIX.match(name))}
    bodies: dict[str, tuple[str, str]] = {}
    header: str | None = None
    for line in lines:
        mark = _LINE_MARK.match(line)
        if mark:
            header = _header(mark["file"])
        macro = _MACRO.match(line) if header else None
        if macro is None or header is None or macro["name"] in functions:
            continue
        prefix, body = _PREFIX.match(macro["name"]), macro["body"] or ""
        if prefix and prefix[0] in prefixes and (macro["arguments"] is not None or _IDENTIFIER.fullmatch(body)):
            bodies[macro["name"]] = (header, body)

    def uses(name: str, seen: frozenset[str]) -> set[str]:
        if name in functions:
            return {name} if functions[name].form == "function" else set()
        if name not in bodies or name in seen:
            return set()
        return {use for word in _IDENTIFIER.findall(bodies[name][1]) for use in uses(word, seen | {name})}

    return {
        name: Routine(name, where, "macro", tuple(sorted(uses(name, frozenset()))))
        for name, (where, _) in bodies.items()
    }


def _header(file: str) -> str | None:
    """Return the file name of a header of the DDK or of ours; None for the others (C library, intrinsics)."""
    path = Path(file)
    return path.name if path.parent in (ddk(), artifacts.driver_headers()) else None


def _compile(source: str, *options: str) -> str:
    command = [compiler(), "-x", "c", "-std=gnu11", "-w", "--param=min-pagesize=0", *headers(), *options, "-"]
    result = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"{COMPILER} cannot read the DDK's headers: {result.stderr.strip()}")
    return result.stdout
