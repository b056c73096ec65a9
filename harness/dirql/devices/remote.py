# SPDX-License-Identifier: Apache-2.0
"""A PCI device in Python, register by register: what the guest reads is what a Python method returns.

It stands on QEMU's multi-process device support (`x-pci-proxy-dev`, QEMU 7.2 to 9; the device is experimental, and its
protocol was checked by experiment against 7.2): each configuration and BAR access is a message on a socket, to which
the vCPU waits for the answer. An access costs some tens of microseconds. While one vCPU waits, all else goes on; but
QEMU drops the access of a second vCPU to the same device meanwhile, so a driver has to serialise its accesses.

Messages are {int32 command, 4 bytes of padding, uint64 size} and `size` bytes; every answer is a `RETURN` with 64 bits.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from dirql.devices.config_space import ConfigSpace
from dirql.errors import ProtocolError, UsageError
from dirql.qemu.process import PROXY_DEVICE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dirql.qemu.attach import MachinePorts

_SYNC_MEMORY = 0  # where guest RAM is, with its descriptors: not needed, RAM is shared already; not answered
_RETURN = 1
_CONFIG_WRITE = 2
_CONFIG_READ = 3
_BAR_WRITE = 4
_BAR_READ = 5
_SET_IRQ_FD = 6  # descriptors for a level interrupt, which works under KVM only; not answered
_RESET = 7

_HEADER = struct.Struct("<iIQ")
_ANSWER = struct.Struct("<iIQQ")
_CONFIG_ACCESS = struct.Struct("<IIi")  # register, value, bytes
_BAR_ACCESS = struct.Struct("<QQI")  # physical address, value, bytes; then whether it is memory
_MAXIMUM_DESCRIPTORS = 8
_MAXIMUM_BODY = 4096


class RemotePciDevice:
    """A PCI device served by this process. Subclass it and give `read`, `write` and `reset` a meaning.

    They are called in the device's own thread, one access at a time. What they raise is answered with all ones and ends
    the waits for the guest.

    Args:
        name: its id in QEMU.
        vendor_id: 16 bits.
        device_id: 16 bits.
        class_code: class, subclass and programming interface; the default is "other system peripheral".
        bar_bytes: size of each BAR; all are 32-bit memory.
        msi: whether it has one MSI vector, for `interrupt`.
        address: its place on the bus, "slot" or "slot.function" in hexadecimal; None lets QEMU choose.

    Attributes:
        config: its configuration space.

    Raises:
        UsageError: a BAR's size makes no sense.
    """

    def __init__(
        self,
        name: str,
        *,
        vendor_id: int,
        device_id: int,
        class_code: int = 0x088000,
        bar_bytes: Sequence[int] = (4096,),
        msi: bool = False,
        address: str | None = None,
    ) -> None:
        self.name = name
        self.config = ConfigSpace(vendor_id, device_id, class_code=class_code, bar_bytes=bar_bytes, msi=msi)
        self._address = address
        self._machine: MachinePorts | None = None
        self._thread: threading.Thread | None = None
        self._ours, self._theirs = socket.socketpair()

    def read(self, bar: int, offset: int, size: int) -> int:
        """Return what the guest reads. The vCPU waits for it.

        Args:
            bar: BAR number.
            offset: from the BAR's start, in bytes.
            size: 1, 2, 4 or 8 bytes.
        """
        del bar, offset, size
        return 0

    def write(self, bar: int, offset: int, size: int, value: int) -> None:
        """Take what the guest writes. The vCPU waits until this returns. Arguments as for `read`."""

    def reset(self) -> None:
        """Return to the state at power-on. The configuration space has been reset already."""

    @property
    def machine(self) -> MachinePorts:
        """The machine that the device is in.

        Raises:
            UsageError: it is in none yet.
        """
        if self._machine is None:
            raise UsageError(f"the device {self.name} belongs to no machine yet")
        return self._machine

    def interrupt(self) -> bool:
        """Raise the device's MSI vector.

        Returns:
            Whether the guest has it enabled; otherwise nothing was sent.
        """
        message = self.config.msi_message
        if message is None:
            return False
        self.machine.message(message.address, message.data)
        return True

    def descriptors(self) -> Sequence[int]:
        """Return QEMU's end of the device's socket."""
        return (self._theirs.fileno(),)

    def arguments(self, fds: Sequence[int]) -> list[str]:
        """Return the device's part of the command line."""
        where = "" if self._address is None else f",addr={self._address}"
        return ["-device", f"{PROXY_DEVICE},id={self.name},fd={fds[0]}{where}"]

    def start(self, machine: MachinePorts) -> None:
        """Begin to serve: QEMU asks for the configuration space while it starts."""
        self._machine = machine
        self._theirs.close()
        self._thread = threading.Thread(target=self._serve, name=f"dirql-device-{self.name}", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Do nothing: a plain device answers at once."""

    def restore(self) -> None:
        """Do nothing: a plain device answers at once."""

    def close(self) -> None:
        """Stop serving. Safe to call again."""
        self.release()
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._ours.close()
        self._theirs.close()

    def _serve(self) -> None:
        with suppress(OSError, EOFError):
            while True:
                command, body = self._receive()
                answer = self._answer(command, body)
                if answer is not None:
                    self._ours.sendall(_ANSWER.pack(_RETURN, 0, 8, answer & 0xFFFF_FFFF_FFFF_FFFF))

    def _receive(self) -> tuple[int, bytes]:
        head, descriptors, _, _ = socket.recv_fds(self._ours, _HEADER.size, _MAXIMUM_DESCRIPTORS)
        for fd in descriptors:
            os.close(fd)
        head += self._exactly(_HEADER.size - len(head))
        command, _, size = _HEADER.unpack(head)
        if size > _MAXIMUM_BODY:
            self._complain(f"QEMU announced a message of {size} bytes; its protocol is not that of x-pci-proxy-dev")
            raise EOFError
        return command, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._ours.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _answer(self, command: int, body: bytes) -> int | None:
        if command in (_SYNC_MEMORY, _SET_IRQ_FD):
            return None
        if command == _CONFIG_READ:
            register, _, size = _CONFIG_ACCESS.unpack_from(body)
            return self.config.read(register, size)
        if command == _CONFIG_WRITE:
            register, value, size = _CONFIG_ACCESS.unpack_from(body)
            self.config.write(register, value, size)
            return 0
        if command in (_BAR_READ, _BAR_WRITE):
            return self._access(command, *_BAR_ACCESS.unpack_from(body))
        if command == _RESET:
            self.config.reset()
            self._guarded(self.reset)
            return 0
        self._complain(f"QEMU sent the unknown command {command}")
        return 0

    def _access(self, command: int, address: int, value: int, size: int) -> int:
        place = self.config.locate(address)
        if place is None:
            self._complain(f"QEMU passed on an access to {address:#x}, which is in none of its BARs")
            return -1
        bar, offset = place
        if command == _BAR_READ:
            return self._guarded(lambda: self.read(bar, offset, size))
        return self._guarded(lambda: self.write(bar, offset, size, value))

    def _guarded(self, call: Callable[[], int | None]) -> int:
        """Call a method of the subclass; its defects must not leave a vCPU without an answer."""
        try:
            return call() or 0
        except Exception as error:
            self._complain(f"{type(error).__name__}: {error}")
            return -1

    def _complain(self, text: str) -> None:
        message = f"the device {self.name} failed: {text}"
        self.machine.watch.fail(lambda: ProtocolError(message))
