# SPDX-License-Identifier: Apache-2.0
"""Interrupts from outside: how long one takes there and back, and how many a second there can be.

The trace is on, and its rings are overwritten when they are full, so that every event costs what it always costs and no
thread of Python collects them meanwhile.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from bench.doorbell_route import TwoRouteLine
from bench.figures import Goal, GoalKind, Row, interleaved
from bench.pingpong import PingPong
from bench.plan import CPUS, MODE_MT
from dirql.devices.ivshmem import Doorbell
from dirql.experiments.doorbell import DoorbellLine
from dirql.experiments.interrupt_storm import SHARED_BYTES
from dirql.experiments.storm import Storm, StormParameters
from dirql.machine import Machine

if TYPE_CHECKING:
    from bench.plan import Plan

_VECTORS = 4
_TIMEOUT = 30.0
_WARM_UP = 200


def round_trip_rows(plan: Plan) -> list[Row]:
    """Measure one interrupt at a time, on 4 CPUs and on 1, beside two processes that wake each other."""
    return [*_round_trips(plan, CPUS, Goal(GoalKind.RATIO_AT_MOST, 5.0)), *_round_trips(plan, 1, None)]


def rate_rows(plan: Plan) -> list[Row]:
    """Measure storms by the device's eventfds beside storms of the same messages by qtest."""
    parameters = StormParameters(count=plan.effort.interrupts, vectors=_VECTORS)
    doorbell = Doorbell(vectors=_VECTORS, memory_bytes=SHARED_BYTES)
    with ExitStack() as stack:
        machine = stack.enter_context(Machine(cpus=CPUS, mode=MODE_MT, devices=[doorbell], overwrite=True))
        line = TwoRouteLine(machine, doorbell)
        stack.callback(line.release)

        def storm(*, by_qtest: bool) -> list[float]:
            line.begin(by_qtest=by_qtest)
            run = Storm(line, parameters)
            run.run()
            return [parameters.count / run.seconds]

        by_qtest, ours = interleaved(
            (lambda: storm(by_qtest=True), lambda: storm(by_qtest=False)), plan.effort.storms, plan.step
        )
    return [
        Row(
            name="rate",
            title=f"interrupts acknowledged, {_VECTORS} vectors, 1 of each under way",
            unit="/s",
            ours=ours,
            comparator=by_qtest,
            beside="the same messages to the same driver, sent by qtest",
            goal=Goal(GoalKind.RATIO_AT_LEAST, 1.0),
            mode=MODE_MT,
            cpus=CPUS,
            note=f"{parameters.count} interrupts a storm",
        )
    ]


def _round_trips(plan: Plan, cpus: int, goal: Goal | None) -> list[Row]:
    doorbell = Doorbell(vectors=1, memory_bytes=SHARED_BYTES)
    trips = plan.effort.trips_in_round
    with ExitStack() as stack:
        machine = stack.enter_context(Machine(cpus=cpus, mode=MODE_MT, devices=[doorbell], overwrite=True))
        pingpong = stack.enter_context(PingPong())
        line = DoorbellLine(machine, doorbell)
        stack.callback(line.release)
        _exchange(line, _WARM_UP)
        exchanges = (pingpong.exchange, pingpong.exchange_apart)
        figures = [
            interleaved((partial(exchange, trips), partial(_exchange, line, trips)), plan.effort.round_trips, plan.step)
            for exchange in exchanges[: len(os.sched_getaffinity(0))]
        ]
    name = "round-trip" if cpus > 1 else "round-trip-1cpu"
    named = (
        (name, goal, "two processes ping-pong through two eventfds, on host CPUs of the scheduler's choice"),
        (f"{name}-apart", None, "the same ping-pong, each process on a host CPU of its own"),
    )
    return [
        Row(
            name=row_name,
            title="doorbell: host writes the eventfd, ISR, DPC, host sees the acknowledgement",
            unit="us",
            ours=ours,
            comparator=comparator,
            beside=beside,
            goal=row_goal,
            mode=MODE_MT,
            cpus=cpus,
        )
        for (comparator, ours), (row_name, row_goal, beside) in zip(figures, named, strict=False)
    ]


def _exchange(line: DoorbellLine, count: int) -> list[float]:
    """Send interrupts one by one, each after the driver's bell for the one before; return the times in microseconds."""
    bell = line.doorbell.rung_fds[0]
    watch = line.machine.session.watch
    poller = select.poll()
    poller.register(bell, select.POLLIN)
    times = [0.0] * count
    now = time.perf_counter_ns
    for at in range(count):
        started = now()
        line.send(0)
        if not poller.poll(_TIMEOUT * 1000):
            watch.poll({bell: select.POLLIN}, "the driver to acknowledge an interrupt", 0.0)
        os.eventfd_read(bell)
        times[at] = (now() - started) / 1000
    return times
