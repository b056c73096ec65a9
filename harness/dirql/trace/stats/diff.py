# SPDX-License-Identifier: Apache-2.0
"""Compares two traces: how often things happened, how long they took, what the oracle said, where the streams part."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.trace.history.describe import describe
from dirql.trace.oracle.verdict import Status
from dirql.trace.stats.percentiles import Percentiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dirql.trace.decode import Trace
    from dirql.trace.oracle import Verdict
    from dirql.trace.schema import Flags, Indices
    from dirql.trace.stats.summary import LockStats, TraceStats

CONTEXT = 3
"""Records before and after a point where two streams part."""


class Change(StrEnum):
    """What became of a clause from the first run to the second."""

    NEW = "new"
    """Broken in the second only."""
    GONE = "gone"
    """Broken in the first only."""
    SAME = "same"
    OTHER = "other"
    """Not broken in either, but not the same: known in one, unknown in the other."""


@dataclass(frozen=True)
class ClauseChange:
    """The verdicts on one clause.

    Attributes:
        clause: its id.
        title: the rule in a line.
        before: status in the first run.
        after: status in the second.
        counts: violations, or broken guidelines, in each.
        change: what became of it.
    """

    clause: str
    title: str
    before: Status
    after: Status
    counts: tuple[int, int]
    change: Change


@dataclass(frozen=True)
class Count:
    """How often something happened in each run, in all and by CPU."""

    name: str
    before: int
    after: int
    cpus: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Times:
    """How long something took in each run."""

    name: str
    before: Percentiles
    after: Percentiles

    def ratio(self, which: str) -> float | None:
        """Return how much longer it took in the second run; None where either has none, or took no time.

        Args:
            which: a field of `Percentiles`, such as `median`.
        """
        if not self.before.count or not self.after.count or not getattr(self.before, which):
            return None
        return float(getattr(self.after, which) / getattr(self.before, which))


@dataclass(frozen=True)
class LockChange:
    """A lock in each run: acquisitions, contended ones, bypasses, waits and holds."""

    name: str
    acquisitions: tuple[int, int]
    contended: tuple[int, int]
    bypasses: tuple[int, int]
    wait: Times
    hold: Times


@dataclass(frozen=True)
class Parting:
    """Where two streams of records part for the first time.

    Attributes:
        where: `all` for the merged order, `CPU 2` for one of a CPU.
        records: the first record of each run that is not as the other's; the number after the last where it has ended.
        differs: what is not the same: `event`, `CPU`, `IRQL`, `first argument`, `second argument`, `time`, `end`.
        before: lines of the first run around that point.
        after: lines of the second.
    """

    where: str
    records: tuple[int, int]
    differs: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        modes: of the two.
        status: verdicts of the two.
        counts: records by event, those of which there are any.
        cpus: what happened on the CPUs.
        locks: locks of either, by name.
        latencies: by what they are of.
        clauses: clauses that either run tells something of.
        replayed: both are runs in virtual time, so that the streams can be compared.
        partings: where they part: in the merged order and by CPU; nothing where they are the same.
        retimed: where their times part, if that is before they part in what happened.
    """

    modes: tuple[str, str]
    status: tuple[Status, Status]
    counts: tuple[Count, ...]
    cpus: tuple[Count, ...]
    locks: tuple[LockChange, ...]
    latencies: tuple[Times, ...]
    clauses: tuple[ClauseChange, ...]
    replayed: bool
    partings: tuple[Parting, ...]
    retimed: Parting | None

    @property
    def worse(self) -> bool:
        """Whether the second run breaks a rule that the first kept, or no longer shows that all were kept."""
        fresh = any(each.change is Change.NEW and each.after is Status.VIOLATED for each in self.clauses)
        return fresh or (self.status[1] is Status.UNKNOWN and self.status[0] is not Status.UNKNOWN)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = asdict(self) | {"worse": self.worse}
        for row, times in zip(data["latencies"], self.latencies, strict=True):
            row["ratio"] = {which: times.ratio(which) for which in ("median", "p99", "maximum")}
        return data


