# SPDX-License-Identifier: Apache-2.0
"""`dirql run scheduler` and `dpc-vs-workitem`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dirql.cli.experiment import finish, keep_folder, progress_line, run_options
from dirql.cli.options import config_from, machine_options

if TYPE_CHECKING:
    from pathlib import Path

EXIT_FAILED = 1


@click.command("scheduler", short_help="Who runs where among threads of different priorities; preemption latency.")
@machine_options
@click.option("--milliseconds", type=int, default=200, show_default=True, help="How long the load lasts.")
@click.option("--rounds", type=int, default=200, show_default=True, help="Events set for each kind of preemption.")
@run_options
def scheduler(
    milliseconds: int,
    rounds: int,
    out: Path | None,
    as_json: bool,
    no_export: bool,
    dry_run: bool,
    **machine: Any,  # noqa: ANN401
) -> int:
    """Let threads of different priorities and affinities compete, and time how soon an event's waiter preempts.

    Exit status 0 only if the oracle finds no rule broken.
    """
    from dirql.experiments.scheduler import NAME, SchedulerParameters, run_scheduler

    config = config_from(**machine)
    parameters = SchedulerParameters(milliseconds=milliseconds, rounds=rounds)
    if dry_run:
        return _dry_run(config)
    with keep_folder(NAME, out) as folder, progress_line("parts", 2, quiet=as_json) as progress:
        result = run_scheduler(config, parameters, folder, progress)
    from dirql.report.threads import draw_scheduler, preemption_table, thread_table

    finish(result.to_json(), [thread_table(result), preemption_table(result)], as_json=as_json)
    if not no_export:
        draw_scheduler(result, folder.path)
    return 0 if result.passed else EXIT_FAILED


@click.command("dpc-vs-workitem", short_help="What deferring costs: DPC, threaded DPC, work item, thread.")
@machine_options
@click.option("--rounds", type=int, default=500, show_default=True, help="How often each kind is deferred to.")
@run_options
def dpc_vs_workitem(
    rounds: int,
    out: Path | None,
    as_json: bool,
    no_export: bool,
    dry_run: bool,
    **machine: Any,  # noqa: ANN401
) -> int:
    """Have a routine called later in each way there is, one at a time, and time call and routine.

    Under icount the figures are instructions, exactly; in mt they are microseconds.
    """
    from dirql.experiments.deferral import KINDS, NAME, DeferralParameters, run_deferral

    config = config_from(**machine)
    parameters = DeferralParameters(rounds=rounds)
    if dry_run:
        return _dry_run(config)
    with keep_folder(NAME, out) as folder, progress_line("kinds", len(KINDS), quiet=as_json) as progress:
        result = run_deferral(config, parameters, folder, progress)
    from dirql.report.threads import deferral_table, draw_deferral

    finish(result.to_json(), [deferral_table(result)], as_json=as_json)
    if not no_export:
        draw_deferral(result, folder.path)
    return 0


def _dry_run(config: Any) -> int:  # noqa: ANN401 (its type is imported when it is needed)
    from dirql.cli.dryrun import print_command

    print_command(config, [])
    return 0
