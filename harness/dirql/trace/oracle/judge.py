# SPDX-License-Identifier: Apache-2.0
"""Puts the judges together and weighs what they found by how complete the trace is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

from dirql.trace.accounting import Accounting
from dirql.trace.history.history import History
from dirql.trace.oracle import (
    account,
    broadcast,
    causes,
    connection,
    dpc,
    fifo,
    guidelines,
    interrupt,
    irps,
    irql,
    levels,
    order,
    queues,
    scheduling,
    shared,
    spin,
    sync,
    waits,
    wakes,
)
from dirql.trace.oracle.guards import Guards, find_guards
from dirql.trace.oracle.locks import LOCK_EVENTS, SHARED_EVENTS, Locks
from dirql.trace.oracle.partial import halfway, placed, without
from dirql.trace.oracle.places import with_places
from dirql.trace.oracle.verdict import NO_EVIDENCE, Budgets, Clause, ClauseVerdict, Finding, Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.trace.decode import Trace


@dataclass(frozen=True)
class _Evidence:
    """What judges look at."""

    history: History
    accounting: Accounting | None
    budgets: Budgets

    @property
    def whole_accounting(self) -> Accounting | None:
        """The host's counts; None where they go on after the recording had stopped on what it was told to."""
        return None if self.history.trace.meta.triggered is not None else self.accounting

    @cached_property
    def locks(self) -> Locks:
        """Spin locks."""
        return Locks(self.history)

    @cached_property
    def guards(self) -> Guards:
        """Interrupt spin locks."""
        return find_guards(self.history)


@dataclass(frozen=True)
class _Judge:
    """One who knows some clauses.

    Attributes:
        clauses: what is judged, in this order.
        events: a trace without any of them shows nothing of these clauses, kept or broken; empty: it always does.
        judge: judges them.
    """

    clauses: tuple[Clause, ...]
    events: tuple[str, ...]
    judge: Callable[[_Evidence], list[Finding]]


_DPC_EVENTS = ("DpcInsert", "DpcStart", "DpcEnd", "DpcRemove")
_SYNC_EVENTS = ("SyncRequest", "SyncEnter", "SyncExit", "SyncReturn")
_WAIT_EVENTS = ("WaitBegin", "WaitEnd", "Signal", "TimerSet", "TimerExpire", "TimerCancel")
_IRP_EVENTS = (
    *("IrpAllocate", "IrpCall", "IrpCancel", "IrpComplete", "IrpDone", "IrpFree"),
    "StartIoEnter",
    "StartIoExit",
)

_JUDGES = (
    _Judge((irql.IRQL_2, irql.IRQL_6), ("InterruptEnter", "InterruptExit"), lambda e: irql.judge(e.history)),
    _Judge(
        (
            *(levels.IRQL_3, levels.IRQL_4, levels.SPIN_3, levels.SPIN_4, levels.SPIN_6, levels.SPIN_13),
            *(levels.QSL_3, levels.RW_5),
        ),
        ("IrqlRaise", "IrqlLower", *LOCK_EVENTS, *SHARED_EVENTS),
        lambda e: levels.judge(e.history, e.locks),
    ),
    _Judge((spin.SPIN_1, spin.SPIN_2, spin.SPIN_8), LOCK_EVENTS, lambda e: spin.judge(e.locks)),
    _Judge(
        (order.SPIN_9, order.SPIN_12, order.SPIN_19, order.SPIN_IRQL),
        ("LockWait", "LockAcquired", "LockSharedWait", "LockSharedAcquired"),
        lambda e: order.judge(e.history, e.locks),
    ),
    _Judge((fifo.QSL_1, fifo.INT_11, fifo.SYS_9), ("LockQueued",), lambda e: fifo.judge(e.locks)),
    _Judge((shared.RW_1, shared.RW_2, shared.RW_3, shared.RW_4), SHARED_EVENTS, lambda e: shared.judge(e.locks)),
    _Judge(
        (dpc.DPC_1, dpc.DPC_2, dpc.DPC_3, dpc.DPC_4, dpc.DPC_5, dpc.DPC_12),
        _DPC_EVENTS,
        lambda e: dpc.judge(e.history, e.accounting or Accounting()),
    ),
    _Judge(
        (queues.DPC_6, queues.DPC_7, queues.DPC_8, queues.DPC_15),
        ("DpcInsert", "ThreadedDpcStart", "ThreadedDpcEnd"),
        lambda e: queues.judge(e.history),
    ),
    _Judge((interrupt.INT_1,), ("IsrEnter", "IsrExit"), lambda e: interrupt.judge(e.history, e.guards)),
    _Judge((connection.INT_6, connection.INT_8), ("IsrEnter",), lambda e: connection.judge(e.history)),
    _Judge((sync.SYN_1, sync.SYN_2, sync.SYN_3, sync.SYN_4), _SYNC_EVENTS, lambda e: sync.judge(e.history, e.guards)),
    _Judge((broadcast.IPI_1,), ("IpiCallEnter", "IpiCallExit"), lambda e: broadcast.judge(e.history)),
    _Judge(
        (scheduling.IRQL_9, scheduling.THR_1, scheduling.THR_RUN, scheduling.THR_PRIORITY),
        ("ThreadSwitch",),
        lambda e: scheduling.judge(e.history, e.locks),
    ),
    _Judge(
        (waits.WAIT_2, waits.EVT_1, waits.EVT_5, waits.MUT_1, waits.SEM_3, waits.TMR_3),
        _WAIT_EVENTS,
        lambda e: waits.judge(e.history),
    ),
    _Judge(
        (irps.IRP_3, irps.IRP_8, irps.IRP_CALL, irps.SPIN_17), _IRP_EVENTS, lambda e: irps.judge(e.history, e.locks)
    ),
    _Judge((wakes.THR_READY, wakes.WAIT_1), ("ThreadReady", "WaitBegin"), lambda e: wakes.judge(e.history, e.locks)),
    _Judge((causes.CAUSE_IPI,), ("InterruptEnter",), lambda e: causes.judge_interrupts(e.history)),
    _Judge(
        (causes.CAUSE_THREAD, causes.CAUSE_WAIT),
        ("ThreadSwitch", "WaitEnd"),
        lambda e: causes.judge_threads(e.history),
    ),
    _Judge((causes.CAUSE_IRP,), ("IrpCall", "IrpComplete"), lambda e: causes.judge_irps(e.history.irps)),
    _Judge(
        (guidelines.SPIN_10, guidelines.DPC_16, guidelines.INT_TIME),
        (*LOCK_EVENTS, *SHARED_EVENTS, "DpcStart", "IsrEnter"),
        lambda e: guidelines.judge(e.history, e.budgets),
    ),
    _Judge((account.INT_ACCOUNT,), (), lambda e: account.judge(e.history, e.whole_accounting)),
)
CLAUSES = tuple(clause for each in _JUDGES for clause in each.clauses)
"""All clauses that the oracle judges, in the order of its verdicts."""


