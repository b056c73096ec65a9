# SPDX-License-Identifier: Apache-2.0
"""How fast the oracle is on one core: on a storm, all columns read and all intervals found, and on small traces."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.figures import Goal, GoalKind, Row, interleaved
from bench.plan import CPUS, MODE_ICOUNT
from bench.trace_store import record
from dirql.errors import ProtocolError
from dirql.trace.decode import Trace
from dirql.trace.folder import load
from dirql.trace.oracle import Status, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.plan import Plan

ROUNDS = 5
_INTERRUPTS = 6
"""Times as many interrupts as in a storm of the others: a million records or two."""
_SMALL = 400
"""Records of a small trace, such as one case of a suite leaves."""
_REPEATS = 50
"""Small traces judged in a round."""


def oracle_rows(plan: Plan) -> list[Row]:
    """Record a storm, and judge all of it and a little of it, on one core."""
    with tempfile.TemporaryDirectory(prefix="dirql-bench-") as name:
        run = Path(name) / "run"
        record(run, plan.effort.interrupts * _INTERRUPTS)
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(allowed)})
        try:
            return [_storm(plan, run), _small(plan, run)]
        finally:
            os.sched_setaffinity(0, allowed)


def _storm(plan: Plan, run: Path) -> Row:
    count = len(load(run))
    records = load(run).records
    mixed = records[np.random.default_rng(1).permutation(count)]

    def verdict() -> list[float]:
        trace = load(run)
        for column in (trace.position, trace.event, trace.irql, trace.arg0, trace.arg1):
            assert len(column) == count  # decoding has a row of its own
        started = time.perf_counter()
        found = judge(trace).status
        seconds = time.perf_counter() - started
        if found is not Status.OK:
            raise ProtocolError("the oracle finds fault with the storm")
        return [count / seconds]

    def sort() -> None:
        np.take(mixed, np.lexsort((mixed["Sequence"], mixed["Time"])))

    judged, sorted_ = interleaved([verdict, partial(_rate, count, sort)], ROUNDS, plan.step)
    return Row(
        name="oracle-core",
        title="a decoded trace judged by all clauses, intervals found anew, on one core",
        unit="events/s",
        ours=judged,
        comparator=sorted_,
        beside="the same records, shuffled, sorted by time and sequence number with numpy",
        goal=Goal(GoalKind.VALUE_AT_LEAST, 2_000_000),
        mode=MODE_ICOUNT,
        cpus=CPUS,
        note=f"{count:,} records, in the page cache",
    )


def _small(plan: Plan, run: Path) -> Row:
    whole = load(run)
    parts = [np.array(whole.raw(cpu)[:_SMALL]) for cpu in range(whole.cpus)]
    horizon = whole.origin + int(whole.time[_SMALL - 1])
    meta = replace(whole.meta, horizon=horizon, cut=True, accounting=None)
    if judge(Trace(parts, meta)).status is Status.VIOLATED:
        raise ProtocolError("the oracle finds fault with the beginning of the storm")

    def decode() -> None:
        for _ in range(_REPEATS):
            Trace(parts, meta).event.sum()

    def verdict() -> None:
        for _ in range(_REPEATS):
            judge(Trace(parts, meta))

    measures = [partial(_rate, _REPEATS, action) for action in (verdict, decode)]
    judged, decoded = interleaved(measures, ROUNDS, plan.step)
    return Row(
        name="oracle-small",
        title=f"traces of {_SMALL} records judged by all clauses, on one core",
        unit="traces/s",
        ours=judged,
        comparator=decoded,
        beside="the same traces decoded and merged, not judged",
        goal=None,
        mode=MODE_ICOUNT,
        cpus=CPUS,
        note="the beginning of a storm",
    )


def _rate(amount: float, action: Callable[[], object]) -> list[float]:
    """Return how much of an amount an action does in a second."""
    started = time.perf_counter()
    action()
    return [amount / (time.perf_counter() - started)]
