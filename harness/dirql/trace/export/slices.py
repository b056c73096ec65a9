# SPDX-License-Identifier: Apache-2.0
"""What a picture of a CPU is made of: strictly nested slices, the thread at the bottom, the interrupt at the top.

Threads come and go; what a thread runs (a threaded DPC, an APC, a work item, a dispatch routine) comes and goes
with it, and is a slice for each time that the thread had a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from dirql.trace.history.history import DISPATCH_LEVEL, History, vector_of
from dirql.trace.history.intervals import Contexts, Intervals, contexts
from dirql.trace.schema import Bytes, Flags, Indices

CLOCK_LEVEL = 13


class Kind(IntEnum):
    """What a slice shows."""

    IDLE = 0
    THREAD = 1
    DPC_INTERRUPT = 2
    DPC = 3
    INTERRUPT = 4
    ISR = 5
    SYNC = 6
    SYSTEM_INTERRUPT = 7
    THREADED_DPC = 8
    IPI_CALL = 9
    APC = 10
    WORK_ITEM = 11
    DISPATCH_ROUTINE = 12
    START_IO = 13


@dataclass(frozen=True)
class Slices:
    """Slices of all CPUs, sorted by beginning, outer before inner. On each CPU they nest.

    Attributes:
        kind: a `Kind` each.
        cpu: CPU of each.
        begin: beginnings, in ticks.
        end: ends, in ticks.
        record: index of the record that began it.
        source: index of the record that says what it is: the same, or earlier, where its thread had lost its CPU.
        last: index of the record that ended it; of the CPU's last record, if it is open.
        open: it still runs when the trace ends.
    """

    kind: Bytes
    cpu: Bytes
    begin: Indices
    end: Indices
    record: Indices
    source: Indices
    last: Indices
    open: Flags

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.kind)


def cpu_slices(history: History) -> Slices:
    """Cut what each CPU did into slices.

    Intervals that cross others (a faulty trace) are left out, the inner ones first.
    """
    trace = history.trace
    routines = [(Kind.ISR, history.isrs), (Kind.SYNC, history.syncs), (Kind.DPC, history.dpcs)]
    routines.append((Kind.IPI_CALL, history.ipi_calls))
    routines.append((Kind.START_IO, history.start_ios))
    pieces: list[_Pieces] = []
    if history.threads.switched:
        pieces = [_in_pieces(history, kind, spans) for kind, spans in _of_threads(history)]
    else:
        routines.append((Kind.THREADED_DPC, history.threaded_dpcs))
        routines.append((Kind.DISPATCH_ROUTINE, history.dispatches))
    nested, within = _nested(history, [history.interrupts, *(spans for _, spans in routines)])
    records, ends, still = (np.concatenate(column) for column in zip(*nested, strict=True))
    routine_kinds = [
        np.full(len(rows[0]), kind, dtype=np.uint8) for rows, (kind, _) in zip(nested[1:], routines, strict=True)
    ]
    kinds = np.concatenate([_interrupt_kinds(history, nested[0][0]), *routine_kinds])
    bottom_kind, bottom_begin, bottom_end, bottom_open = _bottom(history, within)
    kind = np.concatenate([bottom_kind, kinds, *(piece.kind for piece in pieces)])
    record = np.concatenate([bottom_begin, records, *(piece.begin for piece in pieces)])
    source = np.concatenate([bottom_begin, records, *(piece.source for piece in pieces)])
    end = np.concatenate([bottom_end, ends, *(piece.end for piece in pieces)])
    unfinished = np.concatenate([bottom_open, still, *(piece.open for piece in pieces)])
    # Of those that begin together: the thread, what it had begun when it lost its CPU, outer before inner, the rest.
    order = np.lexsort((source, kind > Kind.THREAD, record))
    kind, record, source, end, unfinished = (column[order] for column in (kind, record, source, end, unfinished))
    return Slices(kind, trace.cpu[record], trace.time[record], trace.time[end], record, source, end, unfinished)


@dataclass(frozen=True)
class _Pieces:
    """What threads ran, cut where they lost their CPUs."""

    kind: Bytes
    source: Indices
    begin: Indices
    end: Indices
    open: Flags


def _of_threads(history: History) -> list[tuple[Kind, Intervals]]:
    return [
        (Kind.THREADED_DPC, history.threaded_dpcs),
        (Kind.APC, history.apcs),
        (Kind.WORK_ITEM, history.work_items),
        (Kind.DISPATCH_ROUTINE, history.dispatches),
    ]


def _in_pieces(history: History, kind: Kind, spans: Intervals) -> _Pieces:
    """Cut intervals of threads at the switches: a piece for each spell of the thread between beginning and end."""
    threads = history.threads
    spells = threads.spells
    by_thread = np.lexsort((spells.begin, spells.thread))
    rank = np.empty(len(spells), dtype=np.int64)
    rank[by_thread] = np.arange(len(spells))
    start = np.concatenate([spans.start, spans.running])
    until = np.concatenate([spans.end, np.full(len(spans.running), -1, dtype=np.int64)])
    first = rank[threads.spell[start]]
    bounds = np.searchsorted(spells.thread[by_thread], np.arange(len(threads.address) + 1))
    last = np.where(until >= 0, rank[threads.spell[until]], bounds[threads.number[start] + 1] - 1)
    count = last - first + 1
    which = np.repeat(np.arange(len(start)), count)
    spell = by_thread[np.repeat(first - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(count.sum())]
    begin = np.where(threads.spell[start[which]] == spell, start[which], spells.begin[spell])
    ends_here = (until[which] >= 0) & (threads.spell[np.maximum(until[which], 0)] == spell)
    left = spells.end[spell]
    end = np.where(ends_here, until[which], np.where(left >= 0, left, spells.last[spell]))
    return _Pieces(
        kind=np.full(len(which), kind, dtype=np.uint8),
        source=start[which],
        begin=begin,
        end=end,
        open=~ends_here & (left < 0),
    )


def _interrupt_kinds(history: History, start: Indices) -> Bytes:
    level = vector_of(history.trace, start) >> 4
    kinds = np.full(len(start), Kind.INTERRUPT, dtype=np.uint8)
    kinds[level <= DISPATCH_LEVEL] = Kind.DPC_INTERRUPT
    kinds[level >= CLOCK_LEVEL] = Kind.SYSTEM_INTERRUPT
    return kinds


_Rows = tuple[Indices, Indices, Flags]


def _nested(history: History, spans: list[Intervals]) -> tuple[list[_Rows], Contexts]:
    """Leave out intervals that cross others, the inner ones first.

    Returns:
        Beginnings, ends, and whether it still runs, of what is left; and the context of every record among it.
    """
    trace = history.trace
    while True:
        within = contexts(trace, *spans)
        ends = np.concatenate([span.end for span in spans])
        starts = np.concatenate([span.start for span in spans])
        around = within.opener[ends]
        crossing = np.unique(around[(around != starts) & (around >= 0)])
        if not len(crossing):
            break
        spans = [_without(span, crossing) for span in spans]
    rows = [
        (
            np.concatenate([span.start, span.running]),
            np.concatenate([span.end, trace.last_on(trace.cpu[span.running])]),
            np.arange(len(span.start) + len(span.running)) >= len(span.start),
        )
        for span in spans
    ]
    return rows, within


def _without(span: Intervals, starts: Indices) -> Intervals:
    keep = ~np.isin(span.start, starts)
    return Intervals(
        start=span.start[keep],
        end=span.end[keep],
        cpu=span.cpu[keep],
        key=span.key[keep],
        running=span.running[~np.isin(span.running, starts)],
        unended=span.unended,
        inherited=span.inherited,
        unstarted=span.unstarted,
    )


def _bottom(history: History, within: Contexts) -> tuple[Bytes, Indices, Indices, Flags]:
    """Cut each CPU's time into idle and thread: kind, record that begins it, record that ends it, is it the last.

    Idle lasts from an IdleEnter until the CPU does something outside interrupts other than going idle again. Each
    ThreadSwitch begins another slice.
    """
    trace = history.trace
    by_cpu = trace.by_cpu
    if not len(by_cpu):
        none = np.zeros(0, dtype=np.int64)
        return np.zeros(0, dtype=np.uint8), none, none, np.zeros(0, dtype=np.bool_)
    outside = within.opener[by_cpu] < 0
    switches = trace.are(by_cpu, "ThreadSwitch")
    idle = trace.are(by_cpu, "IdleEnter")
    marks = np.flatnonzero(outside & ~trace.are(by_cpu, "IdleExit"))
    first = np.flatnonzero(np.diff(trace.cpu[by_cpu].astype(np.int64), prepend=-1))
    marks = np.union1d(marks, first)
    cpu = trace.cpu[by_cpu[marks]]
    changes = np.ones(len(marks), dtype=np.bool_)
    changes[1:] = (idle[marks[1:]] != idle[marks[:-1]]) | (cpu[1:] != cpu[:-1]) | switches[marks[1:]]
    begin = marks[changes]
    cpu = cpu[changes]
    last = trace.position[trace.last_on(cpu)]
    final = np.append(cpu[1:] != cpu[:-1], True)
    end = np.where(final, last, np.append(begin[1:], last[-1:]))
    kind = np.where(idle[begin], Kind.IDLE, Kind.THREAD).astype(np.uint8)
    return kind, by_cpu[begin], by_cpu[end], final
