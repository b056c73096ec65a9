# SPDX-License-Identifier: Apache-2.0
"""timer-accuracy: when timers were to be due and when they fired, by kind and by the clock tick.

A driver sets timers from random points of a tick and notes, by the counter that moves between ticks, when each was to
be due and when its DPC ran. A tick at a time is all that a timer sees: the documentation allows an absolute timer to be
up to a period late, a relative one up to a period early or late (TMR-5). A periodic timer is relative, each of its
periods counted from the first.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.errors import GuestError, UsageError
from dirql.experiments.series import config_json, times_json
from dirql.machine import Machine
from dirql.trace.stats.summary import Percentiles

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dirql.config import MachineConfig
    from dirql.driver import Driver
    from dirql.experiments.runfolder import RunFolder

NAME = "timer-accuracy"
KINDS = ("relative", "absolute", "periodic")
"""In the order of TIMER_KIND."""

SAMPLES = 4096
"""Most that the driver keeps."""

_NS = 100
"""Of the guest's unit of time."""

_RUN_TIMEOUT = 300.0
_SERVICE_NS = 100_000
"""How long after its tick a DPC may run in virtual time, where nothing holds it back."""


@dataclass(frozen=True)
class TimerAccuracyParameters:
    """What to run.

    Attributes:
        ticks: clock periods, in µs.
        count: timers of each kind at each period; expiries of a periodic one.
        longest: the longest due time, in clock periods; a periodic timer's period is the nearest number of
            milliseconds to half of it.
        seed: of the due times and of the points of the tick.

    Raises:
        UsageError: a value is out of range.
    """

    ticks: tuple[int, ...] = (15625, 5000, 1000, 500)
    count: int = 200
    longest: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.ticks or not 100 <= min(self.ticks) <= max(self.ticks) <= 1_000_000:
            raise UsageError(f"a clock period is 100 to 1000000 µs; {self.ticks or 'none'} was asked for")
        if not 1 <= self.count <= SAMPLES:
            raise UsageError(f"there are 1 to {SAMPLES} timers of each kind, not {self.count}")
        if not 1 <= self.longest <= 1000:
            raise UsageError(f"due times are 1 to 1000 clock periods away at most, not {self.longest}")

    def period_ms(self, tick: int) -> int:
        """Return a periodic timer's period.

        Args:
            tick: the clock period, in µs.
        """
        return max(1, round(self.longest * tick / 2 / 1000))


@dataclass(frozen=True)
class AccuracyRow:
    """One kind of timer at one clock period.

    Attributes:
        tick: the clock period, in µs.
        kind: of `KINDS`.
        error: when it fired less when it was due, in ns: below zero is early.
        early: timers that were earlier than the rule allows.
        late: timers that were later than the rule allows.
        missed: periods of a periodic timer that were left out, because the next was due before it had fired.
    """

    tick: int
    kind: str
    error: Percentiles
    early: int
    late: int
    missed: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "tick_us": self.tick,
            "kind": self.kind,
            "error_us": times_json(self.error),
            "too_early": self.early,
            "too_late": self.late,
            "missed": self.missed,
        }


@dataclass(frozen=True)
class TimerAccuracyResult:
    """What came of it.

    Attributes:
        parameters: what was asked for.
        config: the machine.
        rows: one for each kind at each clock period.
        errors: each timer's error in ns, in the order of `rows`.
        folder: the run's folder.
    """

    parameters: TimerAccuracyParameters
    config: MachineConfig
    rows: tuple[AccuracyRow, ...]
    errors: tuple[npt.NDArray[np.int64], ...]
    folder: RunFolder

    @property
    def passed(self) -> bool:
        """Whether no absolute timer was early, and in virtual time none was beyond the rule either way.

        Where time is the host's, a tick may come late: then timers are late, and relative ones, whose time begins at
        the last tick, early.
        """
        if self.config.mode == "icount":
            return not any(row.early or row.late for row in self.rows)
        return not any(row.early for row in self.rows if row.kind == "absolute")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "experiment": NAME,
            "mode": self.config.mode,
            "cpus": self.config.cpus,
            "parameters": asdict(self.parameters),
            "rows": [row.to_json() for row in self.rows],
            "passed": self.passed,
            "run_folder": str(self.folder.path),
        }


def run_timer_accuracy(
    config: MachineConfig,
    parameters: TimerAccuracyParameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> TimerAccuracyResult:
    """Boot a machine for each clock period and set timers of each kind on it.

    Args:
        config: the machine.
        parameters: what to run.
        folder: the run's folder; `result.json` goes there.
        progress: called now and then with (kinds done, kinds).

    Raises:
        DirqlError: it failed.
    """
    config = replace(config, verifier=False, trace_mask=0)
    rows: list[AccuracyRow] = []
    errors: list[npt.NDArray[np.int64]] = []
    for tick in parameters.ticks:
        ticking = replace(config, clock_100ns=tick * 1000 // _NS)
        path = folder.path / f"tick-{tick}"
        path.mkdir()
        with Machine(ticking, folder=path) as machine:
            if not rows:
                folder.describe(NAME, asdict(parameters) | config_json(config), machine)
            driver = machine.load("timer_due.sys")
            for kind in KINDS:
                error, missed = _measure(driver, kind, tick, parameters)
                errors.append(error)
                rows.append(_row(tick, kind, error, missed))
                if progress is not None:
                    progress(len(rows), len(parameters.ticks) * len(KINDS))
    result = TimerAccuracyResult(parameters, config, tuple(rows), tuple(errors), folder)
    folder.write("result.json", result.to_json())
    return result


def _measure(
    driver: Driver, kind: str, tick: int, parameters: TimerAccuracyParameters
) -> tuple[npt.NDArray[np.int64], int]:
    """Return how many ns after its due time each timer fired, and how many periods were left out."""
    view = driver.variable("TimerDue")
    view.set("Kind", KINDS.index(kind))
    view.set("Count", parameters.count)
    view.set("Seed", parameters.seed)
    periodic = kind == "periodic"
    view.set("Longest", parameters.period_ms(tick) if periodic else parameters.longest * tick * 1000 // _NS)
    left = driver.run("MeasureTimers", timeout=_RUN_TIMEOUT)
    if left:
        raise GuestError(f"the {kind} timers left something behind: {left}")
    asked, fired = (
        np.array([view.get(name, at) for at in range(parameters.count)], dtype=np.int64) for name in ("Asked", "Fired")
    )
    errors = (fired - asked) * _NS
    return leave_out_missed(errors, parameters.period_ms(tick) * 1_000_000) if periodic else (errors, 0)


def leave_out_missed(errors: npt.NDArray[np.int64], period: int) -> tuple[npt.NDArray[np.int64], int]:
    """Count a periodic timer's expiries as those of the periods that they belong to.

    Args:
        errors: of the n-th expiry against the n-th period, in ns.
        period: in ns.

    Returns:
        The errors against the periods that were not left out, and how many were: an expiry that is late by a period or
        more is that of a later one.
    """
    skipped = np.maximum.accumulate(np.maximum(errors // period, 0))
    return errors - skipped * period, int(skipped[-1])


def _row(tick: int, kind: str, error: npt.NDArray[np.int64], missed: int) -> AccuracyRow:
    period = tick * 1000
    early = int((error < (0 if kind == "absolute" else -period)).sum())
    late = int((error > period + _SERVICE_NS).sum())
    return AccuracyRow(tick, kind, Percentiles.of(error), early, late, missed)
