# SPDX-License-Identifier: Apache-2.0
"""SPIN-1: a spin lock has at most one holder at any instant.

LockAcquired is recorded after the acquisition and LockReleased before the release, so the interval between them lies
inside the true one: two of different CPUs that overlap by more than the clocks' skew are proof. These two events are
for exclusive acquisitions only; a reader/writer lock that is acquired shared must not be recorded by them.
"""

from __future__ import annotations

import numpy as np

from dirql.trace.history import History
from dirql.trace.intervals import factorize
from dirql.trace.oracle.exclusion import overlaps
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.schema import Indices

SPIN_1 = Clause(
    "SPIN-1", "a spin lock has at most one holder at any instant", "introduction-to-spin-locks; multiprocessor-safe"
)

NEEDS = ("LockAcquired", "LockReleased")


def judge(history: History) -> list[Finding]:
    """Judge all locks of a trace."""
    finding = Finding(SPIN_1, history.trace)
    trace, holds = history.trace, history.holds
    finding.judged = len(holds) + len(holds.running)
    for index in holds.unended:
        finding.add(
            f"CPU {trace.cpu[index]} acquired the lock {trace.arg0[index]:#x} again without having released it",
            [index],
            [trace.arg1[index]],
        )
    _judge_releases(history, finding)
    start = np.concatenate([holds.start, holds.running])
    last = int(trace.time[-1]) if len(trace) else 0
    end_time = np.concatenate([trace.time[holds.end], np.full(len(holds.running), last, dtype=np.int64)])
    _, lock = factorize(trace.arg0[start])
    earlier, later = overlaps(lock, trace.time[start], end_time, trace.skew_ticks)
    for one, other in zip(start[earlier], start[later], strict=True):
        if trace.cpu[one] == trace.cpu[other]:
            continue
        since = trace.ns(trace.time[[other]] - trace.time[[one]])[0]
        finding.add(
            f"CPU {trace.cpu[other]} acquired the lock {trace.arg0[other]:#x} while CPU {trace.cpu[one]} held it, "
            f"since {since:.0f} ns",
            [one, other],
            [trace.arg1[one], trace.arg1[other]],
        )
    return [finding]


def _judge_releases(history: History, finding: Finding) -> None:
    """Report releases by a CPU that did not hold the lock."""
    trace, holds = history.trace, history.holds
    orphans: list[Indices] = [holds.unstarted]
    if len(holds.inherited):
        # The first that a CPU says of a lock is a release: it may have acquired it before the trace began, unless the
        # lock was acquired by anyone since.
        acquired = trace.where("LockAcquired")
        locks, number = factorize(trace.arg0[acquired])
        first = np.full(len(locks), len(trace), dtype=np.int64)
        np.minimum.at(first, number, acquired)
        at = np.minimum(np.searchsorted(locks, trace.arg0[holds.inherited]), max(len(locks) - 1, 0))
        if len(locks):
            known = (locks[at] == trace.arg0[holds.inherited]) & (first[at] < holds.inherited)
            orphans.append(holds.inherited[known])
    for index in np.sort(np.concatenate(orphans)):
        finding.add(
            f"CPU {trace.cpu[index]} released the lock {trace.arg0[index]:#x} without holding it",
            [index],
            [trace.arg1[index]],
        )
