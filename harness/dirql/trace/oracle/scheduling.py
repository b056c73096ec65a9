# SPDX-License-Identifier: Apache-2.0
"""IRQL-9, THR-1, THR-RUN, THR-PRIORITY: who may be given a CPU, and when.

Evidence for IRQL-9: a switch while the CPU serves an interrupt, a DPC or a synchronised routine, or holds a spin lock
(the dispatcher's own is not in the trace); a thread that raised to DISPATCH_LEVEL, lost its CPU and had itself
lowered nothing before it lowered from there. For THR-RUN: two spells of a thread that overlap by more than the
clocks' skew, and a thread that was left waiting and runs without having been made ready. For THR-PRIORITY: a thread
was ready for a CPU, which then chose one of lower priority, and was given that same CPU later; what another CPU took
meanwhile proves nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.history import DISPATCH_LEVEL, History
from dirql.trace.history.intervals import contexts, cover
from dirql.trace.history.threads import left_priority, new_priority
from dirql.trace.oracle.verdict import Clause, Finding

if TYPE_CHECKING:
    from dirql.trace.oracle.locks import Locks
    from dirql.trace.schema import Indices

_NEEDS = ("ThreadSwitch", "ThreadReady")

IRQL_9 = Clause(
    "IRQL-9",
    "no thread switch on a CPU at DISPATCH_LEVEL or above but the dispatcher's own",
    "managing-hardware-priorities",
    ("ThreadSwitch", "LockAcquired", "LockReleased", "InterruptEnter", "InterruptExit"),
    alone=True,
)
THR_1 = Clause(
    "THR-1",
    "a thread that ends is signalled, and never runs again",
    "pscreatesystemthread; psterminatesystemthread",
    (*_NEEDS, "ThreadCreate", "ThreadExit", "Signal"),
)
THR_RUN = Clause(
    "THR-RUN", "a thread runs on one CPU at a time, and not while it waits", "kewaitforsingleobject", _NEEDS
)
THR_PRIORITY = Clause(
    "THR-PRIORITY",
    "a CPU chooses no thread while one of higher priority is ready for it",
    "managing-hardware-priorities; kesetprioritythread",
    _NEEDS,
)


def judge(history: History, locks: Locks) -> list[Finding]:
    """Judge all switches of a trace."""
    switch, ends, runs, chosen = (Finding(c, history.trace) for c in (IRQL_9, THR_1, THR_RUN, THR_PRIORITY))
    switches = history.trace.where("ThreadSwitch")
    if len(switches):
        switch.judged = len(switches)
        _judge_levels(history, locks, switches, switch)
        _judge_raised(history, switch)
        _judge_runs(history, runs)
        _judge_ends(history, ends)
        _judge_chosen(history, chosen)
    return [switch, ends, runs, chosen]


def _judge_levels(history: History, locks: Locks, switches: Indices, finding: Finding) -> None:
    trace = history.trace
    for index in switches[trace.irql[switches] != DISPATCH_LEVEL]:
        finding.add(
            f"CPU {trace.cpu[index]} switched threads at IRQL {trace.irql[index]}",
            [index],
            certain=True,
        )
    spans = (history.interrupts, history.isrs, history.syncs, history.dpcs, history.ipi_calls)
    within = history.interrupts_around[trace.position[switches]] > 0
    within |= history.in_routines.opener[switches] >= 0
    if len(history.ipi_calls) or len(history.ipi_calls.running):
        within |= cover(trace, history.ipi_calls)[trace.position[switches]] > 0
    wrong = switches[within]
    opener = contexts(trace, *spans).opener[wrong] if len(wrong) else wrong
    for at in np.flatnonzero(opener >= 0):
        index, around = wrong[at], opener[at]
        finding.add(
            f"CPU {trace.cpu[index]} switched threads inside {trace.meta.events.name(int(trace.event[around]))}",
            [around, index],
            [trace.arg1[around]],
        )
    for index in switches[locks.occupied[switches] > 0]:
        held = locks.occupant(int(index))
        finding.add(
            f"CPU {trace.cpu[index]} switched threads while it held the lock {trace.arg0[held]:#x}",
            [held, index],
            [trace.arg1[held]],
        )


def _judge_raised(history: History, finding: Finding) -> None:
    """Find threads that raised, were switched out, and lowered from the level that they had raised to."""
    trace, threads = history.trace, history.threads
    if not (trace.arg0[trace.where("IrqlRaise")] & np.uint64(0xFF) < DISPATCH_LEVEL).any():
        return
    changes = trace.where("IrqlRaise", "IrqlLower")
    changes = changes[history.of_threads[changes]]
    changes = changes[np.argsort(threads.rank[changes])]
    if len(changes) < 2:
        return
    raises = trace.are(changes, "IrqlRaise")
    low, high = trace.arg0[changes] & np.uint64(0xFF), (trace.arg0[changes] >> np.uint64(8)) & np.uint64(0xFF)
    one, other = changes[:-1], changes[1:]
    wrong = raises[:-1] & ~raises[1:] & (threads.number[one] == threads.number[other])
    wrong &= (high[:-1] >= DISPATCH_LEVEL) & (low[:-1] < DISPATCH_LEVEL) & (low[1:] == high[:-1])
    wrong &= threads.spell[one] != threads.spell[other]
    for at in np.flatnonzero(wrong):
        end = int(threads.spells.end[threads.spell[one[at]]])
        finding.add(
            f"CPU {trace.cpu[one[at]]} raised to IRQL {high[at]} and was given to another thread before that IRQL was "
            "lowered",
            sorted([int(one[at]), end, int(other[at])]),
            [trace.arg1[one[at]], trace.arg1[other[at]]],
        )


def _judge_runs(history: History, finding: Finding) -> None:
    trace, threads = history.trace, history.threads
    spells = threads.spells
    finding.judged = len(trace.where("ThreadSwitch"))
    begin = trace.time[spells.begin]
    until = np.where(spells.end >= 0, trace.time[np.maximum(spells.end, 0)], trace.time[spells.last])
    order = np.lexsort((spells.begin, spells.thread))
    for one, other in pairwise(order):
        if spells.thread[one] != spells.thread[other] or begin[other] + trace.skew_ticks >= until[one]:
            continue
        since, index = int(spells.begin[one]), int(spells.begin[other])
        finding.add(
            f"CPU {spells.cpu[other]} was given the thread {threads.address[spells.thread[one]]:#x}, which "
            f"CPU {spells.cpu[one]} ran",
            [since, index],
            [threads.start_routines[spells.thread[one]]],
        )
    for left, index in history.dispatcher.odd.ran_waiting:
        finding.add(
            f"CPU {trace.cpu[index]} was given the thread {trace.arg0[index]:#x}, which waited since CPU "
            f"{trace.cpu[left]} left it and was not made ready",
            [left, index],
        )


def _judge_ends(history: History, finding: Finding) -> None:
    trace, odd = history.trace, history.dispatcher.odd
    finding.judged += len(trace.where("ThreadExit"))
    for ended, index in odd.ran_ended:
        finding.add(
            f"CPU {trace.cpu[index]} was given the thread {trace.arg0[index]:#x}, which had ended",
            [ended, index],
        )
    for ended, index in odd.ready_ended:
        finding.add(
            f"CPU {trace.cpu[index]} made the thread {trace.arg0[index]:#x} ready, which had ended", [ended, index]
        )
    for ended, index in odd.unsignaled:
        finding.add(
            f"the thread {trace.arg0[ended]:#x} ended on CPU {trace.cpu[ended]} and was not signalled", [ended, index]
        )


def _judge_chosen(history: History, finding: Finding) -> None:
    trace = history.trace
    finding.judged = len(history.dispatcher.readied)
    for ready, switch, run in history.dispatcher.odd.passed_over:
        if trace.time[ready] + trace.skew_ticks >= trace.time[switch]:
            continue
        which = np.array([switch])
        finding.add(
            f"CPU {trace.cpu[switch]} chose a thread of priority {new_priority(trace, which)[0]} instead of "
            f"{trace.arg0[ready]:#x}, of priority {int(trace.arg1[ready]) >> 8 & 0xFF}, which was ready for it"
            f"{'' if left_priority(trace, which)[0] else ' while it was idle'}",
            [ready, switch, run],
        )
