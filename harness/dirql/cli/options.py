# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.config import MachineConfig

F = TypeVar("F", bound="Callable[..., Any]")

_MIB = 1 << 20


def machine_options(function: F) -> F:
    """Add what describes a machine. `config_from` takes the values and checks their ranges."""
    for option in reversed(
        (
            click.option("--cpus", type=int, default=4, show_default=True, help="How many CPUs, 1 to 64."),
            click.option(
                "--mode",
                type=click.Choice(["mt", "icount", "kvm"]),
                default="mt",
                show_default=True,
                help="mt: a host thread per CPU; icount: virtual time, the same in every run; kvm: the host's CPUs.",
            ),
            click.option(
                "--boot",
                type=click.Choice(["rom", "bios"]),
                default="rom",
                show_default=True,
                help="rom: dirql's own firmware; bios: QEMU's stock BIOS.",
            ),
            click.option("--ram", type=int, default=64, show_default=True, metavar="MIB", help="Guest RAM in MiB."),
            click.option("--qemu", default="qemu-system-x86_64", show_default=True, help="QEMU to use."),
        )
    ):
        function = option(function)
    return function


def trace_options(function: F) -> F:
    """Add what is recorded, and what a recording stops on. `recording_from` takes the values."""
    for option in reversed(
        (
            click.option(
                "--trace-class", "only", multiple=True, metavar="NAME", help="Record this class of events; repeatable."
            ),
            click.option(
                "--no-trace-class", "without", multiple=True, metavar="NAME", help="Do not record this class of events."
            ),
            click.option(
                "--trace-records",
                type=int,
                default=0,
                metavar="N",
                help="Records in each CPU's ring.",
            ),
            click.option(
                "--stop-on",
                multiple=True,
                metavar="CONDITION",
                help="Stop recording on violation[:CLAUSE], hold>25us, address:SYMBOL, event:NAME[:VALUE].",
            ),
            click.option(
                "--after", default="0", show_default=True, metavar="N|TIME", help="Record so much more, as 1000 or 2ms."
            ),
            click.option("--last", type=int, metavar="N", help="Keep only the last N records of each CPU."),
        )
    ):
        function = option(function)
    return function


def recording_from(values: dict[str, Any]) -> dict[str, Any]:
    """Take the values of `trace_options` out of `values` and return what they are for `config_from`.

    Raises:
        UsageError: a value is out of range.
    """
    from dirql.recordingoptions import RecordingOptions
    from dirql.trace.events import ALWAYS, EVENT_CLASSES, events_of

    only, without = values.pop("only"), values.pop("without")
    last = values.pop("last")
    chosen: tuple[str, ...] | None = None
    if only or without:
        left_out = set(events_of(without))
        chosen = tuple(name for name in events_of(only or EVENT_CLASSES) if name not in left_out)
        chosen = (*chosen, *EVENT_CLASSES[ALWAYS])
    return {
        "trace_classes": chosen,
        "trace_records": values.pop("trace_records"),
        "overwrite": last is not None,
        "recording": RecordingOptions(stop_on=values.pop("stop_on"), after=values.pop("after"), last=last),
    }


def config_from(*, cpus: int, mode: str, boot: str, ram: int, qemu: str, **more: Any) -> MachineConfig:  # noqa: ANN401
    """Return the machine that the options describe.

    Args:
        cpus: how many.
        mode: `mt`, `icount` or `kvm`.
        boot: `rom` or `bios`.
        ram: MiB.
        qemu: path or name.
        more: further fields of `MachineConfig`.

    Raises:
        UsageError: a value is out of range.
    """
    from dirql.config import MachineConfig

    config = MachineConfig(cpus=cpus, mode=mode, boot=boot, ram_bytes=ram * _MIB, qemu=qemu, **more)  # type: ignore[arg-type]
    config.check()
    return config
