# SPDX-License-Identifier: Apache-2.0
"""Where the host's requests are in the guest: each IRP's stack location, device, driver, cancel routine and queue.

Read from the guest's memory as it is at that moment: exact where the machine is at rest or the IRP stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dirql.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from dirql.futures import RequestFuture
    from dirql.guest.layout import Structure
    from dirql.machine import Machine

MAJORS = (
    *("CREATE", "CREATE_NAMED_PIPE", "CLOSE", "READ", "WRITE", "QUERY_INFORMATION", "SET_INFORMATION", "QUERY_EA"),
    *("SET_EA", "FLUSH_BUFFERS", "QUERY_VOLUME_INFORMATION", "SET_VOLUME_INFORMATION", "DIRECTORY_CONTROL"),
    *("FILE_SYSTEM_CONTROL", "DEVICE_CONTROL", "INTERNAL_DEVICE_CONTROL", "SHUTDOWN", "LOCK_CONTROL", "CLEANUP"),
    *("CREATE_MAILSLOT", "QUERY_SECURITY", "SET_SECURITY", "POWER", "SYSTEM_CONTROL", "DEVICE_CHANGE", "QUERY_QUOTA"),
    *("SET_QUOTA", "PNP"),
)
"""IRP_MJ_... by number."""

_PENDING_RETURNED = 1
_MOST_ENTRIES = 512


@dataclass(frozen=True)
class IrpState:
    r"""One of the host's requests that has not ended.

    Attributes:
        request: what was asked for: `ioctl 0x222000 of \\.\Echo`.
        state: `Posted` nobody has taken it, `Started` the driver's routine has not returned, `Returned` it has.
        cpu: whose thread called the driver.
        address: of the IRP; 0: there is none (yet, or it is an open or a close).
        major: `IRP_MJ_READ` and so on, of the current stack location.
        location: number of the current stack location, from the lowest driver's 1.
        locations: how many it has.
        driver: whose that location is: `\Driver\echo`; empty where nobody's.
        device: address of its device object.
        pending: that driver has marked it pending.
        cancelled: IRP.Cancel is set.
        cancel_routine: symbolised; empty: none.
        queued: in which queue or list it is, in words; empty: in none that could be found.
    """

    request: str
    state: str
    cpu: int
    address: int = 0
    major: str = ""
    location: int = 0
    locations: int = 0
    driver: str = ""
    device: int = 0
    pending: bool = False
    cancelled: bool = False
    cancel_routine: str = ""
    queued: str = ""

    def __str__(self) -> str:
        """Say it in words."""
        if self.state == "Posted":
            return f"{self.request}: no thread of CPU {self.cpu} has taken it yet"
        if not self.address:
            return f"{self.request}: the driver's routine has not returned on CPU {self.cpu}"
        words = [f"IRP {self.address:#x}", f"{self.major} at stack location {self.location} of {self.locations}"]
        words.append("marked pending" if self.pending else "not marked pending")
        words.append("IRP.Cancel set" if self.cancelled else "not cancelled")
        words.append(f"cancel routine {self.cancel_routine}" if self.cancel_routine else "no cancel routine")
        if self.queued:
            words.append(self.queued)
        if self.state == "Started":
            words.append(f"its dispatch routine has not returned on CPU {self.cpu}")
        owner = f"{self.driver or 'nobody'} keeps it" + (f" (device {self.device:#x})" if self.device else "")
        return f"{self.request}: {owner}: {', '.join(words)}"


class IrpReader:
    """Reads the IRPs of the host's requests.

    Args:
        machine: whose.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._memory = machine.memory
        debug = machine.kernel.debug
        self._irp = debug.structure("IRP")
        self._stack = debug.structure("IO_STACK_LOCATION")
        self._device = debug.structure("DEVICE_OBJECT")
        self._offsets = debug.enumeration("HOST_IRP_OFFSET")

    def read(self, name: str, slot: int, state: str, cpu: int) -> IrpState:
        """Return where the request of a slot is.

        Args:
            name: what was asked for.
            slot: its place in the guest's table.
            state: of the slot.
            cpu: whose thread calls the driver.
        """
        work = self._memory.variable("HostIoWork", "HOST_IO_WORK", slot)
        address = work.inner("Request").get("Irp") if work.get("Sent") else 0
        if state in ("Posted", "Finished", "Free") or not address:
            return IrpState(name, state, cpu)
        try:
            return self._state(name, state, cpu, address)
        except UsageError:  # it has been freed meanwhile
            return IrpState(name, state, cpu)

    def _state(self, name: str, state: str, cpu: int, irp: int) -> IrpState:
        location = self._field(irp, self._irp, "CurrentLocation")
        count = self._field(irp, self._irp, "StackCount")
        routine = self._field(irp, self._irp, "CancelRoutine")
        cancel_routine = self._machine.symbols.where(routine) if routine else ""
        cancelled = bool(self._field(irp, self._irp, "Cancel"))
        if not 1 <= location <= count:
            return IrpState(name, state, cpu, irp, "", location, count, cancelled=cancelled)
        current = irp + self._irp.size + (location - 1) * self._stack.size
        major = self._field(current, self._stack, "MajorFunction")
        device = self._field(current, self._stack, "DeviceObject")
        return IrpState(
            name,
            state,
            cpu,
            irp,
            f"IRP_MJ_{MAJORS[major]}" if major < len(MAJORS) else f"major function {major:#x}",
            location,
            count,
            self._driver(device) if device else "",
            device,
            bool(self._field(current, self._stack, "Control") & _PENDING_RETURNED),
            cancelled,
            cancel_routine,
            self._queued(irp, device) if device else "",
        )

    def _driver(self, device: int) -> str:
        driver = self._field(device, self._device, "DriverObject")
        layout = self._machine.kernel.debug.structure("DRIVER_OBJECT")
        name = driver + layout.field("DriverName").offset
        text = self._machine.kernel.debug.structure("UNICODE_STRING")
        size = self._field(name, text, "Length")
        return self._memory.read(self._field(name, text, "Buffer"), size).decode("utf-16-le", "replace")

    def _queued(self, irp: int, device: int) -> str:
        """In which queue it is, in words."""
        if self._field(device, self._device, "CurrentIrp") == irp:
            return "the device's current IRP"
        queue = device + self._device.field("DeviceQueue").offset
        head = queue + self._machine.kernel.debug.structure("KDEVICE_QUEUE").field("DeviceListHead").offset
        for place, entry in enumerate(self._around(head)):
            if entry == irp + self._offsets["HostIrpDeviceQueueEntry"]:
                return f"entry {place + 1} of its device's queue"
        extension = self._field(device, self._device, "DeviceExtension")
        size = self._field(device, self._device, "Size") - self._device.size
        for entry in self._around(irp + self._offsets["HostIrpListEntry"]):
            if extension <= entry < extension + size:
                return f"in the list at offset {entry - extension:#x} of the device extension"
            if self._machine.symbols.module(entry) is not None:
                return f"in the list {self._machine.symbols.variable(entry)}"
        return ""

    def _around(self, head: int) -> Iterator[int]:
        """The other entries of a list; ends where it is none."""
        entry = head
        for _ in range(_MOST_ENTRIES):
            try:
                entry = self._memory.load64(entry)
            except UsageError:
                return
            if entry in (0, head):
                return
            yield entry

    def _field(self, address: int, layout: Structure, name: str) -> int:
        field = layout.field(name)
        return int.from_bytes(self._memory.read(address + field.offset, field.stride), "little")


def read_irps(machine: Machine) -> tuple[IrpState, ...]:
    """Return the requests of the host that have not ended, the oldest first."""
    machine.learn_modules()
    reader = IrpReader(machine)
    return tuple(
        reader.read(future.name, future.slot, machine.requests.state(future.slot), future.request.cpu)
        for future in machine.requests.in_flight
    )


def where_is(machine: Machine, future: RequestFuture[Any]) -> str:
    """Return in words where a request is that has not ended."""
    machine.learn_modules()
    state = machine.requests.state(future.slot)
    return str(IrpReader(machine).read(future.name, future.slot, state, future.request.cpu))
