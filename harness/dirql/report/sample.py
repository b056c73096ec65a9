# SPDX-License-Identifier: Apache-2.0
"""One look at a recording under way: what each CPU does, how often what happens, which locks are hot."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.report.activity import activity
from dirql.report.labels import Labels
from dirql.report.violations import numbered
from dirql.trace.export.slices import Kind, cpu_slices
from dirql.trace.history.history import History
from dirql.trace.oracle.verdict import Status
from dirql.trace.stats.part import Part
from dirql.trace.stats.percentiles import Percentiles
from dirql.trace.stats.summary import statistics

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.report.activity import Activity
    from dirql.trace.decode import Trace
    from dirql.trace.live.follow import Follower, Judged
    from dirql.trace.stats.summary import TraceStats

NEWEST = 40_000
"""Records of each CPU that a look takes in at most."""
SPAN = 1e9
"""ns of the trace's time that a look takes in at most."""
HOTTEST = 12
"""Locks, routines and violations in a sample at most."""
SPINNING = "spinning"
_SITES = 2


@dataclass(frozen=True)
class CpuNow:
    """What a CPU does, and did during the look. Rates are per second of the trace's time.

    Attributes:
        cpu: its number.
        irql: its IRQL, as its last record tells; -1 where it has none.
        kind: the kind of what runs, as `slices.Kind` names it.
        what: its name.
        spinning: whether it spins for a lock.
        interrupts: interrupts taken.
        dpcs: DPC runs.
        records: records made.
        shares: part of the time in each kind of slice, the innermost; `spinning` for a lock is a kind of its own.
        raised: part of the time at DISPATCH_LEVEL and above.
        halted: part of the time in which it was halted.
        lost: records lost since the recording began; -1 where that is not known.
    """

    cpu: int
    irql: int
    kind: str
    what: str
    spinning: bool
    interrupts: float
    dpcs: float
    records: float
    shares: dict[str, float]
    raised: float
    halted: float
    lost: int


@dataclass(frozen=True)
class LockNow:
    """A lock during the look; rates per second."""

    name: str
    kind: str
    taken: float
    contended: float
    wait: Percentiles
    hold: Percentiles
    bypasses: int


@dataclass(frozen=True)
class RoutineNow:
    """A DPC or an interrupt vector during the look: runs per second, times of its routine, latency before it."""

    name: str
    rate: float
    time: Percentiles
    latency: Percentiles


@dataclass(frozen=True)
class ViolationNow:
    """A violation found so far.

    Attributes:
        clause: the clause.
        text: what happened.
        at: ns since the recording began, of its last record; -1 where it has none.
        cpus: those that took part.
        where: places in the code, with file and line where they are known.
        warning: it breaks a guideline only.
    """

    clause: str
    text: str
    at: float
    cpus: tuple[int, ...]
    where: tuple[str, ...]
    warning: bool


@dataclass(frozen=True)
class Sample:
    """One look.

    Attributes:
        run: the run's folder.
        mode: `mt`, `icount` or `kvm`.
        state: `recording`, `ended`, or `gone`: its process is, without having ended it.
        at: ns since the recording began, of the newest record.
        span: ns that the look takes in.
        records: records so far.
        lost: records lost so far; -1 where that is not known.
        cpus: all CPUs.
        locks: the hottest locks.
        dpcs: the DPCs that ran most often.
        vectors: the interrupts that came most often.
        verdict: the oracle's, so far.
        judged: how far and how it judged, in words.
        violations: the last ones that it found, the newest first.
        found: how many violations it found.
    """

    run: str
    mode: str
    state: str
    at: float
    span: float
    records: int
    lost: int
    cpus: tuple[CpuNow, ...]
    locks: tuple[LockNow, ...]
    dpcs: tuple[RoutineNow, ...]
    vectors: tuple[RoutineNow, ...]
    verdict: str
    judged: str
    violations: tuple[ViolationNow, ...]
    found: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Said:
    """What the oracle has said of a recording so far.

    Attributes:
        verdict: its last verdict; `violated` from the first violation on.
        how: how far and how it judged, in words.
        violations: all that it found, the newest first.
    """

    verdict: str = "unknown"
    how: str = "not judged yet"
    violations: tuple[ViolationNow, ...] = ()

    def and_then(self, judged: Judged) -> Said:
        """Return what it says when it has judged again: what it found in records that are not looked at now stays."""
        found = _violations(judged)
        if not judged.whole:
            known = {(each.clause, each.at, each.cpus) for each in found}
            found += [each for each in self.violations if (each.clause, each.at, each.cpus) not in known]
        verdict = str(judged.verdict.status)
        if any(not each.warning for each in found):
            verdict = Status.VIOLATED.value
        return Said(verdict, _how(judged), tuple(sorted(found, key=lambda each: (each.warning, -each.at))))


