# SPDX-License-Identifier: Apache-2.0
"""INT-1: a service routine runs at SynchronizeIrql, with the interrupt spin lock held, on one CPU at a time."""

from __future__ import annotations

import numpy as np

from dirql.trace.history.history import CONTEXT_EVENTS, History
from dirql.trace.oracle.guards import Guard, Guards
from dirql.trace.oracle.verdict import Clause, Finding

_NEEDS = ("IsrEnter", "IsrExit", "SyncEnter", "SyncExit", "InterruptConnect", *CONTEXT_EVENTS)

INT_1 = Clause(
    "INT-1",
    "an ISR runs at SynchronizeIrql with the interrupt spin lock held, never twice at once",
    "synchronizing-access-to-device-data; using-spin-locks--an-example",
    _NEEDS,
)


def judge(history: History, guards: Guards) -> list[Finding]:
    """Judge all service routines of a trace."""
    finding = Finding(INT_1, history.trace)
    trace, isrs = history.trace, history.isrs
    runs = guards.isrs
    finding.judged = len(runs.start)
    judge_level(history, runs, "the ISR", finding)
    judge_lock(history, runs, "the ISR", finding)
    for index, what in [(i, "entered again without having returned") for i in isrs.unended] + [
        (i, "returned without having been entered") for i in isrs.unstarted
    ]:
        finding.add(
            f"the ISR of KINTERRUPT {trace.arg0[index]:#x} was {what} on CPU {trace.cpu[index]}",
            [*finding.before(index, "IsrEnter", "IsrExit", same_cpu=True), index],
            [trace.arg1[index]] if what.startswith("entered") else [],
        )
    for one, other in guards.conflicts:
        if trace.event[one] == trace.event[other] == trace.meta.events["SyncEnter"]:
            continue
        finding.add(
            f"{guards.describe(trace, other)} while {guards.describe(trace, one, since=True)}",
            [one, other],
            [trace.arg1[one], trace.arg1[other]],
        )
    return [finding]


def judge_level(history: History, runs: Guard, what: str, finding: Finding) -> None:
    """Report routines that began or ended at another IRQL than SynchronizeIrql, where that is known."""
    trace = history.trace
    for index in (runs.start, runs.end):
        known = np.flatnonzero((runs.level >= 0) & (index >= 0))
        for at in known[trace.irql[index[known]] != runs.level[known]]:
            finding.add(
                f"{what} of KINTERRUPT {trace.arg0[index[at]]:#x} {'began' if index is runs.start else 'ended'} on CPU "
                f"{trace.cpu[index[at]]} at IRQL {trace.irql[index[at]]}; its SynchronizeIrql is {runs.level[at]}",
                [*finding.before(int(index[at]), "InterruptConnect"), index[at]],
                [trace.arg1[runs.start[at]]],
            )


def judge_lock(history: History, runs: Guard, what: str, finding: Finding) -> None:
    """Report routines that ran without the interrupt spin lock, where others of that KINTERRUPT ran with one."""
    trace = history.trace
    for index in runs.start[runs.unguarded]:
        finding.add(
            f"{what} of KINTERRUPT {trace.arg0[index]:#x} ran on CPU {trace.cpu[index]} without its lock",
            [*finding.before(index, "IsrEnter", "SyncEnter"), index],
            [trace.arg1[index]],
        )
    for index, end in zip(runs.start[runs.dropped], runs.end[runs.dropped], strict=True):
        finding.add(
            f"{what} of KINTERRUPT {trace.arg0[index]:#x} was still running on CPU {trace.cpu[index]} when its "
            "lock was released",
            [index, end],
            [trace.arg1[index]],
        )
