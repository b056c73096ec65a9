# SPDX-License-Identifier: Apache-2.0
"""What a run leaves for people: the tables on the terminal, the picture and the files in its folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dirql.report.tables import print_report, report_console

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dirql.trace.history.history import History
    from dirql.trace.oracle import Verdict
    from dirql.trace.stats.summary import Percentiles, TraceStats

PICTURE = "timeline.png"
PERFETTO = "trace.perfetto-trace"


def export(history: History, verdict: Verdict, folder: Path, name: str) -> None:
    """Write the picture, the Perfetto file and, beside the raw records, the Parquet file.

    Args:
        history: the trace's intervals.
        verdict: its violations are marked.
        folder: the run's folder.
        name: of the experiment, for the picture's title.
    """
    from dirql.report.timeline import draw_timeline
    from dirql.trace.export.parquet import parquet_file
    from dirql.trace.export.perfetto import write_perfetto

    history.trace.to_parquet(parquet_file(folder))
    write_perfetto(history, folder / PERFETTO, verdict)
    draw_timeline(history, folder / PICTURE, verdict=verdict, title=name)


def print_run(
    history: History,
    stats: TraceStats,
    verdict: Verdict,
    latencies: Mapping[str, Percentiles],
    summary: Mapping[str, Any] | None = None,
) -> None:
    """Print the tables of a run, and the lines that say how it went.

    Args:
        history: the trace's intervals, for the names of call sites.
        stats: the trace's numbers.
        verdict: the oracle's.
        latencies: the run's own times in ns, by what they are of; the trace's are added.
        summary: the run's result, where it has one: its own lines in `summary`, or counts of interrupts and the rest.
    """
    console = report_console()
    print_report(console, stats, verdict, history.trace.symbols, latencies=latencies)
    if summary is not None:
        for line in [*result_lines(summary), *report_hint(summary.get("run_folder"))]:
            console.print(line, markup=False)


def report_hint(folder: str | Path | None) -> list[str]:
    """Return the line that says how to look at a run as a page; none where its folder holds no trace."""
    if folder is None or not (Path(folder) / "trace").is_dir():
        return []
    return [f"as a page: dirql report {shlex.quote(str(folder))}"]


def result_lines(result: Mapping[str, Any]) -> list[str]:
    """Return the lines that say how a run went, by its `result.json`."""
    if "summary" in result:
        return [str(line) for line in result["summary"]]
    if not {"sent", "merged", "trace_records"} <= set(result):
        return [
            f"{name.replace('_', ' ')}: {result[name]}"
            for name in ("experiment", "verdict", "run_folder")
            if name in result
        ]
    rate = result["sent"] / max(result["seconds"], 1e-9)
    return [
        (
            f"interrupts: sent {result['sent']:,}, ISR {result['isr']:,}, acknowledged {result['acknowledged']:,}, "
            f"merged {result['merged']:,}, lost {result['lost']:,}; DPC runs {result['dpc']:,}"
        ),
        (
            f"mode {result['mode']}, {result['cpus']} CPUs, seed {result['seed']}: {rate:,.0f} interrupts/s; "
            f"trace records {result['trace_records']:,}, lost {result['trace_lost']:,}"
        ),
        *(f"note: {note}" for note in result.get("notes", ())),
        f"verdict: {result['verdict']}",
        f"run folder: {result['run_folder']}",
    ]
