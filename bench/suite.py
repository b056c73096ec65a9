# SPDX-License-Identifier: Apache-2.0
"""How many cases a second the target suite runs, beside a machine launched anew for each case."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.figures import Goal, GoalKind, Row, interleaved
from bench.plan import CPUS, MODE_MT
from dirql.errors import DirqlError
from dirql.target.runner import RunnerPool
from dirql.target.suite import built_images, cases_of, plan, run_plan

if TYPE_CHECKING:
    from bench.plan import Plan
    from dirql.target.suite import Plan as SuitePlan

_GOAL = 50.0
_LAUNCHED = 12
"""Cases of each round that get a machine of their own."""


def suite_rows(effort: Plan) -> list[Row]:
    """Run the whole suite in one mode on 4 CPUs, boots, resets and judgement included.

    Raises:
        DirqlError: a case failed: its time says nothing.
    """
    rows = plan(cases_of(built_images()), (CPUS,), (MODE_MT,))
    sample = rows[:: max(len(rows) // _LAUNCHED, 1)]

    def together() -> list[float]:
        with RunnerPool() as pool:
            return [_rate(rows, pool)]

    def apart() -> list[float]:
        def each() -> float:
            started = time.monotonic()
            for row in sample:
                with RunnerPool() as pool:
                    _rate([row], pool)
            return len(sample) / (time.monotonic() - started)

        return [each()]

    ours, launched = interleaved((together, apart), effort.effort.suites, effort.step)
    return [
        Row(
            name="suite",
            title="target cases run and judged",
            unit="/s",
            ours=ours,
            comparator=launched,
            beside=f"{len(sample)} of them, QEMU launched for each",
            goal=Goal(GoalKind.VALUE_AT_LEAST, _GOAL),
            mode=MODE_MT,
            cpus=CPUS,
            note=f"{len(rows)} runs of cases",
        )
    ]


def _rate(rows: SuitePlan, pool: RunnerPool) -> float:
    started = time.monotonic()
    for result in run_plan(rows, pool):
        if not result.passed:
            raise DirqlError(f"{result.id} failed ({result.kind}): {result.text}")
    return len(rows) / (time.monotonic() - started)
