# SPDX-License-Identifier: Apache-2.0
"""IRQL-2 and IRQL-6: what is masked is masked, and an interrupt leaves the IRQL as it found it.

Drivers may raise and lower IRQL by writing CR8, unseen. So the trace knows a CPU's IRQL only in part: the CR8 of each
record, and a floor: inside an interrupt, a service routine or a DPC it cannot be below what that runs at.
"""

from __future__ import annotations

import numpy as np

from dirql.trace.decode import Trace
from dirql.trace.history.history import (
    DISPATCH_LEVEL,
    FIRST_APC_VECTOR,
    SPURIOUS_VECTOR,
    History,
    interrupted_irql,
    vector_of,
)
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.schema import Indices

_NEEDS = ("InterruptEnter", "InterruptExit")

IRQL_2 = Clause(
    "IRQL-2", "at IRQL n, interrupts of IRQL n and below are masked", "managing-hardware-priorities", _NEEDS, alone=True
)
IRQL_6 = Clause(
    "IRQL-6",
    "an interrupt raises IRQL to its own and restores the interrupted one",
    "always-preemptible-and-always-interruptible",
    _NEEDS,
    alone=True,
)


def judge(history: History) -> list[Finding]:
    """Judge all interrupts of a trace."""
    masked, restored = Finding(IRQL_2, history.trace), Finding(IRQL_6, history.trace)
    entries = _ruled(history, history.trace.where("InterruptEnter"))
    masked.judged = len(entries)
    restored.judged = len(history.interrupts)
    _judge_masked(history, entries, masked)
    _judge_order(history, entries, masked)
    _judge_entry_and_exit(history, entries, restored)
    _judge_nesting(history, restored)
    return [masked, restored]


def _ruled(history: History, index: Indices) -> Indices:
    vector = vector_of(history.trace, index)
    ruled: Indices = index[(vector >= FIRST_APC_VECTOR) & (vector != SPURIOUS_VECTOR)]
    return ruled


def _vector(trace: Trace, index: int) -> int:
    return int(trace.arg0[index]) & 0xFF


def _judge_masked(history: History, entries: Indices, finding: Finding) -> None:
    trace = history.trace
    vector, interrupted = vector_of(trace, entries), interrupted_irql(trace, entries)
    for at in np.flatnonzero(vector >> 4 <= interrupted):
        index = entries[at]
        finding.add(
            f"CPU {trace.cpu[index]} took vector {vector[at]:#x} (IRQL {vector[at] >> 4}) at IRQL {interrupted[at]}",
            [index],
            [trace.arg1[index]],
            certain=True,
        )
    _judge_floor(history, entries, interrupted, finding)


def _judge_floor(history: History, entries: Indices, interrupted: Indices, finding: Finding) -> None:
    """Compare the interrupted IRQL with the least that the trace knows of the CPU."""
    trace, routines = history.trace, history.in_routines
    opens = routines.opener[entries] == entries
    outer = np.where(opens, routines.parent(entries), routines.opener[entries])
    inside = np.flatnonzero(outer >= 0)
    opener = outer[inside]
    floor = trace.irql[opener].astype(np.int64)
    is_frame = trace.are(opener, "InterruptEnter")
    floor[is_frame] = vector_of(trace, opener[is_frame]) >> 4
    floor[trace.are(opener, "DpcStart")] = DISPATCH_LEVEL
    for at in np.flatnonzero(interrupted[inside] < floor):
        index, around = entries[inside[at]], opener[at]
        finding.add(
            f"CPU {trace.cpu[index]} was interrupted at IRQL {interrupted[inside[at]]} by vector "
            f"{_vector(trace, index):#x} inside {trace.meta.events.name(int(trace.event[around]))}, which runs at IRQL "
            f"{floor[at]}",
            [around, index],
            [trace.arg1[around], trace.arg1[index]],
        )


def _judge_order(history: History, entries: Indices, finding: Finding) -> None:
    """Of two interrupts pending on a CPU the higher is taken first, where a recorded IPI shows that it was pending.

    An IPI was certainly pending on its target when its sender had made its next record in the same context, and stays
    so until the target takes it. A lower vector that the target took in between, after another record of its own that
    is later than the sender's by more than the clocks' skew, overtook it.
    """
    trace = history.trace
    sends = trace.where("IpiSend")
    vector = (trace.arg0[sends] & np.uint64(0xFF)).astype(np.int64)
    entry_vector = vector_of(trace, entries)
    lowest = entry_vector[entry_vector >> 4 > DISPATCH_LEVEL].min(initial=0xFF)
    sends, vector = sends[vector > lowest], vector[vector > lowest]  # of the others no lower one can be overtaken
    if not len(sends):
        return
    target = (trace.arg1[sends] & np.uint64(0xFF)).astype(np.int64)
    next_record = history.following[sends]
    if (next_record < 0).all():
        return
    entry_cpu = trace.cpu[entries].astype(np.int64)
    settled = _settled(history, entries)
    sender = trace.cpu[sends]
    known = next_record >= 0
    for value in np.unique(vector):
        for cpu in np.unique(entry_cpu):
            here = entry_cpu == cpu
            taken = entries[here & (entry_vector == value)]
            lower = np.flatnonzero(here & (entry_vector < value) & (entry_vector >> 4 > DISPATCH_LEVEL))
            mine = np.flatnonzero((vector == value) & known & (sender != cpu) & ((target == cpu) | (target == 0xFF)))
            if not len(taken) or not len(lower) or not len(mine):
                continue
            at = np.searchsorted(trace.time[taken], trace.time[sends[mine]] - trace.skew_ticks)
            first = np.searchsorted(settled[lower], trace.time[next_record[mine]] + trace.skew_ticks, side="right")
            both = np.flatnonzero((at < len(taken)) & (first < len(lower)))
            one, other = entries[lower[first[both]]], taken[at[both]]
            for late in np.flatnonzero(one < other):
                send, index = sends[mine[both[late]]], one[late]
                finding.add(
                    f"CPU {cpu} took vector {_vector(trace, index):#x} while the higher {value:#x} was pending",
                    [send, index, other[late]],
                    [trace.arg1[index]],
                )


