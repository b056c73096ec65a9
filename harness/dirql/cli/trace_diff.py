# SPDX-License-Identifier: Apache-2.0
"""`dirql trace diff A B`."""

from __future__ import annotations

import json
from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("diff")
@click.argument("before", metavar="A", type=_FOLDER)
@click.argument("after", metavar="B", type=_FOLDER)
@click.option("--all", "everything", is_flag=True, help="Print also what is the same in both.")
@click.option(
    "--events-only", is_flag=True, help="Compare events, CPUs and IRQLs, not arguments: other builds' differ."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def diff(before: Path, after: Path, everything: bool, events_only: bool, as_json: bool) -> int:
    """Compare the runs of two folders: counts, locks, latencies, verdicts, and where the streams of events part.

    Streams are compared between runs in virtual time (icount), which replay exactly. Exit status 0 if B is judged as A
    is, or better; 1 if it breaks a rule that A kept, or no longer shows that all were kept.
    """
    from dirql.trace.folder import load
    from dirql.trace.history.history import History
    from dirql.trace.oracle import judge
    from dirql.trace.stats.diff import compare
    from dirql.trace.stats.summary import statistics

    histories = [History(load(run)) for run in (before, after)]
    first, second = histories
    found = compare(
        (first.trace, second.trace),
        (statistics(first), statistics(second)),
        (judge(first.trace, history=first), judge(second.trace, history=second)),
        arguments=not events_only,
    )
    if as_json:
        click.echo(json.dumps({"a": str(before), "b": str(after)} | found.to_json()))
    else:
        from dirql.report.diff import print_comparison
        from dirql.report.tables import report_console

        print_comparison(report_console(), found, (str(before), str(after)), everything=everything)
    return 1 if found.worse else 0