def compare(
    traces: tuple[Trace, Trace],
    stats: tuple[TraceStats, TraceStats],
    verdicts: tuple[Verdict, Verdict],
    *,
    arguments: bool = True,
) -> Comparison:
    """Compare two runs, the second against the first.

    Args:
        traces: the two traces.
        stats: their numbers.
        verdicts: the oracle's.
        arguments: compare the streams' arguments too; they differ where driver or kernel were built anew.
    """
    replayed = all(trace.meta.mode == "icount" for trace in traces)
    partings: list[Parting] = []
    retimed = None
    if replayed:
        for cpu in (None, *range(max(trace.cpus for trace in traces))):
            found = _part(traces, cpu, arguments=arguments)
            partings += [found] if found is not None else []
        retimed = _part(traces, None, arguments=arguments, times=True)
        if retimed is not None and partings and retimed.records >= partings[0].records:
            retimed = None
    return Comparison(
        modes=(traces[0].meta.mode, traces[1].meta.mode),
        status=(verdicts[0].status, verdicts[1].status),
        counts=_events(stats),
        cpus=_cpus(stats),
        locks=_locks(stats),
        latencies=_latencies(stats),
        clauses=_clauses(verdicts),
        replayed=replayed,
        partings=tuple(partings),
        retimed=retimed,
    )


def _events(stats: tuple[TraceStats, TraceStats]) -> tuple[Count, ...]:
    tables = [[cpu.events for cpu in each.cpus] for each in stats]
    names = sorted({name for table in tables for events in table for name in events})
    return tuple(_count(name, [[events.get(name, 0) for events in table] for table in tables]) for name in names)


def _cpus(stats: tuple[TraceStats, TraceStats]) -> tuple[Count, ...]:
    rows = {
        "records": [[cpu.records for cpu in each.cpus] for each in stats],
        "records lost": [[cpu.lost for cpu in each.cpus] for each in stats],
        "interrupts": [[sum(cpu.interrupts.values()) for cpu in each.cpus] for each in stats],
        "ISR runs": [[cpu.isr.count for cpu in each.cpus] for each in stats],
        "DPC runs": [[cpu.dpc.count for cpu in each.cpus] for each in stats],
        "spins for a lock": [[cpu.contended for cpu in each.cpus] for each in stats],
    }
    return tuple(_count(name, values) for name, values in rows.items())


def _count(name: str, values: list[list[int]]) -> Count:
    size = max(len(row) for row in values)
    first, second = (row + [0] * (size - len(row)) for row in values)
    return Count(name, sum(first), sum(second), tuple(zip(first, second, strict=True)))


def _locks(stats: tuple[TraceStats, TraceStats]) -> tuple[LockChange, ...]:
    tables = [_by_name(each.locks) for each in stats]
    names = dict.fromkeys([*tables[0], *tables[1]])
    return tuple(_lock(name, tables[0].get(name), tables[1].get(name)) for name in names)


def _by_name(locks: tuple[LockStats, ...]) -> dict[str, LockStats]:
    """Name locks; the second of a name is `name #2`, in the order of their addresses."""
    found: dict[str, LockStats] = {}
    for lock in sorted(locks, key=lambda each: each.lock):
        name = lock.name.rpartition(" (")[0] if lock.name.endswith(f" ({lock.lock & 0xFFFF_FFFF:x})") else lock.name
        number = 1
        while (unique := name if number == 1 else f"{name} #{number}") in found:
            number += 1
        found[unique] = lock
    return found


def _lock(name: str, before: LockStats | None, after: LockStats | None) -> LockChange:
    none = Percentiles.of([])

    def both(field: str) -> tuple[int, int]:
        return (getattr(before, field, 0), getattr(after, field, 0))

    shared = both("shared")
    acquisitions, contended, waited = both("acquisitions"), both("contended"), both("shared_contended")
    return LockChange(
        name=name,
        acquisitions=(acquisitions[0] + shared[0], acquisitions[1] + shared[1]),
        contended=(contended[0] + waited[0], contended[1] + waited[1]),
        bypasses=both("bypasses"),
        wait=Times("wait", before.wait if before else none, after.wait if after else none),
        hold=Times("hold", before.hold if before else none, after.hold if after else none),
    )


def _latencies(stats: tuple[TraceStats, TraceStats]) -> tuple[Times, ...]:
    first, second = (_times(each) for each in stats)
    none = Percentiles.of([])
    names = dict.fromkeys([*first, *second])
    return tuple(Times(name, first.get(name, none), second.get(name, none)) for name in names)


