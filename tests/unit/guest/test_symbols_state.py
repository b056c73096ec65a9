# SPDX-License-Identifier: Apache-2.0
"""Names for addresses, stacks, and CPU states as QEMU prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql.guest.memory import KERNEL_BASE
from dirql.guest.ntstatus import bugcheck_name, ntstatus_name
from dirql.guest.state import parse_irql, parse_registers, walk_stack
from tests.unit.guest.world import DRIVER_BASE, STACK, World

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTER = KERNEL_BASE + 0x10_0000
INNER = KERNEL_BASE + 0x10_0040
ENTRY = DRIVER_BASE + 0x1000
ISR = DRIVER_BASE + 0x1020
CODE = 0x40_0000
STACK_AT = 0xFFFF_8000_0000_0000 + STACK


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.map(STACK_AT, STACK)
    world.map(DRIVER_BASE + 0x1000, CODE)
    for function in (0x10_0000, 0x10_0040, CODE, CODE + 0x20):
        world.ram.write(function, b"\x55\x48\x89\xe5")  # push rbp; mov rbp, rsp
    world.symbols.add("some.sys", DRIVER_BASE, 0x3000, world.driver)
    with world.ram:
        yield world


def push(world: World, at: int, saved: int, returned: int) -> int:
    """Write a frame and return its address."""
    world.ram.store64(STACK + at, saved)
    world.ram.store64(STACK + at + 8, returned)
    return STACK_AT + at


def test_names(world: World) -> None:
    symbols = world.symbols
    assert symbols.where(OUTER) == "kernel.elf!KiOuter+0x0 (ke/outer.c:10)"
    assert symbols.where(INNER + 4) == "kernel.elf!KiInner+0x4 (ke/inner.c:20)"
    assert symbols.where(ISR + 0x2F) == "some.sys!DriverIsr+0x2f (some.c:50)"
    assert symbols.where(DRIVER_BASE + 0x10) == "some.sys+0x10"
    assert symbols.where(0x1234) == "0x1234"
    assert symbols.where(OUTER - 1) == f"{OUTER - 1:#x}"


def test_a_return_address_belongs_to_the_call_before_it(world: World) -> None:
    assert world.symbols.where(INNER, returned=True) == "kernel.elf!KiOuter+0x40 (ke/outer.c:10)"
    assert world.symbols.where(ISR, returned=True) == "some.sys!DriverEntry+0x20 (some.c:5)"
    assert world.symbols.where(ISR + 0x30, returned=True) == "some.sys!DriverIsr+0x30 (some.c:50)"


def test_modules_come_and_go(world: World) -> None:
    world.symbols.remove(DRIVER_BASE)
    assert world.symbols.where(ENTRY) == f"{ENTRY:#x}"
    assert world.symbols.module(ENTRY) is None
    world.symbols.add("other.sys", DRIVER_BASE, 0x2000, None)
    assert world.symbols.where(ENTRY) == "other.sys+0x1000"
    assert world.symbols.line(ENTRY) is None
    world.symbols.add("some.sys", DRIVER_BASE, 0x3000, world.driver)  # in its place
    assert [module.name for module in world.symbols.modules] == ["kernel.elf", "some.sys"]
    world.symbols.clear()
    assert [module.name for module in world.symbols.modules] == ["kernel.elf"]


def test_the_table_of_all_names(world: World) -> None:
    table = world.symbols.table()
    assert (ISR, 0x30, "some!DriverIsr") in table
    assert (OUTER, 0x40, "kernel!KiOuter") in table
    assert all(size for _, size, _ in table)


def test_a_chain_of_frames(world: World) -> None:
    last = push(world, 0x200, 0, OUTER + 8)
    frame = push(world, 0x100, last, ENTRY + 8)
    assert walk_stack(world.memory, world.symbols, ISR + 8, STACK_AT, frame) == (
        "some.sys!DriverEntry+0x8 (some.c:5)",
        "kernel.elf!KiOuter+0x8 (ke/outer.c:10)",
    )


@pytest.mark.parametrize(
    ("saved", "returned"), [(0, 0x1234), (0x7, OUTER + 8), (STACK_AT + 0x100, OUTER + 8), (1 << 62, OUTER + 8)]
)
def test_a_chain_that_leads_nowhere_ends(world: World, saved: int, returned: int) -> None:
    frame = push(world, 0x100, saved, returned)
    stack = walk_stack(world.memory, world.symbols, ISR + 8, STACK_AT, frame)
    assert stack == (() if returned == 0x1234 else ("kernel.elf!KiOuter+0x8 (ke/outer.c:10)",))


def test_a_long_chain_is_cut(world: World) -> None:
    for at in range(0x100, 0x900, 0x10):
        push(world, at, STACK_AT + at + 0x10, OUTER + 8)
    assert len(walk_stack(world.memory, world.symbols, ISR + 8, STACK_AT, STACK_AT + 0x100)) == 16


@pytest.mark.parametrize(
    ("rip", "code", "returned_at"),
    [
        (ISR, b"\x55", 0x80),  # before PUSH RBP
        (ISR + 1, b"\x55", 0x88),  # after it, before MOV
        (ISR + 9, b"\x90", 0x80),  # a function that makes no frame
        (0, b"", 0x80),  # called through a null pointer
    ],
)
def test_the_caller_of_a_function_without_a_frame(world: World, rip: int, code: bytes, returned_at: int) -> None:
    world.ram.write(CODE + 0x20, code)
    world.ram.store64(STACK + returned_at, ENTRY + 8)
    frame = push(world, 0x100, 0, OUTER + 8)
    assert walk_stack(world.memory, world.symbols, rip, STACK_AT + 0x80, frame) == (
        "some.sys!DriverEntry+0x8 (some.c:5)",
        "kernel.elf!KiOuter+0x8 (ke/outer.c:10)",
    )


def test_at_its_last_instruction_a_function_has_no_frame_any_more(world: World) -> None:
    world.ram.write(CODE + 0x20 + 0x10, b"\xc3")
    world.ram.store64(STACK + 0x80, ENTRY + 8)
    frame = push(world, 0x100, 0, OUTER + 8)
    assert len(walk_stack(world.memory, world.symbols, ISR + 0x10, STACK_AT + 0x80, frame)) == 2
    assert len(walk_stack(world.memory, world.symbols, ISR + 0x0F, STACK_AT + 0x80, frame)) == 1


REGISTERS = f"""
CPU#0
RAX=0000000000000000 RBX=0000000000000000 RCX=0000000000000000 RDX=0000000000000000
RSI=0000000000000000 RDI=0000000000000000 RBP={STACK_AT + 0x100:016x} RSP={STACK_AT:016x}
R8 =0000000000000000 R9 =0000000000000000 R10=0000000000000000 R11=0000000000000000
RIP={ISR + 8:016x} RFL=00000202 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0

