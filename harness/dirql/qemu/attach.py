# SPDX-License-Identifier: Apache-2.0
"""What a device that Python serves looks like to the machine that carries it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dirql.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dirql.qemu.memory import GuestRam
    from dirql.qemu.pump import Pump
    from dirql.qemu.waits import Watch


def _no_monitor(command: str, arguments: Mapping[str, object]) -> object:
    raise UsageError(f"this machine has no monitor to execute {command} {dict(arguments)}")


@dataclass(frozen=True)
class MachinePorts:
    """What a served device may use of its machine.

    Attributes:
        watch: where its waits meet those of the machine.
        pump: reads its descriptors, if it likes.
        ram: guest RAM, for DMA.
        message: sends a message-signalled interrupt, given its address and data. Not from `reset`, nor while the
            configuration space is read at start: QEMU's main loop waits for the device then.
        monitor: executes a command of QEMU's monitor, given its name and arguments. Not from `start`.
    """

    watch: Watch
    pump: Pump
    ram: GuestRam
    message: Callable[[int, int], None]
    monitor: Callable[[str, Mapping[str, object]], object] = _no_monitor


class PciDevice(Protocol):
    """A device on the machine's PCI bus. Subclass it, or just have its methods.

    The order is: `descriptors` and `arguments` for the command line, `start` as soon as QEMU runs, `close` when QEMU is
    gone.
    """

    def descriptors(self) -> Sequence[int]:
        """Return the descriptors that QEMU inherits. They keep their numbers there, and stay the device's to close."""
        ...

    def arguments(self, fds: Sequence[int]) -> list[str]:
        """Return the device's part of the command line.

        Args:
            fds: the numbers under which QEMU finds `descriptors()`.
        """
        ...

    def start(self, machine: MachinePorts) -> None:
        """Begin to serve. QEMU may be waiting for it; its ends of the descriptors are to be closed here."""
        ...

    def release(self) -> None:
        """Let go of any CPU that is held inside the device: the machine is about to be reset or stopped."""
        ...

    def restore(self) -> None:
        """Go on as before `release`: the machine has been reset or goes on."""
        ...

    def close(self) -> None:
        """Stop serving and give everything back. Safe to call again, and without `start`."""
        ...
