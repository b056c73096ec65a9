# SPDX-License-Identifier: Apache-2.0
"""lock-scaling: CPUs that fight for one lock, of four kinds; what an acquisition costs, who gets it, who is overtaken.

Each point runs twice: untraced for the costs, then traced for the order. An acquisition bypasses a waiter if its
request was made when the waiter certainly waited already (its place was taken, or its first try had failed) and it was
first all the same. A request is marked before it is made, so a lock that serves in the order of arrival has 0, without
doubt.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dirql.errors import GuestError, UsageError
from dirql.experiments.series import ICOUNT_NS, config_json, event_mask
from dirql.machine import Machine
from dirql.qemu.memory import MIB
from dirql.qemu.waits import Deadline
from dirql.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dirql.config import MachineConfig
    from dirql.driver import Driver
    from dirql.experiments.runfolder import RunFolder
    from dirql.trace.decode import Trace

NAME = "lock-scaling"
LOCKS = ("executive", "queued", "ticket", "ttas")
RUN_TIMEOUT = 120.0
"""Seconds for one point: with more CPUs than the host has cores, a fair lock waits for the host's scheduler."""

TRACED = 5000
"""Acquisitions of a traced point at most: their records fit into a ring, even if one CPU makes them all."""

_TRACE_RECORDS = 1 << 15
_DRAIN_TIMEOUT = 30.0
_EVENTS = ("CaseBegin", "CaseEnd", "Mark", "LockWait")
_ORDER_SHOWN = 64


@dataclass(frozen=True)
class LockScalingParameters:
    """What to run.

    Attributes:
        cpus: numbers of CPUs that compete.
        locks: of `LOCKS`.
        acquisitions: at each point, of all CPUs together.
        hold: most PAUSE instructions with the lock held; how many is drawn each time.
        think: most PAUSE instructions between a release and the next request, likewise.
        seed: of what is drawn.
        seconds: a point has fewer acquisitions if they take longer than this (virtual seconds under icount).

    Raises:
        UsageError: a value is out of range.
    """

    cpus: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    locks: tuple[str, ...] = LOCKS
    acquisitions: int = 20_000
    hold: int = 4
    think: int = 16
    seed: int = 0
    seconds: float = 0.5

    def __post_init__(self) -> None:
        """Check the values."""
        wrong = [lock for lock in self.locks if lock not in LOCKS]
        if wrong or not self.locks:
            raise UsageError(f"the locks are {', '.join(LOCKS)}; {', '.join(wrong) or 'none'} was asked for")
        if not 1 <= self.acquisitions <= 1_000_000:
            raise UsageError(f"a point has 1 to 1000000 acquisitions, not {self.acquisitions}")
        if not 0 <= min(self.hold, self.think) <= max(self.hold, self.think) <= 100_000:
            raise UsageError("the lock is held, and not asked for, for 0 to 100000 PAUSE instructions")
        if not 0 < self.seconds <= RUN_TIMEOUT / 4:
            raise UsageError(f"a point takes more than 0 and at most {RUN_TIMEOUT / 4:g} seconds, not {self.seconds:g}")


class _Order(NamedTuple):
    """What the traced variant tells: who entered, and how often each waiter was overtaken."""

    entered: list[int]
    bypassed: list[int]
    waited: int


@dataclass(frozen=True)
class LockPoint:
    """One lock with one number of CPUs.

    Attributes:
        lock: of `LOCKS`.
        cpus: how many competed.
        acquisitions: of each CPU.
        ns: of the clock, from the start to the last acquisition.
        spins: looks at the lock that found it taken, of each CPU.
        instructions: of all CPUs together; None where no virtual time counts them.
        traced: acquisitions in the traced variant.
        handoffs: the CPUs that entered, in order, in the traced variant; the first of them.
        longest_run: most acquisitions in a row by one CPU, likewise.
        contended: part of the acquisitions that had to wait, likewise.
        bypasses: how often an acquisition overtook a waiter, likewise.
        most_bypassed: most times that one waiter was overtaken before it entered.
    """

    lock: str
    cpus: int
    acquisitions: tuple[int, ...]
    ns: float
    spins: tuple[int, ...]
    instructions: float | None
    traced: int
    handoffs: tuple[int, ...]
    longest_run: int
    contended: float
    bypasses: int
    most_bypassed: int

    @property
    def total(self) -> int:
        """Acquisitions of all CPUs."""
        return sum(self.acquisitions)

    @property
    def fairness(self) -> float:
        """Jain's index of the acquisitions: 1 where every CPU had as many, 1 / CPUs where one had all."""
        values = np.array(self.acquisitions, dtype=np.float64)
        return float(values.sum() ** 2 / (len(values) * (values**2).sum()))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        per = max(self.total, 1)
        return asdict(self) | {
            "fairness": round(self.fairness, 6),
            "ns_per_acquisition": round(self.ns / per, 1),
            "bypasses_per_acquisition": round(self.bypasses / max(self.traced, 1), 4),
            "spins_per_acquisition": round(sum(self.spins) / per, 3),
            "instructions_per_acquisition": None if self.instructions is None else round(self.instructions / per, 1),
        }


