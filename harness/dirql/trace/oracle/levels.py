# SPDX-License-Identifier: Apache-2.0
"""IRQL-3, IRQL-4 and what spin locks do to IRQL: SPIN-3, SPIN-4, SPIN-6, SPIN-13, QSL-3, RW-5.

Evidence: IrqlRaise and IrqlLower name the old level and the new one. The records of a lock carry the level of their
moment. A routine that raises before it acquires, or lowers after it releases, records both with one caller, side by
side in one context; so the level that was saved and the one restored are known where both are there.
"""

from __future__ import annotations

import numpy as np

from dirql.trace.history.history import CONTEXT_EVENTS, DISPATCH_LEVEL, History
from dirql.trace.oracle.locks import LOCK_EVENTS, SHARED_EVENTS, UNKNOWN, Locks
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.schema import Indices

_BOTH = (*LOCK_EVENTS, *SHARED_EVENTS)

IRQL_3 = Clause(
    "IRQL-3", "KeRaiseIrql never goes to a lower IRQL", "keraiseirql; bug-check-0xc4", ("IrqlRaise",), alone=True
)
IRQL_4 = Clause(
    "IRQL-4",
    "KeLowerIrql never goes to a higher IRQL, nor below DISPATCH_LEVEL inside a DPC",
    "kelowerirql; bug-check-0xc4",
    ("IrqlLower", "DpcStart", "DpcEnd"),
    alone=True,
)
SPIN_3 = Clause(
    "SPIN-3",
    "a spin lock is waited for and acquired at DISPATCH_LEVEL or above",
    "keacquirespinlock; introduction-to-spin-locks",
    ("LockWait", "LockAcquired"),
    alone=True,
)
SPIN_4 = Clause(
    "SPIN-4",
    "IRQL falls to the saved level when a spin lock has been released, not before",
    "kereleasespinlock",
    ("LockAcquired", "LockReleased", "IrqlRaise", "IrqlLower", *CONTEXT_EVENTS),
)
SPIN_6 = Clause(
    "SPIN-6",
    "a spin lock is released at DISPATCH_LEVEL or above, by the lowering forms at the level of its acquisition",
    "kereleasespinlock; bug-check-0xc4",
    ("LockAcquired", "LockReleased", "IrqlLower", *CONTEXT_EVENTS),
    alone=True,
)
SPIN_13 = Clause(
    "SPIN-13",
    "no DPC and no idling on a CPU that holds a spin lock or waits for one",
    "using-spin-locks--an-example",
    (*LOCK_EVENTS, "DpcStart", "IdleEnter"),
    late=True,
)
QSL_3 = Clause(
    "QSL-3",
    "a queued spin lock is waited for, acquired and released at DISPATCH_LEVEL or above",
    "queued-spin-locks",
    (*LOCK_EVENTS, "LockQueued"),
    alone=True,
)
RW_5 = Clause(
    "RW-5",
    "a reader/writer spin lock is waited for, acquired and released at DISPATCH_LEVEL or above",
    "reader-writer-spin-locks",
    _BOTH,
    alone=True,
)

_VERBS = {
    "LockWait": "waited for",
    "LockAcquired": "acquired",
    "LockReleased": "released",
    "LockSharedWait": "waited as a reader for",
    "LockSharedAcquired": "acquired, as a reader,",
    "LockSharedReleased": "released, as a reader,",
}


def judge(history: History, locks: Locks) -> list[Finding]:
    """Judge the changes of IRQL and the levels of all locks."""
    findings = {
        clause.id: Finding(clause, history.trace)
        for clause in (IRQL_3, IRQL_4, SPIN_3, SPIN_4, SPIN_6, SPIN_13, QSL_3, RW_5)
    }
    _judge_raises(history, findings["IRQL-3"])
    _judge_lowers(history, findings["IRQL-4"])
    _judge_levels(locks, findings)
    _judge_restored(locks, findings["SPIN-4"], findings["SPIN-6"])
    _judge_lowered_while_held(locks, findings["SPIN-4"])
    _judge_work_while_held(locks, findings["SPIN-13"])
    return list(findings.values())


