# SPDX-License-Identifier: Apache-2.0
"""Tables of what happened how often: records by class and event, interrupts by vector, DPCs by routine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.report.tables import duration, experiment_table
from dirql.trace.events import CLASS_OF, EVENT_CLASSES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.table import Table

    from dirql.trace.stats.flows import Flow
    from dirql.trace.stats.summary import CpuStats, DpcStats, Percentiles, TraceStats

WIDEST = 16
"""CPUs that a table has a column for at most; of more it gives the sum only."""
ROWS = 24
"""Rows of a table at most; what is left out is less than what is shown."""
_LEVELS = {0: "PASSIVE", 1: "APC", 2: "DISPATCH", 13: "CLOCK", 14: "IPI", 15: "HIGH"}


def level_name(irql: int) -> str:
    """Return `DISPATCH`, or `5` for a device's IRQL."""
    return _LEVELS.get(irql, str(irql))


def residency_table(stats: TraceStats) -> Table:
    """Return a table with a row per CPU and a column per IRQL at which any was: the part of its time."""
    levels = sorted({irql for cpu in stats.cpus for irql, share in enumerate(cpu.irql_share) if share})
    table = experiment_table("At which IRQL each CPU was", "CPU", *(level_name(irql) for irql in levels), "halted")
    for cpu in stats.cpus:
        table.add_row(
            str(cpu.cpu),
            *(f"{cpu.irql_share[irql]:.2%}" if cpu.irql_share[irql] else "-" for irql in levels),
            f"{cpu.halted:.2%}",
        )
    table.caption = "numbers are devices' IRQLs; halted is a part of PASSIVE"
    return table


def classes_table(stats: TraceStats) -> Table:
    """Return a table of the records of each class, by CPU."""
    rows = [(name, _counts(stats, EVENT_CLASSES[name])) for name in EVENT_CLASSES]
    strange = {name for cpu in stats.cpus for name in cpu.events if name not in CLASS_OF}
    if strange:
        rows.append(("unknown to this dirql", _counts(stats, strange)))
    return _by_cpu("Records by class", "class", stats.cpus, [row for row in rows if any(row[1])])


def events_table(stats: TraceStats, events: Collection[str]) -> Table:
    """Return a table of the records of some events, by CPU, the most frequent first; also of those that never came."""
    rows = [(name, _counts(stats, (name,))) for name in events]
    return _by_cpu("Records by event", "event", stats.cpus, sorted(rows, key=lambda row: -sum(row[1])))


def vectors_table(stats: TraceStats) -> Table:
    """Return a table with a row per interrupt vector."""
    columns = ("vector", "IRQL", "what it calls", "taken", "by CPU", "sent", "nested", "unclaimed", "unexpected")
    table = experiment_table("Interrupts by vector", *columns, "to the ISR", "p99", "in the ISR", "p99", "max")
    for at in (0, 2, 4):
        table.columns[at].justify = "left"
    for each in stats.vectors:
        table.add_row(
            f"{each.vector:#x}",
            str(each.irql),
            each.name,
            f"{each.count:,}",
            _split(each.cpus),
            *(f"{count:,}" if count else "-" for count in (each.sent, each.nested, each.unclaimed, each.unexpected)),
            *_cells(each.entry, "median", "p99"),
            *_cells(each.isr if each.isr.count else each.time, "median", "p99", "maximum"),
        )
    table.caption = "median and percentiles; without a service routine the time is that of the whole interrupt"
    return table


def dpcs_table(stats: TraceStats) -> Table:
    """Return a table with a row per DPC, those that ran most often first; at most `ROWS` of them."""
    columns = ("DPC", "queued", "again", "run", "removed", "queued on, run on", "latency", "p99", "max", "ran for")
    table = experiment_table("DPCs", *columns, "p99", "max")
    for at in (0, 5):
        table.columns[at].justify = "left"
    for each in stats.dpcs[:ROWS]:
        table.add_row(
            _dpc_name(each),
            *(f"{count:,}" if count else "-" for count in (each.queued, each.refused, each.runs, each.removed)),
            flows_text(each.flows),
            *_cells(each.latency, "median", "p99", "maximum"),
            *_cells(each.time, "median", "p99", "maximum"),
        )
    hidden = len(stats.dpcs) - ROWS
    more = f"; {hidden} more DPCs ran less often" if hidden > 0 else ""
    table.caption = f"again: asked for while it was queued; medians and percentiles{more}"
    return table


def flows_text(flows: Sequence[Flow]) -> str:
    """Write how much stayed on its CPU, and the most frequent way to another."""
    total = sum(flow.count for flow in flows)
    if not total:
        return "-"
    stayed = sum(flow.count for flow in flows if flow.source == flow.target)
    moved = max((flow for flow in flows if flow.source != flow.target), key=lambda flow: flow.count, default=None)
    text = f"{stayed / total:.0%} same"
    return text if moved is None else f"{text}, {moved.source}→{moved.target} {moved.count:,}"


def _dpc_name(each: DpcStats) -> str:
    notes = [note for note, is_so in (("threaded", each.threaded), ("still queued", each.pending)) if is_so]
    return f"{each.name} ({', '.join(notes)})" if notes else each.name


def _cells(times: Percentiles, *which: str) -> list[str]:
    return [duration(getattr(times, name)) if times.count else "-" for name in which]


def _split(counts: Sequence[int]) -> str:
    """Write counts by CPU: all of them, or who has it all, or by how much they differ."""
    total = sum(counts)
    for cpu, count in enumerate(counts):
        if count == total:
            return f"CPU {cpu}"
    if len(counts) > 8:
        return f"{min(counts):,} to {max(counts):,} each"
    return " ".join(f"{count:,}" for count in counts)


def _counts(stats: TraceStats, events: Collection[str]) -> list[int]:
    return [sum(cpu.events.get(event, 0) for event in events) for cpu in stats.cpus]


def _by_cpu(title: str, what: str, cpus: Sequence[CpuStats], rows: Sequence[tuple[str, list[int]]]) -> Table:
    shown = [f"CPU {cpu.cpu}" for cpu in cpus] if len(cpus) <= WIDEST else []
    table = experiment_table(title, what, *shown, "all")
    table.columns[0].justify = "left"
    for name, counts in rows:
        table.add_row(name, *(f"{count:,}" if count else "-" for count in counts[: len(shown)]), f"{sum(counts):,}")
    return table
