# SPDX-License-Identifier: Apache-2.0
"""A driver on a machine, and what a routine of it left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Unpack

from dirql.errors import BuildError, UsageError
from dirql.guest.loading import reasons_told
from dirql.guest.memory import View
from dirql.guest.ntstatus import ntstatus_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dirql.guest.image import DriverImage
    from dirql.handles import Handle, OpenOptions
    from dirql.machine import Machine
    from dirql.qemu.waits import Deadline

DEFAULT_TIMEOUT = 30.0
"""Seconds that one step of the guest may take. Generous: more CPUs than the host has cores make slow schedules."""


@dataclass
class Driver:
    """A driver that is loaded.

    Attributes:
        machine: where.
        image: its file.
        base: its address in the guest.
        size: bytes there.
    """

    machine: Machine = field(repr=False)
    image: DriverImage
    base: int
    size: int
    _handles: list[Handle] = field(default_factory=list, repr=False)

    def start(self, location: int, timeout: float | Deadline = DEFAULT_TIMEOUT) -> None:
        """Have its AddDevice called for a PCI function, then IRP_MN_START_DEVICE.

        Args:
            location: bus << 8 | device << 3 | function.
            timeout: seconds, or a deadline.

        Raises:
            UsageError: AddDevice or the start failed; the text has the NTSTATUS.
            GuestRequestError: there is no such function, or a driver has it already.
        """
        what = f"{self.image.name} to start the device at {location >> 3 & 31:02x}.{location & 7}"
        added, started, *_ = self.machine.link.request("StartDevice", self.base, location, what=what, timeout=timeout)
        self._started(added, started)

    def start_isa(
        self,
        *,
        irq: int | None = None,
        ports: Sequence[tuple[int, int]] = (),
        dma: int | None = None,
        timeout: float | Deadline = DEFAULT_TIMEOUT,
    ) -> int:
        """Have its AddDevice called for a device on ISA, which has what is said here, then IRP_MN_START_DEVICE.

        Args:
            irq: its IRQ, 0 to 15; None: it has none.
            ports: up to six ranges of ports, each (first, number).
            dma: its DMA channel, 0 to 7; None: it has none.
            timeout: seconds, or a deadline.

        Returns:
            Where it is from now on, for `stop` and the rest. The same resources are the same device.

        Raises:
            UsageError: a value is out of range; AddDevice or the start failed.
            GuestRequestError: a driver has it already.
        """
        words = [0, 0, 0]
        if len(ports) > 2 * len(words):
            raise UsageError(f"a device on ISA has at most six ranges of ports, not {len(ports)}")
        for at, (first, number) in enumerate(ports):
            if not (0 <= first < first + number <= 0x10000 and number > 0):
                raise UsageError(f"there are no {number} ports from {first:#x} on")
            words[at // 2] |= (first | number << 16) << at % 2 * 32
        for value, most, kind in ((irq, 15, "IRQs"), (dma, 7, "DMA channels")):
            if value is not None and not 0 <= value <= most:
                raise UsageError(f"ISA has the {kind} 0 to {most}, not {value}")
        numbers = [0xFF if value is None else value for value in (irq, dma)]
        what = f"{self.image.name} to start its device on ISA"
        added, started, location, *_ = self.machine.link.request(
            "StartIsaDevice", self.base, *numbers, *words, what=what, timeout=timeout
        )
        self._started(added, started)
        return location

    def _started(self, added: int, started: int) -> None:
        for status, routine in ((added, "AddDevice"), (started, "IRP_MN_START_DEVICE")):
            if status & 0x8000_0000:
                raise UsageError(f"{self.image.name}: {routine} returned {ntstatus_name(status)}")

    def open(self, name: str, timeout: float | Deadline = DEFAULT_TIMEOUT, **options: Unpack[OpenOptions]) -> Handle:
        """Open a device by name. Arguments, result and errors as `Machine.open`; closed when the driver is unloaded."""
        handle = self.machine.open(name, timeout, **options)
        self._handles = [*(other for other in self._handles if not other.closed), handle]
        return handle

    def stop(self, location: int, timeout: float | Deadline = DEFAULT_TIMEOUT) -> None:
        """Stop one of its devices, which `start` starts again: IRP_MN_QUERY_STOP_DEVICE, then IRP_MN_STOP_DEVICE.

        Args:
            location: of the device, as it was started.
            timeout: seconds, or a deadline.

        Raises:
            UsageError: it refused; it goes on (IRP_MN_CANCEL_STOP_DEVICE).
            GuestRequestError: no driver has it, or it is not started.
        """
        what = f"{self.image.name} to stop its device"
        self.machine.about_to_remove()
        answer, *_ = self.machine.link.request("StopDevice", location, what=what, timeout=timeout)
        self._agreed(answer, "IRP_MN_QUERY_STOP_DEVICE")

    def remove(self, location: int, timeout: float | Deadline = DEFAULT_TIMEOUT) -> None:
        """Remove one of its devices: IRP_MN_QUERY_REMOVE_DEVICE, then IRP_MN_REMOVE_DEVICE.

        A device that is gone by surprise is not asked. Whether handles are open is for the driver to look at.

        Args:
            location: of the device, as it was started.
            timeout: seconds, or a deadline.

        Raises:
            UsageError: it refused; it goes on (IRP_MN_CANCEL_REMOVE_DEVICE).
            GuestRequestError: no driver has it.
        """
        what = f"{self.image.name} to let its device be removed"
        self.machine.about_to_remove()
        answer, *_ = self.machine.link.request("RemoveDevice", location, what=what, timeout=timeout)
        self._agreed(answer, "IRP_MN_QUERY_REMOVE_DEVICE")

    def surprise_remove(self, location: int, timeout: float | Deadline = DEFAULT_TIMEOUT) -> None:
        """Tell it that one of its devices is gone: IRP_MN_SURPRISE_REMOVAL. `remove` is to follow.

        Args:
            location: of the device, as it was started.
            timeout: seconds, or a deadline.

        Raises:
            GuestRequestError: no driver has it, or it is gone already.
        """
        what = f"{self.image.name} to hear that its device is gone"
        self.machine.link.request("SurpriseRemove", location, what=what, timeout=timeout)

    def _agreed(self, answer: int, query: str) -> None:
        if answer & 0x8000_0000:
            raise UsageError(f"{self.image.name}: {query} returned {ntstatus_name(answer)}")

    def variable(self, name: str) -> View:
        """Return a variable of the driver that is a structure.

        Args:
            name: a variable with a fixed address, static ones included.

        Raises:
            BuildError: the driver's debug information has no such variable, or it is no structure.
        """
        found = self.image.debug.variable(name)
        at = self.machine.memory.translate(found.address - self.image.link_base + self.base)
        if at is None:
            raise BuildError(f"{self.image.name} has no memory for {name}; its file is not the image that was loaded")
        return View(self.machine.memory.ram, at, self.image.debug.structure(found.structure), self.image)

    def run(self, routine: str, argument: int = 0, timeout: float | Deadline = DEFAULT_TIMEOUT) -> Leftover:
        """Call a routine of the driver, `VOID NAME(PVOID)`, on the boot CPU at PASSIVE_LEVEL.

        Args:
            routine: its name, as its debug information has it.
            argument: what it is given.
            timeout: seconds for it to return, or a deadline.

        Returns:
            What it left behind.

        Raises:
            BuildError: the driver's debug information has no such function.
        """
        address = self.image.debug.function(routine) - self.image.link_base + self.base
        return self.machine.run(address, argument, what=f"{self.image.name}!{routine} to return", timeout=timeout)

    def unload(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> None:
        """Close the handles that it was opened with, remove its devices, call DriverUnload, free the image.

        Raises:
            GuestRequestError: it has no DriverUnload, left a device object behind, or another driver imports from it.
        """
        for handle in self._handles:
            handle.close(timeout)
        self.machine.about_to_remove()
        with reasons_told(self.machine.memory):
            self.machine.link.request("UnloadDriver", self.base, what=f"{self.image.name} to unload", timeout=timeout)
        self.machine.symbols.remove(self.base)


@dataclass(frozen=True)
class Leftover:
    """What a routine that ran on the guest left behind.

    Attributes:
        kind: RUN_LEFTOVER without its prefix: `Nothing`, `Irql`, `Pool`, `Interrupts`, `Vectors`, `Work`,
            `Threads`, `Timers`, `Handles`, `Mutexes`.
        before: how much there was before (IRQL: what it had to be).
        after: how much there is now (Work: a CPU that still runs).
        tag: the pool tag that it is about (Pool).
    """

    kind: str
    before: int
    after: int
    tag: str = ""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return self.kind != "Nothing"

    def __str__(self) -> str:
        """Say it in words."""
        return {
            "Nothing": "nothing",
            "Irql": f"it returned at IRQL {self.after}, not PASSIVE_LEVEL",
            "Pool": f"{self.after - self.before:+d} blocks of pool with the tag '{self.tag}'",
            "Interrupts": f"{self.after - self.before:+d} connected interrupt objects",
            "Vectors": f"{self.after - self.before:+d} allocated vectors",
            "Work": f"CPU {self.after} still runs what it was given",
            "Threads": f"{self.after - self.before:+d} threads that have not ended",
            "Timers": f"{self.after - self.before:+d} timers that are set",
            "Handles": f"{self.after - self.before:+d} open handles",
            "Mutexes": f"its thread still owned {self.after} mutexes",
        }[self.kind]
