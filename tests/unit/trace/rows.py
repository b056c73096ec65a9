# SPDX-License-Identifier: Apache-2.0
"""Records as the tests handle them, and the traces made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.clock import Clock
from dirql.trace.decode import Trace
from dirql.trace.folder import TraceMeta
from dirql.trace.schema import Records, record_dtype
from tests.unit.trace.header import RECORD_LAYOUT, RECORD_SIZE, events_of_header

if TYPE_CHECKING:
    from dirql.trace.accounting import Accounting
    from tests.unit.trace.parts import Interrupt

TSC_HZ = 1e9


@dataclass(frozen=True)
class Row:
    """One record, as the tests handle it."""

    time: int
    cpu: int
    event: str
    irql: int
    a0: int = 0
    a1: int = 0

    def but(self, **changes: int | str) -> Row:
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Run:
    """A finished run."""

    rows: tuple[Row, ...]
    cpus: int
    accounting: Accounting
    interrupts: tuple[Interrupt, ...]

    def trace(self, **meta: object) -> Trace:
        return build(self.rows, self.cpus, accounting=self.accounting, **meta)

    def with_rows(self, rows: list[Row]) -> Run:
        return replace(self, rows=tuple(sorted(rows, key=lambda row: row.time)))


def to_arrays(rows: tuple[Row, ...] | list[Row], cpus: int) -> list[Records]:
    """Turn rows, in the order of the trace, into each CPU's ring contents."""
    events = events_of_header()
    per_cpu: list[list[tuple[int, ...]]] = [[] for _ in range(cpus)]
    for row in rows:
        mine = per_cpu[row.cpu]
        mine.append((row.time, len(mine) + 1, events[row.event], row.cpu, row.irql, row.a0, row.a1))
    dtype = record_dtype(RECORD_LAYOUT, RECORD_SIZE)
    return [np.array(mine, dtype=dtype) for mine in per_cpu]


def make_meta(cpus: int, **changes: object) -> TraceMeta:
    meta = TraceMeta(
        events=events_of_header(),
        record_fields=dict(RECORD_LAYOUT),
        record_size=RECORD_SIZE,
        mode="icount",
        cpus=cpus,
        clock=Clock(tsc_hz=TSC_HZ),
        lost=(0,) * cpus,
    )
    return replace(meta, **changes)  # type: ignore[arg-type]


def build(rows: tuple[Row, ...] | list[Row], cpus: int, **meta: object) -> Trace:
    return Trace(to_arrays(rows, cpus), make_meta(cpus, **meta))


def tile(run: Run, copies: int) -> list[Records]:
    """Repeat a run, which ends with all CPUs at rest, to make a long one."""
    arrays = to_arrays(run.rows, run.cpus)
    period = run.rows[-1].time + 1000
    tiled = []
    for array in arrays:
        long = np.tile(array, copies)
        long["Time"] += np.repeat(np.arange(copies, dtype=np.uint64) * np.uint64(period), len(array))
        long["Sequence"] = np.arange(1, len(long) + 1)
        tiled.append(long)
    return tiled
