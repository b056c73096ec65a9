# SPDX-License-Identifier: Apache-2.0
"""`dirql trace summary RUN`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dirql.cli.window import window_from, window_options


@click.command("summary")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@window_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option(
    "--violations", type=click.IntRange(0), default=10, show_default=True, help="Describe as many of them at most."
)
@click.option("--strict-budgets", is_flag=True, help="A lock, DPC or ISR over its budget is a violation, no warning.")
@click.option("--export", "wanted", is_flag=True, help="Write the picture, the Perfetto and the Parquet file anew.")
def summary(
    run: Path,
    as_json: bool,
    violations: int,
    strict_budgets: bool,
    wanted: bool,
    **filters: Any,  # noqa: ANN401 (the options)
) -> int:
    """Open the folder of a run again: judge its trace and print its tables.

    CPUs, interrupts, DPCs, locks, threads, IRPs, latencies, the verdict, and violations with their lines of source.
    Of a part of the time, of some CPUs or IRQLs, what began there counts; the verdict is that of the whole trace.
    With --class or --event only the tables about these are printed.

    Exit status 0 if no rule was broken, as far as the trace tells.
    """
    from dirql.report.run import export, result_lines
    from dirql.report.summary import print_summary, summary_json
    from dirql.report.tables import report_console
    from dirql.trace.events import EVENT_CLASSES, events_of
    from dirql.trace.folder import load
    from dirql.trace.history.history import History
    from dirql.trace.oracle import Budgets, Status, judge
    from dirql.trace.stats.part import Part
    from dirql.trace.stats.summary import statistics

    result = run / "result.json"
    told = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
    window = window_from(**filters)
    named = {
        "classes": [name for name in filters["classes"] if name in EVENT_CLASSES],
        "events": events_of(filters["events"]),
    }
    trace = load(run)
    history = History(trace)
    part = Part.within(trace, window)
    verdict = judge(trace, history=history, budgets=Budgets(strict=strict_budgets))
    stats = statistics(history, part)
    if as_json:
        click.echo(json.dumps({"run": str(run)} | summary_json(trace, stats, verdict, part, **named)))
    else:
        console = report_console()
        print_summary(console, trace, stats, verdict, part, violations=violations, **named)
        for line in result_lines(told) if told else [f"verdict: {verdict.status}"]:
            console.print(line, markup=False)
    if wanted:
        export(history, verdict, run, told.get("experiment", run.name))
    return 1 if verdict.status is Status.VIOLATED else 0
