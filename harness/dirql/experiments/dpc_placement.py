# SPDX-License-Identifier: Apache-2.0
"""dpc-placement: the same interrupts and DPCs under each placement policy (D1); where each DPC ran, and how soon."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.errors import GuestError, UsageError
from dirql.experiments.series import config_json, times_json
from dirql.machine import Machine
from dirql.recording import Recording
from dirql.trace.history.history import History
from dirql.trace.oracle import judge
from dirql.trace.stats.summary import Percentiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.config import MachineConfig
    from dirql.experiments.runfolder import RunFolder
    from dirql.trace.decode import Trace

NAME = "dpc-placement"
PLACEMENTS = ("routine", "first-available", "current")
KINDS = {"Device": "IoRequestDpc", "Custom": "KeInsertQueueDpc"}
"""Field of PLACEMENT_OBJECTS -> what queued those DPCs."""
RUN_TIMEOUT = 120.0


@dataclass(frozen=True)
class DpcPlacementParameters:
    """What to run.

    Attributes:
        placements: of `PLACEMENTS`, a machine for each.
        rounds: interrupts on each CPU, one at a time.
        busy: PAUSE instructions at DISPATCH_LEVEL, over and over, of every CPU but the first.
        rest: PAUSE instructions at PASSIVE_LEVEL in between.
        work: PAUSE instructions of a DPC.

    Raises:
        UsageError: a value is out of range.
    """

    placements: tuple[str, ...] = PLACEMENTS
    rounds: int = 200
    busy: int = 400
    rest: int = 100
    work: int = 20

    def __post_init__(self) -> None:
        """Check the values."""
        wrong = [each for each in self.placements if each not in PLACEMENTS]
        if wrong or not self.placements:
            raise UsageError(f"the placements are {', '.join(PLACEMENTS)}; {', '.join(wrong) or 'none'} was asked for")
        if not 1 <= self.rounds <= 100_000:
            raise UsageError(f"a run has 1 to 100000 rounds, not {self.rounds}")
        pauses = (self.busy, self.rest, self.work)
        if min(pauses) < 0 or max(pauses) > 1_000_000:
            raise UsageError("CPUs are busy, rest and work for 0 to 1000000 PAUSE instructions")


@dataclass(frozen=True)
class PlacementRow:
    """The DPCs of one kind under one policy.

    Attributes:
        placement: the policy.
        kind: what queued them.
        runs: how many ran.
        same: how many of those on the CPU that queued them.
        per_cpu: how many on each CPU.
        latency: from the insertion to the start, in ns.
    """

    placement: str
    kind: str
    runs: int
    same: int
    per_cpu: tuple[int, ...]
    latency: Percentiles

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self) | {"latency": None, "latency_us": times_json(self.latency)}


@dataclass(frozen=True)
class DpcPlacementResult:
    """What came of it.

    Attributes:
        parameters: what was asked for.
        config: the machine, but for its policy.
        rows: by policy, then by kind.
        verdicts: the oracle's status of each policy's trace.
        folder: the run's folder.
    """

    parameters: DpcPlacementParameters
    config: MachineConfig
    rows: tuple[PlacementRow, ...]
    verdicts: dict[str, str]
    folder: RunFolder

    @property
    def passed(self) -> bool:
        """Whether no rule was broken under any policy."""
        return "violated" not in self.verdicts.values()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "experiment": NAME,
            "mode": self.config.mode,
            "cpus": self.config.cpus,
            "parameters": asdict(self.parameters),
            "rows": [row.to_json() for row in self.rows],
            "verdicts": self.verdicts,
            "passed": self.passed,
            "run_folder": str(self.folder.path),
        }


def run_dpc_placement(
    config: MachineConfig,
    parameters: DpcPlacementParameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> DpcPlacementResult:
    """Boot a machine for each policy, run the same on each, and look where the DPCs ran.

    Args:
        config: the machine; its policy is taken from the parameters.
        parameters: what to run.
        folder: the run's folder; each policy has a folder in it with its trace.
        progress: called now and then with (policies done, policies).

    Raises:
        DirqlError: a machine failed; what was recorded by then is in the folder.
    """
    rows: list[PlacementRow] = []
    verdicts: dict[str, str] = {}
    for number, placement in enumerate(parameters.placements):
        path = folder.path / placement
        path.mkdir()
        mine = replace(config, dpc_placement=placement)  # type: ignore[arg-type]
        with Machine(mine, folder=path) as machine:
            if not number:
                folder.describe(NAME, asdict(parameters) | config_json(config), machine)
            driver = machine.load("dpc_placement.sys")
            view = driver.variable("PlacementRun")
            for name in ("rounds", "busy", "rest", "work"):
                view.set(name.capitalize(), getattr(parameters, name))
            with Recording(machine, path) as recording:
                leftover = driver.run("RunDpcPlacement", timeout=RUN_TIMEOUT)
            if leftover:
                raise GuestError(f"dpc_placement.sys left something behind: {leftover}")
            objects = driver.variable("PlacementObjects")
            dpcs = {kind: [objects.get(kind, cpu) for cpu in range(config.cpus)] for kind in KINDS}
        trace = recording.load()
        history = History(trace)
        rows += [_row(history, placement, kind, dpcs[kind]) for kind in KINDS]
        verdicts[placement] = judge(trace, history=history).status.value
        if progress is not None:
            progress(number + 1, len(parameters.placements))
    result = DpcPlacementResult(parameters, config, tuple(rows), verdicts, folder)
    folder.write("result.json", result.to_json())
    return result


def _row(history: History, placement: str, kind: str, dpcs: list[int]) -> PlacementRow:
    trace: Trace = history.trace
    insert, start = history.dpc_runs.runs(trace)
    mine = np.isin(trace.arg0[insert], np.array(dpcs, dtype=np.uint64))
    insert, start = insert[mine], start[mine]
    cpus = np.bincount(trace.cpu[start].astype(np.int64), minlength=trace.cpus)
    return PlacementRow(
        placement=placement,
        kind=KINDS[kind],
        runs=len(start),
        same=int((trace.cpu[start] == trace.cpu[insert]).sum()),
        per_cpu=tuple(int(count) for count in cpus),
        latency=Percentiles.of(trace.ns(np.maximum(trace.time[start] - trace.time[insert], 0))),
    )
