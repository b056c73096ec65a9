# SPDX-License-Identifier: Apache-2.0
"""Runs the cases against a broken kernel until one notices."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dirql.errors import DirqlError
from dirql.target.runner import RunnerPool
from dirql.target.suite import plan, run_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dirql.target.cases import Case
    from dirql.target.outcome import CaseResult
    from dirql.target.suite import Plan
    from dirql.target.table import TargetConfig
    from tests.mutants.find import Mutant

CPUS = (2, 4, 1)
MODES = ("mt", "icount")
MACHINES = 4
HANG_SECONDS = 10.0
NOT_THE_GUEST = "error"
"""The kind of a result that says nothing of the guest: no QEMU, a driver that does not load."""


@dataclass(frozen=True)
class Hunt:
    """How a mutant fared.

    Attributes:
        mutant: which.
        killer: the run that noticed; None: it survived.
        runs: how many runs it took, or all.
        seconds: how long.
    """

    mutant: Mutant
    killer: CaseResult | None
    runs: int
    seconds: float

    @property
    def how(self) -> str:
        """How it was noticed, in a line."""
        if self.killer is None:
            return ""
        return f"{self.killer.kind}: {self.killer.text.splitlines()[0]}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        killer = self.killer
        return {
            "mutant": self.mutant.name,
            "clauses": list(self.mutant.clauses),
            "text": self.mutant.text,
            "sources": list(self.mutant.sources),
            "killed": killer is not None,
            "case": killer and killer.id,
            "kind": killer and killer.kind,
            "how": self.how,
            "runs": self.runs,
            "seconds": round(self.seconds, 3),
        }


def sound_rows(
    cases: Sequence[Case], progress: Callable[[int, int], None] | None = None
) -> tuple[Plan, list[CaseResult]]:
    """Run all cases on the kernel as it should be: a case that fails there proves nothing elsewhere.

    Returns:
        The rows that passed, and the results of those that did not.
    """
    rows = plan(cases, CPUS, MODES)
    with RunnerPool() as pool:
        results = list(run_plan(rows, pool, progress))
    sound = [row for row, result in zip(rows, results, strict=True) if result.passed]
    return sound, [result for result in results if not result.passed]


def order(mutant: Mutant, rows: Plan) -> Plan:
    """Return the rows in the order to try: cases of the mutant's clauses first, the verifier on first."""

    def rank(at: int) -> tuple[bool, bool, int]:
        case, config = rows[at]
        return (not set(mutant.clauses) & set(case.clauses), not config.verifier, at)

    return [_impatient(*rows[at]) for at in sorted(range(len(rows)), key=rank)]


def _impatient(case: Case, config: TargetConfig) -> tuple[Case, TargetConfig]:
    """A case that has just passed on the sound kernel: what takes it this long on a mutant is a hang."""
    limit = min(case.needs.limit, HANG_SECONDS)
    return replace(case, needs=replace(case.needs, limit=limit)), config


def hunt(mutant: Mutant, kernel: Path, rows: Plan) -> Hunt:
    """Run cases against a mutant until one notices.

    Raises:
        DirqlError: a case could not be run for a reason that is not the guest's.
    """
    started, runs = time.monotonic(), 0
    with RunnerPool(kernel=kernel, limit=MACHINES) as pool:
        for result in run_plan(order(mutant, rows), pool):
            runs += 1
            if result.kind == NOT_THE_GUEST:
                raise DirqlError(f"{mutant.name}: {result.id} could not be run: {result.text}")
            if not result.passed:
                return Hunt(mutant, result, runs, time.monotonic() - started)
    return Hunt(mutant, None, runs, time.monotonic() - started)