def _times(stats: TraceStats) -> dict[str, Percentiles]:
    found = dict(stats.latencies)
    for vector in stats.vectors:
        if vector.isr.count:
            found[f"ISR of vector {vector.vector:#x}"] = vector.isr
    for dpc in stats.dpcs:
        if dpc.time.count and f"DPC {dpc.name}" not in found:
            found[f"DPC {dpc.name}"] = dpc.time
    return found


_BROKEN = (Status.VIOLATED, Status.WARNING)


def _clauses(verdicts: tuple[Verdict, Verdict]) -> tuple[ClauseChange, ...]:
    tables = [{each.clause.id: each for each in verdict.clauses} for verdict in verdicts]
    found = []
    for name in dict.fromkeys([*tables[0], *tables[1]]):
        before, after = tables[0].get(name), tables[1].get(name)
        clause = (after or before).clause  # type: ignore[union-attr]
        statuses = tuple(each.status if each else Status.UNKNOWN for each in (before, after))
        change = Change.SAME
        if statuses[0] is not statuses[1]:
            change = Change.OTHER
            if statuses[1] in _BROKEN:
                change = Change.NEW
            elif statuses[0] in _BROKEN:
                change = Change.GONE
        counts = (before.count if before else 0, after.count if after else 0)
        if before is not None and after is not None and not before.judged and not after.judged and not any(counts):
            continue
        found.append(ClauseChange(name, clause.title, statuses[0], statuses[1], counts, change))
    return tuple(found)


def _part(traces: tuple[Trace, Trace], cpu: int | None, *, arguments: bool, times: bool = False) -> Parting | None:
    """Find where two streams part.

    Args:
        traces: the traces.
        cpu: of this CPU; None for the merged order.
        arguments: compare arguments.
        times: compare only times.
    """
    streams = [_stream(trace, cpu) for trace in traces]
    size = min(len(stream) for stream in streams)
    first, second = (stream[:size] for stream in streams)
    one, other = traces
    columns: dict[str, Flags] = {}
    if times:
        columns["time"] = one.time[first] != other.time[second]
    else:
        columns["event"] = _names(one)[one.event[first]] != _names(other)[other.event[second]]
        columns["CPU"] = one.cpu[first] != other.cpu[second]
        columns["IRQL"] = one.irql[first] != other.irql[second]
        if arguments:
            columns["first argument"] = one.arg0[first] != other.arg0[second]
            columns["second argument"] = one.arg1[first] != other.arg1[second]
    unlike = np.flatnonzero(np.logical_or.reduce(list(columns.values())))
    if len(unlike):
        at = int(unlike[0])
        differs = tuple(name for name, flags in columns.items() if flags[at])
    elif len(streams[0]) != len(streams[1]) and not times:
        at, differs = size, ("end",)
    else:
        return None
    records = tuple(
        int(stream[at]) if at < len(stream) else len(trace) for stream, trace in zip(streams, traces, strict=True)
    )
    around = [_lines(trace, stream, at) for trace, stream in zip(traces, streams, strict=True)]
    return Parting("all" if cpu is None else f"CPU {cpu}", (records[0], records[1]), differs, around[0], around[1])


def _stream(trace: Trace, cpu: int | None) -> Indices:
    if cpu is None:
        return np.arange(len(trace), dtype=np.int64)
    return trace.on_cpu(cpu) if cpu < trace.cpus else np.zeros(0, dtype=np.int64)


def _names(trace: Trace) -> np.ndarray[tuple[int, ...], np.dtype[np.str_]]:
    """Return the names of events by number: the two guests may have numbered them differently."""
    numbers: Mapping[str, int] = trace.meta.events.numbers
    size = max([*numbers.values(), int(trace.event.max()) if len(trace) else 0]) + 1
    names = np.array([f"event {number}" for number in range(size)], dtype="U32")
    for name, number in numbers.items():
        names[number] = name
    return names


def _lines(trace: Trace, stream: Indices, at: int) -> tuple[str, ...]:
    lines = []
    for place in range(max(at - CONTEXT, 0), min(at + CONTEXT + 1, len(stream))):
        record = int(stream[place])
        ns = float(trace.ns(trace.time[record : record + 1])[0])
        mark = ">" if place == at else " "
        text = describe(trace, record)
        lines.append(
            f"{mark} {record:>8} {ns / 1000:>14,.3f} µs  CPU {trace.cpu[record]} IRQL {trace.irql[record]:>2}  {text}"
        )
    if at >= len(stream):
        lines.append("> the records end here")
    return tuple(lines)
