# SPDX-License-Identifier: Apache-2.0
"""What the pictures of experiments share: a figure, colours that can be told apart, PNG and SVG of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.report.timeline import INK

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666", "#f0e442")
"""Those of Okabe and Ito, which people with colour-blindness can tell apart."""
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_INCHES = (6.2, 4.2)


def new_figure(rows: int, columns: int, title: str, heading: str) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, row by row.

    Args:
        rows: of axes.
        columns: of axes.
        title: above, on the left.
        heading: above, on the right: mode, CPUs.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = _INCHES[0] * columns, _INCHES[1] * rows + 0.6
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.55 / height))  # type: ignore[union-attr, call-arg]
    figure.text(0.012, 1 - 0.33 / height, title, fontsize=13, fontweight="bold", color=INK)
    figure.text(0.988, 1 - 0.33 / height, heading, fontsize=10, color=INK, ha="right")
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(axis="y", color="#dddddd", linewidth=0.6)
        each.set_axisbelow(True)
    return figure, axes


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write NAME.png and NAME.svg into a folder; of the same numbers the same files."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": name}):
        figure.savefig(folder / f"{name}.png")
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
