# SPDX-License-Identifier: Apache-2.0
"""QEMU by itself: the least that any guest needs. Its ROM ends the machine at the first instruction."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from dirql.errors import LaunchError
from dirql.qemu.process import find_qemu

if TYPE_CHECKING:
    from pathlib import Path

ROM_BYTES = 1 << 16
EXIT_PORT = 0x501
EXIT_VALUE = 0
_RESET_VECTOR = ROM_BYTES - 16
_TIMEOUT = 60.0


def exit_rom() -> bytes:
    """Return a boot ROM that writes `EXIT_VALUE` to `EXIT_PORT` at the reset vector."""
    rom = bytearray(b"\xf4" * ROM_BYTES)  # hlt
    code = b"\xba" + EXIT_PORT.to_bytes(2, "little")  # mov dx, EXIT_PORT
    code += b"\xb0" + EXIT_VALUE.to_bytes(1, "little")  # mov al, EXIT_VALUE
    code += b"\xee"  # out dx, al
    rom[_RESET_VECTOR : _RESET_VECTOR + len(code)] = code
    return bytes(rom)


def bare_command(rom: Path, cpus: int) -> list[str]:
    """Return the command line of QEMU with nothing but CPUs, 64 MiB of RAM and a ROM.

    Args:
        rom: the ROM's file.
        cpus: how many CPUs.
    """
    return [
        *(find_qemu(), "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"),
        *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", str(cpus), "-m", "64M", "-bios", str(rom)),
        *("-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1"),
    ]


def bare_launch(rom: Path, cpus: int) -> float:
    """Start QEMU with a ROM that exits; return the seconds from the start to the process's end.

    Args:
        rom: a file with `exit_rom()`.
        cpus: how many CPUs.

    Raises:
        LaunchError: it did not end as the ROM makes it end.
    """
    command = bare_command(rom, cpus)
    started = time.monotonic()
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False)
    seconds = time.monotonic() - started
    if ended.returncode != EXIT_VALUE << 1 | 1:
        raise LaunchError(f"QEMU alone ended with status {ended.returncode}: {ended.stderr.decode(errors='replace')}")
    return seconds
