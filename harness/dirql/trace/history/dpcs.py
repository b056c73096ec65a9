# SPDX-License-Identifier: Apache-2.0
"""Which insertion of a DPC led to which run.

A KDPC is either queued or not; insertions that returned TRUE and removals from the queue (a run's start,
KeRemoveQueueDpc) alternate. But a record is made beside the act, not at its very instant: between the moment a CPU took
a DPC off the queue and its DpcStart record, an interrupt of the same CPU, or another CPU, may have queued it again and
said so. What is certain is that the act lies after the previous record of the same context and not after its own. So
where the order of the records alone does not alternate, each act may take place anywhere in that window, and only if no
order of all acts within their windows alternates is something wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dirql.trace.decode import Trace
from dirql.trace.history.intervals import Contexts, factorize, stable_groups
from dirql.trace.history.threads import READY, STANDBY, Threads, left_state
from dirql.trace.schema import Flags, Indices

if TYPE_CHECKING:
    from dirql.trace.lookup import Lookup

SEARCH_STEPS = 20_000
STARTS = ("DpcStart", "ThreadedDpcStart")
"""What takes a DPC off its queue to run it."""


@dataclass(frozen=True)
class DpcRuns:
    """The history of all KDPCs, as indices of records.

    Attributes:
        insert: insertions that returned TRUE.
        taken: for each, the start or DpcRemove that took it off the queue; -1 while queued when the trace ends.
        requeued: insertions that returned TRUE although the DPC was queued.
        orphans: starts without an insertion.
        inherited: starts that were queued before the trace began.
        refused: insertions that returned FALSE although the DPC was not queued.
        unqueued: removals that returned TRUE although the DPC was not queued.
    """

    insert: Indices
    taken: Indices
    requeued: Indices
    orphans: Indices
    inherited: Indices
    refused: Indices
    unqueued: Indices

    def runs(self, trace: Trace) -> tuple[Indices, Indices]:
        """Return the insertions that led to a run, and the start of each, threaded or not."""
        done = self.taken >= 0
        insert, taken = self.insert[done], self.taken[done]
        started = starts(trace, taken)
        return insert[started], taken[started]


def dpc_runs(trace: Trace, in_frames: Contexts, previous: Lookup) -> DpcRuns:
    """Follow every KDPC through the trace.

    Args:
        trace: the trace.
        in_frames: the context of each record among the interrupts above DISPATCH_LEVEL.
        previous: finds for each record the one before it in its context or thread, -1 for none.
    """
    index = trace.where("DpcInsert", *STARTS, "DpcRemove")
    insert_event = trace.meta.events["DpcInsert"]
    event = trace.event[index]
    effective = starts(trace, index) | ((trace.arg1[index] & np.uint64(0xFF)) != 0)
    index, event = index[effective | (event == insert_event)], event[effective | (event == insert_event)]
    before = previous[index]
    earliest = np.where(before >= 0, trace.time[before], 0) - trace.skew_ticks
    latest = trace.time[index]
    same = (before >= 0) & (trace.arg0[before] == trace.arg0[index]) & (trace.cpu[before] == trace.cpu[index])
    own = np.flatnonzero(same & _is_act(trace, before))
    earliest[own] = np.minimum(trace.time[before[own]] + 1, latest[own])  # the CPU's own order: no skew, no doubt
    queues = event == insert_event
    inserted = (trace.arg1[index] & np.uint64(0xFF)) != 0
    _, number = factorize(trace.arg0[index])
    order = stable_groups(number)
    tidy, order = _tidy(index, queues, queues & ~inserted, number, order)
    cuts = np.flatnonzero(np.diff(number[order])) + 1
    parts = [tidy] + [
        _follow(index[part], queues[part], inserted[part], earliest[part], latest[part], trace.meta.quiet is not None)
        for part in np.split(order, cuts)
        if len(part)
    ]
    none = np.zeros(0, dtype=np.int64)
    joined = [np.concatenate([part[k] for part in parts]) if parts else none for k in range(6)]
    insert, taken, requeued, orphans, inherited, refused = joined
    unqueued, orphans = orphans[trace.are(orphans, "DpcRemove")], orphans[starts(trace, orphans)]
    doubtful = (requeued, orphans, refused, unqueued)
    if any(len(each) for each in doubtful):
        clear = min(_first_open_act(trace, in_frames), _first_preempted_act(trace))
        requeued, orphans, refused, unqueued = (each[trace.time[each] <= clear] for each in doubtful)
    by_insert = np.argsort(insert, kind="stable")
    return DpcRuns(insert[by_insert], taken[by_insert], requeued, orphans, inherited, refused, unqueued)


def _first_open_act(trace: Trace, in_frames: Contexts) -> int:
    """Return the time up to which no CPU can have done something to a DPC whose record is beyond the end of the trace.

    That is the last record of each context that is open when the trace ends; or the last interrupt of it that was taken
    below DISPATCH_LEVEL, because queues are not touched there. A halted CPU has none.
    """
    time = np.iinfo(np.int64).max
    for cpu in range(trace.cpus):
        mine = trace.on_cpu(cpu)
        if not len(mine) or trace.are(mine[-1:], "IdleEnter")[0]:
            continue
        context = in_frames.opener[mine]
        inner = int(context[-1])
        ended = trace.are(mine[-1:], "InterruptExit")[0]
        while inner >= 0:
            if not ended:
                time = min(time, int(trace.time[mine[context == inner][-1]]))
            ended = False
            inner = int(in_frames.parent(np.array([inner]))[0])
        low = trace.are(mine, "InterruptEnter") & ((trace.arg0[mine] >> np.uint64(8)) & np.uint64(0xFF) < 2)
        outside = mine[(context < 0) | low]
        time = min(time, int(trace.time[outside[-1]]) if len(outside) else 0)
    return time


def _first_preempted_act(trace: Trace) -> int:
    """Return the same for the threads of threaded DPCs: they may have lost their CPU before they say what they took.

    That is the last record of each that was preempted when the trace ends.
    """
    time = np.iinfo(np.int64).max
    begun = trace.where("ThreadedDpcStart")
    threads = Threads(trace)
    if not len(begun) or not threads.switched:
        return time
    spells = threads.spells
    for number in np.unique(threads.number[begun]):
        mine = np.flatnonzero(spells.thread == number)
        latest = mine[np.argmax(spells.begin[mine])]
        end = int(spells.end[latest])
        if end >= 0 and left_state(trace, np.array([end]))[0] in (READY, STANDBY):
            time = min(time, int(trace.time[spells.last[latest]]))
    return time


def starts(trace: Trace, index: Indices) -> Flags:
    """Tell which records are the start of a DPC, threaded or not."""
    return trace.are(index, STARTS[0]) | trace.are(index, STARTS[1])


def _is_act(trace: Trace, index: Indices) -> Flags:
    return trace.are(index, "DpcInsert") | starts(trace, index) | trace.are(index, "DpcRemove")


_Part = tuple[Indices, Indices, Indices, Indices, Indices, Indices]


def _tidy(index: Indices, queues: Flags, refused: Flags, number: Indices, order: Indices) -> tuple[_Part, Indices]:
    """Follow the KDPCs that are queued and taken in turns as the records have it: most are.

    Args:
        index: the acts.
        queues: which of them are insertions.
        refused: which of those returned FALSE.
        number: the KDPC of each.
        order: the acts, KDPC after KDPC.

    Returns:
        What `_follow` returns, for these; `order` without them.
    """
    none = np.zeros(0, dtype=np.int64)
    if not len(order):
        return (none,) * 6, order
    mine = number[order]
    first = np.concatenate([[True], mine[1:] != mine[:-1]])
    place = np.arange(len(order))
    place -= np.maximum.accumulate(np.where(first, place, 0))
    wrong = (queues[order] != (place % 2 == 0)) | refused[order]
    untidy = np.zeros(int(mine[-1]) + 1, dtype=np.bool_)
    untidy[mine[wrong]] = True
    rest = untidy[mine]
    inserts = np.flatnonzero(~rest & (place % 2 == 0))
    done = np.append(~first[1:], False)[inserts]
    takes = np.where(done, index[order[np.minimum(inserts + 1, len(order) - 1)]], -1)
    return (index[order[inserts]], takes, none, none, none, none), order[rest]


def _follow(index: Indices, queues: Flags, inserted: Flags, earliest: Indices, latest: Indices, fresh: bool) -> _Part:
    """Follow one KDPC: insertions (TRUE, FALSE) and removals in the order of their records; `fresh`: not queued yet."""
    acts = np.flatnonzero(~queues | inserted)
    refusals = np.flatnonzero(queues & ~inserted)
    inherited = np.zeros(0, dtype=np.int64)
    old = -1
    soonest = earliest[acts[queues[acts]]].min(initial=np.iinfo(np.int64).max)
    if not fresh and len(acts) and not queues[acts[0]] and soonest > latest[acts[0]]:
        old = int(acts[0])  # no insertion can have come before it: it was queued before the trace began
        inherited, acts = index[acts[:1]], acts[1:]
    inserts, takes, requeued, orphans = _alternate(acts, queues, earliest, latest)
    refused = np.zeros(0, dtype=np.int64)
    if len(refusals):
        opened = earliest[inserts]
        closed = np.where(takes >= 0, latest[takes], np.iinfo(np.int64).max)
        if old >= 0:
            opened, closed = np.insert(opened, 0, np.iinfo(np.int64).min), np.insert(closed, 0, latest[old])
        by_opening = np.argsort(opened, kind="stable")
        reach = np.maximum.accumulate(closed[by_opening]) if len(closed) else closed
        at = np.searchsorted(opened[by_opening], latest[refusals], side="right") - 1
        was_queued = at >= 0
        if len(reach):
            was_queued &= reach[np.maximum(at, 0)] >= earliest[refusals]
        if not fresh and not len(inserts) and old < 0 and not len(orphans):
            was_queued[:] = True  # nothing but refusals: it was queued before the trace began, and still is
        refused = index[refusals[~was_queued]]
    taken = np.where(takes >= 0, index[takes], -1)
    return index[inserts], taken, index[requeued], index[orphans], inherited, refused


_Matches = tuple[Indices, Indices, Indices, Indices]
"""(insertions, removal of each or -1, insertions of a queued DPC, removals of one that was not)."""


def _alternate(acts: Indices, queues: Flags, earliest: Indices, latest: Indices) -> _Matches:
    """Match insertions with removals, as positions in the part.

    The acts come in the order of their records. Where those alternate nothing has to be searched.
    """
    none = np.zeros(0, dtype=np.int64)
    is_insert = queues[acts]
    step = np.where(is_insert, 1, -1)
    before = np.cumsum(step) - step
    wrong = is_insert != (before == 0)
    bounds = _quiet(acts, earliest, latest)
    order = acts.copy()
    for at in np.unique(np.searchsorted(bounds, np.flatnonzero(wrong), side="right")):
        begin, end = int(bounds[at - 1]), int(bounds[at])
        piece = _acts(acts[begin:end], queues, earliest, latest)
        found = _order(piece, queued=bool(before[begin])) if before[begin] in (0, 1) else None
        if found is None:
            return _alternate_or_report(acts, bounds, queues, earliest, latest)
        order[begin:end] = [act.place for act in found]
    inserts, takes = order[0::2], order[1::2]
    if len(takes) < len(inserts):
        takes = np.append(takes, -1)
    return inserts, takes, none, none


def _alternate_or_report(acts: Indices, bounds: Indices, queues: Flags, earliest: Indices, latest: Indices) -> _Matches:
    """Match what can be matched, piece by piece, where not everything can."""
    found: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
    inserts_found, takes_found, requeued, orphans = found
    queued_by = -1
    for begin, end in pairwise(bounds.tolist()):
        piece = _acts(acts[begin:end], queues, earliest, latest)
        order = _order(piece, queued=queued_by >= 0)
        for act in order or piece:
            if act.inserts:
                if queued_by >= 0:
                    requeued.append(act.place)
                else:
                    queued_by = act.place
            elif queued_by < 0:
                orphans.append(act.place)
            else:
                inserts_found.append(queued_by)
                takes_found.append(act.place)
                queued_by = -1
    if queued_by >= 0:
        inserts_found.append(queued_by)
        takes_found.append(-1)
    inserts, takes, twice, without = (np.array(places, dtype=np.int64) for places in found)
    return inserts, takes, twice, without


class _Act(NamedTuple):
    """One insertion (TRUE) or removal, and the window in which it took place."""

    place: int
    inserts: bool
    earliest: int
    latest: int


def _quiet(acts: Indices, earliest: Indices, latest: Indices) -> Indices:
    """Return the bounds of the pieces that can be ordered apart: no act can precede one of an earlier piece."""
    if not len(acts):
        return np.zeros(1, dtype=np.int64)
    soonest = np.minimum.accumulate(earliest[acts][::-1])[::-1]
    cuts = np.flatnonzero(soonest[1:] > latest[acts][:-1]) + 1
    return np.concatenate([[0], cuts, [len(acts)]])


def _acts(places: Indices, queues: Flags, earliest: Indices, latest: Indices) -> list[_Act]:
    columns = zip(
        places.tolist(), queues[places].tolist(), earliest[places].tolist(), latest[places].tolist(), strict=True
    )
    return [_Act(*row) for row in columns]


def _order(piece: list[_Act], *, queued: bool) -> list[_Act] | None:
    """Find an order of the acts, each within its window, in which insertions and removals alternate.

    Returns:
        The order; None if there is none. If the search becomes too long, whatever order alternates: nothing is proved.
    """
    if all(act.inserts != (queued ^ bool(at % 2)) for at, act in enumerate(piece)):
        return piece
    excess = sum(1 if act.inserts else -1 for act in piece) + queued
    if excess not in (0, 1):
        return None
    # Depth first, most urgent first. Of two ways to have done the same acts, the one that is done earlier is as good.
    start = min(act.earliest for act in piece)
    trail: list[int] = []
    reached: dict[int, int] = {}
    branches = [_choices(piece, (1 << len(piece)) - 1, start, queued)]
    for _ in range(SEARCH_STEPS):
        choice = next(branches[-1], None)
        if choice is None:
            branches.pop()
            if not branches:
                return None
            trail.pop()
            continue
        at, left, now = choice
        if not left:
            return [piece[at] for at in [*trail, at]]
        if reached.get(left, now + 1) > now:
            reached[left] = now
            trail.append(at)
            branches.append(_choices(piece, left, now, queued ^ bool(len(trail) % 2)))
    return _any_order(piece, queued=queued)


def _choices(piece: list[_Act], left: int, now: int, queued: bool) -> Iterator[tuple[int, int, int]]:
    """Yield each act that may come next: its number, the acts left after it, and when it is done."""
    rest = [at for at in range(len(piece)) if left >> at & 1]
    deadline = min(piece[at].latest for at in rest)
    for at in rest:
        when = max(now, piece[at].earliest)
        if piece[at].inserts != queued and when <= deadline:
            yield at, left & ~(1 << at), when


def _any_order(piece: list[_Act], *, queued: bool) -> list[_Act]:
    """Let insertions and removals take turns, each kind in the order of its records."""
    turns = {kind: iter([act for act in piece if act.inserts == kind]) for kind in (True, False)}
    return [next(turns[queued == bool(at % 2)]) for at in range(len(piece))]
