# SPDX-License-Identifier: Apache-2.0
"""Distributions of times, and the ways of interrupts and DPCs, as the page's charts draw them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.trace.oracle.verdict import Budgets
from dirql.trace.stats.flows import matrix
from dirql.trace.stats.percentiles import Percentiles

if TYPE_CHECKING:
    import numpy.typing as npt

    from dirql.trace.history.history import History
    from dirql.trace.history.intervals import Intervals
    from dirql.trace.schema import Indices
    from dirql.trace.stats.part import Part
    from dirql.trace.stats.summary import TraceStats

BINS = 8
"""Bins in a decade of time."""
_LONGEST_NAME = 28


@dataclass(frozen=True)
class Histogram:
    """How some times are distributed.

    Attributes:
        title: what they are times of.
        times: their percentiles.
        edges: bounds of the bins, in ns, one more than there are bins.
        counts: how many times are in each bin.
        budget: how long the documentation allows, in ns; None where it gives no figure.
        over: how many took longer.
    """

    title: str
    times: Percentiles
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    budget: float | None
    over: int

    @classmethod
    def of(cls, title: str, times: npt.NDArray[np.float64], budget: float | None = None) -> Histogram:
        """Count times in ns into bins of equal ratio; those below 1 ns belong to the first."""
        if not len(times):
            return cls(title, Percentiles.of(times), (), (), budget, 0)
        clipped = np.maximum(times, 1.0)
        first = int(np.floor(np.log10(clipped.min()) * BINS + 1e-9))
        last = max(int(np.floor(np.log10(clipped.max()) * BINS + 1e-9)), first)
        edges = 10.0 ** (np.arange(first, last + 2) / BINS)
        number = np.clip(np.searchsorted(edges, clipped, side="right") - 1, 0, last - first)
        counts = np.bincount(number, minlength=last - first + 1)
        over = int((times > budget).sum()) if budget else 0
        return cls(title, Percentiles.of(times), tuple(edges.tolist()), tuple(counts.tolist()), budget, over)


@dataclass(frozen=True)
class Charts:
    """What the charts draw.

    Attributes:
        times: see `histograms`.
        flow: see `flow_json`.
    """

    times: list[Histogram]
    flow: dict[str, Any]

    @property
    def filled(self) -> list[Histogram]:
        """The distributions that are of something."""
        return [each for each in self.times if each.times.count]


def histograms(history: History, part: Part) -> list[Histogram]:
    """Return the distributions of all kinds of times, those that the trace has none of too."""
    trace = history.trace
    budgets = Budgets()
    insert, run = history.dpc_runs.runs(trace)
    inside = part.holds(insert)
    waited = trace.ns(np.maximum(trace.time[run[inside]] - trace.time[insert[inside]], 0))

    def lasted(*kinds: Intervals) -> npt.NDArray[np.float64]:
        return np.concatenate([part.durations(spans)[1] for spans in kinds])

    return [
        Histogram.of("interrupt to ISR", _entries(history, part)),
        Histogram.of("in an ISR", lasted(history.isrs), budgets.isr),
        Histogram.of("DPC queued to run", waited),
        Histogram.of("in a DPC routine", lasted(history.dpcs), budgets.dpc),
        Histogram.of("spin for a lock", lasted(history.waits, history.shared_waits)),
        Histogram.of("hold a lock", lasted(history.holds, history.shared_holds), budgets.hold),
    ]


def _entries(history: History, part: Part) -> npt.NDArray[np.float64]:
    """Time the way of each interrupt into its first service routine."""
    trace = history.trace
    enter: Indices = part.of_event("IsrEnter")
    frame = history.in_frames.opener[enter]
    enter, frame = enter[frame >= 0], frame[frame >= 0]
    _, first = np.unique(frame, return_index=True)
    return trace.ns(trace.time[enter[first]] - trace.time[frame[first]])


def histogram_json(histogram: Histogram) -> dict[str, Any]:
    """Return what the page's chart of it needs."""
    times = histogram.times
    return {
        "title": histogram.title,
        "edges": histogram.edges,
        "counts": histogram.counts,
        "budget": histogram.budget,
        "median": times.median,
        "p99": times.p99,
        "maximum": times.maximum,
    }


def flow_json(stats: TraceStats) -> dict[str, Any]:
    """Return the ways of device interrupts to CPUs, and of DPCs from CPU to CPU.

    Args:
        stats: numbers of the trace.

    Returns:
        `links` (source, target, count) of a graph without circles: vectors, CPUs that took them, and the CPUs that ran
        the DPCs queued there; `dpcs`, counts by the CPU that queued and the CPU that ran.
    """
    links: list[tuple[str, str, int]] = []
    for vector in stats.vectors:
        if vector.what == "device":
            short = vector.name.rpartition("!")[2][:_LONGEST_NAME]
            label = f"{vector.vector:#04x} {short}" if vector.name != vector.what else f"{vector.vector:#04x}"
            links += [(label, f"CPU {cpu} interrupted", count) for cpu, count in enumerate(vector.cpus) if count]
    cpus = len(stats.cpus)
    ways = matrix([flow for dpc in stats.dpcs for flow in dpc.flows], cpus)
    taken = {target for _, target, _ in links}
    for source, row in enumerate(ways):
        for target, count in enumerate(row):
            if count and f"CPU {source} interrupted" in taken:
                links.append((f"CPU {source} interrupted", f"CPU {target} ran the DPC", count))
    return {"links": links, "dpcs": ways if any(map(any, ways)) else []}


def lock_json(stats: TraceStats, sites: dict[int, str], most: int) -> list[dict[str, Any]]:
    """Return what the page shows of a lock when it is chosen: hand-overs, owners, call sites.

    Args:
        stats: numbers of the trace.
        sites: names of the call sites.
        most: locks at most.
    """
    return [
        {
            "name": lock.name,
            "owners": lock.owners,
            "handoffs": matrix(lock.handoffs, len(stats.cpus)),
            "callers": [
                {
                    "site": sites[caller.caller],
                    "taken": caller.acquisitions,
                    "contended": caller.contended,
                    "median": caller.hold.median if caller.hold.count else None,
                    "maximum": caller.hold.maximum if caller.hold.count else None,
                }
                for caller in lock.callers
            ],
        }
        for lock in stats.locks[:most]
    ]
