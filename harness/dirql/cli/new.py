# SPDX-License-Identifier: Apache-2.0
"""`dirql new driver NAME`."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("new", short_help="Begin something of your own.")
def new() -> None:
    """Begin something of your own."""


@new.command("driver", short_help="A WDM driver with a test, to begin with.")
@click.argument("name")
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), default=".", help="Where the folder NAME is made."
)
def driver(name: str, into: Path) -> int:
    """Make a folder NAME: a small, complete WDM driver for the doorbell device, a pytest file and a page about them."""
    from dirql.driverkit.new import new_driver

    made = new_driver(name, into)
    for path in made:
        click.echo(path)
    click.echo(f"\nnext: cd {made[0].parent}; dirql build {name}.c; dirql run-driver {name}.sys; pytest")
    return 0
