# SPDX-License-Identifier: Apache-2.0
"""What lock-scaling concludes from a traced point, on sequences made by hand; and how numbers of CPUs are written."""

from __future__ import annotations

import pytest

from dirql.errors import UsageError
from dirql.experiments.lock_scaling import LockPoint, LockScalingParameters, follow
from dirql.experiments.series import parse_counts
from dirql.report.lock_scaling import handoffs

REQUESTS, WAITS, ENTERS, LEAVES = 1, 2, 3, 4


def point(*acquisitions: int, order: tuple[int, ...] = ()) -> LockPoint:
    spins = (0,) * len(acquisitions)
    return LockPoint("ttas", len(acquisitions), acquisitions, 1.0, spins, None, 0, order, 1, 0.0, 0, 0)


def test_in_the_order_of_arrival_nobody_is_bypassed() -> None:
    steps = [
        (1, 0, REQUESTS),
        (2, 0, ENTERS),
        (3, 1, REQUESTS),
        (4, 1, WAITS),
        (5, 2, REQUESTS),
        (6, 2, WAITS),
        (7, 0, LEAVES),
        (8, 1, ENTERS),
        (9, 1, LEAVES),
        (10, 2, ENTERS),
    ]
    order = follow(steps)
    assert order.entered == [0, 1, 2]
    assert order.bypassed == [0, 0]
    assert order.waited == 2


def test_who_asks_after_a_waiter_and_enters_before_it_bypasses_it() -> None:
    steps = [
        (1, 0, REQUESTS),
        (2, 0, ENTERS),
        (3, 1, REQUESTS),
        (4, 1, WAITS),
        (5, 0, LEAVES),
        (6, 0, REQUESTS),
        (7, 0, ENTERS),
        (8, 0, LEAVES),
        (9, 2, REQUESTS),
        (10, 2, ENTERS),
        (11, 1, ENTERS),
    ]
    order = follow(steps)
    assert order.entered == [0, 0, 2, 1]
    assert order.bypassed == [2]


def test_a_request_that_may_have_come_first_is_no_bypass() -> None:
    steps = [(1, 2, REQUESTS), (2, 1, REQUESTS), (3, 1, WAITS), (4, 2, WAITS), (5, 2, ENTERS), (6, 1, ENTERS)]
    assert follow(steps).bypassed == [0, 0]


def test_jains_index() -> None:
    assert point(5, 5, 5, 5).fairness == 1.0
    assert point(20, 0, 0, 0).fairness == 0.25
    assert point(3, 1).fairness == pytest.approx(16 / 20)


def test_handoffs_are_written_short() -> None:
    assert handoffs(point(1, order=(0, 0, 0, 1, 2, 2))) == "0*3 1 2*2"


@pytest.mark.parametrize(
    ("text", "counts"), [("1..4", (1, 2, 3, 4)), ("8,2", (2, 8)), ("1..2,4..5", (1, 2, 4, 5)), ("3", (3,))]
)
def test_numbers_of_cpus(text: str, counts: tuple[int, ...]) -> None:
    assert parse_counts(text) == counts


@pytest.mark.parametrize("text", ["", "0..4", "4..1", "1..65", "a", "1-4", "1..", "..4", "1..2..3"])
def test_other_numbers_of_cpus_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="CPUs"):
        parse_counts(text)


@pytest.mark.parametrize(
    "wrong", [{"locks": ("mcs",)}, {"locks": ()}, {"acquisitions": 0}, {"hold": -1}, {"seconds": 0.0}, {"think": 10**6}]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        LockScalingParameters(**wrong)  # type: ignore[arg-type]
