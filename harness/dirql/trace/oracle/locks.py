# SPDX-License-Identifier: Apache-2.0
"""What all judges of spin locks look at: the acquisitions, how each came about, what each CPU held at any record."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from dirql.trace.history.history import History
from dirql.trace.history.intervals import Intervals
from dirql.trace.lookup import Lookup
from dirql.trace.schema import Flags, Indices, Words

BEHIND_CPU = 1
"""LockQueued of an in-stack queued lock: the low half of the argument is the CPU that is waited behind."""
BY_TICKET = 2
"""LockQueued of an interrupt lock: the low half of the argument is the ticket drawn."""
TRIED = 3
"""LockQueued after an acquisition by a routine that would not have waited."""
UNKNOWN = -1

LOCK_EVENTS = ("LockWait", "LockAcquired", "LockReleased")
SHARED_EVENTS = ("LockSharedWait", "LockSharedAcquired", "LockSharedReleased")


class Locks:
    """The spin locks of a trace. Each part is computed when it is first asked for.

    Args:
        history: the trace's intervals.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.trace = history.trace

    @cached_property
    def queued(self) -> Indices:
        """All LockQueued records."""
        return self.trace.where("LockQueued")

    @cached_property
    def queued_kind(self) -> Indices:
        """The kind of each of `queued`."""
        return (self.trace.arg1[self.queued] >> np.uint64(32)).astype(np.int64)

    @cached_property
    def acquired(self) -> Indices:
        """All exclusive acquisitions."""
        return self.trace.where("LockAcquired")

    @cached_property
    def readers_writers(self) -> Words:
        """Locks that have been acquired, or waited for, as a reader."""
        return np.unique(self.trace.arg0[self.trace.where(*SHARED_EVENTS)])

    @cached_property
    def in_stack_queued(self) -> Words:
        """Locks that have been waited for in a queue of handles."""
        return np.unique(self.trace.arg0[self.queued[self.queued_kind == BEHIND_CPU]])

    @cached_property
    def starts(self) -> Indices:
        """Acquisitions of all exclusive holds, complete or not."""
        return np.concatenate([self.history.holds.start, self.history.holds.running])

    @cached_property
    def ends(self) -> Indices:
        """The release of each of `starts`; the length of the trace where there is none."""
        holds = self.history.holds
        return np.concatenate([holds.end, np.full(len(holds.running), len(self.trace), dtype=np.int64)])

    def end_times(self, starts: Indices, ends: Indices) -> Indices:
        """Return the times of `ends`; the last of the trace where the hold still lasts."""
        if not len(starts):
            return starts
        return self.trace.time[np.minimum(ends, len(self.trace) - 1)]

    @cached_property
    def begun(self) -> Indices:
        """For each of `acquired`, the last record in its context before the lock was asked for; -1 where none."""
        trace, previous = self.trace, self.history.previous
        before = previous[self.acquired]
        for _ in range(2):  # LockWait, LockQueued
            waits = (before >= 0) & (trace.are(before, "LockWait") | trace.are(before, "LockQueued"))
            if not waits.any():
                break
            again = np.flatnonzero(waits & (trace.arg0[before] == trace.arg0[self.acquired]))
            before[again] = previous[before[again]]
        return before

    @cached_property
    def raised(self) -> Flags:
        """Which of `acquired` were by a routine that raised IRQL first (KeAcquireSpinLock): `begun` records that."""
        return self._by_same_caller(self.begun, self.acquired, "IrqlRaise")

    @cached_property
    def asked_at(self) -> Indices:
        """The IRQL of the code that asked for each of `acquired`: before the routine's own raise, if it raised.

        Where the record before is missing it may have: then nothing is known, and it is 0.
        """
        own = np.where(self.begun >= 0, self.trace.irql[self.acquired], 0).astype(np.int64)
        old = (self.trace.arg0[self.begun] & np.uint64(0xFF)).astype(np.int64)
        return np.where(self.raised, old, own)

    def lowered(self, releases: Indices) -> Indices:
        """Return the IRQL that each release by a routine that lowers (KeReleaseSpinLock) lowers to; -1 for others."""
        after = self.history.following[releases]
        lowers = self._by_same_caller(after, releases, "IrqlLower")
        new = ((self.trace.arg0[after] >> np.uint64(8)) & np.uint64(0xFF)).astype(np.int64)
        return np.where(lowers, new, UNKNOWN)

    @cached_property
    def tried(self) -> Flags:
        """Which of `acquired` were by a routine that would not have waited."""
        trace = self.trace
        if not (self.queued_kind == TRIED).any():
            return np.zeros(len(self.acquired), dtype=np.bool_)
        after = self.history.following[self.acquired]
        tries: Flags = (after >= 0) & trace.are(after, "LockQueued") & (trace.arg0[after] == trace.arg0[self.acquired])
        tries &= trace.arg1[after] >> np.uint64(32) == TRIED
        return tries

    @cached_property
    def occupied(self) -> Lookup:
        """For each record, how many locks its CPU holds or waits for.

        A hold or wait counts strictly between its first and its last record.
        """
        trace, history = self.trace, self.history
        change = np.zeros(len(trace) + 1, dtype=np.int16)
        for span in (history.holds, history.waits, history.shared_holds, history.shared_waits):
            if len(span.start):
                change[trace.position[span.start] + 1] += 1  # each place but once: a record begins or ends one
                change[trace.position[span.end]] -= 1
            if len(span.running):
                change[trace.position[span.running] + 1] += 1
                np.subtract.at(change, trace.position[trace.last_on(trace.cpu[span.running])] + 1, 1)
        depth = np.cumsum(change[:-1], dtype=np.int16)
        return Lookup(lambda index: depth[trace.position[index]].astype(np.int64))

    def occupant(self, index: int) -> int:
        """Return the record by which the CPU of record `index` holds, or waits for, the lock that it took last."""
        trace, history = self.trace, self.history
        found = -1
        for span in (history.holds, history.waits, history.shared_holds, history.shared_waits):
            mine = np.concatenate([span.start, span.running])
            until = np.concatenate([span.end, np.full(len(span.running), len(trace), dtype=np.int64)])
            around = mine[(trace.cpu[mine] == trace.cpu[index]) & (mine < index) & (until > index)]
            found = max(found, int(around.max(initial=-1)))
        return found

    def held_by_same_cpu(self, index: Indices, spans: Intervals) -> Indices:
        """Return, for each record about a lock, the beginning of the one of `spans` that it is inside of; -1: of none.

        Only those of the same lock and CPU count.
        """
        trace = self.trace
        start = np.concatenate([spans.start, spans.running])
        if not len(start) or not len(index):
            return np.full(len(index), -1, dtype=np.int64)
        until = np.concatenate([spans.end, np.full(len(spans.running), len(trace), dtype=np.int64)])
        distinct = np.unique(np.concatenate([trace.arg0[start], trace.arg0[index]]))
        size = len(trace)

        def rank(which: Indices) -> Indices:
            number = np.searchsorted(distinct, trace.arg0[which])
            return (number * trace.cpus + trace.cpu[which]) * size + which

        ranked, wanted = rank(start), rank(index)
        order = np.argsort(ranked)
        at = np.searchsorted(ranked[order], wanted) - 1
        found = order[np.maximum(at, 0)]
        inside = (at >= 0) & (ranked[found] // size == wanted // size) & (until[found] > index)
        return np.where(inside, start[found], -1)

    def _by_same_caller(self, other: Indices, index: Indices, event: str) -> Flags:
        """Tell which records have beside them, at `other`, the named event with the same caller."""
        trace = self.trace
        same: Flags = (other >= 0) & trace.are(other, event) & (trace.arg1[other] == trace.arg1[index])
        return same
