# SPDX-License-Identifier: Apache-2.0
"""`dirql run timer-accuracy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dirql.cli.experiment import finish, keep_folder, progress_line, run_options
from dirql.cli.options import config_from, machine_options
from dirql.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

EXIT_FAILED = 1
_MACHINE = ("cpus", "mode", "boot", "ram", "qemu")


@click.command("timer-accuracy", short_help="When timers fire, by kind and clock tick.")
@machine_options
@click.option("--ticks", default="15625,5000,1000,500", show_default=True, help="Clock periods, in µs.")
@click.option("--count", type=int, default=200, show_default=True, help="Timers of each kind at each period.")
@click.option("--longest", type=int, default=5, show_default=True, help="The longest due time, in clock periods.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of due times and points of the tick.")
@run_options
def timer_accuracy(
    ticks: str,
    out: Path | None,
    as_json: bool,
    no_export: bool,
    dry_run: bool,
    **values: Any,  # noqa: ANN401
) -> int:
    """Set relative, absolute and periodic timers and see how far from their due times they fire.

    Exit status 0 only if no absolute timer was early and, in virtual time, none was further off than documented.
    """
    from dirql.experiments.timer_accuracy import KINDS, NAME, TimerAccuracyParameters, run_timer_accuracy

    config = config_from(**{name: values.pop(name) for name in _MACHINE})
    parameters = TimerAccuracyParameters(ticks=_numbers(ticks), **values)
    if dry_run:
        from dirql.cli.dryrun import print_command

        print_command(config, [])
        return 0
    total = len(parameters.ticks) * len(KINDS)
    with keep_folder(NAME, out) as folder, progress_line("kinds", total, quiet=as_json) as progress:
        result = run_timer_accuracy(config, parameters, folder, progress)
    from dirql.report.timers import accuracy_table, draw_accuracy

    finish(result.to_json(), [accuracy_table(result)], as_json=as_json)
    if not no_export:
        draw_accuracy(result, folder.path)
    return 0 if result.passed else EXIT_FAILED


def _numbers(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"clock periods are written as 15625,1000, in µs; {text!r} is not")
    return tuple(int(part) for part in parts)
