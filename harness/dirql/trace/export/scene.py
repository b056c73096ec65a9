# SPDX-License-Identifier: Apache-2.0
"""What a viewer shows of a trace: tracks, and slices, points and counters on them, joined by arrows.

Per CPU what it ran, its IRQL, and the spin locks that it waited for and held; what each thread did; violations. Arrows
lead from the insertion of a DPC to its run, from a signal to the thread that it let go, from the call of a driver with
an IRP to the IRP's completion, and from the owner of a lock to the one that it went to. The exporters write it down.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dirql.trace.export.scene_locks import LockSpans
from dirql.trace.export.scene_threads import ThreadTracks
from dirql.trace.export.slices import Kind, Slices, cpu_slices
from dirql.trace.history.irps import major_function, major_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.trace.history.history import History
    from dirql.trace.oracle.verdict import Verdict
    from dirql.trace.schema import Indices, Words

_VIOLATIONS = 1
_THREADS = 1 << 40
_PER_CPU = 1 << 16
_GROUP, _RUNS, _IRQL, _LOCKS = range(4)

INSTANTS = (
    "DpcInsert",
    "DpcRemove",
    "IpiSend",
    "Mark",
    "UnexpectedInterrupt",
    "ImageLoad",
    "ImageUnload",
    "Rendezvous",
    "InterruptActive",
    "CaseBegin",
    "CaseEnd",
    "HostCall",
    "TimerSet",
    "TimerCancel",
    "TimerExpire",
    "PageOut",
    "PageIn",
    "IrpComplete",
    "IrpCancel",
)
"""Events shown as a point on what the CPU ran."""


class Act(IntEnum):
    """What an item does on its track. At one record ends come first."""

    END = 0
    BEGIN = 1
    POINT = 2
    COUNT = 3


class Track(NamedTuple):
    """A line of the picture, or a group of them.

    Attributes:
        number: its number, not 0.
        name: what it is called.
        parent: the group that it is in; 0: none.
        rank: its place among those beside it.
        counter: it shows a number.
    """

    number: int
    name: str
    parent: int
    rank: int
    counter: bool


class Shape(NamedTuple):
    """What items have in common that differ in time and in their arrows alone.

    Attributes:
        act: what they do.
        track: on which track.
        name: of the slice or point; empty otherwise.
        arrives: an arrow ends there.
        leaves: an arrow begins there.
        value: of the counter.
    """

    act: Act
    track: int
    name: str = ""
    arrives: bool = False
    leaves: bool = False
    value: int = 0


@dataclass(frozen=True)
class Scene:
    """All items, in order of time. An end closes the slice of its track that was begun last.

    Attributes:
        tracks: groups before what is in them.
        shapes: what the items are.
        shape: number of each item's shape.
        stamp: ns since the first record of the trace.
        arrives: number of the arrow that ends at each; 0: none.
        leaves: number of the arrow that begins there; 0: none.
    """

    tracks: tuple[Track, ...]
    shapes: tuple[Shape, ...]
    shape: Indices
    stamp: Indices
    arrives: Indices
    leaves: Indices

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.shape)


def build_scene(history: History, verdict: Verdict | None = None) -> Scene:
    """Return what is shown of a trace.

    Args:
        history: the trace's intervals.
        verdict: where given, its violations become a track of their own.
    """
    return _Builder(history).build(verdict)


class _Columns(NamedTuple):
    record: Indices
    phase: Indices
    tie: Indices
    shape: Indices
    arrives: Indices
    leaves: Indices


class _Builder:
    """One scene: the tracks and shapes so far, and the columns of the items."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._trace = history.trace
        self._tracks: list[Track] = []
        self._shapes: list[Shape] = []
        self._columns: list[_Columns] = []
        self._shape = cache(self._new_shape)

    def build(self, verdict: Verdict | None) -> Scene:
        trace = self._trace
        flow = np.zeros(len(trace), dtype=np.int64)
        arrows = 1
        for one, other in (self._history.dpc_runs.runs(trace), self._history.irps.completions()):
            flow[one] = flow[other] = np.arange(arrows, arrows + len(one))
            arrows += len(one)
        chosen = trace.excerpt.window.cpus if trace.excerpt is not None else None
        for cpu in range(trace.cpus):
            if chosen is None or cpu in chosen:
                self._describe(cpu)
        self._add_runs(cpu_slices(self._history), flow)
        self._add_points(flow)
        self._add_irql()
        locks = LockSpans(self._history, arrows)
        self._add_locks(locks)
        self._add_threads(ThreadTracks(self._history, locks.next_arrow))
        if verdict is not None:
            self._add_violations(verdict)
        joined = _Columns(*(np.concatenate(column) for column in zip(*self._columns, strict=True)))
        order = np.lexsort((joined.tie, joined.phase, joined.record))
        return Scene(
            tracks=tuple(self._tracks),
            shapes=tuple(self._shapes),
            shape=joined.shape[order],
            stamp=np.round(trace.ns(trace.time[joined.record[order]])).astype(np.int64),
            arrives=joined.arrives[order],
            leaves=joined.leaves[order],
        )

    def _describe(self, cpu: int) -> None:
        self._tracks += [
            Track(_number(cpu, _GROUP), f"CPU {cpu}", 0, cpu + 1, counter=False),
            Track(_number(cpu, _RUNS), "runs", _number(cpu, _GROUP), 1, counter=False),
            Track(_number(cpu, _IRQL), "IRQL", _number(cpu, _GROUP), 0, counter=True),
        ]

    def _new_shape(self, shape: Shape) -> int:
        self._shapes.append(shape)
        return len(self._shapes) - 1

    def _add(
        self,
        record: Indices,
        act: Act,
        shape: Indices,
        *,
        tie: Indices | None = None,
        arrives: Indices | None = None,
        leaves: Indices | None = None,
    ) -> None:
        none = np.zeros(len(record), dtype=np.int64)
        phase = np.full(len(record), min(act, Act.BEGIN), dtype=np.int64)
        self._columns.append(
            _Columns(record, phase, *(none if each is None else each for each in (tie, shape, arrives, leaves)))
        )

    def _add_runs(self, slices: Slices, flow: Indices) -> None:
        trace = self._trace
        order = np.arange(len(slices), dtype=np.int64)
        calls = slices.kind == Kind.DISPATCH_ROUTINE
        leaves = np.where(calls & (slices.record == slices.source), flow[slices.record], 0)
        arrives = np.where(np.isin(slices.kind, (Kind.DPC, Kind.THREADED_DPC)), flow[slices.record], 0)
        word = np.where(slices.kind >= Kind.DPC, trace.arg1[slices.source], np.uint64(0))
        word = np.where(slices.kind == Kind.IPI_CALL, trace.arg0[slices.record], word)
        is_interrupt = np.isin(slices.kind, (Kind.DPC_INTERRUPT, Kind.INTERRUPT, Kind.SYSTEM_INTERRUPT))
        word = np.where(is_interrupt, trace.arg0[slices.record] & np.uint64(0xFF), word)
        begun = slices.kind == Kind.START_IO
        word[begun] = self._start_io_routines(slices.source[begun])
        threads = self._history.threads
        word = np.where(slices.kind == Kind.THREAD, threads.number[slices.record].astype(np.uint64), word)

        def begin(cpu: int, kind: int, word: int, arrives: bool, leaves: bool) -> int:
            is_thread = kind == Kind.THREAD
            name = threads.name(word) if is_thread else _slice_name(Kind(kind), word, trace.symbols.name)
            return self._shape(Shape(Act.BEGIN, _number(cpu, _RUNS), name, arrives, leaves))

        shape = _by_row(begin, slices.cpu, slices.kind, word, arrives > 0, leaves > 0)
        self._add(slices.record, Act.BEGIN, shape, tie=order, arrives=arrives, leaves=leaves)
        done = np.flatnonzero(~slices.open)
        closing = _by_row(lambda cpu: self._shape(Shape(Act.END, _number(cpu, _RUNS))), slices.cpu[done])
        self._add(slices.last[done], Act.END, closing, tie=-order[done])

    def _start_io_routines(self, entered: Indices) -> Words:
        """Return the StartIo routines of devices, by StartIoEnter records; the device, if none of it has returned."""
        trace, exits = self._trace, self._trace.where("StartIoExit")
        routines = dict(zip(trace.arg0[exits].tolist(), trace.arg1[exits].tolist(), strict=True))
        return np.array([routines.get(device, device) for device in trace.arg0[entered].tolist()], dtype=np.uint64)

    def _add_points(self, flow: Indices) -> None:
        trace = self._trace
        index = trace.where(*INSTANTS)
        leaves = np.where(trace.are(index, "DpcInsert"), flow[index], 0)
        arrives = np.where(trace.are(index, "IrpComplete"), flow[index], 0)

        def point(cpu: int, event: int, arrives: bool, leaves: bool) -> int:
            return self._shape(Shape(Act.POINT, _number(cpu, _RUNS), trace.meta.events.name(event), arrives, leaves))

        shape = _by_row(point, trace.cpu[index], trace.event[index], arrives > 0, leaves > 0)
        self._add(index, Act.POINT, shape, arrives=arrives, leaves=leaves)

    def _add_irql(self) -> None:
        trace = self._trace
        mine = trace.by_cpu
        level = self._history.irql_after[mine].astype(np.int64)
        changed = np.ones(len(mine), dtype=np.bool_)
        changed[1:] = (level[1:] != level[:-1]) | (trace.cpu[mine[1:]] != trace.cpu[mine[:-1]])
        index, level = mine[changed], level[changed]
        shape = _by_row(
            lambda cpu, value: self._shape(Shape(Act.COUNT, _number(cpu, _IRQL), value=value)), trace.cpu[index], level
        )
        self._add(index, Act.COUNT, shape)

    def _add_locks(self, locks: LockSpans) -> None:
        for cpu, lane in np.unique(np.stack([locks.cpu, locks.lane], axis=1), axis=0).tolist():
            name = "locks" if lane == 0 else f"locks {lane + 1}"
            track = Track(_number(cpu, _LOCKS + lane), name, _number(cpu, _GROUP), 2 + lane, counter=False)
            self._tracks.append(track)

        def begin(cpu: int, lane: int, lock: int, kind: int, arrives: bool, leaves: bool) -> int:
            return self._shape(
                Shape(Act.BEGIN, _number(cpu, _LOCKS + lane), locks.text(lock, kind), arrives, leaves),
            )

        opening = _by_row(begin, locks.cpu, locks.lane, locks.lock, locks.kind, locks.arrives > 0, locks.leaves > 0)
        self._add(locks.start, Act.BEGIN, opening, arrives=locks.arrives, leaves=locks.leaves)
        done = np.flatnonzero(~locks.open)
        closing = _by_row(
            lambda cpu, lane: self._shape(Shape(Act.END, _number(cpu, _LOCKS + lane))),
            locks.cpu[done],
            locks.lane[done],
        )
        self._add(locks.end[done], Act.END, closing)

    def _add_threads(self, shown: ThreadTracks) -> None:
        if not shown.names:
            return
        self._tracks.append(Track(_THREADS, "threads", 0, self._trace.cpus + 1, counter=False))
        for number, name in enumerate(shown.names):
            self._tracks.append(Track(_THREADS + 1 + number, name, _THREADS, number, counter=False))
        begin = np.array([each.begin for each in shown.slices], dtype=np.int64)
        end = np.array([each.end for each in shown.slices], dtype=np.int64)
        flow = np.array([each.flow for each in shown.slices], dtype=np.int64)
        opening, closing = (
            np.array([self._state(act, *each[::3], each.flow) for each in shown.slices], dtype=np.int64)
            for act in (Act.BEGIN, Act.END)
        )
        self._add(begin, Act.BEGIN, opening, arrives=flow)
        done = end >= 0
        self._add(end[done], Act.END, closing[done])
        points = np.array([each.record for each in shown.signals], dtype=np.int64)
        arrows = np.array([each.flow for each in shown.signals], dtype=np.int64)
        shape = [
            self._shape(Shape(Act.POINT, _number(cpu, _RUNS), each.name, leaves=each.flow > 0))
            for each, cpu in zip(shown.signals, self._trace.cpu[points].tolist(), strict=True)
        ]
        self._add(points, Act.POINT, np.array(shape, dtype=np.int64), leaves=arrows)

    def _state(self, act: Act, track: int, name: str, flow: int) -> int:
        if act is Act.END:
            return self._shape(Shape(act, _THREADS + 1 + track))
        return self._shape(Shape(act, _THREADS + 1 + track, name, arrives=flow > 0))

    def _add_violations(self, verdict: Verdict) -> None:
        self._tracks.append(Track(_VIOLATIONS, "violations", 0, 0, counter=False))
        shown = [violation for violation in verdict.violations if violation.records]
        index = np.array([max(violation.records) for violation in shown], dtype=np.int64)
        texts = [f"{violation.clause}: {violation.text}" for violation in shown]
        shape = np.array([self._shape(Shape(Act.POINT, _VIOLATIONS, text)) for text in texts], dtype=np.int64)
        self._add(index, Act.POINT, shape)


