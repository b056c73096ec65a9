# SPDX-License-Identifier: Apache-2.0
"""The `dirql` program."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from dirql.cli.lazy import LazyGroup
from dirql.errors import DirqlError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = {
    "new": "dirql.cli.new:new",
    "build": "dirql.cli.build:build",
    "run-driver": "dirql.cli.run_driver:run_driver",
    "run": "dirql.cli.run:run",
    "clauses": "dirql.cli.clauses:clauses",
    "trace": "dirql.cli.trace:trace",
    "report": "dirql.cli.report:report",
    "top": "dirql.cli.top:top",
    "console": "dirql.cli.console:console",
    "gdb": "dirql.cli.gdb:gdb",
    "exports": "dirql.cli.exports:exports",
    "doctor": "dirql.cli.doctor:doctor",
}
EXIT_ERROR = 2


@click.group(cls=LazyGroup, lazy=_COMMANDS)
@click.version_option(package_name="dirql")
def cli() -> None:
    """Is this kernel code multiprocessor-safe? Boots a small SMP guest, interrupts your driver, judges the trace."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program.

    Exit status: 0 all is well; 1 a verdict that is not, or the guest failed; 2 the request could not be carried out;
    130 interrupted from the keyboard.
    """
    try:
        status = cli.main(args=arguments, prog_name="dirql", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("dirql: interrupted; nothing is left running", err=True)
        sys.exit(130)
    except DirqlError as error:
        from dirql.errors import GuestError

        click.echo(f"dirql: {error}", err=True)
        sys.exit(1 if isinstance(error, GuestError) else EXIT_ERROR)
    sys.exit(status if isinstance(status, int) else 0)
