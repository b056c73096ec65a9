# SPDX-License-Identifier: Apache-2.0
"""Which interrupt spin lock each service or synchronised routine ran under, and at what IRQL it should have run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dirql.trace.decode import Trace
from dirql.trace.history import History
from dirql.trace.intervals import Intervals, factorize
from dirql.trace.oracle.exclusion import overlaps
from dirql.trace.schema import Flags, Indices, Words

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Guard:
    """The runs of one kind of routine.

    Attributes:
        start: indices of the records that began them.
        end: indices of the records that ended them; -1 while running when the trace ends.
        level: SynchronizeIrql of the KINTERRUPT; -1 where the trace does not know it.
        domain: what must be exclusive: the address of the lock, or of the KINTERRUPT where no lock was ever seen.
        unguarded: ran without a lock, though others of the same KINTERRUPT had one.
        dropped: the lock was released before the end.
    """

    start: Indices
    end: Indices
    level: Indices
    domain: Words
    unguarded: Flags
    dropped: Flags


@dataclass(frozen=True)
class Guards:
    """Service routines and synchronised routines."""

    isrs: Guard
    syncs: Guard

    def describe(self, trace: Trace, index: int, *, since: bool = False) -> str:
        """Say in words what began with record `index`."""
        isr = trace.event[index] == trace.meta.events["IsrEnter"]
        what = "the ISR" if isr else "a synchronised routine"
        verb = "was running" if since else "began"
        return f"{what} of KINTERRUPT {trace.arg0[index]:#x} {verb} on CPU {trace.cpu[index]}"


def find_guards(history: History) -> Guards:
    """Find the lock of every run.

    It is the lock that was last acquired in the same interrupt or thread of execution, and is still held.
    """
    trace = history.trace
    isr_lock, isr_until = _held(history, history.isrs)
    sync_lock, sync_until = _held(history, history.syncs)
    isr_key, sync_key = (
        trace.arg0[np.concatenate([spans.start, spans.running])] for spans in (history.isrs, history.syncs)
    )
    objects, number = factorize(np.concatenate([isr_key, sync_key]))
    lock = np.concatenate([isr_lock, sync_lock])
    usual = np.zeros(len(objects), dtype=np.uint64)
    usual[number[lock != 0]] = lock[lock != 0]
    cut = len(isr_key)
    isrs = _guard(history, history.isrs, isr_lock, isr_until, usual[number[:cut]])
    syncs = _guard(history, history.syncs, sync_lock, sync_until, usual[number[cut:]])
    return Guards(isrs, syncs)


def conflicts(trace: Trace, guards: Guards) -> Iterator[tuple[int, int]]:
    """Yield the beginnings (earlier, later) of runs that overlap though one lock guards both."""
    start = np.concatenate([guards.isrs.start, guards.syncs.start])
    end = np.concatenate([guards.isrs.end, guards.syncs.end])
    _, domain = factorize(np.concatenate([guards.isrs.domain, guards.syncs.domain]))
    last = int(trace.time[-1]) if len(trace) else 0
    until = np.where(end >= 0, trace.time[end], last) if len(trace) else end
    earlier, later = overlaps(domain, trace.time[start], until, trace.skew_ticks)
    for one, other in zip(start[earlier], start[later], strict=True):
        yield int(one), int(other)


def _guard(history: History, spans: Intervals, lock: Words, until: Indices, usual: Words) -> Guard:
    trace = history.trace
    start = np.concatenate([spans.start, spans.running])
    end = np.concatenate([spans.end, np.full(len(spans.running), -1, dtype=np.int64)])
    return Guard(
        start=start,
        end=end,
        level=_levels(trace, start),
        domain=np.where(lock != 0, lock, np.where(usual != 0, usual, trace.arg0[start])),
        unguarded=(lock == 0) & (usual != 0),
        dropped=(lock != 0) & (end >= 0) & (until < end),
    )


def _held(history: History, spans: Intervals) -> tuple[Words, Indices]:
    """Return for each run the lock it began under (0: none seen) and the index of that lock's release."""
    trace, holds = history.trace, history.holds
    start = np.concatenate([spans.start, spans.running])
    acquired = np.concatenate([holds.start, holds.running])
    released = np.concatenate([holds.end, np.full(len(holds.running), _NEVER, dtype=np.int64)])
    if not len(acquired):
        return np.zeros(len(start), dtype=np.uint64), np.full(len(start), _NEVER, dtype=np.int64)
    size = len(trace)
    opener = history.in_frames.opener

    def place(index: Indices) -> Indices:
        """Order records by context, then by position; contexts are numbered by what opened them, or by their CPU."""
        context = np.where(opener[index] >= 0, opener[index], trace.cpu[index].astype(np.int64) + size)
        return context * size + trace.position[index]

    ranked = place(acquired)
    order = np.argsort(ranked)
    wanted = place(start)
    at = order[np.maximum(np.searchsorted(ranked[order], wanted) - 1, 0)]
    fits = (ranked[at] // size == wanted // size) & (ranked[at] < wanted) & (released[at] > start)
    return np.where(fits, trace.arg0[acquired[at]], np.uint64(0)), np.where(fits, released[at], _NEVER)


def _levels(trace: Trace, start: Indices) -> Indices:
    """Return the SynchronizeIrql of the KINTERRUPT of each record, by its last connection, or else its first."""
    connects = trace.where("InterruptConnect")
    if not len(connects) or not len(start):
        return np.full(len(start), -1, dtype=np.int64)
    size = len(trace)
    objects, number = factorize(trace.arg0[connects])
    level = (trace.arg1[connects] >> np.uint64(16)).astype(np.int64) & 0xFF
    order = np.lexsort((connects, number))
    ranked = (number * size + connects)[order]
    mine = np.minimum(np.searchsorted(objects, trace.arg0[start]), len(objects) - 1)
    known = objects[mine] == trace.arg0[start]
    at = np.searchsorted(ranked, mine * size + start, side="right") - 1
    first = np.searchsorted(ranked, mine * size)
    at = np.where((at >= 0) & (ranked[np.maximum(at, 0)] // size == mine), at, np.minimum(first, len(ranked) - 1))
    return np.where(known, level[order[at]], -1)
