# SPDX-License-Identifier: Apache-2.0
"""Table and picture of timer-accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dirql.report.figures import COLOURS, new_figure, save
from dirql.report.tables import experiment_table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from dirql.experiments.timer_accuracy import TimerAccuracyResult

_US = 1000.0
_RULES = {"relative": "-1 to +1", "absolute": "0 to +1", "periodic": "-1 to +1"}


def accuracy_table(result: TimerAccuracyResult) -> Table:
    """Return the table: a row for each kind of timer at each clock period."""
    columns = (
        "tick",
        "timer",
        "timers",
        "min",
        "median",
        "p90",
        "p99",
        "max",
        "allowed",
        "too early",
        "too late",
        "missed",
    )
    table = experiment_table("When timers fired, after they were due (below zero: before), in µs", *columns)
    table.columns[1].justify = "left"
    for at, row in enumerate(result.rows):
        if at and result.rows[at - 1].tick != row.tick:
            table.add_section()
        error = row.error
        times = (error.minimum, error.median, error.p90, error.p99, error.maximum)
        table.add_row(
            f"{row.tick:,} µs",
            row.kind,
            f"{error.count:,}",
            *(f"{time / _US:+,.1f}" for time in times),
            f"{_RULES[row.kind]} tick",
            f"{row.early:,}",
            f"{row.late:,}",
            f"{row.missed:,}" if row.kind == "periodic" else "",
        )
    table.caption = (
        f"{_heading(result)}; due times drawn up to {result.parameters.longest} ticks away, set at random points of a "
        "tick; too late: by more than a tick and 100 µs; missed: periods that were left out"
    )
    return table


def draw_accuracy(result: TimerAccuracyResult, folder: Path) -> None:
    """Draw, for each clock period, how the errors are distributed, in ticks."""
    ticks = result.parameters.ticks
    figure, axes = new_figure(1, len(ticks), "When timers fire, in clock ticks after they are due", _heading(result))
    figure.set_size_inches(max(8.0, 4.2 * len(ticks)), 4.8)
    kinds = [row.kind for row in result.rows if row.tick == ticks[0]]
    for axis, tick in zip(axes, ticks, strict=True):
        rows = [(at, row) for at, row in enumerate(result.rows) if row.tick == tick]
        for place, (at, row) in enumerate(rows):
            errors = np.sort(result.errors[at]) / (tick * 1000)
            axis.plot(
                errors,
                np.arange(1, len(errors) + 1) / len(errors),
                color=COLOURS[place % len(COLOURS)],
                linewidth=2,
                label=row.kind,
            )
        axis.axvspan(0, 1, color="#dddddd", alpha=0.5, linewidth=0)
        axis.axvline(-1, color="#888888", linewidth=0.8, linestyle=":")
        axis.set_xlim(-1.3, 1.8)
        axis.set_ylim(0, 1.02)
        axis.set_title(f"tick {tick:,} µs", loc="left", fontsize=10)
        axis.set_xlabel("ticks late")
    axes[0].set_ylabel(f"part of the {kinds[0]}, {kinds[1]} and {kinds[2]} timers" if len(kinds) == 3 else "part")
    axes[0].legend(frameon=False, fontsize=9, loc="upper left")
    save(figure, folder, "timer-accuracy")


def _heading(result: TimerAccuracyResult) -> str:
    time = "icount (virtual time)" if result.config.mode == "icount" else result.config.mode
    return f"{result.config.cpus} CPU{'s' if result.config.cpus > 1 else ''}, {time}"
