# SPDX-License-Identifier: Apache-2.0
"""What setting and cancelling a timer costs while 1, 1,000 and 100,000 are armed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, Goal, GoalKind, Row
from bench.plan import MODE_ICOUNT, MODE_MT
from dirql.errors import BuildError, ProtocolError
from dirql.guest.artifacts import build_folder
from dirql.machine import Machine
from dirql.recording import clock_pairs
from dirql.trace.clock import Clock

if TYPE_CHECKING:
    from bench.plan import Plan

ARMED = (1, 1000, 100_000)
"""Timers that are armed, with the one that is set and cancelled."""

_DRIVER = "bench_timers.sys"
_TICKS_PER_INSTRUCTION = 8
_RUN_TIMEOUT = 120.0
_CLOCK_100NS = 2000
_HOST_PAIRS = 200_000
_LINEAR = 2.0
"""A structure that is searched would cost a hundred thousand times as much."""


def timer_rows(plan: Plan) -> list[Row]:
    """Measure pairs of KeSetTimer and KeCancelTimer."""
    exact = _measure(MODE_ICOUNT)
    plan.step()
    timed = _measure(MODE_MT)
    plan.step()
    program = _host_program()
    host = [_host_pair(program) for _ in range(plan.effort.round_trips)]
    plan.step()
    alone, few, many = (Figure.of(exact[armed]) for armed in ARMED)
    pair = "KeSetTimer and KeCancelTimer"
    beside = "the same, the only timer armed"
    return [
        Row(
            "timer-ns",
            f"{pair}, the only timer armed",
            "ns",
            Figure.of(timed[ARMED[0]]),
            Figure.of(host),
            "two timerfd_settime of a process on this host",
            None,
            MODE_MT,
            1,
            note=f"{alone.median:g} instructions",
        ),
        Row("timer-1000", f"{pair}, {ARMED[1]:,} armed", "instructions", few, alone, beside, None, MODE_ICOUNT, 1),
        Row(
            "timer-100000",
            f"{pair}, {ARMED[2]:,} armed",
            "instructions",
            many,
            alone,
            beside,
            Goal(GoalKind.RATIO_AT_MOST, _LINEAR),
            MODE_ICOUNT,
            1,
            note=f"{Figure.of(timed[ARMED[2]]).median:,.0f} ns in mt",
        ),
    ]


def _measure(mode: str) -> dict[int, list[float]]:
    """Return what each pair took, by the timers armed: instructions or ns."""
    values: dict[int, list[float]] = {}
    with Machine(cpus=1, mode=mode, trace_mask=0, verifier=False, clock_100ns=_CLOCK_100NS) as machine:
        driver = machine.load(_DRIVER)
        timers = driver.variable("Timers")
        for armed in ARMED:
            left = driver.run("MeasureTimers", armed, timeout=_RUN_TIMEOUT)
            if left or timers.get("Armed") != armed - 1:
                raise ProtocolError(f"{_DRIVER}: {timers.get('Armed')} of {armed - 1} were armed; left behind: {left}")
            empty = timers.get("Empty")
            values[armed] = [timers.get("Pair", at) - empty for at in range(timers.get("Rounds"))]
        ticks = _TICKS_PER_INSTRUCTION if mode == MODE_ICOUNT else Clock.fit(clock_pairs(machine)).ticks_per_ns
    return {armed: [value / ticks for value in pairs] for armed, pairs in values.items()}


def _host_program() -> Path:
    folder = build_folder() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "timerfd"
    source = Path(__file__).parent / "host" / "timerfd.c"
    _run(["gcc", "-std=gnu11", "-O2", "-o", str(program), str(source)])
    return program


def _host_pair(program: Path) -> float:
    return float(_run([str(program), str(_HOST_PAIRS)]))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}")
    return done.stdout
