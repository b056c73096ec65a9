# SPDX-License-Identifier: Apache-2.0
"""Numbers of the spin locks of a trace: who took each, how long it was waited for and held, who overtook whom."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.trace.history.intervals import stable_groups
from dirql.trace.history.names import lock_names
from dirql.trace.oracle.locks import Locks
from dirql.trace.stats.flows import Flow, count_flows
from dirql.trace.stats.part import Part
from dirql.trace.stats.percentiles import Percentiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.trace.history.history import History
    from dirql.trace.history.intervals import Intervals
    from dirql.trace.schema import Indices, Words

CALLERS = 8
"""Call sites of a lock that are told apart: those that took it most often."""
_KINDS = {1: "in-stack queued", 2: "interrupt"}


@dataclass(frozen=True)
class CallerStats:
    """One call site at which a lock was taken.

    Attributes:
        caller: its address: of the call's return, or of the routine that was called under the lock.
        acquisitions: how often the lock was taken there.
        contended: how often that had to wait.
        hold: from those acquisitions to the releases, in ns.
    """

    caller: int
    acquisitions: int
    contended: int
    hold: Percentiles


@dataclass(frozen=True)
class LockStats:
    """What became of one spin lock. Times are in ns.

    Attributes:
        lock: its address.
        name: what it is called; see `names.lock_names`.
        kind: `spin`, `in-stack queued`, `interrupt` or `reader/writer`, as far as the trace shows it.
        acquisitions: how often it was taken, by one owner.
        contended: how often that had to wait.
        shared: how often it was taken as a reader.
        shared_contended: how often that had to wait.
        wait: from the begin of a wait to the acquisition, of owners.
        hold: from the acquisition to the release, of owners.
        shared_wait: the same of readers.
        shared_hold: the same of readers.
        bypasses: how often one entered before a waiter that, as the record before its own proves, began to ask later.
        most_bypassed: most times that one waiter was overtaken, whether it entered in the end or still waits.
        waiting: how many still wait where the trace ends.
        owners: acquisitions by one owner, by CPU.
        handoffs: from the CPU of each owner to that of the next.
        callers: the call sites that took it most often.
    """

    lock: int
    name: str
    kind: str
    acquisitions: int
    contended: int
    shared: int
    shared_contended: int
    wait: Percentiles
    hold: Percentiles
    shared_wait: Percentiles
    shared_hold: Percentiles
    bypasses: int
    most_bypassed: int
    waiting: int
    owners: tuple[int, ...]
    handoffs: tuple[Flow, ...]
    callers: tuple[CallerStats, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def lock_statistics(history: History, part: Part | None = None) -> tuple[LockStats, ...]:
    """Return the numbers of all locks that were taken or waited for: the most contended, then the most taken first."""
    trace = history.trace
    part = part or Part.of(trace)
    acquired, shared = part.of_event("LockAcquired"), part.of_event("LockSharedAcquired")
    asked = part.of_event("LockWait", "LockSharedWait")
    locks = np.unique(trace.arg0[np.concatenate([acquired, shared, asked])])
    if not len(locks):
        return ()
    columns = [
        _groups(locks, trace.arg0[acquired], acquired),
        _groups(locks, trace.arg0[shared], shared),
        *(_spans(locks, history, part, spans) for spans in (history.waits, history.shared_waits)),
        *(_spans(locks, history, part, spans) for spans in (history.holds, history.shared_holds)),
        _groups(locks, trace.arg0[history.waits.running], history.waits.running),
    ]
    names, kinds, begun = lock_names(trace), _kinds(history), Locks(history).begun
    found = [
        _of(history, part, begun, int(lock), names.get(int(lock), ""), kinds.get(int(lock), "spin"), *mine)
        for lock, mine in zip(locks, zip(*columns, strict=True), strict=True)
    ]
    return tuple(sorted(found, key=lambda each: (-each.contended - each.shared_contended, -each.acquisitions)))


def _of(
    history: History,
    part: Part,
    asked: Indices,
    lock: int,
    name: str,
    kind: str,
    acquired: Indices,
    shared: Indices,
    waits: Indices,
    shared_waits: Indices,
    holds: Indices,
    shared_holds: Indices,
    waiting: Indices,
) -> LockStats:
    trace = history.trace
    spans = (history.waits, history.shared_waits, history.holds, history.shared_holds)
    times = [
        Percentiles.of(trace.ns(trace.time[span.end[mine]] - trace.time[span.start[mine]]))
        for span, mine in zip(spans, (waits, shared_waits, holds, shared_holds), strict=True)
    ]
    still = waiting[part.holds(waiting)]
    every = history.trace.where("LockAcquired")
    begun = asked[np.searchsorted(every, acquired)]
    overtaken = _overtaken(history, acquired, begun, history.waits.start[waits], history.waits.end[waits], still)
    owner = trace.cpu[acquired]
    return LockStats(
        lock=lock,
        name=name or trace.symbols.name(lock),
        kind="reader/writer" if len(shared) else kind,
        acquisitions=len(acquired),
        contended=len(waits) + len(still),
        shared=len(shared),
        shared_contended=len(shared_waits),
        wait=times[0],
        hold=times[2],
        shared_wait=times[1],
        shared_hold=times[3],
        bypasses=int(overtaken.sum()),
        most_bypassed=int(overtaken.max(initial=0)),
        waiting=len(still),
        owners=part.per_cpu(owner),
        handoffs=count_flows(owner[:-1], owner[1:]),
        callers=_callers(history, acquired, history.waits.end[waits], holds),
    )


def _callers(history: History, acquired: Indices, waited: Indices, holds: Indices) -> tuple[CallerStats, ...]:
    trace = history.trace
    sites, number, counts = np.unique(trace.arg1[acquired], return_inverse=True, return_counts=True)
    contended = np.bincount(number.reshape(-1)[np.isin(acquired, waited)], minlength=len(sites))
    start, end = history.holds.start[holds], history.holds.end[holds]
    took = trace.ns(trace.time[end] - trace.time[start])
    return tuple(
        CallerStats(
            caller=int(sites[at]),
            acquisitions=int(counts[at]),
            contended=int(contended[at]),
            hold=Percentiles.of(took[trace.arg1[start] == sites[at]]),
        )
        for at in np.argsort(-counts, kind="stable")[:CALLERS]
    )


def _overtaken(
    history: History, acquired: Indices, begun: Indices, wait: Indices, entered: Indices, waiting: Indices
) -> Indices:
    """Count for each waiter the owners of other CPUs that certainly began to ask after it and entered before it.

    Args:
        history: the trace's intervals.
        acquired: all acquisitions of the lock, in order.
        begun: for each the last record in its context before it was asked for; -1 where none.
        wait: begins of waits that ended.
        entered: the acquisition that ended each.
        waiting: begins of waits that last.
    """
    trace = history.trace
    since = np.concatenate([wait, waiting])
    until = np.concatenate([entered, np.full(len(waiting), len(trace), dtype=np.int64)])
    first, last = np.searchsorted(acquired, since), np.searchsorted(acquired, until)
    between = last - first  # of each wait at most all other CPUs' owners in its time
    which = np.repeat(np.arange(len(since)), between)
    owner = np.arange(len(which)) - np.repeat(np.cumsum(between) - between, between) + np.repeat(first, between)
    overtook = (begun[owner] > since[which]) & (trace.cpu[acquired[owner]] != trace.cpu[since[which]])
    return np.bincount(which[overtook], minlength=len(since))


def _kinds(history: History) -> dict[int, str]:
    """Return what LockQueued records tell of the kind of each lock."""
    trace = history.trace
    queued = trace.where("LockQueued")
    kind = trace.arg1[queued] >> np.uint64(32)
    found: dict[int, str] = {}
    for number, name in _KINDS.items():
        found |= dict.fromkeys(np.unique(trace.arg0[queued[kind == number]]).tolist(), name)
    return found


def _spans(locks: Words, history: History, part: Part, spans: Intervals) -> Iterator[Indices]:
    chosen = np.flatnonzero(part.holds(spans.start))
    return _groups(locks, history.trace.arg0[spans.start[chosen]], chosen)


def _groups(locks: Words, key: Words, index: Indices) -> Iterator[Indices]:
    """Yield for each lock those of `index` whose key it is, in order."""
    number = np.searchsorted(locks, key)
    number = np.where(locks[np.minimum(number, len(locks) - 1)] == key, number, len(locks))
    order = stable_groups(number)
    bounds = np.searchsorted(number[order], np.arange(len(locks) + 1))
    return (index[order[bounds[at] : bounds[at + 1]]] for at in range(len(locks)))