def _settled(history: History, entries: Indices) -> Indices:
    """Return for each entry the time of the CPU's record before it, when it was not yet accepted; -1: unknown.

    After an NMI it is unknown: that can come between the acceptance of an interrupt and its first record.
    """
    trace = history.trace
    position = trace.position[entries]
    before = trace.by_cpu[np.maximum(position - 1, 0)]
    known = (position > 0) & (trace.cpu[before] == trace.cpu[entries])
    nmi = trace.are(before, "InterruptExit") & (vector_of(trace, before) < FIRST_APC_VECTOR)
    return np.where(known & ~nmi, trace.time[before], -1)


def _judge_entry_and_exit(history: History, entries: Indices, finding: Finding) -> None:
    trace, spans = history.trace, history.interrupts
    vector = vector_of(trace, entries)
    for at in np.flatnonzero(trace.irql[entries] != vector >> 4):
        index = entries[at]
        finding.add(
            f"CPU {trace.cpu[index]} entered vector {vector[at]:#x} at IRQL {trace.irql[index]}, not {vector[at] >> 4}",
            [index],
            [trace.arg1[index]],
            certain=True,
        )
    exits = _ruled(history, trace.where("InterruptExit"))
    promised = interrupted_irql(trace, exits)
    for at in np.flatnonzero(trace.irql[exits] != promised):
        index = exits[at]
        finding.add(
            f"CPU {trace.cpu[index]} left vector {_vector(trace, index):#x} at IRQL {trace.irql[index]}; it had "
            f"interrupted IRQL {promised[at]}",
            [index],
            [trace.arg1[index]],
            certain=True,
        )
    hard = vector_of(trace, spans.start) >> 4 > DISPATCH_LEVEL
    start, end = spans.start[hard], spans.end[hard]
    before, after = interrupted_irql(trace, start), interrupted_irql(trace, end)
    for at in np.flatnonzero(before != after):
        finding.add(
            f"CPU {trace.cpu[start[at]]}: vector {_vector(trace, start[at]):#x} interrupted IRQL {before[at]} and "
            f"returned to IRQL {after[at]}",
            [start[at], end[at]],
            [trace.arg1[start[at]], trace.arg1[end[at]]],
        )


def _judge_nesting(history: History, finding: Finding) -> None:
    """Entries and exits above DISPATCH_LEVEL pair up, and an inner interrupt ends before the outer one."""
    trace, frames = history.trace, history.frames
    for index in frames.unended:
        finding.add(
            f"CPU {trace.cpu[index]} entered vector {_vector(trace, index):#x} again without having left it",
            [index],
            [trace.arg1[index]],
        )
    for index in np.concatenate([frames.unstarted, _impossible(history, frames.inherited)]):
        finding.add(
            f"CPU {trace.cpu[index]} left vector {_vector(trace, index):#x} without having entered it",
            [index],
            [trace.arg1[index]],
        )
    around = history.in_frames.opener[frames.end]
    for at in np.flatnonzero((around != frames.start) & (around >= 0)):
        outer, inner = frames.start[at], around[at]
        finding.add(
            f"CPU {frames.cpu[at]} left vector {int(frames.key[at]):#x} before vector {_vector(trace, inner):#x}, "
            "which had interrupted it",
            [outer, inner, frames.end[at]],
            [trace.arg1[inner]],
        )


def _impossible(history: History, exits: Indices) -> Indices:
    """Return the exits, of those without an entry, whose entry cannot be older than the trace.

    If it were, the CPU would have been at the interrupt's IRQL or above from the first record on.
    """
    trace = history.trace
    found = []
    for index in exits:
        mine = trace.on_cpu(int(trace.cpu[index]))
        before = mine[: np.searchsorted(mine, index)]
        if len(before) and int(trace.irql[before].min()) < int(trace.arg0[index] & np.uint64(0xFF)) >> 4:
            found.append(int(index))
    return np.array(found, dtype=np.int64)
