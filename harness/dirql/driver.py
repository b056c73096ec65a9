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
        for status, routine in ((added, "AddDevice"), (started, "IRP_MN_START_DEVICE")):
            if status & 0x8000_0000:
                raise UsageError(f"{self.image.name}: {routine} returned {ntstatus_name(status)}")

    def open(self, name: str, timeout: float | Deadline = DEFAULT_TIMEOUT, **options: Unpack[OpenOptions]) -> Handle:
        """Open a device by name. Arguments, result and errors as `Machine.open`; closed when the driver is unloaded."""
        handle = self.machine.open(name, timeout, **options)
        self._handles = [*(other for other in self._handles if not other.closed), handle]
        return handle

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
