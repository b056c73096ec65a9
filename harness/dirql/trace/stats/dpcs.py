# SPDX-License-Identifier: Apache-2.0
"""Numbers of the DPCs of a trace: queued where, run where, how long in between."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.trace.stats.flows import Flow, count_flows
from dirql.trace.stats.part import Part
from dirql.trace.stats.percentiles import Percentiles

if TYPE_CHECKING:
    from dirql.trace.history.history import History
    from dirql.trace.schema import Indices

_LOW_BYTE = np.uint64(0xFF)


@dataclass(frozen=True)
class DpcStats:
    """What became of one KDPC.

    Attributes:
        dpc: its address.
        routine: its DeferredRoutine; 0 where it never ran in the trace.
        name: its routine's name, else its own.
        threaded: it ran in a thread, at PASSIVE_LEVEL.
        queued: insertions that returned TRUE.
        refused: insertions that returned FALSE: it was queued already.
        runs: how often it began to run.
        removed: how often it was taken off its queue without a run.
        pending: whether it is still queued where the trace ends.
        latency: from its insertion to its run, in ns.
        time: from the begin of its routine to its end, with what interrupted it, in ns.
        flows: from the CPU that queued it to the one that ran it.
    """

    dpc: int
    routine: int
    name: str
    threaded: bool
    queued: int
    refused: int
    runs: int
    removed: int
    pending: bool
    latency: Percentiles
    time: Percentiles
    flows: tuple[Flow, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def dpc_statistics(history: History, part: Part | None = None) -> tuple[DpcStats, ...]:
    """Return the numbers of all DPCs that were queued or ran, those that ran most often first."""
    trace = history.trace
    part = part or Part.of(trace)
    inserts = part.of_event("DpcInsert")
    starts = part.of_event("DpcStart", "ThreadedDpcStart")
    removes = part.of_event("DpcRemove")
    removes = removes[(trace.arg1[removes] & _LOW_BYTE) != 0]
    insert, run = history.dpc_runs.runs(trace)
    inside = part.holds(insert)
    insert, run = insert[inside], run[inside]
    left = history.dpc_runs.insert[history.dpc_runs.taken < 0]
    pending = set(trace.arg0[left].tolist())
    took = [part.durations(spans) for spans in (history.dpcs, history.threaded_dpcs)]
    keys = np.concatenate(
        [spans.key[chosen] for spans, (chosen, _) in zip((history.dpcs, history.threaded_dpcs), took, strict=True)]
    )
    times = np.concatenate([time for _, time in took])
    found = []
    for dpc in np.unique(trace.arg0[np.concatenate([inserts, starts])]):

        def mine(index: Indices, dpc: np.uint64 = dpc) -> Indices:
            chosen: Indices = index[trace.arg0[index] == dpc]
            return chosen

        started, asked, matched = mine(starts), mine(inserts), trace.arg0[insert] == dpc
        routine = int(trace.arg1[started[-1]]) if len(started) else 0
        queued = int(((trace.arg1[asked] & _LOW_BYTE) != 0).sum())
        found.append(
            DpcStats(
                dpc=int(dpc),
                routine=routine,
                name=trace.symbols.name(routine or int(dpc)),
                threaded=bool(trace.are(started, "ThreadedDpcStart").any()),
                queued=queued,
                refused=len(asked) - queued,
                runs=len(started),
                removed=len(mine(removes)),
                pending=int(dpc) in pending,
                latency=Percentiles.of(
                    trace.ns(np.maximum(trace.time[run[matched]] - trace.time[insert[matched]], 0)),
                ),
                time=Percentiles.of(times[keys == dpc]),
                flows=count_flows(trace.cpu[insert[matched]], trace.cpu[run[matched]]),
            )
        )
    return tuple(sorted(found, key=lambda each: (-each.runs, -each.queued)))
