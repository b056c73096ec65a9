# SPDX-License-Identifier: Apache-2.0
"""A floppy: QEMU's ISA controller (82077AA, IRQ 6, DMA channel 2) with one 1.44 MB drive, the medium in Python's hands.

The medium is a copy of the image that it is made from, in memory that QEMU inherits: the image's file is never changed,
and `data` reads what the guest has written, while the machine runs and when it is gone. QEMU moves a command's data at
once and knows neither the motor's nor the head's time. Under icount the same requests gave the same trace in all runs
that were compared (tests/system/guest/test_floppy.py compares two).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dirql.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dirql.qemu.attach import MachinePorts

SECTOR_BYTES = 512
FLOPPY_BYTES = 80 * 2 * 18 * SECTOR_BYTES
"""Bytes of a 1.44 MB medium."""


class Floppy:
    """A floppy controller with a drive.

    Args:
        image: what is in the drive: 1474560 bytes, or the path of a raw image of that size; None: nothing is.
        name: its id in QEMU.
        read_only: its media are write protected.

    Raises:
        UsageError: an image has another size, or there is no such file.
    """

    def __init__(
        self, image: bytes | bytearray | Path | None, *, name: str = "floppy", read_only: bool = False
    ) -> None:
        self.name = name
        self.read_only = read_only
        self._inside = image is not None
        self._machine: MachinePorts | None = None
        self._last = bytes(FLOPPY_BYTES)
        self._fd = -1
        content = self._last if image is None else _content(image)
        self._fd = os.memfd_create(f"dirql-{name}", os.MFD_CLOEXEC)
        os.pwrite(self._fd, content, 0)

    @property
    def data(self) -> bytes:
        """The bytes of the medium, the last one if the drive is empty."""
        return self._last if self._fd < 0 else os.pread(self._fd, FLOPPY_BYTES, 0)

    def eject(self) -> None:
        """Take the medium out, while the machine runs.

        Raises:
            UsageError: the machine does not run, or the drive is empty.
            MachineLost, WaitTimeout: QEMU does not answer.
        """
        machine = self._running()
        if not self._inside:
            raise UsageError(f"there is nothing in the drive {self.name}")
        machine.monitor("blockdev-remove-medium", {"id": self.name})
        self._inside = False

    def insert(self, image: bytes | bytearray | Path) -> None:
        """Put a medium in, in the place of the one that is in, while the machine runs.

        Args:
            image: as of the constructor.

        Raises:
            UsageError: the machine does not run, or as the constructor.
            MachineLost, WaitTimeout: QEMU does not answer.
        """
        machine = self._running()
        content = _content(image)
        if self._inside:
            self.eject()
        os.pwrite(self._fd, content, 0)
        machine.monitor("blockdev-insert-medium", {"id": self.name, "node-name": f"{self.name}-medium"})
        self._inside = True

    def descriptors(self) -> Sequence[int]:
        """Return the medium's memory."""
        return (self._fd,)

    def arguments(self, fds: Sequence[int]) -> list[str]:
        """Return the controller's, the drive's and the medium's part of the command line."""
        medium = f"{self.name}-medium"
        protected = "on" if self.read_only else "off"
        drive = f",drive={medium}" if self._inside else ""
        # An inherited descriptor is locked by nobody else; locking would only be one more thing that can fail.
        file = f"driver=file,node-name={self.name}-file,filename=/proc/self/fd/{fds[0]},locking=off"
        return [
            *("-blockdev", f"{file},read-only={protected}"),
            *("-blockdev", f"driver=raw,node-name={medium},file={self.name}-file,read-only={protected}"),
            *("-device", f"isa-fdc,id={self.name}-controller"),
            *("-device", f"floppy,id={self.name},bus={self.name}-controller.0,unit=0,drive-type=144{drive}"),
        ]

    def start(self, machine: MachinePorts) -> None:
        """Know the machine: media are changed through its monitor."""
        self._machine = machine

    def release(self) -> None:
        """Do nothing: no CPU is ever held in this device."""

    def restore(self) -> None:
        """Do nothing: the medium outlives a reset."""

    def close(self) -> None:
        """Give the memory back; `data` stays. Safe to call again."""
        if self._fd >= 0:
            self._last = self.data
            os.close(self._fd)
            self._fd = -1
        self._machine = None

    def _running(self) -> MachinePorts:
        if self._machine is None:
            raise UsageError(f"the machine of {self.name} does not run: its medium cannot be changed")
        return self._machine


def _content(image: bytes | bytearray | Path) -> bytes:
    if isinstance(image, Path):
        try:
            content = image.read_bytes()
        except OSError as error:
            raise UsageError(f"{image}: {error.strerror}") from None
    else:
        content = bytes(image)
    if len(content) != FLOPPY_BYTES:
        raise UsageError(f"a 1.44 MB floppy is {FLOPPY_BYTES} bytes; this image has {len(content)}")
    return content
