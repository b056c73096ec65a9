# SPDX-License-Identifier: Apache-2.0
"""`dirql run figure-16`, `isr-count`, `up-vs-smp`: what routines of a driver do beside each other on several CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dirql.cli.experiment import finish, keep_folder, progress_line, run_options
from dirql.cli.options import config_from

if TYPE_CHECKING:
    from collections.abc import Sequence
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


@click.command("isr-count", short_help="What an ISR leaves for its DPC: how much a naive driver loses.")
@click.option("--cpus", "counts", default="1,2,4", show_default=True, help="Numbers of CPUs: 1,2,4, or 1..4.")
@click.option("--mode", "modes", default="icount,mt", show_default=True, help="icount, mt, or both.")
@click.option("--rounds", type=int, default=100, show_default=True, help="Operations of each channel.")
@click.option("--channels", type=int, default=8, show_default=True, help="Of the device, 1 to 16, a message each.")
@click.option("--at-once", "bursts", default="1,8", show_default=True, help="How many channels are done at once.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order in which they interrupt.")
@_QEMU
@run_options
def isr_count(
    counts: str,
    modes: str,
    bursts: str,
    qemu: str,
    out: Path | None,
    as_json: bool,
    no_export: bool,
    dry_run: bool,
    **values: Any,  # noqa: ANN401
) -> int:
    """Interrupt naive.sys, without a cure and with either one, and count the reads that it forgets.

    Its ISR leaves what the device said for its DpcForIsr: in the device extension, in the IRP, or behind an
    ISR-augmented count. Exit status 0 only if the two cures lose nothing and no rule was broken.
    """
    from dirql.devices.ivshmem import Doorbell
    from dirql.experiments.isr_count import NAME, SHARED_BYTES, IsrCountParameters, run_isr_count
    from dirql.experiments.series import parse_counts

    names: Any = tuple(name.strip() for name in modes.split(","))
    parameters = IsrCountParameters(cpus=parse_counts(counts), modes=names, at_once=parse_counts(bursts), **values)
    config = config_from(cpus=max(parameters.cpus), mode=names[0], boot="rom", ram=64, qemu=qemu)
    if dry_run:
        return _dry_run(config, [Doorbell(vectors=parameters.channels, memory_bytes=SHARED_BYTES)])
    total = len(parameters.cpus) * len(parameters.modes) * len(parameters.at_once) * 3
    with keep_folder(NAME, out) as folder, progress_line("drivers", total, quiet=as_json) as progress:
        result = run_isr_count(config, parameters, folder, progress)
    from dirql.report.isr_count import draw_isr_count, isr_count_table

    finish(result.to_json(), [isr_count_table(result)], as_json=as_json)
    if not no_export:
        draw_isr_count(result, folder.path)
    return 0 if result.passed else EXIT_FAILED


@click.command("up-vs-smp", short_help="One binary on one CPU and on many: what overlaps, what it costs.")
@click.option("--cpus", "counts", default="1,2,4", show_default=True, help="Numbers of CPUs: 1,2,4, or 1..4.")
@click.option("--mode", "modes", default="icount,mt", show_default=True, help="icount, mt, or both.")
@click.option("--requests", type=int, default=2000, show_default=True, help="Of all clients, at each point.")
@click.option("--clients", type=int, default=4, show_default=True, help="Threads that send requests, 1 to 16.")
@click.option("--work", type=int, default=20, show_default=True, help="PAUSEs of each routine.")
@_QEMU
@run_options
def up_vs_smp(
    counts: str,
    modes: str,
    qemu: str,
    out: Path | None,
    as_json: bool,
    no_export: bool,
    dry_run: bool,
    **values: Any,  # noqa: ANN401
) -> int:
    """Give one driver the same load on one CPU and on many, and see what runs beside what and what it costs.

    Exit status 0 only if every request came back with its own result, no rule was broken, and nothing ran beside
    anything on one CPU.
    """
    from dirql.experiments.series import parse_counts
    from dirql.experiments.up_vs_smp import NAME, UpVsSmpParameters, run_up_vs_smp

    names: Any = tuple(name.strip() for name in modes.split(","))
    parameters = UpVsSmpParameters(cpus=parse_counts(counts), modes=names, **values)
    config = config_from(cpus=max(parameters.cpus), mode=names[0], boot="rom", ram=64, qemu=qemu)
    if dry_run:
        return _dry_run(config)
    total = len(parameters.cpus) * len(parameters.modes)
    with keep_folder(NAME, out) as folder, progress_line("points", total, quiet=as_json) as progress:
        result = run_up_vs_smp(config, parameters, folder, progress)
    from dirql.report.up_vs_smp import cost_table, draw_up_vs_smp, overlap_table

    finish(result.to_json(), [overlap_table(result), cost_table(result)], as_json=as_json)
    if not no_export:
        draw_up_vs_smp(result, folder.path)
    return 0 if result.passed else EXIT_FAILED


def _dry_run(config: Any, devices: Sequence[Any] = ()) -> int:  # noqa: ANN401 (types are imported when they are needed)
    from dirql.cli.dryrun import print_command

    print_command(config, list(devices))
    return 0
