# SPDX-License-Identifier: Apache-2.0
"""The guest's memory by virtual address, and structures in it as objects with fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.errors import UsageError

if TYPE_CHECKING:
    from dirql.guest.image import Image, KernelImage
    from dirql.guest.layout import Structure
    from dirql.qemu.memory import GuestRam

KERNEL_BASE = 0xFFFF_FFFF_8000_0000
"""The kernel image lies at its physical address above this (guest/mm/mi.h)."""

_KERNEL_LIMIT = 0xFFFF_FFFF_C000_0000
_PAGE = 4096
_PRESENT = 1
_LARGE = 0x80
_ADDRESS = 0x000F_FFFF_FFFF_F000


class GuestMemory:
    """Guest RAM through the kernel's page tables.

    Args:
        ram: the RAM.
        kernel: the kernel that runs there.
    """

    def __init__(self, ram: GuestRam, kernel: KernelImage) -> None:
        self.ram = ram
        self.kernel = kernel
        self._top = physical(kernel.address("MiTopPhysical"))

    def translate(self, address: int) -> int | None:
        """Return the physical address of a virtual one; None where nothing is mapped."""
        if KERNEL_BASE <= address < _KERNEL_LIMIT:
            return physical(address)
        table = self.ram.load64(self._top)
        if table == 0:
            return None
        for shift in (39, 30, 21, 12):
            entry = self.ram.load64((table & _ADDRESS) + (address >> shift & 511) * 8)
            if not entry & _PRESENT:
                return None
            if shift == 12 or entry & _LARGE:
                inside = (1 << shift) - 1
                return (entry & _ADDRESS & ~inside) | (address & inside)
            table = entry
        return None

    def read(self, address: int, size: int) -> bytes:
        """Return `size` bytes at a virtual address.

        Raises:
            UsageError: not all of them are mapped RAM.
        """
        pieces: list[bytes] = []
        while size > 0:
            piece = min(size, _PAGE - address % _PAGE)
            at = self.translate(address)
            if at is None:
                raise UsageError(f"nothing is mapped at {address:#x} in the guest")
            pieces.append(self.ram.read(at, piece))
            address += piece
            size -= piece
        return b"".join(pieces)

    def load64(self, address: int) -> int:
        """Return the 64-bit word at a virtual address. Raises as `read`."""
        at = self.translate(address) if address % 8 == 0 else None
        return self.ram.load64(at) if at is not None else int.from_bytes(self.read(address, 8), "little")

    def string(self, address: int, limit: int = 256) -> str:
        """Return the NUL-terminated text at a virtual address, at most `limit` bytes of it. Raises as `read`."""
        return self.read(address, limit).split(b"\0", 1)[0].decode("utf-8", "replace")

    def variable(self, symbol: str, structure: str = "", index: int = 0) -> View:
        """Return a kernel variable as a structure.

        Args:
            symbol: its name.
            structure: the structure's name; by default the symbol's debug information is not needed, so it is given.
            index: which element, where the variable is an array.
        """
        layout = self.kernel.debug.structure(structure)
        return View(self.ram, physical(self.kernel.address(symbol)) + index * layout.size, layout, self.kernel)


class View:
    """A structure in guest RAM.

    Args:
        ram: the RAM.
        at: its physical address.
        layout: its layout.
        image: where layouts of inner structures come from.
    """

    def __init__(self, ram: GuestRam, at: int, layout: Structure, image: Image) -> None:
        self.ram = ram
        self.at = at
        self.layout = layout
        self._image = image

    def get(self, name: str, index: int = 0) -> int:
        """Return a number, read at once if it is an aligned word of 4 or 8 bytes.

        Args:
            name: the field.
            index: which element of an array.
        """
        at, size = self._place(name, index)
        if size == 8 and at % 8 == 0:
            return self.ram.load64(at)
        if size == 4 and at % 4 == 0:
            return self.ram.load32(at)
        return int.from_bytes(self.ram.read(at, size), "little")

    def set(self, name: str, value: int, index: int = 0) -> None:
        """Store a number, at once if it is an aligned word of 4 or 8 bytes."""
        at, size = self._place(name, index)
        if size == 8 and at % 8 == 0:
            self.ram.store64(at, value)
        elif size == 4 and at % 4 == 0:
            self.ram.store32(at, value)
        else:
            self.ram.write(at, value.to_bytes(size, "little"))

    def text(self, name: str) -> str:
        """Return a character array up to its NUL."""
        field = self.layout.field(name)
        return self.ram.read(self.at + field.offset, field.size).split(b"\0", 1)[0].decode("utf-8", "replace")

    def inner(self, name: str, index: int = 0) -> View:
        """Return a structure inside this one."""
        field = self.layout.field(name)
        at = self.at + field.offset + index * field.stride
        return View(self.ram, at, self._image.debug.structure(field.structure), self._image)

    def _place(self, name: str, index: int) -> tuple[int, int]:
        field = self.layout.field(name)
        return self.at + field.offset + index * field.stride, field.stride


def physical(address: int) -> int:
    """Return where a kernel symbol is in RAM."""
    return address - KERNEL_BASE if address >= KERNEL_BASE else address