CPU#1
RSI=0000000000000000 RDI=0000000000000000 RBP=0000000000000000 RSP=0000000000000000
RIP={OUTER + 8:016x} RFL=00000202 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=1
"""


def test_registers_as_qemu_prints_them(world: World) -> None:
    push(world, 0x100, 0, OUTER + 8)
    first, second = parse_registers(REGISTERS.replace("\n", "\r\n"), [5, 0], world.memory, world.symbols)
    assert (first.number, first.rip, first.irql) == (0, ISR + 8, 5)
    assert first.where == "some.sys!DriverIsr+0x8 (some.c:50)"
    assert first.stack == ("kernel.elf!KiOuter+0x8 (ke/outer.c:10)",)
    assert second.where == "kernel.elf!KiOuter+0x8 (ke/outer.c:10), halted"
    assert second.stack == ()
    assert parse_registers("", [], world.memory, world.symbols) == ()


@pytest.mark.parametrize(
    ("text", "irql"), [("TPR 0x20 PPR 0x20", 2), ("TPR 0xf0", 15), ("TPR 0x0", 0), ("nothing", -1)]
)
def test_irql_as_qemu_prints_it(text: str, irql: int) -> None:
    assert parse_irql(f"LVT0 0x1\nISR (none)\nAPR 0xd0 {text}\n") == irql


def test_names_of_codes() -> None:
    assert ntstatus_name(0xC000007B) == "STATUS_INVALID_IMAGE_FORMAT (0xc000007b)"
    assert ntstatus_name(-1073741701) == "STATUS_INVALID_IMAGE_FORMAT (0xc000007b)"
    assert ntstatus_name(0xC0001234) == "NTSTATUS 0xc0001234"
    assert bugcheck_name(0xA) == "IRQL_NOT_LESS_OR_EQUAL"
    assert bugcheck_name(0xDEAD) == "bugcheck 0xdead"
