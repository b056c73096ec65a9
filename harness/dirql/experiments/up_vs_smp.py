# SPDX-License-Identifier: Apache-2.0
"""up-vs-smp: one driver binary and one load on one CPU and on many (SYS-4, SYS-5): what overlaps, and what it costs.

The driver has a dispatch routine that queues, StartIo, ISR and DpcForIsr; clients keep it busy. On one CPU nothing of
it can be beside anything else: an ISR that comes while StartIo runs comes on top of it. On several CPUs the trace shows
which routines ran at the same time on two of them. Each point runs twice: untraced for the cost, traced for the order.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dirql.errors import GuestError, UsageError
from dirql.experiments.series import ICOUNT_NS, config_json, times_json
from dirql.machine import Machine
from dirql.recording import Recording, clock_pairs
from dirql.trace.clock import Clock
from dirql.trace.history.history import History
from dirql.trace.history.intervals import Intervals
from dirql.trace.oracle import Status, judge
from dirql.trace.stats.summary import Percentiles, statistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.config import MachineConfig
    from dirql.driver import Driver
    from dirql.experiments.runfolder import RunFolder
    from dirql.qemu.command import Mode
    from dirql.trace.schema import Flags, Indices

NAME = "up-vs-smp"
MODES: tuple[Mode, ...] = ("icount", "mt")
MAXIMUM_CLIENTS = 16
TRACED = 400
"""Requests of the traced run, at most."""
RUN_TIMEOUT = 120.0

OVERLAPS = ("StartIo beside ISR", "DPC beside ISR", "queuing beside StartIo", "DPC beside StartIo")
"""What can run beside what, on two CPUs."""
NESTED = "ISR on top of StartIo"
"""The same CPU does both, one after the other."""


@dataclass(frozen=True)
class UpVsSmpParameters:
    """What to run.

    Attributes:
        cpus: numbers of CPUs, a point for each.
        modes: of `MODES`, likewise.
        requests: of all clients.
        clients: threads that send requests, one at a time each, spread over the CPUs.
        work: PAUSE instructions of each routine.

    Raises:
        UsageError: a value is out of range.
    """

    cpus: tuple[int, ...] = (1, 2, 4)
    modes: tuple[Mode, ...] = MODES
    requests: int = 2000
    clients: int = 4
    work: int = 20

    def __post_init__(self) -> None:
        """Check the values."""
        wrong = [mode for mode in self.modes if mode not in MODES]
        if wrong or not self.modes:
            raise UsageError(f"the modes are {', '.join(MODES)}; {', '.join(wrong) or 'none'} was asked for")
        if not 1 <= self.clients <= MAXIMUM_CLIENTS:
            raise UsageError(f"there are 1 to {MAXIMUM_CLIENTS} clients, not {self.clients}")
        if not self.clients <= self.requests <= 1_000_000:
            raise UsageError(
                f"each client has a request, all together have 1000000 at most; {self.requests} is not that"
            )
        if not 0 <= self.work <= 100_000:
            raise UsageError(f"a routine works for 0 to 100000 PAUSE instructions, not {self.work}")


@dataclass(frozen=True)
class UpVsSmpPoint:
    """One number of CPUs in one mode.

    Attributes:
        mode: `icount` or `mt`.
        cpus: how many CPUs.
        requests: completed in the untraced run.
        wrong: of these, with another one's result.
        interrupts: that the ISR took.
        ns: of the untraced run: virtual in `icount`.
        instructions: a request, of all CPUs; None in `mt`.
        traced: requests of the traced run.
        overlaps: of `OVERLAPS`: how many calls of the first routine had one of the second beside them on another CPU.
        calls: how many calls of the first routine there were.
        nested: ISR calls that interrupted StartIo on their own CPU.
        latency: from call to completion in the traced run, in ns.
        status: the oracle's.
        violations: what it found broken.
    """

    mode: Mode
    cpus: int
    requests: int
    wrong: int
    interrupts: int
    ns: float
    instructions: float | None
    traced: int
    overlaps: dict[str, int]
    calls: dict[str, int]
    nested: int
    latency: Percentiles
    status: str
    violations: int

    @property
    def passed(self) -> bool:
        """Whether all requests are accounted for, no rule was broken, and one CPU did nothing beside anything."""
        exact = self.interrupts == self.requests and not self.wrong and not self.violations
        return exact and self.status == Status.OK.value and (self.cpus > 1 or not any(self.overlaps.values()))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self) | {
            "ns": round(self.ns, 1),
            "us_per_request": round(self.ns / self.requests / 1000, 3),
            "instructions": None if self.instructions is None else round(self.instructions, 1),
            "latency": None,
            "latency_us": times_json(self.latency),
            "passed": self.passed,
        }


@dataclass(frozen=True)
class UpVsSmpResult:
    """What came of it.

    Attributes:
        parameters: what was asked for.
        points: by mode, then by number of CPUs.
        histories: the traces of the first and the last point of the first mode, for the pictures.
        folder: the run's folder.
    """

    parameters: UpVsSmpParameters
    points: tuple[UpVsSmpPoint, ...]
    histories: tuple[History, ...]
    folder: RunFolder

    @property
    def passed(self) -> bool:
        """Whether every point passed."""
        return all(point.passed for point in self.points)

    def of(self, mode: Mode) -> list[UpVsSmpPoint]:
        """Return the points of a mode."""
        return [point for point in self.points if point.mode == mode]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "experiment": NAME,
            "parameters": asdict(self.parameters),
            "points": [point.to_json() for point in self.points],
            "passed": self.passed,
            "run_folder": str(self.folder.path),
        }


def run_up_vs_smp(
    config: MachineConfig,
    parameters: UpVsSmpParameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> UpVsSmpResult:
    """Boot twice for each point: for the cost, and for the trace.

    Args:
        config: the machine; its mode and its number of CPUs are taken from the parameters.
        parameters: what to run.
        folder: the run's folder; each point has a folder in it with its trace.
        progress: called now and then with (points done, points).

    Raises:
        DirqlError: a machine failed; what was recorded by then is in the folder.
    """
    plan = [(mode, cpus) for mode in parameters.modes for cpus in parameters.cpus]
    points: list[UpVsSmpPoint] = []
    histories: list[History] = []
    for number, (mode, cpus) in enumerate(plan):
        mine = replace(config, mode=mode, cpus=cpus)
        path = folder.path / f"{mode}-{cpus}"
        path.mkdir()
        costs = _run_untraced(mine, parameters, folder, first=not number)
        with Machine(mine, folder=path) as machine:
            driver = machine.load("overlap.sys")
            with Recording(machine, path) as recording:
                traced = _run(driver, replace(parameters, requests=_traced(parameters)))
        history = History(recording.load())
        points.append(_point(mine, costs, traced, history))
        if number in (0, len(parameters.cpus) - 1):
            histories.append(history)
        if progress is not None:
            progress(number + 1, len(plan))
    result = UpVsSmpResult(parameters, tuple(points), tuple(histories), folder)
    folder.write("result.json", result.to_json())
    return result


class _Run(NamedTuple):
    completed: int
    wrong: int
    interrupts: int
    ticks: int
    dpc: int
    ticks_per_ns: float


def _traced(parameters: UpVsSmpParameters) -> int:
    return max(min(parameters.requests, TRACED), parameters.clients)


def _run_untraced(config: MachineConfig, parameters: UpVsSmpParameters, folder: RunFolder, *, first: bool) -> _Run:
    path = folder.path / f"{config.mode}-{config.cpus}" / "untraced"
    path.mkdir()
    with Machine(replace(config, verifier=False, trace_mask=0), folder=path) as machine:
        if first:
            folder.describe(NAME, asdict(parameters) | config_json(config), machine)
        found = _run(machine.load("overlap.sys"), parameters)
        rate = 1.0 if config.mode == "icount" else Clock.fit(clock_pairs(machine)).ticks_per_ns
    return found._replace(ticks_per_ns=rate)


def _run(driver: Driver, parameters: UpVsSmpParameters) -> _Run:
    view = driver.variable("OverlapRun")
    for name in ("requests", "clients", "work"):
        view.set(name.capitalize(), getattr(parameters, name))
    left = driver.run("RunOverlap", timeout=RUN_TIMEOUT)
    if left:
        raise GuestError(f"overlap.sys left something behind: {left}")
    ticks = view.get("End") - view.get("Begin")
    completed, wrong, interrupts = (view.get(name) for name in ("Completed", "Wrong", "Interrupts"))
    return _Run(completed, wrong, interrupts, ticks, view.get("Dpc"), 1.0)


def _point(config: MachineConfig, costs: _Run, traced: _Run, history: History) -> UpVsSmpPoint:
    trace = history.trace
    dpcs = history.dpcs
    spans = {
        "StartIo": _ends(history.start_ios),
        "ISR": _ends(history.isrs),
        "DPC": _ends(dpcs, trace.arg0[dpcs.start] == np.uint64(traced.dpc)),
        "queuing": _ends(history.dispatches),
    }
    pairs = {name: name.split(" beside ") for name in OVERLAPS}
    verdict = judge(trace, history=history)
    ns = costs.ticks / costs.ticks_per_ns
    reads = [each.latency for each in statistics(history).irps]
    return UpVsSmpPoint(
        mode=config.mode,
        cpus=config.cpus,
        requests=costs.completed,
        wrong=costs.wrong + traced.wrong,
        interrupts=costs.interrupts,
        ns=ns,
        instructions=ns / ICOUNT_NS / costs.completed if config.mode == "icount" else None,
        traced=traced.completed,
        overlaps={name: int(beside(history, spans[one], spans[other]).sum()) for name, (one, other) in pairs.items()},
        calls={name: len(spans[one][0]) for name, (one, _) in pairs.items()},
        nested=_on_top(history),
        latency=reads[0] if reads else Percentiles.of([]),
        status=verdict.status.value,
        violations=verdict.counted(Status.VIOLATED),
    )


Ends = tuple["Indices", "Indices"]


def _ends(spans: Intervals, chosen: Flags | None = None) -> Ends:
    keep = slice(None) if chosen is None else chosen
    return spans.start[keep], spans.end[keep]


def beside(history: History, one: Ends, other: Ends) -> Flags:
    """Tell which of some intervals have one of others beside them, in time, on another CPU.

    Args:
        history: the trace's intervals.
        one: first and last records of some.
        other: first and last records of the others.
    """
    trace = history.trace
    begin, end, cpu = trace.time[one[0]], trace.time[one[1]], trace.cpu[one[0]]
    found: Flags = np.zeros(len(begin), dtype=np.bool_)
    for number in range(trace.cpus):
        mine = trace.cpu[other[0]] == number
        order = np.argsort(trace.time[other[0][mine]], kind="stable")
        starts, ends = trace.time[other[0][mine]][order], np.maximum.accumulate(trace.time[other[1][mine]][order])
        at = np.searchsorted(starts, end, side="left") - 1
        if len(starts):
            found |= (cpu != number) & (at >= 0) & (ends[np.maximum(at, 0)] > begin)
    return found


def _on_top(history: History) -> int:
    """Count the ISR calls that interrupted StartIo on their own CPU."""
    trace, starts = history.trace, history.start_ios
    begun, cpu = trace.position[starts.start], trace.cpu[starts.start]
    order = np.argsort(begun)
    isrs = trace.position[history.isrs.start]
    at = np.searchsorted(begun[order], isrs) - 1
    which = order[np.maximum(at, 0)] if len(order) else at
    if not len(order):
        return 0
    inside = (at >= 0) & (trace.position[starts.end[which]] > isrs) & (cpu[which] == trace.cpu[history.isrs.start])
    return int(inside.sum())
