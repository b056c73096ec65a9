# SPDX-License-Identifier: Apache-2.0
"""QSL-1, INT-11 and SYS-9: locks that are acquired in the order in which they were asked for.

Evidence: LockQueued is recorded once a waiter has its place, and says which: the CPU that it waits behind (an in-stack
queued lock), or its ticket (an interrupt lock). So who must acquire before it is known:
- of two waiters for one lock, the one with the lower ticket, if both waited when the first of them acquired;
- right before a waiter, the CPU that it waits behind;
- nobody who only began to ask, as the record before shows, when the waiter had its place.
Only acquisitions that are apart by more than the clocks' skew prove an order.
"""

from __future__ import annotations

import numpy as np

from dirql.trace.history.history import CONTEXT_EVENTS
from dirql.trace.history.intervals import factorize, pair_records
from dirql.trace.oracle.exclusion import overlaps
from dirql.trace.oracle.locks import BEHIND_CPU, BY_TICKET, LOCK_EVENTS, Locks
from dirql.trace.oracle.verdict import Clause, Finding

_NEEDS = (*LOCK_EVENTS, "LockQueued", *CONTEXT_EVENTS)

QSL_1 = Clause("QSL-1", "queued spin locks are acquired in the order requested", "queued-spin-locks", _NEEDS)
INT_11 = Clause(
    "INT-11",
    "routines that wait for one interrupt spin lock are served first come, first served",
    "using-spin-locks--an-example",
    (*_NEEDS, "InterruptEnter"),
)
SYS_9 = Clause(
    "SYS-9",
    "on release of an interrupt spin lock exactly one waiter enters, the one that came first",
    "using-spin-locks--an-example",
    (*_NEEDS, "InterruptEnter"),
)

_NEVER = np.iinfo(np.int64).max // 4


class _Waiters:
    """Those who took a place in the queue of a lock.

    Attributes:
        queued: the LockQueued record of each.
        acquired: when it acquired; the length of the trace where the trace ends first.
        time: the time of that.
    """

    def __init__(self, locks: Locks, kind: int) -> None:
        trace = locks.trace
        mine = locks.queued[locks.queued_kind == kind]
        theirs = np.isin(trace.arg0[locks.acquired], np.unique(trace.arg0[mine]))
        index = np.sort(np.concatenate([mine, locks.acquired[theirs]]))
        spans = pair_records(trace, index, trace.meta.events["LockQueued"], (1 << 64) - 1)
        self.queued = np.concatenate([spans.start, spans.running])
        self.acquired = np.concatenate([spans.end, np.full(len(spans.running), len(trace), dtype=np.int64)])
        self.place = (trace.arg1[self.queued] & np.uint64(0xFFFF_FFFF)).astype(np.int64)
        self.time = np.full(len(self.queued), _NEVER, dtype=np.int64)
        done = len(spans.start)
        self.time[:done] = trace.time[spans.end]
        self.done = np.arange(len(self.queued)) < done


def judge(locks: Locks) -> list[Finding]:
    """Judge all queues of a trace."""
    handles, tickets, one = (Finding(clause, locks.trace) for clause in (QSL_1, INT_11, SYS_9))
    kinds = set(np.unique(locks.queued_kind).tolist())
    if BEHIND_CPU in kinds:
        waiters = _Waiters(locks, BEHIND_CPU)
        handles.judged = int(waiters.done.sum())
        _judge_predecessors(locks, waiters, handles)
        _judge_newcomers(locks, waiters, [handles])
    if BY_TICKET in kinds:
        waiters = _Waiters(locks, BY_TICKET)
        tickets.judged = one.judged = int(waiters.done.sum())
        _judge_tickets(locks, waiters, [tickets, one])
        _judge_newcomers(locks, waiters, [tickets, one])
        _judge_together(locks, waiters, one)
    return [handles, tickets, one]


def _judge_tickets(locks: Locks, waiters: _Waiters, findings: list[Finding]) -> None:
    trace = locks.trace
    done = np.flatnonzero(waiters.done)
    _, lock = factorize(trace.arg0[waiters.queued[done]])
    order = np.lexsort((waiters.acquired[done], lock))
    at, lock = done[order], lock[order]
    for first in np.split(np.arange(len(at)), np.flatnonzero(np.diff(lock)) + 1):
        mine = at[first]
        if len(mine) < 2:
            continue
        step = (np.diff(waiters.place[mine]) + 0x8000 & 0xFFFF) - 0x8000  # tickets are counted modulo 2**16
        if step.min() > 0:
            continue
        number = np.concatenate([[0], np.cumsum(step)])
        highest = np.maximum.accumulate(number)
        holder = np.maximum.accumulate(np.where(number == highest, np.arange(len(mine)), 0))
        for late in np.flatnonzero(number < highest):
            early = mine[holder[late]]
            late = mine[late]
            both = waiters.queued[late] < waiters.acquired[early]
            if both and waiters.time[early] + trace.skew_ticks < waiters.time[late]:
                _report(
                    locks,
                    findings,
                    int(waiters.acquired[early]),
                    int(waiters.queued[late]),
                    f"with ticket {waiters.place[early]}, before CPU {trace.cpu[waiters.queued[late]]}, whose ticket "
                    f"is {waiters.place[late]}",
                    [int(waiters.acquired[late])],
                )


