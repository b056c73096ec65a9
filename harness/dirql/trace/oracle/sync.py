# SPDX-License-Identifier: Apache-2.0
"""SYN-1 to SYN-4: KeSynchronizeExecution raises, locks, runs its routine on the calling CPU, unlocks, restores.

Evidence for SYN-2 is the wait of such a call: the IRQL of its LockWait, and every interrupt that came before the
LockAcquired. For SYN-3: the routine's interval lies inside the time for which the lock was held, so two under one lock
that overlap by more than the clocks' skew are proof.
"""

from __future__ import annotations

import numpy as np

from dirql.trace.history.history import (
    DISPATCH_LEVEL,
    FIRST_APC_VECTOR,
    SPURIOUS_VECTOR,
    THREAD_EVENTS,
    History,
    vector_of,
)
from dirql.trace.history.intervals import factorize
from dirql.trace.oracle.guards import Guards
from dirql.trace.oracle.interrupt import judge_level, judge_lock
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.quiet import connections
from dirql.trace.schema import Indices

_NEEDS = (
    *("SyncRequest", "SyncEnter", "SyncExit", "SyncReturn", "IsrEnter", "IsrExit", "InterruptConnect"),
    *("DpcStart", "DpcEnd", *THREAD_EVENTS),
)

SYN_1 = Clause(
    "SYN-1",
    "KeSynchronizeExecution runs its routine on the calling CPU at SynchronizeIrql under the interrupt spin lock",
    "kesynchronizeexecution; using-spin-locks--an-example",
    _NEEDS,
)
SYN_2 = Clause(
    "SYN-2",
    "while KeSynchronizeExecution spins, its interrupt is masked on the caller's CPU",
    "using-spin-locks--an-example",
    (*_NEEDS, "LockWait", "LockAcquired"),
    alone=True,
)
SYN_3 = Clause(
    "SYN-3",
    "a synchronised routine runs beside no other and beside no ISR of the same lock",
    "kesynchronizeexecution; using-spin-locks--an-example",
    _NEEDS,
    late=True,
)
SYN_4 = Clause(
    "SYN-4",
    "KeSynchronizeExecution is called at or below SynchronizeIrql",
    "kesynchronizeexecution",
    ("SyncRequest", "InterruptConnect"),
)

_STEPS = ("SyncRequest", "SyncEnter", "SyncExit", "SyncReturn")


def judge(history: History, guards: Guards) -> list[Finding]:
    """Judge all synchronised routines of a trace."""
    finding, masked, alone, called = (Finding(clause, history.trace) for clause in (SYN_1, SYN_2, SYN_3, SYN_4))
    trace = history.trace
    if not len(trace.where(*_STEPS)):
        return [finding, masked, alone, called]
    judge_level(history, guards.syncs, "the synchronised routine", finding)
    judge_lock(history, guards.syncs, "the synchronised routine", finding)
    alone.judged = len(guards.syncs.start)
    for one, other in guards.conflicts:
        if trace.event[one] == trace.event[other] == trace.meta.events["IsrEnter"]:
            continue
        alone.add(
            f"{guards.describe(trace, other)} while {guards.describe(trace, one, since=True)}",
            [one, other],
            [trace.arg1[one], trace.arg1[other]],
        )
    _judge_steps(history, finding)
    _judge_waits(history, masked)
    _judge_callers(history, called)
    return [finding, masked, alone, called]


def _levels(history: History, index: Indices) -> Indices:
    """Return the SynchronizeIrql of the KINTERRUPT of each record, by its last connection before; -1: not known."""
    table = connections(history.trace)
    order = np.lexsort((table.index, table.object))
    objects, since = table.object[order], table.index[order]
    _, number = factorize(np.concatenate([objects, history.trace.arg0[index]]))
    size = len(history.trace) + 1
    ranked = number[: len(order)] * size + since + 1
    at = np.searchsorted(ranked, number[len(order) :] * size + index + 1) - 1
    if not len(order):
        return np.full(len(index), -1, dtype=np.int64)
    found = np.maximum(at, 0)
    known = (at >= 0) & (number[found] == number[len(order) :])
    return np.where(known, table.level[order][found], -1)


def _judge_waits(history: History, finding: Finding) -> None:
    """Look at what interrupted a CPU that spins in KeSynchronizeExecution, and at its IRQL."""
    trace, waits, previous = history.trace, history.waits, history.previous
    request = previous[waits.start]
    raises = (request >= 0) & trace.are(request, "IrqlRaise")
    request = np.where(raises, previous[request], request)
    mine = np.flatnonzero((request >= 0) & trace.are(request, "SyncRequest"))
    level = _levels(history, request[mine])
    mine, level = mine[level >= 0], level[level >= 0]
    finding.judged = len(mine)
    for late in np.flatnonzero(trace.irql[waits.start[mine]] < level):
        index = waits.start[mine[late]]
        finding.add(
            f"CPU {trace.cpu[index]} spins in KeSynchronizeExecution at IRQL {trace.irql[index]}; SynchronizeIrql is "
            f"{level[late]}",
            [request[mine[late]], index],
            [trace.arg1[index]],
            certain=True,
        )
    enters = trace.where("InterruptEnter")
    if not len(enters) or not len(mine):
        return
    # The wait that each interrupt came in, if any: waits in KeSynchronizeExecution of one CPU do not overlap but nest.
    place = trace.position
    order = np.argsort(place[waits.start[mine]])
    first = place[waits.start[mine]][order]
    at = np.searchsorted(first, place[enters]) - 1
    found = order[np.maximum(at, 0)]
    inside = (at >= 0) & (place[waits.end[mine[found]]] > place[enters])
    vector = vector_of(trace, enters)
    low = inside & (vector >= FIRST_APC_VECTOR) & (vector != SPURIOUS_VECTOR) & (vector >> 4 <= level[found])
    for which in np.flatnonzero(low):
        index, wait = int(enters[which]), int(waits.start[mine[found[which]]])
        finding.add(
            f"CPU {trace.cpu[index]} took vector {vector[which]:#x} while it spun in KeSynchronizeExecution at "
            f"SynchronizeIrql {level[found[which]]}",
            [wait, index],
            [trace.arg1[wait], trace.arg1[index]],
        )


