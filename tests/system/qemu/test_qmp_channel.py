# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from dirql.devices.remote import RemotePciDevice
from dirql.errors import GuestTripleFault, MachineLost, ProtocolError, UsageError, WaitTimeout
from dirql.qemu.command import QemuConfig
from dirql.qemu.session import QemuSession
from tests.system.qemu.tiny_rom import Rom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dirql.qemu.attach import MachinePorts
    from dirql.qemu.qmp import QmpEvent


@pytest.fixture
def session(tmp_path: Path) -> Iterator[QemuSession]:
    rom = Rom().print("hello\r\n").halt().write(tmp_path)
    with QemuSession(QemuConfig(rom=rom, cpus=2)) as session:
        session.console.expect("hello", 10)
        session.qmp.ready()
        yield session


def test_commands_answer(session: QemuSession) -> None:
    assert session.qmp.execute("query-status")["status"] == "running"
    cpus = session.qmp.execute("query-cpus-fast")
    assert [cpu["cpu-index"] for cpu in cpus] == [0, 1]
    assert session.qmp.hmp("info status").startswith("VM status: running\n")


def test_the_channel_can_be_closed_while_the_machine_runs_on(session: QemuSession) -> None:
    session.qmp.close()
    session.qmp.close()
    session.ram.store32(0x100, 5)
    assert session.qtest.readl(0x100) == 5
    assert session.process.returncode is None


def test_a_refused_command_says_which_and_why(session: QemuSession) -> None:
    with pytest.raises(ProtocolError, match=r'QEMU refused device_del {"id": "nobody"}: Device \'nobody\' not found'):
        session.qmp.execute("device_del", {"id": "nobody"})
    with pytest.raises(UsageError, match="not JSON"):
        session.qmp.execute("device_del", {"id": object()})
    assert session.qmp.execute("query-status")["running"]


def test_events_are_taken_by_name_and_the_others_stay(session: QemuSession) -> None:
    session.qmp.execute("stop")
    session.qmp.execute("cont")
    assert session.qmp.wait_event(["RESUME", "NOTHING"], 10).name == "RESUME"
    assert session.qmp.wait_event("STOP", 10).seconds > 0
    with pytest.raises(WaitTimeout, match="QEMU's event STOP"):
        session.qmp.wait_event("STOP", 0.01)
    session.qmp.execute("stop")
    session.qmp.wait_event("STOP", 10)
    assert session.qmp.clear_events() == ()


