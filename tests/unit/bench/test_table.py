# SPDX-License-Identifier: Apache-2.0
"""What people read: numbers, verdicts, a plain text in a pipe."""

from __future__ import annotations

import io
from typing import Any

import pytest
from bench.figures import Figure, Goal, GoalKind, Row
from bench.table import number, print_result, spread, verdict

from dirql.report.tables import report_console

FACTS: dict[str, Any] = {
    "qemu": "7.2.22",
    "date": "2030-01-02T03:04:05+0000",
    "host": {"processor": "A processor", "cpus": 2, "system": "Linux", "python": "3.11.7"},
    "load_average": {"before": [0.1, 0.2, 0.3], "after": [0.4, 0.5, 0.6]},
}


def row(name: str, ours: list[float], comparator: list[float], goal: Goal | None) -> Row:
    return Row(name, f"title of {name}", "ms", Figure.of(ours), Figure.of(comparator), "other", goal, "mt", 4, "note")


def printed(rows: list[Row], failures: dict[str, str]) -> list[str]:
    file = io.StringIO()
    print_result(report_console(file), rows, FACTS, failures)
    return file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.123"), (4.0, "4"), (12.345, "12.3"), (123.4, "123"), (12345.6, "12,346")]
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_spread_of_one_value_has_no_quartiles() -> None:
    assert spread(Figure.of([56]), "instructions") == "56 instructions"
    assert spread(Figure.of([1, 2, 3, 4, 5]), "ms") == "3 ms (2 to 4, n=5)"


def test_verdicts() -> None:
    goal = Goal(GoalKind.RATIO_AT_MOST, 2.0)
    assert [verdict(row("r", [value], [1], goal)) for value in (2, 3)] == ["met", "missed"]
    assert verdict(row("r", [1], [1], None)) == "-"


def test_printed_in_a_pipe() -> None:
    goal = Goal(GoalKind.RATIO_AT_MOST, 2.0)
    lines = printed([row("first", [1], [2], goal), row("second", [9], [2], goal)], {"third": "it broke"})
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert [line.split()[-1] for line in lines if line.split()[:1] in (["first"], ["second"])] == ["met", "missed"]
    assert "first: title of first (note); comparator: other" in lines
    assert "third failed to run: it broke" in lines
    assert "load average 0.1 before, 0.4 after" in text
    assert max(map(len, lines)) < 200


def test_nothing_measured_is_no_table() -> None:
    assert printed([], {"boot": "no QEMU"})[0].startswith("QEMU 7.2.22")
