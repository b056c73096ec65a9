# SPDX-License-Identifier: Apache-2.0
"""The cases of a driver, read from its image: an array of TARGET_CASE_ENTRY in the section `.target`."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dirql.errors import BuildError
from dirql.target.needs import Needs, parse_clauses, parse_needs

if TYPE_CHECKING:
    from pathlib import Path

SECTION = ".target"
ENTRY = struct.Struct("<48s64s120sQII96s")
"""TARGET_CASE_ENTRY: Clauses, Name, Needs, Routine, Line, Spare, File. Its size is an assertion in the C header; a
driver's debug information, which has the rest, may have been stripped."""

_WORD = 8
_HEADERS = 4096
_EXECUTE = 0x2000_0000


@dataclass(frozen=True)
class Case:
    """A case.

    Attributes:
        image: the driver's file.
        clauses: what it proves; the first one names it.
        name: its name in C.
        needs: on what it runs and what it must end in.
        routine: offset of its routine from the image's base.
        file: where it is written, as the compiler was given it.
        line: and the line there.
    """

    image: Path
    clauses: tuple[str, ...]
    name: str
    needs: Needs
    routine: int
    file: str
    line: int

    @property
    def id(self) -> str:
        """Its name among all cases, such as `SPIN-3-raise-before-acquire`."""
        return f"{self.clauses[0]}-{self.name.replace('_', '-')}"


def has_cases(path: Path) -> bool:
    """Tell whether a file may hold cases, by a glance at its headers."""
    with path.open("rb") as file:
        start = file.read(_HEADERS)
    return start.startswith(b"MZ") and SECTION.encode() + b"\0" in start


def read_cases(path: Path) -> tuple[Case, ...]:
    """Read the cases of a driver, in the order of its sources.

    Args:
        path: a .sys file.

    Raises:
        BuildError: it is no PE image, has no whole section of cases, or a case's words are wrong: the text has file,
            line and word.
    """
    import pefile

    try:
        pe = pefile.PE(data=path.read_bytes(), fast_load=True)
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror}") from error
    except pefile.PEFormatError as error:
        raise BuildError(f"{path} is not a PE image: {error}; cases are in a .sys file for x64") from error
    try:
        cases = [_case(path, pe, fields) for fields in _entries(path, _section(path, pe))]
    finally:
        pe.close()
    first: dict[str, Case] = {}
    for case in cases:
        known = first.setdefault(case.id, case)
        if known is not case:
            at = f"{known.file}:{known.line}"
            raise BuildError(f"{path}: {case.file}:{case.line}: the case {case.id} is there already, at {at}")
    return tuple(sorted(cases, key=lambda case: (case.file, case.line)))


def _section(path: Path, pe: Any) -> bytes:  # noqa: ANN401 (pefile has no types)
    for section in pe.sections:
        name = section.Name.rstrip(b"\0").decode("ascii", "replace")
        if name == SECTION:
            size = int(section.Misc_VirtualSize)
            data: bytes = section.get_data()[:size]
            if len(data) < size:
                raise BuildError(f"{path} is not whole: its section {SECTION} has {len(data)} of {size} bytes")
            return data
        if name.startswith(SECTION):
            raise BuildError(f"{path} has a section {name!r}, which is not {SECTION!r}: where are its cases?")
    raise BuildError(f"{path} has no section {SECTION}: it holds no cases; they are written with TARGET_CASE")


def _entries(path: Path, data: bytes) -> list[tuple[Any, ...]]:
    """Cut the section into entries. The linker may leave words of zeros before, between and after them."""
    found: list[tuple[Any, ...]] = []
    at = 0
    while at < len(data):
        if not any(data[at : at + _WORD]):
            at += _WORD
            continue
        if len(data) - at < ENTRY.size:
            raise BuildError(f"{path}: its section {SECTION} ends inside its case {len(found) + 1}; build it again")
        found.append(ENTRY.unpack_from(data, at))
        at += ENTRY.size
    return found


def _case(path: Path, pe: Any, fields: tuple[Any, ...]) -> Case:  # noqa: ANN401
    clauses, name, needs, routine, line, _, file = fields
    where = f"{path}: {_text(file)}:{line}: the case {_text(name)}"
    try:
        words = (parse_clauses(_text(clauses)), parse_needs(_text(needs)))
    except ValueError as error:
        raise BuildError(f"{where}: {error}") from None
    offset = routine - pe.OPTIONAL_HEADER.ImageBase
    code = pe.get_section_by_rva(offset) if offset > 0 else None
    if not _text(name) or code is None or not code.Characteristics & _EXECUTE:
        raise BuildError(f"{where} has no routine: {routine:#x} is no code of the image. Was it built by TARGET_CASE?")
    return Case(path, words[0], _text(name), words[1], offset, _text(file), line)


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