def _by_row(make: Callable[..., int], *columns: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Indices:
    """Call `make` once for each distinct row, and return its result for every row."""
    count = len(columns[0])
    group = np.zeros(count, dtype=np.int64)
    for column in columns:
        values = np.unique(column)
        group = group * len(values) + np.searchsorted(values, column)
        group = np.searchsorted(np.unique(group), group)
    _, first = np.unique(group, return_index=True)
    made = [make(*(column[at].item() for column in columns)) for at in first]
    return np.array(made, dtype=np.int64)[group]


def _slice_name(kind: Kind, word: int, symbol: Callable[[int], str]) -> str:
    match kind:
        case Kind.IDLE | Kind.THREAD:  # a thread has a name of its own
            return kind.name.lower()
        case Kind.DPC_INTERRUPT | Kind.INTERRUPT | Kind.SYSTEM_INTERRUPT:
            return f"vector {word:#x}"
        case Kind.ISR | Kind.DPC:
            return f"{kind.name} {symbol(word)}"
        case Kind.SYNC:
            return f"synchronised {symbol(word)}"
        case Kind.THREADED_DPC:
            return f"threaded DPC {symbol(word)}"
        case Kind.IPI_CALL:
            return f"called on all CPUs: {symbol(word)}"
        case Kind.APC:
            return f"APC {symbol(word)}"
        case Kind.WORK_ITEM:
            return f"work item {symbol(word)}"
        case Kind.DISPATCH_ROUTINE:
            return major_name(major_function(word))
        case Kind.START_IO:
            return f"StartIo {symbol(word)}"


def _number(cpu: int, which: int) -> int:
    return (cpu + 1) * _PER_CPU + which
