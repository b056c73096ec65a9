# SPDX-License-Identifier: Apache-2.0
"""The doorbell device with doorbell.sys behind it, as the host sees the two: counters in shared memory, and a bell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.devices.ivshmem import DEVICE_ID, PEER_ID, VENDOR_ID

if TYPE_CHECKING:
    from dirql.devices.ivshmem import Doorbell
    from dirql.machine import Machine

DRIVER = "doorbell.sys"
_MAGIC = int.from_bytes(b"doorbell", "little")
_WORD = 8


class DoorbellLine:
    """Loads doorbell.sys and starts it on the doorbell device of a machine.

    The layout of the shared memory comes from the driver's debug information.

    Args:
        machine: the machine.
        doorbell: its doorbell device.
        lock_per_vector: each vector has an interrupt spin lock of its own, instead of one for all.

    Attributes:
        driver: the loaded driver.
        location: the device's PCI location.
    """

    def __init__(self, machine: Machine, doorbell: Doorbell, *, lock_per_vector: bool = False) -> None:
        self.machine = machine
        self.doorbell = doorbell
        self.driver = machine.load(DRIVER, parameters={"LockPerVector": 1} if lock_per_vector else None)
        debug = self.driver.image.debug
        shared, vector = debug.structure("DOORBELL_SHARED"), debug.structure("DOORBELL_VECTOR")
        self._words = doorbell.memory.cast("Q")
        first, step = shared.field("Vector").offset // _WORD, vector.size // _WORD
        self._dpc_runs = shared.field("DpcRuns").offset // _WORD
        at = {name: first + vector.field(name).offset // _WORD for name in vector.fields}
        self._sent = [at["Sent"] + step * number for number in range(doorbell.vectors)]
        self._delivered = [at["Delivered"] + step * number for number in range(doorbell.vectors)]
        self._merged = [at["Merged"] + step * number for number in range(doorbell.vectors)]
        self._acknowledged = [at["Acknowledged"] + step * number for number in range(doorbell.vectors)]
        doorbell.memory[: shared.size] = bytes(shared.size)
        self._words[shared.field("HostPeer").offset // _WORD] = PEER_ID
        self._words[shared.field("Magic").offset // _WORD] = _MAGIC
        self.location = machine.find_pci(VENDOR_ID, DEVICE_ID)
        self.driver.start(self.location)

    def send(self, vector: int) -> int:
        """Raise an interrupt on a vector; return how many were sent on it by now."""
        at = self._sent[vector]
        count = self._words[at] + 1
        self._words[at] = count  # before the ring: the ISR reads it
        self.doorbell.ring(vector)
        return count

    def acknowledged(self, vector: int) -> int:
        """Return how many interrupts of a vector the driver's DPC has dealt with."""
        return self._words[self._acknowledged[vector]]

    def sent(self, vector: int) -> int:
        """Return how many interrupts were sent on a vector."""
        return self._words[self._sent[vector]]

    def delivered(self, vector: int) -> int:
        """Return how often the ISR ran for a vector."""
        return self._words[self._delivered[vector]]

    def merged(self, vector: int) -> int:
        """Return how many interrupts of a vector arrived as one with another."""
        return self._words[self._merged[vector]]

    @property
    def dpc_runs(self) -> int:
        """How often the driver's DPC ran."""
        return self._words[self._dpc_runs]

    def retarget(self, first_cpu: int) -> None:
        """Send message n to CPU (first_cpu + n) modulo the number of CPUs from now on, with none under way."""
        self.machine.link.request("Retarget", self.location, first_cpu, what="the guest to retarget the messages")

    def settle(self) -> None:
        """Wait until every DPC has returned: the driver's counts do not change any more until the next interrupt."""
        self.machine.link.request("FlushDpcs", what="the guest's DPCs to return")

    def release(self) -> None:
        """Let go of the shared memory."""
        self._words.release()
