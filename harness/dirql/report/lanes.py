# SPDX-License-Identifier: Apache-2.0
"""A stretch of a trace as text: a lane for each CPU, its IRQL above, what runs below, violations marked.

With colours the IRQL is a bar whose height is the level, whose colour is what ran, and that is the paler the smaller
the part of the cell is that was spent there. Without colours it is a hexadecimal digit; the share has its own line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dirql.report.activity import activity
from dirql.report.cells import Cells, cells_of
from dirql.report.labels import LETTERS, Labels
from dirql.report.tables import duration
from dirql.report.timeline import COLOURS as DRAWN
from dirql.report.timeline import NAMES
from dirql.trace.export.slices import Kind, cpu_slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.text import Text

    from dirql.trace.export.slices import Slices
    from dirql.trace.history.history import History
    from dirql.trace.oracle.verdict import Violation
    from dirql.trace.schema import Indices
    from dirql.trace.window import Window

COLOURS = {**DRAWN, Kind.IDLE: "#808080", Kind.SYSTEM_INTERRUPT: "#4c9fd8", Kind.START_IO: "#5c9fd6"}
"""Those of the picture, but for what is hard to see on a dark ground."""
BARS = " ▁▂▃▄▅▆▇█"
_HEIGHT = (1, 2, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 6, 7, 7, 8)
"""Height of each IRQL, in eighths."""
_SHARES = " ░▒▓█"
_PALE = (0x80, 0x80, 0x80)
_WRONG = "bold #e6323c"
_WARNED = "bold #e69f00"
_LEAST_NAME = 4
"""Cells that a name needs; in fewer stands its letter."""
_TICK_CELLS = 20


@dataclass(frozen=True)
class Lanes:
    """What to draw.

    Attributes:
        history: the trace's intervals.
        window: begin and end, in ticks.
        width: cells in a lane.
        cpus: the CPUs to draw.
        marked: records to count in a line of their own; None for no such line.
        irqls: show only the time at these IRQLs; None for all.
        violations: (number, violation) of those to mark.
        duration: ns from the first record of all to the last; None for the history's.
        slices: the trace's slices.
    """

    history: History
    window: tuple[int, int]
    width: int
    cpus: tuple[int, ...]
    marked: Indices | None = None
    irqls: range | None = None
    violations: Sequence[tuple[int, Violation]] = ()
    duration: float | None = None
    slices: Slices = field(init=False)

    def __post_init__(self) -> None:
        """Find the slices."""
        object.__setattr__(self, "slices", cpu_slices(self.history))


def lanes_of(
    history: History,
    window: tuple[int, int],
    width: int,
    chosen: Window,
    violations: Sequence[tuple[int, Violation]] = (),
    *,
    duration: float | None = None,
) -> Lanes:
    """Say what to draw.

    Args:
        history: the trace's intervals.
        window: begin and end, in ticks.
        width: characters of a line.
        chosen: its CPUs and IRQLs are shown, the records that it lets through are counted.
        violations: (number, violation) of those to mark.
        duration: ns that the whole trace lasts, where the history is of a part of it.

    Raises:
        UsageError: the trace has no such CPU.
    """
    trace = history.trace
    chosen.check(trace.cpus)
    cpus = tuple(sorted(chosen.cpus)) if chosen.cpus else tuple(range(trace.cpus))
    marked = None
    if chosen.events is not None:
        inside = np.flatnonzero((trace.time >= window[0]) & (trace.time < window[1]))
        marked = inside[chosen.passes(trace.event[inside], trace.irql[inside], trace.meta.events)]
    margin = max(len(f"CPU {max(cpus)}"), 5) + 1
    return Lanes(history, window, max(width - margin, 10), cpus, marked, chosen.irqls, violations, duration)


def draw(lanes: Lanes, *, colours: bool) -> list[Text]:
    """Return the lines of the picture: heading, time, lanes, legend.

    Args:
        lanes: what to draw.
        colours: whether the reader sees colours.
    """
    labels = Labels(lanes.history, lanes.slices)
    lines = _heading(lanes)
    used: set[Kind] = set()
    for cpu in lanes.cpus:
        did = activity(lanes.history, lanes.slices, cpu, lanes.window)
        cells = cells_of(did, lanes.window, lanes.width, lanes.irqls)
        used |= {Kind(kind) for kind in np.unique(cells.kind[cells.irql >= 0]).tolist()}
        lines += _lane(lanes, cpu, cells, labels, colours)
    return [*lines, *_legend(used, lanes, colours)]


def _lane(lanes: Lanes, cpu: int, cells: Cells, labels: Labels, colours: bool) -> list[Text]:
    lines = [_levels(f"CPU {cpu}", cells, colours)]
    if not colours and (cells.share[cells.irql >= 0] < 2 / 3).any():
        lines.append(_line("share", (_SHARES[int(np.ceil(share * 4))] for share in cells.share)))
    lines.append(_names(lanes, cells, labels, colours))
    if lanes.marked is not None:
        lines.append(_counts(lanes, cpu))
    return [*lines, *_marks(lanes, cpu)]


def _levels(head: str, cells: Cells, colours: bool) -> Text:
    if not colours:
        return _line(head, (f"{level:X}" if level >= 0 else " " for level in cells.irql.tolist()))
    from rich.text import Text

    line = Text(_head(head), style="bold")
    line.append_text(bars(cells))
    return line


def bars(cells: Cells) -> Text:
    """Return the cells' IRQLs as bars, coloured by what ran."""
    from rich.text import Text

    line = Text()
    for level, share, kind in zip(cells.irql.tolist(), cells.share.tolist(), cells.kind.tolist(), strict=True):
        line.append(BARS[_HEIGHT[level]] if level >= 0 else " ", style=shade(COLOURS[Kind(kind)], share))
    return line


