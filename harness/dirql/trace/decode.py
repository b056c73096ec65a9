# SPDX-License-Identifier: Apache-2.0
"""All CPUs' records as one history.

Within a CPU the order is that of the sequence numbers: a slot is reserved before it is filled, so an event that was
interrupted by others keeps its place before them, although its time stamp may be later. Across CPUs the order is that
of time. Where both meet, a record's time is lowered to that of the earliest record that follows it on its CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from dirql.errors import ProtocolError
from dirql.trace.folder import TraceMeta
from dirql.trace.schema import Bytes, Flags, Indices, Records, Words
from dirql.trace.symbols import SymbolTable

RELEASING = (
    *("LockReleased", "IsrExit", "SyncExit", "DpcInsert", "DpcEnd", "IpiSend", "InterruptExit", "IrqlLower"),
    *("Signal", "ThreadReady"),
)
"""Events that let another CPU go on: they come first among records of one time."""
ACQUIRING = ("LockAcquired", "IsrEnter", "SyncEnter", "DpcStart", "InterruptEnter", "IdleExit", "ThreadSwitch")
"""Events that another CPU's releasing event may have let happen: they come last among records of one time."""


class Trace:
    """The records of all CPUs, in order, as columns.

    Index i of every column is the same record. Indices are what all later results speak of.

    Args:
        per_cpu: each CPU's records in the order of its ring.
        meta: how to read them.

    Raises:
        ProtocolError: if a record is in the wrong CPU's list, or sequence numbers run backwards.
    """

    def __init__(self, per_cpu: Sequence[Records], meta: TraceMeta) -> None:
        self.meta = meta
        self.gaps = tuple(_gaps(cpu, records, _before(meta, cpu)) for cpu, records in enumerate(per_cpu))
        times = [_monotone(records["Time"]) for records in per_cpu]
        if meta.horizon is not None:
            times = [column[: np.searchsorted(column, meta.horizon, side="right")] for column in times]
        counts = np.array([len(column) for column in times], dtype=np.int64)
        self._block = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        within = [records[:count] for records, count in zip(per_cpu, counts, strict=True)]
        self._raw = np.concatenate(within) if within else np.zeros(0, dtype=meta.dtype)
        self.origin = min((int(column[0]) for column in times if len(column)), default=0)
        ticks = np.concatenate(times) - self.origin if times else np.zeros(0, dtype=np.int64)
        cpu = np.repeat(np.arange(len(per_cpu), dtype=np.uint8), counts)
        order = np.argsort(ticks, kind="stable")
        order = self._settle_ties(order, ticks, cpu)
        self.position: Indices = order
        """Index -> position in the records laid out CPU after CPU."""
        self.time: Indices = ticks[order]
        """TSC ticks since `origin`, never decreasing."""
        self.cpu: Bytes = cpu[order]
        self.event = self._raw["Event"][order]
        self.irql: Bytes = self._raw["Irql"][order]
        self.arg0: Words = self._raw["Argument0"][order]
        self.arg1: Words = self._raw["Argument1"][order]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.time)

    @cached_property
    def symbols(self) -> SymbolTable:
        """Names for the addresses in the records."""
        return self.meta.symbol_table()

    @cached_property
    def records(self) -> Records:
        """The raw records in the order of the trace."""
        return self._raw[self.position]

    @cached_property
    def by_cpu(self) -> Indices:
        """The inverse of `position`: all indices, CPU after CPU, each CPU's in its own order."""
        inverse = np.empty(len(self), dtype=np.int64)
        inverse[self.position] = np.arange(len(self), dtype=np.int64)
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
        """Per CPU, records that are missing, by the collector's count or by the gaps in the sequence numbers."""
        counted = self.meta.lost + (0,) * (self.cpus - len(self.meta.lost))
        return tuple(max(count, gap) for count, gap in zip(counted, self.gaps, strict=False))

    @property
    def skew_ticks(self) -> int:
        """How far two CPUs' records may be in the wrong order, in ticks; see `TraceMeta.skew`."""
        return round(self.meta.skew * self.meta.clock.ticks_per_ns)

    def on_cpu(self, cpu: int) -> Indices:
        """Return the indices of a CPU's records, in its order."""
        return self.by_cpu[self._block[cpu] : self._block[cpu + 1]]

    def last_on(self, cpu: Bytes) -> Indices:
        """Return, for each CPU number given, the index of that CPU's last record."""
        return self.by_cpu[self._block[cpu.astype(np.int64) + 1] - 1]

    def where(self, *names: str) -> Indices:
        """Return the indices of all records of the named events, in order. An older guest may lack some of them."""
        order, bounds = self._by_event
        numbers = [self.meta.events[name] for name in names if name in self.meta.events]
        parts = [order[bounds[number] : bounds[number + 1]] for number in numbers if number + 1 < len(bounds)]
        if len(parts) == 1:
            return parts[0]
        return np.sort(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)

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
        known = self.meta.events.numbers
        return all(name in known and self.meta.mask >> known[name] & 1 for name in names)

    def ns(self, ticks: Indices) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Convert ticks to ns."""
        return ticks / self.meta.clock.ticks_per_ns

    def _settle_ties(self, order: Indices, ticks: Indices, cpu: Bytes) -> Indices:
        """Put releasing before acquiring events among records of one time, without touching any CPU's own order."""
        sorted_ticks = ticks[order]
        same = np.flatnonzero(sorted_ticks[1:] == sorted_ticks[:-1])
        if not len(same):
            return order
        tied = np.zeros(len(order), dtype=np.bool_)
        tied[same] = True
        tied[same + 1] = True
        slots = np.flatnonzero(tied)
        members = order[slots]
        events = self.meta.events
        event = self._raw["Event"][members]
        rank = np.ones(len(members), dtype=np.int64)
        rank[np.isin(event, [events[name] for name in RELEASING if name in events])] = 0
        rank[np.isin(event, [events[name] for name in ACQUIRING if name in events])] = 2
        # `members` is sorted by time, then CPU, then sequence: within a CPU's run the rank may only rise.
        new_run = np.ones(len(members), dtype=np.int64)
        new_run[1:] = (ticks[members[1:]] != ticks[members[:-1]]) | (cpu[members[1:]] != cpu[members[:-1]])
        run = np.cumsum(new_run) * 4
        rank = np.maximum.accumulate(run + rank) - run
        settled = order.copy()
        settled[slots] = members[np.lexsort((members, rank, ticks[members]))]
        return settled


