# SPDX-License-Identifier: Apache-2.0
"""INT-6 and INT-8: a service routine runs only on CPUs that its object was connected for, and only while it is active.

Evidence: InterruptConnect names the mask of CPUs (0 where the guest does not say: then nothing is judged), again when
an object is connected anew. InterruptActive is recorded under the interrupt spin lock, once it holds; a service routine
whose CPU had not even acquired that lock then, as the record before shows, was called for an inactive object.
"""

from __future__ import annotations

import numpy as np

from dirql.trace.history.history import CONTEXT_EVENTS, History
from dirql.trace.history.intervals import factorize
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.quiet import connections
from dirql.trace.schema import Flags, Indices

INT_6 = Clause(
    "INT-6",
    "an interrupt is serviced only on CPUs that its object was connected for",
    "ioconnectinterrupt",
    ("IsrEnter", "InterruptConnect"),
)
INT_8 = Clause(
    "INT-8",
    "no service routine of an inactive interrupt object runs",
    "ioreportinterruptinactive",
    ("IsrEnter", "InterruptConnect", "InterruptActive", *CONTEXT_EVENTS),
)


def judge(history: History) -> list[Finding]:
    """Judge where and when service routines ran."""
    where, when = Finding(INT_6, history.trace), Finding(INT_8, history.trace)
    enters = history.trace.where("IsrEnter")
    if len(enters):
        _judge_cpus(history, enters, where)
        _judge_activity(history, enters, when)
    return [where, when]


def _judge_cpus(history: History, enters: Indices, finding: Finding) -> None:
    trace = history.trace
    table = connections(trace)
    masks = table.mask
    if not masks.any():
        return
    _, number = factorize(np.concatenate([table.object, trace.arg0[enters]]))
    size = len(trace) + 1
    ranked = number[: len(masks)] * size + table.index + 1
    order = np.argsort(ranked, kind="stable")
    objects = number[len(masks) :]
    at = np.searchsorted(ranked[order], objects * size + enters + 1) - 1
    connect = order[np.maximum(at, 0)]
    ever = np.zeros(int(number.max()) + 1, dtype=np.uint64)
    np.bitwise_or.at(ever, number[: len(masks)], masks)  # connected anew: it may still be serviced by an older mask
    known = (at >= 0) & (number[connect] == objects) & (masks[connect] != 0)
    finding.judged = int(known.sum())
    cpu = trace.cpu[enters].astype(np.uint64)
    allowed = (ever[objects] >> np.minimum(cpu, np.uint64(63))) & np.uint64(1)
    for which in np.flatnonzero(known & (allowed == 0) & (cpu < _MASK_BITS)):
        index, mask = enters[which], int(ever[objects[which]])
        since = int(table.index[connect[which]])
        finding.add(
            f"the ISR of KINTERRUPT {trace.arg0[index]:#x}, connected for CPUs {_listed(mask)}, ran on "
            f"CPU {trace.cpu[index]}",
            [since, index] if since >= 0 else [index],
            [trace.arg1[index]],
        )


_MASK_BITS = 32


def _listed(mask: int) -> str:
    return ", ".join(str(cpu) for cpu in range(_MASK_BITS) if mask >> cpu & 1)


def _judge_activity(history: History, enters: Indices, finding: Finding) -> None:
    trace = history.trace
    changes = trace.where("InterruptActive")
    if not len(changes):
        return
    connects = trace.where("InterruptConnect")
    turns = np.sort(np.concatenate([changes, connects]))
    active: Flags = trace.are(turns, "InterruptConnect") | (trace.arg1[turns] != 0)
    _, number = factorize(np.concatenate([trace.arg0[turns], trace.arg0[enters]]))
    size = len(trace)
    ranked = number[: len(turns)] * size + turns
    order = np.argsort(ranked)
    objects = number[len(turns) :]
    at = np.searchsorted(ranked[order], objects * size + enters) - 1
    turn = order[np.maximum(at, 0)]
    known = (at >= 0) & (number[turn] == objects)
    finding.judged = int(known.sum())
    wrong = known & ~active[turn] & (trace.time[turns[turn]] < history.earliest[enters])
    for which in np.flatnonzero(wrong):
        index, since = enters[which], turns[turn[which]]
        finding.add(
            f"the ISR of KINTERRUPT {trace.arg0[index]:#x} was called on CPU {trace.cpu[index]}, though CPU "
            f"{trace.cpu[since]} had made it inactive",
            [since, index],
            [trace.arg1[index]],
        )
