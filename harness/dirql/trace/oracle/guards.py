# SPDX-License-Identifier: Apache-2.0
"""Which interrupt spin lock each service or synchronised routine ran under, and at what IRQL it should have run."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from dirql.trace.decode import Trace
from dirql.trace.history.history import History
from dirql.trace.history.intervals import factorize
from dirql.trace.oracle.exclusion import overlaps
from dirql.trace.quiet import connections
from dirql.trace.schema import Flags, Indices, Words


@dataclass(frozen=True)
class Guard:
    """The runs of one kind of routine.

    Attributes:
        start: indices of the records that began them.
        end: indices of the records that ended them; -1 while running when the trace ends.
        level: SynchronizeIrql of the KINTERRUPT; -1 where the trace does not know it.
        domain: what must be exclusive: the address of the lock, or of the KINTERRUPT where no lock was ever seen.
        unguarded: ran without that lock.
        dropped: that lock was released before the end.
    """

    start: Indices
    end: Indices
    level: Indices
    domain: Words
    unguarded: Flags
    dropped: Flags


@dataclass(frozen=True)
class Guards:
    """Service routines and synchronised routines.

    Attributes:
        isrs: runs of service routines.
        syncs: runs of synchronised routines.
        conflicts: beginnings (earlier, later) of runs that overlap though one lock guards both.
    """

    isrs: Guard
    syncs: Guard
    conflicts: tuple[tuple[int, int], ...]

    def describe(self, trace: Trace, index: int, *, since: bool = False) -> str:
        """Say in words what began with record `index`."""
        isr = trace.event[index] == trace.meta.events["IsrEnter"]
        what = "the ISR" if isr else "a synchronised routine"
        verb = "was running" if since else "began"
        return f"{what} of KINTERRUPT {trace.arg0[index]:#x} {verb} on CPU {trace.cpu[index]}"


def find_guards(history: History) -> Guards:
    """Find the lock of every run.

    The trace does not name an interrupt object's lock. It is the one that most runs of that object began under: the
    lock that their CPU had last acquired in the same interrupt or thread of execution, and still held.
    """
    trace = history.trace
    spans = (history.isrs, history.syncs)
    starts = [np.concatenate([span.start, span.running]) for span in spans]
    ends = [np.concatenate([span.end, np.full(len(span.running), -1, dtype=np.int64)]) for span in spans]
    start, end = np.concatenate(starts), np.concatenate(ends)
    if not len(start):
        nothing = Guard(start, end, start, trace.arg0[start], start < 0, start < 0)
        return Guards(nothing, nothing, ())
    connects = _Connects(trace, start)
    holds = _Holds(history)
    last = holds.last_acquired(start)
    lock = _usual(np.where(last >= 0, holds.lock(last), np.uint64(0)), connects)
    release = holds.release(lock, start, last)
    guard = Guard(
        start=start,
        end=end,
        level=connects.level,
        domain=np.where(lock != 0, lock, trace.arg0[start]),
        unguarded=(lock != 0) & (release < 0),
        dropped=(release >= 0) & (end >= 0) & (release < end),
    )
    cut = len(starts[0])
    return Guards(_part(guard, slice(None, cut)), _part(guard, slice(cut, None)), _conflicts(trace, guard))


def _part(guard: Guard, which: slice) -> Guard:
    return Guard(*(getattr(guard, field.name)[which] for field in fields(guard)))


def _conflicts(trace: Trace, runs: Guard) -> tuple[tuple[int, int], ...]:
    if not len(runs.start):
        return ()
    _, domain = factorize(runs.domain)
    until = np.where(runs.end >= 0, trace.time[runs.end], trace.time[-1])
    earlier, later = overlaps(domain, trace.time[runs.start], until, trace.skew_ticks)
    return tuple(zip(runs.start[earlier].tolist(), runs.start[later].tolist(), strict=True))


def _usual(lock: Words, connects: _Connects) -> Words:
    """Return for each run the lock that most runs of its object had since it was connected, or else at any time."""
    chosen = np.zeros(len(lock), dtype=np.uint64)
    distinct, number = factorize(lock)
    for group in (connects.object, connects.connection):  # the more special one last: it decides where it can
        held = lock != 0
        pairs, count = np.unique(group[held] * len(distinct) + number[held], return_counts=True)
        best = np.lexsort((count, pairs // len(distinct)))  # the last of each group is its most frequent
        usual = np.zeros(int(group.max(initial=-1)) + 1, dtype=np.uint64)
        usual[pairs[best] // len(distinct)] = distinct[pairs[best] % len(distinct)]
        chosen = np.where(usual[group] != 0, usual[group], chosen)
    return chosen


class _Holds:
    """All holds of spin locks, as numbers: positions of the sorted acquisitions.

    Args:
        history: the trace's intervals.
    """

    def __init__(self, history: History) -> None:
        self.history, self.trace = history, history.trace
        holds = history.holds
        never = np.full(len(holds.running), np.iinfo(np.int64).max, dtype=np.int64)
        acquired, released = np.concatenate([holds.start, holds.running]), np.concatenate([holds.end, never])
        if len(holds.running):
            order = np.argsort(acquired)
            acquired, released = acquired[order], released[order]
        self.acquired: Indices = acquired
        self.released: Indices = released

    def lock(self, number: Indices) -> Words:
        """Return the lock of each hold; of the last one for -1."""
        return self.trace.arg0[self.acquired[number]] if len(self.acquired) else np.zeros(len(number), dtype=np.uint64)

    def last_acquired(self, start: Indices) -> Indices:
        """Return for each run the hold that was last begun in its context and still lasts; -1 where there is none."""
        found = np.full(len(start), -1, dtype=np.int64)
        if not len(self.acquired):
            return found
        trace = self.trace
        before = self.history.in_frames.previous[start]
        at_once = (before >= 0) & trace.are(before, "LockAcquired")
        number = np.minimum(np.searchsorted(self.acquired, before[at_once]), len(self.acquired) - 1)
        fits = (self.acquired[number] == before[at_once]) & (self.released[number] > start[at_once])
        found[at_once] = np.where(fits, number, -1)
        rest = np.flatnonzero(~at_once)
        if not len(rest):
            return found
        size = len(trace)
        opener = self.history.in_frames.opener

        def place(index: Indices) -> Indices:
            """Order records by context, then by position; contexts are numbered by what opened them, or by CPU."""
            context = np.where(opener[index] >= 0, opener[index], trace.cpu[index].astype(np.int64) + size)
            return context * size + trace.position[index]

        ranked, wanted = place(self.acquired), place(start[rest])
        order = np.argsort(ranked)
        at = order[np.maximum(np.searchsorted(ranked[order], wanted) - 1, 0)]
        fits = (ranked[at] // size == wanted // size) & (ranked[at] < wanted) & (self.released[at] > start[rest])
        found[rest] = np.where(fits, at, -1)
        return found

    def release(self, lock: Words, start: Indices, last: Indices) -> Indices:
        """Return the record that releases `lock`, which each run's CPU held at its start; -1 if it did not hold it.

        Args:
            lock: of each run.
            start: the runs.
            last: what `last_acquired` says of them: most often that hold is the one.
        """
        found = np.full(len(start), -1, dtype=np.int64)
        if not len(self.acquired) or not len(start):
            return found
        trace = self.trace
        its = (last >= 0) & (self.lock(last) == lock)
        found[its] = self.released[last[its]]
        rest = np.flatnonzero(~its)
        if not len(rest):
            return found
        size = len(trace)
        locks, number = factorize(trace.arg0[self.acquired])
        ranked = (number * trace.cpus + trace.cpu[self.acquired]) * size + self.acquired
        order = np.argsort(ranked)
        mine = np.minimum(np.searchsorted(locks, lock[rest]), len(locks) - 1)
        wanted = (mine * trace.cpus + trace.cpu[start[rest]]) * size + start[rest]
        at = order[np.maximum(np.searchsorted(ranked[order], wanted) - 1, 0)]
        held = (ranked[at] // size == wanted // size) & (ranked[at] < wanted)
        held &= (self.released[at] > start[rest]) & (locks[mine] == lock[rest])
        found[rest] = np.where(held, self.released[at], -1)
        return found


class _Connects:
    """What the connection of each run's interrupt object says: the last one before the run, or else the first.

    Attributes:
        object: number of the KINTERRUPT.
        connection: number of the connection.
        level: SynchronizeIrql; -1 where the trace has no connection of that KINTERRUPT.
    """

    def __init__(self, trace: Trace, start: Indices) -> None:
        table = connections(trace)
        _, number = factorize(np.concatenate([table.object, trace.arg0[start]]))
        size = len(trace) + 1
        ranked = number[: len(table.index)] * size + table.index + 1
        order = np.argsort(ranked, kind="stable")
        ranked = ranked[order]
        self.object = number[len(order) :]
        self.connection = len(order) + self.object
        self.level = np.full(len(start), -1, dtype=np.int64)
        if not len(order):
            return
        at = np.searchsorted(ranked, self.object * size + start + 1) - 1
        before = (at >= 0) & (ranked[np.maximum(at, 0)] // size == self.object)
        at = np.minimum(np.where(before, at, np.searchsorted(ranked, self.object * size)), len(order) - 1)
        known = number[order[at]] == self.object
        self.connection[known] = at[known]
        self.level[known] = table.level[order[at[known]]]
