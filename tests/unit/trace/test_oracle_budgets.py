# SPDX-License-Identifier: Apache-2.0
"""What counts as the time of a routine or of a hold, where it is judged, and that a guideline makes no run fail."""

from __future__ import annotations

import pytest

from dirql.trace.oracle import Budgets, Status, judge
from tests.unit.trace.synth import Row, build

LOCK, OTHER = 0xFFFF_8000_0000_1000, 0xFFFF_8000_0000_2000
HELD = [
    Row(1_000, 0, "LockAcquired", 2, LOCK, 7),
    Row(31_000, 0, "LockReleased", 2, LOCK, 8),
    Row(32_000, 0, "LockAcquired", 2, OTHER, 9),
    Row(33_000, 0, "LockReleased", 2, OTHER, 9),
]


def test_hold_over_budget_is_a_warning_and_no_failure() -> None:
    verdict = judge(build(HELD, 1))
    assert verdict["SPIN-10"].status is Status.WARNING
    assert verdict["SPIN-10"].count == 1
    assert verdict.status is Status.OK
    assert verdict.violations == ()
    (warning,) = verdict.warnings
    assert warning.warning
    assert warning.sites == (7, 8)
    assert "30.0 us" in warning.text
    assert verdict.to_json()["clauses"][0].keys() >= {"status", "count"}


def test_strict_budgets_are_rules() -> None:
    verdict = judge(build(HELD, 1), budgets=Budgets(strict=True))
    assert verdict["SPIN-10"].status is Status.VIOLATED
    assert verdict.status is Status.VIOLATED
    assert not verdict.violations[0].warning


@pytest.mark.parametrize(("hold", "status"), [(30_000, Status.OK), (29_999, Status.WARNING)])
def test_budget_is_what_the_caller_says(hold: float, status: Status) -> None:
    assert judge(build(HELD, 1), budgets=Budgets(hold=hold))["SPIN-10"].status is status


@pytest.mark.parametrize("mode", ["mt", "kvm"])
def test_real_time_is_no_verdict(mode: str) -> None:
    verdict = judge(build(HELD, 1, mode=mode), budgets=Budgets(strict=True))["SPIN-10"]
    assert verdict.status is Status.UNKNOWN
    assert verdict.reason == "real time is no verdict on an emulator"
    assert verdict.judged == 2


def test_time_of_an_interrupt_is_not_the_holders() -> None:
    interrupt = [
        Row(5_000, 0, "InterruptEnter", 5, 0x51 | 2 << 8, 99),
        Row(25_000, 0, "InterruptExit", 2, 0x51 | 2 << 8, 99),
    ]
    assert judge(build([HELD[0], *interrupt, *HELD[1:]], 1))["SPIN-10"].status is Status.OK


def test_turn_of_another_cpu_is_not_the_holders() -> None:
    other = Row(20_000, 1, "Mark", 0)
    assert judge(build([HELD[0], other, *HELD[1:]], 2))["SPIN-10"].status is Status.OK
    late = Row(500, 1, "Mark", 0)
    assert judge(build([late, *HELD], 2))["SPIN-10"].status is Status.WARNING


def test_hold_within_a_hold_counts_for_both() -> None:
    rows = [HELD[0], HELD[2].but(time=2_000), HELD[3].but(time=28_000), HELD[1]]
    assert judge(build(rows, 1))["SPIN-10"].count == 2


@pytest.mark.parametrize(
    ("begin", "end", "clause", "budget"),
    [("IsrEnter", "IsrExit", "INT-TIME", 25_000), ("DpcStart", "DpcEnd", "DPC-16", 100_000)],
)
def test_routines_have_budgets_of_their_own(begin: str, end: str, clause: str, budget: int) -> None:
    for time, status in ((budget, Status.OK), (budget + 1, Status.WARNING)):
        rows = [Row(10, 0, begin, 2, LOCK, 7), Row(10 + time, 0, end, 2, LOCK, 1)]
        verdict = judge(build(rows, 1))
        assert verdict[clause].status is status
        assert verdict["SPIN-10"].status is Status.UNKNOWN