def _monotone(time: Words) -> Indices:
    """Lower each time stamp to the earliest that follows it."""
    signed = time.astype(np.int64)
    if len(signed) > 1 and (signed[1:] < signed[:-1]).any():
        return np.minimum.accumulate(signed[::-1])[::-1]
    return signed


def _before(meta: TraceMeta, cpu: int) -> int | None:
    """Return the sequence number of the last record that does not belong to the trace; None where any will do."""
    if meta.quiet is None:
        return 0
    return meta.quiet.before[cpu] if meta.quiet.before else None


def _gaps(cpu: int, records: Records, before: int | None) -> int:
    """Count the records missing before and between those of one CPU; check that they are its own and in order."""
    if not len(records):
        return 0
    if (records["Cpu"] != cpu).any():
        other = int(records["Cpu"][records["Cpu"] != cpu][0])
        raise ProtocolError(f"the records of CPU {cpu} hold some of CPU {other}")
    sequence = records["Sequence"]
    steps = np.diff(sequence)  # modulo 2**32, as the counter itself
    if len(steps) and (int(steps.min()) == 0 or int(steps.max()) > 1 << 31):
        raise ProtocolError(f"the sequence numbers of CPU {cpu} run backwards")
    missing = int(steps.sum(dtype=np.int64)) - len(steps)
    return missing if before is None else missing + ((int(sequence[0]) - before - 1) & 0xFFFF_FFFF)
