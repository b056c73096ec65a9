# SPDX-License-Identifier: Apache-2.0
"""Reads a trace while another process records it: its newest records, and what the oracle can say of it by now.

The oracle never raises a false alarm here. It judges from the beginning up to the moment for which the recording
vouches that nothing is missing; where it does not, up to the last record of the CPU that has been silent for longest,
and then, as for a trace of which only the newest part is judged, only what its own records prove counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dirql.errors import UsageError
from dirql.trace.decode import Excerpt, Trace
from dirql.trace.folder import newer_ring_file, read_meta, ring_file, trace_folder
from dirql.trace.history.history import History
from dirql.trace.live.livefile import Live, read_live
from dirql.trace.oracle import Verdict, judge
from dirql.trace.window import Window

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.trace.folder import TraceMeta
    from dirql.trace.schema import Records

WHOLE = 1_000_000
"""Records up to which the oracle judges all of a trace; of a longer one the newest as many."""


@dataclass(frozen=True)
class Judged:
    """What the oracle says of a recording under way.

    Attributes:
        verdict: clause by clause. Nothing in it is about the future: `ok` means so far.
        trace: what it judged, to which the violations' records belong.
        whole: that began where the recording began.
        until: ns since the first record, up to which it judged.
    """

    verdict: Verdict
    trace: Trace
    whole: bool
    until: float


class Follower:
    """Follows a recording by its folder.

    Args:
        run: the run's folder.

    Raises:
        UsageError: there is no trace in it, not even one that has just begun.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        read_meta(run)

    @property
    def live(self) -> Live | None:
        """What the recording says of itself; None: none is under way here, or it does not tell."""
        return read_live(self.run)

    def meta(self) -> TraceMeta:
        """Read how to read the records; that changes while drivers come and go."""
        return replace(read_meta(self.run), names=trace_folder(self.run))

    def lengths(self, meta: TraceMeta) -> tuple[int, ...]:
        """Return how many records of each CPU there are by now."""
        return tuple(sum(_size(path) // meta.record_size for path in _files(self.run, cpu)) for cpu in range(meta.cpus))

    def newest(self, per_cpu: int) -> Trace:
        """Return the newest records: up to so many of each CPU, from one moment on.

        A CPU that did nothing since that moment has its last record all the same.

        Args:
            per_cpu: records of each CPU at most.
        """
        live = self.live  # as in `judge`
        meta = self.meta()
        records = [_last(self.run, cpu, meta, per_cpu) for cpu in range(meta.cpus)]
        if live is not None:
            # Beyond it a CPU whose file lags would seem to wait on, and be overtaken, while the others went on.
            meta = replace(meta, horizon=live.horizon)
        full = [int(each["Time"][0]) for each in records if len(each) == per_cpu]
        since = max(full, default=0)
        return _excerpt(
            self.run,
            meta,
            [each[min(int(np.searchsorted(each["Time"], since)), max(len(each) - 1, 0)) :] for each in records],
        )

    def judge(self) -> Judged:
        """Judge what has been recorded by now."""
        live = self.live  # before the records: what it vouches for is in the files by then
        meta = self.meta()
        everything = live is None and not meta.cut
        total = sum(self.lengths(meta))
        whole = total <= WHOLE
        records = [_last(self.run, cpu, meta, None if whole else WHOLE // meta.cpus) for cpu in range(meta.cpus)]
        if not everything:
            meta = replace(meta, cut=False, horizon=_horizon(live, records))
        if live is not None:
            meta = replace(meta, lost=live.lost)
        sound = everything or live is not None
        trace = Trace(records, meta) if whole and sound else _excerpt(self.run, meta, records)
        history = History(trace)
        verdict = judge(trace, history=history)
        until = float(trace.ns(trace.time[-1:])[0]) if len(trace) else 0.0
        return Judged(verdict, trace, whole and sound, until)


def _horizon(live: Live | None, records: list[Records]) -> int:
    if live is not None:
        return live.horizon
    return min((int(each["Time"][-1]) if len(each) else 0 for each in records), default=0)


def _files(run: Path, cpu: int) -> list[Path]:
    """Return the files of a CPU's records, the older first: while only the last are kept, they are in two."""
    return [path for path in (ring_file(run, cpu), newer_ring_file(run, cpu)) if path.exists()]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # it has just taken the other's place


def _last(run: Path, cpu: int, meta: TraceMeta, count: int | None) -> Records:
    """Read the last records of a CPU; None: all of them."""
    parts: list[Records] = []
    left = count
    for path in reversed(_files(run, cpu)):
        whole = _size(path) // meta.record_size
        wanted = whole if left is None else min(whole, left)
        if wanted:
            parts.insert(
                0, np.fromfile(path, dtype=meta.dtype, count=wanted, offset=(whole - wanted) * meta.record_size)
            )
        left = None if left is None else left - wanted
    return np.concatenate(parts) if parts else np.zeros(0, dtype=meta.dtype)


def _excerpt(run: Path, meta: TraceMeta, records: list[Records]) -> Trace:
    before = tuple((int(each["Sequence"][0]) - 1) & 0xFFFF_FFFF if len(each) else None for each in records)
    firsts = [_first_time(run, cpu, meta) for cpu in range(meta.cpus)]
    origin = min((time for time in firsts if time is not None), default=0)
    return Trace(records, replace(meta, quiet=None, accounting=None), Excerpt(origin, before, Window()))


def _first_time(run: Path, cpu: int, meta: TraceMeta) -> int | None:
    for path in _files(run, cpu):
        first = np.fromfile(path, dtype=meta.dtype, count=1)
        if len(first):
            return int(first["Time"][0])
    return None


def newest_run(runs: Path) -> Path:
    """Return the folder below `runs` whose recording was begun last.

    Raises:
        UsageError: none of them holds a trace.
    """
    found = [meta for meta in runs.glob("*/trace/meta.json") if meta.is_file()]
    if not found:
        raise UsageError(f"no folder below {runs} holds a trace; name the folder of a run")
    return max(found, key=lambda path: path.stat().st_mtime).parents[1]
