# SPDX-License-Identifier: Apache-2.0
"""docs/oracle.md says of every clause what the oracle says of it."""

from __future__ import annotations

import re
from pathlib import Path

from dirql.trace.oracle import Budgets, Clause, Status
from dirql.trace.oracle.judge import CLAUSES

PAGE = (Path(__file__).parents[3] / "docs" / "oracle.md").read_text(encoding="utf-8")


def rows() -> list[list[str]]:
    """The rows of the table of clauses."""
    table = PAGE[PAGE.index("## The clauses") :]
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines() if "-" in line[:8]][
        1:
    ]


def marks(clause: Clause) -> str:
    """What the last column says."""
    found = {"warning": clause.guideline, "one record": clause.alone, "last-N": clause.late}
    return ", ".join(mark for mark, is_so in found.items() if is_so)


def test_every_clause_has_its_row() -> None:
    found = [(row[0], row[1], row[3], row[4]) for row in rows()]
    said = [(each.id, each.title, each.page.replace(";", ","), marks(each)) for each in CLAUSES]
    assert found == said
    assert all(len(row[2]) > 15 for row in rows())


def test_words_are_about_clauses_that_exist() -> None:
    words = PAGE[PAGE.index("## Words") : PAGE.index("## The clauses")]
    named = set(re.findall(r"\b(?:[A-Z]+-(?:\d+|[A-Z]+))\b", words))
    assert named <= {each.id for each in CLAUSES}
    assert len(named) > 40


def test_statuses_and_budgets_are_those_of_the_code() -> None:
    assert all(f"| `{status}` |" in PAGE for status in Status)
    budgets = Budgets()
    assert f"hold={budgets.hold:_}, dpc={budgets.dpc:_}, isr={budgets.isr:_}, strict={budgets.strict}" in PAGE
