# SPDX-License-Identifier: Apache-2.0
"""What the page's template and its scripts get."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dirql import __version__
from dirql.report.html.charts import Charts, histogram_json, lock_json
from dirql.report.html.columns import pack
from dirql.report.html.texts import pack_texts, record_texts
from dirql.report.html.timeline import timeline_columns, timeline_facts
from dirql.report.tables import duration
from dirql.report.window import choose_window
from dirql.trace.oracle import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dirql.report.html.facts import RunFacts
    from dirql.report.html.timeline import Stretch
    from dirql.report.html.violations import ShownViolation
    from dirql.trace.history.history import History
    from dirql.trace.oracle.verdict import Verdict
    from dirql.trace.stats.dpcs import DpcStats
    from dirql.trace.stats.part import Part
    from dirql.trace.stats.summary import TraceStats

LOCKS = 40
"""Locks in a table at most."""
DPCS = 20
"""DPCs in a table at most."""
_PARTS = {
    "violations": "Violations",
    "timeline": "Timeline",
    "irql": "IRQL",
    "times": "Times",
    "locks": "Locks",
    "flow": "Flow",
    "run": "Run",
    "clauses": "Clauses",
}
_FIRST = {Status.VIOLATED: 0, Status.WARNING: 1}
_LEVELS = {0: "PASSIVE", 1: "APC", 2: "DISPATCH", 13: "CLOCK", 14: "IPI", 15: "HIGH"}


@dataclass(frozen=True)
class Level:
    """A level that some CPU spent time at."""

    irql: int
    name: str


def page_context(
    history: History,
    part: Part,
    stats: TraceStats,
    verdict: Verdict,
    told: RunFacts,
    shown: Sequence[ShownViolation],
    charts: Charts,
) -> dict[str, Any]:
    """Return the template's variables, all but those of the timeline.

    Args:
        history: the trace's intervals.
        part: what the numbers are of.
        stats: the numbers.
        verdict: the oracle's.
        told: how it was run.
        shown: the violations as the page shows them.
        charts: what the charts draw.
    """
    trace = history.trace
    status, headline = _headline(verdict, told)
    lost = sum(trace.lost)
    doubts = [f"{lost:,} records were lost"] if lost else []
    if trace.meta.cut:
        doubts.append("the machine ended under it")
    parts = [(name, title) for name, title in _PARTS.items() if shown or name != "violations"]
    counted = verdict.counted(Status.VIOLATED) + verdict.counted(Status.WARNING)
    return {
        "name": told.name,
        "version": __version__,
        "status": status,
        "headline": headline,
        "summary": _summary(history, part, stats, verdict),
        "failure": told.failure,
        "facts": told.facts,
        "parameters": told.parameters,
        "console": told.console,
        "doubts": " and ".join(doubts),
        "parts": parts,
        "violations": shown,
        "hidden": max(counted - len(shown) + (told.failure is not None), 0),
        "found": "Violations" if any(not each.warning for each in shown) else "Warnings",
        "levels": _levels(stats),
        "cpus": stats.cpus if stats.records else (),
        "histograms": charts.filled,
        "empty": [each.title for each in charts.times if not each.times.count],
        "clock": "Times are virtual (icount)." if stats.mode == "icount" else "Times are real time on this host.",
        "locks": stats.locks[:LOCKS],
        "more_locks": len(stats.locks) - len(stats.locks[:LOCKS]),
        "flow": charts.flow,
        "vectors": stats.vectors,
        "dpcs": [_Dpc(dpc) for dpc in stats.dpcs[:DPCS]],
        "more_dpcs": len(stats.dpcs) - len(stats.dpcs[:DPCS]),
        "clauses": sorted(verdict.clauses, key=lambda each: _FIRST.get(each.status, 2)),
        "tally": _tally(verdict),
        "words": {state.value: state.value for state in Status},
    }


class _Dpc:
    """A DPC's numbers, and how often another CPU ran it than queued it."""

    def __init__(self, dpc: DpcStats) -> None:
        self._dpc = dpc
        self.elsewhere = sum(flow.count for flow in dpc.flows if flow.source != flow.target)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (any of its numbers)
        return getattr(self._dpc, name)


