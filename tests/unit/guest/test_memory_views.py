# SPDX-License-Identifier: Apache-2.0
"""Guest memory through page tables, and structures in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql.errors import UsageError
from dirql.guest.memory import KERNEL_BASE, View, physical
from tests.unit.guest.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

HIGH = 0xFFFF_8000_0000_0000


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    with world.ram:
        yield world


def test_the_kernel_is_at_its_physical_address(world: World) -> None:
    assert world.memory.translate(KERNEL_BASE + 0x12_3456) == 0x12_3456
    assert physical(KERNEL_BASE + 0x1000) == 0x1000
    assert physical(0x1000) == 0x1000


@pytest.mark.parametrize(("shift", "inside"), [(12, 0xABC), (21, 0x1F_FABC), (30, 0x12_3ABC)])
def test_pages_of_every_size(world: World, shift: int, inside: int) -> None:
    world.map(HIGH + (1 << 39), 0x40_0000 & ~((1 << shift) - 1), shift=shift)
    assert world.memory.translate(HIGH + (1 << 39) + inside) == (0x40_0000 & ~((1 << shift) - 1)) + inside


def test_what_is_not_mapped(world: World) -> None:
    assert world.memory.translate(0) is None
    assert world.memory.translate(HIGH) is None
    world.map(HIGH, 0x40_0000)
    assert world.memory.translate(HIGH + 0x1000) is None
    with pytest.raises(UsageError, match="nothing is mapped at 0xffff800000001000 in the guest"):
        world.memory.read(HIGH + 0xFF0, 32)
    with pytest.raises(UsageError, match="are not all RAM"):
        world.memory.read(KERNEL_BASE + 0x1000_0000, 8)


def test_before_there_are_page_tables(world: World) -> None:
    world.ram.store64(0x1000, 0)
    assert world.memory.translate(HIGH) is None
    assert world.memory.translate(KERNEL_BASE) == 0


def test_reading_across_pages_that_lie_apart(world: World) -> None:
    world.map(HIGH, 0x40_0000)
    world.map(HIGH + 0x1000, 0x50_0000)
    world.ram.write(0x40_0FFC, b"abcd")
    world.ram.write(0x50_0000, b"efgh\0rest")
    assert world.memory.read(HIGH + 0xFFC, 8) == b"abcdefgh"
    assert world.memory.load64(HIGH + 0xFFC) == int.from_bytes(b"abcdefgh", "little")
    assert world.memory.string(HIGH + 0xFFC, 100) == "abcdefgh"
    assert world.memory.string(HIGH + 0xFFC, 3) == "abc"


def test_fields(world: World) -> None:
    view = world.memory.variable("Pair", "PAIR")
    for name, value in (("First", 1 << 63), ("Second", 0xFFFF_FFFF), ("Odd", 0xABCD), ("Byte", 0xEF)):
        view.set(name, value)
        assert view.get(name) == value
    assert world.ram.read(0x11_0000, 16) == bytes.fromhex("0000000000000080 ffffffff cdab ef 00")
    assert world.memory.variable("Pair", "PAIR", 1).at == view.at + 16
    assert view.get("Text", 2) == 0xFF
    world.ram.write(0x11_0008, b"name\0xyz")
    assert view.text("Text") == "name"


def test_inner_structures(world: World) -> None:
    view: View = world.memory.variable("Pair", "PAIR")
    view.inner("Inner", 1).set("High", 0x1234_5678)
    assert view.inner("Inner", 1).get("High") == 0x1234_5678
    assert world.ram.load32(0x11_000C) == 0x1234_5678
    assert view.inner("Inner").get("High") == 0
