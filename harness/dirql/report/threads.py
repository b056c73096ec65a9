# SPDX-License-Identifier: Apache-2.0
"""Tables and pictures of the experiments with threads: scheduler and dpc-vs-workitem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.report.figures import COLOURS, new_figure, save
from dirql.report.tables import duration, experiment_table

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from rich.table import Table

    from dirql.config import MachineConfig
    from dirql.experiments.deferral import DeferralResult
    from dirql.experiments.scheduler import SchedulerResult
    from dirql.trace.stats.summary import Percentiles

_SHOWN_MS = 60.0
_LANE = 0.8
_TIMES = ("min", "median", "p90", "p99", "max")


def thread_table(result: SchedulerResult) -> Table:
    """Return the table of the load: a row for each thread."""
    cpus = [f"CPU {cpu}" for cpu in range(result.config.cpus)]
    columns = ("thread", "priority", *cpus, "in all", "turns", "waits")
    table = experiment_table("Who ran where, and how long it was ready without a CPU", *columns, *_TIMES)
    table.columns[0].justify = "left"
    for row in result.rows:
        table.add_row(
            row.contender.name,
            str(row.contender.priority),
            *(f"{part:.1%}" for part in row.share),
            f"{sum(row.share):.1%}",
            f"{row.turns:,}",
            f"{row.wait.count:,}",
            *_times(row.wait),
        )
    for priority, parts in result.by_priority.items():
        if priority == max(result.by_priority):
            table.add_section()
        whole = f"{sum(parts) / result.config.cpus:.1%} of all"
        table.add_row(f"all of {priority}", str(priority), *(f"{part:.1%}" for part in parts), whole)
    over = f"parts of each CPU's time over {duration(result.duration)}"
    table.caption = f"{_heading(result.config)}; {over}; a turn lasts two clock ticks"
    return table


def preemption_table(result: SchedulerResult) -> Table:
    """Return the table of wake-ups: a row for each place of the waiter."""
    table = experiment_table(
        "From an event that is set to the waiter of higher priority having a CPU", "waiter", "times", *_TIMES, "rules"
    )
    table.columns[0].justify = "left"
    for kind, times in result.preemption.items():
        table.add_row(kind, f"{times.count:,}", *_times(times), result.verdict)
    table.caption = f"{_heading(result.config)}; from the Signal record to the ThreadSwitch record"
    return table


def draw_scheduler(result: SchedulerResult, folder: Path) -> None:
    """Draw who had each CPU when, and beside it the parts of the CPUs by priority."""
    figure, (left, right) = new_figure(1, 2, "Threads of different priorities on all CPUs", _heading(result.config))
    figure.set_size_inches(17, 2.4 + 0.75 * result.config.cpus)
    grid = left.get_subplotspec().get_gridspec()  # type: ignore[union-attr]
    grid.set_width_ratios((3.4, 1))
    _draw_lanes(left, result)
    bottom = [0.0] * result.config.cpus
    for at, (priority, parts) in enumerate(result.by_priority.items()):
        right.bar(
            range(result.config.cpus), parts, _LANE, bottom=bottom, color=COLOURS[at], label=f"priority {priority}"
        )
        bottom = [low + part for low, part in zip(bottom, parts, strict=True)]
    right.set_xticks(range(result.config.cpus), [f"CPU {cpu}" for cpu in range(result.config.cpus)])
    right.set_ylabel("part of each CPU's time")
    right.set_ylim(0, 1.02)
    right.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    save(figure, folder, "scheduler")


def _draw_lanes(axis: Axes, result: SchedulerResult) -> None:
    limit = min(result.duration / 1e6, _SHOWN_MS)
    for number, row in enumerate(result.rows):
        mine = [slot for slot in result.slots if slot.thread == number and slot.begin / 1e6 < limit]
        colour, hatch = COLOURS[number % len(COLOURS)], "//" if number >= len(COLOURS) else None
        axis.barh(
            [slot.cpu for slot in mine] or [0],
            [(slot.end - slot.begin) / 1e6 for slot in mine] or [0.0],  # one that had no CPU has its name all the same
            _LANE,
            left=[slot.begin / 1e6 for slot in mine] or [0.0],
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0.2,
            label=row.contender.name,
        )
    axis.set_yticks(range(result.config.cpus), [f"CPU {cpu}" for cpu in range(result.config.cpus)])
    axis.invert_yaxis()
    axis.set_xlim(0, limit)
    axis.grid(visible=False)
    axis.set_xlabel("ms since the load began; white: other threads, or none")
    axis.legend(frameon=False, fontsize=8, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def deferral_table(result: DeferralResult) -> Table:
    """Return the table of dpc-vs-workitem: a row for each kind."""
    columns = ("deferred to", "IRQL", "times", "first ever", *_TIMES, "call returns after")
    table = experiment_table(f"From the call to the routine's first instruction, in {result.unit}", *columns)
    table.columns[0].justify = "left"
    for row in result.rows:
        values = (row.first, *(getattr(row.begins, name) for name in _FIELDS), row.returns.median)
        table.add_row(row.kind, str(row.irql), f"{row.begins.count:,}", *(_number(result.shown(ns)) for ns in values))
    table.caption = f"{_heading(result.config)}; untraced, verifier off; the last column is the median"
    return table


def draw_deferral(result: DeferralResult, folder: Path) -> None:
    """Draw the median of each kind as a bar, with a whisker to p99."""
    figure, (axis,) = new_figure(1, 1, "What it costs to have something done later", _heading(result.config))
    figure.set_size_inches(10, 4.6)
    places = range(len(result.rows))
    medians = [result.shown(row.begins.median) for row in result.rows]
    most = [result.shown(row.begins.p99) - median for row, median in zip(result.rows, medians, strict=True)]
    colours = [COLOURS[at % len(COLOURS)] for at in places]
    axis.barh(places, medians, _LANE, color=colours, xerr=([0.0] * len(most), most), capsize=3)
    for place, median in zip(places, medians, strict=True):
        axis.annotate(_number(median), (median, place), xytext=(4, 6), textcoords="offset points", fontsize=9)
    least = min((median for median in medians if median), default=1.0)
    if max(median + more for median, more in zip(medians, most, strict=True)) > _FAR * least:
        axis.set_xscale("log")
        axis.set_xlim(left=least / 2)
        axis.xaxis.set_major_formatter("{x:g}")
    axis.set_yticks(places, [row.kind for row in result.rows])
    axis.invert_yaxis()
    axis.set_xlabel(f"{result.unit} from the call to the routine's first instruction: median, and whisker to p99")
    save(figure, folder, "dpc-vs-workitem")


_FAR = 40
"""So many times the least median, and a scale of powers of ten shows all of it."""
_FIELDS = ("minimum", "median", "p90", "p99", "maximum")


def _times(times: Percentiles) -> tuple[str, ...]:
    if not times.count:
        return ("-",) * len(_FIELDS)
    return tuple(duration(getattr(times, name)) for name in _FIELDS)


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _heading(config: MachineConfig) -> str:
    return f"{config.cpus} CPUs, {config.mode} ({'virtual' if config.mode == 'icount' else 'real'} time)"