def _judge_predecessors(locks: Locks, waiters: _Waiters, finding: Finding) -> None:
    """The last to acquire a lock before a waiter is the CPU that the waiter stands behind."""
    trace, skew = locks.trace, locks.trace.skew_ticks
    done = np.flatnonzero(waiters.done)
    locked, number = factorize(trace.arg0[locks.acquired])
    size = len(trace)
    order = np.argsort(number * size + locks.acquired)
    ranked, sorted_acquired = (number * size + locks.acquired)[order], locks.acquired[order]
    mine = np.searchsorted(locked, trace.arg0[waiters.queued[done]])
    at = np.searchsorted(ranked, mine * size + waiters.acquired[done]) - 1
    before = sorted_acquired[np.maximum(at, 0)]
    known = (at >= 0) & (ranked[np.maximum(at, 0)] // size == mine)
    wrong = known & (trace.cpu[before] != waiters.place[done])
    wrong &= trace.time[before] + skew < waiters.time[done]
    for which in np.flatnonzero(wrong):
        waiter, one = done[which], int(before[which])
        near = np.abs(trace.time[locks.acquired] - trace.time[one]) <= skew
        near &= (trace.arg0[locks.acquired] == trace.arg0[one]) & (trace.cpu[locks.acquired] == waiters.place[waiter])
        if near.any():
            continue  # both acquired so closely that their order is not known
        _report(
            locks,
            [finding],
            one,
            int(waiters.queued[waiter]),
            f"before CPU {trace.cpu[waiters.queued[waiter]]}, which was queued right behind CPU "
            f"{waiters.place[waiter]}",
            [int(waiters.acquired[waiter])],
        )


def _judge_newcomers(locks: Locks, waiters: _Waiters, findings: list[Finding]) -> None:
    """Nobody acquires without waiting who only began to ask when others waited already."""
    trace, skew = locks.trace, locks.trace.skew_ticks
    locked = np.unique(trace.arg0[waiters.queued])
    is_new = np.isin(trace.arg0[locks.acquired], locked)
    is_new[np.searchsorted(locks.acquired, waiters.acquired[waiters.done])] = False
    fresh = locks.acquired[is_new]
    for lock in locked if len(fresh) else []:
        mine = np.flatnonzero(trace.arg0[waiters.queued] == lock)
        mine = mine[np.argsort(waiters.queued[mine])]
        new = fresh[trace.arg0[fresh] == lock]
        since = trace.time[waiters.queued[mine]] + skew
        until = np.maximum.accumulate(waiters.time[mine])
        last = np.maximum.accumulate(np.where(waiters.time[mine] == until, np.arange(len(mine)), 0))
        at = np.searchsorted(since, locks.history.earliest[new] + skew) - 1
        passed = (at >= 0) & (until[np.maximum(at, 0)] > trace.time[new] + skew)
        for which in np.flatnonzero(passed):
            waiter = mine[last[at[which]]]
            if trace.cpu[waiters.queued[waiter]] == trace.cpu[new[which]]:
                continue  # another hold of its own: not a matter of order
            later = [int(waiters.acquired[waiter])] if waiters.done[waiter] else []
            queued = int(waiters.queued[waiter])
            text = f"without waiting, though CPU {trace.cpu[queued]} was queued when it began to ask"
            _report(locks, findings, int(new[which]), queued, text, later)


def _judge_together(locks: Locks, waiters: _Waiters, finding: Finding) -> None:
    """Two holders at once, the later of which had waited: a release let in more than one."""
    trace = locks.trace
    used = np.isin(trace.arg0[locks.starts], np.unique(trace.arg0[waiters.queued]))
    start, end = locks.starts[used], locks.ends[used]
    _, lock = factorize(trace.arg0[start])
    earlier, later = overlaps(lock, trace.time[start], locks.end_times(start, end), trace.skew_ticks)
    waited = np.isin(start[later], waiters.acquired)
    for one, other in zip(start[earlier[waited]], start[later[waited]], strict=True):
        finding.add(
            f"CPU {trace.cpu[other]}, which had waited for the lock {trace.arg0[other]:#x}, entered beside "
            f"CPU {trace.cpu[one]}",
            [one, other],
            [trace.arg1[one], trace.arg1[other]],
        )


def _report(locks: Locks, findings: list[Finding], early: int, queued: int, text: str, later: list[int]) -> None:
    trace = locks.trace
    for finding in findings:
        finding.add(
            f"CPU {trace.cpu[early]} acquired the lock {trace.arg0[early]:#x} {text}",
            [queued, early, *later],
            [trace.arg1[early], *(trace.arg1[index] for index in later)],
        )
