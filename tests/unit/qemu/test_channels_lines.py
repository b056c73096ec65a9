# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from dirql.errors import MachineLost, ProtocolError, WaitTimeout
from dirql.qemu.pump import Pump
from dirql.qemu.qtest import IrqEvent, Qtest
from dirql.qemu.serial import ByteLine, TextLine
from dirql.qemu.waits import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Bench:
    """A watch, a pump, and both ends of a channel."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.pump = Pump(self.watch)
        self.ours, self.theirs = socket.socketpair()

    def close(self) -> None:
        self.pump.close()
        self.watch.close()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_bytes_arrive_in_order_and_the_end_is_seen(bench: Bench) -> None:
    got = bytearray()
    line = ByteLine(bench.ours, bench.watch, bench.pump, got.extend)
    bench.theirs.sendall(b"abc")
    bench.theirs.sendall(b"def")
    bench.theirs.close()
    bench.watch.wait(lambda: line.ended or None, "the end", 10)
    assert got == b"abcdef"


def test_the_line_is_drained_while_nobody_waits(bench: Bench) -> None:
    got = bytearray()
    ByteLine(bench.ours, bench.watch, bench.pump, got.extend)
    bench.theirs.settimeout(10)
    bench.theirs.sendall(bytes(4_000_000))
    bench.watch.wait(lambda: len(got) == 4_000_000 or None, "all of it", 10)


def test_a_callback_that_raises_ends_the_waits_and_not_the_thread(bench: Bench) -> None:
    got: list[bytes] = []

    def decode(data: bytes) -> None:
        got.append(data)
        if data == b"bad":
            raise ProtocolError("a frame has a wrong CRC")
        if data == b"worse":
            raise ZeroDivisionError

    ByteLine(bench.ours, bench.watch, bench.pump, decode)
    bench.theirs.sendall(b"bad")
    with pytest.raises(ProtocolError, match="wrong CRC"):
        bench.watch.wait(lambda: None, "anything", 10)
    bench.watch.forgive()
    bench.theirs.sendall(b"worse")
    with pytest.raises(ProtocolError, match="ZeroDivisionError"):
        bench.watch.wait(lambda: None, "anything", 10)
    bench.theirs.sendall(b"good")
    bench.watch.wait(lambda: b"good" in got or None, "the next piece", 10, guest=False)


def test_sending_to_a_guest_that_does_not_read_ends_at_the_deadline(bench: Bench) -> None:
    line = ByteLine(bench.ours, bench.watch, bench.pump, lambda _: None)
    line.send(b"fits")
    with pytest.raises(WaitTimeout, match="the guest to read"):
        line.send(bytes(10_000_000), 0.02)
    bench.watch.lose(lambda: MachineLost("gone"))
    with pytest.raises(MachineLost):
        line.send(bytes(10_000_000), 10)


def test_sending_goes_on_as_the_guest_reads(bench: Bench) -> None:
    line = ByteLine(bench.ours, bench.watch, bench.pump, lambda _: None)
    size = 1_000_000
    total = 0

    def read() -> None:
        nonlocal total
        while total < size:
            total += len(bench.theirs.recv(65536))

    reader = threading.Thread(target=read)
    reader.start()
    line.send(bytes(size), 10)
    reader.join()
    assert total == size


def test_text_is_kept_logged_and_expected(bench: Bench, tmp_path: Path) -> None:
    line = TextLine(bench.ours, bench.watch, bench.pump, tmp_path / "console.log")
    bench.theirs.sendall("boot\r\ncpu 0 up\r\ncpu 1 up\r\nna\u00efve> ".encode())
    assert line.expect(r"cpu (\d+) up", 10)[1] == "0"
    assert line.expect(r"cpu (\d+) up", 10)[1] == "1"
    line.expect("\u00efve> ", 10)
    assert line.text == "boot\ncpu 0 up\ncpu 1 up\nna\u00efve> "
    assert line.tail(2) == ("cpu 1 up", "na\u00efve> ")
    with pytest.raises(WaitTimeout, match=r"'login:' on the console(.|\n)*cpu 1 up"):
        line.expect("login:", 0.01)
    line.sendline("help")
    assert bench.theirs.recv(100) == b"help\r"
    line.close()
    assert (tmp_path / "console.log").read_bytes() == line.data


def test_what_came_before_a_failed_expect_is_not_lost(bench: Bench) -> None:
    line = TextLine(bench.ours, bench.watch, bench.pump)
    bench.theirs.sendall(b"one two")
    with pytest.raises(WaitTimeout):
        line.expect("three", 0.01)
    assert line.expect("(one) (two)", 10).groups() == ("one", "two")


def test_expecting_ends_when_qemu_does(bench: Bench) -> None:
    line = TextLine(bench.ours, bench.watch, bench.pump)
    threading.Timer(0.01, lambda: bench.watch.lose(lambda: MachineLost("gone"))).start()
    with pytest.raises(MachineLost, match="gone"):
        line.expect("anything", 10)


class FakeQtest:
    """Answers each command line with what a function says; None means no answer."""

    def __init__(self, sock: socket.socket, answers: dict[str, bytes | None]) -> None:
        self.seen: list[str] = []
        self._sock = sock
        self._answers = answers
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with self._sock.makefile("rb") as lines:
            for line in lines:
                command = line.decode().strip()
                self.seen.append(command)
                answer = self._answers.get(command, b"OK\n")
                if answer is not None:
                    self._sock.sendall(answer)

    def join(self) -> None:
        self._thread.join()


def test_qtest_speaks_its_line_protocol(bench: Bench) -> None:
    fake = FakeQtest(
        bench.theirs,
        {
            "readl 0x1000": b"OK 0x0000000012345678\n",
            "read 0x1000 0x2": b"OK 0xab",
            "bad": b"FAIL Unknown command 'bad'\n",
        },
    )
    qtest = Qtest(bench.ours, bench.watch, bench.pump, timeout=10)
    assert qtest.readl(0x1000) == 0x12345678
    qtest.writeq(0x2000, 2**63)
    qtest.write(0x3000, b"\x01\x02")
    qtest.msi(3, 0x51)
    qtest.nmi(1)
    qtest.set_irq_in(9, 1)
    with pytest.raises(ProtocolError, match="Unknown command"):
        qtest.command("bad")
    threading.Timer(0.01, lambda: bench.theirs.sendall(b"cd\n")).start()
    assert qtest.read(0x1000, 2) == b"\xab\xcd"
    assert fake.seen[1:6] == [
        "writeq 0x2000 0x8000000000000000",
        "write 0x3000 0x2 0x0102",
        "writel 0xfee03000 0x51",
        "writel 0xfee01000 0x400",
        "set_irq_in /machine/q35/ioapic unnamed-gpio-in 9 1",
    ]
    bench.ours.shutdown(socket.SHUT_RDWR)
    fake.join()


def test_a_late_answer_is_not_taken_for_the_next_one(bench: Bench) -> None:
    fake = FakeQtest(bench.theirs, {"readl 0x1": None, "readl 0x2": b"OK 0x1\nOK 0x2\n"})
    qtest = Qtest(bench.ours, bench.watch, bench.pump)
    with pytest.raises(WaitTimeout, match="readl 0x1"):
        qtest.command("readl 0x1", 0.01)
    assert qtest.readl(2) == 2
    bench.ours.shutdown(socket.SHUT_RDWR)
    fake.join()


def test_intercepted_pins_are_reported_between_answers(bench: Bench) -> None:
    fake = FakeQtest(bench.theirs, {"readl 0x1": b"IRQ raise 4\nIRQ lower 4\nOK 0x5\n"})
    qtest = Qtest(bench.ours, bench.watch, bench.pump, timeout=10)
    qtest.irq_intercept_in()
    qtest.irq_intercept_in()
    assert qtest.readl(1) == 5
    qtest.wait_irq(4, True, 10)
    qtest.wait_irq(4, False, 10)
    with pytest.raises(WaitTimeout, match="pin 4 to go up"):
        qtest.wait_irq(4, True, 0.01)
    bench.theirs.sendall(b"IRQ raise 4\n")
    qtest.wait_irq(4, True, 10)
    assert IrqEvent(4, True) != IrqEvent(4, False)
    qtest.close()
    qtest.close()
    bench.ours.shutdown(socket.SHUT_RDWR)
    fake.join()


@pytest.mark.parametrize("pumped", [False, True])
def test_a_qtest_channel_that_closes_says_that_qemu_has_gone(bench: Bench, pumped: bool) -> None:
    fake = FakeQtest(bench.theirs, {"readl 0x1": None})
    qtest = Qtest(bench.ours, bench.watch, bench.pump, timeout=10)
    if pumped:
        qtest.irq_intercept_in()
    threading.Timer(0.01, lambda: bench.theirs.shutdown(socket.SHUT_RDWR)).start()
    threading.Timer(0.02, lambda: bench.watch.lose(lambda: MachineLost("gone"))).start()
    with pytest.raises(MachineLost, match="gone"):
        qtest.readl(1)
    fake.join()
