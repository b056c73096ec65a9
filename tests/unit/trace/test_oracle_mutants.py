# SPDX-License-Identifier: Apache-2.0
"""Each clause can fail: a correct run, broken in one way, is caught under the right clause."""

from __future__ import annotations

import random

import pytest

from dirql.trace.oracle import Status, judge
from tests.unit.trace.mutants import MUTANTS, CannotBreak
from tests.unit.trace.synth import Run, simulate

SEEDS = range(8)
CLAUSES = {"IRQL-2", "IRQL-6", "SPIN-1", "DPC-1", "DPC-2", "DPC-3", "DPC-4", "DPC-5", "INT-1", "SYN-1", "INT-ACCOUNT"}


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """Correct runs."""
    made = [simulate(seed, cpus=3, records=900, windows=False) for seed in SEEDS]
    for run in made:
        assert all(clause.status is Status.OK for clause in judge(run.trace()).clauses)
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
        verdict = judge(faulty.trace())[mutant.clause]
        assert verdict.status is Status.VIOLATED, f"seed {seed}: {verdict}"
        assert verdict.count >= 1
        assert all(violation.clause == mutant.clause for violation in verdict.violations)
    assert broken >= 2, "hardly any of the runs could be broken this way: the test shows nothing"
