# SPDX-License-Identifier: Apache-2.0
"""lock-scaling for people: a row for each lock and number of CPUs, and a picture of four curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.report.figures import COLOURS, MARKS, new_figure, save
from dirql.report.tables import duration, experiment_table

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from rich.table import Table

    from dirql.experiments.lock_scaling import LockPoint, LockScalingResult

PICTURE = "lock-scaling"
_HANDOFFS = 16
_ROOM = 1.5
"""What is above the highest mark on a scale of powers of ten."""


def lock_table(result: LockScalingResult) -> Table:
    """Return the table: costs are of the untraced runs, order and bypasses of the traced ones."""
    columns = ("lock", "CPUs", "acquisitions", "least", "most", "fairness", "each takes", "instructions", "spins")
    more = ("contended", "bypasses of", "most of one", "longest run", "hand-offs begin")
    table = experiment_table("What CPUs that fight for one lock get", *columns, *more)
    for at in (0, len(columns) + len(more) - 1):
        table.columns[at].justify = "left"
    for before, point in zip((None, *result.points), result.points, strict=False):
        if before is not None and before.lock != point.lock:
            table.add_section()
        data = point.to_json()
        instructions = data["instructions_per_acquisition"]
        table.add_row(
            point.lock,
            str(point.cpus),
            f"{point.total:,}",
            f"{min(point.acquisitions):,}",
            f"{max(point.acquisitions):,}",
            f"{point.fairness:.4f}",
            duration(data["ns_per_acquisition"]),
            "-" if instructions is None else f"{instructions:.0f}",
            f"{data['spins_per_acquisition']:.2f}",
            f"{point.contended:.0%}",
            f"{point.bypasses:,} / {point.traced:,}",
            f"{point.most_bypassed:,}",
            f"{point.longest_run:,}",
            handoffs(point),
        )
    time = "virtual" if result.config.mode == "icount" else "real"
    table.caption = (
        f"mode {result.config.mode} ({time} time); fairness is Jain's index; a bypass overtakes a "
        "waiter; contended, bypasses, runs and hand-offs are those of the traced variant"
    )
    return table


def handoffs(point: LockPoint) -> str:
    """Write the first hand-offs: CPU numbers, `3*4` for four times in a row."""
    groups: list[list[int]] = []
    for cpu in point.handoffs[:_HANDOFFS]:
        if groups and groups[-1][0] == cpu:
            groups[-1][1] += 1
        else:
            groups.append([cpu, 1])
    return " ".join(str(cpu) if count == 1 else f"{cpu}*{count}" for cpu, count in groups)


def draw_lock_scaling(result: LockScalingResult, folder: Path) -> None:
    """Draw cost, spins, fairness and bypasses against the number of CPUs, a curve for each lock."""
    icount = result.config.mode == "icount"
    heading = f"{result.config.mode} ({'virtual' if icount else 'real'} time)"
    figure, axes = new_figure(2, 2, "Locks under contention", heading)
    cost = "instructions per acquisition, all CPUs'" if icount else "µs per acquisition"
    titles = (cost, "spins per acquisition", "Jain's fairness index", "bypasses per acquisition")
    for at, lock in enumerate(result.parameters.locks):
        points = [point for point in result.points if point.lock == lock]
        cpus = [point.cpus for point in points]
        data = [point.to_json() for point in points]
        values = (
            [each["instructions_per_acquisition"] or each["ns_per_acquisition"] / 1000 for each in data],
            [each["spins_per_acquisition"] for each in data],
            [point.fairness for point in points],
            [each["bypasses_per_acquisition"] for each in data],
        )
        style = {"color": COLOURS[at], "marker": MARKS[at], "linestyle": ("-", "--", "-.", ":")[at % 4]}
        for axis, line in zip(axes, values, strict=True):
            axis.plot(cpus, line, label=lock, markersize=5, linewidth=1.6, **style)  # type: ignore[arg-type]
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xlabel("CPUs")
        axis.set_xticks(result.parameters.cpus)
    axes[2].set_ylim(0, 1.05)
    if not icount:
        axes[0].set_yscale("log")
        for axis, least in ((axes[0], None), (axes[1], 1), (axes[3], 0.01)):
            _plain_numbers(axis, least)
    for axis in (axes[1], axes[3]):
        axis.set_ylim(0, axis.get_ylim()[1])
    axes[0].legend(frameon=False)
    save(figure, folder, PICTURE)


def _plain_numbers(axis: Axes, linear: float | None) -> None:
    """Label a scale of powers of ten with plain numbers: 1, 2, 5, 10.

    Args:
        axis: the axes.
        linear: the scale is linear up to this value, and powers of ten begin above; None: they are there already.
    """
    from matplotlib.ticker import LogLocator

    if linear is not None:
        if axis.get_ylim()[1] <= 2 * linear:
            return  # a linear scale shows it better
        axis.set_yscale("symlog", linthresh=linear)
        axis.set_ylim(top=axis.get_ylim()[1] * _ROOM)
    else:
        axis.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axis.yaxis.set_minor_formatter("{x:g}")
        axis.tick_params(axis="y", which="minor", labelsize=7)
    axis.yaxis.set_major_formatter("{x:g}")
