# SPDX-License-Identifier: Apache-2.0
"""Numbers from a trace: what each CPU did, for how long, and at which IRQL."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from dirql.trace.history import History
from dirql.trace.intervals import Intervals
from dirql.trace.irp_stats import IrpStats, irp_statistics
from dirql.trace.percentiles import Percentiles
from dirql.trace.schema import Indices
from dirql.trace.thread_stats import ThreadStats, thread_statistics

__all__ = ["CpuStats", "IrpStats", "Percentiles", "TraceStats", "statistics"]

IRQL_LEVELS = 16


@dataclass(frozen=True)
class CpuStats:
    """What one CPU did.

    Attributes:
        cpu: its number.
        records: its records in the trace.
        lost: its records that are missing.
        interrupts: interrupts taken, by vector.
        unexpected: interrupts that nothing was connected to.
        isr: time in service routines, each with what interrupted it.
        dpc: time in DPC routines, likewise.
        sync: time in synchronised routines, likewise.
        contended: acquisitions of spin locks that had to wait.
        irql_share: part of the CPU's time at each IRQL, 0 to 15; sums to 1. Known from the records: a level that a
            driver entered and left between two records of its CPU is not seen.
        halted: part of the CPU's time in which it was halted.
    """

    cpu: int
    records: int
    lost: int
    interrupts: dict[int, int]
    unexpected: int
    isr: Percentiles
    dpc: Percentiles
    sync: Percentiles
    contended: int
    irql_share: tuple[float, ...]
    halted: float


@dataclass(frozen=True)
class TraceStats:
    """Numbers of a whole trace.

    Attributes:
        mode: `mt`, `icount` or `kvm`: in icount times are virtual.
        records: records in the trace.
        duration: ns from the first to the last.
        cpus: each CPU's numbers.
        isr_enter: ns from InterruptEnter to the first IsrEnter of that interrupt: dispatching, and spinning.
        dpc_latency: ns from the insertion of a DPC to its start.
        lock_wait: ns from LockWait to LockAcquired.
        lock_hold: ns from LockAcquired to LockReleased.
        threads: each thread's numbers, the busiest first.
        irps: the IRPs of each device and major function, the most frequent first.
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

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = asdict(self)
        for cpu in data["cpus"]:
            cpu["interrupts"] = {f"{vector:#x}": count for vector, count in cpu["interrupts"].items()}
        return data

    @property
    def latencies(self) -> dict[str, Percentiles]:
        """The distributions that are not of a single CPU, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Percentiles)}


def statistics(history: History) -> TraceStats:
    """Count and time what a trace holds."""
    trace = history.trace
    duration = float(trace.ns(trace.time[-1:] - trace.time[:1])[0]) if len(trace) else 0.0
    insert, run = history.dpc_runs.runs(trace)
    return TraceStats(
        mode=trace.meta.mode,
        records=len(trace),
        duration=duration,
        cpus=tuple(_of_cpu(history, cpu) for cpu in range(trace.cpus)),
        isr_enter=Percentiles.of(_isr_entries(history)),
        dpc_latency=Percentiles.of(trace.ns(np.maximum(trace.time[run] - trace.time[insert], 0))),
        lock_wait=Percentiles.of(_lock_waits(history)),
        lock_hold=Percentiles.of(_durations(history, history.holds)),
        threads=thread_statistics(history),
        irps=irp_statistics(history),
    )


def _of_cpu(history: History, cpu: int) -> CpuStats:
    trace = history.trace
    mine = trace.on_cpu(cpu)
    events = trace.meta.events
    event = trace.event[mine]
    taken = mine[event == events["InterruptEnter"]]
    count = np.bincount((trace.arg0[taken] & np.uint64(0xFF)).astype(np.int64), minlength=256)
    time = trace.time[mine]
    share = np.zeros(IRQL_LEVELS)
    spent = np.diff(time)
    if len(spent) and spent.sum():
        level = np.minimum(history.irql_after[mine[:-1]], IRQL_LEVELS - 1)
        share = np.bincount(level, weights=spent, minlength=IRQL_LEVELS) / spent.sum()
    start, end = history.halts
    own = trace.cpu[start] == cpu
    halted = float((trace.time[end[own]] - trace.time[start[own]]).sum())
    return CpuStats(
        cpu=cpu,
        records=len(mine),
        lost=trace.lost[cpu],
        interrupts={vector: int(count[vector]) for vector in np.flatnonzero(count).tolist()},
        unexpected=int((event == events["UnexpectedInterrupt"]).sum()),
        isr=Percentiles.of(_durations(history, history.isrs, cpu)),
        dpc=Percentiles.of(_durations(history, history.dpcs, cpu)),
        sync=Percentiles.of(_durations(history, history.syncs, cpu)),
        contended=int((event == events["LockWait"]).sum()),
        irql_share=tuple(float(part) for part in share),
        halted=halted / float(spent.sum()) if spent.sum() else 0.0,
    )


def _durations(history: History, spans: Intervals, cpu: int | None = None) -> npt.NDArray[np.float64]:
    trace = history.trace
    time = trace.ns(trace.time[spans.end] - trace.time[spans.start])
    return time if cpu is None else time[spans.cpu == cpu]


def _isr_entries(history: History) -> npt.NDArray[np.float64]:
    """Time the way of each interrupt into its first service routine."""
    trace = history.trace
    enter = trace.where("IsrEnter")
    frame = history.in_frames.opener[enter]
    enter, frame = enter[frame >= 0], frame[frame >= 0]
    _, first = np.unique(frame, return_index=True)
    return trace.ns(trace.time[enter[first]] - trace.time[frame[first]])


def _lock_waits(history: History) -> npt.NDArray[np.float64]:
    """Time each contended acquisition: LockWait to the next LockAcquired of that lock on that CPU."""
    trace = history.trace
    steps = trace.where("LockWait", "LockAcquired")
    order = np.lexsort((steps, trace.cpu[steps], trace.arg0[steps]))
    steps = steps[order]
    waits: Indices = np.flatnonzero(trace.are(steps[:-1], "LockWait") & trace.are(steps[1:], "LockAcquired"))
    one, other = steps[waits], steps[waits + 1]
    same = (trace.cpu[one] == trace.cpu[other]) & (trace.arg0[one] == trace.arg0[other])
    return trace.ns(trace.time[other[same]] - trace.time[one[same]])
