# SPDX-License-Identifier: Apache-2.0
"""The guest's side of a trace ring, in Python: same order of stores, same words. Also runs as a process of its own."""

from __future__ import annotations

import mmap
import os
import sys

import numpy as np

from dirql.trace.schema import RingLayout, record_dtype
from tests.unit.trace.header import RECORD_LAYOUT, RECORD_SIZE, RING_LAYOUT

RINGS = 4096
RECORDS = 65536
DTYPE = record_dtype(RECORD_LAYOUT, RECORD_SIZE)


def ram_bytes(cpus: int, size: int) -> int:
    return RECORDS + cpus * size * RECORD_SIZE


def ring_address(cpu: int) -> int:
    return RINGS + cpu * RING_LAYOUT.size


class GuestRing:
    """One CPU's ring.

    Args:
        ram: the guest's RAM.
        cpu: the CPU.
        size: records in the ring.
        overwrite: the policy.
    """

    def __init__(self, ram: memoryview, cpu: int, size: int, *, overwrite: bool = False) -> None:
        layout: RingLayout = RING_LAYOUT
        self._words = ram.cast("Q")
        self._halves = ram.cast("I")
        self.cpu = cpu
        self.size = size
        self.overwrite = overwrite
        base = ring_address(cpu)
        self._head, self._lost, self._tail = ((base + word) // 8 for word in (layout.head, layout.lost, layout.tail))
        self._records = RECORDS + cpu * size * RECORD_SIZE
        self._words[(base + layout.records_physical) // 8] = self._records
        self._words[(base + layout.mask) // 8] = size - 1

    @property
    def head(self) -> int:
        return self._words[self._head]

    @property
    def lost(self) -> int:
        return self._words[self._lost]

    def reserve(self) -> int | None:
        """Take a slot; None if the ring is full and new records are dropped."""
        head = self._words[self._head]
        if not self.overwrite and head - self._words[self._tail] >= self.size:
            self._words[self._lost] += 1
            return None
        self._words[self._head] = head + 1
        return head

    def commit(self, index: int, time: int) -> None:
        """Fill a reserved slot, the sequence number last."""
        slot = self._records + (index & (self.size - 1)) * RECORD_SIZE
        self._words[slot // 8] = time
        self._words[slot // 8 + 2] = index
        self._words[slot // 8 + 3] = index * 7
        self._halves[slot // 4 + 3] = 27 | self.cpu << 16
        self._halves[slot // 4 + 2] = (index + 1) & 0xFFFF_FFFF

    def write(self, time: int) -> int | None:
        index = self.reserve()
        if index is not None:
            self.commit(index, time)
        return index

    def release(self) -> None:
        self._words.release()
        self._halves.release()


def check(records: np.ndarray[tuple[int, ...], np.dtype[np.void]]) -> None:
    """No record is torn or out of place."""
    index = records["Argument0"].astype(np.int64)
    assert (np.diff(index) > 0).all()
    assert (records["Argument1"] == index * 7).all()
    assert (records["Sequence"] == (index + 1) & 0xFFFF_FFFF).all()


def main() -> None:
    """Write records as fast as possible: fd, bytes, ring size, overwrite, how many (0: for ever)."""
    fd, size, records, overwrite, count = (int(word) for word in sys.argv[1:])
    with mmap.mmap(fd, size) as ram:
        ring = GuestRing(memoryview(ram), 0, records, overwrite=bool(overwrite))
        os.write(1, b"!")
        written = 0
        while written < count or count == 0:
            ring.write(written)
            written += 1
        ring.release()


if __name__ == "__main__":
    main()
