# SPDX-License-Identifier: Apache-2.0
"""scheduler: threads of different priorities and affinities compete for the CPUs; who ran where, and who had to wait.

Then an event lets a thread of higher priority go, on the CPU that sets it and on another one, busy or idle: how long it
takes until that thread has a CPU.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.errors import GuestError, ProtocolError, UsageError
from dirql.experiments.series import config_json, times_json
from dirql.machine import Machine
from dirql.recording import Recording
from dirql.trace.history.history import History
from dirql.trace.history.lives import State
from dirql.trace.oracle import judge
from dirql.trace.stats.summary import Percentiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.config import MachineConfig
    from dirql.driver import Driver
    from dirql.experiments.runfolder import RunFolder

NAME = "scheduler"
RUN_TIMEOUT = 120.0
CLOCK_100NS = 10_000
"""A clock tick of a millisecond: a turn is two of them."""
PREEMPTIONS = ("same CPU", "another CPU, busy", "another CPU, idle")
"""PREEMPTION_KIND of the driver."""
_STEPS = 2


@dataclass(frozen=True)
class Contender:
    """One thread of the load.

    Attributes:
        name: what it is called.
        priority: 1 to 15.
        cpus: the CPUs that it may run on, a bit each.
        burst: PAUSE instructions at a stretch.
        rest: µs that it sleeps after each; 0: it never does.
    """

    name: str
    priority: int
    cpus: int
    burst: int
    rest: int


def contenders(cpus: int) -> tuple[Contender, ...]:
    """Return the threads that compete on a machine with so many CPUs."""
    everywhere = (1 << cpus) - 1
    last = 1 << cpus - 1
    pinned = [Contender(f"8, CPU {cpu} only", 8, 1 << cpu, 200, 0) for cpu in range(cpus)]
    return (
        *pinned,
        Contender("8, anywhere", 8, everywhere, 200, 0),
        Contender("8, anywhere too", 8, everywhere, 200, 0),
        Contender("6, anywhere", 6, everywhere, 200, 0),
        Contender("10, anywhere, sleeps", 10, everywhere, 2000, 3000),
        Contender("12, last CPU, sleeps", 12, last, 4000, 5000),
    )


@dataclass(frozen=True)
class SchedulerParameters:
    """What to run.

    Attributes:
        milliseconds: how long the load lasts, of the guest's time.
        rounds: events set for each kind of preemption.

    Raises:
        UsageError: a value is out of range.
    """

    milliseconds: int = 200
    rounds: int = 200

    def __post_init__(self) -> None:
        """Check the values."""
        if not 1 <= self.milliseconds <= 10_000:
            raise UsageError(f"the load lasts 1 to 10000 ms, not {self.milliseconds}")
        if not 1 <= self.rounds <= 10_000:
            raise UsageError(f"there are 1 to 10000 rounds, not {self.rounds}")


@dataclass(frozen=True)
class ThreadRow:
    """What one thread of the load got.

    Attributes:
        contender: which.
        bursts: bursts that it finished.
        share: its part of each CPU's time.
        turns: times that it was given a CPU.
        wait: from being ready to having a CPU, in ns, each time.
    """

    contender: Contender
    bursts: int
    share: tuple[float, ...]
    turns: int
    wait: Percentiles

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        shares = [round(part, 6) for part in self.share]
        return asdict(self) | {"share": shares, "wait": None, "wait_us": times_json(self.wait)}


@dataclass(frozen=True)
class Slot:
    """A time for which a thread of the load had a CPU, in ns since the load began; `thread` is -1 for all others."""

    cpu: int
    begin: float
    end: float
    thread: int


@dataclass(frozen=True)
class SchedulerResult:
    """What came of it.

    Attributes:
        parameters: what was asked for.
        config: the machine.
        duration: ns that the load lasted.
        rows: the threads of the load.
        slots: who had which CPU when.
        preemption: kind -> from the event's signal to the waiter's having the CPU, in ns.
        verdict: the oracle's status of the trace.
        folder: the run's folder.
    """

    parameters: SchedulerParameters
    config: MachineConfig
    duration: float
    rows: tuple[ThreadRow, ...]
    slots: tuple[Slot, ...]
    preemption: dict[str, Percentiles]
    verdict: str
    folder: RunFolder

    @property
    def passed(self) -> bool:
        """Whether no rule was broken."""
        return self.verdict != "violated"

    @property
    def by_priority(self) -> dict[int, tuple[float, ...]]:
        """Priority -> part of each CPU's time that threads of that priority had."""
        shares: dict[int, list[float]] = {}
        for row in self.rows:
            mine = shares.setdefault(row.contender.priority, [0.0] * self.config.cpus)
            for cpu, part in enumerate(row.share):
                mine[cpu] += part
        return {priority: tuple(shares[priority]) for priority in sorted(shares, reverse=True)}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data; the slots are in the trace."""
        return {
            "experiment": NAME,
            "mode": self.config.mode,
            "cpus": self.config.cpus,
            "parameters": asdict(self.parameters),
            "duration_us": round(self.duration / 1000, 3),
            "threads": [row.to_json() for row in self.rows],
            "share_by_priority": {
                str(priority): [round(part, 6) for part in parts] for priority, parts in self.by_priority.items()
            },
            "preemption_us": {kind: times_json(times) for kind, times in self.preemption.items()},
            "verdict": self.verdict,
            "passed": self.passed,
            "run_folder": str(self.folder.path),
        }


def run_scheduler(
    config: MachineConfig,
    parameters: SchedulerParameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> SchedulerResult:
    """Boot, let threads compete, wake a thread of higher priority again and again, read all of it from the trace.

    Args:
        config: the machine; its clock ticks every millisecond.
        parameters: what to run.
        folder: the run's folder; the trace and `result.json` go there.
        progress: called now and then with (parts done, parts).

    Raises:
        DirqlError: the machine failed; what was recorded by then is in the folder.
    """
    config = replace(config, clock_100ns=config.clock_100ns or CLOCK_100NS)
    threads = contenders(config.cpus)
    with Machine(config, folder=folder.path) as machine:
        folder.describe(NAME, asdict(parameters) | config_json(config), machine)
        driver = machine.load("scheduler.sys")
        view = driver.variable("SchedulerRun")
        view.set("Threads", len(threads))
        view.set("Milliseconds", parameters.milliseconds)
        view.set("Rounds", parameters.rounds)
        for at, contender in enumerate(threads):
            each = view.inner("Thread", at)
            for name, value in (
                ("Affinity", contender.cpus),
                ("Priority", contender.priority),
                ("Burst", contender.burst),
                ("Rest", contender.rest),
            ):
                each.set(name, value)
        with Recording(machine, folder.path) as recording:
            for done, routine in enumerate(("RunLoad", "RunPreemption")):
                _run(driver, routine)
                if progress is not None:
                    progress(done + 1, _STEPS)
        own = [view.inner("Thread", at) for at in range(len(threads))]
        objects = [each.get("Object") for each in own]
        bursts = [each.get("Bursts") for each in own]
        events = [view.get("Events", at) for at in range(len(PREEMPTIONS))]
    history = History(recording.load())
    duration, rows, slots = _load(history, threads, objects, bursts)
    result = SchedulerResult(
        parameters=parameters,
        config=config,
        duration=duration,
        rows=rows,
        slots=slots,
        preemption=_preemption(history, events),
        verdict=judge(history.trace, history=history).status.value,
        folder=folder,
    )
    folder.write("result.json", result.to_json())
    return result


def _run(driver: Driver, routine: str) -> None:
    left = driver.run(routine, timeout=RUN_TIMEOUT)
    if left:
        raise GuestError(f"{routine} of scheduler.sys left something behind: {left}")


def _load(
    history: History, threads: tuple[Contender, ...], objects: list[int], bursts: list[int]
) -> tuple[float, tuple[ThreadRow, ...], tuple[Slot, ...]]:
    """Read from the trace who had which CPU between the driver's two marks."""
    trace = history.trace
    marks = trace.where("Mark")
    first, last = (trace.time[marks[trace.arg0[marks] == value][:1]] for value in (1, 2))
    if not len(first) or not len(last) or any(trace.lost):
        raise ProtocolError(f"the trace is not whole: {trace.lost} records lost by the CPUs; a shorter load, please")
    begin, end = int(first[0]), int(last[0])
    scale = trace.meta.clock.ticks_per_ns
    number = {address: at for at, address in enumerate(objects)}
    shares = np.zeros((len(threads), trace.cpus), dtype=np.float64)
    turns = [0] * len(threads)
    waits: list[list[float]] = [[] for _ in threads]
    slots: list[Slot] = []
    for life in history.dispatcher.lives:
        own = number.get(life.address, -1)
        for span in life.spans:
            since = int(trace.time[span.begin])
            until = int(trace.time[span.end]) if span.end >= 0 else end
            if until <= begin or since >= end:
                continue
            inside = (max(since, begin), min(until, end))
            if span.state is State.RUNNING:
                slots.append(Slot(span.cpu, (inside[0] - begin) / scale, (inside[1] - begin) / scale, own))
                if own >= 0:
                    shares[own, span.cpu] += (inside[1] - inside[0]) / (end - begin)
                    turns[own] += since >= begin
            elif span.state is State.READY and own >= 0 and since >= begin and until <= end:
                waits[own].append((until - since) / scale)
    rows = tuple(
        ThreadRow(thread, bursts[at], tuple(shares[at].tolist()), turns[at], Percentiles.of(waits[at]))
        for at, thread in enumerate(threads)
    )
    slots.sort(key=lambda slot: (slot.cpu, slot.begin))
    return (end - begin) / scale, rows, tuple(slots)


def _preemption(history: History, events: list[int]) -> dict[str, Percentiles]:
    """Time each wake-up, from the Signal to the ThreadSwitch."""
    trace = history.trace
    times: dict[str, list[int]] = {kind: [] for kind, event in zip(PREEMPTIONS, events, strict=True) if event}
    kinds = dict(zip(events, PREEMPTIONS, strict=True))
    for release in history.dispatcher.releases:
        kind = kinds.get(release.object)
        if kind is not None and release.object:
            times[kind] += [
                int(trace.time[wait.run] - trace.time[release.index]) for wait in release.ended if wait.run >= 0
            ]
    return {kind: Percentiles.of(trace.ns(np.array(values, dtype=np.int64))) for kind, values in times.items()}
