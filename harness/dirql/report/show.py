# SPDX-License-Identifier: Apache-2.0
"""Looks at a stretch of a trace: as lanes, or record by record."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from dirql.errors import UsageError
from dirql.report.lanes import draw, lanes_of
from dirql.report.tables import report_console
from dirql.report.violations import numbered
from dirql.report.window import choose_window
from dirql.trace.history.describe import describe, object_words
from dirql.trace.history.history import History
from dirql.trace.oracle import Verdict, judge
from dirql.trace.window import Window, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dirql.trace.decode import Trace
    from dirql.trace.oracle.verdict import Violation
    from dirql.trace.schema import Indices
    from dirql.trace.store import StoredTrace

MOST = 4_000_000
"""Records that are read of a trace; of a longer one it is a part."""
BEFORE = 20_000_000
"""ns before the part of a long trace from which on it is read: more than a clock tick."""
NEAR = 60
"""Records before and after the one to look around of, where no time is given."""
PIPE_WIDTH = 120
"""Characters of a line where there is no terminal."""
_CHUNK = 1 << 12
_LISTED = 8
"""Violations named below the lanes at most."""


@dataclass(frozen=True)
class Looking:
    """What to look at.

    Attributes:
        history: the trace's intervals.
        verdict: the oracle's.
        window: begin and end of the stretch, in ticks.
        chosen: its CPUs, events and IRQLs.
        followed: the records to list, if only those about one object are wanted; None for all.
        first: number of the trace's first record; not 0 where only a part of a long trace was read.
        whole: how many records there are in all.
        duration: ns from the first of them to the last.
    """

    history: History
    verdict: Verdict
    window: tuple[int, int]
    chosen: Window
    followed: Indices | None
    first: int
    whole: int
    duration: float

    @classmethod
    def at(
        cls,
        run: Path,
        chosen: Window,
        *,
        around: str | None = None,
        span: str | None = None,
        follow: int | None = None,
        whole: bool = False,
    ) -> Looking:
        """Open a run and choose a stretch.

        Args:
            run: its folder.
            chosen: filters; its times, if it has any, are the stretch.
            around: a record's number, or `v1` for the first violation.
            span: how much time around that; see `window.parse_time`.
            follow: only records about the same object as this one.
            whole: without `around` the stretch is that of `chosen`, even where this is the whole trace.

        Raises:
            UsageError: there is no such record or violation, or the options contradict each other.
        """
        from dirql.trace.store import open_trace

        if around is None and span is not None:
            raise UsageError("--span says how much to show with --around; a stretch is --from and --to")
        if around is not None and (chosen.since or chosen.until is not None):
            raise UsageError("--around and --from or --to both choose the stretch; give one of them")
        stored = open_trace(run)
        everything = len(stored)
        chosen.check(stored.meta.cpus)
        if everything > MOST and around is None and follow is None:
            trace = _part(stored, chosen)
            whole = whole or bool(chosen.since) or chosen.until is not None
        else:
            trace = stored.trace()
        history = History(trace)
        verdict = judge(trace, history=history)
        followed = None if follow is None else _about(trace, follow)
        if around is not None:
            window = _around(history, verdict, around, None if span is None else parse_time(span))
        elif whole or chosen.since or chosen.until is not None:
            since, until = chosen.ticks(trace.meta.clock.ticks_per_ns)
            begin, last = (int(trace.time[0]), int(trace.time[-1]) + 1) if len(trace) else (0, 1)
            window = (since if since else min(begin, last), last if until is None else until)
        else:
            window = choose_window(history, verdict)
        before = trace.excerpt.before if trace.excerpt is not None else ()
        first = sum(number or 0 for number in before)
        window = (window[0], max(window[1], window[0] + 1))
        return cls(history, verdict, window, chosen, followed, first, everything, stored.duration_ns)

    @property
    def violations(self) -> list[tuple[int, Violation]]:
        """Violations and warnings with a record in the stretch, by number."""
        time = self.history.trace.time
        begin, end = self.window
        return [
            (number, each)
            for number, each in enumerate(numbered(self.verdict), start=1)
            if any(begin <= int(time[record]) < end for record in each.records)
        ]

    @property
    def part(self) -> str:
        """Which records were read, if not all were; else empty."""
        read = len(self.history.trace)
        if read == self.whole:
            return ""
        return (
            f"of {self.whole:,} records {read:,} were read, from number {self.first} on: marked is what they prove "
            "alone; --from and --to choose others"
        )

    def print_lanes(self, width: int | None = None) -> None:
        """Print the stretch as lanes, and the violations in it.

        Args:
            width: characters of a line; None for the terminal's.
        """
        from rich.text import Text

        console = report_console()
        trace = self.history.trace
        if not len(trace):
            console.print("the trace holds no records", markup=False)
            return
        colours = console.is_terminal and not console.no_color
        width = width or (console.width if console.is_terminal else PIPE_WIDTH)
        found = self.violations
        lanes = lanes_of(self.history, self.window, width, self.chosen, found, duration=self.duration)
        for line in draw(lanes, colours=colours):
            console.print(line, no_wrap=True, crop=False, soft_wrap=True)
        for number, violation in found[:_LISTED]:
            style = "bold yellow" if violation.warning else "bold red"
            console.print(Text.assemble((f"^{number} {violation.clause}", style), f": {violation.text}"))
        if len(found) > _LISTED:
            console.print(f"and {len(found) - _LISTED:,} more in this stretch", markup=False)
        if self.part:
            console.print(self.part, markup=False)
        elsewhere = len(numbered(self.verdict)) - len(found)
        if elsewhere:
            console.print(
                f"{elsewhere:,} more elsewhere: dirql trace summary lists them, --around v1 shows one", markup=False
            )

    def records(self) -> Iterator[str]:
        """Yield the records of the stretch as lines."""
        trace = self.history.trace
        index = self.followed if self.followed is not None else np.arange(len(trace))
        time = trace.time[index]
        index = index[np.searchsorted(time, self.window[0]) : np.searchsorted(time, self.window[1])]
        kept = self.chosen.passes(trace.event[index], trace.irql[index], trace.meta.events)
        if self.chosen.cpus is not None:
            kept &= np.isin(trace.cpu[index], sorted(self.chosen.cpus))
        index = index[kept]
        wide = max(len(str(self.whole)), 6)
        if self.part:
            yield self.part
        yield f"{'record':>{wide}}  {'time in µs':>14}  CPU  IRQL  event"
        wrong = self._wrong()
        for at in range(0, len(index), _CHUNK):
            part = index[at : at + _CHUNK]
            times = trace.ns(trace.time[part]).tolist()
            for record, ns, cpu, irql in zip(
                part.tolist(), times, trace.cpu[part].tolist(), trace.irql[part].tolist(), strict=True
            ):
                text = describe(trace, record) + (f"  <- {wrong[record]}" if record in wrong else "")
                yield f"{record + self.first:>{wide}}  {ns / 1000:>14,.3f}  {cpu:>3}  {irql:>4}  {text}"

    def _wrong(self) -> dict[int, str]:
        """Return what is wrong with records: numbers and clauses of the violations that they show."""
        found: dict[int, list[str]] = {}
        for number, violation in enumerate(numbered(self.verdict), start=1):
            for record in violation.records:
                found.setdefault(record, []).append(f"v{number} {violation.clause}")
        return {record: ", ".join(texts) for record, texts in found.items()}

    def print_records(self) -> None:
        """Print the records of the stretch; through a pager where they fill more than a terminal."""
        lines = self.records()
        if not sys.stdout.isatty():
            for line in lines:
                sys.stdout.write(f"{line}\n")
            return
        import click

        room = shutil.get_terminal_size().lines - 1
        first = [line for _, line in zip(range(room), lines, strict=False)]
        if len(first) < room:
            click.echo("\n".join(first))
            return
        click.echo_via_pager(f"{line}\n" for line in chain(first, lines))


def _part(stored: StoredTrace, chosen: Window) -> Trace:
    """Read the part of a long trace that is asked for, with what comes before, for what CPUs are in; or its end.

    A part that is longer than can be looked at begins where it was to begin and ends earlier.
    """
    density = len(stored) / max(stored.duration_ns, 1.0)
    room = round(MOST / density)
    since, until = chosen.since, chosen.until
    if not since and until is None:
        since = max(round(stored.duration_ns) - room, 0)
    until = round(stored.duration_ns) + 1 if until is None else until
    return stored.trace(Window(since=max(since - BEFORE, 0), until=min(until, since + room + 1)))


def _about(trace: Trace, record: int) -> Indices:
    """Return the records about the object that one is about.

    Raises:
        UsageError: there is no such record, or it is about none.
    """
    _check(trace, record)
    words = object_words(trace.meta.events, trace.event, trace.arg0, trace.arg1)
    if not words[record]:
        raise UsageError(f"record {record} is about no lock, DPC, IRP or other object: {describe(trace, record)}")
    return np.flatnonzero(words == words[record])


def _around(history: History, verdict: Verdict, what: str, span: int | None) -> tuple[int, int]:
    """Return the stretch around a record or a violation, in ticks."""
    trace = history.trace
    if what[:1] == "v" and what[1:].isdecimal():
        known = numbered(verdict)
        number = int(what[1:])
        if not 1 <= number <= len(known):
            raise UsageError(f"there is no violation {number}; the trace has {len(known)} with a number")
        records = np.array(known[number - 1].records, dtype=np.int64)
        if not len(records):
            raise UsageError(f"violation {number} has no records: {known[number - 1].text}")
    elif what.isdecimal():
        _check(trace, int(what))
        records = np.array([int(what)])
    else:
        raise UsageError(f"--around {what}: give the number of a record, or v1 for the first violation")
    first, last = int(records.min()), int(records.max())
    begin, end = int(trace.time[first]), int(trace.time[last])
    if span is not None:
        room = round(span * trace.meta.clock.ticks_per_ns) - (end - begin)
        return max(begin - max(room, 0) // 2, 0), end + max(room, 0) // 2 + 1
    begin = min(begin, int(trace.time[max(first - NEAR, 0)]))
    return begin, max(end, int(trace.time[min(last + NEAR, len(trace) - 1)])) + 1


def _check(trace: Trace, record: int) -> None:
    if not 0 <= record < len(trace):
        raise UsageError(f"there is no record {record}: the trace has 0 to {len(trace) - 1}")
