# SPDX-License-Identifier: Apache-2.0
"""DPC-6, DPC-7, DPC-8, DPC-15: in what order a DPC queue is served, and when; threaded DPCs.

Evidence for the order: of two DPCs that were in one queue, which was certainly queued first and which certainly taken
first. An act lies between the record before it in its context and its own; across CPUs less the clocks' skew.

Evidence for the time: a DPC that a CPU queued to its own queue at medium importance or above, or to the queue for the
first available CPU, makes that CPU's DPC interrupt pending; so it is taken before the CPU does anything more below
DISPATCH_LEVEL. A record that the CPU makes there, with interrupts on, is proof, unless another CPU may have been about
to send that interrupt (its IpiSend is found before the next one): then one request stands for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dirql.trace.history.history import (
    DISPATCH_LEVEL,
    PASSIVE_LEVEL,
    THREAD_EVENTS,
    History,
    interrupted_irql,
    vector_of,
)
from dirql.trace.history.intervals import contexts
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.schema import Flags, Indices

_NEEDS = ("DpcInsert", "DpcStart", "ThreadedDpcStart", "DpcRemove", *THREAD_EVENTS)

DPC_6 = Clause(
    "DPC-6",
    "a CPU's DPC queue is first in, first out; high importance goes to the head",
    "organization-of-dpc-queues",
    _NEEDS,
)
DPC_7 = Clause(
    "DPC-7",
    "a DPC for the first available CPU is not left waiting by a CPU that falls below DISPATCH_LEVEL",
    "using-spin-locks--an-example",
    (*_NEEDS, "IpiSend"),
)
DPC_8 = Clause(
    "DPC-8",
    "a DPC of medium importance or above is run as soon as its CPU falls below DISPATCH_LEVEL",
    "organization-of-dpc-queues",
    (*_NEEDS, "IpiSend"),
)
DPC_15 = Clause(
    "DPC-15",
    "a threaded DPC runs at PASSIVE_LEVEL, in its CPU's order, in no interrupt, DPC or other threaded DPC",
    "introduction-to-threaded-dpcs",
    (*_NEEDS, "ThreadedDpcEnd"),
    alone=True,
)

ANY_CPU = 0xFF
LOW_IMPORTANCE = 0
HIGH_IMPORTANCE = 2
DPC_VECTOR = 0x2F

_THREADED = 1 << 8


@dataclass(frozen=True)
class _Runs:
    """Insertions that led to a run.

    Attributes:
        insert: the DpcInsert records.
        start: the start of each.
        queue: which queue: the CPU, 0xFF for the first available; 0x100 more for threaded ones.
        high: went to the head.
    """

    insert: Indices
    start: Indices
    queue: Indices
    high: Flags

    def __getitem__(self, which: Flags | Indices) -> _Runs:
        return _Runs(self.insert[which], self.start[which], self.queue[which], self.high[which])


def judge(history: History) -> list[Finding]:
    """Judge all DPC queues of a trace."""
    order, shared, prompt, threaded = (Finding(clause, history.trace) for clause in (DPC_6, DPC_7, DPC_8, DPC_15))
    insert, start = history.dpc_runs.runs(history.trace)
    if len(insert):
        word = history.trace.arg1[insert]
        is_threaded = history.trace.are(start, "ThreadedDpcStart")
        queue = ((word >> np.uint64(8)) & np.uint64(0xFF)).astype(np.int64) + _THREADED * is_threaded
        runs = _Runs(insert, start, queue, (word >> np.uint64(16)) & np.uint64(0xFF) == HIGH_IMPORTANCE)
        order.judged = int((queue < _THREADED).sum())
        _judge_order(history, runs[queue < _THREADED], order)
        _judge_order(history, runs[queue >= _THREADED], threaded)
    _judge_prompt(history, shared, prompt)
    _judge_threaded(history, threaded)
    return [order, shared, prompt, threaded]


def _judge_order(history: History, runs: _Runs, finding: Finding) -> None:
    if len(runs.insert) < 2:
        return
    trace = history.trace
    own = runs.queue & 0xFF == trace.cpu[runs.start]  # taken by one CPU, whose own order is exact
    found: dict[int, int] = {}
    part = runs[own]
    by_time = (history.earliest[part.insert], trace.time[part.insert])
    found.update(_passed(part, part.queue, *by_time))
    here = part[trace.cpu[part.insert] == trace.cpu[part.start]]
    previous = history.previous_here[here.insert]
    found.update(_passed(here, here.queue, previous, here.insert - 1))
    found.update(_behind_head(history, part))
    for late, early in sorted(found.items()):
        one, other = (int(np.flatnonzero(runs.insert == index)[0]) for index in (late, early))
        head = runs.start[one] < runs.start[other]
        first, second = (one, other) if head else (other, one)
        why = "which had been put before it with high importance" if head else "behind which it had been queued"
        finding.add(
            f"CPU {trace.cpu[runs.start[one]]} ran the DPC {trace.arg0[runs.insert[first]]:#x} before "
            f"{trace.arg0[runs.insert[second]]:#x}, {why}",
            sorted(int(index) for at in (one, other) for index in (runs.insert[at], runs.start[at])),
            [trace.arg1[runs.start[one]], trace.arg1[runs.start[other]]],
        )


def _passed(runs: _Runs, group: Indices, earliest: Indices, latest: Indices) -> dict[int, int]:
    """Find DPCs that ran after one that was queued behind them: insertion of the late one -> of the early one.

    Args:
        runs: those of one kind.
        group: the queue of each.
        earliest: a moment after which each was queued.
        latest: a moment before which it was, on the same scale.
    """
    if len(runs.insert) < 2:
        return {}
    low = min(int(earliest.min(initial=0)), int(latest.min()), 0) if len(latest) else 0
    low = max(low, -(1 << 40))
    behind = np.where(runs.high, low, np.maximum(earliest, low)) - low
    mine = latest - low
    order = np.lexsort((runs.start, group))
    span = int(max(behind.max(), mine.max())) + 1
    value = group[order] * span + behind[order]
    reach = np.maximum.accumulate(value)
    holder = np.maximum.accumulate(np.where(value == reach, np.arange(len(order)), 0))
    late = np.flatnonzero(reach[:-1] > group[order][1:] * span + mine[order][1:]) + 1
    return {int(runs.insert[order[at]]): int(runs.insert[order[holder[at - 1]]]) for at in late}


def _behind_head(history: History, runs: _Runs) -> dict[int, int]:
    """Find DPCs that ran before one of high importance that stood before them: insertion of the one -> of the other.

    A head that was queued before a DPC was taken stands before it, unless the DPC is such a head itself and came later.
    """
    trace = history.trace
    found: dict[int, int] = {}
    previous = history.previous_here
    for queue in np.unique(runs.queue[runs.high]):
        mine = runs[runs.queue == queue]
        heads = mine[mine.high]
        heads = heads[np.argsort(heads.insert)]
        own = trace.cpu[heads.insert] == trace.cpu[heads.start]
        for chosen, exact in ((heads[own], True), (heads, False)):
            if not len(chosen.insert):
                continue
            if exact:
                at = np.searchsorted(chosen.insert, previous[mine.start], side="right") - 1
            else:
                at = np.searchsorted(trace.time[chosen.insert], history.earliest[mine.start]) - 1
            latest = np.maximum.accumulate(chosen.start)
            last = np.maximum.accumulate(np.where(chosen.start == latest, np.arange(len(latest)), 0))
            head = chosen[last[np.maximum(at, 0)]]
            first = certainly_before(history, mine.insert, head.insert) | ~mine.high
            wrong = (at >= 0) & first & (mine.start < head.start) & (mine.insert != head.insert)
            found.update(zip(mine.insert[wrong].tolist(), head.insert[wrong].tolist(), strict=True))
    return found


def certainly_before(history: History, one: Indices, other: Indices) -> Flags:
    """Tell whether what records `one` say was certainly done before what records `other` say."""
    trace = history.trace
    same: Flags = (trace.cpu[one] == trace.cpu[other]) & (history.previous_here[other] >= one)
    same |= trace.time[one] < history.earliest[other]
    return same


def _judge_prompt(history: History, shared: Finding, prompt: Finding) -> None:
    """Look for what a CPU did below DISPATCH_LEVEL before it took a DPC that it had queued."""
    trace, runs = history.trace, history.dpc_runs
    word = trace.arg1[runs.insert]
    queue = ((word >> np.uint64(8)) & np.uint64(0xFF)).astype(np.int64)
    cpu = trace.cpu[runs.insert]
    ordinary = (word >> np.uint64(24)) & np.uint64(1) == 0
    any_cpu = ordinary & (queue == ANY_CPU)
    own = ordinary & (queue == cpu) & ((word >> np.uint64(16)) & np.uint64(0xFF) != LOW_IMPORTANCE)
    shared.judged, prompt.judged = int(any_cpu.sum()), int(own.sum())
    mine = np.flatnonzero(any_cpu | own)
    if not len(mine):
        return
    insert, taken = runs.insert[mine], runs.taken[mine]
    after = _next_below(history, insert)
    known = np.flatnonzero((after >= 0) & (taken >= 0))
    insert, taken, after, mine = insert[known], taken[known], after[known], mine[known]
    same = trace.cpu[taken] == trace.cpu[insert]
    late = np.where(same, after < taken, trace.time[after] < history.earliest[taken])
    for at in np.flatnonzero(late):
        if _another_asks(history, int(insert[at]), int(after[at])):
            continue
        finding = shared if any_cpu[mine[at]] else prompt
        finding.add(
            f"CPU {trace.cpu[insert[at]]} queued the DPC {trace.arg0[insert[at]]:#x} and went on below DISPATCH_LEVEL "
            "before it was taken",
            [insert[at], after[at], taken[at]],
            [trace.arg1[taken[at]]],
        )


def _next_below(history: History, index: Indices) -> Indices:
    """Return for each record the next of its CPU that shows it below DISPATCH_LEVEL with interrupts on; -1: none."""
    trace = history.trace
    free = trace.irql < DISPATCH_LEVEL
    beside = ("InterruptExit", "IdleEnter", "IdleExit", "ThreadedDpcStart", "ThreadedDpcEnd", "CpuStart")
    for name in (*beside, "ApcStart", "ApcEnd", "PageOut", "PageIn"):
        free[trace.where(name)] = False  # recorded with interrupts off, or beside the queues
    raises = trace.where("IrqlRaise")
    free[raises] = trace.arg0[raises] & np.uint64(0xFF) < DISPATCH_LEVEL
    before = trace.by_cpu[np.maximum(trace.position[raises] - 1, 0)]
    raised = trace.are(before, "InterruptExit") & (trace.cpu[before] == trace.cpu[raises])
    raised &= interrupted_irql(trace, before) >= DISPATCH_LEVEL
    free[raises[raised]] = False  # interrupted between the raise and its record: it was made before all that
    places = np.flatnonzero(free[trace.by_cpu])
    if not len(places):
        return np.full(len(index), -1, dtype=np.int64)
    at = np.searchsorted(places, trace.position[index] + 1)
    found = trace.by_cpu[places[np.minimum(at, len(places) - 1)]]
    return np.where((at < len(places)) & (trace.cpu[found] == trace.cpu[index]), found, -1)


def _another_asks(history: History, insert: int, after: int) -> bool:
    """Tell whether another CPU may have asked for the DPC interrupt first: it says so before the interrupt comes."""
    trace = history.trace
    cpu = trace.cpu[insert]
    enters = trace.where("InterruptEnter")
    mine = enters[(trace.cpu[enters] == cpu) & (vector_of(trace, enters) == DPC_VECTOR)]
    if trace.cpus == 1:
        return False
    if not len(mine) or mine[-1] < after:
        return True
    until = trace.time[mine[np.searchsorted(mine, after)]] + trace.skew_ticks
    before = np.searchsorted(mine, insert) - 1
    since = trace.time[mine[before]] - trace.skew_ticks if before >= 0 else -1
    sends = trace.where("IpiSend")
    target = trace.arg1[sends] & np.uint64(0xFF)
    asks = (trace.cpu[sends] != cpu) & (trace.arg0[sends] == DPC_VECTOR) & ((target == cpu) | (target == ANY_CPU))
    asks &= (trace.time[sends] >= since) & (trace.time[sends] <= until)
    return bool(asks.any())


def _judge_threaded(history: History, finding: Finding) -> None:
    trace, spans = history.trace, history.threaded_dpcs
    starts = trace.where("ThreadedDpcStart")
    finding.judged = len(starts)
    both = trace.where("ThreadedDpcStart", "ThreadedDpcEnd")
    for index in both[trace.irql[both] != PASSIVE_LEVEL]:
        verb = "began" if trace.are(np.array([index]), "ThreadedDpcStart")[0] else "ended"
        finding.add(
            f"the threaded DPC {trace.arg0[index]:#x} {verb} on CPU {trace.cpu[index]} at IRQL {trace.irql[index]}, "
            "not PASSIVE_LEVEL",
            [index],
            [trace.arg1[index]],
            certain=True,
        )
    if not len(starts):
        return
    threads = contexts(trace, spans)
    around = history.in_routines.opener[starts]
    around = np.where(around >= 0, around, threads.parent(starts))
    for at in np.flatnonzero(around >= 0):
        index, outer = starts[at], around[at]
        finding.add(
            f"the threaded DPC {trace.arg0[index]:#x} began on CPU {trace.cpu[index]} inside "
            f"{trace.meta.events.name(int(trace.event[outer]))}",
            [outer, index],
            [trace.arg1[outer], trace.arg1[index]],
        )
    insert, start = history.dpc_runs.runs(trace)
    target = ((trace.arg1[insert] >> np.uint64(8)) & np.uint64(0xFF)).astype(np.int64)
    wrong = trace.are(start, "ThreadedDpcStart") & (target != ANY_CPU) & (target != trace.cpu[start])
    for at in np.flatnonzero(wrong):
        finding.add(
            f"the threaded DPC {trace.arg0[start[at]]:#x} was queued to CPU {target[at]} and ran on "
            f"CPU {trace.cpu[start[at]]}",
            [insert[at], start[at]],
            [trace.arg1[start[at]]],
        )
