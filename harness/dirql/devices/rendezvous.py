# SPDX-License-Identifier: Apache-2.0
"""The rendezvous: a register whose read holds the CPU until Python answers.

Under icount the whole machine runs in one thread and its clock counts instructions, so while that thread waits in the
read, the guest's time stands still. What the host does meanwhile (stores to shared memory, interrupts) enters at
exactly that instruction,
however long it took: that makes a run repeatable. The main loop goes on all the while, so QMP, qtest and eventfds work;
make sure that QEMU has consumed what was injected (`Doorbell.wait_consumed`; a qtest or QMP answer) before answering.

PCI 1d1c:0001, BAR0 of 4 KiB: offset 0, 32 bits, read only: the rendezvous. All else reads as zero.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

from dirql.devices.remote import RemotePciDevice
from dirql.errors import UsageError

if TYPE_CHECKING:
    from dirql.qemu.waits import Deadline

VENDOR_ID = 0x1D1C
DEVICE_ID = 0x0001
RELEASED = 0xFFFF_FFFF


class Rendezvous(RemotePciDevice):
    """A PCI device with the rendezvous register.

    Args:
        name: its id in QEMU.
        address: its place on the bus, "slot" or "slot.function" in hexadecimal; None lets QEMU choose.
    """

    def __init__(self, name: str = "rendezvous", *, address: str | None = None) -> None:
        super().__init__(name, vendor_id=VENDOR_ID, device_id=DEVICE_ID, address=address)
        self._answers: SimpleQueue[int] = SimpleQueue()
        self._meetings = 0
        self._waiting = False
        self._released = False

    @property
    def waiting(self) -> bool:
        """Whether a CPU is held in the read."""
        return self._waiting

    def wait_for_guest(self, timeout: float | Deadline) -> int:
        """Wait until a CPU is held in the read.

        Args:
            timeout: seconds, or a deadline.

        Returns:
            The number of this meeting, from 1.

        Raises:
            WaitTimeout, MachineLost, GuestError: as `Watch.wait`.
        """
        return self.machine.watch.wait(
            lambda: self._meetings if self._waiting else None, "the guest to come to the rendezvous", timeout
        )

    def answer(self, value: int) -> None:
        """Let the CPU go on.

        Args:
            value: what its read returns, 32 bits. All ones means that it was let go without an answer: see `release`.

        Raises:
            UsageError: no CPU is held, or the value cannot be told from a release.
        """
        if not 0 <= value < RELEASED:
            raise UsageError(f"an answer is 0 to {RELEASED - 1:#x}; not {value:#x}")
        with self.machine.watch.changed():
            if not self._waiting:
                raise UsageError("there is no CPU at the rendezvous to answer; wait for it first")
            self._waiting = False
        self._answers.put(value)

    def release(self) -> None:
        """Let go of a CPU that is held, and hold none from now on: reads return all ones at once.

        QEMU cannot stop, reset or quit while one of its CPUs is held.
        """
        if self._machine is None:
            return
        with self._machine.watch.changed():
            self._released = True
            held, self._waiting = self._waiting, False
        if held:
            self._answers.put(RELEASED)

    def restore(self) -> None:
        """Hold CPUs again."""
        self._released = False

    def read(self, bar: int, offset: int, size: int) -> int:
        """Hold the CPU that reads the rendezvous register until it is answered or let go."""
        if (bar, offset, size) != (0, 0, 4):
            return 0
        with self.machine.watch.changed():
            if self._released:
                return RELEASED
            self._meetings += 1
            self._waiting = True
        return self._answers.get()
