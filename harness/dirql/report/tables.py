# SPDX-License-Identifier: Apache-2.0
"""Tables for people: what each CPU did, how long things took, and the oracle's verdict clause by clause.

On a terminal they use its width and colours; in a pipe or a file they are plain, and no line is broken.
"""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING

from dirql.trace.history.irps import major_name
from dirql.trace.oracle.verdict import NO_EVIDENCE, Status, Verdict, Violation
from dirql.trace.stats.summary import Percentiles, TraceStats
from dirql.trace.symbols import SymbolTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.table import Table

THREADS = 24
HARDLY = 10_000
"""A thread that had a CPU for less than this part of the time hardly ran."""
"""Threads in a table at most."""
IRPS = 24
"""Rows of devices and major functions in a table at most."""
UNLIMITED = 1000
"""Width of a line in a pipe, in characters: more than any line needs."""

_STYLES = {Status.OK: "green", Status.VIOLATED: "bold red", Status.WARNING: "bold yellow", Status.UNKNOWN: "yellow"}
LATENCIES = {
    "isr_enter": "interrupt to ISR",
    "dpc_latency": "DPC queued to run",
    "lock_wait": "spin for a lock",
    "lock_hold": "hold a lock",
}


def report_console(file: IO[str] | None = None) -> Console:
    """Return a console for the tables.

    Args:
        file: where to print; None for standard output.
    """
    from rich.console import Console

    stream = file or sys.stdout
    if stream.isatty():
        return Console(file=stream, highlight=False)
    return Console(file=stream, highlight=False, width=UNLIMITED, no_color=True, soft_wrap=True)


def print_report(
    console: Console,
    stats: TraceStats,
    verdict: Verdict,
    symbols: SymbolTable | None = None,
    *,
    latencies: Mapping[str, Percentiles] | None = None,
    violations: int = 10,
) -> None:
    """Print all tables, and the first violations with their call sites.

    Args:
        console: from `report_console`.
        stats: the run's numbers.
        verdict: the oracle's verdict.
        symbols: names for the call sites.
        latencies: the run's own times in ns, by what they are of; they stand before the trace's.
        violations: how many violations to print at most.
    """
    console.print(cpu_table(stats))
    if stats.threads:
        console.print(threads_table(stats))
    if stats.irps:
        console.print(irps_table(stats))
    times = dict(latencies or {})
    times |= {name: stats.latencies[key] for key, name in LATENCIES.items()}
    console.print(latency_table(times))
    console.print(verdict_table(verdict))
    shown = verdict.violations[:violations]
    for violation in shown:
        print_violation(console, violation, symbols or SymbolTable())
    hidden = verdict.counted(Status.VIOLATED) - len(shown)
    if hidden:
        console.print(f"and {hidden} more violations", markup=False)
    first = {warning.clause: warning for warning in reversed(verdict.warnings)}
    for warning in reversed(first.values()):
        print_violation(console, warning, symbols or SymbolTable())


def cpu_table(stats: TraceStats) -> Table:
    """Return a table with a row per CPU."""
    columns = ("CPU", "records", "lost", "interrupts", "ISR runs", "in ISRs", "DPC runs", "in DPCs", "spun", "halted")
    table = experiment_table("What each CPU did", *columns, "below DISPATCH", "DISPATCH", "above")
    for cpu in stats.cpus:
        below, at, above = sum(cpu.irql_share[:2]), cpu.irql_share[2], sum(cpu.irql_share[3:])
        table.add_row(
            str(cpu.cpu),
            f"{cpu.records:,}",
            f"{cpu.lost:,}",
            f"{sum(cpu.interrupts.values()):,}",
            f"{cpu.isr.count:,}",
            duration(cpu.isr.total),
            f"{cpu.dpc.count:,}",
            duration(cpu.dpc.total),
            f"{cpu.contended:,}",
            f"{cpu.halted:.1%}",
            *(f"{share:.1%}" for share in (below, at, above)),
        )
    time = "virtual" if stats.mode == "icount" else "real"
    table.caption = f"{stats.records:,} records over {duration(stats.duration)} of {time} time, mode {stats.mode}"
    return table


