# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from dirql.guest import artifacts
from dirql.guest.image import KernelImage
from dirql.guest.memory import physical
from dirql.guest.placement import place, restore
from dirql.qemu.memory import MIB, GuestRam


@pytest.fixture(scope="module")
def kernel() -> KernelImage:
    return KernelImage(artifacts.kernel())


def forbidden(address: int, data: bytes) -> None:
    raise AssertionError(f"{len(data)} bytes of code were written to {address:#x}")


def test_the_image_is_where_its_headers_say(kernel: KernelImage) -> None:
    with GuestRam(32 * MIB) as ram:
        place(kernel, ram)
        for segment in kernel.segments:
            assert (
                ram.read(segment.physical, segment.size) == kernel.data[segment.offset : segment.offset + segment.size]
            )
        assert restore(kernel, ram, forbidden) == 0


def test_data_is_written_anew_and_code_only_where_it_changed(kernel: KernelImage) -> None:
    code = physical(kernel.address("KiDispatchTrap"))
    with GuestRam(32 * MIB) as ram:
        place(kernel, ram)
        for segment in kernel.segments:
            if not segment.executable:
                ram.write(segment.physical, bytes(segment.size))
        assert restore(kernel, ram, forbidden) == 0
        ram.write(code, b"\xcc")
        assert restore(kernel, ram, lambda address, data: ram.write(address, data)) > 0
        assert restore(kernel, ram, forbidden) == 0
