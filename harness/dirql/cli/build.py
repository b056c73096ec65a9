# SPDX-License-Identifier: Apache-2.0
"""`dirql build FILE.c ... | DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dirql.errors import DirqlError

_EXTRA = "dirql.cli.build.extra"


class _WithExtra(click.Command):
    """A command whose arguments behind `--` are kept apart: they are the compiler's, whatever they look like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take what follows `--` away from the arguments."""
        cut = args.index("--") if "--" in args else len(args)
        ctx.meta[_EXTRA] = args[cut + 1 :]
        return super().parse_args(ctx, args[:cut])


@click.command("build", cls=_WithExtra, short_help="Build a driver from C sources.")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The image. Default: NAME.sys in this folder.")
@click.option("-I", "includes", multiple=True, type=click.Path(path_type=Path), help="A further folder of headers.")
@click.option("-D", "defines", multiple=True, metavar="NAME[=VALUE]", help="Define a macro.")
@click.option("--verbose", is_flag=True, help="Show the commands.")
@click.pass_context
def build(
    ctx: click.Context,
    sources: tuple[Path, ...],
    output: Path | None,
    includes: tuple[Path, ...],
    defines: tuple[str, ...],
    verbose: bool,
) -> int:
    r"""Build SOURCES, C files or one folder of them, into a driver with debug information.

    \b
    dirql build FILE.c... [OPTIONS] [-- COMPILER OPTIONS]
    dirql build FOLDER

    The flags are those that dirql's own drivers are built with. In a folder every C file counts, and headers are found
    in it and in its `inc` and `include`.
    """
    from dirql.driverkit.build import build_driver, find_sources

    found = find_sources(sources)
    for left in found.left:
        click.echo(f"dirql: {left} is not compiled: a driver is built from its C files", err=True)
    output = output or Path(f"{found.name}.sys")
    build_driver(
        found,
        output,
        includes=includes,
        defines=defines,
        extra=[*(["-fdiagnostics-color=always"] if sys.stderr.isatty() else []), *ctx.meta[_EXTRA]],
        told=lambda text: click.echo(text, nl=False, err=True),
        commands=(lambda text: click.echo(text)) if verbose else None,
    )
    click.echo(f"{output}: {output.stat().st_size:,} bytes")
    _say_what_is_missing(output)
    return 0


def _say_what_is_missing(output: Path) -> None:
    from dirql.guest import artifacts
    from dirql.guest.image import DriverImage, KernelImage

    try:
        DriverImage(output).require_imports(KernelImage(artifacts.kernel()))
    except DirqlError as error:
        click.echo(f"dirql: it is built, but will not load: {error}", err=True)
