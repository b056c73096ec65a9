# SPDX-License-Identifier: Apache-2.0
"""What handing a queued spin lock on costs as more CPUs wait: words stored for others, bypasses, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import Figure, Goal, GoalKind, Row
from bench.plan import MODE_ICOUNT
from dirql.errors import ProtocolError
from dirql.machine import Machine

if TYPE_CHECKING:
    from bench.plan import Plan

WAITERS = (2, 3, 4, 5, 6, 7, 8)
_DRIVER = "bench_handoff.sys"


def handoff_rows(plan: Plan) -> list[Row]:
    """Queue 2 to 8 CPUs behind a holder and let the lock go round."""
    stores: dict[int, list[float]] = {}
    bypasses: dict[int, int] = {}
    cpus = max(WAITERS) + 1
    with Machine(cpus=cpus, mode=MODE_ICOUNT, trace_mask=0, verifier=False) as machine:
        driver = machine.load(_DRIVER)
        result = driver.variable("HandOff")
        for waiters in WAITERS:
            left = driver.run("MeasureHandOff", waiters)
            if left or result.get("HandOffs") != waiters:
                raise ProtocolError(f"{_DRIVER}: {result.get('HandOffs')} hand-offs of {waiters}; left behind: {left}")
            stores[waiters] = [result.get("Stores", at) for at in range(waiters)]
            bypasses[waiters] = result.get("Bypasses")
            plan.step()
    few, many = Figure.of(stores[WAITERS[0]]), Figure.of(stores[WAITERS[-1]])
    beside = f"the same with {WAITERS[0]} CPUs waiting"
    everyone = [float(count) for count in bypasses.values()]
    return [
        Row(
            "handoff-stores",
            f"a queued spin lock handed on, {WAITERS[-1]} CPUs waiting: words stored for others",
            "stores",
            many,
            few,
            beside,
            Goal(GoalKind.RATIO_AT_MOST, 1.0),
            MODE_ICOUNT,
            cpus,
            note="each hand-off, with 2 to 8 waiting: " + ", ".join(f"{max(s):g}" for s in stores.values()),
        ),
        Row(
            "handoff-bypasses",
            "the same: hand-offs to another than the one that waited longest",
            "bypasses",
            Figure.of(everyone),
            Figure.of([bypasses[WAITERS[0]]]),
            beside,
            Goal(GoalKind.VALUE_AT_MOST, 0),
            MODE_ICOUNT,
            cpus,
            note=f"{sum(WAITERS)} hand-offs in all, {sum(everyone):g} bypasses",
        ),
    ]
