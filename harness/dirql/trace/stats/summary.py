# SPDX-License-Identifier: Apache-2.0
"""Numbers from a trace, of all of it or of a part: CPUs, interrupts, DPCs, locks, threads, IRPs, latencies."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from dirql.trace.history.history import History
from dirql.trace.schema import Indices
from dirql.trace.stats.cpus import CpuStats, cpu_statistics
from dirql.trace.stats.dpcs import DpcStats, dpc_statistics
from dirql.trace.stats.irps import IrpStats, irp_statistics
from dirql.trace.stats.locks import LockStats, lock_statistics
from dirql.trace.stats.part import Part
from dirql.trace.stats.percentiles import Percentiles
from dirql.trace.stats.threads import ThreadStats, thread_statistics
from dirql.trace.stats.vectors import VectorStats, vector_statistics

__all__ = [
    "CpuStats",
    "DpcStats",
    "IrpStats",
    "LockStats",
    "Percentiles",
    "ThreadStats",
    "TraceStats",
    "VectorStats",
    "statistics",
]


@dataclass(frozen=True)
class TraceStats:
    """Numbers of a trace.

    Attributes:
        mode: `mt`, `icount` or `kvm`: in icount times are virtual.
        records: records in the trace, or in the part of it that was asked for.
        duration: ns from the first to the last, or of that part.
        cpus: each CPU's numbers.
        isr_enter: ns from InterruptEnter to the first IsrEnter of that interrupt: dispatching, and spinning.
        dpc_latency: ns from the insertion of a DPC to its start.
        lock_wait: ns from LockWait to LockAcquired.
        lock_hold: ns from LockAcquired to LockReleased.
        threads: each thread's numbers, the busiest first.
        irps: the IRPs of each device and major function, the most frequent first.
        locks: each lock's numbers, the most contended first.
        dpcs: each DPC's numbers, the most run first.
        vectors: each interrupt vector's numbers, devices first.
        begin: ns from the trace's first record to the begin of the part; 0 for all of it.
    """

    mode: str
    records: int
    duration: float
    cpus: tuple[CpuStats, ...]
    isr_enter: Percentiles
    dpc_latency: Percentiles
    lock_wait: Percentiles
    lock_hold: Percentiles
    threads: tuple[ThreadStats, ...] = ()
    irps: tuple[IrpStats, ...] = ()
    locks: tuple[LockStats, ...] = ()
    dpcs: tuple[DpcStats, ...] = ()
    vectors: tuple[VectorStats, ...] = ()
    begin: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = asdict(self)
        data["cpus"] = [cpu.to_json() for cpu in self.cpus]
        return data

    @property
    def latencies(self) -> dict[str, Percentiles]:
        """The distributions that are not of a single CPU, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Percentiles)}


def statistics(history: History, part: Part | None = None) -> TraceStats:
    """Count and time what a trace holds.

    Args:
        history: the trace's intervals.
        part: the part of it that counts; None for all.
    """
    trace = history.trace
    part = part or Part.of(trace)
    insert, run = history.dpc_runs.runs(trace)
    inside = part.holds(insert)
    insert, run = insert[inside], run[inside]
    return TraceStats(
        mode=trace.meta.mode,
        records=len(trace) if part.whole else int(part.holds(np.arange(len(trace))).sum()),
        duration=part.duration,
        cpus=cpu_statistics(history, part),
        isr_enter=Percentiles.of(_isr_entries(history, part)),
        dpc_latency=Percentiles.of(trace.ns(np.maximum(trace.time[run] - trace.time[insert], 0))),
        lock_wait=Percentiles.of(_lock_waits(history, part)),
        lock_hold=Percentiles.of(part.durations(history.holds)[1]),
        threads=thread_statistics(history, part),
        irps=irp_statistics(history, part),
        locks=lock_statistics(history, part),
        dpcs=dpc_statistics(history, part),
        vectors=vector_statistics(history, part),
        begin=float(trace.ns(np.array([part.since]))[0]),
    )


def _isr_entries(history: History, part: Part) -> npt.NDArray[np.float64]:
    """Time the way of each interrupt into its first service routine."""
    trace = history.trace
    enter = part.of_event("IsrEnter")
    frame = history.in_frames.opener[enter]
    enter, frame = enter[frame >= 0], frame[frame >= 0]
    _, first = np.unique(frame, return_index=True)
    return trace.ns(trace.time[enter[first]] - trace.time[frame[first]])


def _lock_waits(history: History, part: Part) -> npt.NDArray[np.float64]:
    """Time each contended acquisition: LockWait to the next LockAcquired of that lock on that CPU."""
    trace = history.trace
    steps = trace.where("LockWait", "LockAcquired")
    order = np.lexsort((steps, trace.cpu[steps], trace.arg0[steps]))
    steps = steps[order]
    waits: Indices = np.flatnonzero(trace.are(steps[:-1], "LockWait") & trace.are(steps[1:], "LockAcquired"))
    one, other = steps[waits], steps[waits + 1]
    same = (trace.cpu[one] == trace.cpu[other]) & (trace.arg0[one] == trace.arg0[other]) & part.holds(one)
    return trace.ns(trace.time[other[same]] - trace.time[one[same]])
