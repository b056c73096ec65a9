# SPDX-License-Identifier: Apache-2.0
"""Spin locks in the picture: what each CPU waited for and held, and from whom each lock went to whom."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.intervals import factorize
from dirql.trace.history.names import lock_names

if TYPE_CHECKING:
    from dirql.trace.history.history import History
    from dirql.trace.schema import Bytes, Flags, Indices, Words


class Part(IntEnum):
    """What a CPU does with a lock."""

    HOLD = 0
    SHARED_HOLD = 1
    WAIT = 2
    SHARED_WAIT = 3


_TEXT = {
    Part.HOLD: "holds {}",
    Part.SHARED_HOLD: "holds {} (reader)",
    Part.WAIT: "waits for {}",
    Part.SHARED_WAIT: "waits for {} (reader)",
}


class LockSpans:
    """Waits and holds of all locks, sorted by beginning.

    Args:
        history: the trace's intervals.
        first_arrow: arrows are numbered from here on.

    Attributes:
        start: the records that begin them.
        end: those that end them; the CPU's last record, where they last.
        open: they last.
        cpu: whose.
        lock: its address.
        kind: a `Part` each.
        lane: line of the picture on its CPU: in one line all nest.
        leaves: the arrow that begins at each hold: the lock went on to one that had waited; 0: none.
        arrives: the arrow that ends at each hold; 0: none.
        next_arrow: the first number that is free.
    """

    def __init__(self, history: History, first_arrow: int) -> None:
        trace = history.trace
        spans = (history.holds, history.shared_holds, history.waits, history.shared_waits)
        start = np.concatenate([np.concatenate([span.start, span.running]) for span in spans])
        end = np.concatenate([np.concatenate([span.end, trace.last_on(trace.cpu[span.running])]) for span in spans])
        lasts = np.concatenate([np.arange(len(span.start) + len(span.running)) >= len(span.start) for span in spans])
        kind = np.repeat(np.arange(len(spans)), [len(span.start) + len(span.running) for span in spans])
        order = np.argsort(start, kind="stable")
        self._names = lock_names(trace)
        self.start: Indices = start[order]
        self.end: Indices = end[order]
        self.open: Flags = lasts[order]
        self.kind: Indices = kind[order]
        self.cpu: Bytes = trace.cpu[self.start]
        self.lock: Words = trace.arg0[self.start]
        self.lane = lanes(self.cpu, trace.position[self.start], trace.position[self.end])
        self.leaves, self.arrives = (np.zeros(len(order), dtype=np.int64) for _ in range(2))
        giver, taker = self._hand_overs(history)
        self.next_arrow = first_arrow + len(giver)
        self.leaves[giver] = self.arrives[taker] = np.arange(first_arrow, self.next_arrow)

    def text(self, lock: int, kind: int) -> str:
        """Return what is written on a slice."""
        return _TEXT[Part(kind)].format(self.name(lock))

    def name(self, lock: int) -> str:
        """Return what a lock is called; see `names.lock_names`."""
        return self._names.get(lock) or f"{lock:#x}"

    def _hand_overs(self, history: History) -> tuple[Indices, Indices]:
        """Return holds after which a lock went to one that had been waiting for it, and the holds that it went to.

        Where it went to several readers at once, the first.
        """
        trace = history.trace
        row = np.full((2, len(trace)), -1, dtype=np.int64)
        held = np.flatnonzero(self.kind <= Part.SHARED_HOLD)
        row[0][self.start[held]] = held
        released = held[~self.open[held]]
        row[1][self.end[released]] = released
        waits = np.flatnonzero((self.kind >= Part.WAIT) & ~self.open)
        taken = self.end[waits]
        releases = self.end[released]
        _, number = factorize(np.concatenate([trace.arg0[releases], trace.arg0[taken]]))
        size = len(trace) + 1
        ranked = np.sort(number[: len(releases)] * size + releases)
        wanted = number[len(releases) :] * size
        at = np.searchsorted(ranked, wanted + taken) - 1
        last = ranked[np.maximum(at, 0)] - wanted if len(ranked) else np.full(len(taken), -1, dtype=np.int64)
        handed = (at >= 0) & (last > self.start[waits]) & (row[0][taken] >= 0)
        order = np.flatnonzero(handed)[np.argsort(taken[handed], kind="stable")]
        giver, taker = row[1][last[order]], row[0][taken[order]]
        _, first = np.unique(giver, return_index=True)
        return giver[first], taker[first]


def lanes(cpu: Bytes, begin: Indices, end: Indices) -> Indices:
    """Spread intervals, sorted by beginning on each CPU, over as few lanes per CPU as let all in a lane nest."""
    lane = np.zeros(len(begin), dtype=np.int64)
    open_until: dict[tuple[int, int], list[int]] = {}
    rows = zip(cpu.tolist(), begin.tolist(), end.tolist(), strict=True)
    for at, (number, first, last) in enumerate(rows):
        tried = 0
        while True:
            stack = open_until.setdefault((number, tried), [])
            while stack and stack[-1] <= first:
                stack.pop()
            if not stack or stack[-1] >= last:
                stack.append(last)
                break
            tried += 1
        lane[at] = tried
    return lane
