# SPDX-License-Identifier: Apache-2.0
"""RW-1 to RW-4: many readers or one writer, and no reader that comes after a writer enters before it.

Evidence: the records of an acquisition come after it and those of a release before it, so a writer's interval that
overlaps a reader's by more than the clocks' skew is proof (RW-1; RW-3 where the writer was a reader that converted). A
writer's LockWait is recorded once it has announced itself: a reader that was there when the writer acquired later, and
only began to ask after that record, as the record before its own shows, passed it (RW-2). A CPU that waits for a lock
that it holds in either way never gets it (RW-4).
"""

from __future__ import annotations

import numpy as np

from dirql.trace.history.history import CONTEXT_EVENTS
from dirql.trace.history.intervals import factorize
from dirql.trace.oracle.locks import LOCK_EVENTS, SHARED_EVENTS, Locks
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.schema import Flags, Indices

_PAGE = "reader-writer-spin-locks"
_NEEDS = (*LOCK_EVENTS, *SHARED_EVENTS)

RW_1 = Clause("RW-1", "while a writer is in, no reader is", _PAGE, _NEEDS, late=True)
RW_2 = Clause("RW-2", "a reader that comes after a waiting writer enters after it", _PAGE, (*_NEEDS, *CONTEXT_EVENTS))
RW_3 = Clause("RW-3", "a reader becomes the writer only if it is the only reader", _PAGE, (*_NEEDS, *CONTEXT_EVENTS))
RW_4 = Clause("RW-4", "no CPU asks again for a reader/writer spin lock that it holds", _PAGE, _NEEDS)


def judge(locks: Locks) -> list[Finding]:
    """Judge all reader/writer spin locks of a trace."""
    one, two, three, four = (Finding(clause, locks.trace) for clause in (RW_1, RW_2, RW_3, RW_4))
    if len(locks.readers_writers):
        _judge_writers(locks, one, three)
        _judge_passed(locks, two)
        _judge_again(locks, four)
    return [one, two, three, four]


def _judge_writers(locks: Locks, one: Finding, three: Finding) -> None:
    trace, readers = locks.trace, locks.history.shared_holds
    is_writer = np.isin(trace.arg0[locks.starts], locks.readers_writers)
    write, until = locks.starts[is_writer], locks.ends[is_writer]
    converts = _converted(locks, write)
    read = np.concatenate([readers.start, readers.running])
    read_until = np.concatenate([readers.end, np.full(len(readers.running), len(trace), dtype=np.int64)])
    one.judged, three.judged = len(write) + len(read), int(converts.sum())
    if not len(write) or not len(read):
        return
    skew = trace.skew_ticks
    _, number = factorize(np.concatenate([trace.arg0[read], trace.arg0[write]]))
    group, wanted = number[: len(read)], number[len(read) :]
    span = int(trace.time[-1]) + skew + 2  # times of one lock after those of another, on one axis
    order = np.lexsort((trace.time[read], group))
    begin = group[order] * span + trace.time[read[order]]
    reach = np.maximum.accumulate(group[order] * span + locks.end_times(read, read_until)[order])
    longest = np.maximum.accumulate(
        np.where(group[order] * span + locks.end_times(read, read_until)[order] == reach, np.arange(len(order)), 0)
    )
    last = wanted * span + np.maximum(locks.end_times(write, until) - skew, 0)
    at = np.searchsorted(begin, last) - 1
    found = np.maximum(at, 0)
    beside = (at >= 0) & (group[order][found] == wanted)
    beside &= reach[found] > wanted * span + trace.time[write] + skew
    for which in np.flatnonzero(beside):
        reader, writer = read[order[longest[found[which]]]], write[which]
        finding = three if converts[which] else one
        how = "became the writer of" if converts[which] else "was the writer of"
        finding.add(
            f"CPU {trace.cpu[writer]} {how} the lock {trace.arg0[writer]:#x} while CPU {trace.cpu[reader]} was a "
            "reader of it",
            sorted([int(reader), int(writer)]),
            [trace.arg1[reader], trace.arg1[writer]],
        )


def _converted(locks: Locks, write: Indices) -> Flags:
    """Tell which writers had been readers: the record before is their release as a reader, by the same call."""
    trace = locks.trace
    before = locks.history.previous[write]
    same: Flags = (before >= 0) & trace.are(before, "LockSharedReleased") & (trace.arg0[before] == trace.arg0[write])
    same &= trace.arg1[before] == trace.arg1[write]
    return same


def _judge_passed(locks: Locks, finding: Finding) -> None:
    trace, history, skew = locks.trace, locks.history, locks.trace.skew_ticks
    spans = history.waits
    chosen = np.isin(spans.key, locks.readers_writers)
    wait, entered = spans.start[chosen], spans.end[chosen]
    finding.judged = len(wait)
    reads = trace.where("LockSharedAcquired")
    for lock in np.unique(trace.arg0[wait]) if len(reads) else []:
        mine = np.flatnonzero(trace.arg0[wait] == lock)
        read = reads[trace.arg0[reads] == lock]
        since, until = trace.time[wait[mine]] + skew, trace.time[entered[mine]]
        reach = np.maximum.accumulate(until)
        last = np.maximum.accumulate(np.where(until == reach, np.arange(len(mine)), 0))
        at = np.searchsorted(since, _asked(locks, read)) - 1
        passed = (at >= 0) & (reach[np.maximum(at, 0)] > trace.time[read] + skew)
        for which in np.flatnonzero(passed):
            writer = mine[last[at[which]]]
            reader = read[which]
            finding.add(
                f"CPU {trace.cpu[reader]} became a reader of the lock {lock:#x}, for which CPU "
                f"{trace.cpu[wait[writer]]} waited as a writer when it began to ask",
                [wait[writer], reader, entered[writer]],
                [trace.arg1[wait[writer]], trace.arg1[reader]],
            )


def _asked(locks: Locks, read: Indices) -> Indices:
    """Return times at which the readers had not yet asked: those of the records before, without the wait's own."""
    trace, previous = locks.trace, locks.history.previous
    before = previous[read]
    waits = (before >= 0) & trace.are(before, "LockSharedWait") & (trace.arg0[before] == trace.arg0[read])
    before = np.where(waits, previous[before], before)
    return np.where(before >= 0, trace.time[before], np.iinfo(np.int64).min // 4)


def _judge_again(locks: Locks, finding: Finding) -> None:
    trace, history = locks.trace, locks.history
    readers, writers = trace.where("LockSharedWait"), trace.where("LockWait")
    finding.judged = len(history.shared_holds) + int(np.isin(locks.history.holds.key, locks.readers_writers).sum())
    for index in history.shared_holds.unended:
        finding.add(
            f"CPU {trace.cpu[index]} became a reader of the lock {trace.arg0[index]:#x} twice",
            [*finding.before(index, "LockSharedAcquired", same_cpu=True), index],
            [trace.arg1[index]],
        )
    for waits, held in ((readers, history.shared_holds), (readers, history.holds), (writers, history.shared_holds)):
        within = locks.held_by_same_cpu(waits, held)
        for at in np.flatnonzero(within >= 0):
            index, since = waits[at], within[at]
            finding.add(
                f"CPU {trace.cpu[index]} waits for the reader/writer lock {trace.arg0[index]:#x}, which it holds",
                [since, index],
                [trace.arg1[since], trace.arg1[index]],
            )
