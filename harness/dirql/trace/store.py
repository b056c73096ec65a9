# SPDX-License-Identifier: Apache-2.0
"""A stored trace, opened without being read: what is asked for is found by halves, and mapped.

Within a ring slot order is the order of the sequence numbers, and but for a few records also that of time: an event
that was interrupted may have a later time than those that follow it. No more records can be in the making on a CPU at
once than interrupts nest there and threads take turns, which is far below `_BLOCK`; so of any `_BLOCK` records in a row
the earliest is not later than any record of the blocks after it, and the blocks can be searched by halves.
"""

from __future__ import annotations

import mmap
import os
import weakref
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.decode import Excerpt, Trace, sequence_before
from dirql.trace.folder import open_ring_file, read_meta, trace_folder
from dirql.trace.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.trace.folder import TraceMeta
    from dirql.trace.schema import Records, Words
    from dirql.trace.symbols import SymbolTable

_BLOCK = 256
"""Records that a search looks at together: two pages."""
_SMALL = 1 << 20
"""Bytes up to which a file is read instead of mapped, which is faster."""


class StoredTrace:
    """The trace of a run, in its files.

    Args:
        run: the run's folder.
        meta: how to read it; None: as `meta.json` there says.

    Raises:
        UsageError: the folder holds no trace.

    Attributes:
        run: the folder.
        meta: how to read it. A file whose last record is incomplete makes it a cut one.
    """

    def __init__(self, run: Path, meta: TraceMeta | None = None) -> None:
        self.run = run
        meta = meta or read_meta(run)
        self._files = [_RingFile(run, cpu, meta.dtype) for cpu in range(meta.cpus)]
        torn = any(file.torn for file in self._files)
        self.meta = replace(meta, cut=meta.cut or torn, names=trace_folder(run))

    def __len__(self) -> int:
        """Return the number of records."""
        return sum(self.lengths)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Number of records of each CPU, up to the horizon."""
        horizon = self.meta.horizon
        if horizon is None:
            return tuple(file.count for file in self._files)
        return tuple(file.first_at(horizon + 1, file.count) for file in self._files)

    @cached_property
    def symbols(self) -> SymbolTable:
        """Names for the addresses in the records."""
        return self.meta.symbol_table()

    @cached_property
    def origin(self) -> int:
        """TSC of the first record."""
        return min((int(file.times(0, min(_BLOCK, length)).min()) for file, length in self._filled), default=0)

    @cached_property
    def duration_ns(self) -> float:
        """Time from the first record to the last, in ns."""
        last = max((int(file.times(length - 1, length)[0]) for file, length in self._filled), default=self.origin)
        return (last - self.origin) / self.meta.clock.ticks_per_ns

    @property
    def _filled(self) -> list[tuple[_RingFile, int]]:
        return [(file, length) for file, length in zip(self._files, self.lengths, strict=True) if length]

    def trace(self, window: Window | None = None) -> Trace:
        """Return the trace, or a part of it.

        Records outside the window are not read. A part is never judged "ok": what it does not show is not known.

        Args:
            window: what to take; None: all.

        Raises:
            UsageError: the trace has no such CPU.
            ProtocolError: the records contradict what `meta.json` says.
        """
        window = window or Window()
        if window.whole:
            return Trace([file.records() for file in self._files], self.meta)
        window.check(self.meta.cpus)
        since, until = window.ticks(self.meta.clock.ticks_per_ns)
        return self._take(window, since, until)

    def chunks(self, records: int, window: Window | None = None) -> Iterator[Trace]:
        """Cut the trace, or a part of it, by time, and return one piece after the other, in order.

        Args:
            records: about as many as a piece is to have at most. All records of one time are in one piece.
            window: what to take; None: all.

        Raises:
            UsageError: the trace has no such CPU.
            ProtocolError: the records contradict what `meta.json` says.
        """
        window = window or Window()
        window.check(self.meta.cpus)
        since, until = window.ticks(self.meta.clock.ticks_per_ns)
        bounds = [self._bounds(cpu, window, since, until) for cpu in range(self.meta.cpus)]
        if sum(last - first for first, last in bounds) <= records:
            yield self._take(window, since, until)
            return
        stride = max(records // self.meta.cpus, 1)
        while True:
            ends = [
                self._files[cpu].time_from(first + stride, last) - self.origin
                for cpu, (first, last) in enumerate(bounds)
                if first + stride < last
            ]
            if not ends:
                break
            end = max(min(ends), since + 1)
            yield self._take(window, since, end)
            since = end
            bounds = [
                (max(first, self._files[cpu].first_at(self.origin + end, last)), last)
                for cpu, (first, last) in enumerate(bounds)
            ]
        if any(first < last for first, last in bounds):
            yield self._take(window, since, until)

    def _take(self, window: Window, since: int, until: int | None) -> Trace:
        """Return what is in a window and from one tick to another."""
        bounds = [self._bounds(cpu, window, since, until) for cpu in range(self.meta.cpus)]
        records = [file.records(first, last) for file, (first, last) in zip(self._files, bounds, strict=True)]
        if bounds == [(0, length) for length in self.lengths] and not window.filters:
            return Trace([file.records() for file in self._files], self.meta)
        before = tuple(self._before(cpu, first) for cpu, (first, _) in enumerate(bounds))
        later = any(first for first, _ in bounds)
        meta = replace(self.meta, quiet=None if later else self.meta.quiet, accounting=None)
        return Trace(records, meta, Excerpt(self.origin, before, window))

    def _bounds(self, cpu: int, window: Window, since: int, until: int | None) -> tuple[int, int]:
        """Return the first record of a CPU from one tick on, and the first from another on."""
        if window.cpus is not None and cpu not in window.cpus:
            return 0, 0
        file, length = self._files[cpu], self.lengths[cpu]
        first = file.first_at(self.origin + since, length) if since else 0
        last = length if until is None else file.first_at(self.origin + until, length)
        return first, max(first, last)

    def _before(self, cpu: int, first: int) -> int | None:
        if not first:
            return sequence_before(self.meta, cpu)
        return int(self._files[cpu].copy(first - 1, first)["Sequence"][0])


def open_trace(run: Path) -> StoredTrace:
    """Open the trace of a run; nothing but `meta.json` is read before it is asked for.

    Raises:
        UsageError: the folder holds no trace.
    """
    return StoredTrace(run)


class _RingFile:
    """The file of one CPU's records. A missing one is an empty one.

    Attributes:
        count: how many records it holds.
        torn: part of a record follows them.
    """

    def __init__(self, run: Path, cpu: int, dtype: np.dtype[np.void]) -> None:
        self._dtype = dtype
        self.count, self.torn = 0, False
        opened = open_ring_file(run, cpu)
        if opened is None:
            return
        self._file = opened
        weakref.finalize(self, os.close, self._file)
        self.count, rest = divmod(os.fstat(self._file).st_size, dtype.itemsize)
        self.torn = bool(rest)

    def records(self, first: int = 0, last: int | None = None) -> Records:
        """Return some of the records, read-only; many are mapped, not read."""
        last = self.count if last is None else last
        size = self._dtype.itemsize
        if (last - first) * size <= _SMALL:
            return self.copy(first, last)
        begin = first * size
        page = begin - begin % mmap.ALLOCATIONGRANULARITY
        mapped = mmap.mmap(self._file, last * size - page, access=mmap.ACCESS_READ, offset=page)
        return np.frombuffer(mapped, dtype=self._dtype, count=last - first, offset=begin - page)

    def copy(self, first: int, last: int) -> Records:
        """Return some of the records, read. What a mapping touches is more: the kernel maps what is around it too."""
        if last <= first:
            return np.zeros(0, dtype=self._dtype)
        size = self._dtype.itemsize
        return np.frombuffer(os.pread(self._file, (last - first) * size, first * size), dtype=self._dtype)

    def times(self, first: int, last: int) -> Words:
        """Return their times."""
        times: Words = self.copy(first, last)["Time"]
        return times

    def time_from(self, first: int, last: int) -> int:
        """Return the earliest time of some records."""
        return int(self.times(first, min(first + _BLOCK, last)).min())

    def first_at(self, tick: int, count: int) -> int:
        """Return the first of `count` records from which on none is earlier than a tick; `count`, if there is none."""
        low, high = 0, -(-count // _BLOCK)
        while low < high:  # the blocks before `low` begin earlier than the tick, those from `high` on do not
            middle = (low + high) // 2
            if int(self._block(middle, count).min()) < tick:
                low = middle + 1
            else:
                high = middle
        if not low:
            return 0
        return (low - 1) * _BLOCK + int(np.flatnonzero(self._block(low - 1, count) < tick)[-1]) + 1

    def _block(self, number: int, count: int) -> Words:
        return self.times(number * _BLOCK, min((number + 1) * _BLOCK, count))
