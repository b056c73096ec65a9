# SPDX-License-Identifier: Apache-2.0
"""The rows as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.figures import Figure, Row

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def number(value: float) -> str:
    """Write a value with three digits, and thousands apart."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def spread(figure: Figure, unit: str) -> str:
    """Write a figure: its median, and its quartiles where there are several values."""
    if figure.count == 1:
        return f"{number(figure.median)} {unit}"
    return f"{number(figure.median)} {unit} ({number(figure.low)} to {number(figure.high)}, n={figure.count})"


def verdict(row: Row) -> str:
    """Write whether a row's goal was met."""
    return {True: "met", False: "missed", None: "-"}[row.met]


def table(rows: list[Row]) -> Table:
    """Return a table with a row per measurement."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD)
    for name in ("", "mode", "CPUs", "dirql", "comparator", "ratio", "goal", ""):
        made.add_column(name, overflow="fold")
    styles = {True: "green", False: "bold red", None: ""}
    for row in rows:
        made.add_row(
            Text(row.name, style="bold"),
            row.mode,
            str(row.cpus),
            spread(row.ours, row.unit),
            spread(row.comparator, row.unit),
            f"{row.ratio:.3g}",
            "-" if row.goal is None else str(row.goal),
            Text(verdict(row), style=styles[row.met]),
        )
    return made


def explanation(row: Row) -> str:
    """Write what a row compares with what."""
    return f"{row.name}: {row.title}{f' ({row.note})' if row.note else ''}; comparator: {row.beside}"


def print_result(console: Console, rows: list[Row], facts: dict[str, Any], failures: dict[str, str]) -> None:
    """Print the table, what its rows are, the circumstances, and what failed.

    Args:
        console: from `dirql.report.tables.report_console`.
        rows: what was measured.
        facts: `qemu`, `host` (see `plan.host`), `load_average` (`before`, `after`), `date`.
        failures: error text by benchmark.
    """
    if rows:
        console.print(table(rows))
        console.print(
            "Medians, in brackets the quartiles and how many values. The two of a row were measured in turns."
        )
    for row in rows:
        console.print(explanation(row), markup=False)
    host, load = facts["host"], facts["load_average"]
    console.print(
        f"QEMU {facts['qemu']}; {host['processor']}, {host['cpus']} CPUs, {host['system']}, Python {host['python']}; "
        f"load average {load['before'][0]} before, {load['after'][0]} after; {facts['date']}",
        markup=False,
    )
    for name, text in failures.items():
        console.print(f"{name} failed to run: {text}", markup=False)
