# SPDX-License-Identifier: Apache-2.0
"""IPI-1: KeIpiGenericCall runs its routine on every CPU at IPI_LEVEL, on none before all have come, and waits for all.

Evidence: one call is under way at a time, so the n-th IpiCallEnter of each CPU belongs to the n-th call. A CPU had not
come before the record before its IpiCallEnter, which is that of the interrupt that brought it: another CPU that entered
before that did not wait at the barrier. The caller is the CPU that no interrupt brought; what it records next, it does
after the call: all CPUs must have left by then.
"""

from __future__ import annotations

import numpy as np

from dirql.trace.history.history import THREAD_EVENTS, History
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.schema import Indices

IPI_LEVEL = 14

IPI_1 = Clause(
    "IPI-1",
    "KeIpiGenericCall runs its routine on all CPUs at IPI_LEVEL once all have come, and waits for all",
    "keipigenericcall",
    ("IpiCallEnter", "IpiCallExit", *THREAD_EVENTS),
    alone=True,
)


def judge(history: History) -> list[Finding]:
    """Judge all calls of a trace."""
    finding = Finding(IPI_1, history.trace)
    trace = history.trace
    both = trace.where("IpiCallEnter", "IpiCallExit")
    if not len(both):
        return [finding]
    for index in both[trace.irql[both] != IPI_LEVEL]:
        verb = "began" if trace.are(np.array([index]), "IpiCallEnter")[0] else "ended"
        finding.add(
            f"CPU {trace.cpu[index]}: the routine called on all CPUs {verb} at IRQL {trace.irql[index]}, not IPI_LEVEL",
            [index],
            [trace.arg0[index]],
            certain=True,
        )
    enters, exits = ([_of_cpu(trace.cpu, trace.where(name), cpu) for cpu in range(trace.cpus)] for name in _EVENTS)
    calls = max(len(each) for each in enters)
    finding.judged = calls
    for call in range(calls):
        _judge_call(history, call, enters, exits, finding)
    return [finding]


_EVENTS = ("IpiCallEnter", "IpiCallExit")


def _of_cpu(cpus: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], index: Indices, cpu: int) -> Indices:
    mine: Indices = index[cpus[index] == cpu]
    return mine


def _judge_call(history: History, call: int, enters: list[Indices], exits: list[Indices], finding: Finding) -> None:
    trace, skew = history.trace, history.trace.skew_ticks
    came = np.array([each[call] for each in enters if call < len(each)], dtype=np.int64)
    left = np.array([each[call] for each in exits if call < len(each)], dtype=np.int64)
    before = history.previous[came]
    brought = (before >= 0) & trace.are(before, "InterruptEnter")
    name = f"the call of {trace.arg0[came[0]]:#x} on all CPUs"
    first = came[int(np.argmin(trace.time[came]))]
    for at in np.flatnonzero(brought):
        if trace.time[before[at]] > trace.time[first] + skew:
            finding.add(
                f"CPU {trace.cpu[first]} began {name} before CPU {trace.cpu[came[at]]} had come",
                [first, before[at], came[at]],
                [trace.arg0[first]],
            )
    for index in came[trace.arg0[came] != trace.arg0[first]]:
        finding.add(
            f"CPU {trace.cpu[index]} ran {trace.arg0[index]:#x} in the call of {trace.arg0[first]:#x}",
            [first, index],
            [trace.arg0[first], trace.arg0[index]],
        )
    caller = came[~brought]
    if len(caller) != 1:
        return
    own = left[trace.cpu[left] == trace.cpu[caller[0]]]
    returned = int(history.following[own[:1]][0]) if len(own) else -1
    if returned < 0:
        return
    missing = sorted(set(range(trace.cpus)) - {int(cpu) for cpu in trace.cpu[left]})
    for cpu in missing:
        finding.add(
            f"CPU {trace.cpu[caller[0]]} returned from {name}, which CPU {cpu} had not run to its end",
            [caller[0], returned],
            [trace.arg0[caller[0]]],
        )
    for index in left[trace.time[left] > trace.time[returned] + skew]:
        finding.add(
            f"CPU {trace.cpu[caller[0]]} returned from {name} before CPU {trace.cpu[index]} had left it",
            [caller[0], returned, index],
            [trace.arg0[caller[0]]],
        )
