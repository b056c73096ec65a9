# SPDX-License-Identifier: Apache-2.0
"""Medians, goals, rows, and the order in which things are measured."""

from __future__ import annotations

import itertools

import pytest
from bench.figures import Figure, Goal, GoalKind, Row, interleaved
from hypothesis import given
from hypothesis import strategies as st

from dirql.errors import UsageError


def row(ours: float, comparator: float, goal: Goal | None) -> Row:
    return Row(
        name="row",
        title="what was measured",
        unit="ms",
        ours=Figure.of([ours]),
        comparator=Figure.of([comparator]),
        beside="something else",
        goal=goal,
        mode="mt",
        cpus=4,
    )


def test_figure_of_known_values() -> None:
    assert Figure.of([5, 1, 4, 2, 3]) == Figure(median=3, minimum=1, low=2, high=4, maximum=5, count=5)


def test_figure_of_one_value_is_that_value() -> None:
    assert Figure.of([7.5]) == Figure(7.5, 7.5, 7.5, 7.5, 7.5, 1)


def test_figure_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError):
        Figure.of([])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_figure_is_in_order(values: list[float]) -> None:
    figure = Figure.of(values)
    ordered = [figure.minimum, figure.low, figure.median, figure.high, figure.maximum]
    assert all(a <= b + 1e-9 * abs(b) for a, b in itertools.pairwise(ordered))
    assert figure.count == len(values)


@pytest.mark.parametrize(
    ("kind", "limit", "reached", "missed"),
    [
        (GoalKind.RATIO_AT_MOST, 2.0, (20, 10), (21, 10)),
        (GoalKind.RATIO_BELOW, 1.0, (9, 10), (10, 10)),
        (GoalKind.RATIO_AT_LEAST, 1.0, (10, 10), (9, 10)),
        (GoalKind.VALUE_AT_MOST, 40.0, (40, 1), (41, 100)),
        (GoalKind.VALUE_AT_LEAST, 50.0, (50, 100), (49, 1)),
        (GoalKind.RATIO_AT_MOST, 2.0, (0, 10), (1, 0)),
    ],
)
def test_goal_at_its_limit(
    kind: GoalKind, limit: float, reached: tuple[float, float], missed: tuple[float, float]
) -> None:
    assert Goal(kind, limit).met(*reached)
    assert not Goal(kind, limit).met(*missed)


def test_row_without_goal_is_neither_met_nor_missed() -> None:
    assert row(1, 1, None).met is None


def test_row_as_json() -> None:
    data = row(30, 20, Goal(GoalKind.RATIO_AT_MOST, 2.0)).to_json()
    assert (data["ratio"], data["goal"], data["met"]) == (1.5, "ratio at most 2x", True)
    assert data["comparator"]["what"] == "something else"
    assert data["ours"]["median"] == 30


def test_interleaved_takes_turns() -> None:
    calls: list[str] = []

    def measure(name: str, value: float) -> list[float]:
        calls.append(name)
        return [value, value]

    figures = interleaved(
        (lambda: measure("comparator", 1.0), lambda: measure("ours", 2.0)), 3, lambda: calls.append("step")
    )
    assert calls == ["comparator", "ours", "step"] * 3
    assert [(figure.median, figure.count) for figure in figures] == [(1.0, 6), (2.0, 6)]
