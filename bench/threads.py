# SPDX-License-Identifier: Apache-2.0
"""What it costs to give the CPU to another thread, and to wake one, beside two host threads with futexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import Figure, Row
from bench.plan import MODE_ICOUNT, MODE_MT
from bench.primitives import host_program, run_host, ticks_per_unit
from dirql.errors import ProtocolError
from dirql.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.plan import Plan

_DRIVER = "bench_threads.sys"
_HOST_TRIPS = 50_000
_SAME, _OTHER = "1", "2"
_TITLES = {
    "switch": "KeSetEvent and KeWaitForSingleObject: one CPU given from thread to thread",
    "yield": "KeDelayExecutionThread of 0: the same by yielding",
    "wake-same": "KeSetEvent to the first instruction of a waiter of higher priority, same CPU",
    "wake-other": "KeSetEvent to the first instruction of a waiter on another CPU, which is idle",
}


def thread_rows(plan: Plan) -> list[Row]:
    """Measure switches and wake-ups."""
    exact, dpc = _measure(MODE_ICOUNT)
    plan.step()
    timed, _ = _measure(MODE_MT)
    plan.step()
    program = host_program("futex")
    futex = {cpus: _host(str(program), cpus, plan.effort.round_trips) for cpus in (_SAME, _OTHER)}
    plan.step()
    rows = [
        _row(name, title, exact[name], dpc, "an interrupt, to its ISR's first instruction", MODE_ICOUNT)
        for name, title in _TITLES.items()
    ]
    for name, title in _TITLES.items():
        where = _OTHER if name == "wake-other" else _SAME
        host = "one CPU" if where == _SAME else "two CPUs"
        beside = f"futex ping-pong of two host threads on {host}: wake-up call to the other's return"
        rows.append(_row(name, title, timed[name], futex[where], beside, MODE_MT))
    return rows


def _row(name: str, title: str, ours: Sequence[float], comparator: Sequence[float], beside: str, mode: str) -> Row:
    unit = "instructions" if mode == MODE_ICOUNT else "ns"
    cpus = 2 if name == "wake-other" else 1
    return Row(f"{name}-{unit}", title, unit, Figure.of(ours), Figure.of(comparator), beside, None, mode, cpus)


def _measure(mode: str) -> tuple[dict[str, list[float]], list[float]]:
    """Run the driver's measures; return values per switch or wake-up, and those of an interrupt beside."""
    with Machine(cpus=2, mode=mode, trace_mask=0, verifier=False) as machine:
        driver = machine.load(_DRIVER)
        view = driver.variable("Threads")
        for routine in ("MeasureSwitch", "MeasureYield", "MeasureWake"):
            left = driver.run(routine)
            if left:
                raise ProtocolError(f"{_DRIVER}: {routine} left behind: {left}")
        other = machine.load("bench_primitives.sys")
        other.run("MeasureInterrupt")
        ticks = ticks_per_unit(machine, mode)
        rounds = view.get("Rounds")
        primitives = other.variable("Primitives")
        values = {
            "switch": [view.get("Switch") / (2 * rounds) / ticks],
            "yield": [view.get("Yield") / (2 * rounds) / ticks],
            "wake-same": [view.get("WakeSame", at) / ticks for at in range(rounds)],
            "wake-other": [view.get("WakeOther", at) / ticks for at in range(rounds)],
        }
        return values, [primitives.get("IsrEntry") / primitives.get("Rounds") / ticks]


def _host(program: str, cpus: str, rounds: int) -> list[float]:
    return [float(run_host([program, cpus, str(_HOST_TRIPS // rounds)])) for _ in range(rounds)]
