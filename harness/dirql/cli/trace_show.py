# SPDX-License-Identifier: Apache-2.0
"""`dirql trace show RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dirql.cli.window import window_from, window_options


@click.command("show")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@window_options
@click.option(
    "--around", metavar="WHAT", help="Show what happened around a record (its number) or a violation (v1, v2, ...)."
)
@click.option("--span", metavar="T", help="With --around: how much time to show. Default: what is near.")
@click.option("--width", type=click.IntRange(40, 1000), help="Characters of a line. Default: the terminal's.")
@click.option("--list", "as_list", is_flag=True, help="Print the records as lines instead of a timeline.")
@click.option(
    "--follow", type=int, metavar="RECORD", help="List only records about the same lock, DPC, IRP, ... as this one."
)
def show(
    run: Path,
    around: str | None,
    span: str | None,
    width: int | None,
    as_list: bool,
    follow: int | None,
    **filters: Any,  # noqa: ANN401 (the options)
) -> None:
    """Show a trace in the terminal: a lane for each CPU with its IRQL and what runs, violations marked.

    Without --from, --to and --around it is a stretch that shows something: the first violation, if there is one;
    --from 0 shows all. --event and --class count records in a line below each lane. With --list the records of the
    stretch, or of the whole trace, are printed one by one; on a terminal through a pager.
    """
    from dirql.report.show import Looking

    as_list = as_list or follow is not None
    timed = filters["since"] is not None or filters["until"] is not None
    window = window_from(**filters)
    looking = Looking.at(run, window, around=around, span=span, follow=follow, whole=as_list or timed)
    if as_list:
        looking.print_records()
    else:
        looking.print_lanes(width)
