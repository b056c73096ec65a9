# SPDX-License-Identifier: Apache-2.0
"""`dirql run figure-16`: what routines of a driver do beside each other on several CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dirql.cli.experiment import finish, keep_folder, progress_line, run_options
from dirql.cli.options import config_from

if TYPE_CHECKING:
    from pathlib import Path

EXIT_FAILED = 1

_MODE = click.option(
    "--mode",
    type=click.Choice(["mt", "icount"]),
    default="icount",
    show_default=True,
    help="mt: a host thread per CPU; icount: virtual time, the same in every run.",
)
_QEMU = click.option("--qemu", default="qemu-system-x86_64", show_default=True, help="QEMU to use.")


@click.command("figure-16", short_help="ISR, StartIo and DpcForIsr at one lock, on three CPUs, step by step.")
@click.option("--cpus", type=int, default=3, show_default=True, help="CPUs, at least 3; those from the fourth on wait.")
@_MODE
@click.option("--rounds", type=int, default=10, show_default=True, help="How often each of the two orders is played.")
@_QEMU
@run_options
def figure_16(
    cpus: int,
    mode: str,
    qemu: str,
    out: Path | None,
    as_json: bool,
    no_export: bool,
    dry_run: bool,
    **values: Any,  # noqa: ANN401
) -> int:
    """Play the figure of "Using Spin Locks: An Example" in both orders of its third step, and prove each step.

    The ISR runs on CPU 0, StartIo on CPU 1, DpcForIsr on CPU 2; they share what the interrupt spin lock guards. Exit
    status 0 only if the trace shows every fact in every round and the oracle finds all rules kept.
    """
    from dirql.experiments.figure_16 import NAME, Figure16Parameters, run_figure_16

    config = config_from(cpus=cpus, mode=mode, boot="rom", ram=64, qemu=qemu)
    parameters = Figure16Parameters(**values)
    if dry_run:
        return _dry_run(config)
    total = 2 * parameters.rounds
    with keep_folder(NAME, out) as folder, progress_line("rounds", total, quiet=as_json) as progress:
        result = run_figure_16(config, parameters, folder, progress)
    from dirql.report.figure_16 import draw_figure, figure_table, owners_table

    finish(result.to_json(), [figure_table(result), owners_table(result)], as_json=as_json)
    if not no_export:
        draw_figure(result, folder.path)
    return 0 if result.passed else EXIT_FAILED


def _dry_run(config: Any) -> int:  # noqa: ANN401 (its type is imported when it is needed)
    from dirql.cli.dryrun import print_command

    print_command(config, [])
    return 0
