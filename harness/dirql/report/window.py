# SPDX-License-Identifier: Apache-2.0
"""Chooses the part of a trace that is worth a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.history import History
from dirql.trace.schema import Indices

if TYPE_CHECKING:
    from dirql.trace.oracle.verdict import Verdict

INTERRUPTS = 12
"""As many interrupts as a reader can follow in one picture."""
_MARGIN = 0.06


def choose_window(history: History, verdict: Verdict | None = None) -> tuple[int, int]:
    """Choose where to look.

    With violations: around the first of them. Else among the stretches of twelve device interrupts the one that shows
    most: interrupts on all CPUs, CPUs that spin for a lock, DPCs that run on another CPU than they were queued on,
    nested interrupts, synchronised routines; and the shorter of two that show the same.

    Args:
        history: the trace's intervals.
        verdict: the oracle's verdict, if there is one.

    Returns:
        Begin and end, in ticks.
    """
    trace = history.trace
    if not len(trace):
        return 0, 1
    centres = trace.time[_landmarks(history)]
    wrong = [violation.records for violation in verdict.violations if violation.records] if verdict else []
    if wrong:
        return _around(trace.time[np.array(min(wrong, key=max))], centres, int(trace.time[-1]))
    if len(centres) <= INTERRUPTS:
        begin, end = (centres[0], centres[-1]) if len(centres) > 1 else (trace.time[0], trace.time[-1])
        return _widen(int(begin), int(end))
    begins, ends = centres[: -INTERRUPTS + 1], centres[INTERRUPTS - 1 :]
    shown = np.zeros(len(begins))
    for index, weight, enough in _attractions(history):
        at = np.sort(trace.time[index])
        count = np.searchsorted(at, ends, side="right") - np.searchsorted(at, begins)
        shown += weight * np.minimum(count, enough)
    length = ends - begins
    brief = max(float(np.percentile(length, 10)), 1.0)
    best = int(np.argmax(shown - 2.0 * length / brief))
    return _widen(int(begins[best]), int(ends[best]))


def _landmarks(history: History) -> Indices:
    """Return the device interrupts; any interrupts, if there are none; any records, if there are none of those."""
    for name in ("IsrEnter", "InterruptEnter"):
        index = history.trace.where(name)
        if len(index) > 1:
            return index
    return np.arange(len(history.trace), dtype=np.int64)


def _attractions(history: History) -> list[tuple[Indices, float, int]]:
    """Return what is worth seeing: records, the worth of each, and how many are enough."""
    trace = history.trace
    insert, run = history.dpc_runs.runs(trace)
    entries = trace.where("InterruptEnter")
    interrupted = (trace.arg0[entries] >> np.uint64(8)) & np.uint64(0xFF)
    everywhere = [(entries[trace.cpu[entries] == cpu], 1.5, 3) for cpu in range(trace.cpus)]
    return [
        *everywhere,
        (trace.where("LockWait"), 2.0, 4),
        (run[trace.cpu[run] != trace.cpu[insert]], 2.0, 4),
        (entries[interrupted > 2], 2.0, 3),
        (trace.where("SyncEnter"), 1.0, 5),
        (trace.where("DpcStart"), 0.5, 8),
    ]


def _around(times: Indices, centres: Indices, last: int) -> tuple[int, int]:
    """Return a window that holds `times` and about half the usual number of interrupts besides."""
    first, final = int(times.min()), int(times.max())
    before = int(np.searchsorted(centres, first))
    after = int(np.searchsorted(centres, final, side="right"))
    begin = int(centres[max(before - INTERRUPTS // 4, 0)]) if len(centres) else 0
    end = int(centres[min(after + INTERRUPTS // 4, len(centres)) - 1]) if len(centres) else last
    return _widen(min(begin, first), max(end, final))


def _widen(begin: int, end: int) -> tuple[int, int]:
    margin = max(round((end - begin) * _MARGIN), 1)
    return max(begin - margin, 0), end + margin
