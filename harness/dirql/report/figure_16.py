# SPDX-License-Identifier: Apache-2.0
"""Table and picture of figure-16: who has the interrupt spin lock, on which CPU, at which IRQL, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dirql.experiments.figure_16 import DPC_CPU, FACTS, ISR_CPU, ORDERS, START_CPU, Round, Turn
from dirql.report.figures import COLOURS, save
from dirql.report.tables import experiment_table
from dirql.report.timeline import INK

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

    from dirql.experiments.figure_16 import Figure16Result
    from dirql.trace.schema import Indices

_HEIGHTS = np.interp(np.arange(16), [0, 1, 2, 3, 6, 12, 13, 14, 15], [0.06, 0.2, 0.42, 0.6, 0.78, 0.85, 0.9, 0.95, 1.0])
_TICKS = {0: "PASSIVE", 2: "DISPATCH", 6: "DIRQL"}
_ROLES = {ISR_CPU: "CPU 0\nISR", START_CPU: "CPU 1\nStartIo", DPC_CPU: "CPU 2\nDpcForIsr"}
_OWN = {ISR_CPU: COLOURS[4], START_CPU: COLOURS[0], DPC_CPU: COLOURS[2]}
_LONG = 6.0
"""A stretch without a record that is longer than so many usual ones is cut."""
_LEAST = 0.12
"""Then a stretch is at least so much of a cut one on paper."""


def figure_table(result: Figure16Result) -> Table:
    """Return the table: a row for each fact, and in how many rounds of each order the trace shows it."""
    columns = ("step", "what the trace shows", *(f"order: {each}" for each in ORDERS))
    table = experiment_table("The figure, step by step", *columns)
    table.columns[1].justify = "left"
    rounds = result.parameters.rounds
    last = 0
    for name, step, text, orders in FACTS:
        if last not in (0, step):
            table.add_section()
        cells = [f"{result.proven[at, name]} of {rounds}" if at in orders else "-" for at in range(len(ORDERS))]
        table.add_row(str(step) if step != last else "", text, *cells)
        last = step
    said = ", ".join(f"{clause} {status}" for clause, status in result.clauses.items())
    table.caption = (
        f"{result.config.cpus} CPUs, {result.config.mode}; the oracle: {said}; {result.violations} violations"
    )
    return table


def owners_table(result: Figure16Result) -> Table:
    """Return the table of who had the interrupt spin lock: a row for each order."""
    most = max(len(owners) for owners in result.owners)
    columns = ("order", *(f"turn {at}" for at in range(1, most + 1)))
    table = experiment_table("Who has the interrupt spin lock", *columns)
    for column in table.columns:
        column.justify = "left"
    for order, owners in zip(ORDERS, result.owners, strict=True):
        cells = [f"CPU {cpu}: {what}" for cpu, what in owners]
        table.add_row(order, *cells, *([""] * (most - len(cells))))
    return table


def draw_figure(result: Figure16Result, folder: Path) -> None:
    """Draw the first round of each order, one above the other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 12.4), dpi=110)
    FigureCanvasAgg(figure)
    outer = figure.add_gridspec(2, 1, left=0.135, right=0.985, top=0.9, bottom=0.085, hspace=0.32)
    for order, each in enumerate(result.rounds):
        inner = outer[order].subgridspec(4, 1, height_ratios=(1, 1, 1, 0.42), hspace=0.12)
        lanes = [figure.add_subplot(inner[at]) for at in range(4)]
        _draw_round(lanes, each, result.config.mode)
    time = "virtual" if result.config.mode == "icount" else "real"
    title = "ISR, StartIo and DpcForIsr at one SynchronizeContext: both orders of the third step"
    figure.text(0.012, 0.972, title, fontsize=14, fontweight="bold", color=INK)
    figure.text(0.985, 0.972, f"{result.config.mode} ({time} time)", fontsize=10, color=INK, ha="right")
    _draw_legend(figure)
    save(figure, folder, "figure-16")