def test_the_death_of_qemu_ends_a_wait_for_an_event(session: QemuSession) -> None:
    timer = threading.Timer(0.05, lambda: os.kill(session.process.pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(MachineLost, match="was killed by SIGKILL"):
        session.qmp.wait_event("SHUTDOWN", 10)
    timer.join()
    with pytest.raises(MachineLost, match="SIGKILL"):
        session.qmp.execute("query-status")
    with pytest.raises(MachineLost, match="SIGKILL"):
        session.qtest.readl(0)
    with pytest.raises(MachineLost, match="SIGKILL"):
        session.console.expect("never", 10)


def test_the_death_of_qemu_ends_a_command(session: QemuSession) -> None:
    os.kill(session.process.pid, signal.SIGSTOP)
    timer = threading.Timer(0.05, lambda: os.kill(session.process.pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(MachineLost, match="was killed by SIGKILL"):
        session.qmp.execute("query-status")
    timer.join()


def test_a_command_that_takes_too_long_ends_at_its_deadline(session: QemuSession) -> None:
    os.kill(session.process.pid, signal.SIGSTOP)
    with pytest.raises(WaitTimeout, match="QEMU's answer to query-status"):
        session.qmp.execute("query-status", timeout=0.05)
    with pytest.raises(WaitTimeout, match="qtest's answer"):
        session.qtest.command("readl 0x0", 0.05)
    os.kill(session.process.pid, signal.SIGCONT)
    assert session.qmp.execute("query-status")["running"]
    session.ram.store32(0x100, 77)
    assert session.qtest.readl(0x100) == 77


def test_an_event_sent_just_before_the_end_is_delivered(session: QemuSession) -> None:
    session.qmp.execute("set-action", {"shutdown": "poweroff"})
    session.qmp.execute("quit")
    assert session.process.wait(10) == 0
    assert session.qmp.wait_event("SHUTDOWN", 10).data["reason"] == "host-qmp-quit"
    with pytest.raises(MachineLost, match="ended with status 0, silently"):
        session.qmp.wait_event("SHUTDOWN", 10)


def test_a_triple_fault_holds_the_machine_for_inspection_and_a_reset_runs_it_again(tmp_path: Path) -> None:
    rom = Rom().raw("ff05", 0x7000).print("boot\r\n").wait_nonzero(0x7010).triple_fault().write(tmp_path)
    machines: list[QemuSession] = []
    events: list[QmpEvent] = []

    def on_event(event: QmpEvent) -> None:
        events.append(event)
        if event.name == "SHUTDOWN":
            machines[0].watch.fail(lambda: GuestTripleFault(str(event.data["reason"])))

    with QemuSession(QemuConfig(rom=rom, cpus=2), on_event=on_event) as machine:
        machines.append(machine)
        machine.qmp.ready()
        for boot in range(1, 4):
            machine.console.expect("boot", 10)
            assert machine.ram.load32(0x7000) == boot
            machine.ram.store32(0x7010, 1)
            with pytest.raises(GuestTripleFault, match="guest-reset"):
                machine.console.expect("no such text", 10)
            assert machine.qmp.wait_event("SHUTDOWN", 10).data == {"guest": True, "reason": "guest-reset"}
            assert machine.qmp.execute("query-status") == {"status": "shutdown", "singlestep": False, "running": False}
            assert "EIP=" in machine.qmp.hmp("info registers")
            machine.reset(prepare=lambda ram: ram.store32(0x7010, 0))
        machine.console.expect("boot", 10)
        assert not machine.watch.failed
    assert "RESET" in [event.name for event in events]


def test_a_running_machine_can_be_reset(tmp_path: Path) -> None:
    rom = Rom().raw("ff05", 0x7000).print("boot\r\n").halt().write(tmp_path)
    with QemuSession(QemuConfig(rom=rom, cpus=4)) as session:
        for boot in range(1, 6):
            session.console.expect("boot", 10)
            assert session.ram.load32(0x7000) == boot
            session.reset()


def test_a_panic_holds_the_machine(tmp_path: Path) -> None:
    rom = Rom().print("boot\r\n").out8(0x505, 1).print("after\r\n").halt().write(tmp_path)
    with QemuSession(QemuConfig(rom=rom, on_bugcheck="pause")) as session:
        assert session.qmp.wait_event("GUEST_PANICKED", 10).data["action"] == "pause"
        session.qmp.wait_event("STOP", 10)
        assert session.qmp.execute("query-status")["status"] == "guest-panicked"
        session.reset()
        session.qmp.wait_event("GUEST_PANICKED", 10)


class SlowStart(RemotePciDevice):
    """A device whose start waits until the guest has got somewhere, so that QMP comes late."""

    def __init__(self) -> None:
        super().__init__("slow", vendor_id=0x1234, device_id=0x0043)

    def start(self, machine: MachinePorts) -> None:
        super().start(machine)
        machine.watch.wait(lambda: machine.ram.load32(0x7000) or None, "the guest's mark", 10)


@pytest.mark.parametrize("event", ["SHUTDOWN", "GUEST_PANICKED"])
def test_what_happened_before_negotiation_is_told_afterwards(tmp_path: Path, event: str) -> None:
    rom = Rom().poke(0x7000, 1).print("x")
    rom = (rom.triple_fault() if event == "SHUTDOWN" else rom.out8(0x505, 1)).halt()
    names: list[str] = []
    config = QemuConfig(rom=rom.write(tmp_path), on_bugcheck="pause")
    with QemuSession(config, devices=[SlowStart()], on_event=lambda event: names.append(event.name)) as session:
        session.qmp.wait_event(event, 10)
        session.qmp.ready()
        assert names.count(event) == 1


def test_a_callback_that_raises_is_reported_and_qmp_goes_on(tmp_path: Path) -> None:
    def on_event(event: QmpEvent) -> None:
        raise ZeroDivisionError(event.name)

    rom = Rom().halt().write(tmp_path)
    with QemuSession(QemuConfig(rom=rom), on_event=on_event) as session:
        session.qmp.execute("stop")
        with pytest.raises(ProtocolError, match=r"a callback failed on QEMU's event .*ZeroDivisionError"):
            session.watch.wait(lambda: None, "anything", 10)
        assert session.qmp.execute("query-status")["status"] == "paused"


def test_qmp_from_an_event_callback_is_refused(tmp_path: Path) -> None:
    machines: list[QemuSession] = []

    def on_event(event: QmpEvent) -> None:
        machines[0].qmp.execute(event.name)

    rom = Rom().halt().write(tmp_path)
    with QemuSession(QemuConfig(rom=rom), on_event=on_event) as machine:
        machines.append(machine)
        machine.qmp.execute("stop")
        with pytest.raises(ProtocolError, match="UsageError: QMP was called from inside an event callback"):
            machine.watch.wait(lambda: None, "anything", 10)
