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