def _judge_callers(history: History, finding: Finding) -> None:
    trace = history.trace
    requests = trace.where("SyncRequest")
    level = _levels(history, requests)
    finding.judged = int((level >= 0).sum())
    for at in np.flatnonzero((level >= 0) & (trace.irql[requests] > level)):
        index = requests[at]
        finding.add(
            f"CPU {trace.cpu[index]} called KeSynchronizeExecution at IRQL {trace.irql[index]}; SynchronizeIrql is "
            f"{level[at]}",
            [*finding.before(index, "InterruptConnect"), index],
            [trace.arg1[index]],
        )


def _judge_steps(history: History, finding: Finding) -> None:
    """Follow each call through its four records, within the context that made it.

    A caller below DISPATCH_LEVEL may be preempted, and may continue on another CPU, before its first and after its last
    change of IRQL: its context is its thread. Where the trace does not name that, records out of step are no proof.
    """
    trace, threads = history.trace, history.threads
    steps = trace.where(*_STEPS)
    step = np.zeros(len(steps), dtype=np.int64)
    for rank, name in enumerate(_STEPS):
        step[trace.are(steps, name)] = rank
    steps_in_order = np.argsort(threads.rank[steps])
    steps, step = steps[steps_in_order], step[steps_in_order]
    context = _callers(history, steps, step)
    mine = threads.number[steps]
    objects, number = factorize(trace.arg0[steps])
    whose = np.where(context >= 0, context + len(threads.address), mine) * max(len(objects), 1) + number
    order = np.argsort(whose * len(steps) + np.arange(len(steps)))  # theirs together, each one's in its order
    steps, step, whose, context, mine = steps[order], step[order], whose[order], context[order], mine[order]
    same = whose[1:] == whose[:-1]
    first = np.ones(len(steps), dtype=np.bool_)
    first[1:] = ~same
    group = np.cumsum(first) - 1
    named = threads.address[mine] != 0 if len(mine) else mine.astype(np.bool_)
    low = (context < 0) & (trace.irql[steps] < DISPATCH_LEVEL) & ~named
    preemptible = np.zeros(int(group.max(initial=-1)) + 1, dtype=np.bool_)
    preemptible[group[low]] = True
    follows = np.zeros(len(steps), dtype=np.bool_)
    follows[1:] = same & (step[1:] == (step[:-1] + 1) % 4)
    inherited = first & (context < 0) & ((trace.meta.quiet is None) | ~(threads.all_known | (not threads.switched)))
    broken = ~follows & ~(first & (step == 0)) & ~inherited & ~preemptible[group]
    for at in np.flatnonzero(broken):
        index = steps[at]
        before = "nothing" if first[at] else trace.meta.events.name(int(trace.event[steps[at - 1]]))
        finding.add(
            f"CPU {trace.cpu[index]}: {trace.meta.events.name(int(trace.event[index]))} of KINTERRUPT "
            f"{trace.arg0[index]:#x} after {before} in the same context",
            [index] if first[at] else [steps[at - 1], index],
            [trace.arg1[index]] if step[at] < 2 else [],
        )
    whole = np.flatnonzero(follows & (step == 3))
    whole = whole[(whole >= 3) & follows[np.maximum(whole - 1, 0)] & follows[np.maximum(whole - 2, 0)]]
    finding.judged = len(whole)
    _judge_calls(history, finding, *(steps[whole - back] for back in (3, 2, 1, 0)))


def _callers(history: History, steps: Indices, step: Indices) -> Indices:
    """Return the record that began the DPC, interrupt or routine that made each call; -1 for a thread."""
    routines = history.in_routines
    opener = routines.opener[steps]
    inner = np.flatnonzero(((step == 1) | (step == 2)) & (opener >= 0))
    inner = inner[history.trace.are(opener[inner], "SyncEnter")]
    context = opener.copy()
    context[inner] = routines.parent(opener[inner])
    return context


def _judge_calls(
    history: History, finding: Finding, request: Indices, enter: Indices, leave: Indices, back: Indices
) -> None:
    """Compare the four records of each complete call."""
    trace = history.trace

    def add(at: int, text: str) -> None:
        finding.add(
            f"CPU {trace.cpu[request[at]]}: KeSynchronizeExecution of KINTERRUPT {trace.arg0[request[at]]:#x} {text}",
            [request[at], enter[at], leave[at], back[at]],
            [trace.arg1[request[at]]],
        )

    for at in np.flatnonzero(trace.arg1[request] != trace.arg1[enter]):
        add(int(at), f"ran the routine {trace.arg1[enter[at]]:#x} instead of {trace.arg1[request[at]]:#x}")
    for at in np.flatnonzero(trace.arg1[leave] != trace.arg1[back]):
        add(int(at), f"returned {trace.arg1[back[at]]}; its routine had returned {trace.arg1[leave[at]]}")
    for at in np.flatnonzero(trace.irql[request] != trace.irql[back]):
        add(int(at), f"was called at IRQL {trace.irql[request[at]]} and returned at IRQL {trace.irql[back[at]]}")
