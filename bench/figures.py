# SPDX-License-Identifier: Apache-2.0
"""Measured values, goals, and the rows they make up. Nothing here measures."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from dirql.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


@dataclass(frozen=True)
class Figure:
    """One quantity, measured several times.

    Attributes:
        median, minimum, maximum: of the values, in the row's unit.
        low, high: their quartiles.
        count: how many values there are.
    """

    median: float
    minimum: float
    low: float
    high: float
    maximum: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Figure:
        """Return the figure of some values.

        Raises:
            UsageError: there are none.
        """
        ordered = sorted(values)
        if not ordered:
            raise UsageError("a figure takes at least one value")
        low, _, high = statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
        return cls(statistics.median(ordered), ordered[0], low, high, ordered[-1], len(ordered))

    def to_json(self) -> dict[str, float | int]:
        """Return plain JSON data."""
        return {
            **{name: round(getattr(self, name), 4) for name in ("median", "minimum", "low", "high", "maximum")},
            "count": self.count,
        }


class GoalKind(Enum):
    """What a goal limits."""

    RATIO_AT_MOST = "ratio at most"
    RATIO_AT_LEAST = "ratio at least"
    RATIO_BELOW = "ratio below"
    VALUE_AT_MOST = "at most"
    VALUE_AT_LEAST = "at least"


@dataclass(frozen=True)
class Goal:
    """What a row is to reach.

    Attributes:
        kind: what is limited: our median over the comparator's, or our median itself.
        limit: the limit; a value is in the row's unit.
    """

    kind: GoalKind
    limit: float

    def met(self, ours: float, comparator: float) -> bool:
        """Return whether two medians reach it."""
        ratio = ours / comparator if comparator else float("inf")
        match self.kind:
            case GoalKind.RATIO_AT_MOST:
                return ratio <= self.limit
            case GoalKind.RATIO_AT_LEAST:
                return ratio >= self.limit
            case GoalKind.RATIO_BELOW:
                return ratio < self.limit
            case GoalKind.VALUE_AT_MOST:
                return ours <= self.limit
            case GoalKind.VALUE_AT_LEAST:
                return ours >= self.limit

    def __str__(self) -> str:
        """Return it in words."""
        unit = "" if self.kind in (GoalKind.VALUE_AT_MOST, GoalKind.VALUE_AT_LEAST) else "x"
        return f"{self.kind.value} {self.limit:g}{unit}"


@dataclass(frozen=True)
class Row:
    """A measurement beside its comparator.

    Attributes:
        name: short and stable, for programs.
        title: what was measured.
        unit: of all values.
        ours: what dirql does.
        comparator: what it is compared with.
        beside: what the comparator is, in words.
        goal: what to reach; None where the row only informs.
        mode: of the machine: `mt` or `icount`.
        cpus: of the machine.
        note: what one has to know to read the row.
    """

    name: str
    title: str
    unit: str
    ours: Figure
    comparator: Figure
    beside: str
    goal: Goal | None
    mode: str
    cpus: int
    note: str = ""

    @property
    def ratio(self) -> float:
        """Our median over the comparator's."""
        return self.ours.median / self.comparator.median if self.comparator.median else float("inf")

    @property
    def met(self) -> bool | None:
        """Whether the goal was reached; None where there is none."""
        return None if self.goal is None else self.goal.met(self.ours.median, self.comparator.median)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "ours": self.ours.to_json(),
            "comparator": {"what": self.beside, **self.comparator.to_json()},
            "ratio": round(self.ratio, 4),
            "goal": None if self.goal is None else str(self.goal),
            "met": self.met,
            "mode": self.mode,
            "cpus": self.cpus,
            "note": self.note,
        }


def interleaved(
    measures: Sequence[Callable[[], Iterable[float]]], rounds: int, after_round: Callable[[], None]
) -> list[Figure]:
    """Measure several things in turn, round after round, so that what disturbs one disturbs the others too.

    Args:
        measures: each does its work and returns the values that it got.
        rounds: how often each is called, at least 1.
        after_round: called after each round.

    Returns:
        A figure for each, over all rounds.
    """
    values: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for kept, measure in zip(values, measures, strict=True):
            kept += measure()
        after_round()
    return [Figure.of(kept) for kept in values]
