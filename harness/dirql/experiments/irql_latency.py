# SPDX-License-Identifier: Apache-2.0
"""irql-latency: how long an interrupt from outside waits for its ISR, by the CPU's IRQL and by what it does.

The host sends a message-signalled interrupt of one DIRQL to CPU 1, one at a time, while a driver keeps that CPU in a
state. Where the state masks the interrupt, the CPU lowers its IRQL every now and then, so what is measured is the rest
of such a stay. Times are from the host's word to the ISR's first record: the host's clock is tied to the TSC; under
icount they are virtual, from the moment at which the guest stood still for the host.
"""

from __future__ import annotations

import os
import random
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.errors import GuestError, UsageError
from dirql.experiments.series import config_json, send_ticks, times_json
from dirql.machine import Machine
from dirql.qemu.waits import Deadline
from dirql.recording import Recording
from dirql.trace.history.history import History, interrupted_irql
from dirql.trace.oracle import judge
from dirql.trace.stats.summary import Percentiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.config import MachineConfig
    from dirql.driver import Driver
    from dirql.experiments.runfolder import RunFolder
    from dirql.guest.memory import View

NAME = "irql-latency"
TARGET_CPU = 1
DIRQL = 6
"""IRQL of the interrupt, as the driver connects it."""
ANSWER_TIMEOUT = 30.0
"""Seconds that one interrupt may wait for its ISR before the guest is said to hang."""

_IDLE, _RAISED, _SPINNING = 0, 1, 2
_ICOUNT_PAUSES = 64


@dataclass(frozen=True)
class State:
    """What CPU 1 does while it is interrupted.

    Attributes:
        name: in words.
        kind: LATENCY_STATE of the driver.
        irql: at which IRQL.
    """

    name: str
    kind: int
    irql: int


STATES = (
    State("idle, halted", _IDLE, 0),
    State("loop at PASSIVE_LEVEL", _RAISED, 0),
    State("loop at APC_LEVEL", _RAISED, 1),
    State("loop at DISPATCH_LEVEL", _RAISED, 2),
    State("loop at a DIRQL below", _RAISED, DIRQL - 1),
    State("spins for a lock at DISPATCH_LEVEL", _SPINNING, 2),
    State("spins for a lock at a DIRQL below", _SPINNING, DIRQL - 1),
    State("loop at this very DIRQL", _RAISED, DIRQL),
    State("loop at a DIRQL above", _RAISED, DIRQL + 1),
)


@dataclass(frozen=True)
class IrqlLatencyParameters:
    """What to run.

    Attributes:
        count: interrupts in each state.
        hold: PAUSE instructions at the state's IRQL, before it is lowered and raised again.
        seed: of the pauses between two interrupts under icount.

    Raises:
        UsageError: a value is out of range.
    """

    count: int = 500
    hold: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        if not 1 <= self.count <= 1_000_000:
            raise UsageError(f"there are 1 to 1000000 interrupts in each state, not {self.count}")
        if not 1 <= self.hold <= 1_000_000:
            raise UsageError(f"an IRQL is held for 1 to 1000000 PAUSE instructions, not {self.hold}")


@dataclass(frozen=True)
class LatencyRow:
    """One state.

    Attributes:
        state: what CPU 1 did.
        masked: whether the interrupt had to wait for a lower IRQL.
        latency: from sending to the ISR, in ns.
        interrupted: IRQLs that were interrupted, and how often.
    """

    state: State
    masked: bool
    latency: Percentiles
    interrupted: dict[int, int]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "state": self.state.name,
            "irql": self.state.irql,
            "masked": self.masked,
            "interrupted_irql": {str(irql): count for irql, count in self.interrupted.items()},
            "latency_us": times_json(self.latency),
        }


@dataclass(frozen=True)
class IrqlLatencyResult:
    """What came of it.

    Attributes:
        parameters: what was asked for.
        config: the machine.
        rows: one for each state.
        verdict: the oracle's status.
        folder: the run's folder.
    """

    parameters: IrqlLatencyParameters
    config: MachineConfig
    rows: tuple[LatencyRow, ...]
    verdict: str
    folder: RunFolder

    @property
    def passed(self) -> bool:
        """Whether no rule was broken."""
        return self.verdict != "violated"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "experiment": NAME,
            "mode": self.config.mode,
            "cpus": self.config.cpus,
            "dirql": DIRQL,
            "parameters": asdict(self.parameters),
            "rows": [row.to_json() for row in self.rows],
            "verdict": self.verdict,
            "passed": self.passed,
            "run_folder": str(self.folder.path),
        }


