# SPDX-License-Identifier: Apache-2.0
"""SPIN-9, SPIN-12, SPIN-19 and SPIN-IRQL: deadlocks that could have been, though none was.

SPIN-9: a CPU that asks for lock B while it holds lock A puts B after A. A ring of such pairs is a deadlock if the CPUs
come at the same time. Evidence is one acquisition (or wait) for each pair; not where every two that could meet were
made under a common lock, which keeps them apart, nor where the routine would not have waited. Executive locks,
interrupt locks, queued ones and reader/writer locks are in one graph; readers do not wait for readers.

SPIN-12, SPIN-19: a lock held at IRQL n and taken by a routine that runs above n, so that it can interrupt the holder
and wait for ever: inside a service or synchronised routine that is SPIN-12, elsewhere SPIN-19. Evidence is one
acquisition of each kind; what a routine raised itself before it acquired (the record before says so) does not count.

SPIN-IRQL, the same by way of others: a CPU that holds lock A asks for lock B (perhaps with locks between them), B is
held elsewhere at IRQL n, and code that runs above n takes A. It interrupts the holder of B and waits for A, whose
holder waits for B. Evidence is the way from A to B, as for SPIN-9, the acquisition of A by that code, and a hold of B.

The memory of a lock may become another one, and no record says so. So acquisitions are only compared if nothing was
loaded or unloaded between them, and their levels only if nothing was connected.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from dirql.trace.history.history import CONTEXT_EVENTS, History
from dirql.trace.history.intervals import contexts, factorize
from dirql.trace.oracle.locks import LOCK_EVENTS, Locks
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.schema import Indices

SPIN_9 = Clause(
    "SPIN-9",
    "locks are acquired in one order everywhere",
    "preventing-errors-and-deadlocks-while-using-spin-locks; bug-check-0xc4",
    LOCK_EVENTS,
    late=True,
)
SPIN_12 = Clause(
    "SPIN-12",
    "service and synchronised routines take no executive spin lock",
    "calling-support-routines-that-use-spin-locks",
    (*LOCK_EVENTS, "IrqlRaise", "IsrEnter", "IsrExit", "SyncEnter", "SyncExit", *CONTEXT_EVENTS),
    late=True,
)
SPIN_19 = Clause(
    "SPIN-19",
    "a lock is held at the highest IRQL at which anybody takes it",
    "introduction-to-spin-locks",
    (*LOCK_EVENTS, "IrqlRaise", *CONTEXT_EVENTS),
    late=True,
)
SPIN_IRQL = Clause(
    "SPIN-IRQL",
    "who holds a lock that code of a higher IRQL takes asks for no lock that is held at a lower one",
    "introduction-to-spin-locks; preventing-errors-and-deadlocks-while-using-spin-locks",
    (*LOCK_EVENTS, "IrqlRaise", *CONTEXT_EVENTS),
    late=True,
)

_WITNESSES = 64
"""Acquisitions of one pair that are looked at for a common lock."""

_Lock = tuple[int, int]
"""A lock: its age, which is how many images had come or gone, and its address."""
_Edges = dict[tuple[_Lock, _Lock], list[tuple[int, int]]]
"""(lock held, lock asked for) -> (acquisition of the first, record about the second), the first few."""


def judge(history: History, locks: Locks) -> list[Finding]:
    """Judge the orders and levels in which the locks of a trace were taken."""
    order, inside, levels, chains = (Finding(c, history.trace) for c in (SPIN_9, SPIN_12, SPIN_19, SPIN_IRQL))
    nestings = _Nestings(locks)
    order.judged = chains.judged = len(nestings.asked)
    _judge_order(locks, nestings, order)
    _judge_levels(locks, inside, levels)
    _judge_chains(locks, nestings, chains)
    return [order, inside, levels, chains]


def _judge_order(locks: Locks, nestings: _Nestings, finding: Finding) -> None:
    edges = nestings.edges("ImageLoad", "ImageUnload")
    if len(edges) < 2:
        return
    after = _followers(edges)
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


def _followers(edges: _Edges) -> dict[_Lock, list[_Lock]]:
    after: dict[_Lock, list[_Lock]] = {}
    for one, other in edges:
        after.setdefault(one, []).append(other)
    return after


class _Nestings:
    """Which lock was asked for while which was held, by the one acquired last before: chains do the rest.

    Attributes:
        asked: the records about the second lock: an acquisition by a routine that would have waited, or a wait.
        held: the acquisition of the first.
    """

    def __init__(self, locks: Locks) -> None:
        self.locks, trace, history = locks, locks.trace, locks.history
        spans = [span for span in (history.holds, history.shared_holds) if len(span) or len(span.running)]
        starts = np.concatenate([locks.starts, history.shared_holds.start, history.shared_holds.running])
        waiting = np.concatenate([history.waits.running, history.shared_waits.running])
        self.asked = self.held = none = starts[:0]
        if not spans:
            return
        asked = starts[locks.occupied[starts] > 0]
        if not len(asked) and not len(waiting):
            return
        within = contexts(trace, *spans)
        exclusive = trace.are(asked, "LockAcquired")
        tried = np.zeros(len(asked), dtype=np.bool_)
        tried[exclusive] = locks.tried[np.searchsorted(locks.acquired, asked[exclusive])]
        asked = asked[~tried]
        held = np.concatenate([within.parent(asked), within.opener[waiting] if len(waiting) else none])
        asked = np.concatenate([asked, waiting])
        asked, held = asked[held >= 0], held[held >= 0]
        real = (self._ends(held) > asked) & (trace.arg0[held] != trace.arg0[asked])
        self.asked, self.held = asked[real], held[real]

    def _ends(self, held: Indices) -> Indices:
        """Return the release of each hold; the length of the trace where there is none."""
        locks, shared = self.locks, self.locks.history.shared_holds
        never = np.full(len(shared.running), len(locks.trace), dtype=np.int64)
        starts = np.concatenate([locks.starts, shared.start, shared.running])
        ends = np.concatenate([locks.ends, shared.end, never])
        order = np.argsort(starts)
        found: Indices = ends[order][np.searchsorted(starts[order], held)]
        return found

    def edges(self, *aging: str) -> _Edges:
        """Return the first witnesses of each pair of locks; locks of different ages are different ones.

        Args:
            aging: events that may have made another lock of a lock's memory.
        """
        trace, held, asked = self.locks.trace, self.held, self.asked
        names, number = factorize(np.concatenate([trace.arg0[held], trace.arg0[asked]]))
        age = _age(self.locks, asked, *aging)
        pair = (age * len(names) + number[: len(held)]) * len(names) + number[len(held) :]
        order = np.argsort(pair, kind="stable")
        edges: _Edges = {}
        for part in np.split(order, np.flatnonzero(np.diff(pair[order])) + 1) if len(order) else []:
            mine = part[:_WITNESSES]
            first = mine[0]
            life = int(age[first])
            key = ((life, int(trace.arg0[held[first]])), (life, int(trace.arg0[asked[first]])))
            edges[key] = [(int(held[at]), int(asked[at])) for at in mine]
        return edges


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
    """Choose an acquisition for each step of a ring such that all could wait for each other at once; None if none can.

    No two may have been made under a common lock, and no reader waits for a reader: not the last for the first either.
    """
    trace = locks.trace
    every = [index for each in steps for step in each for index in step]
    shared = {index for index in every if "Shared" in trace.meta.events.name(int(trace.event[index]))}
    sets = [[(step, _held(locks, step[1]) - {lock for _, lock in ring}) for step in each] for each in steps]

    def choose(at: int, used: set[int], chosen: list[tuple[int, int]]) -> list[tuple[int, int]] | None:
        if at == len(sets):
            return None if chosen[-1][1] in shared and chosen[0][0] in shared else chosen
        tried: set[tuple[frozenset[int], bool, bool]] = set()
        for step, also in sets[at]:
            kind = (frozenset(also), step[0] in shared, step[1] in shared)
            if also & used or kind in tried or (chosen and chosen[-1][1] in shared and step[0] in shared):
                continue
            tried.add(kind)
            found = choose(at + 1, used | also, [*chosen, step])
            if found is not None:
                return found
        return None

    return choose(0, set(), [])


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


def _judge_chains(locks: Locks, nestings: _Nestings, finding: Finding) -> None:
    """Find ways from a lock that code of a high IRQL takes to one that is held at a lower IRQL."""
    trace, acquired = locks.trace, locks.acquired
    aging = ("ImageLoad", "ImageUnload", "InterruptConnect")
    edges = nestings.edges(*aging)
    if not edges or not len(acquired):
        return
    age = _age(locks, acquired, *aging)
    after = _followers(edges)
    nodes = {node for edge in edges for node in edge}
    highest: dict[_Lock, tuple[int, int]] = {}
    lowest: dict[_Lock, tuple[int, int]] = {}
    for node in nodes:
        mine = np.flatnonzero((trace.arg0[acquired] == node[1]) & (age == node[0]))
        waits = mine[~locks.tried[mine]]
        if len(waits):
            top = waits[np.argmax(locks.asked_at[waits])]
            highest[node] = (int(locks.asked_at[top]), int(acquired[top]))
        if len(mine):
            low = mine[np.argmin(trace.irql[acquired[mine]])]
            lowest[node] = (int(trace.irql[acquired[low]]), int(acquired[low]))
    for first in sorted(highest.keys() & after.keys()):
        level, taker = highest[first]
        way = _way_down(first, level, after, lowest)
        if way is None:
            continue
        steps = [edges[pair][0] for pair in pairwise(way)]
        below, holder = lowest[way[-1]]
        told = [
            f"CPU {trace.cpu[asked]} asked for the lock {trace.arg0[asked]:#x} while it held {trace.arg0[held]:#x}"
            for held, asked in steps
        ]
        finding.add(
            f"{'; '.join(told)}; CPU {trace.cpu[taker]} took {first[1]:#x} at IRQL {level}, and CPU "
            f"{trace.cpu[holder]} held {way[-1][1]:#x} at IRQL {below}, which that can interrupt",
            [*(index for step in steps for index in step), taker, holder],
        )


def _way_down(
    first: _Lock, level: int, after: dict[_Lock, list[_Lock]], lowest: dict[_Lock, tuple[int, int]]
) -> list[_Lock] | None:
    """Return the shortest way from a lock to one that is held below `level`; None if there is none."""
    paths, reached = [[first]], {first}
    while paths:
        longer = []
        for path in paths:
            for lock in after.get(path[-1], ()):
                if lock in reached:
                    continue
                if lowest.get(lock, (level, 0))[0] < level:
                    return [*path, lock]
                reached.add(lock)
                longer.append([*path, lock])
        paths = longer
    return None
