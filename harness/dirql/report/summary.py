# SPDX-License-Identifier: Apache-2.0
"""A run in tables: all that the statistics tell of a trace, or what is asked for, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dirql.report.counts import classes_table, dpcs_table, events_table, residency_table, vectors_table
from dirql.report.locks import lock_details, locks_table
from dirql.report.tables import (
    LATENCIES,
    cpu_table,
    duration,
    irps_table,
    latency_table,
    threads_table,
    verdict_table,
)
from dirql.report.violations import numbered, print_violations
from dirql.trace.events import EVENT_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from rich.console import Console
    from rich.table import Table

    from dirql.trace.decode import Trace
    from dirql.trace.oracle import Verdict
    from dirql.trace.oracle.verdict import Violation
    from dirql.trace.stats.part import Part
    from dirql.trace.stats.summary import TraceStats

VIOLATIONS = 10
"""Violations that are printed at most, unless more are asked for."""


def print_summary(
    console: Console,
    trace: Trace,
    stats: TraceStats,
    verdict: Verdict,
    part: Part,
    *,
    classes: Collection[str] = (),
    events: Collection[str] = (),
    violations: int = VIOLATIONS,
) -> None:
    """Print the tables.

    Args:
        console: from `report_console`.
        trace: the trace.
        stats: numbers of the part.
        verdict: the oracle's, of the whole trace.
        part: the part that the tables are of.
        classes: only the tables that are about these classes of events; none: all, unless events are named.
        events: only counts of these events, beside the tables of the classes.
        violations: how many of the part's violations to print at most.
    """
    for table in _tables(trace, stats, classes, events):
        console.print(table)
    if classes or events:
        return
    console.print(verdict_table(verdict))
    found = within(verdict, part)
    print_violations(console, found[:violations], verdict, trace)
    if len(found) > violations:
        console.print(f"and {len(found) - violations:,} more in this part; --violations N prints more", markup=False)
    if not part.whole:
        begin, end = (duration(float(trace.ns(trace.time[:1] * 0 + tick)[0])) for tick in (part.since, part.until))
        console.print(f"tables: {begin} to {end}; verdict: the whole trace", markup=False)


def within(verdict: Verdict, part: Part) -> list[tuple[int, Violation]]:
    """Return (number, violation) of the violations and warnings that have a record in a part, or no record at all."""
    import numpy as np

    return [
        (number, violation)
        for number, violation in enumerate(numbered(verdict), start=1)
        if not violation.records or part.holds(np.array(violation.records, dtype=np.int64)).any()
    ]


def summary_json(
    trace: Trace,
    stats: TraceStats,
    verdict: Verdict,
    part: Part,
    *,
    classes: Collection[str] = (),
    events: Collection[str] = (),
) -> dict[str, Any]:
    """Return the same as JSON data; see `print_summary`."""
    data: dict[str, Any] = stats.to_json()
    chosen = _chosen(classes, events)
    data = {name: value for name, value in data.items() if name not in _PARTS or name in chosen}
    if events:
        data["events"] = {name: [cpu.events.get(name, 0) for cpu in stats.cpus] for name in events}
    shown = {number for number, _ in within(verdict, part)}
    data["verdict"] = verdict.to_json(trace.symbols)
    data["violations"] = [
        {"number": number, "clause": each.clause, "text": each.text, "records": list(each.records)}
        for number, each in enumerate(numbered(verdict), start=1)
        if number in shown
    ]
    return data


_PARTS: dict[str, tuple[str, ...]] = {
    "cpus": ("cpus", "irql", "marks", "host", "memory", "trace"),
    "vectors": ("interrupts", "ipis"),
    "dpcs": ("dpcs",),
    "locks": ("locks",),
    "threads": ("threads", "waits", "timers", "work"),
    "irps": ("irps",),
}
"""Part of the statistics -> the classes that it is about."""


def _chosen(classes: Collection[str], events: Collection[str]) -> set[str]:
    if not classes and not events:
        return set(_PARTS)
    return {part for part, about in _PARTS.items() if set(about) & set(classes)}


def _tables(trace: Trace, stats: TraceStats, classes: Collection[str], events: Collection[str]) -> Iterator[Table]:
    named = [name for each in classes for name in EVENT_CLASSES[each]] + list(events)
    chosen = _chosen(classes, events)
    latencies = {name: stats.latencies[key] for key, name in LATENCIES.items()}
    makers: dict[str, Sequence[Callable[[TraceStats], Table]]] = {
        "cpus": (cpu_table, residency_table),
        "vectors": (vectors_table,),
        "dpcs": (dpcs_table,),
        "locks": (locks_table,),
        "threads": (threads_table,),
        "irps": (irps_table,),
    }
    if not named:
        yield classes_table(stats)
    for part, makes in makers.items():
        if part in chosen and getattr(stats, part):
            yield from (make(stats) for make in makes)
            if part == "locks":
                yield from lock_details(stats, trace.symbols)
    if named:
        yield events_table(stats, list(dict.fromkeys(named)))
    else:
        yield latency_table(latencies)
