# SPDX-License-Identifier: Apache-2.0
"""What the oracle says: clause by clause, with the records that prove a violation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dirql.trace.decode import Trace
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
    """

    id: str
    title: str
    page: str
    needs: tuple[str, ...] = ()
    guideline: bool = False


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
        sites: code addresses to look at: call sites and routines, at least those that the records carry.
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


_CALLERS = (
    *("LockWait", "LockAcquired", "LockReleased", "LockSharedWait", "LockSharedAcquired", "LockSharedReleased"),
    *("IrqlRaise", "IrqlLower", "IrpComplete", "IrpCancel", "IsrEnter", "SyncRequest", "SyncEnter", "StartIoExit"),
    *("DpcStart", "DpcEnd", "ThreadedDpcStart", "ThreadedDpcEnd", "WorkStart", "WorkEnd", "ApcStart", "ApcEnd"),
    *("ThreadCreate", "UnexpectedInterrupt", "PageIn"),
)
"""Events whose second argument is an address of code: who called, or what was called."""


def sites_of(trace: Trace, records: Iterable[int]) -> Iterator[int]:
    """Yield the addresses of code that records carry, in their order."""
    events = trace.meta.events.numbers
    second = {events[name] for name in _CALLERS if name in events}
    first = {events[name] for name in ("IpiCallEnter", "IpiCallExit", "CaseBegin", "CaseEnd") if name in events}
    for record in records:
        event = int(trace.event[record])
        if event in second:
            yield int(trace.arg1[record])
        elif event in first:
            yield int(trace.arg0[record])


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
        """Count a violation, and keep it if it is among the first."""
        self.count += 1
        self.certain += certain
        shown = tuple(int(record) for record in records)
        if (self.certain if certain else self.count - self.certain) <= DETAILS:
            self.violations.append(
                Violation(
                    clause=self.clause.id,
                    title=self.clause.title,
                    page=self.clause.page,
                    text=text,
                    records=shown,
                    cpus=tuple(dict.fromkeys(int(self.trace.cpu[record]) for record in shown)),
                    sites=tuple(dict.fromkeys(int(site) for site in (*sites, *sites_of(self.trace, shown)) if site)),
                    certain=certain,
                    warning=self.clause.guideline and not self.strict,
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
            status = Status.WARNING if self.clause.guideline and not self.strict else Status.VIOLATED
            return ClauseVerdict(self.clause, status, "", self.judged, count, tuple(kept[:DETAILS]))
        reason = self.unknown or "; ".join(doubts) or ("" if self.judged else NO_EVIDENCE)
        status = Status.UNKNOWN if reason else Status.OK
        return ClauseVerdict(self.clause, status, reason, self.judged, 0, ())
