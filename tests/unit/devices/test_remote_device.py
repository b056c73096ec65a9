# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import socket
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dirql.devices.remote import RemotePciDevice
from dirql.devices.rendezvous import RELEASED, Rendezvous
from dirql.errors import MachineLost, ProtocolError, UsageError, WaitTimeout
from dirql.qemu.attach import MachinePorts
from dirql.qemu.memory import MIB, GuestRam
from dirql.qemu.pump import Pump
from dirql.qemu.waits import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

BAR = 0xE0000000


class Adder(RemotePciDevice):
    """Reads return what was written, plus the offset."""

    def __init__(self) -> None:
        super().__init__("adder", vendor_id=0x1234, device_id=0x0001, bar_bytes=(4096,), msi=True)
        self.value = 0
        self.resets = 0

    def read(self, bar: int, offset: int, size: int) -> int:
        if offset == 0x100:
            raise ZeroDivisionError("a defect")
        return self.value + offset + size + bar

    def write(self, bar: int, offset: int, size: int, value: int) -> None:
        del bar, offset, size
        self.value = value

    def reset(self) -> None:
        self.resets += 1


class FakeQemu:
    """The other side of the protocol: what QEMU's proxy device sends."""

    def __init__(self, device: RemotePciDevice) -> None:
        self.watch = Watch()
        self.pump = Pump(self.watch)
        self.ram = GuestRam(MIB)
        self.messages: list[tuple[int, int]] = []
        self.sock = socket.socket(fileno=os.dup(device.descriptors()[0]))
        self.sock.settimeout(10)
        self.device = device
        device.start(MachinePorts(self.watch, self.pump, self.ram, lambda a, d: self.messages.append((a, d))))

    def send(self, command: int, body: bytes = b"", fds: tuple[int, ...] = ()) -> None:
        socket.send_fds(self.sock, [struct.pack("<iIQ", command, 0xDEAD, len(body)) + body], fds)

    def ask(self, command: int, body: bytes = b"") -> int:
        self.send(command, body)
        return self.answer()

    def answer(self) -> int:
        data = self.sock.recv(24, socket.MSG_WAITALL)
        command, _, size, value = struct.unpack("<iIQQ", data)
        assert (command, size) == (1, 8)
        return int(value)

    def config_read(self, register: int, size: int) -> int:
        return self.ask(3, struct.pack("<IIi", register, 0, size))

    def config_write(self, register: int, value: int, size: int) -> int:
        return self.ask(2, struct.pack("<IIi", register, value, size))

    def bar_read(self, offset: int, size: int) -> int:
        return self.ask(5, struct.pack("<QQI?3x", BAR + offset, 0, size, True))

    def bar_write(self, offset: int, value: int, size: int) -> int:
        return self.ask(4, struct.pack("<QQI?3x", BAR + offset, value, size, True))

    def close(self) -> None:
        self.sock.close()
        self.device.close()
        self.device.close()
        self.pump.close()
        self.watch.close()
        self.ram.close()


@pytest.fixture
def adder() -> Iterator[FakeQemu]:
    qemu = FakeQemu(Adder())
    yield qemu
    qemu.close()


@pytest.fixture
def meeting() -> Iterator[FakeQemu]:
    qemu = FakeQemu(Rendezvous())
    qemu.config_write(0x10, BAR, 4)
    yield qemu
    qemu.close()


def test_configuration_and_bar_accesses_reach_the_device(adder: FakeQemu) -> None:
    assert adder.config_read(0, 4) == 0x00011234
    adder.config_write(0x10, BAR, 4)
    assert adder.bar_write(0, 1000, 4) == 0
    assert adder.bar_read(0x20, 8) == 1000 + 0x20 + 8


def test_descriptors_that_qemu_sends_are_closed(adder: FakeQemu) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        read, write = os.pipe()
        adder.send(0, bytes(192), (read,))
        adder.send(6, fds=(read, write))
        os.close(read)
        os.close(write)
    assert adder.config_read(0, 2) == 0x1234
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_reset_reaches_the_device_and_its_configuration(adder: FakeQemu) -> None:
    adder.config_write(0x10, BAR, 4)
    assert adder.ask(7) == 0
    assert adder.config_read(0x10, 4) == 0
    assert isinstance(adder.device, Adder)
    assert adder.device.resets == 1


