# SPDX-License-Identifier: Apache-2.0
"""Two runs side by side, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.report.tables import LATENCIES, duration, experiment_table
from dirql.trace.stats.diff import Change, Comparison, Parting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dirql.trace.stats.diff import Count, LockChange, Times

ALIKE = 0.1
"""Ratios are coloured from a change of this part on."""
_STYLES = {Change.NEW: "bold red", Change.GONE: "green", Change.SAME: "", Change.OTHER: "yellow"}


def print_comparison(console: Console, found: Comparison, names: tuple[str, str], *, everything: bool = False) -> None:
    """Print what differs between two runs.

    Args:
        console: from `report_console`.
        found: the comparison.
        names: what the runs are called.
        everything: print also what is the same.
    """
    console.print(f"A: {names[0]}, {found.modes[0]}\nB: {names[1]}, {found.modes[1]}", markup=False)
    counts = [each for each in found.counts if everything or each.before != each.after]
    cpus = [each for each in found.cpus if everything or any(one != other for one, other in each.cpus)]
    if cpus:
        console.print(_cpu_table(cpus))
    if counts:
        console.print(_count_table("Records by event", "event", counts))
    locks = [
        each
        for each in found.locks
        if everything
        or each.acquisitions[0] != each.acquisitions[1]
        or each.wait.before != each.wait.after
        or each.hold.before != each.hold.after
    ]
    if locks:
        console.print(_lock_table(locks))
    times = [each for each in found.latencies if everything or each.before != each.after]
    if times:
        console.print(_time_table(times))
    clauses = [
        each
        for each in found.clauses
        if everything or each.change is not Change.SAME or each.counts[0] != each.counts[1]
    ]
    if clauses:
        console.print(_clause_table(found, everything=everything))
    _print_streams(console, found)
    same = not (counts or cpus or locks or times or clauses or found.partings or found.retimed)
    if same:
        console.print("the two runs are the same in all that is compared", markup=False)
    verdict = "worse" if found.worse else "the same" if found.status[0] is found.status[1] else "no worse"
    console.print(f"verdict: {found.status[0]} and {found.status[1]}: {verdict}", markup=False)


def _cpu_table(rows: Iterable[Count]) -> Table:
    rows = list(rows)
    cpus = max(len(row.cpus) for row in rows)
    table = experiment_table(
        "What the CPUs did, A and B", "", *(f"CPU {cpu}" for cpu in range(min(cpus, 8))), "all", "B / A"
    )
    table.columns[0].justify = "left"
    for row in rows:
        cells = [f"{one:,} {other:,}" if one != other else f"{one:,}" for one, other in row.cpus[:8]]
        table.add_row(row.name, *cells, f"{row.before:,} {row.after:,}", _ratio(row.before, row.after))
    return table


def _count_table(title: str, what: str, rows: Iterable[Count]) -> Table:
    table = experiment_table(title, what, "A", "B", "more", "B / A")
    table.columns[0].justify = "left"
    for row in sorted(rows, key=lambda each: -abs(each.after - each.before)):
        more = row.after - row.before
        table.add_row(
            row.name, f"{row.before:,}", f"{row.after:,}", f"{more:+,}" if more else "-", _ratio(row.before, row.after)
        )
    return table


def _lock_table(locks: Iterable[LockChange]) -> Table:
    columns = ("taken A", "B", "contended A", "B", "bypasses A", "B", "waited A", "B", "B / A", "held A", "B", "B / A")
    table = experiment_table("Spin locks, medians", "lock", *columns)
    table.columns[0].justify = "left"
    for lock in sorted(locks, key=lambda each: -sum(each.contended)):
        table.add_row(
            lock.name,
            *(f"{value:,}" for pair in (lock.acquisitions, lock.contended, lock.bypasses) for value in pair),
            *_pair(lock.wait, "median"),
            *_pair(lock.hold, "median"),
        )
    return table


def _time_table(rows: Iterable[Times]) -> Table:
    columns = [text for name in ("median", "p99", "max") for text in (f"{name} A", "B", "B / A")]
    table = experiment_table("How long it took", "", "times A", "B", *columns)
    table.columns[0].justify = "left"
    for row in rows:
        cells = [cell for which in ("median", "p99", "maximum") for cell in _pair(row, which)]
        table.add_row(LATENCIES.get(row.name, row.name), f"{row.before.count:,}", f"{row.after.count:,}", *cells)
    return table


def _clause_table(found: Comparison, *, everything: bool) -> Table:
    from rich.text import Text

    table = experiment_table("Verdict", "clause", "A", "B", "", "what it says")
    for at in (0, 1, 2, 3, 4):
        table.columns[at].justify = "left"
    table.columns[4].no_wrap = False
    for row in found.clauses:
        if not everything and row.change is Change.SAME and row.counts[0] == row.counts[1]:
            continue
        cells = [
            f"{status} ({count:,})" if count else f"{status}"
            for status, count in zip((row.before, row.after), row.counts, strict=True)
        ]
        table.add_row(row.clause, *cells, Text(row.change.value, style=_STYLES[row.change]), Text(row.title))
    return table


def _print_streams(console: Console, found: Comparison) -> None:
    if not found.replayed:
        console.print(
            "the order of events is compared only between runs in virtual time (icount): others are never the same",
            markup=False,
        )
        return
    if not found.partings:
        console.print("the same events in the same order, on every CPU", markup=False)
    for parting in found.partings:
        if parting.where == "all":
            _print_parting(console, parting, "the two runs part")
        else:
            one, other = parting.records
            console.print(
                f"{parting.where}: first difference at record {one} of A, {other} of B ({', '.join(parting.differs)})",
                markup=False,
            )
    if found.retimed is not None:
        _print_parting(console, found.retimed, "the times part")


def _print_parting(console: Console, parting: Parting, what: str) -> None:
    one, other = parting.records
    console.print(
        f"{what} at record {one} of A, {other} of B: {', '.join(parting.differs)}", markup=False, style="bold"
    )
    for name, lines in (("A", parting.before), ("B", parting.after)):
        for line in lines:
            console.print(f"  {name} {line}", markup=False, style="bold yellow" if line.startswith(">") else "")


def _pair(times: Times, which: str) -> list[Text | str]:
    cells: list[Text | str] = [
        duration(getattr(each, which)) if each.count else "-" for each in (times.before, times.after)
    ]
    ratio = times.ratio(which)
    return [*cells, _coloured(ratio) if ratio is not None else "-"]


def _ratio(before: int, after: int) -> str:
    return f"{after / before:.2f}" if before else "-"


def _coloured(ratio: float) -> Text:
    from rich.text import Text

    style = "red" if ratio > 1 + ALIKE else "green" if ratio < 1 / (1 + ALIKE) else ""
    return Text(f"{ratio:.2f}", style=style)