class _Axis:
    """Time on paper: to scale; or, with long stretches without a record, these cut and all else drawn out."""

    def __init__(self, each: Round, first: int, last: int) -> None:
        trace = each.trace
        inside = np.arange(first, last + 1)
        inside = inside[trace.cpu[inside] <= DPC_CPU]
        self._times: Indices = trace.time[inside]
        self._per_us = 1000.0 * trace.meta.clock.ticks_per_ns
        gaps = np.diff(self._times) / self._per_us
        usual = _LONG * max(float(np.percentile(gaps, 75)), 0.2)
        self.cuts = [at for at in range(len(gaps)) if gaps[at] > usual]
        least = _LEAST * usual if self.cuts else 0.0
        self._places = np.concatenate([[0.0], np.cumsum(np.clip(gaps, least, usual))])
        self.length = float(self._places[-1])
        self._gaps = gaps

    def __call__(self, tick: int) -> float:
        """Return the place of a moment."""
        return float(np.interp(tick, self._times, self._places))

    def us(self, tick: int) -> float:
        """Return a moment in µs since the first."""
        return float(tick - self._times[0]) / self._per_us

    def cut(self, at: int) -> tuple[float, float]:
        """Return the middle of a cut on paper, and how long it is in µs."""
        return float(self._places[at] + self._places[at + 1]) / 2, float(self._gaps[at])


def _draw_round(lanes: list[Axes], each: Round, mode: str) -> None:
    trace = each.trace
    first = min(each.one("StartIoEnter", START_CPU), each.one("InterruptEnter", ISR_CPU))
    done = next(record for record in each.records("DpcEnd", DPC_CPU) if record > each.dpc)
    last = max(each.one("StartIoExit", START_CPU), done)
    axis = _Axis(each, first, last)
    for cpu, lane in enumerate(lanes[:3]):
        _dress(lane, axis, _ROLES[cpu])
        lane.set_ylim(0, 1.05)
        lane.set_yticks([_HEIGHTS[level] for level in _TICKS], list(_TICKS.values()), fontsize=8, color="#777777")
        lane.grid(axis="y", color="#dddddd", linewidth=0.6)
        _draw_irql(lane, each, cpu, axis, first, last)
        _draw_routines(lane, each, cpu, axis)
        for at in axis.cuts:
            place, _ = axis.cut(at)
            lane.text(place, 0.0, "//", ha="center", va="center", fontsize=11, color=INK, clip_on=False)
    _dress(lanes[3], axis, "the lock")
    lanes[3].set_ylim(0, 1)
    lanes[3].set_yticks([])
    for turn in each.turns:
        _draw_turn(lanes[3], axis, trace.time, turn)
    steps = (each.turns[0].acquired, each.turns[0].released, each.turns[1].released)
    for number, record in enumerate(steps, 1):
        place = axis(int(trace.time[record]))
        for lane in lanes:
            lane.axvline(place, color="#999999", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        lanes[0].text(place, 1.1, f" step {number}", fontsize=11, fontweight="bold", color=INK, va="bottom")
    what = ("AccessDevice for DpcForIsr follows", "another interrupt came first: the ISR follows")[each.order]
    lanes[0].text(0, 1.34, what, fontsize=11.5, color=INK, va="bottom")
    ticks = [] if axis.cuts else list(range(0, int(axis.length) + 1, 5))
    lanes[3].set_xticks(ticks, [str(place) for place in ticks], fontsize=8)
    if axis.cuts:
        cut = sum(axis.cut(at)[1] for at in axis.cuts)
        whole = axis.us(int(trace.time[last]))
        text = f"{whole:,.0f} µs of real time, not to scale; at // nothing was recorded, for {cut:,.0f} µs in all"
    else:
        text = f"µs of {'virtual' if mode == 'icount' else 'real'} time"
    lanes[3].set_xlabel(text, fontsize=9, color=INK)


def _dress(lane: Axes, axis: _Axis, name: str) -> None:
    lane.set_xlim(0, axis.length)
    lane.set_xticks([])
    lane.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=10, fontsize=10.5, color=INK)
    lane.tick_params(length=0)
    lane.set_axisbelow(True)
    lane.spines[["top", "right", "left"]].set_visible(False)
    lane.spines["bottom"].set_color("#999999")


