# SPDX-License-Identifier: Apache-2.0
"""CAUSE-IPI, CAUSE-THREAD, CAUSE-WAIT, CAUSE-IRP: no CPU sees an effect before another CPU made its cause.

Evidence is the order of two records of different CPUs, where they are apart by more than the clocks' skew:
- IpiSend is recorded before the interrupt is sent. So many interrupts of that vector as a CPU has taken must have been
  sent to it; fewer is no fault, they merge. Only vectors that nothing else sends are judged.
- A thread is created, made ready, and then given a CPU.
- A wait that gave the CPU away ends because its thread is made ready, and with the status of an object after a Signal.
- An IRP that was allocated is completed, cancelled with its routine, or done after a driver was called with it.

Other clauses know more of their own matter: a DPC that runs before it was queued is DPC-2, an owner that enters before
the one before it left is SPIN-1, a thread that waits and runs is THR-RUN, a call of all CPUs is IPI-1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.history import vector_of
from dirql.trace.history.lives import Kind
from dirql.trace.oracle.verdict import Clause, Finding

if TYPE_CHECKING:
    from dirql.trace.history.history import History
    from dirql.trace.history.irps import Irps
    from dirql.trace.history.lives import Wait

IPI_VECTORS = (0xE1, 0xE2)
"""Vectors that only CPUs send each other, and say so: IPI_VECTOR and WAKE_VECTOR of guest/include/vectors.h."""
ALL_OTHERS = 0xFF

CAUSE_IPI = Clause(
    "CAUSE-IPI",
    "no interprocessor interrupt is taken before it was sent",
    "keipigenericcall",
    ("IpiSend", "InterruptEnter"),
)
CAUSE_THREAD = Clause(
    "CAUSE-THREAD",
    "no thread is given a CPU before it was created and made ready",
    "pscreatesystemthread",
    ("ThreadCreate", "ThreadReady", "ThreadSwitch"),
)
CAUSE_WAIT = Clause(
    "CAUSE-WAIT",
    "no wait ends before its thread was made ready, nor by an object that was not signalled",
    "introduction-to-kernel-dispatcher-objects",
    ("WaitBegin", "WaitEnd", "Signal", "ThreadReady", "ThreadSwitch", "ApcStart"),
)
CAUSE_IRP = Clause(
    "CAUSE-IRP",
    "no IRP is completed or done before a driver was called with it",
    "iocalldriver; iocompleterequest",
    ("IrpAllocate", "IrpCall", "IrpComplete", "IrpDone", "IrpFree"),
)


def judge_interrupts(history: History) -> list[Finding]:
    """Judge the interrupts that CPUs send each other."""
    trace = history.trace
    finding = Finding(CAUSE_IPI, trace)
    enters, sends = trace.where("InterruptEnter"), trace.where("IpiSend")
    enters = enters[vector_of(trace, enters) >= min(IPI_VECTORS)]
    vector = vector_of(trace, enters)
    sent, target = trace.arg0[sends] & np.uint64(0xFF), trace.arg1[sends] & np.uint64(0xFF)
    for which in IPI_VECTORS:
        of_vector, to_send = enters[vector == which], sends[sent == which]
        finding.judged += len(of_vector)
        for cpu in range(trace.cpus) if len(of_vector) else ():
            mine = of_vector[trace.cpu[of_vector] == cpu]
            whose = target[sent == which]
            sender = trace.cpu[to_send]
            asked = to_send[((whose == cpu) | (whose == ALL_OTHERS)) & ((sender != cpu) | (whose == cpu))]
            by_then = np.searchsorted(trace.time[asked], trace.time[mine] + trace.skew_ticks, side="right")
            for at in np.flatnonzero(by_then < np.arange(1, len(mine) + 1))[:1]:  # the first; later ones follow from it
                index = int(mine[at])
                later = asked[by_then[at] : by_then[at] + 1].tolist()
                after = f", before CPU {trace.cpu[later[0]]} sent it" if later else ", which nobody had sent"
                finding.add(
                    f"CPU {cpu} took vector {which:#x} for the {int(at) + 1}. time{after}",
                    [index, *later],
                    [trace.arg1[index]],
                )
    return [finding]


def judge_threads(history: History) -> list[Finding]:
    """Judge the first turns of threads, and the ends of waits."""
    first, ended = Finding(CAUSE_THREAD, history.trace), Finding(CAUSE_WAIT, history.trace)
    trace, dispatcher = history.trace, history.dispatcher
    first.judged = sum(life.created >= 0 and life.switches > 0 for life in dispatcher.lives)
    for created, index in dispatcher.odd.ran_unready:
        if not _readied_about(history, index):
            first.add(
                f"CPU {trace.cpu[index]} was given the thread {trace.arg0[index]:#x}, which CPU {trace.cpu[created]} "
                "had created and nobody had made ready",
                [created, index],
            )
    for life in dispatcher.lives:
        for wait in life.waits:
            if wait.end >= 0 and life.address:
                ended.judged += 1
                _judge_end(history, wait, ended)
    return [first, ended]


def _readied_about(history: History, index: int) -> bool:
    """Tell whether the thread that a ThreadSwitch names was made ready so soon after that it may have been before."""
    trace = history.trace
    until = int(np.searchsorted(trace.time, trace.time[index] + trace.skew_ticks, side="right"))
    near = np.arange(index + 1, until)
    return bool((trace.are(near, "ThreadReady") & (trace.arg0[near] == trace.arg0[index])).any())


def _judge_end(history: History, wait: Wait, finding: Finding) -> None:
    trace = history.trace
    if wait.ready < 0:
        finding.add(
            f"CPU {trace.cpu[wait.end]}: a wait for the object {wait.object:#x} ended with status {wait.status:#x}, "
            "and its thread had not been made ready",
            [wait.begin, wait.end],
        )
    elif wait.count == 1 and wait.status == 0 and wait.released is None and not wait.apc:
        if _signalled_before(history, wait):
            return
        finding.add(
            f"CPU {trace.cpu[wait.ready]} let a thread go that waited for the object {wait.object:#x}, with status 0, "
            "and nobody had signalled that",
            [wait.begin, wait.ready, wait.end],
        )


def _signalled_before(history: History, wait: Wait) -> bool:
    """Tell whether the object was signalled while it was waited for, or is a queue, which gives what it has."""
    trace = history.trace
    signals = trace.where("Signal")
    mine = signals[trace.arg0[signals] == wait.object]
    if ((trace.arg1[mine] >> np.uint64(32)) & np.uint64(0xFF) == Kind.QUEUE).any():
        return True
    since, until = trace.time[wait.begin] - trace.skew_ticks, trace.time[wait.ready] + trace.skew_ticks
    return bool(((trace.time[mine] >= since) & (trace.time[mine] <= until)).any())


def judge_irps(irps: Irps) -> list[Finding]:
    """Judge what became of IRPs before a driver was called with them."""
    trace = irps.trace
    finding = Finding(CAUSE_IRP, trace)
    if not len(irps):
        return [finding]
    calls = irps.of("IrpCall")
    effects = irps.of("IrpComplete") | irps.of("IrpDone") | irps.taken
    following = irps.after(calls)
    judged = effects & irps.allocated
    finding.judged = int(judged.sum())
    early = judged & (irps.count(calls) == 0) & (following >= 0)
    for at in np.flatnonzero(early).tolist():
        index, call = int(irps.index[at]), int(irps.index[following[at]])
        if trace.time[index] + trace.skew_ticks < trace.time[call]:
            what = "completed" if trace.are(np.array([index]), "IrpComplete")[0] else "was done with"
            finding.add(
                f"CPU {trace.cpu[index]} {what} the IRP {irps.address[at]:#x} before CPU {trace.cpu[call]} called a "
                "driver with it",
                [index, call],
            )
    return [finding]
