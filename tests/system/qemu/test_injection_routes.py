# SPDX-License-Identifier: Apache-2.0
"""Interrupts from Python to a guest of a few instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from dirql.devices.ivshmem import Doorbell
from dirql.devices.remote import RemotePciDevice
from dirql.devices.rendezvous import RELEASED, Rendezvous
from dirql.qemu.command import QemuConfig
from dirql.qemu.session import QemuSession
from tests.system.qemu.tiny_rom import BAR0, COM2, LAPIC, SLOT, Rom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VECTOR, OTHER, TICK = 0x51, 0x61, 0x71
TSC, COUNT = 0x1100, 0x1108
TICK_TSC, TICK_COUNT = 0x1110, 0x1118
BELL_SLOT = 5
BELL_REGISTERS, BELL_TABLE = 0xE0010000, 0xE0020000
MODES = ["mt", "icount"]
Mode = Literal["mt", "icount"]


def interruptible() -> Rom:
    rom = Rom().enable_device().enable_lapic().on_vector(TICK, tsc=TICK_TSC, count=TICK_COUNT)
    return rom.on_vector(VECTOR, OTHER, tsc=TSC, count=COUNT).enable_interrupts()


def with_bell(rom: Rom) -> Rom:
    """Place the doorbell's BARs and point its two MSI-X vectors at VECTOR and OTHER."""

    def config(register: int, value: int) -> None:
        rom.out32(0xCF8, 0x80000000 | BELL_SLOT << 11 | register).out32(0xCFC, value)

    config(0x10, BELL_REGISTERS)
    config(0x14, BELL_TABLE)
    config(0x04, 6)
    config(0x40, 0x80000000)  # MSI-X enable; QEMU puts the capability at 0x40
    for entry, vector in enumerate((VECTOR, OTHER)):
        at = BELL_TABLE + 16 * entry
        rom.poke(at, 0xFEE00000).poke(at + 4, 0).poke(at + 8, vector).poke(at + 12, 0)
    return rom


def echo_each(rom: Rom, times: int) -> Rom:
    """Say "ready", then a dot on COM1 for each interrupt: the handler counts, the loop takes one off."""
    rom.print("ready\r\n")
    for _ in range(times):
        rom.wait_nonzero(COUNT).raw("ff0d", COUNT).print(".")
    return rom.print("end\r\n").halt()


@pytest.mark.parametrize("mode", MODES)
def test_an_msi_from_qtest_reaches_its_handler(tmp_path: Path, mode: Mode) -> None:
    rom = echo_each(interruptible(), 3).write(tmp_path)
    with QemuSession(QemuConfig(mode=mode, rom=rom)) as session:
        session.console.expect("ready", 10)
        for vector in (VECTOR, OTHER, VECTOR):
            session.qtest.msi(0, vector)
            session.console.expect(r"\.", 10)
        session.console.expect("end", 10)


def test_the_doorbell_rings_both_ways(tmp_path: Path) -> None:
    rom = with_bell(interruptible()).print("ready\r\n")
    for _ in range(3):
        rom.wait_nonzero(COUNT).raw("ff0d", COUNT).poke(BELL_REGISTERS + 12, 1 << 16 | 1)
    bell = Doorbell(vectors=2, address=str(BELL_SLOT))
    with QemuSession(QemuConfig(rom=rom.halt().write(tmp_path)), devices=[bell]) as session:
        session.console.expect("ready", 10)
        for vector in (0, 1, 0):
            bell.ring(vector)
            assert bell.wait_any(10) == {1: 1}
            bell.wait_consumed(vector, 10)
            assert bell.consumed(vector)


