# SPDX-License-Identifier: Apache-2.0
"""Numbers of the threads of a trace: what each got of the CPUs, and how long it was ready without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dirql.trace.lives import State

if TYPE_CHECKING:
    from dirql.trace.history import History
    from dirql.trace.lives import Life


@dataclass(frozen=True)
class ThreadStats:
    """What one thread did. Times are in ns.

    Attributes:
        name: by its start routine, else its address.
        priorities: lowest and highest that it was switched to or from with.
        running: time for which it had a CPU, with what interrupted it.
        cpus: those on which it ran.
        switches: times that it was given one.
        ready: time for which it was ready without one; the longest stretch is `longest`.
        longest: see there.
        waiting: time for which it waited.
    """

    name: str
    priorities: tuple[int, int]
    running: float
    cpus: tuple[int, ...]
    switches: int
    ready: float
    longest: float
    waiting: float


def thread_statistics(history: History) -> tuple[ThreadStats, ...]:
    """Return the numbers of all threads that had a CPU, the busiest first; nothing of a trace without threads."""
    if not history.threads.switched:
        return ()
    found = [_of(history, life) for life in history.dispatcher.lives if life.spans and life.priorities]
    return tuple(sorted(found, key=lambda each: -each.running))


def _of(history: History, life: Life) -> ThreadStats:
    trace = history.trace
    scale = trace.meta.clock.ticks_per_ns
    times: dict[State, list[float]] = {state: [] for state in State}
    last = int(trace.time[-1])
    for span in life.spans:
        end = int(trace.time[span.end]) if span.end >= 0 else last
        times[span.state].append((end - int(trace.time[span.begin])) / scale)
    return ThreadStats(
        name=life.name(trace.symbols),
        priorities=(min(life.priorities), max(life.priorities)),
        running=sum(times[State.RUNNING]),
        cpus=tuple(sorted({span.cpu for span in life.spans if span.state is State.RUNNING})),
        switches=life.switches,
        ready=sum(times[State.READY]),
        longest=max(times[State.READY], default=0.0),
        waiting=sum(times[State.WAITING]),
    )
