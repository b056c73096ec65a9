# SPDX-License-Identifier: Apache-2.0
"""From pairs of records to intervals, and from nested intervals to the context that each record belongs to.

A pair is found by its key on its CPU (the vector of an interrupt, the KINTERRUPT of a service routine, the address of a
lock): none of these can begin twice on one CPU before it ends, so on a correct trace this is the pairing by depth. On a
faulty one it is better: a missing end spoils one interval, not all that follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dirql.trace.decode import Trace
from dirql.trace.schema import Bytes, Flags, Indices, Words


@dataclass(frozen=True)
class Intervals:
    """What began and ended on a CPU, sorted by beginning. All but `cpu` and `key` are indices of records.

    Attributes:
        start: first records.
        end: last records, each the partner of `start`.
        cpu: CPU of each.
        key: what they are keyed by.
        running: beginnings without an end because the trace ends first.
        unended: beginnings after which the same began again on the same CPU.
        inherited: ends whose beginning is older than the trace.
        unstarted: ends after which, or before which, the same ended without a beginning between.
    """

    start: Indices
    end: Indices
    cpu: Bytes
    key: Words
    running: Indices
    unended: Indices
    inherited: Indices
    unstarted: Indices

    def __len__(self) -> int:
        """Return the number of complete intervals."""
        return len(self.start)


def factorize(keys: Words) -> tuple[Words, Indices]:
    """Return the distinct keys, sorted, and for each key its number among them."""
    distinct = np.unique(keys)
    return distinct, np.searchsorted(distinct, keys)


def stable_groups(number: Indices) -> Indices:
    """Return the stable order that brings equal numbers together; small numbers sort in linear time."""
    small = len(number) and int(number.max()) < 1 << 16
    return np.argsort(number.astype(np.uint16) if small else number, kind="stable")


def pair(
    trace: Trace,
    enter: str,
    leave: str,
    *,
    key_mask: int = (1 << 64) - 1,
    group: Indices | None = None,
    order: Indices | None = None,
) -> Intervals:
    """Pair the records of two events.

    Args:
        trace: the trace.
        enter: event that begins.
        leave: event that ends.
        key_mask: bits of the first argument that make the key.
        group: for every record, what it is paired within; None: its CPU.
        order: for every record, its place within its group; None: that of the trace.

    Returns:
        The intervals. After a quiet start none is inherited: an end without a beginning is one `unstarted`.
    """
    index = trace.where(enter, leave)
    if order is not None:
        index = index[np.argsort(order[index])]
    spans = pair_records(trace, index, trace.meta.events.numbers.get(enter, -1), key_mask, group=group)
    if trace.meta.quiet is None or not len(spans.inherited):
        return spans
    none = spans.inherited[:0]
    return replace(spans, inherited=none, unstarted=np.sort(np.concatenate([spans.unstarted, spans.inherited])))


def pair_records(
    trace: Trace,
    index: Indices,
    enter: int,
    key_mask: int,
    level: Words | None = None,
    *,
    group: Indices | None = None,
) -> Intervals:
    """Pair chosen records, in their order; see `pair`.

    Args:
        trace: the trace.
        index: the records.
        enter: number of the event that begins; all others end.
        key_mask: bits of the first argument that make the key.
        level: more bits for the key of each record, for what can begin again before it ends.
        group: see `pair`.
    """
    if not len(index):
        none = np.zeros(0, dtype=np.int64)
        return Intervals(none, none, trace.cpu[none], trace.arg0[none], none, none, none, none)
    key = trace.arg0[index] & np.uint64(key_mask)
    if level is not None:
        key |= level
    distinct, number = factorize(key)
    groups = trace.cpus if group is None else int(group.max()) + 1
    group = number * groups + (trace.cpu[index] if group is None else group[index])
    order = stable_groups(group)
    index, group, number = index[order], group[order], number[order]
    begins = trace.event[index] == enter
    same = np.empty(len(index) + 1, dtype=np.bool_)
    same[0] = same[-1] = False
    same[1:-1] = group[1:] == group[:-1]
    with_before, with_after = same[:-1], same[1:]
    begins_after = np.append(begins[1:], False)
    begins_before = np.insert(begins[:-1], 0, False)
    closed = begins & with_after & ~begins_after
    at = np.flatnonzero(closed)
    by_start = np.argsort(index[at], kind="stable")
    at = at[by_start]
    start = index[at]
    return Intervals(
        start=start,
        end=index[at + 1],
        cpu=trace.cpu[start],
        key=distinct[number[at]],
        running=np.sort(index[begins & ~with_after]),
        unended=np.sort(index[begins & with_after & begins_after]),
        inherited=np.sort(index[~begins & ~with_before]),
        unstarted=np.sort(index[~begins & with_before & ~begins_before]),
    )


def pair_nested(
    trace: Trace, enter: str, leave: str, *, group: Indices | None = None, order: Indices | None = None
) -> Intervals:
    """Pair the records of two events where the same may begin again before it ends; see `pair`.

    Keys are addresses of objects, whose low four bits are 0: they are the level from then on.
    """
    index = trace.where(enter, leave)
    where = trace.cpu.astype(np.int64) if group is None else group
    place = index if order is None else order[index]
    _, number = factorize(trace.arg0[index])
    within = np.lexsort((place, where[index], number))
    index, number = index[within], number[within]
    begins = trace.are(index, enter)
    first = np.ones(len(index), dtype=np.bool_)
    first[1:] = (number[1:] != number[:-1]) | (where[index[1:]] != where[index[:-1]])
    depth = np.cumsum(np.where(begins, 1, -1))
    before = np.append(0, depth[:-1])[: len(depth)]
    if len(index):
        depth = depth - before[np.maximum.accumulate(np.where(first, np.arange(len(index)), 0))]
    level = np.where(begins, depth - 1, depth)  # of an interval's two ends alike
    spans = pair_records(
        trace,
        index,
        trace.meta.events.numbers.get(enter, -1),
        (1 << 64) - 16,
        (level & 0xF).astype(np.uint64),
        group=where,
    )
    return replace(spans, key=spans.key & np.uint64((1 << 64) - 16))


@dataclass(frozen=True)
class Contexts:
    """For every record, what its CPU was in the middle of, among intervals that nest.

    A beginning and an end belong to their own interval. Intervals that still run when the trace ends count.

    Attributes:
        opener: index of the record that began the innermost interval; -1 outside all.
        depth: how many intervals were open.
    """

    trace: Trace
    opener: Indices
    depth: Bytes
    _order: Indices
    _opens: Flags

    @cached_property
    def previous(self) -> Indices:
        """For each record the one before it in the same context, skipping what interrupted it; -1 where none."""
        before = np.full(len(self.trace), -1, dtype=np.int64)
        first, second = self._order[:-1], self._order[1:]
        same = (
            (self.opener[first] == self.opener[second])
            & (self.depth[first] == self.depth[second])
            & (self.trace.cpu[first] == self.trace.cpu[second])
        )
        before[second] = np.where(same, first, -1)
        return before

    def parent(self, openers: Indices) -> Indices:
        """Return for each record that began an interval the beginning of the next outer one; -1 where none."""
        position = self.trace.position
        every = np.flatnonzero(self._opens)
        size = len(self.trace)
        ranked = np.sort(self.depth[every].astype(np.int64) * size + position[every])
        wanted = (self.depth[openers].astype(np.int64) - 1) * size + position[openers]
        at = np.searchsorted(ranked, wanted) - 1
        found = ranked[np.maximum(at, 0)] if len(ranked) else np.zeros(len(openers), dtype=np.int64)
        outer = self.trace.by_cpu[found % max(size, 1)] if size else found
        fits = (at >= 0) & (found // max(size, 1) == self.depth[openers].astype(np.int64) - 1)
        fits &= self.trace.cpu[outer] == self.trace.cpu[openers]
        return np.where(fits, outer, -1)


def contexts(trace: Trace, *spans: Intervals) -> Contexts:
    """Find the context of every record among all the intervals given.

    Where intervals cross (a faulty trace), a record is never given to one that had ended before it.
    """
    size = len(trace)
    running = np.concatenate([span.running for span in spans])
    start = np.concatenate([*(span.start for span in spans), running])
    end = np.concatenate([*(span.end for span in spans), trace.last_on(trace.cpu[running])])
    first, last = trace.position[start], trace.position[end]
    closed = len(start) - len(running)
    change = np.zeros(size + 1, dtype=np.int16)
    change[first] = 1
    change[last[:closed] + 1] -= 1
    np.subtract.at(change, last[closed:] + 1, 1)
    depth = np.cumsum(change[:size], dtype=np.int16).clip(0, 255).astype(np.uint8)
    opens = np.zeros(size, dtype=np.bool_)
    opens[first] = True
    ends_at = np.zeros(size, dtype=np.int64)
    ends_at[first] = last
    order = np.argsort(depth, kind="stable")  # laid out CPU after CPU, then depth after depth
    inside = order[size - int(np.count_nonzero(depth)) :]
    latest = np.maximum.accumulate(np.where(opens[inside], np.arange(len(inside)), 0)) if len(inside) else inside
    candidate = inside[latest]
    valid = opens[candidate] & (depth[candidate] == depth[inside]) & (ends_at[candidate] >= inside)
    by_cpu = trace.by_cpu
    opener = np.full(size, -1, dtype=np.int64)
    opener[by_cpu[inside[valid]]] = by_cpu[candidate[valid]]
    opens_index = np.zeros(size, dtype=np.bool_)
    opens_index[start] = True
    depth_index = np.empty(size, dtype=np.uint8)
    depth_index[by_cpu] = depth
    return Contexts(trace, opener, depth_index, by_cpu[order], opens_index)