@dataclass(frozen=True)
class LockScalingResult:
    """What came of it.

    Attributes:
        parameters: what was asked for.
        config: the machine.
        points: by lock, then by number of CPUs.
        folder: the run's folder.
    """

    parameters: LockScalingParameters
    config: MachineConfig
    points: tuple[LockPoint, ...]
    folder: RunFolder

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "experiment": NAME,
            "mode": self.config.mode,
            "parameters": asdict(self.parameters),
            "points": [point.to_json() for point in self.points],
            "run_folder": str(self.folder.path),
        }


def run_lock_scaling(
    config: MachineConfig,
    parameters: LockScalingParameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> LockScalingResult:
    """Boot once, run every point, read the order from the trace.

    Args:
        config: the machine; its number of CPUs and its verifier, which is off, are taken from the parameters.
        parameters: what to run.
        folder: the run's folder; the trace and `result.json` go there.
        progress: called now and then with (points done, points).

    Raises:
        DirqlError: the machine failed; what was recorded by then is in the folder.
    """
    cpus = max(parameters.cpus)
    ram = max(config.ram_bytes, 64 * MIB + cpus * 2 * MIB)
    config = replace(config, cpus=cpus, ram_bytes=ram, verifier=False, trace_mask=0, trace_records=_TRACE_RECORDS)
    plan = [(lock, cpus) for lock in parameters.locks for cpus in parameters.cpus]
    costs: list[Costs] = []
    with Machine(config, folder=folder.path) as machine:
        folder.describe(NAME, asdict(parameters) | config_json(config), machine)
        earlier = instant(machine)
        driver = machine.load("lock_scaling.sys")
        hz = tsc_hz(machine, earlier)
        mask = event_mask(machine, _EVENTS)
        with Recording(machine, folder.path) as recording:
            for number, (lock, cpus) in enumerate(plan):
                costs.append(run_point(driver, parameters, hz, lock, cpus))
                machine.set_trace_mask(mask)
                traced = replace(parameters, acquisitions=min(parameters.acquisitions, TRACED))
                run_point(driver, traced, hz, lock, cpus, marks=True)
                machine.set_trace_mask(0)
                _drain(machine)
                if progress is not None:
                    progress(number + 1, len(plan))
    trace = recording.load()
    orders = _orders(trace, driver.base, driver.base + driver.size, len(plan))
    ticks = trace.meta.clock.ticks_per_ns
    points = tuple(
        _point(config, lock, cpus, cost, order, ticks)
        for (lock, cpus), cost, order in zip(plan, costs, orders, strict=True)
    )
    result = LockScalingResult(parameters, config, points, folder)
    folder.write("result.json", result.to_json())
    return result


class Costs(NamedTuple):
    """What a point cost: acquisitions and spins of each CPU, and ticks of the clock."""

    acquisitions: tuple[int, ...]
    spins: tuple[int, ...]
    ticks: int


def _drain(machine: Machine) -> None:
    """Wait until the records of a point have been collected, so that the next one finds its rings empty."""
    rings = [machine.memory.variable("TraceRing", "TRACE_RING", cpu) for cpu in range(machine.cpus)]
    deadline = Deadline(_DRAIN_TIMEOUT)
    while any(ring.get("Head") != ring.get("Tail") for ring in rings) and not deadline.expired:
        machine.session.watch.check()
        os.sched_yield()


def instant(machine: Machine) -> tuple[int, int]:
    """Return the host's time in ns and the guest's TSC, of one moment."""
    return time.monotonic_ns(), machine.link.request("Ping")[0]


def tsc_hz(machine: Machine, earlier: tuple[int, int]) -> float:
    """The rate of the guest's clock, good enough to end a point that takes too long."""
    if machine.config.mode == "icount":
        return 1e9
    now, tsc = instant(machine)
    return (tsc - earlier[1]) / (now - earlier[0]) * 1e9


def run_point(
    driver: Driver, parameters: LockScalingParameters, hz: float, lock: str, cpus: int, *, marks: bool = False
) -> Costs:
    """Run one point.

    Args:
        driver: lock_scaling.sys, loaded.
        parameters: of the run.
        hz: of the guest's clock, to end a point that takes too long.
        lock: of `LOCKS`.
        cpus: how many compete.
        marks: the traced variant: requests are marked.

    Raises:
        GuestError: it left something behind, or the counts contradict each other.
    """
    machine, view = driver.machine, driver.variable("LockScaling")
    for name, value in (
        ("Lock", LOCKS.index(lock)),
        ("Cpus", cpus),
        ("Total", parameters.acquisitions),
        ("Hold", parameters.hold),
        ("Think", parameters.think),
        ("Marks", int(marks)),
        ("Seed", parameters.seed),
        ("Limit", round(parameters.seconds * hz)),
    ):
        view.set(name, value)
    before = _kernel_spins(machine, cpus)
    leftover = driver.run("RunLockScaling", timeout=RUN_TIMEOUT)
    if leftover:
        raise GuestError(f"{lock} with {cpus} CPUs left something behind: {leftover}")
    kernel = [after - old for after, old in zip(_kernel_spins(machine, cpus), before, strict=True)]
    each = [view.inner("Cpu", cpu) for cpu in range(cpus)]
    acquisitions = tuple(cpu.get("Acquisitions") for cpu in each)
    if sum(acquisitions) != view.get("Done"):
        raise GuestError(
            f"{lock} with {cpus} CPUs: {view.get('Done')} counted under the lock, {sum(acquisitions)} made"
        )
    own = [cpu.get("Spins") for cpu in each]
    spins = tuple(kernel) if lock in ("executive", "queued") else tuple(own)
    return Costs(acquisitions, spins, view.get("End") - view.get("Begin"))


def _kernel_spins(machine: Machine, cpus: int) -> list[int]:
    return [machine.memory.variable("KiPcr", "KIPCR", cpu).inner("Prcb").get("SpinCount") for cpu in range(cpus)]


def _point(config: MachineConfig, lock: str, cpus: int, cost: Costs, order: _Order, ticks_per_ns: float) -> LockPoint:
    ns = cost.ticks / ticks_per_ns
    runs = np.diff(np.flatnonzero(np.diff(order.entered, prepend=-1, append=-1)))
    return LockPoint(
        lock=lock,
        cpus=cpus,
        acquisitions=cost.acquisitions,
        ns=ns,
        spins=cost.spins,
        instructions=ns / ICOUNT_NS if config.mode == "icount" else None,
        traced=len(order.entered),
        handoffs=tuple(order.entered[:_ORDER_SHOWN]),
        longest_run=int(runs.max(initial=0)),
        contended=order.waited / max(len(order.entered), 1),
        bypasses=sum(order.bypassed),
        most_bypassed=max(order.bypassed, default=0),
    )


def _orders(trace: Trace, low: int, high: int, wanted: int) -> list[_Order]:
    """Follow each traced point, from its CaseBegin to its CaseEnd."""
    begins, ends = trace.where("CaseBegin"), trace.where("CaseEnd")
    if sum(trace.lost) or len(begins) != wanted or len(ends) != wanted:
        raise UsageError(
            f"the trace is not whole ({sum(trace.lost)} records lost, {len(begins)} of {wanted} points begun): "
            "fewer --acquisitions, please"
        )
    steps = trace.where("Mark", "LockWait")
    foreign = trace.are(steps, "LockWait") & ((trace.arg1[steps] < low) | (trace.arg1[steps] >= high))
    steps = steps[~foreign]
    when = trace.time[steps]
    cuts = [
        np.searchsorted(when, (trace.time[begin], trace.time[end])) for begin, end in zip(begins, ends, strict=True)
    ]
    waits = trace.are(steps, "LockWait")
    what = np.where(waits, _WAITS, trace.arg0[steps].astype(np.int64))
    cpu = trace.cpu[steps].astype(np.int64)
    return [follow(list(zip(when[a:b].tolist(), cpu[a:b].tolist(), what[a:b].tolist(), strict=True))) for a, b in cuts]


_REQUESTS, _WAITS, _ENTERS = 1, 2, 3
"""SCALING_MARK of the driver; the executive's own LockWait counts as the second."""


def follow(steps: Sequence[tuple[int, int, int]]) -> _Order:
    """Follow one point.

    Args:
        steps: (time, CPU, what: 1 requests, 2 waits, 3 enters, others mean nothing here), in the order of time.
    """
    requested: dict[int, int] = {}
    waiting: dict[int, tuple[int, int]] = {}  # CPU -> (since, overtaken)
    entered: list[int] = []
    bypassed: list[int] = []
    waited = 0
    for now, cpu, what in steps:
        if what == _REQUESTS:
            requested[cpu] = now
        elif what == _WAITS:
            waiting[cpu] = (now, 0)
        elif what == _ENTERS:
            since = waiting.pop(cpu, None)
            entered.append(cpu)
            if since is not None:
                waited += 1
                bypassed.append(since[1])
            asked = requested.get(cpu, now)
            for other, (begun, count) in waiting.items():
                if asked > begun:
                    waiting[other] = (begun, count + 1)
    return _Order(entered, bypassed, waited)
