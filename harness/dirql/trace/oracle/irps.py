# SPDX-License-Identifier: Apache-2.0
"""IRP-3, IRP-8, IRP-CALL, SPIN-17: StartIo, completion and cancellation of IRPs.

Evidence for IRP-8: a completion after an IRP's completion routines were all through, or more completions than calls and
stack locations (each level completes it once at most: what a completion routine held back is completed by its own
driver); a cancel routine that IoCancelIrp took twice, or took though nobody has anything left to complete. For IRP-3:
two StartIo calls of a device between which its queue cannot have given the next packet or run empty. Where records of
two CPUs decide, they must be farther apart than the clocks' skew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.history import DISPATCH_LEVEL, THREAD_EVENTS, History
from dirql.trace.oracle.verdict import Clause, Finding

if TYPE_CHECKING:
    from dirql.trace.history.irps import Irps
    from dirql.trace.oracle.locks import Locks
    from dirql.trace.schema import Flags, Indices

IRP_3 = Clause(
    "IRP-3",
    "StartIo runs at DISPATCH_LEVEL, for one request of a device at a time",
    "iostartpacket; driver_startio",
    ("StartIoEnter", "StartIoExit", "StartIoNext", *THREAD_EVENTS),
    alone=True,
)
IRP_8 = Clause(
    "IRP-8",
    "an IRP is completed once, and its cancel routine is called once at most, not after that",
    "iocompleterequest; iocancelirp",
    ("IrpAllocate", "IrpCall", "IrpCancel", "IrpComplete", "IrpDone", "IrpFree"),
)
IRP_CALL = Clause(
    "IRP-CALL",
    "an IRP that is done or freed is not used again; IRPs are called with and completed at DISPATCH_LEVEL or below",
    "iocalldriver; iocompleterequest; iofreeirp",
    ("IrpAllocate", "IrpCall", "IrpComplete", "IrpDone", "IrpFree", *THREAD_EVENTS),
    alone=True,
)
SPIN_17 = Clause(
    "SPIN-17",
    "IRPs are not completed under a spin lock",
    "iocompleterequest",
    ("IrpComplete", "LockAcquired", "LockReleased"),
    late=True,
)


def judge(history: History, locks: Locks) -> list[Finding]:
    """Judge all IRPs of a trace."""
    started, once, used, unlocked = (Finding(clause, history.trace) for clause in (IRP_3, IRP_8, IRP_CALL, SPIN_17))
    _judge_starts(history, started)
    irps = history.irps
    if len(irps):
        _judge_completions(irps, once)
        _judge_cancels(irps, once)
        _judge_uses(history, irps, used)
        _judge_levels(irps, used)
        _judge_locks(irps, locks, unlocked)
    return [started, once, used, unlocked]


def _judge_starts(history: History, finding: Finding) -> None:
    trace = history.trace
    enters = trace.where("StartIoEnter")
    finding.judged = len(enters)
    both = trace.where("StartIoEnter", "StartIoExit")
    for index in both[trace.irql[both] != DISPATCH_LEVEL]:
        verb = "was called" if trace.are(np.array([index]), "StartIoEnter")[0] else "returned"
        finding.add(
            f"StartIo of the device {trace.arg0[index]:#x} {verb} on CPU {trace.cpu[index]} at IRQL "
            f"{trace.irql[index]}, not DISPATCH_LEVEL",
            [index],
            certain=True,
        )
    acts = trace.where("StartIoEnter", "StartIoNext")
    acts = acts[np.lexsort((acts, trace.arg0[acts]))]
    starts = trace.are(acts, "StartIoEnter")
    again = starts[1:] & starts[:-1] & (trace.arg0[acts[1:]] == trace.arg0[acts[:-1]])
    nexts = trace.where("StartIoNext")
    for one, other in zip(acts[:-1][again].tolist(), acts[1:][again].tolist(), strict=True):
        mine = nexts[trace.arg0[nexts] == trace.arg0[one]]
        between = trace.time[mine] + trace.skew_ticks >= trace.time[one]
        between &= history.earliest[mine] <= trace.time[other]
        if not between.any():
            finding.add(
                f"CPU {trace.cpu[other]} called StartIo of the device {trace.arg0[one]:#x} with the IRP "
                f"{trace.arg1[other]:#x}, though it had {trace.arg1[one]:#x} and nobody asked for the next packet",
                [one, other],
            )


def _judge_completions(irps: Irps, finding: Finding) -> None:
    trace = irps.trace
    calls, completes, done = irps.of("IrpCall"), irps.of("IrpComplete"), irps.of("IrpDone")
    finding.judged += int(completes.sum())
    last_call, last_done = irps.before(calls), irps.before(done)
    again = completes & (last_done >= 0) & (last_done > last_call)
    called = irps.count(calls)
    levels = np.maximum(called, trace.arg1[irps.index[irps.first]].astype(np.int64) & 0xFF)  # its stack locations
    again |= completes & irps.allocated & (called > 0) & (irps.count(completes) > levels)
    before = irps.before(completes)
    for at in np.flatnonzero(again).tolist():
        if _may_be_called(irps, at, calls):
            continue
        index, earlier = int(irps.index[at]), int(irps.index[max(before[at], last_done[at])])
        finding.add(
            f"CPU {trace.cpu[index]} completed the IRP {irps.address[at]:#x}, which CPU {trace.cpu[earlier]} had "
            "completed",
            [earlier, index],
            [trace.arg1[index]],
        )
    freed = irps.of("IrpFree") & irps.allocated & (called > 0) & (irps.count(completes) == 0)
    for at in np.flatnonzero(freed).tolist():
        index, call = int(irps.index[at]), int(irps.index[last_call[at]])
        finding.add(
            f"CPU {trace.cpu[index]} freed the IRP {irps.address[at]:#x}, which a driver was called with and nobody "
            "had completed",
            [call, index],
        )


def _may_be_called(irps: Irps, at: int, calls: Flags) -> bool:
    """Tell whether a call of the same life, recorded after `at`, may have been before it."""
    trace, life = irps.trace, irps.life_at(at)
    later = irps.index[at + 1 : life.stop][calls[at + 1 : life.stop]]
    near: Flags = trace.time[later] <= trace.time[irps.index[at]] + trace.skew_ticks
    return bool(near.any())


def _judge_cancels(irps: Irps, finding: Finding) -> None:
    trace = irps.trace
    taken, calls, completes = irps.taken, irps.of("IrpCall"), irps.of("IrpComplete")
    finding.judged += int(taken.sum())
    last_taken, last_call, last_complete = irps.before(taken), irps.before(calls), irps.before(completes)
    twice = taken & (last_taken >= 0) & (last_taken > last_call) & (last_taken > last_complete)
    for at in np.flatnonzero(twice).tolist():
        one, other = int(irps.index[last_taken[at]]), int(irps.index[at])
        finding.add(
            f"CPU {trace.cpu[other]} called a cancel routine of the IRP {irps.address[at]:#x}, and CPU "
            f"{trace.cpu[one]} had called one and nobody had completed the IRP since",
            [one, other],
            [trace.arg1[one], trace.arg1[other]],
        )
    called = irps.count(calls)
    late = taken & irps.allocated & (called > 0) & (irps.count(completes) >= called)
    for at in np.flatnonzero(late).tolist():
        index, complete = int(irps.index[at]), int(irps.index[last_complete[at]])
        if trace.time[complete] + trace.skew_ticks < trace.time[index] and not _may_be_called(irps, at, calls):
            finding.add(
                f"CPU {trace.cpu[index]} called the cancel routine of the IRP {irps.address[at]:#x}, which CPU "
                f"{trace.cpu[complete]} had completed",
                [complete, index],
                [trace.arg1[complete], trace.arg1[index]],
            )


def _judge_uses(history: History, irps: Irps, finding: Finding) -> None:
    """Find IRPs that were used after they were done or freed."""
    trace = irps.trace
    calls, done, free = irps.of("IrpCall"), irps.of("IrpDone"), irps.of("IrpFree")
    finding.judged += int((calls | free).sum())
    last_done = irps.before(done)
    for at in np.flatnonzero(calls & (last_done >= 0)).tolist():
        index, ended = int(irps.index[at]), int(irps.index[last_done[at]])
        if trace.time[ended] + trace.skew_ticks < trace.time[index]:
            finding.add(
                f"CPU {trace.cpu[index]} called a driver with the IRP {irps.address[at]:#x}, which was done",
                [ended, index],
            )
    # What follows an IrpFree begins a life of its own; memory that a driver makes an IRP of is called with first.
    begins = np.flatnonzero(irps.first == np.arange(len(irps)))
    begins = begins[begins > 0]
    begins = begins[free[begins - 1] & (irps.address[begins - 1] == irps.address[begins])]
    for at in begins[~irps.of("IrpAllocate")[begins] & ~calls[begins] & ~irps.of("StartIoEnter")[begins]].tolist():
        index, freed = int(irps.index[at]), int(irps.index[at - 1])
        if (
            trace.time[freed] + trace.skew_ticks < max(int(history.earliest[np.array([index])][0]), 0)
            or trace.cpu[freed] == trace.cpu[index]
        ):
            verb = {"IrpFree": "freed", "IrpCancel": "cancelled"}.get(
                trace.meta.events.name(int(trace.event[index])), "completed"
            )
            finding.add(
                f"CPU {trace.cpu[index]} {verb} the IRP {irps.address[at]:#x}, which had been freed", [freed, index]
            )


def _judge_levels(irps: Irps, finding: Finding) -> None:
    trace = irps.trace
    acts: Indices = irps.index[irps.of("IrpCall") | irps.of("IrpComplete")]
    for index in acts[trace.irql[acts] > DISPATCH_LEVEL]:
        verb = "called a driver with" if trace.are(np.array([index]), "IrpCall")[0] else "completed"
        finding.add(
            f"CPU {trace.cpu[index]} {verb} the IRP {trace.arg0[index]:#x} at IRQL {trace.irql[index]}",
            [index],
            certain=True,
        )


def _judge_locks(irps: Irps, locks: Locks, finding: Finding) -> None:
    trace = irps.trace
    acts: Indices = np.sort(irps.index[irps.of("IrpComplete")])
    finding.judged = len(acts)
    for index in acts[locks.occupied[acts] > 0]:
        held = locks.occupant(int(index))
        finding.add(
            f"CPU {trace.cpu[index]} completed the IRP {trace.arg0[index]:#x} while it held the lock "
            f"{trace.arg0[held]:#x}",
            [held, index],
            [trace.arg1[held], trace.arg1[index]],
        )
