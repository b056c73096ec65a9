# SPDX-License-Identifier: Apache-2.0
"""Puts the judges together and weighs what they found by how complete the trace is."""

from __future__ import annotations

from dirql.trace.accounting import Accounting
from dirql.trace.decode import Trace
from dirql.trace.history import History
from dirql.trace.oracle import (
    account,
    broadcast,
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
)
from dirql.trace.oracle.guards import find_guards
from dirql.trace.oracle.locks import Locks
from dirql.trace.oracle.verdict import Budgets, ClauseVerdict, Finding, Verdict


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
    history = history or History(trace)
    accounting = accounting or trace.meta.accounting
    guards = find_guards(history)
    locks = Locks(history)
    findings = [
        *irql.judge(history),
        *levels.judge(history, locks),
        *spin.judge(locks),
        *order.judge(history, locks),
        *fifo.judge(locks),
        *shared.judge(locks),
        *dpc.judge(history, accounting or Accounting()),
        *queues.judge(history),
        *interrupt.judge(history, guards),
        *connection.judge(history),
        *sync.judge(history, guards),
        *broadcast.judge(history),
        *scheduling.judge(history, locks),
        *waits.judge(history),
        *irps.judge(history, locks),
        *guidelines.judge(history, budgets or Budgets()),
        *account.judge(history, accounting),
    ]
    asked = {name for finding in findings for name in finding.clause.needs}
    absent = {name for name in asked if not trace.recorded(name)}
    lost = [f"CPU {cpu} lost {count} records" for cpu, count in enumerate(trace.lost) if count]
    lost += ["only a part of the trace was looked at"] if trace.excerpt is not None else []
    return Verdict(tuple(_conclude(trace, lost, absent, finding) for finding in findings))


def _conclude(trace: Trace, lost: list[str], absent: set[str], finding: Finding) -> ClauseVerdict:
    missing = [name for name in finding.clause.needs if name in absent] if absent else []
    incomplete = [*lost, f"{', '.join(missing)} not recorded all the time"] if missing else lost
    cut = ["the machine ended under the trace"] if trace.meta.cut else []
    if cut and not incomplete and finding.clause is not account.INT_ACCOUNT and finding.count:
        cut = []  # what the trace has of each CPU is whole, only the end is missing: a violation stands
    return finding.conclude([*incomplete, *cut])
