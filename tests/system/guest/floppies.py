# SPDX-License-Identifier: Apache-2.0
"""What the tests of floppy.sys and fat12.sys share: images, their makers, transfers with many requests in flight."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING

from dirql.devices.floppy import FLOPPY_BYTES, SECTOR_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.handles import Handle
    from dirql.machine import Machine

CYLINDER_BYTES = 36 * SECTOR_BYTES
DOR = 0x3F2
MOTOR = 0x10


def random_image(seed: int) -> bytes:
    """Return a medium with no two sectors alike."""
    return random.Random(seed).randbytes(FLOPPY_BYTES)


def pieces(first: int, size: int, step: int) -> list[tuple[int, int]]:
    """Cut a part of the medium into (offset, bytes)."""
    return [(at, min(step, first + size - at)) for at in range(first, first + size, step)]


def read_all(handle: Handle, cpus: int, parts: list[tuple[int, int]]) -> bytes:
    """Read parts, all of them in flight, from all CPUs and at each IRQL that a dispatch routine may have, in turn."""
    futures = [
        handle.read_async(size, at, cpu=number % cpus, irql=number % 3) for number, (at, size) in enumerate(parts)
    ]
    return b"".join(future.result() for future in futures)


def write_all(handle: Handle, cpus: int, parts: list[tuple[int, int]], data: bytes) -> None:
    """Write parts of a whole medium's data. As `read_all`."""
    futures = [
        handle.write_async(data[at : at + size], at, cpu=number % cpus, irql=number % 3)
        for number, (at, size) in enumerate(parts)
    ]
    assert [future.result() for future in futures] == [size for _, size in parts]


def motor_runs(machine: Machine) -> bool:
    """Whether the controller's output register has the motor's bit; time does not pass meanwhile under icount."""
    return bool(int(machine.session.qtest.command(f"inb {DOR:#x}"), 16) & MOTOR)


class DosImage:
    """A FAT12 image that mtools makes.

    Args:
        folder: where its file goes, and what is copied into it.

    Attributes:
        path: the image.
        files: what is in it: paths with backslashes, as the guest has them.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "floppy.img"
        self.files: dict[str, bytes] = {}
        self._folder = folder
        self._run("mformat", "-C", "-f", "1440", "-i", str(self.path), "::")

    def folder(self, name: str) -> None:
        """Make a directory."""
        self._run("mmd", "-i", str(self.path), f"::{name.replace(chr(92), '/')}")

    def add(self, name: str, data: bytes) -> None:
        """Make a file."""
        source = self._folder / "source"
        source.write_bytes(data)
        self._run("mcopy", "-i", str(self.path), str(source), f"::{name.replace(chr(92), '/')}")
        self.files[name] = data

    def remove(self, name: str) -> None:
        """Delete a file."""
        self._run("mdel", "-i", str(self.path), f"::{name.replace(chr(92), '/')}")
        del self.files[name]

    def _run(self, *command: str) -> None:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def full_image(folder: Path, seed: int = 1) -> DosImage:
    """Return an image with many files, in directories two deep, some of them in pieces all over the medium."""
    chance = random.Random(seed)
    image = DosImage(folder)
    for name in ("DIR", "DIR\\SUB", "EMPTY"):
        image.folder(name)
    sizes = [0, 1, 511, 512, 513, 1024, 5000, 40_000, 150_000]
    for number, size in enumerate(sizes):
        image.add(f"DIR\\S{size}.BIN", chance.randbytes(size))
        image.add(f"DIR\\SUB\\N{number}.TXT", f"file {number}\r\n".encode() * (number + 1))
    for number in range(40):
        image.add(f"GAP{number}.DAT", chance.randbytes(chance.randrange(2000, 16_000)))
    for number in range(0, 40, 2):
        image.remove(f"GAP{number}.DAT")
    image.add("PIECES.BIN", chance.randbytes(120_000))
    image.add("NOEXT", b"no extension")
    return image
