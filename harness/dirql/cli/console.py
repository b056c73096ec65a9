# SPDX-License-Identifier: Apache-2.0
"""`dirql console`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dirql.cli.options import config_from, machine_options


@click.command("console")
@machine_options
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep the logs in this folder.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the guest may be silent within a command that comes from a pipe.",
)
def console(folder: Path | None, timeout: float, **machine: Any) -> int:  # noqa: ANN401 (the values of machine_options)
    """Boot and attach to the serial console; `help` there lists its commands. Ctrl-D ends the machine.

    If standard input is not a terminal, each line is a command and the guest's answers are printed plain.
    """
    from dirql.debug.console import run_console

    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return run_console(config_from(**machine), folder=folder, timeout=timeout)