def page_data(
    history: History,
    stats: TraceStats,
    verdict: Verdict,
    stretch: Stretch,
    shown: Sequence[ShownViolation],
    charts: Charts,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what the scripts get: JSON data, and blocks of columns.

    Args:
        history: the trace's intervals.
        stats: the numbers.
        verdict: the oracle's.
        stretch: the records that the timeline has.
        shown: the violations as the page shows them.
        charts: what the charts draw.
    """
    trace = history.trace
    columns = timeline_columns(history, stretch)
    number, texts = record_texts(trace, trace.by_cpu[stretch.places])
    columns["text"] = number.astype("uint32")
    places, block = pack(columns)
    begin, end = choose_window(history, verdict)
    sites = {caller.caller: trace.symbols.where(caller.caller) for lock in stats.locks for caller in lock.callers}
    facts = {
        "timeline": {**timeline_facts(history, stretch), "columns": places, "window": [begin, end]},
        "levels": [[level.irql, level.name] for level in _levels(stats)],
        "residency": [[cpu.irql_share[level.irql] for level in _levels(stats)] for cpu in stats.cpus],
        "histograms": [histogram_json(each) for each in charts.filled],
        "flow": charts.flow,
        "locks": lock_json(stats, sites, LOCKS),
        "violations": [
            {
                "number": each.number,
                "clause": each.clause,
                "warning": each.warning,
                "cpus": each.cpus,
                "places": [record.place for record in each.records if record.place >= 0],
            }
            for each in shown
        ],
    }
    return facts, {"columns": block, "texts": pack_texts(texts)}


def _headline(verdict: Verdict, told: RunFacts) -> tuple[str, str]:
    """Return the page's state, and it in words."""
    broken = sum(each.status is Status.VIOLATED for each in verdict.clauses)
    count = verdict.counted(Status.VIOLATED)
    if broken and told.failure is None:
        rules = "a rule is broken" if broken == 1 else f"{broken} rules are broken"
        return "violated", f"Violated: {rules}, {_times(count)}"
    if told.failure is not None:
        return "violated", f"The run failed: {told.failure.line}"
    if told.passed is False:
        return "violated", "The run did not pass; the trace shows no broken rule"
    if verdict.status is Status.UNKNOWN:
        return "unknown", "Unknown: the trace does not tell"
    warnings = verdict.counted(Status.WARNING)
    if warnings:
        return "ok", f"No rule is broken; {_several(warnings, 'warning')}"
    return "ok", "No rule is broken"


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count:,} times"


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _summary(history: History, part: Part, stats: TraceStats, verdict: Verdict) -> str:
    states = Counter(each.status for each in verdict.clauses)
    clauses = ", ".join(f"{states[state]} {state.value}" for state in Status if states[state])
    time = "virtual" if stats.mode == "icount" else "real"
    cpus = _several(history.trace.cpus, "CPU")
    text = f"{_several(len(verdict.clauses), 'clause')} judged by the trace: {clauses}. "
    text += f"{_several(len(history.trace), 'record')} of {cpus}"
    if part.whole:
        return f"{text} over {duration(stats.duration)} of {time} time, mode {stats.mode}."
    scale = history.trace.meta.clock.ticks_per_ns
    since, until = duration(part.since / scale), duration(part.until / scale)
    return f"{text}, mode {stats.mode}; timeline and numbers are of {since} to {until} ({time} time) alone."


def _levels(stats: TraceStats) -> list[Level]:
    used = [irql for irql in range(16) if any(cpu.irql_share[irql] for cpu in stats.cpus)]
    return [Level(irql, _LEVELS.get(irql, f"DIRQL {irql}")) for irql in used]


def _tally(verdict: Verdict) -> list[tuple[str, int]]:
    states = Counter(each.status for each in verdict.clauses)
    order = (Status.VIOLATED, Status.WARNING, Status.UNKNOWN, Status.OK)
    return [(state.value, states[state]) for state in order if states[state]]
