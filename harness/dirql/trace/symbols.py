# SPDX-License-Identifier: Apache-2.0
"""Names for addresses: functions and variables of the images, and objects that have no symbol."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dirql.trace.namefiles import ModuleNames

_ADDRESS = re.compile(r"\b0x[0-9a-f]{12,16}\b")
"""What looks like an address of the guest: none of them is small."""
_OUTER = 8  # how many that begin later are passed over in search of the object that encloses an address


class SymbolTable:
    r"""Address -> name.

    Args:
        symbols: (address, size in bytes, name) of each, in any order; the name may be `module!function`.
        lines: (address, file, line number) of code, in any order; line 0 where a run of code ends.
        modules: images with names of their own, which are read when they are asked for.
        objects: (address, size in bytes, name) of what has no symbol, such as `\Device\Disk extension`. They may
            enclose each other: the innermost counts.
    """

    def __init__(
        self,
        symbols: Iterable[tuple[int, int, str]] = (),
        lines: Iterable[tuple[int, str, int]] = (),
        modules: Sequence[ModuleNames] = (),
        objects: Iterable[tuple[int, int, str]] = (),
    ) -> None:
        self._symbols = sorted(symbols)
        self._lines = sorted(lines, key=lambda line: (line[0], line[2] != 0))
        self._starts = [symbol[0] for symbol in self._symbols]
        self._modules = modules
        self._objects = sorted(objects, key=lambda each: (each[0], -each[1]))
        self._object_starts = [each[0] for each in self._objects]

    def __len__(self) -> int:
        """Return the number of symbols."""
        images = [module.image for module in self._modules]
        return len(self._symbols) + sum(len(image.symbol) for image in images if image is not None)

    def find(self, address: int) -> tuple[str, int] | None:
        """Return (name, offset in bytes) of the symbol or object that holds `address`, or None."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index >= 0:
            start, size, name = self._symbols[index]
            if address - start < max(size, 1):
                return name, address - start
        module = self._module(address)
        return module.find(address) if module is not None else self._find_object(address)

    def name(self, address: int) -> str:
        """Return `function+0x12`, or the address in hexadecimal where no symbol fits."""
        found = self.find(address)
        if found is None:
            return f"{address:#x}"
        name, offset = found
        return f"{name}+{offset:#x}" if offset else name

    def line(self, address: int, *, returned: bool = True) -> tuple[str, int] | None:
        """Return (file, line number) of code, or None where none is known.

        Args:
            address: a routine's first instruction, or where a call returns to: its line is that of the call.
            returned: False: it is the instruction itself that counts, as where an interrupt came.
        """
        begins = self._begins(address)
        back = 1 if returned and not begins else 0
        at = bisect.bisect_right(self._lines, (address - back, "\U0010ffff", 1 << 32)) - 1
        if begins:
            first = bisect.bisect_left(self._lines, (address, "", 0))
            at = next((each for each in range(first, at + 1) if self._lines[each][2]), at)
        if at >= 0 and self._lines[at][2]:
            return self._lines[at][1], self._lines[at][2]
        module = self._module(address - back)
        return None if module is None else module.line_at(address - back, begins=begins)

    def where(self, address: int, *, returned: bool = True) -> str:
        """Return `function+0x12 (file:line)`, or as much of it as is known, of a routine or of a return address.

        Args:
            address: of code.
            returned: see `line`.
        """
        name, found = self.name(address), self.line(address, returned=returned)
        return name if found is None else f"{name} ({found[0]}:{found[1]})"

    def in_words(self, text: str) -> str:
        """Return a text with names in the place of the addresses that have one."""
        return _ADDRESS.sub(lambda found: self.name(int(found[0], 16)), text)

    def _begins(self, address: int) -> bool:
        found = self.find(address)
        return found is not None and found[1] == 0

    def _module(self, address: int) -> ModuleNames | None:
        return next((module for module in self._modules if module.holds(address)), None)

    def _find_object(self, address: int) -> tuple[str, int] | None:
        last = bisect.bisect_right(self._object_starts, address) - 1
        for index in range(last, max(last - _OUTER, -1), -1):
            start, size, name = self._objects[index]
            if address - start < max(size, 1):
                return name, address - start
        return None
