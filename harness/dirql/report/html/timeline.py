# SPDX-License-Identifier: Apache-2.0
"""What the page's timeline is drawn from: records, what ran, locks, and DPCs' ways, as columns.

All columns stand CPU after CPU, each CPU's records in its own order ("place": the index in that layout). The page finds
what is in view by binary search, so that a million records cost no more than a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.report.tables import duration
from dirql.report.timeline import NAMES
from dirql.report.window import choose_window
from dirql.trace.export.slices import Kind, cpu_slices

if TYPE_CHECKING:
    import numpy.typing as npt

    from dirql.trace.export.slices import Slices
    from dirql.trace.history.history import History
    from dirql.trace.history.intervals import Intervals
    from dirql.trace.oracle.verdict import Verdict
    from dirql.trace.schema import Flags, Indices
    from dirql.trace.stats.part import Part

RECORDS = 4_000_000
"""Records in a page at most: some 6 MB of the file, and 200 MB of the browser's memory."""
HOLD, WAIT, SHARED_HOLD, SHARED_WAIT = range(4)
_SPINS = 0x80


@dataclass(frozen=True)
class Stretch:
    """The part of a trace that the page has every record of.

    Attributes:
        places: of its records, ascending.
        starts: where each CPU's begin among them, and the number of all at the end.
    """

    places: Indices
    starts: Indices

    @classmethod
    def of(cls, history: History, since: int, until: int) -> Stretch:
        """Choose the records from one time to another, both in ticks and included."""
        trace = history.trace
        time = trace.time[trace.by_cpu]
        places = np.flatnonzero((time >= since) & (time <= until))
        cpu = trace.cpu[trace.by_cpu[places]]
        return cls(places, np.searchsorted(cpu, np.arange(trace.cpus + 1)).astype(np.int64))

    def clip(self, begin: Indices, end: Indices) -> tuple[Indices, Indices, Flags]:
        """Move intervals from the layout of all records to that of these.

        Args:
            begin: places where they begin.
            end: places where they end, on the same CPUs.

        Returns:
            Where those that touch the stretch begin and end in it, and which they are.
        """
        low = np.searchsorted(self.places, begin)
        high = np.searchsorted(self.places, end, side="right") - 1
        touching = low <= high
        return low[touching], high[touching], touching


def timeline_columns(history: History, stretch: Stretch) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the timeline.

    Args:
        history: the trace's intervals.
        stretch: the records that the page gets.

    Returns:
        `time` (low and high words of the ticks since the CPU's record before, the first since the trace's begin),
        `event`, `level` (IRQL from the record on; bit 7: the CPU spins for a lock), `owner` (the innermost slice from
        the record on, -1 none), and those of slices, of lock intervals and of DPCs' ways.
    """
    trace = history.trace
    index = trace.by_cpu[stretch.places]
    time = trace.time[index]
    step = np.diff(time, prepend=0)
    first = stretch.starts[:-1][np.diff(stretch.starts) > 0]
    step[first] = time[first]
    level = history.irql_after[index].copy()
    level[_spinning(history, stretch)] |= _SPINS
    slices, owner = _slices(cpu_slices(history), history, stretch)
    return {
        "timeLow": (step & 0xFFFF_FFFF).astype(np.uint32),
        "timeHigh": (step >> 32).astype(np.uint32),
        "event": trace.event[index].astype(np.uint8),
        "irql": trace.irql[index],
        "level": level,
        "owner": np.diff(owner, prepend=0).astype(np.int32),
        **slices,
        **_locks(history, stretch),
        **_ways(history, stretch),
    }


def timeline_facts(history: History, stretch: Stretch) -> dict[str, Any]:
    """Return what else the page's timeline needs, as JSON data."""
    trace = history.trace
    return {
        "cpus": trace.cpus,
        "starts": stretch.starts.tolist(),
        "ticksPerNs": trace.meta.clock.ticks_per_ns,
        "events": {number: name for name, number in trace.meta.events.numbers.items()},
        "kinds": {int(kind): NAMES[kind] for kind in Kind},
        "virtual": trace.meta.mode == "icount",
    }


