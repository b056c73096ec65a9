# SPDX-License-Identifier: Apache-2.0
"""The source text around a line, as far as it is still where the compiler found it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dirql.trace.symbols import SymbolTable

AROUND = 5
"""Lines shown before and after the one that is meant."""
LARGEST = 4 << 20
"""Bytes of a file that is taken for a source."""


@dataclass(frozen=True)
class Line:
    """One line of a source.

    Attributes:
        number: from 1.
        text: without its end.
        meant: it is the one that a call site is on.
    """

    number: int
    text: str
    meant: bool


@dataclass(frozen=True)
class Site:
    """A place in the code, and its source.

    Attributes:
        address: of the instruction.
        name: of the function, with offset, or the address in hexadecimal.
        file: as the debug information names it; empty where no line is known.
        number: of the line; 0 where none is known.
        lines: the source around it; empty where it was not found.
        problem: why no source is shown, or why it may be wrong; empty if all is well.
        others: further lines that are meant in the same excerpt.
    """

    address: int
    name: str
    file: str
    number: int
    lines: tuple[Line, ...]
    problem: str
    others: tuple[int, ...] = ()

    @property
    def place(self) -> str:
        """`file:line`, or the empty text."""
        numbers = sorted({self.number, *self.others})
        return f"{self.file}:{', '.join(map(str, numbers))}" if self.file else ""


class Sources:
    """Finds and reads sources.

    Args:
        folders: where to look besides the current folder and this package's own sources.
        since: when the run began, in seconds since the epoch: a source changed later may not be the one that ran.
    """

    def __init__(self, folders: Sequence[Path] = (), since: float | None = None) -> None:
        import dirql

        self._given = tuple(folders)
        self._usual = (Path.cwd(), Path(dirql.__file__).resolve().parents[2])
        self._since = since
        self._read: dict[str, tuple[list[str], str]] = {}

    def site(self, symbols: SymbolTable, address: int) -> Site:
        """Return the source around the line that an address, a routine's or a return address, belongs to.

        Args:
            symbols: the trace's.
            address: the place in the code.
        """
        name = symbols.name(address)
        found = symbols.line(address)
        if found is None:
            return Site(address, name, "", 0, (), "no source line is known of this address")
        return self.at(name, *found, address)

    def at(self, name: str, file: str, number: int, address: int = 0) -> Site:
        """Return the source around a line that is known.

        Args:
            name: of the function.
            file: as the debug information names it.
            number: of the line.
            address: of the instruction; 0 if nobody told.
        """
        text, problem = self._text(file)
        first, last = max(number - AROUND, 1), min(number + AROUND, len(text))
        lines = tuple(Line(at, text[at - 1], at == number) for at in range(first, last + 1))
        if text and number > len(text):
            lines, problem = (), f"it has {len(text)} lines now: not the one that was compiled"
        return Site(address, name, file, number, lines, problem)

    def _text(self, file: str) -> tuple[list[str], str]:
        if file not in self._read:
            self._read[file] = self._load(file)
        return self._read[file]

    def _candidates(self, file: str) -> Iterator[Path]:
        """Yield where a file may be. In a folder that was given a path may begin anywhere: a checkout that moved."""
        parts = Path(file).parts
        for folder in self._given:
            for first in range(len(parts)):
                yield folder.joinpath(*parts[first:])
        for folder in self._usual:
            yield folder / file

    def _load(self, file: str) -> tuple[list[str], str]:
        for path in self._candidates(file):
            if path.is_file() and path.stat().st_size <= LARGEST:
                changed = self._since is not None and path.stat().st_mtime > self._since
                text = path.read_text(encoding="utf-8", errors="replace").splitlines()
                return text, "the file was changed after the run: lines may have moved" if changed else ""
        return [], f"{file} was not found: name its folder with --source"
