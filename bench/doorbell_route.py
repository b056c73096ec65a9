# SPDX-License-Identifier: Apache-2.0
"""doorbell.sys interrupted by two routes: the device's own eventfds, or the same MSI-X messages sent by qtest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.devices.ivshmem import DEVICE_ID, VENDOR_ID
from dirql.errors import ProtocolError
from dirql.experiments.doorbell import DoorbellLine

if TYPE_CHECKING:
    from dirql.devices.ivshmem import Doorbell
    from dirql.machine import Machine

# The device's BAR1 starts with its MSI-X table (QEMU's documentation, "Device Specification for Inter-VM shared memory
# device"); an entry is message address, upper address, data, vector control (PCI specification 3.0, 6.8.2).
_TABLE_BAR = 1
_ENTRY_BYTES = 16
_ADDRESS, _UPPER, _DATA = 0, 4, 8


class TwoRouteLine(DoorbellLine):
    """A doorbell whose interrupts go by one of two routes. The driver cannot tell them apart.

    Its counts of acknowledged interrupts begin anew with `begin`, so that one line serves many storms.

    Args:
        machine: the machine.
        doorbell: its doorbell device.

    Attributes:
        by_qtest: whether qtest sends the messages, and not the device.
    """

    def __init__(self, machine: Machine, doorbell: Doorbell) -> None:
        super().__init__(machine, doorbell)
        self.by_qtest = False
        self._before = [0] * doorbell.vectors
        self._messages = [self._message(vector) for vector in range(doorbell.vectors)]

    def begin(self, *, by_qtest: bool) -> None:
        """Choose the route of the interrupts from now on, and count acknowledged ones from zero.

        Args:
            by_qtest: see the attribute.
        """
        self.by_qtest = by_qtest
        self._before = [super(TwoRouteLine, self).acknowledged(vector) for vector in range(self.doorbell.vectors)]

    def acknowledged(self, vector: int) -> int:
        """Return how many interrupts of a vector the driver's DPC has dealt with since `begin`."""
        return super().acknowledged(vector) - self._before[vector]

    def send(self, vector: int) -> int:
        """Raise an interrupt on a vector by the chosen route; return how many were sent on it by now."""
        if not self.by_qtest:
            return super().send(vector)
        at = self._sent[vector]
        count = self._words[at] + 1
        self._words[at] = count  # before the message: the ISR reads it
        self.machine.session.qtest.writel(*self._messages[vector])
        return count

    def _message(self, vector: int) -> tuple[int, int]:
        """Read (address, data) of a vector's message out of the device's table."""
        qtest = self.machine.session.qtest
        entry = self._table() + vector * _ENTRY_BYTES
        if qtest.readl(entry + _UPPER):
            raise ProtocolError(f"the message of vector {vector} goes to an address above 4 GiB")
        return qtest.readl(entry + _ADDRESS), qtest.readl(entry + _DATA)

    def _table(self) -> int:
        """The table's physical address, from the firmware's list of PCI functions."""
        block = self.machine.memory.variable("KiBootBlock", "BOOT_BLOCK")
        for at in range(block.get("FunctionCount")):
            function = block.inner("Function", at)
            if (function.get("VendorId"), function.get("DeviceId")) == (VENDOR_ID, DEVICE_ID):
                return function.inner("Bar", _TABLE_BAR).get("Base")
        raise ProtocolError("the machine has no doorbell device")
