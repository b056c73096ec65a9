# SPDX-License-Identifier: Apache-2.0
"""`dirql run dpc-placement`, `irql-latency` and `symmetric-vs-asymmetric`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dirql.cli.experiment import finish, keep_folder, progress_line, run_options
from dirql.cli.options import config_from, machine_options

if TYPE_CHECKING:
    from pathlib import Path

EXIT_FAILED = 1
_MACHINE = ("cpus", "mode", "boot", "ram", "qemu")


def _split(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part the machine's options from the experiment's."""
    machine = {name: values.pop(name) for name in _MACHINE}
    return machine, values


@click.command("dpc-placement", short_help="Where DPCs run under each placement policy, and how soon.")
@machine_options
@click.option("--placement", default="routine,first-available,current", show_default=True, help="Which policies.")
@click.option("--rounds", type=int, default=200, show_default=True, help="Interrupts on each CPU, one at a time.")
@click.option("--busy", type=int, default=400, show_default=True, help="PAUSEs that CPUs stay at DISPATCH_LEVEL.")
@click.option("--rest", type=int, default=100, show_default=True, help="PAUSEs that they stay at PASSIVE_LEVEL.")
@click.option("--work", type=int, default=20, show_default=True, help="PAUSEs of a DPC.")
@run_options
def dpc_placement(
    placement: str,
    out: Path | None,
    as_json: bool,
    no_export: bool,
    dry_run: bool,
    **values: Any,  # noqa: ANN401
) -> int:
    """Run the same interrupts and DPCs under each placement policy, and see where the DPCs run and how soon.

    Each interrupt requests a DpcForIsr (IoRequestDpc) and queues a DPC of the driver's own (KeInsertQueueDpc). Policy
    first-available puts both where the IRQL falls below DISPATCH_LEVEL first, current where they were queued; routine,
    the default of a machine, is first-available for the one and current for the other.
    """
    from dirql.experiments.dpc_placement import NAME, DpcPlacementParameters, run_dpc_placement

    machine, own = _split(values)
    config = config_from(**machine)
    names = tuple(name.strip() for name in placement.split(","))
    parameters = DpcPlacementParameters(placements=names, **own)
    if dry_run:
        return _dry_run(config)
    with keep_folder(NAME, out) as folder, progress_line("policies", len(names), quiet=as_json) as progress:
        result = run_dpc_placement(config, parameters, folder, progress)
    from dirql.report.interrupts import draw_placement, placement_table

    finish(result.to_json(), [placement_table(result)], as_json=as_json)
    if not no_export:
        draw_placement(result, folder.path)
    return 0 if result.passed else EXIT_FAILED


@click.command("irql-latency", short_help="Interrupt to ISR, by IRQL and by what the CPU does.")
@machine_options
@click.option("--count", type=int, default=500, show_default=True, help="Interrupts in each state of the CPU.")
@click.option(
    "--hold", type=int, default=200, show_default=True, help="PAUSEs at the IRQL, before it is lowered again."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the time between interrupts, under icount.")
@run_options
def irql_latency(
    out: Path | None,
    as_json: bool,
    no_export: bool,
    dry_run: bool,
    **values: Any,  # noqa: ANN401
) -> int:
    """Interrupt a CPU from outside while it is idle, busy at each kind of IRQL, or spinning for a lock.

    The interrupt's IRQL is 6; it is sent to CPU 1, and timed from the host's word to the ISR.
    """
    from dirql.experiments.irql_latency import NAME, STATES, IrqlLatencyParameters, run_irql_latency

    machine, own = _split(values)
    config = config_from(**machine)
    parameters = IrqlLatencyParameters(**own)
    if dry_run:
        return _dry_run(config)
    total = len(STATES) * parameters.count
    with keep_folder(NAME, out) as folder, progress_line("interrupts", total, quiet=as_json) as progress:
        result = run_irql_latency(config, parameters, folder, progress)
    from dirql.report.interrupts import draw_latency, latency_rows

    finish(result.to_json(), [latency_rows(result)], as_json=as_json)
    if not no_export:
        draw_latency(result, folder.path)
    return 0 if result.passed else EXIT_FAILED


@click.command("symmetric-vs-asymmetric", short_help="One storm on both interrupt routings.")
@machine_options
@click.option("--count", type=int, default=10_000, show_default=True, help="How many interrupts, each time.")
@click.option("--vectors", type=int, default=4, show_default=True, help="MSI-X vectors, 1 to 64.")
@click.option("--window", type=int, default=1, show_default=True, help="Interrupts of a vector under way at a time.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the order.")
@run_options
def symmetric_vs_asymmetric(
    out: Path | None,
    as_json: bool,
    no_export: bool,
    dry_run: bool,
    **values: Any,  # noqa: ANN401
) -> int:
    """Send the same interrupt storm twice: spread over all CPUs, and all of it to CPU 0.

    Exit status 0 only if both storms are accounted for without a broken rule, and CPU 0 took all of the second.
    """
    from dirql.experiments.routing import NAME, ROUTINGS, run_routing
    from dirql.experiments.storm import StormParameters

    machine, own = _split(values)
    config = config_from(**machine)
    parameters = StormParameters(**own)
    if dry_run:
        return _dry_run(config)
    total = len(ROUTINGS) * parameters.count
    with keep_folder(NAME, out) as folder, progress_line("interrupts", total, quiet=as_json) as progress:
        result = run_routing(config, parameters, folder, progress)
    from dirql.report.interrupts import draw_routing, routing_table, routing_times

    finish(result.to_json(), [routing_table(result), routing_times(result)], as_json=as_json)
    if not no_export:
        draw_routing(result, folder.path)
    return 0 if result.passed else EXIT_FAILED


def _dry_run(config: Any) -> int:  # noqa: ANN401 (its type is imported when it is needed)
    from dirql.cli.dryrun import print_command

    print_command(config, [])
    return 0
