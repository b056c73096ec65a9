# SPDX-License-Identifier: Apache-2.0
"""THR-READY and WAIT-1: whoever is ready is given a CPU that has nothing to do; nobody waits where a CPU must go on.

Evidence for THR-READY, a lost wake-up: a thread was made ready for a CPU and is so to the end of the trace, and that
CPU went idle since, awoke and went idle again. It looks for work each time before it halts, so it did not find that
thread. Once proves nothing: it may have looked just before. (A waiter that a signal ought to have let go is EVT-1,
SEM-3, MUT-1 or TMR-3; a DPC that never ran is DPC-1.)

Evidence for WAIT-1: a WaitBegin, which says that the thread gives its CPU away, above DISPATCH_LEVEL (the dispatcher
itself raises to that), inside an interrupt, a service routine, a synchronised routine or a DPC, under a spin lock, or
after an IrqlRaise of the same thread that nothing has lowered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.history import DISPATCH_LEVEL, History
from dirql.trace.history.lives import State
from dirql.trace.oracle.verdict import Clause, Finding

if TYPE_CHECKING:
    from dirql.trace.oracle.locks import Locks
    from dirql.trace.schema import Indices

THR_READY = Clause(
    "THR-READY",
    "a thread that is ready is given its CPU when that has nothing else to do",
    "managing-hardware-priorities",
    ("ThreadReady", "ThreadSwitch", "IdleEnter"),
)
WAIT_1 = Clause(
    "WAIT-1",
    "a wait that gives the CPU away begins below DISPATCH_LEVEL",
    "kewaitforsingleobject; bug-check-0xc4; bug-check-0xb8",
    ("WaitBegin", "InterruptEnter", "InterruptExit", "DpcStart", "DpcEnd", "LockAcquired", "LockReleased"),
    alone=True,
)


def judge(history: History, locks: Locks) -> list[Finding]:
    """Judge who was left ready, and where waits began."""
    ready, waits = Finding(THR_READY, history.trace), Finding(WAIT_1, history.trace)
    if len(history.trace.where("ThreadReady")):
        _judge_ready(history, ready)
    begins = history.trace.where("WaitBegin")
    waits.judged = len(begins)
    if len(begins):
        _judge_waits(history, locks, begins, waits)
    return [ready, waits]


def _judge_ready(history: History, finding: Finding) -> None:
    trace = history.trace
    finding.judged = len(history.dispatcher.readied)
    if trace.meta.cut:
        return  # another CPU may have been about to run it
    idles = trace.where("IdleEnter")
    for ready in history.dispatcher.readied:
        life = ready.thread
        if ready.run >= 0 or life.ready is not ready or life.state is not State.READY or life.exited >= 0:
            continue
        since = np.searchsorted(idles, ready.index)
        after = idles[since:][trace.cpu[idles[since:]] == ready.cpu]
        after = after[trace.time[after] > trace.time[ready.index] + trace.skew_ticks][:2]
        if len(after) == 2:
            finding.add(
                f"the thread {life.address:#x}, which CPU {trace.cpu[ready.index]} made ready for CPU {ready.cpu}, "
                "never ran, although that CPU went idle twice since",
                [ready.index, *after.tolist()],
                [life.routine],
            )


def _judge_waits(history: History, locks: Locks, begins: Indices, finding: Finding) -> None:
    trace = history.trace
    for index in begins[trace.irql[begins] > DISPATCH_LEVEL]:
        finding.add(f"CPU {trace.cpu[index]}: a thread waits at IRQL {trace.irql[index]}", [index], certain=True)
    opener = history.in_routines.opener[begins]
    for at in np.flatnonzero(opener >= 0):
        index, around = begins[at], opener[at]
        finding.add(
            f"CPU {trace.cpu[index]} waits inside {trace.meta.events.name(int(trace.event[around]))}",
            [around, index],
            [trace.arg1[around]],
        )
    for index in begins[(locks.occupied[begins] > 0) & (opener < 0)]:
        held = locks.occupant(int(index))
        finding.add(
            f"CPU {trace.cpu[index]}: a thread waits while its CPU holds the lock {trace.arg0[held]:#x}",
            [held, index],
            [trace.arg1[held]],
        )
    _judge_raised(history, begins[opener < 0], finding)


def _judge_raised(history: History, begins: Indices, finding: Finding) -> None:
    """Find waits of threads whose last recorded change of IRQL was a raise to DISPATCH_LEVEL or above."""
    trace, threads = history.trace, history.threads
    raises = trace.where("IrqlRaise") if trace.recorded("IrqlRaise", "IrqlLower") else begins[:0]
    if not (((trace.arg0[raises] >> np.uint64(8)) & np.uint64(0xFF)) >= DISPATCH_LEVEL).any():
        return
    changes = trace.where("IrqlRaise", "IrqlLower")
    changes = changes[history.of_threads[changes]]
    if not len(changes):
        return
    size = len(trace)
    ranked = threads.number[changes] * size + threads.rank[changes]
    order = np.argsort(ranked)
    at = np.searchsorted(ranked[order], threads.number[begins] * size + threads.rank[begins]) - 1
    last = changes[order[np.maximum(at, 0)]]
    high = (trace.arg0[last] >> np.uint64(8)) & np.uint64(0xFF)
    wrong = (at >= 0) & (threads.number[last] == threads.number[begins]) & trace.are(last, "IrqlRaise")
    wrong &= high >= DISPATCH_LEVEL
    for which in np.flatnonzero(wrong):
        raised, index = last[which], begins[which]
        finding.add(
            f"CPU {trace.cpu[index]}: a thread waits that raised to IRQL {high[which]} on CPU {trace.cpu[raised]} and "
            "has not lowered",
            [raised, index],
            [trace.arg1[raised]],
        )
