# SPDX-License-Identifier: Apache-2.0
"""`dirql run lock-scaling`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dirql.cli.experiment import finish, keep_folder, progress_line, run_options
from dirql.cli.options import config_from

if TYPE_CHECKING:
    from pathlib import Path


@click.command("lock-scaling", short_help="1 to 8 CPUs fight for one lock, of four kinds.")
@click.option("--cpus", "counts", default="1..8", show_default=True, help="Numbers of CPUs: 1..8, or 1,2,4.")
@click.option(
    "--lock",
    "locks",
    default="executive,queued,ticket,ttas",
    show_default=True,
    help="Which locks. ticket and ttas (test-and-test-and-set) are the experiment's own, for comparison.",
)
@click.option(
    "--mode",
    type=click.Choice(["mt", "icount"]),
    default="mt",
    show_default=True,
    help="mt: contention as the host's cores make it; icount: virtual time, comparable figures, the same in every run.",
)
@click.option("--acquisitions", type=int, default=20_000, show_default=True, help="At each point, of all CPUs.")
@click.option("--hold", type=int, default=4, show_default=True, help="Most PAUSEs with the lock held.")
@click.option("--think", type=int, default=16, show_default=True, help="Most PAUSEs between two requests.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the PAUSEs that are drawn.")
@click.option(
    "--seconds", type=float, default=0.5, show_default=True, help="A point ends after this time at the latest."
)
@click.option("--qemu", default="qemu-system-x86_64", show_default=True, help="QEMU to use.")
@run_options
def lock_scaling(
    counts: str,
    locks: str,
    mode: str,
    qemu: str,
    out: Path | None,
    as_json: bool,
    no_export: bool,
    dry_run: bool,
    **values: Any,  # noqa: ANN401
) -> int:
    """Let CPUs fight for one lock, with more and more of them, for one kind of lock after another.

    For each point: acquisitions of each CPU and Jain's fairness index of them, time, spins and (icount) instructions
    per acquisition, and from a second, traced run who followed whom and how often a waiter was overtaken (bypassed).
    """
    from dirql.experiments.lock_scaling import NAME, LockScalingParameters, run_lock_scaling
    from dirql.experiments.series import parse_counts

    names = tuple(name.strip() for name in locks.split(","))
    parameters = LockScalingParameters(cpus=parse_counts(counts), locks=names, **values)
    config = config_from(cpus=max(parameters.cpus), mode=mode, boot="rom", ram=64, qemu=qemu)
    if dry_run:
        from dirql.cli.dryrun import print_command

        print_command(config, [])
        return 0
    points = len(parameters.cpus) * len(names)
    with keep_folder(NAME, out) as folder, progress_line("points", points, quiet=as_json) as progress:
        result = run_lock_scaling(config, parameters, folder, progress)
    from dirql.report.lock_scaling import draw_lock_scaling, lock_table

    finish(result.to_json(), [lock_table(result)], as_json=as_json)
    if not no_export:
        draw_lock_scaling(result, folder.path)
    return 0
