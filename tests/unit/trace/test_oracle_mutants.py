# SPDX-License-Identifier: Apache-2.0
"""Each clause can fail: a correct run, broken in one way, is caught under the right clause."""

from __future__ import annotations

import random

import pytest

from dirql.trace.events import ARGUMENTS, Kind
from dirql.trace.oracle import Status, Violation, judge
from dirql.trace.oracle.verdict import NO_EVIDENCE
from tests.unit.trace.mutants import MUTANTS, CannotBreak
from tests.unit.trace.synth import Row, Run, build, simulate

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
ALONE = {
    *(
        "IRQL-2",
        "IRQL-3",
        "IRQL-4",
        "IRQL-6",
        "IRQL-9",
        "SPIN-3",
        "SPIN-6",
        "QSL-3",
        "RW-5",
        "DPC-4",
        "DPC-15",
        "WAIT-1",
    ),
    *("INT-ACCOUNT", "IPI-1", "IRP-3", "IRP-CALL", "SYN-1", "TMR-3"),
}
"""Clauses that one record can break. All others are about two parties, and a violation shows both."""


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
        for violation in verdict.violations:
            check_evidence(faulty, violation)
            assert violation.clause == mutant.clause
    assert broken >= 2, "hardly any of the runs could be broken this way: the test shows nothing"


def check_evidence(run: Run, violation: Violation) -> None:
    """A violation names the rule and its page, the records that prove it, their CPUs and every call site in them."""
    assert violation.title
    assert violation.page
    assert violation.warning is (violation.clause in GUIDELINES)
    books = violation.clause == "INT-ACCOUNT" and "vector" not in violation.text
    assert len(violation.records) >= (0 if books else 1 if violation.clause in ALONE else 2), violation
    rows = [run.rows[record] for record in violation.records]
    assert violation.cpus == tuple(dict.fromkeys(row.cpu for row in rows))
    for row in rows:
        for argument, value in zip(ARGUMENTS[row.event], (row.a0, row.a1), strict=True):
            assert argument.kind not in (Kind.CALLER, Kind.ROUTINE) or not value or value in violation.sites


def test_violation_names_the_routines_of_records_that_name_no_caller() -> None:
    """What a DPC or a service routine did, did it in that routine, whatever interrupted it."""
    rows = [
        Row(10, 0, "InterruptEnter", 5, 0x51, 99),
        Row(20, 0, "IsrEnter", 5, 0x4000, 777),
        Row(30, 0, "DpcInsert", 15, 0x6000, 1),
        Row(35, 0, "InterruptEnter", 9, 0x91 | 5 << 8, 99),
        Row(36, 0, "InterruptExit", 5, 0x91 | 5 << 8, 99),
        Row(40, 0, "DpcInsert", 15, 0x6000, 1),
        Row(50, 0, "IsrExit", 5, 0x4000, 1),
        Row(60, 0, "InterruptExit", 0, 0x51, 99),
        Row(70, 0, "IdleEnter", 0),
    ]
    violation = judge(build(rows, 1))["DPC-1"].violations[0]
    assert violation.records == (2, 5)
    assert violation.sites == (777,)


def test_verdict_as_data_names_its_sites() -> None:
    rows = [Row(10, 0, "LockAcquired", 2, 64, 0x1004), Row(20, 1, "LockAcquired", 2, 64, 0x2004)]
    rows.append(Row(30, 0, "LockReleased", 2, 64, 0x1008))
    symbols = ((0x1000, 16, "a.sys!Isr"), (0x2000, 16, "a.sys!StartIo"))
    lines = ((0x1000, "a.c", 7), (0x1008, "a.c", 9), (0x2000, "a.c", 21))
    trace = build(rows, 2, symbols=symbols, lines=lines)
    clause = next(each for each in judge(trace).to_json(trace.symbols)["clauses"] if each["clause"] == "SPIN-1")
    assert clause["violations"][0]["where"] == ["a.sys!Isr+0x4 (a.c:7)", "a.sys!StartIo+0x4 (a.c:21)"]