def _names(lanes: Lanes, cells: Cells, labels: Labels, colours: bool) -> Text:
    """Write what ran: its name where there is room, its letter elsewhere."""
    from rich.text import Text

    slices = lanes.slices
    known: dict[int, tuple[Kind | None, str]] = {-1: (None, "")}
    cell: list[tuple[Kind | None, str]] = []
    for at, level, spins in zip(cells.slice.tolist(), cells.irql.tolist(), cells.spinning.tolist(), strict=True):
        if at not in known:
            known[at] = (Kind(int(slices.kind[at])), labels.of(at))
        kind, name = known[at] if level >= 0 else (None, "")
        cell.append((kind, "spins") if spins else (kind, name))
    line = Text(_head(""))
    first = 0
    while first < len(cell):
        last = first
        while last < len(cell) and cell[last] == cell[first]:
            last += 1
        kind, name = cell[first]
        style = COLOURS[kind] if colours and kind is not None else ""
        line.append(_fitted(kind, name, last - first), style=style)
        first = last
    return line


def _fitted(kind: Kind | None, name: str, room: int) -> str:
    if kind is None:
        return " " * room
    letter = "w" if name == "spins" else LETTERS[kind]
    if kind is Kind.IDLE or room < _LEAST_NAME:
        return letter * room
    return (name[: room - 1] if len(name) >= room else name).ljust(room - 1, "-") + " "


def _counts(lanes: Lanes, cpu: int) -> Text:
    """Count the records that were asked for, cell by cell."""
    trace, marked = lanes.history.trace, lanes.marked
    assert marked is not None
    place = _cell(lanes, trace.time[marked[trace.cpu[marked] == cpu]])
    counts = np.bincount(place, minlength=lanes.width)
    return _line("asked", (" " if not count else str(count) if count < 10 else "+" for count in counts.tolist()))


def _marks(lanes: Lanes, cpu: int) -> list[Text]:
    """Point at the records of violations on a CPU; nothing where there are none."""
    from rich.text import Text

    trace = lanes.history.trace
    found: dict[int, dict[int, Violation]] = {}
    for number, violation in lanes.violations:
        records = [record for record in violation.records if trace.cpu[record] == cpu]
        inside = [record for record in records if lanes.window[0] <= trace.time[record] < lanes.window[1]]
        for place in _cell(lanes, trace.time[np.array(inside, dtype=np.int64)]).tolist():
            found.setdefault(place, {})[number] = violation
    if not found:
        return []
    line = Text(_head("wrong"))
    for place in sorted(found):
        room = lanes.width + len(_head("")) - len(line)
        line.append(" " * max(place + len(_head("")) - len(line), 0))
        text = f"^{','.join(map(str, sorted(found[place])))} "
        warned = all(violation.warning for violation in found[place].values())
        line.append(text[: max(min(room, len(text)), 0)], style=_WARNED if warned else _WRONG)
    line.rstrip()
    return [line]


