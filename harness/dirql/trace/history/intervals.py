# SPDX-License-Identifier: Apache-2.0
"""From pairs of records to intervals, and from nested intervals to the context that each record belongs to.

A pair is found by its key on its CPU (the vector of an interrupt, the KINTERRUPT of a service routine, the address of a
lock): none of these can begin twice on one CPU before it ends, so on a correct trace this is the pairing by depth. On a
faulty one it is better: a missing end spoils one interval, not all that follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from dirql.trace.decode import Trace
from dirql.trace.lookup import Lookup
from dirql.trace.schema import Bytes, Indices, Words

Depths = np.ndarray[tuple[int, ...], np.dtype[np.int16]]
"""How many intervals something is in."""
_T = TypeVar("_T", bound=np.generic)
_ALL_BITS = (1 << 64) - 1
_FEW = 4096
_TABLE = 1 << 16
_TABLE_SHIFT = np.uint64(48)
_SCRAMBLE = np.uint64(0x9E37_79B9_7F4A_7C15)


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
    """Return the distinct keys, sorted, and for each key its number among them.

    Traces have few objects and many records: the keys are spread over a table by a hash, where most are alone at once.
    """
    if len(keys) < _FEW:
        distinct = np.unique(keys)
        return distinct, np.searchsorted(distinct, keys)
    slot = (keys * _SCRAMBLE) >> _TABLE_SHIFT
    table = np.zeros(_TABLE, dtype=np.uint64)
    table[slot] = keys
    beaten = np.flatnonzero(table[slot] != keys)  # another key has their slot
    if len(beaten) * 4 > len(keys):
        distinct = np.unique(keys)
        return distinct, np.searchsorted(distinct, keys)
    used = np.zeros(_TABLE, dtype=np.bool_)
    used[slot] = True
    slots = np.flatnonzero(used)
    others = np.unique(keys[beaten])
    distinct = np.concatenate([table[slots], others])
    order = np.argsort(distinct)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    of_slot = np.zeros(_TABLE, dtype=np.int64)
    of_slot[slots] = rank[: len(slots)]
    number = of_slot[slot]
    if len(beaten):
        number[beaten] = rank[len(slots) + np.searchsorted(others, keys[beaten])]
    return distinct[order], number


def stable_groups(number: Indices) -> Indices:
    """Return the stable order that brings equal numbers together; small numbers sort in linear time."""
    small = len(number) and int(number.max()) < 1 << 16
    return np.argsort(number.astype(np.uint16) if small else number, kind="stable")


def no_intervals(trace: Trace) -> Intervals:
    """Return none."""
    none = trace.by_cpu[:0]
    return Intervals(none, none, trace.cpu[:0], trace.arg0[:0], none, none, none, none)


def pair(
    trace: Trace,
    enter: str,
    leave: str,
    *,
    key_mask: int = (1 << 64) - 1,
    group: Lookup | None = None,
    order: Lookup | None = None,
) -> Intervals:
    """Pair the records of two events.

    Args:
        trace: the trace.
        enter: event that begins.
        leave: event that ends.
        key_mask: bits of the first argument that make the key.
        group: tells of every record what it is paired within; None: its CPU.
        order: tells of every record its place within its group; None: that of the trace.

    Returns:
        The intervals; none where one of the events was not recorded all the time. After a quiet start none is
        inherited: an end without a beginning is one `unstarted`.
    """
    index = trace.where(enter, leave) if trace.recorded(enter, leave) else trace.by_cpu[:0]
    if not len(index):
        return no_intervals(trace)
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
    group: Lookup | None = None,
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
        return no_intervals(trace)
    key = trace.arg0[index]
    if key_mask != _ALL_BITS:
        key &= np.uint64(key_mask)
    if level is not None:
        key |= level
    if key_mask < _TABLE and level is None:
        distinct, number = np.arange(key_mask + 1, dtype=np.uint64), key.astype(np.int64)
    else:
        distinct, number = factorize(key)
    within = trace.cpu[index] if group is None else group[index]
    both = number * (int(within.max()) + 1) + within
    order = stable_groups(both)
    index, both, number = index[order], both[order], number[order]
    begins = trace.event[index] == enter
    same = np.empty(len(index) + 1, dtype=np.bool_)
    same[0] = same[-1] = False
    same[1:-1] = both[1:] == both[:-1]
    with_before, with_after = same[:-1], same[1:]
    begins_after, begins_before = np.zeros_like(begins), np.zeros_like(begins)
    begins_after[:-1], begins_before[1:] = begins[1:], begins[:-1]
    closed = begins & with_after & ~begins_after
    at = np.flatnonzero(closed)
    by_start = np.argsort(index[at])
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
    trace: Trace, enter: str, leave: str, *, group: Lookup | None = None, order: Lookup | None = None
) -> Intervals:
    """Pair the records of two events where the same may begin again before it ends; see `pair`.

    Keys are addresses of objects, whose low four bits are 0: they are the level from then on.
    """
    index = trace.where(enter, leave) if trace.recorded(enter, leave) else np.zeros(0, dtype=np.int64)
    where = trace.cpu[index].astype(np.int64) if group is None else group[index]
    place = index if order is None else order[index]
    _, number = factorize(trace.arg0[index])
    within = np.lexsort((place, where, number))
    index, number, where = index[within], number[within], where[within]
    begins = trace.are(index, enter)
    first = np.ones(len(index), dtype=np.bool_)
    first[1:] = (number[1:] != number[:-1]) | (where[1:] != where[:-1])
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
        group=group,
    )
    return replace(spans, key=spans.key & np.uint64((1 << 64) - 16))


def cover(trace: Trace, *spans: Intervals) -> Depths:
    """Count, for each record laid out CPU after CPU, the intervals that it is in, its own beginning or end included."""
    change = np.zeros(len(trace) + 1, dtype=np.int16)
    for span in spans:  # a record begins or ends one interval of a kind: no place comes twice
        if len(span.start):
            change[trace.position[span.start]] += 1
            change[trace.position[span.end] + 1] -= 1
        if len(span.running):
            change[trace.position[span.running]] += 1
            np.subtract.at(change, trace.position[trace.last_on(trace.cpu[span.running])] + 1, 1)
    return np.cumsum(change[:-1], dtype=np.int16)


class Contexts:
    """For every record, what its CPU was in the middle of, among intervals that nest.

    A beginning and an end belong to their own interval. Intervals that still run when the trace ends count. Where
    intervals cross (a faulty trace), a record is never given to one that had ended before it.

    The records of a CPU between two beginnings or ends are a stretch: its first record may begin an interval, all of it
    is as deep, and in the same one. Everything is found per stretch, and spread over the records when it is asked for.

    Args:
        trace: the trace.
        first: the place among the records laid out CPU after CPU where each interval begins.
        last: the same of its last record.
    """

    def __init__(self, trace: Trace, first: Indices, last: Indices) -> None:
        self.trace = trace
        size = len(trace)
        after = last + 1
        edge = np.zeros(size + 1, dtype=np.bool_)
        edge[trace.blocks] = True
        edge[after] = True
        edge[first] = True
        opens = np.zeros(size, dtype=np.bool_)
        opens[first] = True
        begin = np.flatnonzero(edge[:size])
        edge[size] = True
        number = np.cumsum(edge, dtype=np.int32) - np.int32(1)
        change = np.bincount(number[first], minlength=len(begin) + 1)
        change -= np.bincount(number[after], minlength=len(begin) + 1)
        depth = np.cumsum(change[:-1]).clip(0, 255).astype(np.uint8)
        self._begin, self._depth, self._number = begin, depth, number
        self._opens = opens[begin]
        self._end = np.append(begin[1:], size)
        ends_at = np.zeros(len(begin), dtype=np.int64)
        ends_at[number[first]] = last
        self._order = order = np.argsort(depth, kind="stable")  # stretch after stretch, then depth after depth
        inside = order[len(order) - int(np.count_nonzero(depth)) :]
        latest = np.maximum.accumulate(np.where(self._opens[inside], np.arange(len(inside)), 0))
        candidate = inside[latest]
        valid = (self._opens[candidate] & (depth[candidate] == depth[inside])) & (ends_at[candidate] >= begin[inside])
        self._opener = np.full(len(begin), -1, dtype=np.int64)
        """Per stretch, the stretch that its interval begins with; -1 outside all."""
        self._opener[inside[valid]] = candidate[valid]

    def _spread(self, values: np.ndarray[tuple[int, ...], np.dtype[_T]]) -> np.ndarray[tuple[int, ...], np.dtype[_T]]:
        """Give every record its stretch's value."""
        out = np.empty(len(self.trace), dtype=values.dtype)
        out[self.trace.by_cpu] = np.repeat(values, self._end - self._begin)
        return out

    @cached_property
    def opener(self) -> Lookup:
        """Index of the record that began the innermost interval of each record; -1 outside all."""
        record = self._records_of(self._opener)
        return Lookup(lambda index: record[self._number[self.trace.position[index]]])

    def _records_of(self, stretch: Indices) -> Indices:
        """Return the first record of stretches; -1 for -1."""
        if not len(self._begin):
            return stretch
        return np.where(stretch >= 0, self.trace.by_cpu[self._begin[stretch]], -1)

    @cached_property
    def depth(self) -> Bytes:
        """How many intervals each record is in."""
        return self._spread(self._depth)

    @cached_property
    def _joints(self) -> tuple[Indices, Indices]:
        """Stretches of one context that follow each other in it: the former, the latter."""
        one, other = self._order[:-1], self._order[1:]
        same = (self._opener[one] == self._opener[other]) & (self._depth[one] == self._depth[other])
        same &= ~self._opens[other]
        cpu = self.trace.cpu[self.trace.by_cpu[self._begin]]
        same &= cpu[one] == cpu[other]
        return one[same], other[same]

    @cached_property
    def previous(self) -> Indices:
        """For each record the one before it in the same context, skipping what interrupted it; -1 where none."""
        by_cpu = self.trace.by_cpu
        before = np.empty(len(by_cpu), dtype=np.int64)
        before[1:] = by_cpu[:-1]
        before[self._begin] = -1
        one, other = self._joints
        before[self._begin[other]] = by_cpu[self._end[one] - 1]
        out = np.empty(len(by_cpu), dtype=np.int64)
        out[by_cpu] = before
        return out

    @cached_property
    def following(self) -> Indices:
        """For each record the one after it in the same context; -1 where none."""
        by_cpu = self.trace.by_cpu
        after = np.empty(len(by_cpu), dtype=np.int64)
        after[:-1] = by_cpu[1:]
        after[self._end - 1] = -1
        one, other = self._joints
        after[self._end[one] - 1] = by_cpu[self._begin[other]]
        out = np.empty(len(by_cpu), dtype=np.int64)
        out[by_cpu] = after
        return out

    @cached_property
    def _outer(self) -> Indices:
        """Per stretch that begins an interval, the one that the next outer interval begins with; -1 where none."""
        outer = np.full(len(self._begin), -1, dtype=np.int64)
        opens = np.flatnonzero(self._opens)
        depth = self._depth[opens]
        block = np.searchsorted(self.trace.blocks, self._begin[opens], side="right")
        for level in range(2, int(depth.max(initial=0)) + 1):
            latest = np.maximum.accumulate(np.where(depth == level - 1, np.arange(len(opens)), -1))
            mine = np.flatnonzero(depth == level)
            found = latest[mine]
            fits = (found >= 0) & (block[found] == block[mine])
            outer[opens[mine[fits]]] = opens[found[fits]]
        return outer

    def parent(self, openers: Indices) -> Indices:
        """Return for each record that began an interval the beginning of the next outer one; -1 where none."""
        return self._records_of(self._outer[self._number[self.trace.position[openers]]])


def contexts(trace: Trace, *spans: Intervals) -> Contexts:
    """Find the context of every record among all the intervals given."""
    running = np.concatenate([span.running for span in spans])
    start = np.concatenate([*(span.start for span in spans), running])
    end = np.concatenate([*(span.end for span in spans), trace.last_on(trace.cpu[running])])
    return Contexts(trace, trace.position[start], trace.position[end])