def test_the_doorbells_memory_is_the_guests_bar_2(tmp_path: Path) -> None:
    rom = with_bell(Rom())
    rom.out32(0xCF8, 0x80000000 | BELL_SLOT << 11 | 0x18).out32(0xCFC, 0xE1000000)
    rom.load(0xE1000000).store(0xE1000004).print("done\r\n").halt()
    bell = Doorbell(vectors=2, address=str(BELL_SLOT))
    bell.memory[0:4] = (0x12345678).to_bytes(4, "little")
    with QemuSession(QemuConfig(rom=rom.write(tmp_path)), devices=[bell]) as session:
        session.console.expect("done", 10)
        assert bytes(bell.memory[4:8]) == b"\x78\x56\x34\x12"


def test_many_vectors_shake_hands(tmp_path: Path) -> None:
    with QemuSession(
        QemuConfig(rom=Rom().print("up").halt().write(tmp_path)), devices=[Doorbell(vectors=64)]
    ) as session:
        session.console.expect("up", 10)
        for vector in range(64):
            bell = session.devices[0]
            assert isinstance(bell, Doorbell)
            bell.ring(vector)
            bell.wait_consumed(vector, 10)


class Scratch(RemotePciDevice):
    """One register that holds what was written, one that interrupts when written, one that is read through DMA."""

    def __init__(self) -> None:
        super().__init__("scratch", vendor_id=0x1234, device_id=0x0042, msi=True, address=str(SLOT))
        self.value = 0
        self.resets = 0

    def read(self, bar: int, offset: int, size: int) -> int:
        del bar
        if offset == 0x10:
            return int.from_bytes(self.machine.ram.read(0x6000, size), "little")
        return self.value

    def write(self, bar: int, offset: int, size: int, value: int) -> None:
        del bar, size
        self.value = value
        if offset == 4:
            self.interrupt()

    def reset(self) -> None:
        self.value = 0
        self.resets += 1


@pytest.mark.parametrize("mode", MODES)
def test_a_device_in_python_is_read_written_interrupts_and_survives_a_reset(tmp_path: Path, mode: Mode) -> None:
    rom = interruptible()
    rom.load(BAR0).store(0x6010)
    rom.poke(BAR0, 0xABCD).load(BAR0).store(0x6014)
    rom.poke(0x6000, 0x77).load(BAR0 + 0x10).store(0x6018)
    rom.config(0x44, 0xFEE00000).config(0x48, 0).config(0x4C, VECTOR).config(0x40, 0x00010005)
    rom.poke(COUNT, 0).poke(BAR0 + 4, 1).wait_nonzero(COUNT).print("done\r\n").halt()
    device = Scratch()
    with QemuSession(QemuConfig(mode=mode, rom=rom.write(tmp_path)), devices=[device]) as session:
        for _ in range(3):
            session.console.expect("done", 10)
            assert [session.ram.load32(0x6010 + 4 * at) for at in range(3)] == [0, 0xABCD, 0x77]
            resets = device.resets
            session.reset()
            assert device.resets > resets


def test_the_second_serial_port_carries_bytes_both_ways(tmp_path: Path) -> None:
    rom = Rom().print("ready\r\n")
    again = rom.here
    rom.raw("ba", COM2 + 5, "ec a801 74fb ba", COM2, "ec 3401 88c3")  # wait for a byte, read it, flip its low bit
    rom.raw("ba", COM2 + 5, "ec a820 74fb ba", COM2, "88d8 ee")  # wait until the transmitter is free, send it
    rom.jump_to(again)
    got = bytearray()
    config = QemuConfig(rom=rom.write(tmp_path))
    with QemuSession(config, on_frame_bytes=got.extend) as session:
        session.console.expect("ready", 10)
        sent = bytes(range(256)) * 16
        session.frames.send(sent)
        session.watch.wait(lambda: len(got) == len(sent) or None, "the echo", 30)
        assert got == bytes(byte ^ 1 for byte in sent)


