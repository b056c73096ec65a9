# SPDX-License-Identifier: Apache-2.0
"""Mutants, built and hunted as `make mutants` does, with a case that is sure to notice and one that is sure not to."""

from __future__ import annotations

from dirql.guest import artifacts
from dirql.guest.image import KernelImage
from dirql.target.cases import read_cases
from dirql.target.suite import plan
from tests.mutants.find import CHECKOUT, borrow_debug, build, find_mutants
from tests.mutants.hunt import hunt, order

MUTANTS = {mutant.name: mutant for mutant in find_mutants()}
CASES = {case.name: case for case in read_cases(artifacts.driver("cases.sys"))}


def test_a_mutant_is_another_kernel_and_is_noticed() -> None:
    mutant = MUTANTS["SpinTestTakes"]
    kernel = build(mutant)
    borrow_debug(kernel, KernelImage(artifacts.kernel()))
    assert kernel == CHECKOUT / "build" / "mutants" / mutant.name / "dirql-guest.elf"
    assert kernel.read_bytes() != artifacts.kernel().read_bytes()
    rows = plan([CASES["tests_a_lock_and_takes_it"], CASES["passes"]], cpus=(1,), modes=("mt",))
    found = hunt(mutant, kernel, rows)
    assert found.killer is not None
    assert found.killer.case.name == "tests_a_lock_and_takes_it"
    assert found.how.startswith(("assertion: tests/drivers/cases.c:", "hang: ", "bugcheck: "))
    data = found.to_json()
    assert (data["killed"], data["runs"], data["clauses"]) == (True, found.runs, ["SPIN-15"])


def test_a_mutant_that_no_case_can_notice_survives() -> None:
    mutant = MUTANTS["SpinTestTakes"]
    found = hunt(mutant, build(mutant), plan([CASES["passes"]], cpus=(1,), modes=("mt",)))
    assert (found.killer, found.how, found.to_json()["case"]) == (None, "", None)


def test_the_cases_of_its_clause_come_first_and_the_verifier_on() -> None:
    mutant = MUTANTS["SpinTestTakes"]
    rows = order(mutant, plan([CASES["passes"], CASES["tests_a_lock_and_takes_it"]], cpus=(2,), modes=("mt",)))
    assert [(case.name, config.verifier) for case, config in rows] == [
        ("tests_a_lock_and_takes_it", True),
        ("tests_a_lock_and_takes_it", False),
        ("passes", True),
        ("passes", False),
    ]