def _slices(all_slices: Slices, history: History, stretch: Stretch) -> tuple[dict[str, npt.NDArray[Any]], Indices]:
    """Return the columns of the slices, and for each record the innermost slice from there on."""
    position = history.trace.position
    begin, end, source = (position[each] for each in (all_slices.record, all_slices.last, all_slices.source))
    begin, end, touching = stretch.clip(begin, end)
    # What still runs, or goes on beyond the stretch, has no end in it: it lasts past its CPU's last record.
    still = all_slices.open[touching]
    if len(end):
        still = still | (position[all_slices.last[touching]] > stretch.places[end])
    chosen = np.flatnonzero((end > begin) | still)
    chosen = chosen[np.argsort(begin[chosen], kind="stable")]
    begin, end, still = begin[chosen], end[chosen], still[chosen]
    source, kind = source[touching][chosen], all_slices.kind[touching][chosen]
    beyond = np.where(still, end + 1, end)
    depth = np.arange(len(begin)) - np.searchsorted(np.sort(beyond), begin, side="right")
    parent = np.full(len(begin), -1, dtype=np.int64)
    for level in range(1, int(depth.max(initial=0)) + 1):
        mine, outer = np.flatnonzero(depth == level), np.flatnonzero(depth == level - 1)
        parent[mine] = outer[np.searchsorted(outer, mine) - 1]
    change = np.zeros(len(stretch.places) + 2, dtype=np.int64)
    enter = np.arange(len(begin)) - parent
    np.add.at(change, begin, enter)
    np.subtract.at(change, beyond, enter)
    owner = np.cumsum(change)[: len(stretch.places)] - 1
    said = np.minimum(np.searchsorted(stretch.places, source), max(len(stretch.places) - 1, 0))
    known = stretch.places[said] == source if len(stretch.places) else np.zeros(len(source), dtype=np.bool_)
    columns = {
        "sliceBegin": np.diff(begin, prepend=0).astype(np.uint32),
        "sliceLength": (end - begin).astype(np.uint32),
        "sliceKind": kind | (still.astype(np.uint8) << 7),
        "sliceParent": (np.arange(len(begin)) - parent).astype(np.uint32),
        "sliceSource": np.where(known, said - begin, 0).astype(np.int32),
    }
    return columns, np.clip(owner, -1, len(begin) - 1)


def _locks(history: History, stretch: Stretch) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of what each CPU held and waited for, sorted by beginning."""
    each = (
        (HOLD, history.holds),
        (WAIT, history.waits),
        (SHARED_HOLD, history.shared_holds),
        (SHARED_WAIT, history.shared_waits),
    )
    ends = [_both(history, spans) for _, spans in each]
    numbers = [np.full(len(begin), number, dtype=np.uint8) for (begin, _), (number, _) in zip(ends, each, strict=True)]
    first, last = (np.concatenate(column) for column in zip(*ends, strict=True))
    begin, end, touching = stretch.clip(first, last)
    kind = np.concatenate(numbers)[touching]
    order = np.argsort(begin, kind="stable")
    return {
        "lockBegin": np.diff(begin[order], prepend=0).astype(np.uint32),
        "lockLength": (end - begin)[order].astype(np.uint32),
        "lockKind": kind[order],
    }


def _ways(history: History, stretch: Stretch) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of DPCs' ways: the places of insertion and of run, both in the stretch."""
    trace = history.trace
    insert, run = (trace.position[each] for each in history.dpc_runs.runs(trace))
    inside = np.isin(insert, stretch.places) & np.isin(run, stretch.places)
    return {
        "wayFrom": np.searchsorted(stretch.places, insert[inside]).astype(np.uint32),
        "wayTo": np.searchsorted(stretch.places, run[inside]).astype(np.uint32),
    }


def _spinning(history: History, stretch: Stretch) -> Flags:
    """Tell after which records their CPU spins for a lock; while an interrupt is served it does not."""
    trace = history.trace
    index = trace.by_cpu[stretch.places]
    frame = history.in_frames.opener[index]
    left = trace.are(index, "InterruptExit") & (frame >= 0)  # from here on the CPU is in what was interrupted
    frame[left] = history.in_frames.parent(frame[left])
    spins = np.zeros(len(index), dtype=np.bool_)
    for spans in (history.waits, history.shared_waits):
        begin, end, _ = stretch.clip(*_both(history, spans))
        count = end - begin
        offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        inside = np.repeat(begin, count) + offset
        spins[inside[frame[inside] == np.repeat(frame[begin], count)]] = True
    return spins


def _both(history: History, spans: Intervals) -> tuple[Indices, Indices]:
    """Return the places of beginnings and ends; what still runs ends with its CPU's last record."""
    trace = history.trace
    begin = np.concatenate([spans.start, spans.running])
    end = np.concatenate([spans.end, trace.last_on(trace.cpu[spans.running])])
    return trace.position[begin], trace.position[end]


def choose_stretch(history: History, verdict: Verdict, part: Part) -> tuple[Stretch, str]:
    """Choose the records that the page gets: all of the part, or as many as it can carry around what matters.

    Args:
        history: the trace's intervals.
        verdict: the oracle's; its first violation is in the middle of what is left.
        part: what was asked for.

    Returns:
        The records, and what is to be said of them.
    """
    trace = history.trace
    first = int(np.searchsorted(trace.time, part.since))
    last = int(np.searchsorted(trace.time, part.until, side="right"))
    if last <= first:
        return Stretch.of(history, 0, -1), "There is no record in this part of the trace."
    if last - first <= RECORDS:
        count = f"{last - first:,} record{'s' if last - first > 1 else ''}"
        return Stretch.of(history, int(trace.time[first]), int(trace.time[last - 1])), f"All {count}."
    begin, end = choose_window(history, verdict)
    middle = int(np.searchsorted(trace.time, (begin + end) // 2))
    low = min(max(middle - RECORDS // 2, first), last - RECORDS)
    since, until = int(trace.time[low]), int(trace.time[low + RECORDS - 1])
    found = [duration(float(each)) for each in trace.ns(np.array([since, until]))]
    note = f"{RECORDS:,} of {last - first:,} records, from {found[0]} to {found[1]}; --from and --to choose others."
    return Stretch.of(history, since, until), note
