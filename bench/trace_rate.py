# SPDX-License-Identifier: Apache-2.0
"""How many trace records a second are collected while the guest runs, and what that costs the guest.

What the CPUs made is counted on the guest; collected and lost must add up to it, CPU by CPU.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.figures import Figure, Goal, GoalKind, Row
from bench.plan import CPUS, MODE_MT
from dirql.errors import ProtocolError
from dirql.experiments.lock_scaling import LockScalingParameters, instant, run_point, tsc_hz
from dirql.machine import Machine
from dirql.recording import Recording

if TYPE_CHECKING:
    from bench.plan import Plan
    from dirql.driver import Driver
    from dirql.qemu.command import Mode

_DRIVER = "bench_events.sys"
_LOCKS_DRIVER = "lock_scaling.sys"
_SECONDS = 1.0
_PACE = 1_250_000
"""Records a second that the CPUs are asked for: more than the goal, in case that one of them comes late."""
_GOAL = 1_000_000
_RING = 1 << 17
"""Records in a ring: half a second of a CPU, if its host thread and the collector's wait for one core."""
_ACQUISITIONS = 20_000
_LOCK = "queued"
_ROUNDS = 5


@dataclass(frozen=True)
class _Run:
    """One run of the loop."""

    made: int
    lost: int
    seconds: float
    collector: float

    @property
    def rate(self) -> float:
        """Records a second that are in the files, or calls a second where nothing is recorded."""
        return (self.made - self.lost) / self.seconds


def rate_rows(plan: Plan) -> list[Row]:
    """Make records on all CPUs, at a pace and as fast as they can, beside the same loop with the trace off."""
    paced, flood, off = [], [], []
    for _ in range(min(_ROUNDS, plan.effort.storms)):
        paced.append(_traced(_PACE))
        flood.append(_traced(0))
        off.append(_untraced())
        plan.step()
    beside = "calls a second of the same loop, as fast as it can, with the trace off"
    untraced = Figure.of(run.rate for run in off)
    return [
        Row(
            "trace-live",
            f"trace records collected live, {CPUS} CPUs at a pace of {_PACE:,} a second",
            "records/s",
            Figure.of(run.rate for run in paced),
            untraced,
            beside,
            Goal(GoalKind.VALUE_AT_LEAST, _GOAL),
            MODE_MT,
            CPUS,
            note=_told(paced),
        ),
        Row(
            "trace-flood",
            f"trace records collected live, {CPUS} CPUs as fast as they can",
            "records/s",
            Figure.of(run.rate for run in flood),
            untraced,
            beside,
            None,
            MODE_MT,
            CPUS,
            note=_told(flood),
        ),
    ]


def slowdown_rows(plan: Plan) -> list[Row]:
    """Run lock-scaling with all classes of events recorded, beside the same with none."""
    return [_slowdown("icount", plan), _slowdown("mt", plan)]


def _told(runs: list[_Run]) -> str:
    made, lost = sum(run.made for run in runs), sum(run.lost for run in runs)
    share = sum(run.collector for run in runs) / sum(run.seconds for run in runs)
    cost = sum(run.collector for run in runs) / max(made - lost, 1) * 1e9
    return (
        f"{lost:,} of {made:,} records lost; made = collected + lost on every CPU; the collector took {share:.0%} of a "
        f"core, {cost:.0f} ns a record; rings of {_RING:,} records"
    )


def _traced(pace: int) -> _Run:
    """Collect what the loop makes, and close the books of every CPU."""
    with (
        tempfile.TemporaryDirectory(prefix="dirql-bench-") as folder,
        Machine(cpus=CPUS, mode=MODE_MT, trace_records=_RING, trace_mask=0, verifier=False) as machine,
    ):
        driver = machine.load(_DRIVER)
        with Recording(machine, Path(folder), classes=("marks",)) as recording:
            made, seconds = _loop(driver, pace)
            collector = recording.collector_seconds
        trace = recording.load()
        mark = trace.meta.events["Mark"]
        kept = [int(np.count_nonzero(trace.raw(cpu)["Event"] == mark)) for cpu in range(CPUS)]
        for cpu in range(CPUS):
            if made[cpu] != kept[cpu] + trace.lost[cpu]:
                raise ProtocolError(
                    f"CPU {cpu} made {made[cpu]} records: {kept[cpu]} collected, {trace.lost[cpu]} lost"
                )
        return _Run(sum(made), sum(trace.lost), seconds, collector)


def _untraced() -> _Run:
    with Machine(cpus=CPUS, mode=MODE_MT, trace_mask=0, verifier=False) as machine:
        made, seconds = _loop(machine.load(_DRIVER), 0)
    return _Run(sum(made), 0, seconds, 0.0)


def _loop(driver: Driver, pace: int) -> tuple[list[int], float]:
    """Run the loop; return what each CPU made, and how long it took in seconds."""
    machine, view = driver.machine, driver.variable("EventLoop")
    earlier = instant(machine)
    time.sleep(0.05)  # for the rate of the guest's clock alone
    hz = tsc_hz(machine, earlier)
    view.set("Cpus", CPUS)
    view.set("Ticks", round(_SECONDS * hz))
    view.set("Gap", round(hz * CPUS / pace) if pace else 0)
    driver.run("RunEventLoop")
    return [view.inner("Cpu", cpu).get("Made") for cpu in range(CPUS)], view.get("Passed") / hz


def _slowdown(mode: Mode, plan: Plan) -> Row:
    parameters = LockScalingParameters(cpus=(CPUS,), locks=(_LOCK,), acquisitions=_ACQUISITIONS, seconds=5.0)
    costs: dict[bool, list[float]] = {False: [], True: []}
    records = lost = 0
    with (
        tempfile.TemporaryDirectory(prefix="dirql-bench-") as folder,
        Machine(cpus=CPUS, mode=mode, trace_records=_RING, trace_mask=0, verifier=False) as machine,
    ):
        earlier = instant(machine)
        driver = machine.load(_LOCKS_DRIVER)
        hz = tsc_hz(machine, earlier)
        with Recording(machine, Path(folder)) as recording:
            for _ in range(min(_ROUNDS, plan.effort.storms)):
                for on in (False, True):
                    machine.trace(*(("all",) if on else ()))
                    cost = run_point(driver, parameters, hz, _LOCK, CPUS)
                    costs[on].append(cost.ticks / hz * 1e9 / sum(cost.acquisitions))
                plan.step()
            machine.trace()
        trace = recording.load()
        records, lost = len(trace), sum(trace.lost)
    return Row(
        f"trace-slowdown-{mode}",
        f"lock-scaling, {_LOCK} spin lock, {CPUS} CPUs: an acquisition with all classes of events recorded",
        "ns",
        Figure.of(costs[True]),
        Figure.of(costs[False]),
        "the same with the trace off",
        None,
        mode,
        CPUS,
        note=f"{_ACQUISITIONS:,} acquisitions a run; {records:,} records in all, {lost:,} lost",
    )
