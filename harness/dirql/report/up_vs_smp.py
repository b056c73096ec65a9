# SPDX-License-Identifier: Apache-2.0
"""Tables and pictures of up-vs-smp: what runs beside what, and what a request costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.experiments.up_vs_smp import NAME, NESTED, OVERLAPS
from dirql.report.figures import COLOURS, new_figure, save
from dirql.report.tables import duration, experiment_table
from dirql.report.timeline import draw_timeline

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from rich.table import Table

    from dirql.experiments.up_vs_smp import UpVsSmpPoint, UpVsSmpResult
    from dirql.trace.history.history import History

_WIDTH = 0.8
_SHOWN = 4
"""Requests in the picture of a moment."""


def overlap_table(result: UpVsSmpResult) -> Table:
    """Return the table of what ran beside what: a row for each point."""
    columns = ("mode", "CPUs", "requests", *OVERLAPS, NESTED, "rules")
    table = experiment_table("What ran at the same time on two CPUs", *columns)
    table.columns[0].justify = "left"
    for at, point in enumerate(result.points):
        if at and result.points[at - 1].mode != point.mode:
            table.add_section()
        shares = [f"{point.overlaps[name]:,} of {point.calls[name]:,}" for name in OVERLAPS]
        said = point.status if not point.violations else f"{point.status} ({point.violations})"
        table.add_row(point.mode, str(point.cpus), f"{point.traced:,}", *shares, f"{point.nested:,}", said)
    table.caption = (
        "calls of the routine named first that had one of the other beside them on another CPU, by the trace; "
        "last: ISR calls that interrupted StartIo on their own CPU"
    )
    return table


def cost_table(result: UpVsSmpResult) -> Table:
    """Return the table of costs: a row for each point."""
    columns = ("mode", "CPUs", "requests", "wrong results", "time a request", "instructions a request")
    table = experiment_table("What a request costs", *columns, "call to completion: median", "p99")
    table.columns[0].justify = "left"
    for at, point in enumerate(result.points):
        if at and result.points[at - 1].mode != point.mode:
            table.add_section()
        table.add_row(
            point.mode,
            str(point.cpus),
            f"{point.requests:,}",
            str(point.wrong),
            duration(point.ns / point.requests),
            "-" if point.instructions is None else f"{point.instructions:,.0f}",
            *(duration(time) if point.latency.count else "-" for time in (point.latency.median, point.latency.p99)),
        )
    parameters = result.parameters
    table.caption = (
        f"{parameters.clients} clients, each routine works for {parameters.work} PAUSEs; untraced, verifier off; the "
        "last two columns are of the traced run. In icount the CPUs share one thread and the clock counts what all of "
        "them execute: its time is work, not speed"
    )
    return table


def draw_up_vs_smp(result: UpVsSmpResult, folder: Path) -> None:
    """Draw overlaps and costs by number of CPUs; and a moment of the first and of the last point."""
    modes = result.parameters.modes
    heading = f"{result.parameters.clients} clients"
    figure, axes = new_figure(2, len(modes), "One binary on one CPU and on many", heading)
    for axis, mode in zip(axes, modes, strict=False):
        _draw_overlaps(axis, result.of(mode))
        axis.set_title(f"calls with another routine beside them, {mode}", loc="left", fontsize=10)
    for axis, mode in zip(axes[len(modes) :], modes, strict=True):
        points, unit = result.of(mode), "instructions" if mode == "icount" else "µs"
        values = [point.instructions or point.ns / point.requests / 1000 for point in points]
        bars = axis.bar(range(len(points)), values, 0.55, color=COLOURS[0 if unit == "µs" else 2])
        axis.bar_label(bars, [f"{value:,.0f}" for value in values], fontsize=9)
        _label_cpus(axis, points)
        what = "of all CPUs" if unit == "instructions" else "of real time"
        axis.set_title(f"a request costs: {unit} {what} ({mode})", loc="left", fontsize=10)
    save(figure, folder, NAME)
    for history, point in zip(result.histories, _drawn(result), strict=False):
        title = f"{point.cpus} {'CPU' if point.cpus == 1 else 'CPUs'}: dispatch routine, StartIo, ISR and DpcForIsr"
        draw_timeline(history, folder / f"timeline-{point.cpus}.png", window=_moment(history), title=title)


def _drawn(result: UpVsSmpResult) -> list[UpVsSmpPoint]:
    points = result.points[: len(result.parameters.cpus)]
    return [points[0]] if len(points) == 1 else [points[0], points[-1]]


def _draw_overlaps(axis: Axes, points: list[UpVsSmpPoint]) -> None:
    width = _WIDTH / len(OVERLAPS)
    for at, name in enumerate(OVERLAPS):
        places = [x + (at - (len(OVERLAPS) - 1) / 2) * width for x in range(len(points))]
        shares = [100 * point.overlaps[name] / max(point.calls[name], 1) for point in points]
        bars = axis.bar(places, shares, width, color=COLOURS[at], label=name)
        axis.bar_label(bars, [f"{share:.0f}" for share in shares], fontsize=7)
    _label_cpus(axis, points)
    axis.set_ylim(0, 118)
    axis.set_ylabel("% of the calls")
    axis.legend(frameon=False, fontsize=8, ncols=2, loc="upper left")


def _label_cpus(axis: Axes, points: list[UpVsSmpPoint]) -> None:
    axis.set_xticks(
        range(len(points)), [f"{each.cpus} CPU{'s' if each.cpus > 1 else ''}" for each in points], fontsize=9
    )


def _moment(history: History) -> tuple[int, int]:
    """Return the window of a few requests from the middle of a trace."""
    trace, starts = history.trace, history.start_ios
    middle = max(len(starts) // 2, 0)
    last = min(middle + _SHOWN, len(starts) - 1)
    begin, end = int(trace.time[starts.start[middle]]), int(trace.time[starts.end[last]])
    margin = max((end - begin) // 20, 1)
    return begin - margin, end + margin