def judge(
    trace: Trace,
    accounting: Accounting | None = None,
    *,
    history: History | None = None,
    budgets: Budgets | None = None,
) -> Verdict:
    """Judge a run.

    A clause is `violated` if the trace proves it, `ok` if the trace is complete and shows the rule kept, and otherwise
    `unknown`, with the reason. Where records are missing from the middle, only violations that their own records prove
    count; where the end is missing, violations count but nothing is ok. A guideline that was not kept is a `warning`,
    which makes no run fail.

    Args:
        trace: what the CPUs did.
        accounting: the host's counts; None for those stored with the trace.
        history: the trace's intervals, if the caller has them already.
        budgets: how long is too long; None for the documentation's guidelines.

    Returns:
        One verdict per clause, in the order of the clauses.
    """
    accounting = accounting or trace.meta.accounting
    switched = halfway(trace) if trace.excerpt is None else frozenset()
    verdict = _judge(trace, _Evidence(history or History(trace), accounting, budgets or Budgets()))
    if not switched:
        return verdict
    rest, where = without(trace, switched)
    others = placed(_judge(trace, _Evidence(History(rest), accounting, budgets or Budgets())), where)
    pairs = zip(verdict.clauses, others.clauses, strict=True)  # what needs them: proved by its own records, or unknown
    return Verdict(tuple(one if switched.intersection(one.clause.needs) else other for one, other in pairs))


def _judge(trace: Trace, evidence: _Evidence) -> Verdict:
    """Judge by the evidence, and weigh it by what the trace that it is from is known to lack."""
    seen = evidence.history.trace
    lost = [f"CPU {cpu} lost {count} records" for cpu, count in enumerate(trace.lost) if count]
    late = [f"CPU {cpu}'s first {count} records were let go" for cpu, count in enumerate(trace.let_go) if count]
    lost += ["only a part of the trace was looked at"] if trace.excerpt is not None else []
    cut = ["the machine ended under the trace"] if trace.meta.cut else []
    absent = {name for name in _NEEDED if not trace.recorded(name)}
    doubtful = lost or late or cut or absent
    found: list[ClauseVerdict] = []
    for each in _JUDGES:
        shown = not each.events or not seen.present.isdisjoint(each.events)
        if not shown and not doubtful:
            found += map(_silent, each.clauses)
            continue
        for finding in each.judge(evidence) if shown else [Finding(clause, seen) for clause in each.clauses]:
            found.append(_conclude(evidence.history, lost, late, cut, absent, finding))
    return Verdict(tuple(found))


@cache
def _silent(clause: Clause) -> ClauseVerdict:
    """Return the verdict on a clause of which a whole trace shows nothing."""
    return ClauseVerdict(clause, Status.UNKNOWN, NO_EVIDENCE, 0, 0, ())


_NEEDED = frozenset(name for clause in CLAUSES for name in clause.needs)


def _conclude(
    history: History, lost: list[str], late: list[str], cut: list[str], absent: set[str], finding: Finding
) -> ClauseVerdict:
    clause = finding.clause
    missing = [name for name in clause.needs if name in absent] if absent else []
    doubts = [*lost, f"{', '.join(missing)} not recorded all the time"] if missing else lost
    # Where only a beginning or an end is missing, what the trace has of each CPU is whole: most violations stand.
    stands = finding.count and not doubts and clause is not account.INT_ACCOUNT and (clause.late or not late)
    if not stands:
        doubts = [*doubts, *late, *cut]
    verdict = finding.conclude(doubts)
    if not verdict.violations:
        return verdict
    return replace(verdict, violations=tuple(with_places(history, each) for each in verdict.violations))
