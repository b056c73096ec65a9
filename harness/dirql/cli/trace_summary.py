# SPDX-License-Identifier: Apache-2.0
"""`dirql trace summary RUN`."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("summary")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--export", "wanted", is_flag=True, help="Write the Perfetto file and the picture anew.")
def summary(run: Path, wanted: bool) -> int:
    """Open the folder of a run again: judge its trace and print its tables.

    Exit status 0 if no rule was broken, as far as the trace tells.
    """
    from dirql.report.run import export, print_run
    from dirql.trace.folder import load
    from dirql.trace.history import History
    from dirql.trace.oracle import Status, judge
    from dirql.trace.stats import statistics

    trace = load(run)
    history = History(trace)
    verdict = judge(trace, history=history)
    result = run / "result.json"
    told = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else None
    print_run(history, statistics(history), verdict, {}, told)
    if wanted:
        export(history, verdict, run, told["experiment"] if told else run.name)
    return 1 if verdict.status is Status.VIOLATED else 0
