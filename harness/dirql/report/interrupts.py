# SPDX-License-Identifier: Apache-2.0
"""Tables and pictures of the experiments with interrupts: dpc-placement, irql-latency, symmetric-vs-asymmetric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.report.figures import COLOURS, new_figure, save
from dirql.report.tables import duration, experiment_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from rich.table import Table

    from dirql.config import MachineConfig
    from dirql.experiments.dpc_placement import DpcPlacementResult
    from dirql.experiments.irql_latency import IrqlLatencyResult
    from dirql.experiments.routing import RoutingResult
    from dirql.trace.stats.summary import Percentiles

_TIMES = ("min", "median", "p90", "p99", "max")
_WIDTH = 0.8


def placement_table(result: DpcPlacementResult) -> Table:
    """Return the table of dpc-placement: a row for each policy and each way of queueing."""
    columns = (
        "policy",
        "queued by",
        "runs",
        "same CPU",
        "another",
        *(f"CPU {cpu}" for cpu in range(result.config.cpus)),
    )
    table = experiment_table("Where DPCs ran, and how long after they were queued", *columns, *_TIMES, "rules")
    for at in (0, 1, len(table.columns) - 1):
        table.columns[at].justify = "left"
    for at, row in enumerate(result.rows):
        if at and result.rows[at - 1].placement != row.placement:
            table.add_section()
        table.add_row(
            row.placement,
            row.kind,
            f"{row.runs:,}",
            f"{row.same / max(row.runs, 1):.1%}",
            f"{1 - row.same / max(row.runs, 1):.1%}",
            *(f"{count:,}" for count in row.per_cpu),
            *_times(row.latency),
            result.verdicts[row.placement],
        )
    table.caption = (
        f"{_heading(result.config)}; interrupts on each CPU in turn; CPU 0 is at PASSIVE_LEVEL, the others go up to "
        "DISPATCH_LEVEL and down again"
    )
    return table


def draw_placement(result: DpcPlacementResult, folder: Path) -> None:
    """Draw who ran what as stacked bars, and the times beside them."""
    figure, (left, right) = new_figure(1, 2, "Where DPCs run, by placement policy", _heading(result.config))
    figure.set_size_inches(16, 5.4)
    labels = [f"{row.placement}\n{row.kind}" for row in result.rows]
    at = range(len(labels))
    bottom = [0.0] * len(labels)
    for cpu in range(result.config.cpus):
        parts = [row.per_cpu[cpu] / max(row.runs, 1) for row in result.rows]
        colour = COLOURS[cpu % len(COLOURS)]
        hatch = "//" if cpu >= len(COLOURS) else None
        left.bar(at, parts, _WIDTH, bottom=bottom, color=colour, hatch=hatch, edgecolor="white", label=f"CPU {cpu}")
        bottom = [low + part for low, part in zip(bottom, parts, strict=True)]
    same = [row.same / max(row.runs, 1) for row in result.rows]
    for x, part in zip(at, same, strict=True):
        left.text(x, 1.02, f"{part:.0%} at home", ha="center", fontsize=8)
    left.set_xticks(list(at), labels, fontsize=8)
    left.set_ylim(0, 1.1)
    left.set_title("which CPU ran them (and how many ran where they were queued)", loc="left", fontsize=10)
    left.legend(
        frameon=False, fontsize=8, ncols=min(result.config.cpus, 4), loc="upper center", bbox_to_anchor=(0.5, -0.16)
    )
    _draw_times(right, labels, [row.latency for row in result.rows])
    right.set_title("from queueing to running, µs", loc="left", fontsize=10)
    save(figure, folder, "dpc-placement")


def latency_rows(result: IrqlLatencyResult) -> Table:
    """Return the table of irql-latency: a row for each state."""
    columns = ("CPU 1", "IRQL", "masked", "interrupted at", "interrupts", *_TIMES)
    table = experiment_table("From an interrupt outside to its ISR", *columns)
    for at in (0, 3):
        table.columns[at].justify = "left"
    for at, row in enumerate(result.rows):
        if at and result.rows[at - 1].masked != row.masked:
            table.add_section()
        found = ", ".join(f"{irql} ({count:,})" for irql, count in row.interrupted.items())
        masked = "yes" if row.masked else "no"
        times = _times(row.latency)
        table.add_row(row.state.name, str(row.state.irql), masked, found, f"{row.latency.count:,}", *times)
    table.caption = (
        f"{_heading(result.config)}; verdict {result.verdict}; masked: it waits until the CPU lowers its IRQL, which "
        f"happens after {result.parameters.hold} PAUSE instructions"
    )
    return table


def draw_latency(result: IrqlLatencyResult, folder: Path) -> None:
    """Draw a line for each state: minimum to p99, median and p90 marked."""
    figure, (axis,) = new_figure(1, 1, "Interrupt to ISR, by what the CPU does", _heading(result.config))
    figure.set_size_inches(10, 5.2)
    for at, row in enumerate(reversed(result.rows)):
        colour = COLOURS[1] if row.masked else COLOURS[0]
        low, median, p90, p99 = (
            max(each, 1.0) / 1000
            for each in (row.latency.minimum, row.latency.median, row.latency.p90, row.latency.p99)
        )
        axis.plot([low, p99], [at, at], color=colour, linewidth=2, alpha=0.5, solid_capstyle="butt")
        axis.plot([median], [at], marker="o", color=colour, markersize=8)
        axis.plot([p90], [at], marker="|", color=colour, markersize=12, markeredgewidth=2)
        axis.annotate(
            duration(median * 1000), (median, at), (0, 9), textcoords="offset points", ha="center", fontsize=8
        )
    names = [f"{row.state.name} ({row.state.irql})" for row in reversed(result.rows)]
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set_ylim(-0.6, len(names) - 0.3)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
    axis.grid(visible=False, axis="y")
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel(
        "µs; line from minimum to p99, dot at the median, bar at p90; orange: the interrupt is masked there"
    )
    save(figure, folder, "irql-latency")


def routing_table(result: RoutingResult) -> Table:
    """Return the table of who took what: a row for each CPU under each routing."""
    columns = ("routing", "CPU", "ISR runs", "in ISRs", "DPC runs", "in DPCs", "halted", "at DISPATCH", "above")
    table = experiment_table("Who takes the interrupts", *columns)
    table.columns[0].justify = "left"
    for routing, storm in result.storms.items():
        if table.row_count:
            table.add_section()
        for cpu in storm.stats.cpus:
            table.add_row(
                routing,
                str(cpu.cpu),
                f"{cpu.isr.count:,}",
                duration(cpu.isr.total),
                f"{cpu.dpc.count:,}",
                duration(cpu.dpc.total),
                f"{cpu.halted:.1%}",
                f"{cpu.irql_share[2]:.1%}",
                f"{sum(cpu.irql_share[3:]):.1%}",
            )
    table.caption = f"{_heading(result.config)}; {result.parameters.count:,} interrupts each time"
    return table


def routing_times(result: RoutingResult) -> Table:
    """Return the table of rates, times and verdicts: a row for each time under each routing."""
    table = experiment_table("What it costs", "routing", "interrupts/s", "rules", "", "times", *_TIMES)
    for at in (0, 3):
        table.columns[at].justify = "left"
    names = {"host_to_isr": "sent to ISR", "isr_to_dpc": "ISR to DPC", "host_to_dpc": "sent to DPC"}
    for routing, storm in result.storms.items():
        if table.row_count:
            table.add_section()
        rate = f"{storm.counts['sent'] / max(storm.seconds, 1e-9):,.0f}"
        for key, name in names.items():
            times = storm.latencies[key]
            table.add_row(routing, rate, storm.status.value, name, f"{times.count:,}", *_times(times))
    table.caption = (
        "the rate is of host time" if result.config.mode != "icount" else "the rate is of host time, not virtual"
    )
    return table


def draw_routing(result: RoutingResult, folder: Path) -> None:
    """Draw ISR and DPC runs of each CPU under both routings, and the times."""
    figure, axes = new_figure(1, 3, "Symmetric and asymmetric interrupt routing", _heading(result.config))
    cpus = range(result.config.cpus)
    width = _WIDTH / len(result.storms)
    for at, (routing, storm) in enumerate(result.storms.items()):
        places = [cpu + (at - (len(result.storms) - 1) / 2) * width for cpu in cpus]
        style = {"color": COLOURS[at], "label": routing, "hatch": (None, "//")[at % 2], "edgecolor": "white"}
        axes[0].bar(places, [cpu.isr.count for cpu in storm.stats.cpus], width, **style)  # type: ignore[arg-type]
        axes[1].bar(places, [cpu.dpc.count for cpu in storm.stats.cpus], width, **style)  # type: ignore[arg-type]
    for axis, title in zip(axes[:2], ("ISR runs of each CPU", "DPC runs of each CPU"), strict=True):
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xticks(list(cpus), [f"CPU {cpu}" for cpu in cpus], fontsize=8)
        axis.legend(frameon=False)
    names = {"host_to_isr": "sent to ISR", "isr_to_dpc": "ISR to DPC"}
    labels = [f"{routing}\n{name}" for name in names.values() for routing in result.storms]
    _draw_times(axes[2], labels, [storm.latencies[key] for key in names for storm in result.storms.values()])
    axes[2].set_title("times, µs", loc="left", fontsize=10)
    save(figure, folder, "symmetric-vs-asymmetric")


def _draw_times(axis: Axes, labels: Sequence[str], times: Sequence[Percentiles]) -> None:
    """Draw median, p90 and p99 side by side, on a scale of powers of ten."""
    from matplotlib.ticker import LogLocator

    width = _WIDTH / 3
    for at, name in enumerate(("median", "p90", "p99")):
        places = [x + (at - 1) * width for x in range(len(labels))]
        values = [max(getattr(each, name), 1.0) / 1000 for each in times]
        axis.bar(places, values, width, color=("#0b3c5d", "#328cc1", "#a9d5f0")[at], label=name)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.yaxis.set_minor_formatter("{x:g}")
    axis.tick_params(axis="y", which="minor", labelsize=7)
    axis.set_xticks(range(len(labels)), labels, fontsize=8)
    axis.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.0)


def _times(times: Percentiles) -> list[str]:
    if not times.count:
        return ["-"] * len(_TIMES)
    return [duration(each) for each in (times.minimum, times.median, times.p90, times.p99, times.maximum)]


def _heading(config: MachineConfig) -> str:
    return f"{config.cpus} CPUs, {config.mode} ({'virtual' if config.mode == 'icount' else 'real'} time)"
