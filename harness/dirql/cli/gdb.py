# SPDX-License-Identifier: Apache-2.0
"""`dirql gdb`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dirql.cli.options import config_from, machine_options


@click.command("gdb")
@machine_options
@click.option("--driver", "drivers", multiple=True, metavar="X.SYS", help="Load this driver; may be given again.")
@click.option("--stopped", is_flag=True, help="Stop before the first instruction; drivers load when the guest is up.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the guest's console and QEMU's logs go.  [default: a new one in runs/]",
)
@click.option("--ex", "commands", multiple=True, metavar="COMMAND", help="A gdb command to begin with.")
def gdb(
    drivers: tuple[str, ...],
    stopped: bool,
    folder: Path | None,
    commands: tuple[str, ...],
    **machine: Any,  # noqa: ANN401 (the values of machine_options)
) -> int:
    """Boot under gdb, every CPU a thread in it, with the symbols of the kernel and the drivers."""
    import os
    import time

    from dirql.debug.gdb import debug

    where = folder or Path("runs") / f"gdb-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    return debug(config_from(**machine), drivers, stopped=stopped, folder=where, commands=commands, say=click.echo)
