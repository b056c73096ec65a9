# SPDX-License-Identifier: Apache-2.0
"""SPIN-9, SPIN-12 and SPIN-19: deadlocks that could have been, though none was.

SPIN-9: a CPU that asks for lock B while it holds lock A puts B after A. A ring of such pairs is a deadlock if the CPUs
come at the same time. Evidence is one acquisition (or wait) for each pair; not where every two that could meet were
made under a common lock, which keeps them apart, nor where the routine would not have waited.

SPIN-12, SPIN-19: a lock held at IRQL n and taken by a routine that runs above n, so that it can interrupt the holder
and wait for ever: inside a service or synchronised routine that is SPIN-12, elsewhere SPIN-19. Evidence is one
acquisition of each kind; what a routine raised itself before it acquired (the record before says so) does not count.

The memory of a lock may become another one, and no record says so. So acquisitions are only compared if nothing was
loaded or unloaded between them, and their levels only if nothing was connected.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from dirql.trace.history import History
from dirql.trace.intervals import contexts, cover, factorize
from dirql.trace.oracle.locks import LOCK_EVENTS, Locks
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.schema import Indices

SPIN_9 = Clause(
    "SPIN-9",
    "locks are acquired in one order everywhere",
    "preventing-errors-and-deadlocks-while-using-spin-locks; bug-check-0xc4",
    LOCK_EVENTS,
)
SPIN_12 = Clause(
    "SPIN-12",
    "service and synchronised routines take no executive spin lock",
    "calling-support-routines-that-use-spin-locks",
    (*LOCK_EVENTS, "IrqlRaise", "IsrEnter", "IsrExit", "SyncEnter", "SyncExit"),
)
SPIN_19 = Clause(
    "SPIN-19",
    "a lock is held at the highest IRQL at which anybody takes it",
    "introduction-to-spin-locks",
    (*LOCK_EVENTS, "IrqlRaise"),
)

_WITNESSES = 64
"""Acquisitions of one pair that are looked at for a common lock."""

_Lock = tuple[int, int]
"""A lock: its age, which is how many images had come or gone, and its address."""
_Edges = dict[tuple[_Lock, _Lock], list[tuple[int, int]]]
"""(lock held, lock asked for) -> (acquisition of the first, record about the second), the first few."""


def judge(history: History, locks: Locks) -> list[Finding]:
    """Judge the orders and levels in which the locks of a trace were taken."""
    order, inside, levels = (Finding(clause, history.trace) for clause in (SPIN_9, SPIN_12, SPIN_19))
    _judge_order(locks, order)
    _judge_levels(locks, inside, levels)
    return [order, inside, levels]


def _judge_order(locks: Locks, finding: Finding) -> None:
    edges, finding.judged = _edges(locks)
    if len(edges) < 2:
        return
    after: dict[_Lock, list[_Lock]] = {}
    for one, other in edges:
        after.setdefault(one, []).append(other)
    for ring in _rings(after):
        pairs = list(pairwise([*ring, ring[0]]))
        chosen = _apart(locks, [edges[pair] for pair in pairs], ring)
        if chosen is None:
            continue
        trace = locks.trace
        steps = [
            f"CPU {trace.cpu[asked]} asked for {trace.arg0[asked]:#x} while it held {trace.arg0[held]:#x}"
            for held, asked in chosen
        ]
        finding.add(
            "; ".join(steps) + ": at the same time that is a deadlock",
            [index for step in chosen for index in step],
            [trace.arg1[index] for step in chosen for index in step],
        )


def _edges(locks: Locks) -> tuple[_Edges, int]:
    """Find which lock was asked for while which was held, by the one acquired last before: chains do the rest."""
    trace, holds = locks.trace, locks.history.holds
    if not len(locks.starts):
        return {}, 0
    waiting = locks.history.waits.running
    asked = locks.starts[cover(trace, holds)[trace.position[locks.starts]] > 1]
    if not len(asked) and not len(waiting):
        return {}, 0
    within = contexts(trace, holds)
    asked = np.concatenate([asked[~locks.tried[np.searchsorted(locks.acquired, asked)]], waiting])
    held = within.parent(asked[: len(asked) - len(waiting)])
    held = np.concatenate([held, within.opener[waiting]])
    nested = np.flatnonzero(held >= 0)
    asked, held = asked[nested], held[nested]
    order = np.argsort(locks.starts)
    ends = locks.ends[order][np.searchsorted(locks.starts[order], held)] if len(held) else held
    real = (ends > asked) & (trace.arg0[held] != trace.arg0[asked])
    asked, held = asked[real], held[real]
    names, number = factorize(np.concatenate([trace.arg0[held], trace.arg0[asked]]))
    age = _age(locks, asked, "ImageLoad", "ImageUnload")
    pair = (age * len(names) + number[: len(held)]) * len(names) + number[len(held) :]
    order = np.argsort(pair, kind="stable")
    edges: _Edges = {}
    for part in np.split(order, np.flatnonzero(np.diff(pair[order])) + 1) if len(order) else []:
        mine = part[:_WITNESSES]
        first = mine[0]
        life = int(age[first])
        key = ((life, int(trace.arg0[held[first]])), (life, int(trace.arg0[asked[first]])))
        edges[key] = [(int(held[at]), int(asked[at])) for at in mine]
    return edges, len(asked)


def _age(locks: Locks, index: Indices, *events: str) -> Indices:
    """Return how many of the named events came before each record."""
    return np.searchsorted(locks.trace.where(*events), index)


def _rings(after: dict[_Lock, list[_Lock]]) -> Iterator[list[_Lock]]:
    """Yield the shortest ring through each lock that is on one, each ring once."""
    seen: set[frozenset[_Lock]] = set()
    for first in sorted(after):
        paths, reached = [[first]], {first}
        ring: list[_Lock] | None = None
        while paths and ring is None:
            longer = []
            for path in paths:
                for lock in after.get(path[-1], ()):
                    if lock == first:
                        ring = path
                        break
                    if lock not in reached:
                        reached.add(lock)
                        longer.append([*path, lock])
                if ring is not None:
                    break
            paths = longer
        if ring is not None and frozenset(ring) not in seen:
            seen.add(frozenset(ring))
            yield ring


def _apart(locks: Locks, steps: list[list[tuple[int, int]]], ring: list[_Lock]) -> list[tuple[int, int]] | None:
    """Choose an acquisition for each step of a ring such that no two were made under a common lock; None if none is."""
    sets = [[(step, _held(locks, step[1]) - {lock for _, lock in ring}) for step in each] for each in steps]

    def choose(at: int, used: set[int]) -> list[tuple[int, int]] | None:
        if at == len(sets):
            return []
        tried: set[frozenset[int]] = set()
        for step, also in sets[at]:
            if also & used or frozenset(also) in tried:
                continue
            tried.add(frozenset(also))
            rest = choose(at + 1, used | also)
            if rest is not None:
                return [step, *rest]
        return None

    return choose(0, set())


def _held(locks: Locks, index: int) -> set[int]:
    """Return the locks that the CPU of record `index` held then."""
    trace = locks.trace
    mine = (trace.cpu[locks.starts] == trace.cpu[index]) & (locks.starts < index) & (locks.ends > index)
    return {int(lock) for lock in trace.arg0[locks.starts[mine]]}


def _judge_levels(locks: Locks, inside: Finding, levels: Finding) -> None:
    trace, acquired = locks.trace, locks.acquired
    levels.judged = len(acquired)
    if not len(acquired):
        return
    opener = locks.history.in_routines.opener[acquired]
    in_routine = (opener >= 0) & (trace.are(opener, "IsrEnter") | trace.are(opener, "SyncEnter"))
    inside.judged = int(in_routine.sum())
    age = _age(locks, acquired, "ImageLoad", "ImageUnload", "InterruptConnect")
    names, number = factorize(trace.arg0[acquired])
    names, number = factorize((number * (int(age.max()) + 1) + age).astype(np.uint64))
    level = trace.irql[acquired].astype(np.int64)
    order = np.lexsort((level, number))
    lowest = order[np.searchsorted(number[order], np.arange(len(names)))]
    above = locks.asked_at > level[lowest][number]
    for at in np.flatnonzero(above):
        index, low = acquired[at], acquired[lowest[number[at]]]
        what = trace.meta.events.name(int(trace.event[opener[at]])) if in_routine[at] else ""
        where = {"IsrEnter": " in a service routine", "SyncEnter": " in a synchronised routine"}.get(what, "")
        finding = inside if in_routine[at] else levels
        finding.add(
            f"CPU {trace.cpu[index]} took the lock {trace.arg0[index]:#x} at IRQL {locks.asked_at[at]}{where}; "
            f"CPU {trace.cpu[low]} held it at IRQL {level[lowest[number[at]]]}, which that can interrupt",
            [low, index],
            [trace.arg1[low], trace.arg1[index]],
        )