def _cell(lanes: Lanes, time: Indices) -> Indices:
    begin, end = lanes.window
    cell: Indices = np.clip((time - begin) * lanes.width // max(end - begin, 1), 0, lanes.width - 1)
    return cell


def _heading(lanes: Lanes) -> list[Text]:
    from rich.text import Text

    trace = lanes.history.trace
    scale = trace.meta.clock.ticks_per_ns
    begin, end = (tick / scale for tick in lanes.window)
    time = "virtual" if trace.meta.mode == "icount" else "real"
    last = float(trace.time[-1]) / scale if len(trace) else 0.0
    whole = duration(last if lanes.duration is None else lanes.duration)
    cell = (end - begin) / lanes.width
    text = (
        f"{exact(begin)} to {exact(end)} of {whole} of {time} time, mode {trace.meta.mode}; a cell is {duration(cell)}"
    )
    ruler, marks = [" "] * lanes.width, [" "] * lanes.width
    step = _step(cell * _TICK_CELLS)
    for number in range(int((end - begin) / step) + 1):
        place = int(number * step / cell)
        label = "0" if not number else f"+{duration(number * step)}"
        if place + len(label) < lanes.width:
            ruler[place : place + len(label)] = label
            marks[place] = "|"
    return [
        Text(text, style="bold"),
        Text(_head("") + "".join(ruler).rstrip(), style="dim"),
        Text(_head("") + "".join(marks).rstrip(), style="dim"),
    ]


def exact(ns: float) -> str:
    """Write a moment so that `--from` reads it back, to the nanosecond."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            digits = f"{ns / size:.{len(str(int(size))) - 1}f}".rstrip("0").rstrip(".")
            return f"{digits}{unit}"
    return f"{ns:.0f}ns"


def _step(least: float) -> float:
    """Return the first of 1, 2, 5, 10, ... ns that is not smaller."""
    size = 10.0 ** np.floor(np.log10(max(least, 1e-3)))
    return float(next(size * factor for factor in (1, 2, 5, 10) if size * factor >= least * 0.999))


def _legend(used: set[Kind], lanes: Lanes, colours: bool) -> list[Text]:
    from rich.text import Text

    line = Text()
    for kind in sorted(used):
        line.append(f"{LETTERS[kind]} {NAMES[kind]}", style=COLOURS[kind] if colours else "")
        line.append("  ")
    line.append("w spins for a lock")
    scale = Text()
    if colours:
        for level, name in (
            (0, "PASSIVE"),
            (1, "APC"),
            (2, "DISPATCH"),
            (5, "devices"),
            (13, "CLOCK, IPI"),
            (15, "HIGH"),
        ):
            scale.append(f"{BARS[_HEIGHT[level]]} {name}  ")
        scale.append("the highest IRQL in a cell, the paler the less of it", style="dim")
    else:
        scale.append("digits: the highest IRQL in a cell (0 PASSIVE, 1 APC, 2 DISPATCH, D CLOCK, E IPI, F HIGH)")
        scale.append("; share: how much of the cell ░ to a quarter, ▒ half, ▓ three quarters, █ more")
    lines = [line, scale]
    if lanes.marked is not None:
        lines.append(Text("asked: how many of the records that were asked for; + ten or more"))
    return lines


def shade(colour: str, share: float) -> str:
    """Mix a colour with grey: a share of 1 is the colour itself."""
    part = 0.3 + 0.7 * float(np.sqrt(np.clip(share, 0.0, 1.0)))
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    mixed = (round(part * own + (1 - part) * pale) for own, pale in zip(parts, _PALE, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _line(head: str, cells: Iterable[str]) -> Text:
    from rich.text import Text

    return Text(_head(head) + "".join(cells))


def _head(text: str) -> str:
    return f"{text:<5} "
