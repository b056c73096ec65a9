# SPDX-License-Identifier: Apache-2.0
"""One Injector, several routes into the guest. A device's own interrupts go through the device (`Doorbell.ring`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.errors import UsageError

if TYPE_CHECKING:
    from dirql.qemu.session import QemuSession

FIRST_VECTOR = 0x10
LAST_VECTOR = 0xFF
IOAPIC_PINS = 24


class Injector:
    """Interrupts a machine.

    Args:
        session: the machine.
    """

    def __init__(self, session: QemuSession) -> None:
        self._session = session

    def vector(self, cpu: int, vector: int) -> None:
        """Send a vector to a CPU, as a message-signalled interrupt would. It is pending there when this returns.

        A vector that is already pending there stays one interrupt: wait for its acknowledgement before the next.

        Args:
            cpu: CPU number, which is its APIC id.
            vector: 0x10 to 0xFF (Intel SDM 3, 6.3.2: lower ones are not for interrupts).

        Raises:
            UsageError: there is no such CPU or vector.
            MachineLost: QEMU ended.
        """
        if not FIRST_VECTOR <= vector <= LAST_VECTOR:
            raise UsageError(f"interrupt vectors are {FIRST_VECTOR:#x} to {LAST_VECTOR:#x}, not {vector:#x}")
        self._session.qtest.msi(self._checked(cpu), vector)

    def nmi(self, cpu: int) -> None:
        """Send an NMI to one CPU. Raises as `vector`."""
        self._session.qtest.nmi(self._checked(cpu))

    def nmi_all(self) -> None:
        """Send an NMI to every CPU, by each one's LINT1, as an NMI button does.

        Raises:
            MachineLost: QEMU ended.
        """
        self._session.qmp.execute("inject-nmi")

    def line(self, pin: int, *, raised: bool) -> None:
        """Raise or lower a line into the I/O APIC. A level-sensitive line interrupts until it is lowered.

        Args:
            pin: 0 to 23.
            raised: whether the device asks for an interrupt.

        Raises:
            UsageError: there is no such pin.
            MachineLost: QEMU ended.
        """
        if not 0 <= pin < IOAPIC_PINS:
            raise UsageError(f"the I/O APIC has pins 0 to {IOAPIC_PINS - 1}; there is no pin {pin}")
        self._session.qtest.set_irq_in(pin, int(raised))

    def _checked(self, cpu: int) -> int:
        if not 0 <= cpu < self._session.config.cpus:
            raise UsageError(f"this machine has CPUs 0 to {self._session.config.cpus - 1}; there is no CPU {cpu}")
        return cpu
