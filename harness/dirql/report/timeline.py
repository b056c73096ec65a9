# SPDX-License-Identifier: Apache-2.0
"""A picture of a few microseconds: per CPU a lane whose height is the IRQL and whose colour is what ran.

Colours are those of Okabe and Ito, which people with colour-blindness can tell apart; what matters most also differs in
shape: spinning is hatched, violations are framed and labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dirql.report.activity import activity
from dirql.report.window import choose_window
from dirql.trace.export.slices import Kind, Slices, cpu_slices
from dirql.trace.history.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dirql.trace.oracle.verdict import Verdict, Violation

COLOURS = {
    Kind.IDLE: "#ececec",
    Kind.THREAD: "#a9d5f0",
    Kind.DPC_INTERRUPT: "#a6dccb",
    Kind.DPC: "#009e73",
    Kind.INTERRUPT: "#f7dda4",
    Kind.ISR: "#e69f00",
    Kind.SYNC: "#cc79a7",
    Kind.SYSTEM_INTERRUPT: "#0072b2",
    Kind.THREADED_DPC: "#56b4e9",
    Kind.IPI_CALL: "#d55e00",
    Kind.APC: "#f0e442",
    Kind.WORK_ITEM: "#8ab8d6",
    Kind.DISPATCH_ROUTINE: "#5b8fb0",
    Kind.START_IO: "#1b6ca8",
}
NAMES = {
    Kind.IDLE: "idle",
    Kind.THREAD: "thread",
    Kind.DPC_INTERRUPT: "DPC interrupt",
    Kind.DPC: "DPC routine",
    Kind.INTERRUPT: "interrupt dispatch",
    Kind.ISR: "ISR",
    Kind.SYNC: "synchronised routine",
    Kind.SYSTEM_INTERRUPT: "clock, IPI",
    Kind.THREADED_DPC: "threaded DPC",
    Kind.IPI_CALL: "called on all CPUs",
    Kind.APC: "APC",
    Kind.WORK_ITEM: "work item",
    Kind.DISPATCH_ROUTINE: "dispatch routine",
    Kind.START_IO: "StartIo",
}
WRONG = "#c1121f"
INK = "#333333"
MAXIMUM_CPUS = 16
_LONGEST = 170
"""Characters of a violation's text that fit in a line."""
_LEGEND = 10
"""Entries that fit in a line below the picture."""
_HEIGHTS = np.interp(np.arange(16), [0, 1, 2, 3, 12, 13, 14, 15], [0.14, 0.22, 0.36, 0.5, 0.76, 0.86, 0.92, 1.0])
_TICKS = {0: "PASSIVE", 2: "DISPATCH", 8: "DIRQL", 14: "IPI"}


