# SPDX-License-Identifier: Apache-2.0
"""The part of a trace that numbers are of: a stretch of time, some CPUs. Judging and pairing see the whole trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from dirql.trace.decode import Trace
    from dirql.trace.history.intervals import Intervals
    from dirql.trace.schema import Bytes, Flags, Indices
    from dirql.trace.window import Window


@dataclass(frozen=True)
class Part:
    """A part of a trace. What lasts belongs to it if it began in it; times in a state are cut at its ends.

    Attributes:
        trace: the trace.
        since: its begin, in ticks.
        until: its end, in ticks, itself included.
        cpus: the CPUs that count, sorted.
        irqls: what was recorded at one of these IRQLs only; None: at any.
    """

    trace: Trace
    since: int
    until: int
    cpus: tuple[int, ...]
    irqls: range | None = None

    @classmethod
    def of(
        cls, trace: Trace, since: float | None = None, until: float | None = None, cpus: tuple[int, ...] = ()
    ) -> Part:
        """Choose a part.

        Args:
            trace: the trace.
            since: its begin, in ns since the trace's first record; None for that.
            until: its end, likewise; None for the last record.
            cpus: the CPUs that count; empty for all.
        """
        scale = trace.meta.clock.ticks_per_ns
        last = int(trace.time[-1]) if len(trace) else 0
        return cls(
            trace=trace,
            since=0 if since is None else max(round(since * scale), 0),
            until=last if until is None else min(round(until * scale), last),
            cpus=tuple(sorted({cpu for cpu in cpus if cpu < trace.cpus})) if cpus else tuple(range(trace.cpus)),
        )

    @classmethod
    def within(cls, trace: Trace, window: Window) -> Part:
        """Return the part that a window's times, CPUs and IRQLs choose. Its events do not matter.

        Raises:
            UsageError: the trace has no such CPU.
        """
        window.check(trace.cpus)
        since, until = window.ticks(trace.meta.clock.ticks_per_ns)
        last = int(trace.time[-1]) if len(trace) else 0
        return cls(
            trace=trace,
            since=since,
            until=last if until is None else min(until - 1, last),
            cpus=tuple(sorted(window.cpus)) if window.cpus else tuple(range(trace.cpus)),
            irqls=window.irqls,
        )

    @property
    def whole(self) -> bool:
        """Whether it is all of the trace."""
        last = int(self.trace.time[-1]) if len(self.trace) else 0
        return self.since <= 0 and self.until >= last and len(self.cpus) == self.trace.cpus and self.irqls is None

    @property
    def duration(self) -> float:
        """Its length, in ns."""
        return max(self.until - self.since, 0) / self.trace.meta.clock.ticks_per_ns

    def holds(self, index: Indices) -> Flags:
        """Tell which records belong to it."""
        if self.whole:
            return np.ones(len(index), dtype=np.bool_)
        time = self.trace.time[index]
        inside: Flags = (time >= self.since) & (time <= self.until)
        if len(self.cpus) < self.trace.cpus:
            inside &= np.isin(self.trace.cpu[index], self.cpus)
        if self.irqls is not None:
            inside &= np.isin(self.trace.irql[index], list(self.irqls))
        return inside

    def of_event(self, *names: str) -> Indices:
        """Return the records of the named events that belong to it."""
        index = self.trace.where(*names)
        return index if self.whole else index[self.holds(index)]

    def durations(self, spans: Intervals) -> tuple[Indices, npt.NDArray[np.float64]]:
        """Return the complete intervals that began in it, by number, and how long each took, in ns."""
        chosen = np.flatnonzero(self.holds(spans.start))
        time = self.trace.time
        return chosen, self.trace.ns(time[spans.end[chosen]] - time[spans.start[chosen]])

    def clip(self, begin: Indices, end: Indices) -> Indices:
        """Return how many ticks of each stretch lie in it."""
        inside: Indices = np.maximum(np.minimum(end, self.until) - np.maximum(begin, self.since), 0)
        return inside

    def per_cpu(self, cpu: Bytes) -> tuple[int, ...]:
        """Count by CPU."""
        return tuple(int(count) for count in np.bincount(cpu, minlength=self.trace.cpus))