def _change(history: History, index: Indices) -> tuple[Indices, Indices]:
    word = history.trace.arg0[index]
    return (word & np.uint64(0xFF)).astype(np.int64), ((word >> np.uint64(8)) & np.uint64(0xFF)).astype(np.int64)


def _judge_raises(history: History, finding: Finding) -> None:
    trace = history.trace
    raises = trace.where("IrqlRaise")
    old, new = _change(history, raises)
    finding.judged = len(raises)
    for at in np.flatnonzero(new < old):
        index = raises[at]
        finding.add(
            f"CPU {trace.cpu[index]} raised IRQL from {old[at]} to {new[at]}, which is lower",
            [index],
            [trace.arg1[index]],
            certain=True,
        )


def _judge_lowers(history: History, finding: Finding) -> None:
    trace = history.trace
    lowers = trace.where("IrqlLower")
    old, new = _change(history, lowers)
    finding.judged = len(lowers)
    for at in np.flatnonzero(new > old):
        index = lowers[at]
        finding.add(
            f"CPU {trace.cpu[index]} lowered IRQL from {old[at]} to {new[at]}, which is higher",
            [index],
            [trace.arg1[index]],
            certain=True,
        )
    below = lowers[(new < DISPATCH_LEVEL) & (old >= DISPATCH_LEVEL)]
    if not len(below):
        return
    opener = history.in_routines.opener[below]
    for at in np.flatnonzero((opener >= 0) & trace.are(opener, "DpcStart")):
        index, dpc = below[at], opener[at]
        finding.add(
            f"CPU {trace.cpu[index]} lowered IRQL below DISPATCH_LEVEL inside the DPC {trace.arg0[dpc]:#x}",
            [dpc, index],
            [trace.arg1[index], trace.arg1[dpc]],
        )


def _judge_levels(locks: Locks, findings: dict[str, Finding]) -> None:
    """Look at the level of each record of each lock."""
    trace = locks.trace
    shared = trace.where(*SHARED_EVENTS)
    taken = trace.where("LockWait", "LockAcquired")
    released = trace.where("LockReleased")
    parts = [(shared, "RW-5")]
    for every, plain in ((taken, "SPIN-3"), (released, "SPIN-6")):
        index = every
        if len(locks.readers_writers):
            rw = np.isin(trace.arg0[index], locks.readers_writers)
            parts.append((index[rw], "RW-5"))
            index = index[~rw]
        if len(locks.in_stack_queued):
            queued = np.isin(trace.arg0[index], locks.in_stack_queued)
            parts.append((index[queued], "QSL-3"))
            index = index[~queued]
        parts.append((index, plain))
    for index, clause in parts:
        finding = findings[clause]
        finding.judged += len(index)
        for low in index[trace.irql[index] < DISPATCH_LEVEL]:
            verb = _VERBS[trace.meta.events.name(int(trace.event[low]))]
            finding.add(
                f"CPU {trace.cpu[low]} {verb} the lock {trace.arg0[low]:#x} at IRQL {trace.irql[low]}, "
                "below DISPATCH_LEVEL",
                [low],
                [trace.arg1[low]],
                certain=True,
            )


