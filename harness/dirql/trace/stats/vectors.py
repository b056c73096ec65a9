# SPDX-License-Identifier: Apache-2.0
"""Numbers of the interrupts of a trace, vector by vector: who took them, what they called, how long it took."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.trace.history.history import DISPATCH_LEVEL, interrupted_irql, vector_of
from dirql.trace.quiet import connections
from dirql.trace.stats.part import Part
from dirql.trace.stats.percentiles import Percentiles

if TYPE_CHECKING:
    from dirql.trace.history.history import History

_LEVELS = {1: "APC", 2: "DPC", 13: "clock", 14: "IPI", 15: "high"}
_LOW_BYTE = np.uint64(0xFF)


@dataclass(frozen=True)
class VectorStats:
    """The interrupts of one vector. Times are in ns.

    Attributes:
        vector: the vector.
        irql: the IRQL that it is served at.
        what: `device`, or `APC`, `DPC`, `clock`, `IPI`, `high` by that.
        cpus: how many each CPU took.
        unexpected: how many found nothing connected.
        nested: how many interrupted another interrupt or a device's IRQL.
        sent: how many the CPUs sent (IPIs); a CPU that was sent one to all others counts once.
        routines: the service routines that they called, the most called first.
        name: the name of the first of these, else `what`.
        claimed: service routines' runs that returned TRUE.
        unclaimed: those that returned FALSE.
        entry: from InterruptEnter to the first service routine of each: dispatching, and spinning.
        isr: in service routines, with what interrupted them.
        time: from InterruptEnter to InterruptExit, likewise.
    """

    vector: int
    irql: int
    what: str
    cpus: tuple[int, ...]
    unexpected: int
    nested: int
    sent: int
    routines: tuple[int, ...]
    name: str
    claimed: int
    unclaimed: int
    entry: Percentiles
    isr: Percentiles
    time: Percentiles

    @property
    def count(self) -> int:
        """How many were taken."""
        return sum(self.cpus)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def vector_statistics(history: History, part: Part | None = None) -> tuple[VectorStats, ...]:
    """Return the numbers of all vectors that were taken, devices first, each kind by vector."""
    trace = history.trace
    part = part or Part.of(trace)
    taken, sent, unexpected = (part.of_event(name) for name in ("InterruptEnter", "IpiSend", "UnexpectedInterrupt"))
    vectors = vector_of(trace, taken)
    sent_vector, odd = (trace.arg0[index] & _LOW_BYTE for index in (sent, unexpected))
    nested = interrupted_irql(trace, taken) > DISPATCH_LEVEL
    spans, times = part.durations(history.interrupts)
    span_vector = vector_of(trace, history.interrupts.start[spans])
    # A service routine's vector is that of the interrupt it runs in; an interrupt's entry is to its first routine.
    enter, end = history.isrs.start, history.isrs.end
    frame = history.in_frames.opener[enter]
    known = (frame >= 0) & part.holds(enter)
    enter, end, frame = enter[known], end[known], frame[known]
    isr_vector = vector_of(trace, frame)
    _, first = np.unique(frame, return_index=True)
    isr_time = trace.ns(trace.time[end] - trace.time[enter])
    claimed = (trace.arg1[end] & _LOW_BYTE) != 0
    table = connections(trace)
    device = set(table.vector.tolist()) | set(isr_vector.tolist())
    found = []
    for vector in np.unique(vectors).tolist():
        mine = isr_vector == vector
        firsts = first[isr_vector[first] == vector]
        routines, counts = np.unique(trace.arg1[enter[mine]], return_counts=True)
        ordered = tuple(int(routine) for routine in routines[np.argsort(-counts, kind="stable")])
        what = "device" if vector in device else _LEVELS.get(vector >> 4, "device")
        found.append(
            VectorStats(
                vector=vector,
                irql=vector >> 4,
                what=what,
                cpus=part.per_cpu(trace.cpu[taken[vectors == vector]]),
                unexpected=int((odd == vector).sum()),
                nested=int(nested[vectors == vector].sum()),
                sent=int((sent_vector == vector).sum()),
                routines=ordered,
                name=trace.symbols.name(ordered[0]) if ordered else what,
                claimed=int((mine & claimed).sum()),
                unclaimed=int((mine & ~claimed).sum()),
                entry=Percentiles.of(trace.ns(trace.time[enter[firsts]] - trace.time[frame[firsts]])),
                isr=Percentiles.of(isr_time[mine]),
                time=Percentiles.of(times[span_vector == vector]),
            )
        )
    return tuple(sorted(found, key=lambda each: (each.what != "device", each.vector)))
