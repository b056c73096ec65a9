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

from dataclasses import dataclass

import numpy as np

from dirql.trace.decode import Trace
from dirql.trace.intervals import Contexts, factorize, stable_groups
from dirql.trace.schema import Flags, Indices


@dataclass(frozen=True)
class DpcRuns:
    """The history of all KDPCs, as indices of records.

    Attributes:
        insert: insertions that returned TRUE.
        taken: for each, the DpcStart or DpcRemove that took it off the queue; -1 while queued when the trace ends.
        requeued: insertions that returned TRUE although the DPC was queued.
        orphans: DpcStart records without an insertion.
        inherited: DpcStart records that were queued before the trace began.
        refused: insertions that returned FALSE although the DPC was not queued.
    """

    insert: Indices
    taken: Indices
    requeued: Indices
    orphans: Indices
    inherited: Indices
    refused: Indices

    def runs(self, trace: Trace) -> tuple[Indices, Indices]:
        """Return the insertions that led to a run, and the DpcStart of each."""
        done = self.taken >= 0
        insert, taken = self.insert[done], self.taken[done]
        started = trace.event[taken] == trace.meta.events["DpcStart"]
        return insert[started], taken[started]


def dpc_runs(trace: Trace, in_frames: Contexts) -> DpcRuns:
    """Follow every KDPC through the trace.

    Args:
        trace: the trace.
        in_frames: the context of each record among the interrupts above DISPATCH_LEVEL.
    """
    index = trace.where("DpcInsert", "DpcStart", "DpcRemove")
    insert_event, start_event = trace.meta.events["DpcInsert"], trace.meta.events["DpcStart"]
    event = trace.event[index]
    effective = (event == start_event) | ((trace.arg1[index] & np.uint64(0xFF)) != 0)
    index, event = index[effective | (event == insert_event)], event[effective | (event == insert_event)]
    before = in_frames.previous(index)
    earliest = np.where(before >= 0, trace.time[before], 0) - trace.skew_ticks
    latest = trace.time[index]
    queues = event == insert_event
    inserted = (trace.arg1[index] & np.uint64(0xFF)) != 0
    _, number = factorize(trace.arg0[index])
    order = stable_groups(number)
    cuts = np.flatnonzero(np.diff(number[order])) + 1
    parts = [
        _follow(index[part], queues[part], inserted[part], earliest[part], latest[part])
        for part in np.split(order, cuts)
        if len(part)
    ]
    none = np.zeros(0, dtype=np.int64)
    joined = [np.concatenate([part[k] for part in parts]) if parts else none for k in range(6)]
    orphans = joined[3]
    orphans = orphans[trace.event[orphans] == start_event]
    by_insert = np.argsort(joined[0], kind="stable")
    return DpcRuns(joined[0][by_insert], joined[1][by_insert], joined[2], orphans, joined[4], joined[5])


_Part = tuple[Indices, Indices, Indices, Indices, Indices, Indices]


def _follow(index: Indices, queues: Flags, inserted: Flags, earliest: Indices, latest: Indices) -> _Part:
    """Follow one KDPC: insertions (TRUE, FALSE) and removals in the order of their records."""
    acts = np.flatnonzero(~queues | inserted)
    refusals = np.flatnonzero(queues & ~inserted)
    inherited = np.zeros(0, dtype=np.int64)
    old = -1
    soonest = earliest[acts[queues[acts]]].min(initial=np.iinfo(np.int64).max)
    if len(acts) and not queues[acts[0]] and soonest >= latest[acts[0]]:
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
        if not len(inserts) and old < 0 and not len(orphans):
            was_queued[:] = True  # nothing but refusals: it was queued before the trace began, and still is
        refused = index[refusals[~was_queued]]
    taken = np.where(takes >= 0, index[takes], -1)
    return index[inserts], taken, index[requeued], index[orphans], inherited, refused


def _alternate(
    acts: Indices, queues: Flags, earliest: Indices, latest: Indices
) -> tuple[Indices, Indices, Indices, Indices]:
    """Match insertions with removals: (insertions, removal of each or -1, requeued, orphans), as positions in the part."""
    is_insert = queues[acts]
    expected = np.arange(len(acts)) % 2 == 0
    if (is_insert == expected).all():
        inserts, takes = acts[0::2], acts[1::2]
        if len(takes) < len(inserts):
            takes = np.append(takes, -1)
        none = np.zeros(0, dtype=np.int64)
        return inserts, takes, none, none
    # Cut where nothing that comes later can have happened earlier, and the balance is one that can be.
    balance = np.cumsum(np.where(is_insert, 1, -1))
    later = np.minimum.accumulate(earliest[acts][::-1])[::-1]
    quiet = np.flatnonzero((later[1:] >= latest[acts][:-1]) & ((balance[:-1] == 0) | (balance[:-1] == 1))) + 1
    pieces: tuple[list[int], list[int], list[int], list[int]] = ([], [], [], [])
    queued_by: int | None = None
    for piece in np.split(acts, quiet):
        queued_by = _greedy(piece, queues, earliest, latest, queued_by, pieces)
    if queued_by is not None:
        pieces[0].append(queued_by)
        pieces[1].append(-1)
    inserts, takes, requeued, orphans = (np.array(piece, dtype=np.int64) for piece in pieces)
    return inserts, takes, requeued, orphans


def _greedy(
    piece: Indices,
    queues: Flags,
    earliest: Indices,
    latest: Indices,
    queued_by: int | None,
    out: tuple[list[int], list[int], list[int], list[int]],
) -> int | None:
    """Let the acts of a piece alternate, each as early as it can be, the most urgent first.

    Acts take no time, so to do what is possible now never hurts what must be done later: if this finds no order, none is.

    Returns:
        The insertion that the DPC is still queued by, or None.
    """
    matched_inserts, matched_takes, requeued, orphans = out
    waiting = {True: [int(act) for act in piece if queues[act]], False: [int(act) for act in piece if not queues[act]]}
    now = int(np.iinfo(np.int64).min)
    while waiting[True] or waiting[False]:
        wanted = queued_by is None
        if not waiting[wanted]:
            for act in waiting[not wanted]:
                (orphans if wanted else requeued).append(act)
            break
        at = max(now, min(int(earliest[act]) for act in waiting[wanted]))
        act = min((act for act in waiting[wanted] if earliest[act] <= at), key=lambda act: int(latest[act]))
        late = [other for other in waiting[not wanted] if latest[other] < at]
        if late:
            (orphans if wanted else requeued).extend(late)
            waiting[not wanted] = [other for other in waiting[not wanted] if other not in late]
            continue
        waiting[wanted].remove(act)
        now = at
        if wanted:
            queued_by = act
        else:
            assert queued_by is not None
            matched_inserts.append(queued_by)
            matched_takes.append(act)
            queued_by = None
    return queued_by
