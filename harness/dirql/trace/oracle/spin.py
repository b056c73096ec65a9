# SPDX-License-Identifier: Apache-2.0
"""SPIN-1, SPIN-2, SPIN-8: a spin lock has one holder at any instant, and only the holder releases it.

LockAcquired is recorded after the acquisition and LockReleased before the release, so the interval between them lies
inside the true one: two of different CPUs that overlap by more than the clocks' skew are proof. These two events are
for exclusive acquisitions only; those of readers have events of their own.
"""

from __future__ import annotations

import numpy as np

from dirql.trace.history.intervals import factorize
from dirql.trace.oracle.exclusion import overlaps
from dirql.trace.oracle.locks import Locks
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.schema import Indices

_NEEDS = ("LockAcquired", "LockReleased")

SPIN_1 = Clause(
    "SPIN-1",
    "a spin lock has at most one holder at any instant",
    "introduction-to-spin-locks; multiprocessor-safe",
    _NEEDS,
    late=True,
)
SPIN_2 = Clause(
    "SPIN-2", "a release lets one waiter in, no more", "introduction-to-spin-locks", (*_NEEDS, "LockWait"), late=True
)
SPIN_8 = Clause(
    "SPIN-8",
    "a spin lock is not acquired again by the CPU that holds it, and released by no other",
    "preventing-errors-and-deadlocks-while-using-spin-locks; bug-check-0xf; bug-check-0x10",
    (*_NEEDS, "LockWait"),
)


def judge(locks: Locks) -> list[Finding]:
    """Judge all exclusive acquisitions of a trace."""
    one, waiters, owner = (Finding(clause, locks.trace) for clause in (SPIN_1, SPIN_2, SPIN_8))
    one.judged = owner.judged = len(locks.starts)
    waiters.judged = len(locks.history.waits)
    _judge_overlaps(locks, one, waiters)
    _judge_again(locks, owner)
    _judge_releases(locks, owner)
    return [one, waiters, owner]


def _judge_overlaps(locks: Locks, one: Finding, waiters: Finding) -> None:
    trace, start = locks.trace, locks.starts
    _, lock = factorize(trace.arg0[start])
    earlier, later = overlaps(lock, trace.time[start], locks.end_times(start, locks.ends), trace.skew_ticks)
    for first, second in zip(start[earlier], start[later], strict=True):
        if trace.cpu[first] == trace.cpu[second]:
            continue
        since = trace.ns(trace.time[[second]] - trace.time[[first]])[0]
        one.add(
            f"CPU {trace.cpu[second]} acquired the lock {trace.arg0[second]:#x} while CPU {trace.cpu[first]} held it, "
            f"since {since:.0f} ns",
            [first, second],
            [trace.arg1[first], trace.arg1[second]],
        )
        if second in locks.history.waits.end:
            waiters.add(
                f"CPU {trace.cpu[second]}, which had waited for the lock {trace.arg0[second]:#x}, was let in while "
                f"CPU {trace.cpu[first]} held it",
                [first, second],
                [trace.arg1[first], trace.arg1[second]],
            )


def _judge_again(locks: Locks, finding: Finding) -> None:
    """Report CPUs that acquired, or wait for, a lock that they hold."""
    trace, holds = locks.trace, locks.history.holds
    for index in holds.unended:
        finding.add(
            f"CPU {trace.cpu[index]} acquired the lock {trace.arg0[index]:#x} again without having released it",
            [*finding.before(index, "LockAcquired", same_cpu=True), index],
            [trace.arg1[index]],
        )
    waits = trace.where("LockWait")
    within = locks.held_by_same_cpu(waits, holds)
    for at in np.flatnonzero(within >= 0):
        index, since = waits[at], within[at]
        finding.add(
            f"CPU {trace.cpu[index]} waits for the lock {trace.arg0[index]:#x}, which it holds itself",
            [since, index],
            [trace.arg1[since], trace.arg1[index]],
        )


def _judge_releases(locks: Locks, finding: Finding) -> None:
    """Report releases by a CPU that did not hold the lock."""
    trace, holds = locks.trace, locks.history.holds
    orphans: list[Indices] = [holds.unstarted]
    if len(holds.inherited):
        # The first that a CPU says of a lock is a release: it may have acquired it before the trace began, unless the
        # lock was acquired by anyone since.
        acquired = locks.acquired
        known, number = factorize(trace.arg0[acquired])
        first = np.full(len(known), len(trace), dtype=np.int64)
        np.minimum.at(first, number, acquired)
        at = np.minimum(np.searchsorted(known, trace.arg0[holds.inherited]), max(len(known) - 1, 0))
        if len(known):
            since = (known[at] == trace.arg0[holds.inherited]) & (first[at] < holds.inherited)
            orphans.append(holds.inherited[since])
    for index in np.sort(np.concatenate(orphans)):
        finding.add(
            f"CPU {trace.cpu[index]} released the lock {trace.arg0[index]:#x} without holding it",
            [*finding.before(index, "LockAcquired", "LockReleased"), index],
            [trace.arg1[index]],
        )