def _draw_irql(lane: Axes, each: Round, cpu: int, axis: _Axis, first: int, last: int) -> None:
    """Draw the IRQL of a CPU as a grey step line, filled below."""
    trace = each.trace
    mine = trace.on_cpu(cpu)
    low, high = np.searchsorted(mine, first), np.searchsorted(mine, last, side="right")
    inside = mine[max(low - 1, 0) : high]
    level = _HEIGHTS[each.history.irql_after[inside].astype(np.int64)]
    start, end = int(trace.time[first]), int(trace.time[last])
    places = [axis(max(int(trace.time[index]), start)) for index in inside] + [axis(end)]
    lane.fill_between(places, np.append(level, level[-1]), step="post", color="#ececec", linewidth=0, zorder=2)
    lane.step(places, np.append(level, level[-1]), where="post", color=INK, linewidth=0.8, zorder=6)


def _draw_routines(lane: Axes, each: Round, cpu: int, axis: _Axis) -> None:
    colour = _OWN[cpu]
    outer = ((each.one("StartIoEnter", START_CPU), "StartIoExit", "StartIo"), (each.dpc, "DpcEnd", "DpcForIsr"))
    for begin, ends, name in outer:
        if cpu == int(each.trace.cpu[begin]):
            end = next(record for record in each.records(ends, cpu) if record > begin)
            _block(lane, axis, each, (begin, end), 2, colour, "", alpha=0.35)
            place = axis(int(each.trace.time[begin])) + 0.004 * axis.length
            lane.text(place, 0.2, name, fontsize=9, color=INK, va="center", zorder=7)
    for begin in each.records("LockWait", cpu, each.lock):
        end = next(record for record in each.records("LockAcquired", cpu, each.lock) if record > begin)
        _block(lane, axis, each, (begin, end), 6, colour, "spins", hatch="////")
    for begins, ends, name in (("IsrEnter", "IsrExit", "ISR"), ("SyncEnter", "SyncExit", "AccessDevice")):
        for begin in each.records(begins, cpu, each.interrupt):
            end = next(record for record in each.records(ends, cpu, each.interrupt) if record > begin)
            _block(lane, axis, each, (begin, end), 6, colour, name)


def _block(
    lane: Axes,
    axis: _Axis,
    each: Round,
    ends: tuple[int, int],
    irql: int,
    colour: str,
    name: str,
    *,
    hatch: str = "",
    alpha: float = 1.0,
) -> None:
    begin, end = (axis(int(each.trace.time[record])) for record in ends)
    height = float(_HEIGHTS[irql])
    style = {"facecolor": "white", "edgecolor": colour, "hatch": hatch} if hatch else {"color": colour, "alpha": alpha}
    lane.bar(begin, height, end - begin, align="edge", linewidth=0, zorder=3, **style)
    narrow = end - begin < 0.012 * axis.length * len(name) * 0.62
    if not name:
        return
    lane.text(
        (begin + end) / 2,
        height + 0.04 if narrow else height - 0.12,
        name,
        ha="center",
        va="bottom" if narrow else "center",
        fontsize=9,
        color=INK if narrow or hatch else "white",
        fontweight="bold",
        zorder=8,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8} if hatch and not narrow else None,
    )


def _draw_turn(lane: Axes, axis: _Axis, time: Indices, turn: Turn) -> None:
    begin, end = axis(int(time[turn.acquired])), axis(int(time[turn.released]))
    lane.bar(begin, 0.62, end - begin, align="edge", color=_OWN[turn.cpu], linewidth=0, zorder=3)
    text = f"CPU {turn.cpu}" if end - begin < 0.17 * axis.length else f"CPU {turn.cpu}: {turn.what}"
    lane.text((begin + end) / 2, 0.7, text, ha="center", va="bottom", fontsize=8.5, color=INK)


def _draw_legend(figure: Figure) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=_OWN[cpu], label=_ROLES[cpu].replace("\n", ": ")) for cpu in _ROLES]
    handles.append(
        Patch(facecolor="white", edgecolor=INK, hatch="////", linewidth=0, label="spins for the lock at DIRQL")
    )
    handles.append(Patch(facecolor="#ececec", label="height: IRQL"))
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=9)
