# SPDX-License-Identifier: Apache-2.0
"""Exports a trace for the Perfetto viewer: per CPU what it ran, its IRQL and its spin locks; what each thread did.

Arrows lead from the insertion of a DPC to its run, from a signal to the thread that it let go, and from the call of a
driver with an IRP to the IRP's completion.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history import History
from dirql.trace.irps import major_function, major_name
from dirql.trace.packets import PacketWriter
from dirql.trace.perfetto_threads import ThreadTracks
from dirql.trace.schema import Indices, Words
from dirql.trace.slices import Kind, Slices, cpu_slices

if TYPE_CHECKING:
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TracePacket

    from dirql.trace.oracle.verdict import Verdict

_SEQUENCE = 1
_VIOLATIONS = 1
_THREADS = 1 << 40
_PER_CPU = 1 << 16
_GROUP, _RUNS, _IRQL, _LOCKS = range(4)
_ENDS, _BEGINS = 0, 1

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


def write_perfetto(history: History, path: Path, verdict: Verdict | None = None) -> int:
    """Write a trace as a Perfetto protobuf file. Times are ns since the first record.

    Args:
        history: the trace's intervals.
        path: the file to write.
        verdict: where given, its violations become a track of their own.

    Returns:
        The number of packets written.
    """
    return _Export(history).write(path, verdict)


class _Export:
    """One export: the tracks and names so far, and the columns of the packets."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._trace = history.trace
        self._writer = PacketWriter()
        self._names: dict[str, int] = {}
        self._tracks: list[TracePacket] = []
        self._columns: list[tuple[Indices, Indices, Indices, Indices, Indices]] = []
        self._template = cache(self._make_template)

    def write(self, path: Path, verdict: Verdict | None) -> int:
        flow = np.zeros(len(self._trace), dtype=np.int64)
        arrows = 1
        for one, other in (self._history.dpc_runs.runs(self._trace), self._history.irps.completions()):
            flow[one] = flow[other] = np.arange(arrows, arrows + len(one))
            arrows += len(one)
        for cpu in range(self._trace.cpus):
            self._describe(cpu)
        self._add_runs(cpu_slices(self._history), flow)
        self._add_instants(flow)
        self._add_irql()
        self._add_locks()
        self._add_threads(ThreadTracks(self._history, arrows))
        if verdict is not None:
            self._add_violations(verdict)
        record, phase, tie, template, flows = (np.concatenate(column) for column in zip(*self._columns, strict=True))
        order = np.lexsort((tie, phase, record))
        stamp = np.round(self._trace.ns(self._trace.time[record[order]])).astype(np.int64)
        body = self._writer.write(template[order], stamp, flows[order])
        path.write_bytes(self._head() + body)
        return len(order)

    def _head(self) -> bytes:
        from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TracePacket

        first = TracePacket(trusted_packet_sequence_id=_SEQUENCE)
        first.sequence_flags = TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
        for name, number in self._names.items():
            first.interned_data.event_names.add(iid=number, name=name)
        data: bytes = Trace(packet=[first, *self._tracks]).SerializeToString()
        return data

    def _describe(self, cpu: int) -> None:
        self._track(_uuid(cpu, _GROUP), f"CPU {cpu}", rank=cpu + 1)
        self._track(_uuid(cpu, _RUNS), "runs", parent=_uuid(cpu, _GROUP), rank=1)
        self._track(_uuid(cpu, _IRQL), "IRQL", parent=_uuid(cpu, _GROUP), rank=0, counter=True)

    def _track(self, uuid: int, name: str, *, parent: int = 0, rank: int = 0, counter: bool = False) -> None:
        from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TracePacket, TrackDescriptor

        packet = TracePacket(trusted_packet_sequence_id=_SEQUENCE)
        track = packet.track_descriptor
        track.uuid, track.name, track.sibling_order_rank = uuid, name, rank
        track.child_ordering = TrackDescriptor.EXPLICIT
        if parent:
            track.parent_uuid = parent
        if counter:
            track.counter.SetInParent()
        self._tracks.append(packet)

    def _make_template(self, kind: str, track: int, name: str, flow: str = "", value: int = 0) -> int:
        """Return the template for packets that differ in time and flow id only."""
        from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TracePacket, TrackEvent

        packet = TracePacket(trusted_packet_sequence_id=_SEQUENCE)
        packet.sequence_flags = TracePacket.SEQ_NEEDS_INCREMENTAL_STATE
        event = packet.track_event
        event.type = getattr(TrackEvent, f"TYPE_{kind}")
        event.track_uuid = track
        if name:
            event.name_iid = self._names.setdefault(name, len(self._names) + 1)
        if kind == "COUNTER":
            event.counter_value = value
        if flow:
            getattr(event, flow).append(self._writer.flow_holder())
        return self._writer.template(packet, flow=bool(flow))

    def _add(self, record: Indices, phase: int, tie: Indices, template: Indices, flow: Indices) -> None:
        self._columns.append((record, np.full(len(record), phase, dtype=np.int64), tie, template, flow))

    def _add_runs(self, slices: Slices, flow: Indices) -> None:
        trace = self._trace
        order = np.arange(len(slices), dtype=np.int64)
        arrow = np.isin(slices.kind, (Kind.DPC, Kind.THREADED_DPC, Kind.DISPATCH_ROUTINE))
        arrow &= (slices.kind != Kind.DISPATCH_ROUTINE) | (slices.record == slices.source)
        started = np.where(arrow, flow[slices.record], 0)
        word = np.where(slices.kind >= Kind.DPC, trace.arg1[slices.source], np.uint64(0))
        word = np.where(slices.kind == Kind.IPI_CALL, trace.arg0[slices.record], word)
        is_interrupt = np.isin(slices.kind, (Kind.DPC_INTERRUPT, Kind.INTERRUPT, Kind.SYSTEM_INTERRUPT))
        word = np.where(is_interrupt, trace.arg0[slices.record] & np.uint64(0xFF), word)
        begun = slices.kind == Kind.START_IO
        word[begun] = self._start_io_routines(slices.source[begun])
        threads = self._history.threads
        word = np.where(slices.kind == Kind.THREAD, threads.number[slices.record].astype(np.uint64), word)

        def begin(cpu: int, kind: int, word: int, flows: int) -> int:
            is_thread = kind == Kind.THREAD
            name = threads.name(word) if is_thread else _slice_name(Kind(kind), word, trace.symbols.name)
            way = "flow_ids" if kind == Kind.DISPATCH_ROUTINE else "terminating_flow_ids"
            return self._template("SLICE_BEGIN", _uuid(cpu, _RUNS), name, way if flows else "")

        template = _by_row(begin, slices.cpu, slices.kind, word, started > 0)
        self._add(slices.record, _BEGINS, order, template, started)
        done = np.flatnonzero(~slices.open)
        closing = _by_row(lambda cpu: self._template("SLICE_END", _uuid(cpu, _RUNS), ""), slices.cpu[done])
        self._add(slices.last[done], _ENDS, -order[done], closing, np.zeros(len(done), dtype=np.int64))

    def _start_io_routines(self, entered: Indices) -> Words:
        """Return the StartIo routines of devices, by StartIoEnter records; the device, if none of it has returned."""
        trace, exits = self._trace, self._trace.where("StartIoExit")
        routines = dict(zip(trace.arg0[exits].tolist(), trace.arg1[exits].tolist(), strict=True))
        return np.array([routines.get(device, device) for device in trace.arg0[entered].tolist()], dtype=np.uint64)

    def _add_instants(self, flow: Indices) -> None:
        trace = self._trace
        index = trace.where(*INSTANTS)
        complete = trace.meta.events.numbers.get("IrpComplete", -1)

        def point(cpu: int, event: int, flows: int) -> int:
            name = trace.meta.events.name(event)
            way = "terminating_flow_ids" if event == complete else "flow_ids"
            return self._template("INSTANT", _uuid(cpu, _RUNS), name, way if flows else "")

        starts = (trace.are(index, "DpcInsert") | trace.are(index, "IrpComplete")) & (flow[index] > 0)
        template = _by_row(point, trace.cpu[index], trace.event[index], starts)
        self._add(index, _BEGINS, np.zeros(len(index), dtype=np.int64), template, flow[index])

    def _add_irql(self) -> None:
        trace = self._trace
        mine = trace.by_cpu
        level = self._history.irql_after[mine].astype(np.int64)
        changed = np.ones(len(mine), dtype=np.bool_)
        changed[1:] = (level[1:] != level[:-1]) | (trace.cpu[mine[1:]] != trace.cpu[mine[:-1]])
        index, level = mine[changed], level[changed]
        template = _by_row(
            lambda cpu, value: self._template("COUNTER", _uuid(cpu, _IRQL), "", value=value), trace.cpu[index], level
        )
        none = np.zeros(len(index), dtype=np.int64)
        self._add(index, _BEGINS, none, template, none)

    def _add_locks(self) -> None:
        trace, spans = self._trace, (self._history.holds, self._history.shared_holds)
        start = np.concatenate([span.start for span in spans])
        order = np.argsort(start, kind="stable")
        start = start[order]
        end = np.concatenate([span.end for span in spans])[order]
        cpus, keys = trace.cpu[start], trace.arg0[start]
        shared = trace.are(start, "LockSharedAcquired")
        lane = lanes(cpus, trace.position[start], trace.position[end])
        for cpu, number in np.unique(np.stack([cpus, lane], axis=1), axis=0).tolist():
            name = "locks" if number == 0 else f"locks {number + 1}"
            self._track(_uuid(cpu, _LOCKS + number), name, parent=_uuid(cpu, _GROUP), rank=2 + number)
        opening = _by_row(
            lambda cpu, lane, lock, reads: self._template(
                "SLICE_BEGIN",
                _uuid(cpu, _LOCKS + lane),
                f"lock {trace.symbols.name(lock)}{' (reader)' if reads else ''}",
            ),
            cpus,
            lane,
            keys,
            shared,
        )
        closing = _by_row(lambda cpu, lane: self._template("SLICE_END", _uuid(cpu, _LOCKS + lane), ""), cpus, lane)
        none = np.zeros(len(start), dtype=np.int64)
        self._add(start, _BEGINS, none, opening, none)
        self._add(end, _ENDS, none, closing, none)

    def _add_threads(self, shown: ThreadTracks) -> None:
        if not shown.names:
            return
        self._track(_THREADS, "threads", rank=self._trace.cpus + 1)
        for number, name in enumerate(shown.names):
            self._track(_THREADS + 1 + number, name, parent=_THREADS, rank=number)
        begin = np.array([each.begin for each in shown.slices], dtype=np.int64)
        end = np.array([each.end for each in shown.slices], dtype=np.int64)
        flow = np.array([each.flow for each in shown.slices], dtype=np.int64)
        opening, closing = (
            np.array([self._state(kind, *each[::3], each.flow) for each in shown.slices], dtype=np.int64)
            for kind in ("SLICE_BEGIN", "SLICE_END")
        )
        none = np.zeros(len(begin), dtype=np.int64)
        self._add(begin, _BEGINS, none, opening, flow)
        done = end >= 0
        self._add(end[done], _ENDS, none[done], closing[done], none[done])
        points = np.array([each.record for each in shown.signals], dtype=np.int64)
        arrows = np.array([each.flow for each in shown.signals], dtype=np.int64)
        template = [
            self._template("INSTANT", _uuid(cpu, _RUNS), each.name, "flow_ids" if each.flow else "")
            for each, cpu in zip(shown.signals, self._trace.cpu[points].tolist(), strict=True)
        ]
        self._add(points, _BEGINS, np.zeros(len(points), dtype=np.int64), np.array(template, dtype=np.int64), arrows)

    def _state(self, kind: str, track: int, name: str, flow: int) -> int:
        if kind == "SLICE_END":
            return self._template(kind, _THREADS + 1 + track, "")
        return self._template(kind, _THREADS + 1 + track, name, "terminating_flow_ids" if flow else "")

    def _add_violations(self, verdict: Verdict) -> None:
        self._track(_VIOLATIONS, "violations")
        shown = [violation for violation in verdict.violations if violation.records]
        index = np.array([max(violation.records) for violation in shown], dtype=np.int64)
        texts = [f"{violation.clause}: {violation.text}" for violation in shown]
        template = np.array([self._template("INSTANT", _VIOLATIONS, text) for text in texts], dtype=np.int64)
        none = np.zeros(len(index), dtype=np.int64)
        self._add(index, _BEGINS, none, template, none)


def lanes(cpu: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], begin: Indices, end: Indices) -> Indices:
    """Spread intervals, sorted by beginning on each CPU, over as few lanes per CPU as let all in a lane nest."""
    lane = np.zeros(len(begin), dtype=np.int64)
    open_until: dict[tuple[int, int], list[int]] = {}
    rows = zip(cpu.tolist(), begin.tolist(), end.tolist(), strict=True)
    for at, (number, first, last) in enumerate(rows):
        tried = 0
        while True:
            stack = open_until.setdefault((number, tried), [])
            while stack and stack[-1] <= first:
                stack.pop()
            if not stack or stack[-1] >= last:
                stack.append(last)
                break
            tried += 1
        lane[at] = tried
    return lane


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


def _uuid(cpu: int, which: int) -> int:
    return (cpu + 1) * _PER_CPU + which
