# SPDX-License-Identifier: Apache-2.0
"""Numbers of the CPUs of a trace: what each did, for how long, and at which IRQL."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.trace.history.history import vector_of
from dirql.trace.stats.part import Part
from dirql.trace.stats.percentiles import Percentiles

if TYPE_CHECKING:
    from dirql.trace.history.history import History
    from dirql.trace.history.intervals import Intervals

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
        events: how many records of each event, by its name; those that there are.
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
    events: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = asdict(self)
        data["interrupts"] = {f"{vector:#x}": count for vector, count in self.interrupts.items()}
        return data


def cpu_statistics(history: History, part: Part | None = None) -> tuple[CpuStats, ...]:
    """Return the numbers of each CPU of the part."""
    part = part or Part.of(history.trace)
    return tuple(_of(history, part, cpu) for cpu in part.cpus)


def _of(history: History, part: Part, cpu: int) -> CpuStats:
    trace = history.trace
    mine = trace.on_cpu(cpu)
    inside = mine[part.holds(mine)]
    event = trace.event[inside]
    names = {number: name for name, number in trace.meta.events.numbers.items()}
    numbers = np.bincount(event)
    taken = inside[trace.are(inside, "InterruptEnter")]
    count = np.bincount(vector_of(trace, taken), minlength=256)
    time = trace.time[mine]
    share = np.zeros(IRQL_LEVELS)
    spent = part.clip(time[:-1], time[1:])
    total = float(spent.sum())
    if total:
        level = np.minimum(history.irql_after[mine[:-1]], IRQL_LEVELS - 1)
        share = np.bincount(level, weights=spent, minlength=IRQL_LEVELS) / total
    start, end = history.halts
    own = trace.cpu[start] == cpu
    halted = float(part.clip(trace.time[start[own]], trace.time[end[own]]).sum())
    return CpuStats(
        cpu=cpu,
        records=len(inside),
        lost=trace.lost[cpu],
        interrupts={vector: int(count[vector]) for vector in np.flatnonzero(count).tolist()},
        unexpected=int(trace.are(inside, "UnexpectedInterrupt").sum()),
        isr=_times(history.isrs, part, cpu),
        dpc=_times(history.dpcs, part, cpu),
        sync=_times(history.syncs, part, cpu),
        contended=int(trace.are(inside, "LockWait").sum()),
        irql_share=tuple(float(each) for each in share),
        halted=halted / total if total else 0.0,
        events={
            names.get(number, f"event {number}"): int(numbers[number]) for number in np.flatnonzero(numbers).tolist()
        },
    )


def _times(spans: Intervals, part: Part, cpu: int) -> Percentiles:
    chosen, times = part.durations(spans)
    return Percentiles.of(times[spans.cpu[chosen] == cpu])
