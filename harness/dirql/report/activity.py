# SPDX-License-Identifier: Apache-2.0
"""What one CPU did at each of its records in a stretch of time: IRQL, innermost slice, whether it spun for a lock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.export.slices import Kind

if TYPE_CHECKING:
    from dirql.trace.export.slices import Slices
    from dirql.trace.history.history import History
    from dirql.trace.schema import Flags, Indices

NOTHING = -1


@dataclass(frozen=True)
class Activity:
    """A CPU's time in a window, cut at its records.

    Attributes:
        begin: beginnings, in ticks, none before the window's.
        end: ends, in ticks: the next one's beginning; of the last one the window's or the trace's end.
        irql: the IRQL of each.
        slice: the innermost slice that each lies in; `NOTHING` where there is none.
        kind: what kind of slice that is, by `slices.Kind`; a thread where there is none.
        spinning: whether the CPU spun for a lock, in no interrupt that came in between.
    """

    begin: Indices
    end: Indices
    irql: Indices
    slice: Indices
    kind: Indices
    spinning: Flags


def activity(history: History, slices: Slices, cpu: int, window: tuple[int, int]) -> Activity | None:
    """Cut a CPU's time in a window.

    Args:
        history: the trace's intervals.
        slices: its slices.
        cpu: the CPU.
        window: begin and end, in ticks.

    Returns:
        None if the CPU has no record in the window or before it.
    """
    trace = history.trace
    mine = trace.on_cpu(cpu)
    time = trace.time[mine]
    low = max(int(np.searchsorted(time, window[0], side="right")) - 1, 0)
    high = int(np.searchsorted(time, window[1], side="right"))
    if high <= low:
        return None
    inside = mine[low:high]
    begin = np.maximum(trace.time[inside], window[0])
    until = int(trace.time[mine[high]]) if high < len(mine) else int(trace.time[-1])
    end = np.append(begin[1:], max(min(until, window[1]), int(begin[-1])))
    first, last = _waits(history, cpu, len(mine))
    before = first[(first < low) & (last > low)]
    back = int(before.min(initial=low))  # where a wait for a lock began that lasts when the window begins
    around = _innermost(history, slices, cpu, back, high)
    found = around[low - back :]
    kind = np.where(found >= 0, slices.kind[np.maximum(found, 0)], Kind.THREAD).astype(np.int64)
    irql = history.irql_after[inside].astype(np.int64)
    spinning = _spinning(first - back, last - back, around)[low - back :]
    return Activity(begin, end, irql, found, kind, spinning)


def paint(size: int, first: Indices, last: Indices, value: Indices, canvas: Indices) -> None:
    """Give the places from `first` up to, not including, `last` a value; ranges beyond the canvas are cut.

    Args:
        size: places of the canvas.
        first: begin of each range.
        last: end of each.
        value: what to put there; of ranges that overlap the later one counts.
        canvas: changed.
    """
    first, last = np.clip(first, 0, size), np.clip(last, 0, size)
    count = np.maximum(last - first, 0)
    total = int(count.sum())
    if total:
        place = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(total)
        canvas[place] = np.repeat(value, count)


def _innermost(history: History, slices: Slices, cpu: int, low: int, high: int) -> Indices:
    """Return the innermost slice at each record of a CPU, by the records' places among the CPU's own."""
    trace = history.trace
    found = np.full(high - low, NOTHING, dtype=np.int64)
    here = np.flatnonzero(slices.cpu == cpu)
    block = int(trace.position[trace.on_cpu(cpu)[:1]][0])
    first, last = trace.position[slices.record[here]] - block, trace.position[slices.last[here]] - block
    last = np.where(slices.open[here], last + 1, last)
    inside = (last > low) & (first < high)
    here, first, last = here[inside], first[inside], last[inside]
    # They nest, and outer ones come first: how many have begun and not ended is the depth.
    depth = np.maximum(np.arange(len(here)) - np.searchsorted(np.sort(last), first, side="right"), 0)
    for level in range(int(depth.max(initial=-1)) + 1):
        chosen = depth == level
        paint(high - low, first[chosen] - low, last[chosen] - low, here[chosen], found)
    return found


def _waits(history: History, cpu: int, size: int) -> tuple[Indices, Indices]:
    """Return where a CPU's waits for locks begin and end, by the records' places among the CPU's own, in order."""
    trace = history.trace
    block = int(trace.position[trace.on_cpu(cpu)[:1]][0])
    starts, ends = [], []
    for waits in (history.waits, history.shared_waits):
        own = waits.cpu == cpu
        running = waits.running[trace.cpu[waits.running] == cpu]
        starts += [trace.position[waits.start[own]] - block, trace.position[running] - block]
        ends += [trace.position[waits.end[own]] - block, np.full(len(running), size, dtype=np.int64)]
    first, last = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(first, kind="stable")
    return first[order], last[order]


def _spinning(first: Indices, last: Indices, innermost: Indices) -> Flags:
    """Tell at which records a CPU spins: in a wait, and not in an interrupt that came in between."""
    spins = np.full(len(innermost), NOTHING, dtype=np.int64)
    inside = (first >= 0) & (first < len(innermost))
    first, last = first[inside], last[inside]
    paint(len(innermost), first, last, innermost[first], spins)
    spinning: Flags = (spins == innermost) & (spins != NOTHING)
    return spinning
