# SPDX-License-Identifier: Apache-2.0
"""Table and picture of isr-count: how many operations each driver lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.experiments.isr_count import CURES, NAME
from dirql.report.figures import COLOURS, new_figure, save
from dirql.report.tables import experiment_table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from dirql.experiments.isr_count import IsrCountResult, IsrCountRow

_WIDTH = 0.8
_PARTS = ("DPC runs, ", "lost, ")
_COLOURS = (COLOURS[1], COLOURS[0], COLOURS[2])


def isr_count_table(result: IsrCountResult) -> Table:
    """Return the table: a row for each driver on each machine; what it lost by how many channels were done at once."""
    bursts = result.parameters.at_once
    names = ["one at a time" if burst == 1 else f"{burst} at once" for burst in bursts]
    columns = (
        "mode",
        "CPUs",
        "what the ISR leaves",
        "operations",
        *(f"{part}{name}" for name in names for part in _PARTS),
    )
    table = experiment_table("Operations that a driver forgets", *columns)
    table.columns[0].justify = table.columns[2].justify = "left"
    rows = result.rows
    for at in range(0, len(rows), len(bursts)):
        row = rows[at]
        if at and (row.mode, row.cpus) != (rows[at - 1].mode, rows[at - 1].cpus):
            table.add_section()
        cells = [
            cell
            for each in rows[at : at + len(bursts)]
            for cell in (f"{each.dpcs:,}", f"{each.lost:,}{f' ({_share(each):.0f}%)' if each.lost else ''}")
        ]
        table.add_row(row.mode, str(row.cpus), CURES[row.cure], f"{row.operations:,}", *cells)
    said = ", ".join(f"{name} {status}" for name, status in result.verdicts.items())
    table.caption = (
        f"{result.parameters.channels} channels; lost: the read was never completed, and is cancelled; wrong results: "
        f"{sum(row.wrong for row in rows)}; the oracle: {said}"
    )
    return table


def draw_isr_count(result: IsrCountResult, folder: Path) -> None:
    """Draw the share of operations that each driver lost, by number of CPUs, for each mode."""
    modes = result.parameters.modes
    channels = result.parameters.channels
    most = max(result.parameters.at_once)
    heading = f"{channels} channels, {most} of them done at once, {result.parameters.rounds} rounds"
    figure, axes = new_figure(1, len(modes), "Data that an ISR leaves for its DPC, and how much is lost", heading)
    for axis, mode in zip(axes, modes, strict=True):
        mine = [row for row in result.rows if row.mode == mode and row.at_once == most]
        cpus = list(dict.fromkeys(row.cpus for row in mine))
        width = _WIDTH / len(CURES)
        for cure, name in enumerate(CURES):
            rows = [row for row in mine if row.cure == cure]
            places = [x + (cure - 1) * width for x in range(len(rows))]
            bars = axis.bar(places, [_share(row) for row in rows], width, color=_COLOURS[cure], label=name)
            axis.bar_label(bars, [f"{row.lost:,}" for row in rows], fontsize=9)
        axis.set_xticks(range(len(cpus)), [f"{count} CPU{'s' if count > 1 else ''}" for count in cpus], fontsize=9)
        axis.set_ylim(0, 109)
        axis.set_ylabel("% of the operations lost")
        time = "virtual" if mode == "icount" else "real"
        axis.set_title(f"{mode} ({time} time); numbers: operations lost", loc="left", fontsize=10)
    axes[-1].legend(frameon=False, fontsize=9, loc="upper right", title="what the ISR leaves", title_fontsize=9)
    save(figure, folder, NAME)


def _share(row: IsrCountRow) -> float:
    return 100 * row.lost / row.operations
