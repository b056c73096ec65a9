# SPDX-License-Identifier: Apache-2.0
"""Threads in the exported file: a track for each, with what it did and waited for; the arrows from signals to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dirql.trace.history.lives import Kind, Span, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.trace.history.history import History
    from dirql.trace.history.lives import Life, Release


class ThreadSlice(NamedTuple):
    """A state of a thread, as a slice of its track; `end` is -1 if it lasts, `flow` 0 without an arrow."""

    track: int
    begin: int
    end: int
    name: str
    flow: int


class SignalPoint(NamedTuple):
    """A signal, as a point on what its CPU ran; once for each thread that it let go."""

    record: int
    name: str
    flow: int


class ThreadTracks:
    """All that is shown of the threads of a trace.

    Args:
        history: the trace's intervals.
        first_flow: arrows are numbered from here on.

    Attributes:
        names: of the tracks.
        slices: on them.
        signals: on the tracks of the CPUs.
    """

    def __init__(self, history: History, first_flow: int) -> None:
        self._symbol = history.trace.symbols.name
        self.names: list[str] = []
        self.slices: list[ThreadSlice] = []
        self.signals: list[SignalPoint] = []
        if not history.threads.switched:
            return
        dispatcher = history.dispatcher
        arrows: dict[int, int] = {}
        for release in dispatcher.releases:
            name = f"signal {self._object(release)}"
            woken = [wait.run for wait in release.ended if wait.run >= 0 and wait.satisfied]
            for run in woken:
                arrows[run] = first_flow + len(arrows)
                self.signals.append(SignalPoint(release.index, name, arrows[run]))
            if not woken:
                self.signals.append(SignalPoint(release.index, name, 0))
        for life in dispatcher.lives:
            if life.spans:
                self.slices += self._slices(life, len(self.names), arrows)
                self.names.append(life.name(history.trace.symbols))

    def _slices(self, life: Life, track: int, arrows: dict[int, int]) -> Iterator[ThreadSlice]:
        for span in life.spans:
            flow = arrows.get(span.begin, 0) if span.state is State.RUNNING else 0
            yield ThreadSlice(track, span.begin, span.end, self._span(span), flow)

    def _span(self, span: Span) -> str:
        if span.state is State.RUNNING:
            return f"CPU {span.cpu}"
        if span.state is State.READY:
            return "ready"
        if span.wait is None:
            return "parked"
        if not span.wait.count:
            return "sleeps"
        others = f" and {span.wait.count - 1} more" if span.wait.count > 1 else ""
        return f"waits for {self._symbol(span.wait.object)}{others}"

    def _object(self, release: Release) -> str:
        known = release.kind in set(Kind)
        return (
            f"{Kind(release.kind).name.lower().replace('_', ' ') if known else 'object'} {self._symbol(release.object)}"
        )
