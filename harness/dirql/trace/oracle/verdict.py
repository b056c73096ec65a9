# SPDX-License-Identifier: Apache-2.0
"""What the oracle says: clause by clause, with the records that prove a violation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

import numpy as np

from dirql.trace.decode import Trace
from dirql.trace.events import ARGUMENTS, Kind
from dirql.trace.symbols import SymbolTable

NO_EVIDENCE = "no evidence in this trace"
"""Why a clause is unknown of which the trace shows nothing, kept or broken."""
DETAILS = 50
"""Violations of one clause that are described in full; all are counted."""


class Status(StrEnum):
    """What is known of a clause after a run."""

    OK = "ok"
    VIOLATED = "violated"
    WARNING = "warning"
    """A guideline was not kept. It is told and counted, and makes no run fail."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Budgets:
    """How long is too long, by the guidelines of the documentation. Judged where time is virtual.

    Attributes:
        hold: ns for which a spin lock may be held.
        dpc: ns for which a DPC routine may run.
        isr: ns for which a service routine may run.
        strict: a broken budget is a violation, not a warning.
    """

    hold: float = 25_000
    dpc: float = 100_000
    isr: float = 25_000
    strict: bool = False


@dataclass(frozen=True)
class Clause:
    """A rule of the NT driver documentation.

    Attributes:
        id: its name in this project, such as `SPIN-1`.
        title: the rule in a line.
        page: the page or document that states it.
        needs: events without which it cannot be judged.
        guideline: the documentation recommends it: broken, it is a warning.
        late: its violations are proved by what lies between their records: they stand where the trace's beginning is
            missing.
        alone: there are violations that one record proves, whatever else may be missing from the trace.
    """

    id: str
    title: str
    page: str
    needs: tuple[str, ...] = ()
    guideline: bool = False
    alone: bool = False
    late: bool = False


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
        sites: code addresses to look at: call sites and routines. What the records carry, and for those that carry
            none the routine that was running.
        certain: the records shown prove it alone, whatever else may be missing from the trace.
        warning: it breaks a guideline, and makes no run fail.
    """

    clause: str
    title: str
    page: str
    text: str
    records: tuple[int, ...]
    cpus: tuple[int, ...]
    sites: tuple[int, ...]
    certain: bool = False
    warning: bool = False


@dataclass(frozen=True)
class ClauseVerdict:
    """The verdict on one clause.

    Attributes:
        clause: the clause.
        status: ok, violated, warning or unknown.
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
        """All violations described, clause after clause, without the warnings."""
        return self._described(Status.VIOLATED)

    @property
    def warnings(self) -> tuple[Violation, ...]:
        """All broken guidelines described, clause after clause."""
        return self._described(Status.WARNING)

    def _described(self, status: Status) -> tuple[Violation, ...]:
        return tuple(each for verdict in self.clauses if verdict.status is status for each in verdict.violations)

    def counted(self, status: Status) -> int:
        """Return how many violations (or, for `Status.WARNING`, broken guidelines) there are, described or not."""
        return sum(verdict.count for verdict in self.clauses if verdict.status is status)

    @property
    def status(self) -> Status:
        """Violated if any clause is, else ok if any is, else a warning if there is one, else unknown."""
        found = {verdict.status for verdict in self.clauses}
        for status in (Status.VIOLATED, Status.OK, Status.WARNING):
            if status in found:
                return status
        return Status.UNKNOWN

    def to_json(self, symbols: SymbolTable | None = None) -> dict[str, Any]:
        """Return plain JSON data.

        Args:
            symbols: names for the sites, such as the trace's own; without, they are addresses only.
        """
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
                            "where": [symbols.where(site) for site in violation.sites] if symbols else [],
                            "warning": violation.warning,
                        }
                        for violation in verdict.violations
                    ],
                }
                for verdict in self.clauses
            ],
        }


@cache
def _code_argument(event: str) -> int | None:
    """Return which argument of an event is an address of code: who called, or what was called; None: neither."""
    kinds = [argument.kind for argument in ARGUMENTS[event]] if event in ARGUMENTS else []
    return next((at for at, kind in enumerate(kinds) if kind in (Kind.CALLER, Kind.ROUTINE)), None)


def site_of(trace: Trace, record: int) -> int:
    """Return the address of code that a record carries; 0 if it carries none."""
    which = _code_argument(trace.meta.events.name(int(trace.event[record])))
    return 0 if which is None else int((trace.arg0, trace.arg1)[which][record])


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
        strict: a broken guideline is a violation.
    """

    clause: Clause
    trace: Trace
    judged: int = 0
    count: int = 0
    certain: int = 0
    violations: list[Violation] = field(default_factory=list)
    unknown: str = ""
    strict: bool = False

    def add(
        self,
        text: str,
        records: Iterable[int] = (),
        sites: Iterable[int] = (),
        *,
        certain: bool = False,
    ) -> None:
        """Count a violation, and keep it if it is among the first.

        Raises:
            ValueError: it is called certain, and its clause is not one of which a record alone proves anything.
        """
        if certain and not self.clause.alone:
            raise ValueError(f"{self.clause.id} is not known to be broken by what a record says alone")
        self.count += 1
        self.certain += certain
        shown = tuple(int(record) for record in records)
        if (self.certain if certain else self.count - self.certain) <= DETAILS:
            own = (site_of(self.trace, record) for record in shown)
            self.violations.append(
                Violation(
                    clause=self.clause.id,
                    title=self.clause.title,
                    page=self.clause.page,
                    text=text,
                    records=shown,
                    cpus=tuple(dict.fromkeys(int(self.trace.cpu[record]) for record in shown)),
                    sites=tuple(dict.fromkeys(int(site) for site in (*sites, *own) if site)),
                    certain=certain,
                    warning=self.clause.guideline and not self.strict,
                )
            )

    def before(self, record: int, *events: str, same_cpu: bool = False, said_no: bool = True) -> list[int]:
        """Return the last record of the named events about the same object before a record: the other party.

        Nothing if there is none, or if enough violations are described: then it would not be looked at.

        Args:
            record: the record; the object is its first argument.
            events: what it may be.
            same_cpu: it must be of the same CPU.
            said_no: it may be a DpcInsert or DpcRemove that says that nothing was done.
        """
        if self.count >= 2 * DETAILS:
            return []
        trace = self.trace
        index = trace.where(*events)
        index = index[: np.searchsorted(index, record)]
        index = index[trace.arg0[index] == trace.arg0[record]]
        if same_cpu:
            index = index[trace.cpu[index] == trace.cpu[record]]
        if not said_no:
            asks = trace.are(index, "DpcInsert") | trace.are(index, "DpcRemove")
            index = index[~asks | (trace.arg1[index] & np.uint64(0xFF) != 0)]
        return [int(at) for at in index[-1:]]

    def conclude(self, doubts: Sequence[str]) -> ClauseVerdict:
        """Weigh the finding.

        Args:
            doubts: reasons why the trace is not complete. With any, only what is certain counts, and nothing is ok.
        """
        count, kept = self.count, self.violations
        if doubts:
            count, kept = self.certain, [violation for violation in kept if violation.certain]
        if count:
            status = Status.WARNING if self.clause.guideline and not self.strict else Status.VIOLATED
            return ClauseVerdict(self.clause, status, "", self.judged, count, tuple(kept[:DETAILS]))
        reason = self.unknown or "; ".join(doubts) or ("" if self.judged else NO_EVIDENCE)
        status = Status.UNKNOWN if reason else Status.OK
        return ClauseVerdict(self.clause, status, reason, self.judged, 0, ())
