# SPDX-License-Identifier: Apache-2.0
"""Numbers of the threads of a trace: what each got of the CPUs, and how long it was ready without one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dirql.trace.history.lives import State
from dirql.trace.stats.part import Part

if TYPE_CHECKING:
    from dirql.trace.history.history import History
    from dirql.trace.history.lives import Life


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

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def thread_statistics(history: History, part: Part | None = None) -> tuple[ThreadStats, ...]:
    """Return the numbers of all threads that had a CPU, the busiest first; nothing of a trace without threads."""
    if not history.threads.switched:
        return ()
    part = part or Part.of(history.trace)
    lives = [life for life in history.dispatcher.lives if life.spans and life.priorities]
    found = [each for each in (_of(history, part, life) for life in lives) if each.switches or part.whole]
    return tuple(sorted(found, key=lambda each: -each.running))


def _of(history: History, part: Part, life: Life) -> ThreadStats:
    trace = history.trace
    scale = trace.meta.clock.ticks_per_ns
    times: dict[State, list[float]] = {state: [] for state in State}
    cpus: set[int] = set()
    turns = 0
    last = int(trace.time[-1])
    for span in life.spans:
        begin, end = int(trace.time[span.begin]), int(trace.time[span.end]) if span.end >= 0 else last
        if end < part.since or begin > part.until:
            continue
        if span.state is State.RUNNING:
            if span.cpu not in part.cpus:
                continue
            turns += 1
            cpus.add(span.cpu)
        times[span.state].append((min(end, part.until) - max(begin, part.since)) / scale)
    return ThreadStats(
        name=life.name(trace.symbols),
        priorities=(min(life.priorities), max(life.priorities)),
        running=sum(times[State.RUNNING]),
        cpus=tuple(sorted(cpus)),
        switches=life.switches if part.whole else turns,
        ready=sum(times[State.READY]),
        longest=max(times[State.READY], default=0.0),
        waiting=sum(times[State.WAITING]),
    )