def draw_timeline(
    history: History,
    path: Path,
    *,
    window: tuple[int, int] | None = None,
    verdict: Verdict | None = None,
    title: str = "",
) -> tuple[int, int]:
    """Draw a part of a trace as a PNG and as an SVG.

    Args:
        history: the trace's intervals.
        path: the PNG to write; the SVG is beside it.
        window: begin and end in ticks; None chooses one that shows something.
        verdict: its violations are marked.
        title: a line above the picture; the mode and the number of CPUs are added.

    Returns:
        The window that was drawn.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from dirql.report.figures import save

    trace = history.trace
    begin, end = window or choose_window(history, verdict)
    cpus = min(trace.cpus, MAXIMUM_CPUS)
    figure = Figure(figsize=(14, 1.7 + 1.35 * max(cpus, 1)), dpi=110, layout=None)
    FigureCanvasAgg(figure)
    lanes: list[Axes] = list(figure.subplots(max(cpus, 1), 1, sharex=True, squeeze=False)[:, 0])
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.1, right=0.985, top=1 - 0.7 / height, bottom=1.0 / height, hspace=0.16)
    scale = 1000.0 * trace.meta.clock.ticks_per_ns
    slices = cpu_slices(history)
    for cpu in range(cpus):
        _draw_lane(lanes[cpu], history, slices, cpu, (begin, end), scale)
    _draw_arrows(figure, lanes, history, (begin, end), scale)
    if verdict is not None:
        _draw_violations(lanes, history, verdict, (begin, end), scale)
    lanes[-1].set_xlabel(
        f"time in µs, from {begin / scale:,.1f} µs after the first record; numbers above interrupts are vectors",
        color=INK,
    )
    lanes[-1].set_xlim(0, (end - begin) / scale)
    seen = (slices.end >= begin) & (slices.begin <= end) & (slices.cpu < cpus)
    _draw_legend(figure, [kind for kind in Kind if (slices.kind[seen] == kind).any()])
    what = "virtual time" if trace.meta.mode == "icount" else "real time"
    shown = f"the first {cpus} of {trace.cpus} CPUs" if cpus < trace.cpus else f"{trace.cpus} CPUs"
    heading = f"{shown}, {trace.meta.mode} ({what})"
    figure.text(0.1, 1 - 0.3 / height, title or "What each CPU ran", fontsize=13, fontweight="bold", color=INK)
    figure.text(0.985, 1 - 0.3 / height, heading, fontsize=10, color=INK, ha="right")
    wrong = _shown_violations(history, verdict, (begin, end)) if verdict is not None else []
    if wrong:
        text = f"{wrong[0].clause}: {wrong[0].text}"
        text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
        figure.text(0.1, 1 - 0.52 / height, text, fontsize=9.5, color=WRONG)
    save(figure, path.parent, path.stem)
    return begin, end


def _draw_lane(lane: Axes, history: History, slices: Slices, cpu: int, window: tuple[int, int], scale: float) -> None:
    lane.set_ylim(0, 1.08)
    lane.set_yticks([_HEIGHTS[level] for level in _TICKS], list(_TICKS.values()), fontsize=7.5, color="#777777")
    lane.set_ylabel(f"CPU {cpu}", rotation=0, ha="right", va="center", labelpad=8, fontsize=12, color=INK)
    lane.tick_params(length=0)
    lane.grid(axis="y", color="#dddddd", linewidth=0.6)
    lane.set_axisbelow(True)
    for side in ("top", "right", "left"):
        lane.spines[side].set_visible(False)
    lane.spines["bottom"].set_color("#999999")
    segments = activity(history, slices, cpu, window)
    if segments is None:
        return
    first, length = (segments.begin - window[0]) / scale, (segments.end - segments.begin) / scale
    top = _HEIGHTS[np.minimum(segments.irql, 15)]
    for kind in Kind:
        mine = segments.kind == kind
        lane.bar(first[mine], top[mine], length[mine], align="edge", color=COLOURS[kind], linewidth=0)
    spin = segments.spinning
    lane.bar(
        first[spin], top[spin], length[spin], align="edge", color="none", edgecolor=INK, hatch="/////", linewidth=0
    )
    steps_x = np.concatenate([first[:1], np.repeat(first[1:], 2), [first[-1] + length[-1]]])
    lane.plot(steps_x, np.repeat(top, 2), color=INK, linewidth=0.7, solid_joinstyle="miter")
    _label(lane, slices, history, cpu, window, scale)


def _label(lane: Axes, slices: Slices, history: History, cpu: int, window: tuple[int, int], scale: float) -> None:
    """Write the vector above each interrupt that is wide enough or stands alone."""
    trace = history.trace
    shown = np.flatnonzero((slices.cpu == cpu) & (slices.begin >= window[0]) & (slices.begin < window[1]))
    shown = shown[np.isin(slices.kind[shown], (Kind.INTERRUPT, Kind.SYSTEM_INTERRUPT))]
    room = (window[1] - window[0]) * 0.022
    last = -np.inf
    for at in shown.tolist():
        if slices.begin[at] - last < room:
            continue
        last = float(slices.begin[at])
        vector = int(trace.arg0[slices.record[at]]) & 0xFF
        lane.text(
            (slices.begin[at] - window[0]) / scale,
            min(float(_HEIGHTS[vector >> 4]) + 0.03, 1.0),
            f"{vector:02X}",
            fontsize=7,
            color=INK,
            va="bottom",
        )


def _draw_arrows(
    figure: Figure,
    lanes: Sequence[Axes],
    history: History,
    window: tuple[int, int],
    scale: float,
) -> None:
    """Draw an arrow from each insertion of a DPC to its run."""
    from matplotlib.patches import ConnectionPatch

    trace = history.trace
    insert, run = history.dpc_runs.runs(trace)
    inside = (trace.time[insert] >= window[0]) & (trace.time[run] <= window[1])
    for one, other in zip(insert[inside], run[inside], strict=True):
        source, target = int(trace.cpu[one]), int(trace.cpu[other])
        if max(source, target) >= len(lanes):
            continue
        figure.add_artist(
            ConnectionPatch(
                ((trace.time[one] - window[0]) / scale, 0.3),
                ((trace.time[other] - window[0]) / scale, 0.3),
                "data",
                "data",
                axesA=lanes[source],
                axesB=lanes[target],
                arrowstyle="-|>",
                connectionstyle="arc3,rad=-0.25" if source == target else "arc3,rad=0.08",
                mutation_scale=9,
                color="#000000",
                linewidth=0.9,
            )
        )


def _draw_violations(
    lanes: Sequence[Axes],
    history: History,
    verdict: Verdict,
    window: tuple[int, int],
    scale: float,
) -> None:
    """Frame what the violations in the window are about, on the lanes of their CPUs."""
    trace = history.trace
    labelled: set[str] = set()
    for violation in _shown_violations(history, verdict, window):
        times = [int(trace.time[record]) for record in violation.records]
        first, last = (max(min(times), window[0]) - window[0]) / scale, (min(max(times), window[1]) - window[0]) / scale
        least = (window[1] - window[0]) / scale * 0.004
        for cpu in violation.cpus:
            if cpu >= len(lanes):
                continue
            lanes[cpu].axvspan(first - least, last + least, facecolor=WRONG, alpha=0.16, zorder=3)
            lanes[cpu].axvspan(first - least, last + least, facecolor="none", edgecolor=WRONG, linewidth=1.6, zorder=4)
        if violation.clause not in labelled and violation.cpus and min(violation.cpus) < len(lanes):
            labelled.add(violation.clause)
            lanes[min(violation.cpus)].text(
                last + least,
                1.06 - 0.16 * (len(labelled) - 1),
                f" {violation.clause}",
                color=WRONG,
                fontsize=10,
                fontweight="bold",
                va="top",
                zorder=5,
            )


def _shown_violations(history: History, verdict: Verdict, window: tuple[int, int]) -> list[Violation]:
    time = history.trace.time
    return [
        violation
        for violation in verdict.violations
        if violation.records
        and max(time[list(violation.records)]) >= window[0]
        and min(time[list(violation.records)]) <= window[1]
    ]


def _draw_legend(figure: Figure, shown: Sequence[Kind]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Patch | Line2D] = [Patch(facecolor=COLOURS[kind], label=NAMES[kind]) for kind in shown]
    handles.append(Patch(facecolor="none", edgecolor=INK, hatch="/////", linewidth=0, label="spins for a lock"))
    handles.append(Line2D([], [], color="#000000", marker=">", markersize=5, linewidth=0.9, label="DPC queued, runs"))
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles) if len(handles) <= _LEGEND else (len(handles) + 1) // 2,
        frameon=False,
        fontsize=8,
        handlelength=1.2,
        columnspacing=1.0,
        bbox_to_anchor=(0.53, 0.0),
    )
