# SPDX-License-Identifier: Apache-2.0
"""DPC-1 to DPC-5: queued once, run once, at DISPATCH_LEVEL, on the right CPU, and not before that CPU was ready.

DPC-12: what KeRemoveQueueDpc says. Evidence: TRUE for a DPC that nothing had queued, a run after TRUE that nothing
queued since, or FALSE for a DPC that was certainly queued before the call and certainly taken after it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dirql.trace.accounting import Accounting
from dirql.trace.history.history import DISPATCH_LEVEL, THREAD_EVENTS, History, interrupted_irql
from dirql.trace.history.intervals import factorize
from dirql.trace.oracle.queues import certainly_before
from dirql.trace.oracle.verdict import Clause, Finding
from dirql.trace.schema import Flags, Indices

_NEEDS = ("DpcInsert", "DpcStart", "DpcEnd", "DpcRemove", "ThreadedDpcStart", *THREAD_EVENTS)

DPC_1 = Clause(
    "DPC-1", "KeInsertQueueDpc queues a DPC unless it is queued, and what it queues runs", "keinsertqueuedpc", _NEEDS
)
DPC_2 = Clause("DPC-2", "one run per successful insertion", "registering-and-queuing-a-dpcforisr-routine", _NEEDS)
DPC_3 = Clause(
    "DPC-3",
    "a DPC is off its queue before its routine runs, so that it can be queued again",
    "keinsertqueuedpc",
    _NEEDS,
)
DPC_4 = Clause(
    "DPC-4",
    "a DPC runs at DISPATCH_LEVEL on the CPU that it is queued to",
    "introduction-to-dpcs; using-spin-locks--an-example",
    _NEEDS,
    alone=True,
)
DPC_5 = Clause(
    "DPC-5",
    "no DPC starts on a CPU whose IRQL is DISPATCH_LEVEL or above",
    "registering-and-queuing-a-customdpc-routine",
    _NEEDS,
    late=True,
)
DPC_12 = Clause(
    "DPC-12",
    "KeRemoveQueueDpc returns TRUE if the DPC was queued, and then it does not run",
    "keremovequeuedpc",
    _NEEDS,
)

ANY_CPU = 0xFF

_Filter = Callable[[Indices], Flags]


def judge(history: History, accounting: Accounting) -> list[Finding]:
    """Judge all ordinary DPCs of a trace."""
    findings = {clause.id: Finding(clause, history.trace) for clause in (DPC_1, DPC_2, DPC_3, DPC_4, DPC_5, DPC_12)}
    trace = history.trace
    threaded = np.array(sorted(accounting.threaded_dpcs), dtype=np.uint64)

    def ordinary(index: Indices) -> Flags:
        return ~np.isin(trace.arg0[index], threaded) if len(threaded) else np.ones(len(index), dtype=np.bool_)

    starts = trace.where("DpcStart")
    starts = starts[ordinary(starts)]
    inserts = trace.where("DpcInsert")
    inserts = inserts[ordinary(inserts)]
    findings["DPC-1"].judged = len(inserts)
    findings["DPC-2"].judged = findings["DPC-4"].judged = findings["DPC-5"].judged = len(starts)
    findings["DPC-12"].judged = len(trace.where("DpcRemove"))
    _judge_queue(history, ordinary, findings["DPC-1"], findings["DPC-2"], findings["DPC-3"])
    _judge_level(history, starts, ordinary, findings["DPC-4"])
    _judge_target(history, ordinary, findings["DPC-4"])
    _judge_readiness(history, starts, findings["DPC-5"])
    _judge_removals(history, findings["DPC-12"])
    return list(findings.values())


def _judge_queue(history: History, ordinary: _Filter, one: Finding, two: Finding, three: Finding) -> None:
    trace, runs = history.trace, history.dpc_runs
    for index in runs.requeued[ordinary(runs.requeued)]:
        one.add(
            f"CPU {trace.cpu[index]} queued the DPC {trace.arg0[index]:#x} (TRUE) while it was queued and had not run",
            [*one.before(index, "DpcInsert", said_no=False), index],
        )
    for index in runs.orphans[ordinary(runs.orphans)]:
        if _removed_by(history, index) >= 0:
            continue  # DPC-12
        two.add(
            f"CPU {trace.cpu[index]} ran the DPC {trace.arg0[index]:#x}, which nothing had queued since it last ran",
            [*two.before(index, "DpcStart", "ThreadedDpcStart"), index],
            [trace.arg1[index]],
        )
    refused = runs.refused[ordinary(runs.refused)]
    own = _own_run(history, refused)
    for index, running in zip(refused, own, strict=True):
        finding = one if running < 0 else three
        where = "" if running < 0 else ", from its own routine"
        finding.add(
            f"CPU {trace.cpu[index]} could not queue the DPC {trace.arg0[index]:#x} (FALSE){where}; it was not queued",
            [*finding.before(index, "DpcStart", "DpcRemove", said_no=False), index]
            if running < 0
            else [running, index],
        )
    inserts = trace.where("DpcInsert")
    three.judged = int((_own_run(history, inserts) >= 0).sum())
    _judge_forgotten(history, ordinary, one)


def _own_run(history: History, index: Indices) -> Indices:
    """Return for each insertion the DpcStart of the same DPC whose routine is running on that CPU; -1 if none."""
    trace = history.trace
    opener = history.in_routines.opener[index]
    own = (opener >= 0) & trace.are(opener, "DpcStart") & (trace.arg0[opener] == trace.arg0[index])
    return np.where(own, opener, -1)


def _judge_forgotten(history: History, ordinary: _Filter, finding: Finding) -> None:
    """Report DPCs that never ran, although their CPU went idle, awoke and went idle again."""
    trace, runs = history.trace, history.dpc_runs
    waiting = runs.insert[(runs.taken < 0) & ordinary(runs.insert)]
    idles = trace.where("IdleEnter")
    for index in waiting:
        target = int(trace.arg1[index] >> np.uint64(8)) & 0xFF
        after = idles[np.searchsorted(idles, index) :]
        passes = np.bincount(trace.cpu[after], minlength=trace.cpus)
        if target == ANY_CPU:
            forgotten = len(passes) > 0 and int(passes.min()) >= 2
        else:
            forgotten = target < len(passes) and passes[target] >= 2
        if forgotten:
            finding.add(
                f"the DPC {trace.arg0[index]:#x}, queued by CPU {trace.cpu[index]}, never ran, although "
                f"{'every CPU' if target == ANY_CPU else f'CPU {target}'} went idle twice since",
                [index, *after[trace.cpu[after] == (target if target != ANY_CPU else trace.cpu[index])][:2]],
            )


def _judge_level(history: History, starts: Indices, ordinary: _Filter, finding: Finding) -> None:
    trace, dpcs = history.trace, history.dpcs
    ends = dpcs.end[ordinary(dpcs.end)]
    for index in np.concatenate([starts, ends])[trace.irql[np.concatenate([starts, ends])] != DISPATCH_LEVEL]:
        verb = "began" if index in starts else "ended"
        finding.add(
            f"the DPC {trace.arg0[index]:#x} {verb} on CPU {trace.cpu[index]} at IRQL {trace.irql[index]}, "
            "not DISPATCH_LEVEL",
            [index],
            [trace.arg1[index]],
            certain=True,
        )
    dpc_starts = trace.where("DpcStart")
    for index in dpcs.unended[ordinary(dpcs.unended)]:
        finding.add(
            f"the DPC {trace.arg0[index]:#x} began on CPU {trace.cpu[index]}, and again without having ended",
            [index, *dpc_starts[(dpc_starts > index) & (trace.arg0[dpc_starts] == trace.arg0[index])][:1]],
            [trace.arg1[index]],
        )
    begun = trace.where("DpcStart")
    for index in np.concatenate([dpcs.unstarted, dpcs.inherited]):
        earlier = begun[: np.searchsorted(begun, index)]
        inherited = index in dpcs.inherited and not (trace.arg0[earlier] == trace.arg0[index]).any()
        if ordinary(np.array([index]))[0] and not inherited:
            finding.add(
                f"the DPC {trace.arg0[index]:#x} ended on CPU {trace.cpu[index]}, where it had not begun",
                [*finding.before(index, "DpcStart", "DpcEnd"), index],
                [trace.arg1[index]],
            )


def _judge_target(history: History, ordinary: _Filter, finding: Finding) -> None:
    trace = history.trace
    insert, start = history.dpc_runs.runs(trace)
    target = (trace.arg1[insert] >> np.uint64(8)).astype(np.int64) & 0xFF
    wrong = (target != ANY_CPU) & (target != trace.cpu[start]) & ordinary(insert) & trace.are(start, "DpcStart")
    for at in np.flatnonzero(wrong):
        finding.add(
            f"the DPC {trace.arg0[start[at]]:#x} was queued to CPU {target[at]} and ran on CPU {trace.cpu[start[at]]}",
            [insert[at], start[at]],
            [trace.arg1[start[at]]],
        )


def _judge_readiness(history: History, starts: Indices, finding: Finding) -> None:
    trace = history.trace
    outer = history.in_routines.parent(starts) if len(starts) else starts
    inside = np.flatnonzero(outer >= 0)
    around = outer[inside]
    is_interrupt = trace.are(around, "InterruptEnter")
    level = np.where(is_interrupt, interrupted_irql(trace, around), DISPATCH_LEVEL)
    for at in np.flatnonzero(level >= DISPATCH_LEVEL):
        index, by = starts[inside[at]], around[at]
        what = {"IsrEnter": "a service routine", "SyncEnter": "a synchronised routine", "DpcStart": "another DPC"}.get(
            trace.meta.events.name(int(trace.event[by])), "an interrupt that was taken at DISPATCH_LEVEL or above"
        )
        finding.add(
            f"the DPC {trace.arg0[index]:#x} began on CPU {trace.cpu[index]} inside {what}",
            [by, index],
            [trace.arg1[by], trace.arg1[index]],
        )


def _removed_by(history: History, start: int) -> int:
    """Return the removal after which nothing queued the DPC that `start` ran; -1 where there is none."""
    trace = history.trace
    acts = trace.where("DpcInsert", "DpcStart", "ThreadedDpcStart", "DpcRemove")
    before = acts[: np.searchsorted(acts, start)]
    before = before[trace.arg0[before] == trace.arg0[start]]
    says_no = (trace.are(before, "DpcInsert") | trace.are(before, "DpcRemove")) & (
        trace.arg1[before] & np.uint64(1) == 0
    )
    last = before[~says_no][-1:]
    return int(last[0]) if len(last) and trace.are(last, "DpcRemove")[0] else -1


def _judge_removals(history: History, finding: Finding) -> None:
    trace, runs = history.trace, history.dpc_runs
    for index in runs.unqueued:
        finding.add(
            f"CPU {trace.cpu[index]} removed the DPC {trace.arg0[index]:#x} (TRUE), which was not queued",
            [*finding.before(index, "DpcStart", "DpcRemove", said_no=False), index],
        )
    for index in runs.orphans:
        removal = _removed_by(history, index)
        if removal >= 0:
            finding.add(
                f"CPU {trace.cpu[index]} ran the DPC {trace.arg0[index]:#x}, though CPU {trace.cpu[removal]} "
                "had removed it",
                [removal, index],
                [trace.arg1[index]],
            )
    refused = trace.where("DpcRemove")
    refused = refused[trace.arg1[refused] & np.uint64(0xFF) == 0]
    done = runs.taken >= 0
    insert, taken = runs.insert[done], runs.taken[done]
    if not len(refused) or not len(insert):
        return
    _, number = factorize(np.concatenate([trace.arg0[insert], trace.arg0[refused]]))
    size = len(trace)
    ranked = number[: len(insert)] * size + insert
    order = np.argsort(ranked)
    at = np.searchsorted(ranked[order], number[len(insert) :] * size + refused) - 1
    found = order[np.maximum(at, 0)]
    queued = (at >= 0) & (number[found] == number[len(insert) :])
    queued &= certainly_before(history, insert[found], refused) & certainly_before(history, refused, taken[found])
    for which in np.flatnonzero(queued):
        index = refused[which]
        finding.add(
            f"CPU {trace.cpu[index]} could not remove the DPC {trace.arg0[index]:#x} (FALSE), which was queued",
            [insert[found[which]], index, taken[found[which]]],
        )
