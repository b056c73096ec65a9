# SPDX-License-Identifier: Apache-2.0
"""What lies in the guest's allocated memory: devices and their extensions, interrupts, threads, named objects.

Read from the guest's own lists as they are at that moment: exact while nothing is loaded, started or removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.errors import DirqlError
from dirql.guest.memory import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.guest.memory import GuestMemory
    from dirql.guest.symbols import Symbolizer

ObjectRow = tuple[int, int, str]
"""(address, size in bytes, name)."""

_MOST = 4096
"""A list that is being changed may lead anywhere: no walk is longer than what can be there."""

_DEVICE_TYPE = 3  # IO_TYPE_DEVICE (wdm.h)
_PAGE = 4096
_MOST_PAGES = 64
_VECTORS = 256


class ObjectReader:
    """Finds what has no symbol.

    Args:
        memory: the guest's memory.
        symbols: names routines.
    """

    def __init__(self, memory: GuestMemory, symbols: Symbolizer) -> None:
        self._memory = memory
        self._symbols = symbols
        self._debug = memory.kernel.debug

    def rows(self) -> list[ObjectRow]:
        r"""Return (address, size in bytes, name) of each; some lie within others.

        A device's DPC is `\Device\X.Dpc`, its extension `\Device\X extension`, an interrupt `KINTERRUPT of
        driver!Isr, vector 0x71`, a thread `thread 5 (driver!Routine)`, its stack `stack of thread 5 (driver!Routine)`.
        """
        found: list[ObjectRow] = []
        for part in (self._devices(), self._interrupts(), self._threads()):
            try:
                found += part
            except DirqlError:  # a list was changed under the walk: what came before it is right
                continue
        return found

    def _devices(self) -> Iterator[ObjectRow]:
        names = dict(self._names())
        for driver in self._drivers():
            head = self._view(driver, "DRIVER_OBJECT")
            name = self._text(head.inner("DriverName"))
            yield driver, head.layout.size, name
            device = head.get("DeviceObject")
            for number in range(_MOST):
                if not device:
                    break
                yield from self._device(device, names.pop(device, "") or f"device {number} of {name}")
                device = self._view(device, "DEVICE_OBJECT").get("NextDevice")
        for address, name in names.items():  # of the executive's own drivers, and what else has a name
            if self._view(address, "DEVICE_OBJECT").get("Type") == _DEVICE_TYPE:
                yield from self._device(address, name)
            else:
                yield address, 1, name

    def _device(self, address: int, name: str) -> Iterator[ObjectRow]:
        view = self._view(address, "DEVICE_OBJECT")
        yield address, view.layout.size, f"{name} device object"
        for field in ("Dpc", "DeviceQueue", "DeviceLock"):
            place = view.layout.field(field)
            yield address + place.offset, place.size, f"{name}.{field}"
        extension, size = view.get("DeviceExtension"), view.get("Size") - view.layout.size
        if extension and size > 0:
            yield extension, size, f"{name} extension"

    def _drivers(self) -> Iterator[int]:
        layout = self._debug.structure("IOP_DRIVER")
        entry = self._memory.load64(self._memory.kernel.address("IopDrivers"))
        for _ in range(_MOST):
            if not entry:
                return
            yield entry + layout.field("Object").offset
            entry = self._view(entry, "IOP_DRIVER").get("Next")

    def _names(self) -> Iterator[tuple[int, str]]:
        """Each named object's address and path."""
        layout = self._debug.structure("OBP_NAME")
        for entry in self._list(self._memory.kernel.address("ObpNames")):
            view = self._view(entry - layout.field("Entry").offset, "OBP_NAME")
            address = view.get("Object")
            if address:
                yield address, self._text(view.inner("Path"))

    def _text(self, string: View) -> str:
        raw = self._memory.read(string.get("Buffer"), string.get("Length"))
        return raw.decode("utf-16-le", "replace")

    def _interrupts(self) -> Iterator[ObjectRow]:
        first = self._memory.kernel.address("KiInterrupts")
        chains = self._memory.read(first, 8 * _VECTORS)
        for vector in range(_VECTORS):
            address = int.from_bytes(chains[8 * vector : 8 * vector + 8], "little")
            for _ in range(_MOST):
                if not address:
                    break
                view = self._view(address, "KINTERRUPT")
                parameters = view.inner("Parameters")
                routine = parameters.get("ServiceRoutine") or parameters.get("MessageServiceRoutine")
                name = f"KINTERRUPT of {self._routine(routine)}, vector {vector:#x}"
                yield address, view.layout.size, name
                lock = view.layout.field("OwnLock")
                yield address + lock.offset, lock.size, f"lock of {name}"
                passive = view.get("PassiveObject")
                if passive:
                    yield passive, view.layout.size, name
                address = view.get("Next")

    def _threads(self) -> Iterator[ObjectRow]:
        layout = self._debug.structure("KTHREAD")
        size = 0  # of the stack before, which is most likely that of the next one too
        for entry in self._list(self._memory.kernel.address("KiAllThreads")):
            address = entry - layout.field("AllThreads").offset
            view = self._view(address, "KTHREAD")
            name = f"thread {view.get('Id')} ({self._routine(view.get('StartRoutine'))})"
            yield address, layout.size, name
            top = view.get("StackTop")
            if not self._ends(top, size):
                size = next((at for at in range(0, _MOST_PAGES * _PAGE, _PAGE) if self._ends(top, at)), 0)
            if size:
                yield top - size, size, f"stack of {name}"

    def _ends(self, top: int, size: int) -> bool:
        """Whether a stack has this size: below it lies a page that is not mapped, as below each stack."""
        below = self._memory.translate(top - size - 1) is None
        return below and (not size or self._memory.translate(top - size) is not None)

    def _routine(self, address: int) -> str:
        module, function = self._symbols.module(address), self._symbols.function(address)
        if module is None or function is None:
            return f"{address:#x}"
        return f"{module.name.rsplit('.', 1)[0]}!{function[0]}"

    def _list(self, head: int) -> Iterator[int]:
        """The entries of a LIST_ENTRY."""
        entry = self._memory.load64(head)
        for _ in range(_MOST):
            if entry in (head, 0):
                return
            following = self._memory.load64(entry)
            yield entry
            entry = following

    def _view(self, address: int, structure: str) -> View:
        at = self._memory.translate(address)
        if at is None:
            raise DirqlError(f"nothing is mapped at {address:#x} in the guest")
        return View(self._memory.ram, at, self._debug.structure(structure), self._memory.kernel)
