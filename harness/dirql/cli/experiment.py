# SPDX-License-Identifier: Apache-2.0
"""What the commands of `dirql run` share: options of a run, its folder, what is printed at its end."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dirql.errors import DirqlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.table import Table

    from dirql.experiments.runfolder import RunFolder

F = TypeVar("F", bound="Callable[..., Any]")


def run_options(function: F) -> F:
    """Add the options that every experiment has."""
    for option in reversed(
        (
            click.option(
                "--out",
                type=click.Path(path_type=Path),
                help="The run's folder: new or empty. Default: one below runs/.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables."),
            click.option("--no-export", is_flag=True, help="Do not draw the picture."),
            click.option("--dry-run", is_flag=True, help="Print the QEMU command line and do nothing."),
        )
    ):
        function = option(function)
    return function


@contextmanager
def keep_folder(name: str, out: Path | None) -> Iterator[RunFolder]:
    """Give the run a folder; if the run fails, write down why, and say where that is.

    Args:
        name: of the experiment.
        out: the folder that was asked for.
    """
    from dirql.experiments.runfolder import RunFolder

    folder = RunFolder(name, out)
    try:
        yield folder
    except DirqlError as error:
        folder.fail(error)
        from dirql.report.run import report_hint

        for line in [f"the run failed; what was recorded is in {folder.path}", *report_hint(folder.path)]:
            click.echo(f"dirql: {line}", err=True)
        raise


def progress_line(what: str, total: int, *, quiet: bool) -> Any:  # noqa: ANN401 (a context manager of a function or None)
    """Return a context manager that gives a progress function: a line on a terminal, None elsewhere."""
    if quiet or not sys.stderr.isatty():
        return nullcontext()
    from dirql.cli.progress import ProgressLine

    return ProgressLine(what, total)


def finish(result: dict[str, Any], tables: Iterable[Table], *, as_json: bool) -> None:
    """Print what came of it.

    Args:
        result: as JSON data, with its `run_folder`.
        tables: for people.
        as_json: print the data instead.
    """
    if as_json:
        import json

        click.echo(json.dumps(result))
        return
    from dirql.report.tables import report_console

    console = report_console()
    for table in tables:
        console.print(table)
    from dirql.report.run import report_hint

    for line in [f"run folder: {result['run_folder']}", *report_hint(result["run_folder"])]:
        console.print(line, markup=False)
