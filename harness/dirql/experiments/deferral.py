# SPDX-License-Identifier: Apache-2.0
"""dpc-vs-workitem: what it costs to have something done later, by each kind of routine that a driver can defer to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.errors import GuestError, UsageError
from dirql.experiments.series import ICOUNT_NS, config_json
from dirql.machine import Machine
from dirql.recording import clock_pairs
from dirql.trace.clock import Clock
from dirql.trace.stats.summary import Percentiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.config import MachineConfig
    from dirql.experiments.runfolder import RunFolder

NAME = "dpc-vs-workitem"
KINDS = (
    "DPC",
    "DPC on another CPU",
    "threaded DPC",
    "work item",
    "thread that waits for an event",
    "the same on another CPU",
)
"""DEFERRAL of the driver."""
ELSEWHERE = frozenset({1, 5})
MAXIMUM_ROUNDS = 4096
RUN_TIMEOUT = 120.0


@dataclass(frozen=True)
class DeferralParameters:
    """What to run.

    Attributes:
        rounds: how often each kind is deferred to, one at a time.

    Raises:
        UsageError: a value is out of range.
    """

    rounds: int = 500

    def __post_init__(self) -> None:
        """Check the values."""
        if not 2 <= self.rounds <= MAXIMUM_ROUNDS:
            raise UsageError(f"there are 2 to {MAXIMUM_ROUNDS} rounds, not {self.rounds}")


@dataclass(frozen=True)
class DeferralRow:
    """One kind.

    Attributes:
        kind: of `KINDS`.
        irql: at which the routine runs.
        first: the first round of all, in ns: nothing is translated and cached yet.
        begins: from before the call to the routine's first instruction, in ns, all other rounds.
        returns: to the call's return, likewise.
    """

    kind: str
    irql: int
    first: float
    begins: Percentiles
    returns: Percentiles


@dataclass(frozen=True)
class DeferralResult:
    """What came of it.

    Attributes:
        parameters: what was asked for.
        config: the machine.
        rows: by kind.
        folder: the run's folder.
    """

    parameters: DeferralParameters
    config: MachineConfig
    rows: tuple[DeferralRow, ...]
    folder: RunFolder

    @property
    def unit(self) -> str:
        """What the figures are shown in: `instructions` under icount, else `µs`."""
        return "instructions" if self.config.mode == "icount" else "µs"

    def shown(self, ns: float) -> float:
        """Convert ns to that unit."""
        return ns / ICOUNT_NS if self.config.mode == "icount" else ns / 1000

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "experiment": NAME,
            "mode": self.config.mode,
            "cpus": self.config.cpus,
            "parameters": asdict(self.parameters),
            "unit": self.unit,
            "rows": [
                {
                    "kind": row.kind,
                    "irql": row.irql,
                    "first": round(self.shown(row.first), 3),
                    "begins": self._distribution(row.begins),
                    "returns": self._distribution(row.returns),
                }
                for row in self.rows
            ],
            "run_folder": str(self.folder.path),
        }

    def _distribution(self, times: Percentiles) -> dict[str, float]:
        names = ("minimum", "median", "p90", "p99", "maximum")
        return {name: round(self.shown(getattr(times, name)), 3) for name in names} | {"count": times.count}


def run_deferral(
    config: MachineConfig,
    parameters: DeferralParameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> DeferralResult:
    """Boot once, defer to each kind in turn. Nothing is traced: it is the cost that is looked for.

    Args:
        config: the machine; its trace and its verifier are off.
        parameters: what to run. With one CPU the kinds that need another one are left out.
        folder: the run's folder; `result.json` goes there.
        progress: called now and then with (kinds done, kinds).

    Raises:
        DirqlError: the machine failed.
    """
    config = replace(config, verifier=False, trace_mask=0)
    kinds = [kind for kind in range(len(KINDS)) if config.cpus > 1 or kind not in ELSEWHERE]
    ticks: dict[int, tuple[list[int], list[int]]] = {}
    with Machine(config, folder=folder.path) as machine:
        folder.describe(NAME, asdict(parameters) | config_json(config), machine)
        driver = machine.load("deferral.sys")
        view = driver.variable("DeferralRun")
        view.set("Rounds", parameters.rounds)
        for done, kind in enumerate(kinds):
            view.set("Kind", kind)
            left = driver.run("RunDeferral", timeout=RUN_TIMEOUT)
            if left:
                raise GuestError(f"deferral.sys left something behind: {left}")
            columns = [[view.get(name, at) for at in range(parameters.rounds)] for name in ("Begin", "Return")]
            ticks[kind] = (columns[0], columns[1])
            if progress is not None:
                progress(done + 1, len(kinds))
        scale = 1.0 if config.mode == "icount" else Clock.fit(clock_pairs(machine)).ticks_per_ns
    rows = tuple(_row(kind, *ticks[kind], scale) for kind in kinds)
    result = DeferralResult(parameters, config, rows, folder)
    folder.write("result.json", result.to_json())
    return result


def _row(kind: int, begins: list[int], returns: list[int], scale: float) -> DeferralRow:
    begun, returned = np.array(begins) / scale, np.array(returns) / scale
    irql = 2 if kind in (0, 1) else 0
    return DeferralRow(KINDS[kind], irql, float(begun[0]), Percentiles.of(begun[1:]), Percentiles.of(returned[1:]))
