# SPDX-License-Identifier: Apache-2.0
"""SPIN-10, DPC-16, INT-TIME: the documentation's guidelines for how long code may take where others have to wait.

What counts is the time of the code itself, and only what the records prove of it. A stretch counts if it lies between
two records of the interval's own context that are neighbours in the whole trace. So the time of interrupts that came in
between does not count (they are nobody's fault here, and judged themselves), and neither does, in icount mode, where
the CPUs take turns on one virtual clock, a stretch in which another CPU had its turn and said so. The text gives both
times. Acquiring, spinning and calling others inside do count: who holds a lock and waits for another makes the waiters
of the first one wait.

Real time says nothing about a driver on an emulator, whose host may take the CPU away at any moment: in the modes mt
and kvm nothing is judged, and the statistics show the times. A broken guideline is a warning: see `Budgets.strict`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.history import CONTEXT_EVENTS
from dirql.trace.oracle.locks import LOCK_EVENTS, SHARED_EVENTS
from dirql.trace.oracle.verdict import Budgets, Clause, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dirql.trace.decode import Trace
    from dirql.trace.history.history import History
    from dirql.trace.history.intervals import Intervals

VIRTUAL_MODE = "icount"
REAL_TIME = "real time is no verdict on an emulator"

SPIN_10 = Clause(
    "SPIN-10",
    "a spin lock is held for 25 microseconds at most",
    "preventing-errors-and-deadlocks-while-using-spin-locks",
    (*LOCK_EVENTS, *SHARED_EVENTS, *CONTEXT_EVENTS),
    guideline=True,
    late=True,
)
DPC_16 = Clause(
    "DPC-16",
    "a DPC routine runs for 100 microseconds at most",
    "guidelines-for-writing-dpc-routines",
    ("DpcStart", "DpcEnd", *CONTEXT_EVENTS),
    guideline=True,
    late=True,
)
INT_TIME = Clause(
    "INT-TIME",
    "a service routine runs for 25 microseconds at most",
    "writing-an-isr",
    ("IsrEnter", "IsrExit", *CONTEXT_EVENTS),
    guideline=True,
    late=True,
)


def judge(history: History, budgets: Budgets) -> list[Finding]:
    """Judge how long locks were held, and how long DPC and service routines ran."""
    trace = history.trace
    held, dpcs, isrs = (Finding(clause, trace, strict=budgets.strict) for clause in (SPIN_10, DPC_16, INT_TIME))
    jobs: Sequence[tuple[Finding, Sequence[Intervals], float, str]] = (
        (held, (history.holds, history.shared_holds), budgets.hold, "held the lock"),
        (dpcs, (history.dpcs,), budgets.dpc, "ran the DPC"),
        (isrs, (history.isrs,), budgets.isr, "ran the ISR of KINTERRUPT"),
    )
    for finding, spans, budget, what in jobs:
        for each in spans:
            finding.judged += len(each)
            if trace.meta.mode == VIRTUAL_MODE:
                _judge_times(history, each, budget, what, finding)
        if trace.meta.mode != VIRTUAL_MODE and finding.judged:
            finding.unknown = REAL_TIME
    return [held, dpcs, isrs]


def _judge_times(history: History, spans: Intervals, budget: float, what: str, finding: Finding) -> None:
    trace = history.trace
    whole = trace.ns(trace.time[spans.end] - trace.time[spans.start])
    for at in np.flatnonzero((whole > budget) & (trace.time[spans.start] >= _known_from(trace))):
        start, end = int(spans.start[at]), int(spans.end[at])
        own = _own_time(history, start, end)
        if own <= budget:
            continue
        beside = f" ({whole[at] / 1000:.1f} us with what came in between)" if whole[at] > own else ""
        finding.add(
            f"CPU {trace.cpu[start]} {what} {trace.arg0[start]:#x} for {own / 1000:.1f} us{beside}; the guideline is "
            f"{budget / 1000:g} us",
            [start, end],
        )


def _known_from(trace: Trace) -> int:
    """Return the time from which on the trace has the records of all CPUs: their first ones may have been let go."""
    late = [trace.on_cpu(cpu)[:1] for cpu, count in enumerate(trace.let_go) if count]
    return max((int(trace.time[first[0]]) if len(first) else np.iinfo(np.int64).max for first in late), default=0)


def _own_time(history: History, start: int, end: int) -> float:
    """Return ns between neighbouring records of one context, from record `start` to record `end` of its CPU."""
    trace = history.trace
    first, last = int(trace.position[start]), int(trace.position[end])
    mine = trace.by_cpu[first + 1 : last + 1]
    counts = history.in_frames.previous[mine] == mine - 1
    counts &= history.in_frames.opener[mine] == history.in_frames.opener[start]
    ticks = int((trace.time[mine] - trace.time[np.maximum(mine - 1, 0)])[counts].sum())
    return float(ticks / trace.meta.clock.ticks_per_ns)
