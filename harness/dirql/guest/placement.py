# SPDX-License-Identifier: Apache-2.0
"""Puts the kernel into guest RAM: before QEMU starts, and again, as far as needed, at a reset.

QEMU's own loader copies the whole image anew at every reset, which throws away every translation of its code; booting
again then takes several times as long. Here code is written only where it no longer is what it should be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.guest.image import KernelImage
    from dirql.qemu.memory import GuestRam


def place(kernel: KernelImage, ram: GuestRam) -> None:
    """Write the whole image. No guest code may have run yet: TCG would not notice new code.

    Args:
        kernel: the image.
        ram: where to.

    Raises:
        UsageError: it does not fit.
    """
    for segment in kernel.segments:
        ram.write(segment.physical, kernel.data[segment.offset : segment.offset + segment.size])


def restore(kernel: KernelImage, ram: GuestRam, write_code: Callable[[int, bytes], None]) -> int:
    """Make the image in RAM what it was at first. The machine stands still.

    Args:
        kernel: the image.
        ram: where it is.
        write_code: writes bytes to a physical address so that QEMU notices (qtest's write).

    Returns:
        Bytes of code that had to be written: 0 unless something overwrote the kernel.
    """
    written = 0
    for segment in kernel.segments:
        wanted = kernel.data[segment.offset : segment.offset + segment.size]
        if not segment.executable:
            ram.write(segment.physical, wanted)
        elif ram.read(segment.physical, segment.size) != wanted:
            write_code(segment.physical, wanted)
            written += segment.size
    return written
