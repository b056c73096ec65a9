# SPDX-License-Identifier: Apache-2.0
"""The table of clauses: what each promises, which cases prove it, how they ended, what the oracle saw."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from dirql.guest import artifacts
from dirql.target.needs import BugCheck, parse_needs
from dirql.trace.oracle.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dirql.target.cases import Case
    from dirql.target.outcome import CaseResult

OTHER = "other"
"""The section of clauses that only cases know: a user's own."""


@dataclass(frozen=True)
class ClauseEntry:
    """A clause of the list.

    Attributes:
        id: its name, or a bugcheck as a case's needs write it.
        section: id of its section.
        title: what it promises, in a line.
        page: the page of the driver documentation that states it.
        later: it waits for parts of the executive that do not exist yet.
        bugcheck: the bugcheck that it is about; None for any other clause.
    """

    id: str
    section: str
    title: str
    page: str
    later: bool = False
    bugcheck: BugCheck | None = None

    def proven_by(self, case: Case) -> bool:
        """Tell whether a case names it, or ends in its bugcheck."""
        if self.bugcheck is None:
            return self.id in case.clauses
        wanted, ends = self.bugcheck, case.needs.bugcheck
        return (
            ends is not None
            and wanted.code == ends.code
            and ends.parameters[: len(wanted.parameters)] == wanted.parameters
        )


@dataclass
class ClauseRow:
    """A clause with what is known of it.

    Attributes:
        entry: the clause.
        cases: the cases that prove it.
        passed: runs that passed, by mode.
        failed: runs that failed, by mode.
        oracle: runs by what the oracle said of the clause: `ok`, `caught` (violated, as the case wanted), `violated`,
            `warning` (a guideline was not kept).
        reason: why there is no case, from CAVEATS.md; empty where there is one, or no word of it.
    """

    entry: ClauseEntry
    cases: tuple[Case, ...]
    passed: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    oracle: Counter[str] = field(default_factory=Counter)
    reason: str = ""

    def add(self, result: CaseResult) -> None:
        """Count a run of one of its cases."""
        (self.passed if result.passed else self.failed)[result.config.mode] += 1
        for each in result.verdict.clauses if result.verdict is not None else ():
            if each.clause.id != self.entry.id:
                continue
            if each.status is Status.OK:
                self.oracle["ok"] += 1
            elif each.status is Status.VIOLATED:
                self.oracle["caught" if each.clause.id in result.case.needs.violates else "violated"] += 1
            elif each.status is Status.WARNING:
                self.oracle["warning"] += 1

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        modes = sorted(self.passed.keys() | self.failed.keys())
        return {
            "clause": self.entry.id,
            "section": self.entry.section,
            "title": self.entry.title,
            "page": self.entry.page,
            "cases": [case.id for case in self.cases],
            "modes": {mode: {"passed": self.passed[mode], "failed": self.failed[mode]} for mode in modes},
            "oracle": dict(self.oracle),
            "reason": self.reason,
        }


@cache
def clause_list() -> tuple[ClauseEntry, ...]:
    """Return all clauses, section after section."""
    data = tomllib.loads(files("dirql.target").joinpath("clauses.toml").read_text(encoding="utf-8"))
    found: list[ClauseEntry] = []
    for section in data["section"]:
        for kind in ("clauses", "later"):
            for name, title, page in section.get(kind, ()):
                bugcheck = parse_needs(f"bugcheck={name}").bugcheck if name.startswith("0x") else None
                found.append(ClauseEntry(name, section["id"], title, page, kind == "later", bugcheck))
    return tuple(found)


def sections() -> tuple[str, ...]:
    """Return the sections' ids, in order."""
    return tuple(dict.fromkeys(entry.section for entry in clause_list()))


def clause_rows(cases: Sequence[Case], wanted: Iterable[str] = ()) -> list[ClauseRow]:
    """Return the rows of the table, without results.

    Args:
        cases: all cases.
        wanted: sections to show whole. Empty: all, without those clauses that wait for later and have no case.

    Returns:
        The rows in the order of the list; clauses that only cases know come last.
    """
    chosen = tuple(wanted)
    caveats = _caveats()
    rows = []
    for entry in clause_list():
        mine = tuple(case for case in cases if entry.proven_by(case))
        if entry.section in chosen or (not chosen and (mine or not entry.later)):
            rows.append(ClauseRow(entry, mine, reason="" if mine else _reason(entry.id, caveats)))
    if not chosen or OTHER in chosen:
        known = {entry.id for entry in clause_list()}
        unlisted = sorted({clause for case in cases for clause in case.clauses} - known)
        for name in unlisted:
            mine = tuple(case for case in cases if name in case.clauses)
            rows.append(ClauseRow(ClauseEntry(name, OTHER, "", ""), mine))
    return rows


def _caveats() -> tuple[str, ...]:
    """Return the items of CAVEATS.md, each on one line; none where there is no checkout."""
    path = artifacts.build_folder().parent / "CAVEATS.md"
    if not path.is_file():
        return ()
    items = re.split(r"^- ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return tuple(" ".join(item.replace("**", "").split()) for item in items)


def _reason(clause: str, caveats: tuple[str, ...]) -> str:
    names = re.compile(rf"(?<![\w-]){re.escape(clause)}(?![\w/-])")
    return next((item for item in caveats if names.search(item)), "")
