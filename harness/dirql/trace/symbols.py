# SPDX-License-Identifier: Apache-2.0
"""Names for addresses: the small table that a trace carries along."""

from __future__ import annotations

import bisect
from collections.abc import Iterable


class SymbolTable:
    """Address -> name.

    Args:
        symbols: (address, size in bytes, name) of each, in any order; the name may be `module!function`.
        lines: (address, file, line number) of drivers' code, in any order; line 0 where a run of code ends.
    """

    def __init__(
        self, symbols: Iterable[tuple[int, int, str]] = (), lines: Iterable[tuple[int, str, int]] = ()
    ) -> None:
        self._symbols = sorted(symbols)
        self._lines = sorted(lines, key=lambda line: (line[0], line[2] != 0))
        self._starts = [symbol[0] for symbol in self._symbols]

    def __len__(self) -> int:
        """Return the number of symbols."""
        return len(self._symbols)

    def find(self, address: int) -> tuple[str, int] | None:
        """Return (name, offset in bytes) of the symbol that holds `address`, or None."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        start, size, name = self._symbols[index]
        if address - start >= max(size, 1):
            return None
        return name, address - start

    def name(self, address: int) -> str:
        """Return `function+0x12`, or the address in hexadecimal where no symbol fits."""
        found = self.find(address)
        if found is None:
            return f"{address:#x}"
        name, offset = found
        return f"{name}+{offset:#x}" if offset else name

    def where(self, address: int) -> str:
        """Return `function+0x12 (file:line)`, or as much of it as is known, of a routine or of a return address."""
        found, name = self.find(address), self.name(address)
        if found is None:
            return name
        starts = [line for line in self._at(address) if line[2]] if found[1] == 0 else []
        if starts:
            return f"{name} ({starts[0][1]}:{starts[0][2]})"  # a routine: the line that it begins on
        at = bisect.bisect_right(self._lines, (address - 1, "\U0010ffff", 0)) - 1
        if at < 0 or self._lines[at][2] == 0:
            return name
        return f"{name} ({self._lines[at][1]}:{self._lines[at][2]})"

    def _at(self, address: int) -> list[tuple[int, str, int]]:
        """Return the lines that begin at an address, in the order of the table."""
        first = bisect.bisect_left(self._lines, (address, "", 0))
        last = bisect.bisect_right(self._lines, (address, "\U0010ffff", 0))
        return self._lines[first:last]
