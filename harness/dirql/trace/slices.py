# SPDX-License-Identifier: Apache-2.0
"""What a picture of a CPU is made of: strictly nested slices, the thread at the bottom, the interrupt at the top."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from dirql.trace.history import DISPATCH_LEVEL, History, vector_of
from dirql.trace.intervals import Contexts, Intervals, contexts
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


@dataclass(frozen=True)
class Slices:
    """Slices of all CPUs, sorted by beginning, outer before inner. On each CPU they nest.

    Attributes:
        kind: a `Kind` each.
        cpu: CPU of each.
        begin: beginnings, in ticks.
        end: ends, in ticks.
        record: index of the record that began it.
        last: index of the record that ended it; of the CPU's last record, if it is open.
        open: it still runs when the trace ends.
    """

    kind: Bytes
    cpu: Bytes
    begin: Indices
    end: Indices
    record: Indices
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
    spans = [
        history.interrupts,
        history.isrs,
        history.syncs,
        history.dpcs,
        history.threaded_dpcs,
        history.ipi_calls,
    ]
    nested, within = _nested(history, spans)
    records, ends, still = (np.concatenate(column) for column in zip(*nested, strict=True))
    kinds = np.concatenate(
        [
            _interrupt_kinds(history, nested[0][0]),
            *(np.full(len(rows[0]), kind, dtype=np.uint8) for rows, kind in zip(nested[1:], _ROUTINES, strict=True)),
        ]
    )
    bottom_kind, bottom_begin, bottom_end, bottom_open = _bottom(history, within)
    kind = np.concatenate([bottom_kind, kinds])
    record = np.concatenate([bottom_begin, records])
    order = np.lexsort((kind > Kind.THREAD, record))
    kind, record = kind[order], record[order]
    end = np.concatenate([bottom_end, ends])[order]
    unfinished = np.concatenate([bottom_open, still])[order]
    return Slices(kind, trace.cpu[record], trace.time[record], trace.time[end], record, end, unfinished)


_ROUTINES = (Kind.ISR, Kind.SYNC, Kind.DPC, Kind.THREADED_DPC, Kind.IPI_CALL)


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

    Idle lasts from an IdleEnter until the CPU does something outside interrupts other than going idle again.
    """
    trace = history.trace
    by_cpu = trace.by_cpu
    if not len(by_cpu):
        none = np.zeros(0, dtype=np.int64)
        return np.zeros(0, dtype=np.uint8), none, none, np.zeros(0, dtype=np.bool_)
    outside = within.opener < 0
    idle = trace.are(by_cpu, "IdleEnter")
    marks = np.flatnonzero(outside[by_cpu] & ~trace.are(by_cpu, "IdleExit"))
    first = np.flatnonzero(np.diff(trace.cpu[by_cpu].astype(np.int64), prepend=-1))
    marks = np.union1d(marks, first)
    cpu = trace.cpu[by_cpu[marks]]
    changes = np.ones(len(marks), dtype=np.bool_)
    changes[1:] = (idle[marks[1:]] != idle[marks[:-1]]) | (cpu[1:] != cpu[:-1])
    begin = marks[changes]
    cpu = cpu[changes]
    last = trace.position[trace.last_on(cpu)]
    final = np.append(cpu[1:] != cpu[:-1], True)
    end = np.where(final, last, np.append(begin[1:], last[-1:]))
    kind = np.where(idle[begin], Kind.IDLE, Kind.THREAD).astype(np.uint8)
    return kind, by_cpu[begin], by_cpu[end], final
