# SPDX-License-Identifier: Apache-2.0
"""Finds intervals that should exclude each other and do not."""

from __future__ import annotations

import numpy as np

from dirql.trace.history.intervals import stable_groups
from dirql.trace.schema import Indices


def overlaps(group: Indices, begin: Indices, end: Indices, skew: int) -> tuple[Indices, Indices]:
    """Find pairs of intervals of one group that overlap.

    Each interval is compared with the one, among those of its group that began before it, that lasts longest: whenever
    a group has an overlap at all, at least one pair is found, and each interval is reported at most once as the later.

    Args:
        group: which intervals exclude each other: those of equal number.
        begin: beginnings, in ticks.
        end: ends, in ticks.
        skew: overlaps of up to so many ticks are none.

    Returns:
        Positions of the earlier and of the later interval of each pair.
    """
    none = np.zeros(0, dtype=np.int64)
    if len(group) < 2:
        return none, none
    order = _by_group(group, begin, end)
    group, begin, end = group[order], begin[order], end[order]
    first = np.ones(len(group), dtype=np.bool_)
    first[1:] = group[1:] != group[:-1]
    low = int(begin.min())
    span = int(end.max()) - low + 1
    rank = np.cumsum(first) - 1  # groups one after another on one axis: a running maximum does not leak between them
    if int(rank[-1]) < (1 << 62) // span:
        reach = np.maximum.accumulate(rank * span + (end - low)) - rank * span + low
    else:
        parts = np.split(end, np.flatnonzero(first)[1:])
        reach = np.concatenate([np.maximum.accumulate(part) for part in parts])
    later = np.flatnonzero((begin[1:] < reach[:-1] - skew) & ~first[1:]) + 1
    if not len(later):
        return none, none
    longest = np.maximum.accumulate(np.where(end == reach, np.arange(len(end)), 0))
    return order[longest[later - 1]], order[later]


def _by_group(group: Indices, begin: Indices, end: Indices) -> Indices:
    """Return the order by group, then begin, then end: cheap where the beginnings are in order already."""
    order = stable_groups(group)
    if (np.diff(begin[order]) > 0)[np.diff(group[order]) == 0].all():
        return order
    return np.lexsort((end, begin, group))
