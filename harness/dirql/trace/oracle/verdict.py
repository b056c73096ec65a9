# SPDX-License-Identifier: Apache-2.0
"""What the oracle says: clause by clause, with the records that prove a violation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dirql.trace.decode import Trace

NO_EVIDENCE = "no evidence in this trace"
"""Why a clause is unknown of which the trace shows nothing, kept or broken."""
DETAILS = 50
"""Violations of one clause that are described in full; all are counted."""


class Status(StrEnum):
    """What is known of a clause after a run."""

    OK = "ok"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Clause:
    """A rule of the NT driver documentation.

    Attributes:
        id: its name in this project, such as `SPIN-1`.
        title: the rule in a line.
        page: the page or document that states it.
        needs: events without which it cannot be judged.
    """

    id: str
    title: str
    page: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Violation:
    """One way in which a trace breaks a clause.

    Attributes:
        clause: id of the clause.
        title: the rule in a line.
        page: where it is stated.
        text: what happened.
        records: indices of the records that show it.
        cpus: CPUs that took part, in order of the records.
        sites: code addresses to look at: call sites and routines.
        certain: the records shown prove it alone, whatever else may be missing from the trace.
    """

    clause: str
    title: str
    page: str
    text: str
    records: tuple[int, ...]
    cpus: tuple[int, ...]
    sites: tuple[int, ...]
    certain: bool = False


@dataclass(frozen=True)
class ClauseVerdict:
    """The verdict on one clause.

    Attributes:
        clause: the clause.
        status: ok, violated or unknown.
        reason: why it is unknown; empty otherwise.
        judged: how many events or intervals were judged.
        count: how many violations there are.
        violations: the first of them.
    """

    clause: Clause
    status: Status
    reason: str
    judged: int
    count: int
    violations: tuple[Violation, ...]


@dataclass(frozen=True)
class Verdict:
    """The verdict on a run, clause by clause."""

    clauses: tuple[ClauseVerdict, ...]

    def __getitem__(self, clause: str) -> ClauseVerdict:
        """Return the verdict on the clause with that id."""
        for verdict in self.clauses:
            if verdict.clause.id == clause:
                return verdict
        raise KeyError(clause)

    @property
    def violations(self) -> tuple[Violation, ...]:
        """All violations described, clause after clause."""
        return tuple(violation for verdict in self.clauses for violation in verdict.violations)

    @property
    def status(self) -> Status:
        """Violated if any clause is, else ok if any is, else unknown."""
        found = {verdict.status for verdict in self.clauses}
        for status in (Status.VIOLATED, Status.OK):
            if status in found:
                return status
        return Status.UNKNOWN

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "status": self.status.value,
            "clauses": [
                {
                    "clause": verdict.clause.id,
                    "title": verdict.clause.title,
                    "page": verdict.clause.page,
                    "status": verdict.status.value,
                    "reason": verdict.reason,
                    "judged": verdict.judged,
                    "count": verdict.count,
                    "violations": [
                        {
                            "text": violation.text,
                            "records": list(violation.records),
                            "cpus": list(violation.cpus),
                            "sites": list(violation.sites),
                        }
                        for violation in verdict.violations
                    ],
                }
                for verdict in self.clauses
            ],
        }


@dataclass
class Finding:
    """What a judge found about one clause, before the quality of the trace is weighed.

    Attributes:
        clause: the clause.
        trace: the trace.
        judged: how many events or intervals were looked at.
        count: violations found.
        certain: those of them that a lossy trace proves too.
        violations: the first of them.
        unknown: why the clause cannot be judged at all; empty if it can.
    """

    clause: Clause
    trace: Trace
    judged: int = 0
    count: int = 0
    certain: int = 0
    violations: list[Violation] = field(default_factory=list)
    unknown: str = ""

    def add(
        self,
        text: str,
        records: Iterable[int] = (),
        sites: Iterable[int] = (),
        *,
        certain: bool = False,
    ) -> None:
        """Count a violation, and keep it if it is among the first."""
        self.count += 1
        self.certain += certain
        shown = tuple(int(record) for record in records)
        kept = sum(violation.certain == certain for violation in self.violations)
        if kept < DETAILS:
            self.violations.append(
                Violation(
                    clause=self.clause.id,
                    title=self.clause.title,
                    page=self.clause.page,
                    text=text,
                    records=shown,
                    cpus=tuple(dict.fromkeys(int(self.trace.cpu[record]) for record in shown)),
                    sites=tuple(dict.fromkeys(int(site) for site in sites if site)),
                    certain=certain,
                )
            )

    def conclude(self, doubts: Sequence[str]) -> ClauseVerdict:
        """Weigh the finding.

        Args:
            doubts: reasons why the trace is not complete. With any, only what is certain counts, and nothing is ok.
        """
        count, kept = self.count, self.violations
        if doubts:
            count, kept = self.certain, [violation for violation in kept if violation.certain]
        if count:
            return ClauseVerdict(self.clause, Status.VIOLATED, "", self.judged, count, tuple(kept[:DETAILS]))
        reason = self.unknown or "; ".join(doubts) or ("" if self.judged else NO_EVIDENCE)
        status = Status.UNKNOWN if reason else Status.OK
        return ClauseVerdict(self.clause, status, reason, self.judged, 0, ())