def test_a_defect_is_answered_and_ends_the_waits(adder: FakeQemu) -> None:
    adder.config_write(0x10, BAR, 4)
    assert adder.bar_read(0x100, 4) == 2**64 - 1
    with pytest.raises(ProtocolError, match="the device adder failed: ZeroDivisionError: a defect"):
        adder.watch.check()
    assert adder.bar_read(0, 4) == 4


def test_an_access_outside_of_every_bar_is_reported(adder: FakeQemu) -> None:
    assert adder.ask(5, struct.pack("<QQI?3x", 0x1000, 0, 4, True)) == 2**64 - 1
    with pytest.raises(ProtocolError, match="in none of its BARs"):
        adder.watch.check()


def test_an_unknown_protocol_is_reported(adder: FakeQemu) -> None:
    assert adder.ask(99) == 0
    with pytest.raises(ProtocolError, match="unknown command 99"):
        adder.watch.check()
    adder.watch.forgive()
    adder.sock.sendall(struct.pack("<iIQ", 3, 0, 1 << 40))
    with pytest.raises(ProtocolError, match="announced a message"):
        adder.watch.wait(lambda: None, "anything", 10)


def test_the_interrupt_is_sent_once_the_guest_has_enabled_it(adder: FakeQemu) -> None:
    assert not adder.device.interrupt()
    adder.config_write(0x44, 0xFEE00000, 4)
    adder.config_write(0x4C, 0x61, 2)
    adder.config_write(0x42, 1, 2)
    assert adder.device.interrupt()
    assert adder.messages == [(0xFEE00000, 0x61)]


def test_a_device_without_a_machine_says_so() -> None:
    device = Adder()
    with pytest.raises(UsageError, match="belongs to no machine"):
        _ = device.machine
    device.close()


def meet(qemu: FakeQemu) -> Rendezvous:
    """Let the guest come to the rendezvous, without taking its answer."""
    assert isinstance(qemu.device, Rendezvous)
    qemu.send(5, struct.pack("<QQI?3x", BAR, 0, 4, True))
    return qemu.device


def test_a_read_is_held_until_it_is_answered(meeting: FakeQemu) -> None:
    device = meet(meeting)
    assert device.wait_for_guest(10) == 1
    assert device.waiting
    assert device.wait_for_guest(10) == 1
    device.answer(42)
    assert not device.waiting
    assert meeting.answer() == 42
    meet(meeting)
    assert device.wait_for_guest(10) == 2
    device.answer(0)
    assert meeting.answer() == 0


def test_only_the_rendezvous_register_holds(meeting: FakeQemu) -> None:
    assert meeting.bar_read(4, 4) == 0
    assert meeting.bar_read(0, 1) == 0
    assert meeting.bar_write(0, 1, 4) == 0


def test_nobody_there_is_an_error_or_a_timeout(meeting: FakeQemu) -> None:
    assert isinstance(meeting.device, Rendezvous)
    with pytest.raises(UsageError, match="no CPU at the rendezvous"):
        meeting.device.answer(1)
    with pytest.raises(WaitTimeout, match="the guest to come to the rendezvous"):
        meeting.device.wait_for_guest(0.01)
    threading.Timer(0.01, lambda: meeting.watch.lose(lambda: MachineLost("gone"))).start()
    with pytest.raises(MachineLost):
        meeting.device.wait_for_guest(10)


@pytest.mark.parametrize("value", [-1, RELEASED, 2**32])
def test_an_answer_can_be_told_from_a_release(meeting: FakeQemu, value: int) -> None:
    device = meet(meeting)
    device.wait_for_guest(10)
    with pytest.raises(UsageError, match="an answer is 0 to 0xfffffffe"):
        device.answer(value)


def test_release_lets_go_and_restore_holds_again(meeting: FakeQemu) -> None:
    device = meet(meeting)
    device.wait_for_guest(10)
    device.release()
    assert meeting.answer() == RELEASED
    assert meeting.bar_read(0, 4) == RELEASED
    device.restore()
    meet(meeting)
    assert device.wait_for_guest(10) == 2
    device.answer(5)
    assert meeting.answer() == 5


def test_closing_lets_go(meeting: FakeQemu) -> None:
    device = meet(meeting)
    device.wait_for_guest(10)
    device.close()
    assert not device.waiting
