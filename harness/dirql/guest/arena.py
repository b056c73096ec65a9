# SPDX-License-Identifier: Apache-2.0
"""Divides an area of the guest's memory among buffers: the first place that is large enough."""

from __future__ import annotations

import bisect

_UNIT = 64
_PAGE = 4096


class Arena:
    """An area and what is free of it.

    Args:
        size: bytes, a multiple of 4096.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._free: list[tuple[int, int]] = [(0, size)]  # (first byte, the one after the last), in order
        self._taken: dict[int, int] = {}  # first byte -> the one after the last

    def take(self, size: int) -> int | None:
        """Return where `size` bytes are free, and take them; a page and more begins at a page. None: nowhere.

        Args:
            size: one or more.
        """
        unit = _PAGE if size >= _PAGE else _UNIT
        for at, (first, end) in enumerate(self._free):
            start = (first + unit - 1) // unit * unit
            stop = start + (size + _UNIT - 1) // _UNIT * _UNIT
            if stop <= end:
                self._free[at : at + 1] = [piece for piece in ((first, start), (stop, end)) if piece[0] < piece[1]]
                self._taken[start] = stop
                return start
        return None

    def give(self, start: int) -> None:
        """Give back what `take` returned."""
        end = self._taken.pop(start)
        at = bisect.bisect(self._free, (start, end))
        if at < len(self._free) and self._free[at][0] == end:
            end = self._free.pop(at)[1]
        if at > 0 and self._free[at - 1][1] == start:
            at -= 1
            start = self._free.pop(at)[0]
        self._free.insert(at, (start, end))

    @property
    def free(self) -> int:
        """How many bytes are free, in however many pieces."""
        return sum(end - start for start, end in self._free)
