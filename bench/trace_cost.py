# SPDX-License-Identifier: Apache-2.0
"""What a trace record costs, in instructions of the guest. Under icount they can be counted: time is instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import Figure, Goal, GoalKind, Row
from bench.plan import MODE_ICOUNT
from dirql.errors import ProtocolError
from dirql.machine import Machine

if TYPE_CHECKING:
    from bench.plan import Plan

_DRIVER = "bench_trace.sys"
_TICKS_PER_INSTRUCTION = 8  # -icount shift=3: an instruction is 2**3 ns, and the TSC counts ns
_RING_RECORDS = 4096  # more than the driver writes: none is dropped, and dropping is cheaper


def trace_rows(plan: Plan) -> list[Row]:
    """Count instructions in loops of calls, less those of the empty loop."""
    with Machine(cpus=1, mode=MODE_ICOUNT, trace_records=_RING_RECORDS) as machine:
        driver = machine.load(_DRIVER)
        cost = driver.variable("TraceCost")
        if lost := machine.memory.variable("TraceRing", "TRACE_RING").get("Lost"):
            raise ProtocolError(f"{lost} trace records were dropped: their cost was not measured")
        calls, empty = cost.get("Calls"), cost.get("EmptyTicks")
        called, traced = (
            (cost.get(name) - empty) / calls / _TICKS_PER_INSTRUCTION for name in ("CallTicks", "TraceTicks")
        )
    plan.step()
    return [
        Row(
            name="trace",
            title="a trace record: DirqlTraceMark called by a driver, event enabled",
            unit="instructions",
            ours=Figure.of([traced]),
            comparator=Figure.of([called]),
            beside="a call of an empty function with two arguments",
            goal=Goal(GoalKind.VALUE_AT_MOST, 40),
            mode=MODE_ICOUNT,
            cpus=1,
            note=f"{calls} calls less the empty loop, at HIGH_LEVEL; exact under icount",
        )
    ]
