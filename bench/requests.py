# SPDX-License-Identifier: Apache-2.0
"""Requests from Python to a driver that ends them at once: one at a time, beside an empty round trip, and many."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.figures import Goal, GoalKind, Row, interleaved
from bench.plan import CPUS, MODE_MT
from dirql.futures import wait_any
from dirql.handles import ctl_code
from dirql.machine import Machine

if TYPE_CHECKING:
    from bench.plan import Plan
    from dirql.handles import Handle

_CODE = ctl_code(0x22, 0x800)
_DATA = bytes(16)
_FLIGHT = 64
_IN_ROUND = 2000
_WARM_UP = 200


def request_rows(plan: Plan) -> list[Row]:
    """Measure synchronous requests in turn with empty ones, then 64 in flight in turn with one at a time."""
    count = plan.effort.trips_in_round
    with Machine(cpus=CPUS, mode=MODE_MT, trace_mask=0) as machine:
        handle = machine.load("bench_requests.sys").open(r"\\.\BenchRequests")

        def requests() -> list[float]:
            started = time.perf_counter()
            for _ in range(count):
                handle.ioctl(_CODE, _DATA, len(_DATA), cpu=1)
            return [(time.perf_counter() - started) / count * 1e6]

        def pings() -> list[float]:
            started = time.perf_counter()
            for _ in range(count):
                machine.link.request("Ping")
            return [(time.perf_counter() - started) / count * 1e6]

        _in_flight(handle, _WARM_UP)
        ping, one = interleaved((pings, requests), plan.effort.round_trips, plan.step)
        alone, many = interleaved(
            (lambda: [1e6 / requests()[0]], lambda: [_in_flight(handle, _IN_ROUND)]), plan.effort.storms, plan.step
        )
    return [
        Row(
            name="ioctl",
            title="one ioctl to a driver that ends it at once, and its answer",
            unit="us",
            ours=one,
            comparator=ping,
            beside="an empty request to the guest's monitor",
            goal=Goal(GoalKind.RATIO_AT_MOST, 2.0),
            mode=MODE_MT,
            cpus=CPUS,
        ),
        Row(
            name="ioctls-in-flight",
            title=f"ioctls a second, {_FLIGHT} in flight from {CPUS} CPUs",
            unit="1/s",
            ours=many,
            comparator=alone,
            beside="one at a time",
            goal=Goal(GoalKind.VALUE_AT_LEAST, 3000.0),
            mode=MODE_MT,
            cpus=CPUS,
            note=f"{len(_DATA)} bytes each way",
        ),
    ]


def _in_flight(handle: Handle, count: int) -> float:
    """Keep `_FLIGHT` requests in flight until so many have ended; return how many that were a second."""
    started = time.perf_counter()
    flying = [handle.ioctl_async(_CODE, _DATA, len(_DATA), cpu=at % CPUS) for at in range(_FLIGHT)]
    begun = ended = 0
    while ended < count:
        done = wait_any(flying)
        ended += len(done)
        flying = [future for future in flying if not future.ended]
        for future in done:
            future.result()
        for _ in range(_FLIGHT - len(flying)):
            flying.append(handle.ioctl_async(_CODE, _DATA, len(_DATA), cpu=begun % CPUS))
            begun += 1
    for future in flying:
        future.result()
    return (ended + len(flying)) / (time.perf_counter() - started)
