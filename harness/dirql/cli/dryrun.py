# SPDX-License-Identifier: Apache-2.0
"""`--dry-run`: the exact QEMU command line."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dirql.config import MachineConfig
    from dirql.qemu.attach import PciDevice


def print_command(config: MachineConfig, devices: Sequence[PciDevice] = ()) -> None:
    """Print the command line of a machine. Descriptors have the numbers that a fresh process would give them."""
    from dirql.config import dry_run_command

    try:
        click.echo(shlex.join(dry_run_command(config, devices)))
    finally:
        for device in devices:
            device.close()