def run_to_the_end(
    folder: Path, mode: Mode, cpus: int, while_held: Callable[[QemuSession, int], None]
) -> tuple[int, ...]:
    """Boot a guest that meets the host three times and notes the TSC before, after, and in its interrupt handler.

    Its local APIC's timer (divisor 1, periodic, 50 us) interrupts it all the while.
    """
    rom = with_bell(interruptible())
    rom.poke(LAPIC + 0x3E0, 0xB).poke(LAPIC + 0x320, 0x20000 | TICK).poke(LAPIC + 0x380, 50_000)
    rom.tsc(0x2000)
    for at in range(3):
        rom.load(BAR0).store(0x3000 + 4 * at).tsc(0x2008 + 16 * at).spin(20000)
        rom.load(TSC).store(0x2010 + 16 * at)
    rom.load(COUNT).store(0x300C).load(TICK_COUNT).store(0x3010).load(TICK_TSC).store(0x3014).exit(0x10).halt()
    devices = (Rendezvous(address=str(SLOT)), Doorbell(vectors=2, address=str(BELL_SLOT)))
    with QemuSession(QemuConfig(mode=mode, cpus=cpus, rom=rom.write(folder)), devices=devices) as session:
        for at in range(3):
            meeting = devices[0].wait_for_guest(10)
            while_held(session, at)
            devices[0].answer(0x100 + meeting)
        assert session.process.wait(30) == 0x21
        words = [session.ram.load64(0x2000 + 8 * at) for at in range(7)]
        return (*words, *(session.ram.load32(0x3000 + 4 * at) for at in range(6)))


def inject(session: QemuSession, at: int) -> None:
    bell = session.devices[1]
    assert isinstance(bell, Doorbell)
    if at == 1:
        session.qtest.msi(0, OTHER)
    else:
        bell.ring(at // 2)
        bell.wait_consumed(at // 2, 10)


def timer_line(session: QemuSession) -> str:
    """Return what QEMU says of the boot CPU's timer, its current count included."""
    (line,) = [line for line in session.qmp.hmp("info lapic 0").splitlines() if "current_count" in line]
    return line


def inject_late_and_look_around(session: QemuSession, at: int) -> None:
    # While the only CPU thread is held, QEMU's main loop answers, and its virtual clock stands still.
    clock = timer_line(session)
    for _ in range(200 * at):
        assert session.qmp.execute("query-status")["running"]
    inject(session, at)
    assert timer_line(session) == clock


@pytest.mark.parametrize("cpus", [1, 4])
def test_under_icount_a_run_does_not_depend_on_how_long_the_host_takes(tmp_path: Path, cpus: int) -> None:
    quick = run_to_the_end(tmp_path, "icount", cpus, inject)
    assert quick[7:11] == (0x101, 0x102, 0x103, 3)
    assert quick[11] > 7
    start, after0, handler0, after1, handler1, after2, handler2 = quick[:7]
    # Each interrupt is taken at the very read during which it was injected, before the next instruction.
    assert start < handler0 < after0 < handler1 < after1 < handler2 < after2
    for while_held in (inject, inject_late_and_look_around, inject_late_and_look_around):
        assert run_to_the_end(tmp_path, "icount", cpus, while_held) == quick


def test_under_mt_the_rendezvous_works_too(tmp_path: Path) -> None:
    result = run_to_the_end(tmp_path, "mt", 2, inject)
    assert result[7:11] == (0x101, 0x102, 0x103, 3)


@pytest.mark.parametrize("mode", MODES)
def test_a_reset_lets_a_held_cpu_go_and_holds_it_again(tmp_path: Path, mode: Mode) -> None:
    rom = Rom().enable_device().raw("ff05", 0x7000).load(BAR0).store(0x7004).jump_to(0)
    device = Rendezvous(address=str(SLOT))
    with QemuSession(QemuConfig(mode=mode, cpus=2, rom=rom.write(tmp_path)), devices=[device]) as session:
        for _ in range(3):
            meeting = device.wait_for_guest(10)
            session.reset(prepare=lambda ram: ram.store64(0x7000, 0))
            assert device.wait_for_guest(10) > meeting
            assert session.ram.load32(0x7000) == 1
            assert session.ram.load32(0x7004) != RELEASED
            device.answer(0x55)
            device.wait_for_guest(10)
            assert session.ram.load32(0x7004) == 0x55
