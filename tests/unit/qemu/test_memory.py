# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from dirql.errors import UnsupportedError, UsageError
from dirql.qemu.memory import GIB, MIB, GuestRam, available_bytes


def test_both_mappings_are_the_same_memory() -> None:
    with GuestRam(MIB) as ram:
        ram.write(0x1000, b"hello")
        with mmap.mmap(ram.fd, MIB) as other:
            assert other[0x1000:0x1005] == b"hello"
            other[0x2000:0x2008] = (0x1122334455667788).to_bytes(8, "little")
        assert ram.load64(0x2000) == 0x1122334455667788
        assert ram.load32(0x2004) == 0x11223344
        ram.store64(0x3000, 2**64 - 1)
        ram.store32(0x3000, 0)
        assert ram.read(0x3000, 8) == b"\0\0\0\0\xff\xff\xff\xff"
        assert len(ram.view()) == ram.size == MIB


def test_the_size_is_sealed() -> None:
    with GuestRam(MIB) as ram, pytest.raises(PermissionError):
        os.ftruncate(ram.fd, 2 * MIB)


def test_the_descriptor_is_not_inherited_by_accident() -> None:
    with GuestRam(MIB) as ram:
        assert not os.get_inheritable(ram.fd)


@pytest.mark.parametrize("size", [0, -4096, 100])
def test_a_size_is_a_multiple_of_the_page_size(size: int) -> None:
    with pytest.raises(UsageError, match="multiple of"):
        GuestRam(size)


def test_no_memory_says_what_was_asked_what_there_is_and_what_to_do() -> None:
    with pytest.raises(UnsupportedError, match=r"1048576 MiB of RAM: \d+ MiB are available; ask for less"):
        GuestRam(1024 * GIB)


def test_available_memory_is_the_kernels_estimate(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  100 kB\nMemFree:  50 kB\nMemAvailable:  70 kB\n")
    assert available_bytes(meminfo) == 70 * 1024
    meminfo.write_text("MemTotal:  100 kB\n")
    with pytest.raises(UnsupportedError, match="MemAvailable"):
        available_bytes(meminfo)


@pytest.mark.parametrize(("physical", "size"), [(-1, 1), (MIB, 1), (MIB - 4, 8), (0, -1), (4 * GIB, 1)])
def test_an_access_outside_of_ram_is_refused(physical: int, size: int) -> None:
    with GuestRam(MIB) as ram, pytest.raises(UsageError, match="not all RAM"):
        ram.read(physical, size)


def test_a_word_access_is_aligned() -> None:
    with GuestRam(MIB) as ram:
        with pytest.raises(UsageError, match="not aligned to 8"):
            ram.load64(4)
        with pytest.raises(UsageError, match="not aligned to 4"):
            ram.store32(2, 0)


def test_ram_beyond_the_low_limit_is_above_4_gib() -> None:
    if available_bytes() < 3 * GIB:
        pytest.skip("needs 3 GiB of available memory (pages that are not touched cost nothing)")
    with GuestRam(3 * GIB) as ram:
        assert ram.low_size == 2 * GIB
        assert ram.offset(4 * GIB, GIB) == 2 * GIB
        for physical, size in ((2 * GIB, 1), (2 * GIB - 4, 8), (5 * GIB, 1), (5 * GIB - 4, 8)):
            with pytest.raises(UsageError):
                ram.offset(physical, size)


def test_closing_twice_and_with_views_in_use_is_fine() -> None:
    ram = GuestRam(MIB)
    view = ram.view()[:16]
    ram.close()
    ram.close()
    view[0] = 1
    assert view[0] == 1
