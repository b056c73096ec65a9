# SPDX-License-Identifier: Apache-2.0
"""The names that a trace carries along: each image's symbols and lines, and a list of what lay where.

`trace/names.json` lists the modules (which image lay at which address) and the objects (devices, their extensions,
interrupts, threads) that had no symbol; `trace/IMAGE.npz` holds an image's symbols and line numbers, addresses as
linked. They are read only when a name is asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

NAMES = "names.json"

Row = tuple[int, int, str]
"""(address, size in bytes, name)."""
LineRow = tuple[int, str, int]
"""(address, file, line number); line 0 where a run of code ends."""


@dataclass(frozen=True)
class Place:
    """Where an image lay.

    Attributes:
        name: its stem, such as `doorbell`.
        base: first address in the guest.
        size: bytes.
        offset: what to take from an address in the guest to get the address as linked.
        file: its names, in the trace's folder; empty: there are none.
    """

    name: str
    base: int
    size: int
    offset: int
    file: str


def write_image_names(path: Path, symbols: Iterable[Row], lines: Iterable[LineRow]) -> None:
    """Write the names of an image.

    Args:
        path: of the file.
        symbols: of functions and variables, as linked.
        lines: line numbers, as linked.
    """
    rows = sorted(symbols)
    code = list(_changes(sorted(lines, key=lambda line: (line[0], line[2] != 0))))
    files = {file: at for at, file in enumerate(dict.fromkeys(file for _, file, _ in code))}
    with path.open("wb") as out:
        np.savez_compressed(
            out,
            symbol=np.array([row[0] for row in rows], dtype=np.uint64),
            size=np.array([row[1] for row in rows], dtype=np.uint32),
            names=_joined(row[2] for row in rows),
            line_address=np.array([line[0] for line in code], dtype=np.uint64),
            line_file=np.array([files[line[1]] for line in code], dtype=np.uint16),
            line=np.array([line[2] for line in code], dtype=np.uint32),
            files=_joined(files),
        )


class ImageNames:
    """The names of an image, from its file.

    Args:
        path: of the file that `write_image_names` wrote.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path) as stored:
            self.symbol = stored["symbol"]
            self.size = stored["size"]
            self.line_address = stored["line_address"]
            self.line = stored["line"]
            self._line_file = stored["line_file"]
            self._names = stored["names"]
            self._files = stored["files"]

    @cached_property
    def names(self) -> list[str]:
        """The symbols' names."""
        return _split(self._names)

    @cached_property
    def files(self) -> list[str]:
        """The source files."""
        return _split(self._files)

    def find(self, address: int) -> tuple[str, int] | None:
        """Return (name, offset in bytes) of the symbol that holds an address as linked."""
        at = int(np.searchsorted(self.symbol, np.uint64(address), side="right")) - 1
        if at < 0 or address - int(self.symbol[at]) >= max(int(self.size[at]), 1):
            return None
        return self.names[at], address - int(self.symbol[at])

    def line_at(self, address: int, *, begins: bool) -> tuple[str, int] | None:
        """Return (file, line number) of an address as linked.

        Args:
            address: of the instruction.
            begins: it is a routine's first: of several lines that begin there the first is taken, not the last.
        """
        key = np.uint64(address)
        at = int(np.searchsorted(self.line_address, key, side="right")) - 1
        if begins:
            first = int(np.searchsorted(self.line_address, key, side="left"))
            at = next((each for each in range(first, at + 1) if self.line[each]), at)
        if at < 0 or self.line[at] == 0:
            return None
        return self.files[int(self._line_file[at])], int(self.line[at])


@dataclass(frozen=True)
class ModuleNames:
    """An image's names at the place where it lay.

    Attributes:
        place: that place.
        path: the file of its names; None: there is none.
    """

    place: Place
    path: Path | None

    @cached_property
    def image(self) -> ImageNames | None:
        """Its names; None where there are none."""
        return ImageNames(self.path) if self.path is not None and self.path.exists() else None

    def holds(self, address: int) -> bool:
        """Whether an address lay in it."""
        return self.place.base <= address < self.place.base + self.place.size

    def find(self, address: int) -> tuple[str, int] | None:
        """Return (`module!name`, offset) of a symbol; None where nothing fits."""
        found = self.image.find(address - self.place.offset) if self.image is not None else None
        return found and (f"{self.place.name}!{found[0]}", found[1])

    def line_at(self, address: int, *, begins: bool) -> tuple[str, int] | None:
        """Return (file, line number)."""
        return None if self.image is None else self.image.line_at(address - self.place.offset, begins=begins)


def write_names(folder: Path, places: Sequence[Place], objects: Iterable[Row]) -> None:
    """Write which image lay where, and the objects.

    Args:
        folder: the trace's.
        places: the images'.
        objects: (address, size in bytes, name).
    """
    rows = [[each.name, each.base, each.size, each.offset, each.file] for each in places]
    data = {"modules": rows, "objects": [list(each) for each in objects]}
    (folder / NAMES).write_text(json.dumps(data, ensure_ascii=False) + "\n", encoding="utf-8")


def read_names(folder: Path) -> tuple[tuple[ModuleNames, ...], tuple[Row, ...]]:
    """Return the modules and the objects of a trace; nothing where it has no names."""
    path = folder / NAMES
    if not path.exists():
        return (), ()
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    places = [Place(*row) for row in data["modules"]]
    modules = tuple(ModuleNames(place, folder / place.file if place.file else None) for place in places)
    return modules, tuple((int(address), int(size), str(name)) for address, size, name in data["objects"])


def _changes(lines: Iterable[LineRow]) -> Iterator[LineRow]:
    """Leave out what only repeats the line before it: an instruction's line is that of the last row not above it."""
    before: tuple[str, int] | None = None
    for address, file, line in lines:
        if before != (file, line):
            yield address, file, line
        before = (file, line)


def _joined(texts: Iterable[str]) -> npt.NDArray[np.uint8]:
    return np.frombuffer("\n".join(texts).encode("utf-8"), dtype=np.uint8)


def _split(blob: npt.NDArray[np.uint8]) -> list[str]:
    return blob.tobytes().decode("utf-8").split("\n")
