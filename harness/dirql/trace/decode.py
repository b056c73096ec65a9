# SPDX-License-Identifier: Apache-2.0
"""All CPUs' records as one history.

Within a CPU the order is that of the sequence numbers: a slot is reserved before it is filled, so an event that was
interrupted by others keeps its place before them, although its time stamp may be later. Across CPUs the order is that
of time. Where both meet, a record's time is lowered to that of the earliest record that follows it on its CPU.

The records themselves stay where they are (mapped files, for a stored trace). Their order is found from the times
alone; each column is gathered when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dirql.trace.folder import TraceMeta
from dirql.trace.merge import merge, settle_ties
from dirql.trace.percpu import count_gaps, monotone
from dirql.trace.schema import Bytes, Flags, Indices, Records, Words
from dirql.trace.symbols import SymbolTable

if TYPE_CHECKING:
    from pathlib import Path

    import polars

    from dirql.trace.window import Window


@dataclass(frozen=True)
class Excerpt:
    """That the records are only a part of a trace.

    Attributes:
        origin: TSC of the first record of the whole trace.
        before: per CPU, the sequence number of the record before its first one here; None: any will do.
        window: what was asked for. Its times are kept already, its filters are not applied yet.
    """

    origin: int
    before: tuple[int | None, ...]
    window: Window


class Trace:
    """The records of all CPUs, in order, as columns.

    Index i of every column is the same record. Indices are what all later results speak of.

    Args:
        per_cpu: each CPU's records in the order of its ring.
        meta: how to read them.
        excerpt: they are only a part of a trace; None: they are all of it.

    Raises:
        ProtocolError: if a record is in the wrong CPU's list, or sequence numbers run backwards.
    """

    def __init__(self, per_cpu: Sequence[Records], meta: TraceMeta, excerpt: Excerpt | None = None) -> None:
        self.excerpt = excerpt
        """What it is a part of; None: it is whole."""
        before = (
            excerpt.before if excerpt is not None else tuple(sequence_before(meta, cpu) for cpu in range(len(per_cpu)))
        )
        self.gaps = tuple(count_gaps(cpu, records, before[cpu]) for cpu, records in enumerate(per_cpu))
        times = [monotone(records["Time"]) for records in per_cpu]
        if meta.horizon is not None:
            times = [column[: np.searchsorted(column, meta.horizon, side="right")] for column in times]
            per_cpu = [records[: len(column)] for records, column in zip(per_cpu, times, strict=True)]
        if excerpt is not None:
            meta, per_cpu, times = _filtered(meta, excerpt.window, per_cpu, times)
        self.meta = meta
        self._per_cpu = tuple(per_cpu)
        self._block = np.zeros(len(times) + 1, dtype=np.int64)
        np.cumsum([len(column) for column in times], out=self._block[1:])
        first = min((int(column[0]) for column in times if len(column)), default=0)
        self.origin = excerpt.origin if excerpt is not None else first
        self.time: Indices
        """TSC ticks since `origin`, never decreasing."""
        self.cpu: Bytes
        self.time, self.cpu = merge(times, self.origin)
        settled = settle_ties(self.time, self.cpu, meta.events, self._events_of)
        if settled is not self.cpu:
            self.cpu = settled
            del self.by_cpu, self.position

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.time)

    @cached_property
    def symbols(self) -> SymbolTable:
        """Names for the addresses in the records."""
        return self.meta.symbol_table()

    @cached_property
    def records(self) -> Records:
        """The raw records in the order of the trace, as one structured array."""
        plain = np.dtype(f"V{self.meta.dtype.itemsize}")  # bytes are copied much faster than fields
        gathered = np.empty(len(self), dtype=plain)
        for cpu, records in enumerate(self._per_cpu):
            gathered[self.on_cpu(cpu)] = records.view(plain)
        return gathered.view(self.meta.dtype)

    def raw(self, cpu: int) -> Records:
        """Return the raw records of a CPU, in its order; of a stored trace, the file itself, read-only."""
        return self._per_cpu[cpu]

    @cached_property
    def event(self) -> npt.NDArray[Any]:
        """Numbers of the events."""
        return self._gather("Event")

    @cached_property
    def irql(self) -> Bytes:
        """IRQLs: what the CPU's CR8 was."""
        return self._gather("Irql")

    @cached_property
    def arg0(self) -> Words:
        """First arguments."""
        return self._gather("Argument0")

    @cached_property
    def arg1(self) -> Words:
        """Second arguments."""
        return self._gather("Argument1")

    @cached_property
    def sequence(self) -> npt.NDArray[np.uint32]:
        """Sequence numbers, each CPU's own."""
        return self._gather("Sequence")

    @cached_property
    def by_cpu(self) -> Indices:
        """The inverse of `position`: all indices, CPU after CPU, each CPU's in its own order."""
        return np.argsort(self.cpu, kind="stable")

    @cached_property
    def position(self) -> Indices:
        """Index -> position in the records laid out CPU after CPU."""
        inverse = np.empty(len(self), dtype=np.int64)
        inverse[self.by_cpu] = np.arange(len(self), dtype=np.int64)
        return inverse

    @property
    def cpus(self) -> int:
        """Number of CPUs."""
        return len(self._block) - 1

    @property
    def blocks(self) -> Indices:
        """Where each CPU's records begin among those laid out CPU after CPU, and where the last one's end."""
        return self._block

    @property
    def lost(self) -> tuple[int, ...]:
        """Per CPU, records that are missing, by the collector's count or by the gaps in the sequence numbers.

        Those that were given up because only the last ones were asked for are not among them: see `let_go`.
        """
        counted = self.meta.lost + (0,) * (self.cpus - len(self.meta.lost))
        rows = zip(counted, self.gaps, self.let_go, strict=False)
        return tuple(max(count, gap - go & 0xFFFF_FFFF) for count, gap, go in rows)

    @property
    def let_go(self) -> tuple[int, ...]:
        """Per CPU, the first records of the trace, given up because only the last ones were asked for."""
        return self.meta.let_go + (0,) * (self.cpus - len(self.meta.let_go))

    @cached_property
    def skew_ticks(self) -> int:
        """How far two CPUs' records may be in the wrong order, in ticks; see `TraceMeta.skew`."""
        return round(self.meta.skew * self.meta.clock.ticks_per_ns)

    def frame(self, window: Window | None = None) -> polars.DataFrame:
        """Return the records as a polars frame, with names; see `frame.SCHEMA` for its columns.

        Args:
            window: which of them; None: all.
        """
        from dirql.trace.export.frame import Frames

        return Frames(self.meta, self.symbols).frame(self, window)

    def to_parquet(self, path: Path, window: Window | None = None) -> int:
        """Write `frame` as a Parquet file, and return the number of records written."""
        from dirql.trace.export.parquet import write_parquet

        return write_parquet([self], self.meta, self.symbols, path, window)

    def on_cpu(self, cpu: int) -> Indices:
        """Return the indices of a CPU's records, in its order."""
        return self.by_cpu[self._block[cpu] : self._block[cpu + 1]]

    def last_on(self, cpu: Bytes) -> Indices:
        """Return, for each CPU number given, the index of that CPU's last record."""
        return self.by_cpu[self._block[cpu.astype(np.int64) + 1] - 1]

    def where(self, *names: str) -> Indices:
        """Return the indices of all records of the named events, in order. An older guest may lack some of them."""
        found = self._found.get(names)
        if found is None:
            order, bounds = self._by_event
            if self.present.isdisjoint(names):
                return order[:0]
            numbers = [self.meta.events[name] for name in names if name in self.present]
            parts = [order[bounds[number] : bounds[number + 1]] for number in numbers]
            found = parts[0] if len(parts) == 1 else np.sort(np.concatenate([order[:0], *parts]))
            found.flags.writeable = False
            self._found[names] = found
        return found

    @cached_property
    def _found(self) -> dict[tuple[str, ...], Indices]:
        """What `where` found: many ask for the same."""
        return {}

    @cached_property
    def present(self) -> frozenset[str]:
        """The names of all events that there are records of."""
        seen = set(np.flatnonzero(np.diff(self._by_event[1])).tolist())
        return frozenset(name for name, number in self.meta.events.numbers.items() if number in seen)

    def are(self, index: Indices, name: str) -> Flags:
        """Return, for each record given by its index, whether it is of the named event."""
        chosen: Flags = self.event[index] == self.meta.events.numbers.get(name, -1)
        return chosen

    @cached_property
    def _by_event(self) -> tuple[Indices, Indices]:
        """All indices, event number after event number, and where each number begins."""
        bounds = np.concatenate([[0], np.cumsum(np.bincount(self.event))]).astype(np.int64)
        return np.argsort(self.event, kind="stable"), bounds

    def recorded(self, *names: str) -> bool:
        """Tell whether all the named events were recorded all the time."""
        return self._recorded_names.issuperset(names)

    @cached_property
    def _recorded_names(self) -> frozenset[str]:
        mask = self._always_recorded
        return frozenset(name for name, number in self.meta.events.numbers.items() if mask >> number & 1)

    @cached_property
    def _always_recorded(self) -> int:
        """The events that were recorded all the time, by the collector's word and by the trace's own."""
        mask = self.meta.mask
        for index in self.where("MaskSet"):
            mask &= int(self.arg0[index]) | int(self.arg1[index]) << 64
        return mask

    def ns(self, ticks: Indices) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Convert ticks to ns."""
        return ticks / self.meta.clock.ticks_per_ns

    def _gather(self, name: str) -> npt.NDArray[Any]:
        """Return a column of the records in the order of the trace."""
        column = np.empty(len(self), dtype=self.meta.dtype[name])
        for cpu, records in enumerate(self._per_cpu):
            if len(records):
                column[self.on_cpu(cpu)] = records[name]
        return column

    def _events_of(self, index: Indices) -> tuple[Indices, Indices]:
        """Return the positions and the events of records."""
        return self.position[index], self._gather("Event")[index]


def sequence_before(meta: TraceMeta, cpu: int) -> int | None:
    """Return the sequence number of the last record that does not belong to the trace; None where any will do."""
    if meta.quiet is None:
        return 0
    return meta.quiet.before[cpu] if meta.quiet.before else None


def _filtered(
    meta: TraceMeta, window: Window, per_cpu: Sequence[Records], times: list[Indices]
) -> tuple[TraceMeta, Sequence[Records], list[Indices]]:
    """Apply the filters of a window; what is left out was not recorded, as far as the trace tells."""
    if window.filters:
        kept = [window.passes(records["Event"], records["Irql"], meta.events) for records in per_cpu]
        per_cpu = [records[mine] for records, mine in zip(per_cpu, kept, strict=True)]
        times = [column[mine] for column, mine in zip(times, kept, strict=True)]
    return replace(meta, mask=meta.mask & window.mask(meta.events)), per_cpu, times