def look(follower: Follower, said: Said) -> Sample:
    """Look at a recording.

    Args:
        follower: follows it.
        said: what the oracle has said.
    """
    live = follower.live
    meta = follower.meta()
    lengths = follower.lengths(meta)
    trace = follower.newest(NEWEST)
    history = History(trace)
    first, last = (float(each) for each in trace.ns(trace.time[[0, -1]])) if len(trace) else (0.0, 0.0)
    part = Part.of(trace, max(last - SPAN, first), last)
    stats = statistics(history, part)
    lost = live.lost if live is not None else meta.lost if not meta.cut else ()
    per_second = 1e9 / part.duration if part.duration else 0.0
    vectors = sorted(stats.vectors, key=lambda each: -each.count)
    return Sample(
        run=str(follower.run),
        mode=trace.meta.mode,
        state="ended" if live is None else "recording" if live.alive else "gone",
        at=last,
        span=part.duration,
        records=sum(lengths),
        lost=sum(lost) if len(lost) == trace.cpus else -1,
        cpus=_cpus(history, part, stats, lost),
        locks=_locks(stats, per_second),
        dpcs=tuple(
            RoutineNow(each.name, each.runs * per_second, each.time, each.latency)
            for each in stats.dpcs[:HOTTEST]
            if each.runs
        ),
        vectors=tuple(
            RoutineNow(f"{each.vector:#x} {each.name}", each.count * per_second, each.time, each.entry)
            for each in vectors[:HOTTEST]
        ),
        verdict=said.verdict,
        judged=said.how,
        violations=said.violations[:HOTTEST],
        found=len(said.violations),
    )


def _cpus(history: History, part: Part, stats: TraceStats, lost: tuple[int, ...]) -> tuple[CpuNow, ...]:
    slices = cpu_slices(history)
    labels = Labels(history, slices)
    per_second = 1e9 / part.duration if part.duration else 0.0
    window = (part.since, max(part.until, part.since + 1))
    found = []
    for stat in stats.cpus:
        did = activity(history, slices, stat.cpu, window)
        inside = int(did.slice[-1]) if did is not None else -1
        found.append(
            CpuNow(
                cpu=stat.cpu,
                irql=int(did.irql[-1]) if did is not None else -1,
                kind=Kind(int(did.kind[-1])).name.lower() if did is not None else "unknown",
                what=labels.of(inside) if inside >= 0 else "",
                spinning=bool(did.spinning[-1]) if did is not None else False,
                interrupts=sum(stat.interrupts.values()) * per_second,
                dpcs=(stat.dpc.count + stat.events.get("ThreadedDpcStart", 0)) * per_second,
                records=stat.records * per_second,
                shares=_shares(did),
                raised=sum(stat.irql_share[2:]),
                halted=stat.halted,
                lost=lost[stat.cpu] if stat.cpu < len(lost) else -1,
            )
        )
    return tuple(found)


def _shares(did: Activity | None) -> dict[str, float]:
    if did is None:
        return {}
    kind = np.where(did.spinning, len(Kind), did.kind)
    spent = np.bincount(kind, weights=did.end - did.begin, minlength=len(Kind) + 1)
    total = float(spent.sum())
    names = [each.name.lower() for each in Kind] + [SPINNING]
    return {name: float(time) / total for name, time in zip(names, spent.tolist(), strict=True) if time}


def _locks(stats: TraceStats, per_second: float) -> tuple[LockNow, ...]:
    return tuple(
        LockNow(
            name=each.name,
            kind=each.kind,
            taken=(each.acquisitions + each.shared) * per_second,
            contended=(each.contended + each.shared_contended) * per_second,
            wait=each.wait if each.wait.count else each.shared_wait,
            hold=each.hold if each.hold.count else each.shared_hold,
            bypasses=each.bypasses,
        )
        for each in stats.locks[:HOTTEST]
    )


def _how(judged: Judged) -> str:
    until = judged.until / 1e9
    if judged.whole:
        return f"judged from the beginning to {until:,.3f} s"
    return f"judged the newest {len(judged.trace):,} records to {until:,.3f} s; only what they prove alone counts"


def _violations(judged: Judged) -> list[ViolationNow]:
    trace = judged.trace
    return [
        ViolationNow(
            clause=each.clause,
            text=each.text,
            at=_moment(trace, each.records),
            cpus=each.cpus,
            where=tuple(trace.symbols.where(site) for site in each.sites[:_SITES]),
            warning=each.warning,
        )
        for each in numbered(judged.verdict)
    ]


def _moment(trace: Trace, records: tuple[int, ...]) -> float:
    if not records:
        return -1.0
    return float(trace.ns(trace.time[np.array([max(records)])])[0])


def sample_once(run: Path) -> Sample:
    """Look at a recording once, the oracle included.

    Raises:
        UsageError: the folder holds no trace.
    """
    from dirql.trace.live.follow import Follower

    follower = Follower(run)
    return look(follower, Said().and_then(follower.judge()))
