# SPDX-License-Identifier: Apache-2.0
"""WAIT-2, EVT-1, EVT-5, MUT-1, SEM-3: whom a signal lets go, in what order, and what a wait returns.

Evidence: a Signal is recorded once the object's state is raised, and every thread that it lets go is made ready
before the CPU does anything else. So those that had begun to wait before, for this object first of all and for any,
must be among them as far as the state reaches, first come, first served; and no more may be than the state allows. A
mutex is held at least from the last WaitEnd before its owner's Signal to that Signal: two such times that overlap by
more than the clocks' skew are two owners.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.intervals import factorize
from dirql.trace.history.lives import ABANDONED, WAIT_ALL, Kind
from dirql.trace.oracle.exclusion import overlaps
from dirql.trace.oracle.verdict import Clause, Finding

if TYPE_CHECKING:
    from dirql.trace.history.history import History
    from dirql.trace.history.lives import Release, Wait
    from dirql.trace.schema import Indices

_NEEDS = ("WaitBegin", "WaitEnd", "Signal", "ThreadReady", "ThreadSwitch")

WAIT_2 = Clause(
    "WAIT-2",
    "a wait ends once, with a status that its objects and its options allow",
    "kewaitforsingleobject; kewaitformultipleobjects",
    ("WaitBegin", "WaitEnd", "ThreadSwitch"),
)
EVT_1 = Clause(
    "EVT-1",
    "a set event lets all its waiters go, or one if it synchronises",
    "introduction-to-kernel-dispatcher-objects; kesetevent",
    _NEEDS,
)
EVT_5 = Clause(
    "EVT-5",
    "waiters are let go in the order in which they began to wait",
    "introduction-to-kernel-dispatcher-objects",
    _NEEDS,
)
MUT_1 = Clause("MUT-1", "a mutex has one owner, and passes to one waiter when it is free", "kereleasemutex", _NEEDS)
SEM_3 = Clause("SEM-3", "a semaphore lets go as many waiters as its count", "kereleasesemaphore", _NEEDS)
TMR_3 = Clause(
    "TMR-3",
    "a timer that expires is signalled and lets its waiters go; none expires that is not set",
    "introduction-to-timer-objects; kesettimer",
    (*_NEEDS, "TimerSet", "TimerExpire", "TimerCancel"),
)

_ONE = (Kind.SYNCHRONIZATION_EVENT, Kind.SYNCHRONIZATION_TIMER, Kind.MUTEX)
_ALL = (Kind.NOTIFICATION_EVENT, Kind.NOTIFICATION_TIMER, Kind.THREAD)
_USER_APC, _ALERTED, _TIMEOUT = 0xC0, 0x101, 0x102
_EVERYBODY = 1 << 30


def judge(history: History) -> list[Finding]:
    """Judge all waits and signals of a trace."""
    trace = history.trace
    status, events, order, mutexes, semaphores, timers = (
        Finding(clause, trace) for clause in (WAIT_2, EVT_1, EVT_5, MUT_1, SEM_3, TMR_3)
    )
    whose: dict[int, Finding] = {
        Kind.NOTIFICATION_EVENT: events,
        Kind.SYNCHRONIZATION_EVENT: events,
        Kind.MUTEX: mutexes,
        Kind.SEMAPHORE: semaphores,
        Kind.NOTIFICATION_TIMER: timers,
        Kind.SYNCHRONIZATION_TIMER: timers,
    }
    _judge_statuses(history, status)
    for release in history.dispatcher.releases:
        finding = whose.get(release.kind)
        if finding is not None:
            finding.judged += 1
            if release.ended or release.waiting:
                _judge_release(history, release, finding)
        if release.ended and release.kind != Kind.QUEUE:
            _judge_order(history, release, order)
    _judge_owners(history, mutexes)
    _judge_timers(history, timers)
    return [status, events, order, mutexes, semaphores, timers]


def _judge_statuses(history: History, finding: Finding) -> None:
    trace = history.trace
    for life in history.dispatcher.lives:
        for wait in life.waits:
            if wait.end < 0:
                continue
            finding.judged += 1
            if not _allowed(wait, wait.status):
                finding.add(
                    f"CPU {trace.cpu[wait.end]}: a wait for {_objects(wait)} returned status {wait.status:#x}",
                    [wait.begin, wait.end],
                )
    for begin, index in history.dispatcher.odd.unfinished:
        finding.add(
            f"a wait that began on CPU {trace.cpu[begin]} has no end, but its thread went on on CPU {trace.cpu[index]}",
            [begin, index],
        )


def _allowed(wait: Wait, status: int) -> bool:
    objects = min(wait.count, 1) if wait.kind == WAIT_ALL else wait.count
    if status < objects:
        return True
    if ABANDONED <= status < ABANDONED + wait.count:
        return True
    return (status == _TIMEOUT and wait.timed) or (status in (_ALERTED, _USER_APC) and wait.alertable)


def _objects(wait: Wait) -> str:
    how = "all" if wait.kind == WAIT_ALL else "any"
    options = f"{', alertable' if wait.alertable else ''}{'' if wait.timed else ', without a timeout'}"
    return f"{how} of {wait.count} objects{options}"


def _limit(release: Release) -> int:
    """Return how many threads the object can let go."""
    if release.state <= 0:
        return 0
    if release.kind in _ONE:
        return 1
    return _EVERYBODY if release.kind in _ALL else release.state


def _judge_release(history: History, release: Release, finding: Finding) -> None:
    trace = history.trace
    limit, went = _limit(release), sum(wait.satisfied for wait in release.ended)
    what = f"CPU {trace.cpu[release.index]} signalled the object {release.object:#x} (state {release.state})"
    if went > limit:
        finding.add(
            f"{what}, which let {went} waiters go",
            [release.index, *(wait.ready for wait in release.ended if wait.satisfied)],
        )
    certain = [
        wait for wait in release.waiting if trace.time[wait.begin] + trace.skew_ticks < trace.time[release.index]
    ]
    if release.complete and len(release.ended) < min(limit, len(certain)):
        left = [wait for wait in certain if wait not in release.ended]
        finding.add(
            f"{what} and let {len(release.ended)} of {len(certain)} waiters go",
            [*(wait.begin for wait in left), release.index],
        )


def _judge_order(history: History, release: Release, finding: Finding) -> None:
    """Compare those that were let go with each other, and with those that were not."""
    trace = history.trace
    place = {id(wait): at for at, wait in enumerate(release.waiting)}
    went = [wait for wait in release.ended if id(wait) in place and wait.satisfied]
    finding.judged += len(went)
    if not went:
        return
    due = release.waiting[: max(place[id(wait)] for wait in went) + 1] if release.complete else ()
    turns = went + [wait for wait in due if wait not in release.ended]
    for one, other in pairwise(turns):
        if place[id(other)] < place[id(one)] and trace.time[other.begin] + trace.skew_ticks < trace.time[one.begin]:
            finding.add(
                f"CPU {trace.cpu[release.index]} signalled the object {release.object:#x} and let a thread go before "
                f"another one that had begun to wait for it earlier",
                [other.begin, one.begin, release.index, one.ready],
            )


def _judge_owners(history: History, finding: Finding) -> None:
    """Find mutexes with two owners."""
    trace, threads = history.trace, history.threads
    released = trace.where("Signal")
    released = released[(trace.arg1[released] >> np.uint64(32)) & np.uint64(0xFF) == Kind.MUTEX]
    if not len(released):
        return
    free = (trace.arg1[released] & np.uint64(0xFFFF_FFFF)).astype(np.int64)
    free = (free > 0) & (free < 1 << 31)
    ends = trace.where("WaitEnd")
    ends = ends[np.isin(trace.arg0[ends], trace.arg0[released])]
    got = ends[np.isin(trace.arg1[ends] & np.uint64(0xFFFF_FFFF), (0, ABANDONED))]
    index = np.concatenate([got, released[free]])
    index = index[history.of_threads[index]]
    _, mutex = factorize(trace.arg0[index])
    order = np.lexsort((threads.rank[index], threads.number[index], mutex))
    index, mutex = index[order], mutex[order]
    same = (mutex[1:] == mutex[:-1]) & (threads.number[index[1:]] == threads.number[index[:-1]])
    held = np.flatnonzero(same & trace.are(index[:-1], "WaitEnd") & trace.are(index[1:], "Signal"))
    start, end = index[held], index[held + 1]
    finding.judged += len(held)
    _report_owners(history, mutex[held], start, end, finding)


def _report_owners(history: History, mutex: Indices, start: Indices, end: Indices, finding: Finding) -> None:
    trace, threads = history.trace, history.threads
    earlier, later = overlaps(mutex, trace.time[start], trace.time[end], trace.skew_ticks)
    for one, other in zip(earlier, later, strict=True):
        if threads.number[start[one]] != threads.number[start[other]]:
            finding.add(
                f"CPU {trace.cpu[start[other]]} acquired the mutex {trace.arg0[start[other]]:#x} for one thread while "
                f"another one, on CPU {trace.cpu[start[one]]}, owned it",
                [start[one], start[other], end[one]],
            )


def _judge_timers(history: History, finding: Finding) -> None:
    """Follow each timer: set, then cancelled or expired; what expires is signalled next."""
    trace = history.trace
    acts = trace.where("TimerSet", "TimerExpire", "TimerCancel")
    cancelled = trace.are(acts, "TimerCancel")
    acts = acts[~cancelled | (trace.arg1[acts] & np.uint64(0xFF) != 0)]
    finding.judged += int(trace.are(acts, "TimerExpire").sum())
    _, number = factorize(trace.arg0[acts])
    order = np.lexsort((acts, number))
    acts, number = acts[order], number[order]
    sets = trace.are(acts, "TimerSet")
    first = np.diff(number, prepend=-1) != 0
    after_set = np.insert(sets[:-1], 0, False) & ~first
    for at in np.flatnonzero(~sets & ~after_set & ~first):
        index, before = int(acts[at]), int(acts[at - 1])
        verb = "expired" if trace.are(np.array([index]), "TimerExpire")[0] else "was cancelled"
        if trace.time[before] + trace.skew_ticks < trace.time[index]:
            finding.add(
                f"CPU {trace.cpu[index]}: the timer {trace.arg0[index]:#x} {verb}, and was not set since it ended last",
                [before, index],
            )
    for index in history.dispatcher.odd.expired_silently:
        finding.add(f"CPU {trace.cpu[index]}: the timer {trace.arg0[index]:#x} expired and was not signalled", [index])
