# SPDX-License-Identifier: Apache-2.0
"""A doorbell: QEMU's ivshmem-doorbell device, with Python as its server and its peer.

The guest sees PCI 1af4:1110: BAR0 registers, BAR1 the MSI-X table, BAR2 memory shared with Python. `Doorbell.ring`
raises one of its MSI-X vectors in some tens of microseconds; the guest rings back by writing `peer << 16 | vector` to
BAR0+12, the peer being 1.

The protocol (QEMU's documentation, "Device Specification for Inter-VM shared memory device"): messages are 64-bit
little-endian
numbers, each with at most one descriptor: protocol version 0; the device's own id; -1 with the shared memory; then each
peer's id with an eventfd, once per vector; then the device's own id with an eventfd, once per vector. All of it fits
into the socket's buffer, so it is sent before QEMU starts, and nobody needs to serve it.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from dirql.errors import UsageError
from dirql.qemu.memory import MIB
from dirql.qemu.waits import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dirql.qemu.attach import MachinePorts
    from dirql.qemu.waits import Watch

VENDOR_ID = 0x1AF4
DEVICE_ID = 0x1110
MAXIMUM_VECTORS = 64

_PROTOCOL_VERSION = 0
_SHARED_MEMORY = -1
_DEVICE_ID_ON_SERVER = 0
PEER_ID = 1

# The largest count that an eventfd takes: a descriptor that holds it is writable again only after it has been read.
_FULL = 0xFFFF_FFFF_FFFF_FFFE


def handshake(vectors: Sequence[int], peer: Sequence[int], memory: int) -> list[tuple[bytes, int | None]]:
    """Return the server's messages to a new device, each with its descriptor.

    Args:
        vectors: eventfds that raise the device's vectors.
        peer: eventfds that its writes to the doorbell register raise.
        memory: the shared memory.
    """
    messages: list[tuple[int, int | None]] = [
        (_PROTOCOL_VERSION, None),
        (_DEVICE_ID_ON_SERVER, None),
        (_SHARED_MEMORY, memory),
        *((PEER_ID, fd) for fd in peer),
        *((_DEVICE_ID_ON_SERVER, fd) for fd in vectors),
    ]
    return [(struct.pack("<q", number), fd) for number, fd in messages]


class Doorbell:
    """An ivshmem-doorbell device.

    Args:
        name: its id in QEMU; also names its channel.
        vectors: how many MSI-X vectors it has, 1 to 64.
        memory_bytes: size of the shared memory (BAR2), a power of two.
        address: its place on the bus, "slot" or "slot.function" in hexadecimal; None lets QEMU choose.

    Attributes:
        memory: the shared memory, as bytes.

    Raises:
        UsageError: a value is out of range.
    """

    def __init__(
        self, name: str = "doorbell", *, vectors: int = 1, memory_bytes: int = MIB, address: str | None = None
    ) -> None:
        if not 1 <= vectors <= MAXIMUM_VECTORS:
            raise UsageError(f"a doorbell has 1 to {MAXIMUM_VECTORS} vectors; {vectors} were asked for")
        if memory_bytes < mmap.PAGESIZE or memory_bytes & (memory_bytes - 1):
            raise UsageError(
                f"a doorbell's memory is a power of two of at least {mmap.PAGESIZE} bytes, not {memory_bytes}"
            )
        self.name = name
        self.vectors = vectors
        self._address = address
        self._watch: Watch | None = None
        self._memory_fd = os.memfd_create(f"dirql-{name}", os.MFD_CLOEXEC)
        os.ftruncate(self._memory_fd, memory_bytes)
        self._map = mmap.mmap(self._memory_fd, memory_bytes)
        self.memory = memoryview(self._map)
        self._rings = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(vectors)]
        self._rung = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(vectors)]
        self._ours, self._theirs = socket.socketpair()
        self._open = True
        for data, fd in handshake(self._rings, self._rung, self._memory_fd):
            socket.send_fds(self._ours, [data], [] if fd is None else [fd])

    def descriptors(self) -> Sequence[int]:
        """Return QEMU's end of the server's socket."""
        return (self._theirs.fileno(),)

    def arguments(self, fds: Sequence[int]) -> list[str]:
        """Return the device's part of the command line."""
        where = "" if self._address is None else f",addr={self._address}"
        return [
            *("-chardev", f"socket,id={self.name},fd={fds[0]}"),
            *("-device", f"ivshmem-doorbell,id={self.name}-pci,chardev={self.name},vectors={self.vectors}{where}"),
        ]

    def start(self, machine: MachinePorts) -> None:
        """Take part in the machine's waits. The handshake is in the socket already."""
        self._watch = machine.watch
        self._theirs.close()

    def release(self) -> None:
        """Do nothing: no CPU is ever held in this device."""

    def restore(self) -> None:
        """Do nothing: the device's connection outlives a reset."""

    def ring(self, vector: int = 0) -> None:
        """Raise a vector. Rings that QEMU has not consumed yet merge into one, as edges do."""
        with suppress(BlockingIOError):  # full: the ring before this one is still pending
            os.eventfd_write(self._rings[self._checked(vector)], _FULL)

    def consumed(self, vector: int = 0) -> bool:
        """Whether QEMU has taken the last ring: the interrupt message has been sent, or is being sent right now."""
        poller = select.poll()
        poller.register(self._rings[self._checked(vector)], select.POLLOUT)
        return bool(poller.poll(0))

    def wait_consumed(self, vector: int = 0, timeout: float | Deadline = 10.0) -> None:
        """Wait until QEMU has taken the last ring.

        Raises:
            WaitTimeout: it has not in time.
            MachineLost: QEMU ended.
        """
        fd = self._rings[self._checked(vector)]
        what = f"QEMU to take the ring of vector {vector} of {self.name}"
        self._waits.poll({fd: select.POLLOUT}, what, timeout, guest=False)

    @property
    def rung_fds(self) -> tuple[int, ...]:
        """The eventfds that become readable when the guest rings, by vector: for a selector of one's own."""
        return tuple(self._rung)

    def take_rung(self) -> dict[int, int]:
        """Return how often the guest rang since it was last asked, by vector; does not wait."""
        counts: dict[int, int] = {}
        for vector, fd in enumerate(self._rung):
            with suppress(BlockingIOError):
                counts[vector] = os.eventfd_read(fd)
        return counts

    def wait_any(self, timeout: float | Deadline, *, guest: bool = True) -> dict[int, int]:
        """Wait until the guest rings, on any vector.

        Args:
            timeout: seconds, or a deadline.
            guest: whether the guest's failure ends this wait.

        Returns:
            How often it rang since the last call, by vector.

        Raises:
            WaitTimeout, MachineLost, GuestError: as `Watch.wait`.
        """
        deadline = Deadline.of(timeout)
        vectors = {fd: vector for vector, fd in enumerate(self._rung)}
        wanted = dict.fromkeys(self._rung, select.POLLIN)
        counts: dict[int, int] = {}
        while not counts:
            for fd in self._waits.poll(wanted, f"the guest to ring {self.name}", deadline, guest=guest):
                with suppress(BlockingIOError):  # another thread took it
                    counts[vectors[fd]] = os.eventfd_read(fd)
        return counts

    def close(self) -> None:
        """Give everything back. Safe to call again."""
        if not self._open:
            return
        self._open = False
        self._ours.close()
        self._theirs.close()
        for fd in (*self._rings, *self._rung, self._memory_fd):
            os.close(fd)
        with suppress(BufferError):  # views of the memory that others still hold keep it
            self.memory.release()
            self._map.close()

    @property
    def _waits(self) -> Watch:
        if self._watch is None:
            raise UsageError(f"the doorbell {self.name} belongs to no machine yet: there is nothing to wait for")
        return self._watch

    def _checked(self, vector: int) -> int:
        if not 0 <= vector < self.vectors:
            raise UsageError(f"{self.name} has vectors 0 to {self.vectors - 1}; there is no vector {vector}")
        return vector
