# SPDX-License-Identifier: Apache-2.0
"""`dirql report RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command("report")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file. Default: report.html in RUN."
)
@click.option("--open", "wanted", is_flag=True, help="Show it in the browser.")
@click.option(
    "--source",
    "sources",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    help="A folder to look for sources in; repeatable. The current one always counts.",
)
@click.option("--from", "since", metavar="T", help="Timeline and numbers from this time on: 1.5ms, 20us.")
@click.option("--to", "--until", "until", metavar="T", help="Up to this time.")
def report(
    run: Path, out: Path | None, wanted: bool, sources: Sequence[Path], since: str | None, until: str | None
) -> int:
    """Write one HTML file that says how a run went, and shows it: verdict, violations with their sources, timeline.

    RUN is a run's folder. The file needs no network and nothing beside it. Exit status 0 if it was written, whatever
    the verdict is.
    """
    from dirql.report.html.page import write_report
    from dirql.trace.window import parse_time

    path = write_report(
        run,
        out,
        sources=sources,
        since=None if since is None else parse_time(since),
        until=None if until is None else parse_time(until),
    )
    click.echo(path)
    if wanted:
        click.launch(str(path))
    return 0
