# SPDX-License-Identifier: Apache-2.0
"""Guest RAM, shared with QEMU: a sealed memfd that both map.

Reading it live and writing data into it disturbs nothing. Writing *code* through it does not reach TCG's translations:
let the guest copy code into place.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dirql.errors import UnsupportedError, UsageError

MIB = 1 << 20
GIB = 1 << 30

# q35's memory map: RAM below 4 GiB ends at 0xb0000000, or at 0x80000000 when there is more than the former can hold.
_Q35_LOW_LIMIT = 0xB0000000
_Q35_LOW_SPLIT = 0x80000000
_FOUR_GIB = 4 * GIB


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Return how many bytes of memory the host can still give, as the kernel estimates it (MemAvailable)."""
    for line in meminfo.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    raise UnsupportedError(f"{meminfo} has no MemAvailable line; dirql needs Linux 3.14 or later")


class GuestRam:
    """The machine's RAM.

    Pages cost host memory only once somebody touches them.

    Args:
        size_bytes: a positive multiple of the page size.

    Raises:
        UsageError: the size makes no sense.
        UnsupportedError: the host has not that much memory.
    """

    def __init__(self, size_bytes: int) -> None:
        if size_bytes <= 0 or size_bytes % mmap.PAGESIZE:
            raise UsageError(
                f"guest RAM is a positive multiple of {mmap.PAGESIZE} bytes; {size_bytes} bytes were asked for"
            )
        available = available_bytes()
        if size_bytes > available:
            raise UnsupportedError(_no_memory(size_bytes, available))
        self.size = size_bytes
        self.low_size = size_bytes if size_bytes < _Q35_LOW_LIMIT else _Q35_LOW_SPLIT
        self._fd = os.memfd_create("dirql-ram", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self._fd, size_bytes)
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
            self._map = mmap.mmap(self._fd, size_bytes)
        except (OSError, ValueError, OverflowError) as error:
            os.close(self._fd)
            raise UnsupportedError(f"{_no_memory(size_bytes, available)} ({error})") from error
        self._bytes = memoryview(self._map)
        self._words32 = self._bytes.cast("I")
        self._words64 = self._bytes.cast("Q")
        self._open = True

    @property
    def fd(self) -> int:
        """The memfd, for QEMU to inherit."""
        return self._fd

    def view(self) -> memoryview:
        """Return all of it as writable bytes, by offset in RAM (which below 2 GiB is the physical address)."""
        return self._bytes

    def offset(self, physical: int, size: int) -> int:
        """Return where the `size` bytes at a physical address are in the RAM.

        Raises:
            UsageError: not all of them are RAM.
        """
        end = physical + size
        if 0 <= physical <= end <= self.low_size:
            return physical
        if _FOUR_GIB <= physical <= end <= _FOUR_GIB + self.size - self.low_size:
            return physical - _FOUR_GIB + self.low_size
        raise UsageError(
            f"physical addresses {physical:#x}..{end:#x} are not all RAM; this machine has {self.size // MIB} MiB of it"
        )

    def read(self, physical: int, size: int) -> bytes:
        """Return a copy of `size` bytes at a physical address."""
        at = self.offset(physical, size)
        return bytes(self._bytes[at : at + size])

    def write(self, physical: int, data: bytes | bytearray | memoryview) -> None:
        """Copy `data` to a physical address. The guest may see it half written: use `store64` for what it polls."""
        at = self.offset(physical, len(data))
        self._bytes[at : at + len(data)] = data

    def load32(self, physical: int) -> int:
        """Return the aligned 32-bit word at a physical address, read at once."""
        return self._words32[self._index(physical, 4)]

    def store32(self, physical: int, value: int) -> None:
        """Write the aligned 32-bit word at a physical address, at once."""
        self._words32[self._index(physical, 4)] = value

    def load64(self, physical: int) -> int:
        """Return the aligned 64-bit word at a physical address, read at once."""
        return self._words64[self._index(physical, 8)]

    def store64(self, physical: int, value: int) -> None:
        """Write the aligned 64-bit word at a physical address, at once."""
        self._words64[self._index(physical, 8)] = value

    def close(self) -> None:
        """Give the memory back. Views that others still hold stay valid until they let go. Safe to call again."""
        if not self._open:
            return
        self._open = False
        os.close(self._fd)
        # Where somebody (a numpy array, say) still exports the mapping, it goes when the last of them does.
        for view in (self._words64, self._words32, self._bytes):
            with suppress(BufferError):
                view.release()
        with suppress(BufferError):
            self._map.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _index(self, physical: int, size: int) -> int:
        at = self.offset(physical, size)
        if at % size:
            raise UsageError(f"address {physical:#x} is not aligned to {size} bytes, so it cannot be accessed at once")
        return at // size


def _no_memory(asked: int, available: int) -> str:
    return (
        f"no memory for a guest with {asked / MIB:.0f} MiB of RAM: {available / MIB:.0f} MiB are available; "
        f"ask for less RAM, or run fewer machines at a time"
    )
