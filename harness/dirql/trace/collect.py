# SPDX-License-Identifier: Apache-2.0
"""Empties the guest's trace rings, live, from the RAM that guest and host share.

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

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from dirql.errors import DirqlError, ProtocolError
from dirql.trace.folder import ring_file, trace_folder
from dirql.trace.schema import Records, RingLayout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FASTEST_POLL_S = 0.001
SLOWEST_POLL_S = 0.016

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
        if self.restarted or (self._records is None and not self._attach()):
            return b""
        records = self._records
        assert records is not None
        head = self._words[self._head]
        if head < self._next:
            self.restarted = True  # a reset cleared the ring: this trace ends here
            return b""
        self._dropped = self._words[self._lost]
        if head == self._next:
            return b""
        if head - self._next > self._size:
            if not self._overwrite:
                raise ProtocolError(
                    f"trace ring of {self._size} records in drop-new mode: Head {head}, only {self._next} were taken"
                )
            self._skip_to(head - self._size)
        chunks = []
        while self._next < head:
            chunk = self._take_run(records, head)
            if chunk:
                chunks.append(chunk)
            elif last:
                self._next += 1
                self._overrun += 1
            else:
                break
        self._words[self._tail] = self._next
        data = b"".join(chunks)
        if data:
            self._last_time = int(np.frombuffer(data[-self._dtype.itemsize :], dtype=self._dtype)["Time"][0])
        return data

    def release(self) -> None:
        """Let go of the RAM, so that it can be unmapped."""
        self._records = None
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
        self._size = size
        return True

    def _take_run(self, records: Records, head: int) -> bytes:
        """Copy one committed run that does not wrap."""
        first = self._next & (self._size - 1)
        count = min(head - self._next, self._size - first)
        sequence = records["Sequence"][first : first + count]
        expected = (np.arange(count, dtype=np.uint64) + np.uint64((self._next + 1) & _LOW32)).astype(np.uint32)
        pending = sequence != expected
        committed = int(np.argmax(pending)) if pending.any() else count
        copied = records[first : first + committed].tobytes()
        start = self._next
        self._next += committed
        if not self._overwrite:
            return copied
        safe = self._words[self._head] - self._size
        if safe <= start:
            return copied
        torn = min(safe - start, committed)
        self._overrun += torn
        if torn == committed:
            self._skip_to(safe)
        return copied[torn * self._dtype.itemsize :]

    def _skip_to(self, index: int) -> None:
        """Give up the records below `index`: they are overwritten."""
        if index > self._next:
            self._overrun += index - self._next
            self._next = index


@dataclass(frozen=True)
class Collected:
    """What a collector brought home.

    Attributes:
        records: per CPU, records in its file.
        lost: per CPU, records that are not.
        cut: the machine ended under the trace.
        horizon: TSC up to which the files hold what every CPU did; None where the machine does not run any more.
        notes: what a reader should know.
    """

    records: tuple[int, ...]
    lost: tuple[int, ...]
    cut: bool
    horizon: int | None
    notes: tuple[str, ...]


class Collector:
    """Empties all rings into the run's folder while the guest runs.

    A thread polls the rings, more often while they fill, less often while they are quiet. It needs nothing of QEMU but
    the shared RAM, so it also brings home what a killed machine left there. Use as a context manager, or call `start`
    and `stop`.

    Args:
        run: the run's folder.
        rings: one reader per CPU, in order.
    """

    def __init__(self, run: Path, rings: Sequence[RingReader]) -> None:
        self._run = run
        self._rings = list(rings)
        self._files: list[BinaryIO] = []
        self._bytes = [0] * len(self._rings)
        self._record_size = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._result: Collected | None = None

    def __enter__(self) -> Collector:
        """Start."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop; an exception on its way out makes the trace a cut one."""
        self.stop(cut=kind is not None)

    def start(self) -> None:
        """Open the files and start to poll."""
        trace_folder(self._run).mkdir(parents=True, exist_ok=True)
        for cpu in range(len(self._rings)):
            ring_file(self._run, cpu).unlink(missing_ok=True)  # a trace that has an older one mapped keeps it
        self._files = [ring_file(self._run, cpu).open("wb", buffering=0) for cpu in range(len(self._rings))]
        self._record_size = self._rings[0].record_size if self._rings else 1
        self._thread = threading.Thread(target=self._poll_until_stopped, name="dirql-trace", daemon=True)
        self._thread.start()

    def drain(self) -> Collected:
        """Take what is committed now, and go on.

        Raises:
            ProtocolError: if a ring is not what it should be.
            OSError: if a file cannot be written.
        """
        with self._lock:
            self._check()
            return self._summary(cut=False, horizon=self._poll_to_horizon())

    def stop(self, *, cut: bool = False) -> Collected:
        """Drain a last time, close the files, let go of the RAM. Calling it again returns the same.

        Args:
            cut: the machine was killed or lost: its CPUs will not complete what they began.

        Raises:
            ProtocolError: if a ring was not what it should be; the files are closed all the same.
            OSError: if a file could not be written; likewise.
        """
        if self._result is not None:
            return self._result
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            horizon = None
            try:
                self._check()
                if cut:
                    self._poll(last=True)
                else:
                    horizon = self._poll_to_horizon()
            finally:
                self._result = self._summary(cut=cut, horizon=horizon)
                self._close()
        return self._result

    def _poll_to_horizon(self) -> int:
        """Poll twice, and tell up to which TSC what is now in the files is all that the CPUs did.

        What the first pass read had happened before the second began, so the second finds whatever other CPUs did up to
        then. A CPU that still has not completed a record is only known up to its last one.
        """
        self._poll()
        horizon = max((ring.last_time for ring in self._rings), default=0)
        unsettled = [ring for ring in self._rings if ring.pending]
        self._poll()
        return min([horizon, *(ring.last_time for ring in unsettled if ring.pending)])

    def _summary(self, *, cut: bool, horizon: int | None) -> Collected:
        notes = [
            f"CPU {cpu}: the guest was reset; the trace ends there"
            for cpu, ring in enumerate(self._rings)
            if ring.restarted
        ]
        return Collected(
            records=tuple(count // self._record_size for count in self._bytes),
            lost=tuple(ring.lost for ring in self._rings),
            cut=cut or bool(notes) or self._failure is not None,
            horizon=horizon,
            notes=tuple(notes),
        )

    def _close(self) -> None:
        for ring in self._rings:
            ring.release()
        for file in self._files:
            file.close()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._result is not None:
            raise ProtocolError("the trace collector is stopped")

    def _poll(self, *, last: bool = False) -> float:
        """Empty each ring once; return how full the fullest was."""
        fullest = 0.0
        for cpu, ring in enumerate(self._rings):
            fullest = max(fullest, ring.fill)
            data = ring.take(last=last)
            if data:
                view = memoryview(data)
                while view:
                    view = view[self._files[cpu].write(view) :]
                self._bytes[cpu] += len(data)
        return fullest

    def _poll_until_stopped(self) -> None:
        pause = FASTEST_POLL_S
        while not self._stopping.wait(pause):
            try:
                with self._lock:
                    fullest = self._poll()
            except (DirqlError, OSError, ValueError) as failure:
                self._failure = failure
                return
            pause = FASTEST_POLL_S if fullest > 1 / 8 else min(SLOWEST_POLL_S, pause * 2)
