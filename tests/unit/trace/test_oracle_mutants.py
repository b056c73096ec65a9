# SPDX-License-Identifier: Apache-2.0
"""Each clause can fail: a correct run, broken in one way, is caught under the right clause."""

from __future__ import annotations

import random

import pytest

from dirql.trace.oracle import Status, judge
from dirql.trace.oracle.verdict import NO_EVIDENCE
from tests.unit.trace.mutants import MUTANTS, CannotBreak
from tests.unit.trace.synth import Run, simulate

SEEDS = range(8)
ENOUGH = 3
"""Runs that a fault is put into, of those that have a place for it."""
GUIDELINES = ("SPIN-10", "DPC-16", "INT-TIME")
"""Broken, they are warnings."""
CLAUSES = {
    *("IRQL-2", "IRQL-3", "IRQL-4", "IRQL-6"),
    *("SPIN-1", "SPIN-2", "SPIN-3", "SPIN-4", "SPIN-6", "SPIN-8", "SPIN-9", "SPIN-12", "SPIN-13", "SPIN-19"),
    *("QSL-1", "QSL-3", "RW-1", "RW-2", "RW-3", "RW-4", "RW-5"),
    *("DPC-1", "DPC-2", "DPC-3", "DPC-4", "DPC-5", "DPC-6", "DPC-7", "DPC-8", "DPC-12", "DPC-15"),
    *("INT-1", "INT-6", "INT-8", "INT-11", "SYN-1", "SYN-2", "SYN-3", "SYN-4", "SYS-9", "IPI-1", "INT-ACCOUNT"),
    *("IRQL-9", "THR-1", "THR-RUN", "THR-PRIORITY", "WAIT-2", "EVT-1", "EVT-5", "MUT-1", "SEM-3", "TMR-3"),
    *("IRP-3", "IRP-8", "IRP-CALL", "SPIN-17"),
    *("SPIN-IRQL", "THR-READY", "WAIT-1", "CAUSE-IPI", "CAUSE-THREAD", "CAUSE-WAIT", "CAUSE-IRP"),
    *GUIDELINES,
}


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """Correct runs."""
    made = [simulate(seed, cpus=3, records=8000, windows=False) for seed in SEEDS]
    shown: set[str] = set()
    for run in made:
        clauses = judge(run.trace()).clauses
        assert all(clause.status is Status.OK or clause.reason == NO_EVIDENCE for clause in clauses)
        shown |= {clause.clause.id for clause in clauses if clause.status is Status.OK}
    assert shown == CLAUSES
    return made


def test_every_clause_has_a_mutant() -> None:
    assert {mutant.clause for mutant in MUTANTS.values()} == CLAUSES
    assert {clause.clause.id for clause in judge(simulate(0).trace()).clauses} == CLAUSES


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_caught(runs: list[Run], name: str) -> None:
    mutant = MUTANTS[name]
    broken = 0
    for seed, run in zip(SEEDS, runs, strict=True):
        try:
            faulty = mutant.apply(run, random.Random(seed))
        except CannotBreak:
            continue
        broken += 1
        if broken > ENOUGH:
            break
        verdict = judge(faulty.trace())[mutant.clause]
        assert verdict.status is (Status.WARNING if mutant.clause in GUIDELINES else Status.VIOLATED), (
            f"seed {seed}: {verdict}"
        )
        assert verdict.count >= 1
        assert all(violation.clause == mutant.clause for violation in verdict.violations)
    assert broken >= 2, "hardly any of the runs could be broken this way: the test shows nothing"
