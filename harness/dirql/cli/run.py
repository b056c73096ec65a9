# SPDX-License-Identifier: Apache-2.0
"""`dirql run EXPERIMENT`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dirql.cli.experiment import keep_folder, progress_line
from dirql.cli.options import config_from, machine_options, recording_from, trace_options
from dirql.cli.run_interrupts import dpc_placement, irql_latency, symmetric_vs_asymmetric
from dirql.cli.run_locks import lock_scaling
from dirql.cli.run_smp import figure_16, isr_count, up_vs_smp
from dirql.cli.run_threads import dpc_vs_workitem, scheduler
from dirql.cli.run_timers import timer_accuracy

EXIT_FAILED = 1


@click.group("run")
def run() -> None:
    """Run an experiment: boot, measure, judge, report."""


@run.command("interrupt-storm", short_help="Interrupts on all CPUs, all accounted for and judged.")
@machine_options
@trace_options
@click.option("--count", type=int, default=10_000, show_default=True, help="How many interrupts.")
@click.option("--vectors", type=int, default=4, show_default=True, help="MSI-X vectors, 1 to 64, spread over the CPUs.")
@click.option("--window", type=int, default=1, show_default=True, help="Interrupts of a vector under way at a time.")
@click.option("--lock-per-vector", is_flag=True, help="An interrupt spin lock for each vector, not one for all.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the order (and, under icount, of the run)."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="The run's folder: new or empty. Default: one below runs/."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--no-export", is_flag=True, help="Do not write the picture, the Perfetto and the Parquet file.")
@click.option("--dry-run", is_flag=True, help="Print the QEMU command line and do nothing.")
def interrupt_storm(
    count: int,
    vectors: int,
    window: int,
    lock_per_vector: bool,
    seed: int,
    out: Path | None,
    as_json: bool,
    no_export: bool,
    dry_run: bool,
    **values: Any,  # noqa: ANN401
) -> int:
    """Interrupt doorbell.sys from outside on all CPUs, account for every interrupt, judge the trace.

    Exit status 0 only if every interrupt is accounted for and no rule was broken.
    """
    from dirql.experiments.storm import StormParameters

    recording = recording_from(values)
    config = config_from(**values, **recording)
    parameters = StormParameters(
        count=count, vectors=vectors, seed=seed, window=window, lock_per_vector=lock_per_vector
    )
    if dry_run:
        from dirql.cli.dryrun import print_command
        from dirql.devices.ivshmem import Doorbell
        from dirql.experiments.interrupt_storm import SHARED_BYTES

        print_command(config, [Doorbell(vectors=vectors, memory_bytes=SHARED_BYTES)])
        return 0
    from dirql.experiments.interrupt_storm import NAME, run_storm

    with keep_folder(NAME, out) as folder, progress_line("interrupts", count, quiet=as_json) as progress:
        result = run_storm(config, parameters, folder, progress)
    if as_json:
        import json

        click.echo(json.dumps(result.to_json()))
    else:
        from dirql.report.run import print_run

        times = {"sent to ISR": "host_to_isr", "ISR to DPC": "isr_to_dpc", "sent to DPC": "host_to_dpc"}
        shown = {name: result.latencies[key] for name, key in times.items()}
        print_run(result.history, result.stats, result.verdict, shown, result.to_json())
    if not no_export:  # last: the answer is on the screen while the picture is drawn
        from dirql.report.run import export

        export(result.history, result.verdict, folder.path, NAME)
    return 0 if result.passed else EXIT_FAILED


for command in (
    lock_scaling,
    dpc_placement,
    irql_latency,
    symmetric_vs_asymmetric,
    timer_accuracy,
    scheduler,
    dpc_vs_workitem,
    figure_16,
    isr_count,
    up_vs_smp,
):
    run.add_command(command)