def threads_table(stats: TraceStats) -> Table:
    """Return a table with a row per thread, the busiest first; at most `THREADS` of them.

    The kernel's own threads that hardly ran, as its workers for whom there was no work, are counted only.
    """
    table = experiment_table(
        "What each thread did", "thread", "priority", "ran", "on CPUs", "turns", "waited", "ready", "longest"
    )
    table.columns[0].justify = "left"
    shown = [each for each in stats.threads if each.running >= stats.duration / HARDLY or not _is_kernels(each.name)]
    for thread in shown[:THREADS]:
        low, high = thread.priorities
        table.add_row(
            thread.name,
            str(low) if low == high else f"{low} to {high}",
            duration(thread.running),
            ", ".join(map(str, thread.cpus)),
            f"{thread.switches:,}",
            *(duration(time) for time in (thread.waiting, thread.ready, thread.longest)),
        )
    hidden = len(stats.threads) - min(len(shown), THREADS)
    more = f"; {hidden} more hardly ran" if hidden > 0 else ""
    table.caption = f"ready: without a CPU, in all and at a stretch{more}"
    return table


def _is_kernels(name: str) -> bool:
    return name.startswith("dirql-guest!")


def irps_table(stats: TraceStats) -> Table:
    """Return a table with a row per device and major function, the most frequent first; at most `IRPS` of them."""
    columns = ("request", "device", "calls", "completed", "cancelled", "min", "median", "p90", "p99", "max")
    table = experiment_table("What drivers were called with, and how long it took", *columns)
    for at in (0, 1):
        table.columns[at].justify = "left"
    for irps in stats.irps[:IRPS]:
        times = irps.latency
        values = (times.minimum, times.median, times.p90, times.p99, times.maximum)
        table.add_row(
            major_name(irps.major),
            irps.name,
            *(f"{count:,}" for count in (irps.calls, irps.completed, irps.cancelled)),
            *(duration(value) if times.count else "-" for value in values),
        )
    hidden = len(stats.irps) - IRPS
    if hidden > 0:
        table.caption = f"{hidden} more rows had fewer calls"
    return table


def latency_table(latencies: dict[str, Percentiles]) -> Table:
    """Return a table with a row per kind of time.

    Args:
        latencies: name -> distribution.
    """
    table = experiment_table("How long it took", "", "times", "min", "median", "p90", "p99", "p99.9", "max")
    table.columns[0].justify = "left"
    for name, times in latencies.items():
        values = (times.minimum, times.median, times.p90, times.p99, times.p999, times.maximum)
        shown = [duration(value) for value in values] if times.count else ["-"] * len(values)
        table.add_row(name, f"{times.count:,}", *shown)
    return table


def verdict_table(verdict: Verdict) -> Table:
    """Return a table with a row per clause; those of which the trace shows nothing stand together below it."""
    from rich.text import Text

    table = experiment_table("Verdict", "clause", "verdict", "judged", "what it says")
    for column in (0, 1, 3):
        table.columns[column].justify = "left"
    table.columns[3].no_wrap = False
    silent = [clause for clause in verdict.clauses if clause.reason == NO_EVIDENCE]
    if silent:
        table.caption = f"{NO_EVIDENCE}: {', '.join(clause.clause.id for clause in silent)}"
    for clause in verdict.clauses:
        if clause in silent:
            continue
        found = f"{clause.status} ({clause.count:,})" if clause.count else str(clause.status)
        said = Text(clause.clause.title)
        if clause.reason:
            said.append(f": {clause.reason}", style="yellow")
        table.add_row(clause.clause.id, Text(found, style=_STYLES[clause.status]), f"{clause.judged:,}", said)
    return table


def print_violation(console: Console, violation: Violation, symbols: SymbolTable) -> None:
    """Print a violation: what happened, the rule and its page, the records, the code to look at."""
    from rich.text import Text

    style = _STYLES[Status.WARNING if violation.warning else Status.VIOLATED]
    console.print(Text.assemble((violation.clause, style), f": {violation.text}"))
    console.print(f"    rule: {violation.title} ({violation.page})", markup=False)
    if violation.records:
        records = ", ".join(str(record) for record in violation.records)
        console.print(
            f"    trace records {records} on CPU {', '.join(str(cpu) for cpu in violation.cpus)}", markup=False
        )
    for site in violation.sites:
        where = symbols.where(site)
        console.print(f"    at {site:#x} {where}" if where != f"{site:#x}" else f"    at {where}", markup=False)


def duration(ns: float) -> str:
    """Write a time with three digits and the unit that fits."""
    for limit, unit, size in ((1e3, "ns", 1.0), (1e6, "µs", 1e3), (1e9, "ms", 1e6)):
        if ns < limit * 0.9995:
            value = ns / size
            return f"{value:.0f} {unit}" if unit == "ns" or value >= 100 else f"{value:.3g} {unit}"
    return f"{ns / 1e9:.3g} s" if ns < 1e12 else f"{ns / 1e9:.0f} s"


def experiment_table(title: str, *columns: str) -> Table:
    """Return an empty table in the style of all of them; its columns are right-justified."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table
