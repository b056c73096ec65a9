# SPDX-License-Identifier: Apache-2.0
"""Takes records out of a CPU's trace ring, live, from the RAM that guest and host share.

Why no lock and no barrier is needed. The ring of a CPU has one writer, that CPU, and one reader, this process. Both run
on x86 (TCG turns guest stores into host stores, in order), where stores become visible in program order, loads are done
in program order, and no store is seen before the earlier loads of its own thread are done. Aligned words do not tear.

- The guest reserves a slot by advancing Head, fills the record, and stores its sequence number last. So a slot that
  shows the sequence number of its index was filled before: we load the sequence numbers first, the records after them.
- Drop-new: we store Tail after the copy. The guest takes a slot for free only when it sees that Tail, and by then our
  loads are done.
- Overwrite-old: the guest does not wait for us. Before it touched a slot that we were copying, it had advanced Head to
  more than the ring's size beyond that slot's index. So we load Head again after the copy and discard the records
  below Head - size. These are counted as lost, as are those that were gone before we came.

Head, Lost and Tail are moved as whole aligned words through `memoryview.cast("Q")`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from dirql.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dirql.trace.schema import Records, RingLayout

_LOW32 = (1 << 32) - 1


class RingReader:
    """Takes committed records out of one CPU's ring.

    The ring may not exist yet (the guest has not booted): then there is nothing to take.

    Args:
        ram: the guest's whole RAM, writable, from physical address 0.
        ring: physical address of the CPU's TRACE_RING.
        layout: where the ring's words are.
        dtype: type of a record.
        overwrite: the guest overwrites old records (TraceOverwriteOld) instead of dropping new ones.
    """

    def __init__(
        self, ram: memoryview, ring: int, layout: RingLayout, dtype: np.dtype[np.void], *, overwrite: bool = False
    ) -> None:
        self._ram = ram
        self._words = ram.cast("B").cast("Q")
        self._head = (ring + layout.head) // 8
        self._lost = (ring + layout.lost) // 8
        self._tail = (ring + layout.tail) // 8
        self._mask = (ring + layout.mask) // 8
        self._base = (ring + layout.records_physical) // 8
        self._dtype = dtype
        self._overwrite = overwrite
        self._records: Records | None = None
        self._sequence: npt.NDArray[np.uint32] | None = None
        self._size = 0
        self._next = 0
        self._overrun = 0
        self._dropped = 0
        self._last_time = 0
        self.restarted = False

    @property
    def record_size(self) -> int:
        """Bytes of a record."""
        return self._dtype.itemsize

    @property
    def taken(self) -> int:
        """Index of the next record to take: all before it were taken, overwritten or never completed."""
        return self._next

    @property
    def pending(self) -> bool:
        """Whether the guest has reserved slots that it has not completed, or completed some since the last `take`."""
        return self._records is not None and not self.restarted and self._words[self._head] > self._next

    @property
    def last_time(self) -> int:
        """TSC of the last record taken; 0 before the first."""
        return self._last_time

    @property
    def lost(self) -> int:
        """Records lost so far: dropped by the guest, or overwritten before they could be taken."""
        if not self.restarted:
            self._dropped = self._words[self._lost]
        return self._overrun + self._dropped

    @property
    def fill(self) -> float:
        """How full the ring is, 0 to 1."""
        if self._records is None and not self._attach():
            return 0.0
        return min(1.0, max(0, self._words[self._head] - self._next) / self._size)

    def take(self, *, last: bool = False) -> bytes:
        """Copy out what is committed, and free its slots.

        Args:
            last: the guest will never run again: skip slots that were reserved but not completed (and count them as
                lost) instead of waiting for them.

        Returns:
            Whole records in the order of their sequence; may be empty.
        """
        chunks: list[bytes] = []
        self.take_into(lambda records: chunks.append(records.tobytes()), last=last)
        return b"".join(chunks)

    def take_into(self, keep: Callable[[Records], None], *, last: bool = False) -> int:
        """Hand over what is committed, run by run, then free its slots.

        Args:
            keep: gets each run of records, in the order of their sequence. It may lie in the ring itself: what is to be
                kept is copied before `keep` returns.
            last: as in `take`.

        Returns:
            How many records were handed over.
        """
        if self.restarted or (self._records is None and not self._attach()):
            return 0
        records = self._records
        assert records is not None
        head = self._words[self._head]
        if head < self._next:
            self.restarted = True  # a reset cleared the ring: this trace ends here
            return 0
        self._dropped = self._words[self._lost]
        if head == self._next:
            return 0
        if head - self._next > self._size:
            if not self._overwrite:
                raise ProtocolError(
                    f"trace ring of {self._size} records in drop-new mode: Head {head}, only {self._next} were taken"
                )
            self._skip_to(head - self._size)
        taken = 0
        while self._next < head:
            run = self._take_run(records, head)
            if len(run):
                taken += len(run)
                self._last_time = int(run["Time"][-1])
                keep(run)
            elif last:
                self._next += 1
                self._overrun += 1
            else:
                break
        self._words[self._tail] = self._next  # after keep: what it was given may be overwritten from here on
        return taken

    def release(self) -> None:
        """Let go of the RAM, so that it can be unmapped."""
        self._records = self._sequence = None
        self._words.release()

    def _attach(self) -> bool:
        mask = self._words[self._mask]
        base = self._words[self._base]
        if mask == 0 or base == 0:
            return False
        size = mask + 1
        if size & mask or base + size * self._dtype.itemsize > self._ram.nbytes:
            raise ProtocolError(f"trace ring of {size} records at {base:#x} does not fit {self._ram.nbytes:#x} bytes")
        self._records = np.frombuffer(self._ram, dtype=self._dtype, count=size, offset=base)
        self._sequence = self._records["Sequence"]
        self._first_lap = _first_lap(size)
        self._size = size
        return True

    def _take_run(self, records: Records, head: int) -> Records:
        """Take one committed run that does not wrap: as it lies there, or a copy where the guest may write."""
        first = self._next & (self._size - 1)
        count = min(head - self._next, self._size - first)
        assert self._sequence is not None
        lap = np.uint32((self._next - first) & _LOW32)
        pending = self._sequence[first : first + count] - self._first_lap[first : first + count] != lap
        committed = int(pending.argmax())
        if not pending[committed]:
            committed = count
        start = self._next
        self._next += committed
        if not self._overwrite:
            return records[first : first + committed]
        copied = records[first : first + committed].copy()
        safe = self._words[self._head] - self._size
        if safe <= start:
            return copied
        torn = min(safe - start, committed)
        self._overrun += torn
        if torn == committed:
            self._skip_to(safe)
        return copied[torn:]

    def _skip_to(self, index: int) -> None:
        """Give up the records below `index`: they are overwritten."""
        if index > self._next:
            self._overrun += index - self._next
            self._next = index


@lru_cache(maxsize=4)
def _first_lap(size: int) -> npt.NDArray[np.uint32]:
    """Return the sequence numbers of a ring filled for the first time; shared by all rings of a size."""
    return np.arange(1, size + 1, dtype=np.uint32)
