# SPDX-License-Identifier: Apache-2.0
"""What a storm leaves for people: the tables on the terminal, the picture and the Perfetto file in its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dirql.report.tables import cpu_table, latency_table, print_violation, report_console, verdict_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dirql.trace.history import History
    from dirql.trace.oracle import Verdict
    from dirql.trace.stats import Percentiles, TraceStats

PICTURE = "timeline.png"
PERFETTO = "trace.perfetto-trace"
_SHOWN_VIOLATIONS = 10
_NAMES = {
    "host_to_isr": "sent to ISR",
    "isr_to_dpc": "ISR to DPC",
    "host_to_dpc": "sent to DPC",
}


def export(history: History, verdict: Verdict, folder: Path, name: str) -> None:
    """Write the picture and the Perfetto file.

    Args:
        history: the trace's intervals.
        verdict: its violations are marked.
        folder: the run's folder.
        name: of the experiment, for the picture's title.
    """
    from dirql.report.timeline import draw_timeline
    from dirql.trace.perfetto import write_perfetto

    write_perfetto(history, folder / PERFETTO, verdict)
    draw_timeline(history, folder / PICTURE, verdict=verdict, title=name)


def print_storm(
    result: Mapping[str, Any],
    history: History,
    stats: TraceStats,
    verdict: Verdict,
    latencies: Mapping[str, Percentiles],
) -> None:
    """Print the tables of a storm, and the line that says how it went.

    Args:
        result: the storm's JSON data.
        history: the trace's intervals, for the names of call sites.
        stats: the trace's numbers.
        verdict: the oracle's.
        latencies: the storm's own, in ns.
    """
    console = report_console()
    console.print(cpu_table(stats))
    times = {_NAMES[name]: value for name, value in latencies.items()}
    times |= {"interrupt to ISR": stats.isr_enter, "spin for a lock": stats.lock_wait, "hold a lock": stats.lock_hold}
    console.print(latency_table(times))
    console.print(verdict_table(verdict))
    for violation in verdict.violations[:_SHOWN_VIOLATIONS]:
        print_violation(console, violation, history.trace.symbols)
    console.print(
        f"sent {result['sent']:,}, ISR {result['isr']:,}, DPC {result['dpc']:,}, acknowledged {result['acknowledged']:,}, "
        f"merged {result['merged']:,}, lost {result['lost']:,}; trace records lost {result['trace_lost']:,}; "
        f"{result['sent'] / max(result['seconds'], 1e-9):,.0f} interrupts/s (mode {result['mode']}, {result['cpus']} CPUs)"
    )
    console.print(f"verdict: {result['verdict']}; run folder: {result['run_folder']}", markup=False)
