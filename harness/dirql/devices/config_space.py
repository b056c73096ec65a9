# SPDX-License-Identifier: Apache-2.0
"""The 256 bytes of PCI configuration space of a served device: which bits can be written, where its BARs are.

Register numbers are those of the PCI Local Bus Specification 3.0, chapter 6 ("Configuration Space") and 6.8 (MSI).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dirql.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE = 256
MAXIMUM_BARS = 6

_COMMAND = 0x04
_STATUS_CAPABILITIES = 0x10
_CACHE_LINE = 0x0C
_BAR0 = 0x10
_CAPABILITIES = 0x34
_INTERRUPT_LINE = 0x3C

_COMMAND_WRITABLE = 0x0406  # interrupt disable, bus master, memory space
_COMMAND_MEMORY = 0x0002

_MSI = 0x40
_MSI_CAPABILITY_ID = 0x05
_MSI_64BIT = 0x80
_MSI_ENABLE = 0x01


@dataclass(frozen=True)
class MsiMessage:
    """What a device writes to raise its interrupt.

    Attributes:
        address: where, in physical address space.
        data: what.
    """

    address: int
    data: int


class ConfigSpace:
    """A type 0 configuration header with 32-bit memory BARs and, if wanted, one MSI vector.

    Args:
        vendor_id: 16 bits.
        device_id: 16 bits.
        class_code: class, subclass and programming interface, 24 bits.
        bar_bytes: size of each BAR from BAR0 on, a power of two of at least 16; 0 leaves one out.
        msi: whether it has an MSI capability (at 0x40, 64-bit address, one vector).
        revision: 8 bits.

    Raises:
        UsageError: a BAR's size makes no sense.
    """

    def __init__(
        self,
        vendor_id: int,
        device_id: int,
        *,
        class_code: int,
        bar_bytes: Sequence[int] = (),
        msi: bool = False,
        revision: int = 1,
    ) -> None:
        if len(bar_bytes) > MAXIMUM_BARS:
            raise UsageError(f"a PCI device has at most {MAXIMUM_BARS} BARs; {len(bar_bytes)} were asked for")
        for size in bar_bytes:
            if size and (size < 16 or size & (size - 1) or size > 1 << 31):
                raise UsageError(f"a BAR's size is a power of two from 16 to 2^31, or 0; not {size}")
        self._bar_bytes = tuple(bar_bytes)
        self._msi = msi
        self._initial = bytearray(SIZE)
        self._writable = bytearray(SIZE)
        self._put(self._initial, 0x00, vendor_id | device_id << 16, 4)
        self._put(self._initial, 0x08, revision | class_code << 8, 4)
        self._put(self._writable, _COMMAND, _COMMAND_WRITABLE, 2)
        self._put(self._writable, _CACHE_LINE, 0xFFFF, 2)
        self._put(self._writable, _INTERRUPT_LINE, 0xFF, 1)
        for bar, size in enumerate(self._bar_bytes):
            self._put(self._writable, _BAR0 + 4 * bar, -size & 0xFFFFFFFF if size else 0, 4)
        if msi:
            self._put(self._initial, 0x06, _STATUS_CAPABILITIES, 2)
            self._put(self._initial, _CAPABILITIES, _MSI, 1)
            self._put(self._initial, _MSI, _MSI_CAPABILITY_ID | _MSI_64BIT << 16, 4)
            self._put(self._writable, _MSI + 2, _MSI_ENABLE, 2)
            self._put(self._writable, _MSI + 4, 0xFFFFFFFC, 4)
            self._put(self._writable, _MSI + 8, 0xFFFFFFFF, 4)
            self._put(self._writable, _MSI + 12, 0xFFFF, 2)
        self.data = bytearray(self._initial)

    def reset(self) -> None:
        """Return every register to its value at power-on."""
        self.data[:] = self._initial

    def read(self, register: int, size: int) -> int:
        """Return `size` bytes at a register; what is beyond the space reads as zero."""
        return int.from_bytes(self.data[register : register + size], "little")

    def write(self, register: int, value: int, size: int) -> None:
        """Write `size` bytes at a register; bits that cannot be written keep their value."""
        for at, byte in enumerate((value & ((1 << 8 * size) - 1)).to_bytes(size, "little"), register):
            if at < SIZE:
                mask = self._writable[at]
                self.data[at] = self.data[at] & ~mask | byte & mask

    def bar_address(self, bar: int) -> int:
        """Return where a BAR is in physical address space; 0 if it has not been placed."""
        return self.read(_BAR0 + 4 * bar, 4) & ~0xF

    def locate(self, address: int) -> tuple[int, int] | None:
        """Return the BAR that holds a physical address and the offset in it, or None."""
        for bar, size in enumerate(self._bar_bytes):
            offset = address - self.bar_address(bar)
            if 0 <= offset < size:
                return bar, offset
        return None

    @property
    def memory_enabled(self) -> bool:
        """Whether the guest has switched the BARs on."""
        return bool(self.read(_COMMAND, 2) & _COMMAND_MEMORY)

    @property
    def msi_message(self) -> MsiMessage | None:
        """What to write to raise the MSI vector, or None while the guest has not enabled it."""
        if not self._msi or not self.read(_MSI + 2, 2) & _MSI_ENABLE:
            return None
        return MsiMessage(self.read(_MSI + 4, 8), self.read(_MSI + 12, 2))

    @staticmethod
    def _put(space: bytearray, register: int, value: int, size: int) -> None:
        space[register : register + size] = value.to_bytes(size, "little")