def run_irql_latency(
    config: MachineConfig,
    parameters: IrqlLatencyParameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> IrqlLatencyResult:
    """Boot, put CPU 1 into one state after the other, interrupt it in each.

    Args:
        config: the machine, of at least 2 CPUs.
        parameters: what to run.
        folder: the run's folder; the trace and `result.json` go there.
        progress: called now and then with (interrupts taken, interrupts).

    Raises:
        UsageError: the machine has one CPU.
        DirqlError: it failed; what was recorded by then is in the folder.
    """
    if config.cpus < 2:
        raise UsageError("irql-latency interrupts CPU 1 while CPU 0 serves the host: at least 2 CPUs, please")
    config = replace(config, verifier=False)
    sent: list[list[int]] = []
    with Machine(config, folder=folder.path) as machine:
        folder.describe(NAME, asdict(parameters) | config_json(config), machine)
        driver = machine.load("interrupt_state.sys")
        view = driver.variable("InterruptState")
        pauses = random.Random(parameters.seed)
        with Recording(machine, folder.path) as recording:
            driver.run("ConnectLatency")
            for number, state in enumerate(STATES):
                sent.append(_interrupt(driver, view, state, parameters, pauses))
                if progress is not None:
                    progress((number + 1) * parameters.count, len(STATES) * parameters.count)
            driver.run("DisconnectLatency")
    history = History(recording.load())
    rows = _rows(history, sent)
    result = IrqlLatencyResult(parameters, config, rows, judge(history.trace, history=history).status.value, folder)
    folder.write("result.json", result.to_json())
    return result


def _interrupt(
    driver: Driver, view: View, state: State, parameters: IrqlLatencyParameters, pauses: random.Random
) -> list[int]:
    """Interrupt CPU 1 in a state, and return when."""
    view.set("State", state.kind)
    view.set("Irql", state.irql)
    view.set("Hold", parameters.hold)
    left = driver.run("BeginState")
    if left and left.kind != "Work":
        raise GuestError(f"the state {state.name!r} left something behind: {left}")
    one = _send_live if driver.machine.rendezvous is None else _send_in_steps
    sent = [one(driver, view, pauses) for _ in range(parameters.count)]
    left = driver.run("EndState")
    if left and left.kind != "Work":  # CPU 1 is given back: that it had work before is no leftover
        raise GuestError(f"the state {state.name!r} left something behind: {left}")
    return sent


def _send_live(driver: Driver, view: View, pauses: random.Random) -> int:
    import time

    del pauses  # the host's own time is random enough
    machine = driver.machine
    before, deadline = view.get("Count"), Deadline(ANSWER_TIMEOUT)
    now = time.monotonic_ns()
    machine.inject.vector(TARGET_CPU, view.get("Vector"))
    while view.get("Count") == before:
        os.sched_yield()
        machine.session.watch.check()
        if deadline.expired:
            machine.session.watch.wait(lambda: None, "CPU 1 to take its interrupt", 0.0)
    return now


def _send_in_steps(driver: Driver, view: View, pauses: random.Random) -> int:
    machine = driver.machine
    rendezvous, link = machine.rendezvous, machine.link
    if rendezvous is None:
        raise UsageError("steps need a machine with a rendezvous")
    deadline = Deadline(ANSWER_TIMEOUT)
    for _ in range(2):  # the guest is somewhere else in its state each time
        rendezvous.wait_for_guest(deadline)
        link.post("Idle", (pauses.randrange(_ICOUNT_PAUSES),))
    rendezvous.wait_for_guest(deadline)
    before = view.get("Count")
    machine.inject.vector(TARGET_CPU, view.get("Vector"))
    first = link.post("Idle", (1,))
    while True:
        rendezvous.wait_for_guest(deadline)
        if view.get("Count") != before:
            return first
        link.post("Idle", (_ICOUNT_PAUSES,))


def _rows(history: History, sent: list[list[int]]) -> tuple[LatencyRow, ...]:
    """The n-th interrupt that was sent is the n-th ISR: each was awaited."""
    trace = history.trace
    enter = trace.where("IsrEnter")
    enter = enter[trace.cpu[enter] == TARGET_CPU]
    wanted = sum(len(times) for times in sent)
    if len(enter) != wanted or any(trace.lost):
        raise UsageError(
            f"the trace has {len(enter)} of {wanted} ISRs, {sum(trace.lost)} records were lost: a smaller --count"
        )
    frame = history.in_frames.opener[enter]
    irql = interrupted_irql(trace, frame)
    rows = []
    at = 0
    for state, times in zip(STATES, sent, strict=True):
        part = slice(at, at + len(times))
        at += len(times)
        latency = trace.ns(trace.time[enter[part]] - send_ticks(trace, times))
        levels, counts = np.unique(irql[part], return_counts=True)
        found = {int(level): int(count) for level, count in zip(levels, counts, strict=True)}
        rows.append(LatencyRow(state, state.kind == _RAISED and state.irql >= DIRQL, Percentiles.of(latency), found))
    return tuple(rows)