def _judge_restored(locks: Locks, restored: Finding, released: Finding) -> None:
    """Compare what raised before a lock was acquired with what lowered after it was released."""
    trace, holds = locks.trace, locks.history.holds
    if not len(holds):
        return
    lowered = locks.lowered(holds.end)
    spell = locks.history.threads.spell
    # A hold that another thread ends is IRQL-9's: its levels have nothing to do with each other.
    mine = np.flatnonzero((lowered != UNKNOWN) & (spell[holds.start] == spell[holds.end]))
    restored.judged = len(mine)
    start, end = holds.start[mine], holds.end[mine]
    for at in np.flatnonzero(trace.irql[end] != trace.irql[start]):
        one, other = start[at], end[at]
        if trace.irql[other] >= DISPATCH_LEVEL:  # else each record alone is reported
            released.add(
                f"CPU {trace.cpu[other]} acquired the lock {trace.arg0[other]:#x} at IRQL {trace.irql[one]} and "
                f"released it, by a routine that lowers, at IRQL {trace.irql[other]}",
                [one, other],
                [trace.arg1[other]],
            )
    acquired = np.searchsorted(locks.acquired, start)
    known = locks.raised[acquired] & (locks.asked_at[acquired] != lowered[mine])
    crossings = _Crossings(locks) if known.any() else None
    for at in np.flatnonzero(known):
        one, other = int(start[at]), int(end[at])
        if crossings is not None and not crossings.crossed(one, other):
            restored.add(
                f"CPU {trace.cpu[other]} released the lock {trace.arg0[other]:#x} and lowered to IRQL "
                f"{lowered[mine[at]]}; it had been acquired at IRQL {locks.asked_at[acquired[at]]}",
                [one, other],
                [trace.arg1[one], trace.arg1[other]],
            )


class _Crossings:
    """Finds holds of one CPU that cross: one begins inside the other and ends after it.

    Who releases two locks in the order in which they were acquired gives each release the level that the other
    acquisition saved.
    """

    def __init__(self, locks: Locks) -> None:
        place = np.append(locks.trace.position, len(locks.trace))
        begin, end = place[locks.starts], place[locks.ends]
        self._place = place
        by_begin, by_end = np.argsort(begin), np.argsort(end)
        self._begin, self._end_of = begin[by_begin], end[by_begin]
        self._end, self._begin_of = end[by_end], begin[by_end]

    def crossed(self, start: int, end: int) -> bool:
        """Tell whether another hold of its CPU crosses the one between these two records."""
        first, last = int(self._place[start]), int(self._place[end])
        inner = slice(*np.searchsorted(self._begin, (first + 1, last)))
        outer = slice(*np.searchsorted(self._end, (first + 1, last)))
        return bool((self._end_of[inner] > last).any() or (self._begin_of[outer] < first).any())


def _judge_lowered_while_held(locks: Locks, finding: Finding) -> None:
    trace = locks.trace
    lowers = trace.where("IrqlLower")
    old, new = _change(locks.history, lowers)
    below = lowers[(new < DISPATCH_LEVEL) & (old >= DISPATCH_LEVEL)]
    if not len(below):
        return
    for index in below[locks.occupied[below] > 0]:
        lock = locks.occupant(int(index))
        finding.add(
            f"CPU {trace.cpu[index]} lowered IRQL below DISPATCH_LEVEL while it held the lock {trace.arg0[lock]:#x}",
            [lock, index],
            [trace.arg1[index], trace.arg1[lock]],
        )


def _judge_work_while_held(locks: Locks, finding: Finding) -> None:
    trace, history = locks.trace, locks.history
    finding.judged = len(locks.starts) + len(history.shared_holds)
    work = trace.where("DpcStart", "ThreadedDpcStart", "IdleEnter")
    if not finding.judged or not len(work):
        return
    for index in work[locks.occupied[work] > 0]:
        lock = locks.occupant(int(index))
        what = "went idle" if trace.are(np.array([index]), "IdleEnter")[0] else f"began the DPC {trace.arg0[index]:#x}"
        how = "waited for" if "Wait" in trace.meta.events.name(int(trace.event[lock])) else "held"
        finding.add(
            f"CPU {trace.cpu[index]} {what} while it {how} the lock {trace.arg0[lock]:#x}",
            [lock, index],
            [trace.arg1[lock], trace.arg1[index]],
        )
