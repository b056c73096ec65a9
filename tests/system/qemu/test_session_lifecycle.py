# SPDX-License-Identifier: Apache-2.0
"""Nothing survives a run: not after success, an exception, or the death of Python itself."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dirql.devices.ivshmem import Doorbell
from dirql.devices.rendezvous import Rendezvous
from dirql.errors import LaunchError, MachineLost, UsageError
from dirql.qemu.command import QemuConfig
from dirql.qemu.session import QemuSession
from tests.system.qemu.tiny_rom import BAR0, SLOT, Rom


def gone(pidfd: int) -> bool:
    """Whether a process has ended, waiting for that for up to ten seconds."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(10_000))


def descriptors() -> set[str]:
    return {f"{fd} {target}" for fd, target in fd_targets().items() if "eventpoll" not in target}


def fd_targets() -> dict[str, str]:
    targets = {}
    for entry in list(Path("/proc/self/fd").iterdir()):
        try:
            targets[entry.name] = str(entry.readlink())
        except FileNotFoundError:
            continue
    return targets


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    return Rom().print("hello\r\n").halt().write(tmp_path)


def test_nothing_is_left_after_a_session(hello: Path) -> None:
    with QemuSession(QemuConfig(rom=hello)) as session:
        session.qmp.ready()  # starts the threads that all machines share
    before, threads = descriptors(), threading.active_count()
    with QemuSession(QemuConfig(rom=hello), devices=[Doorbell(vectors=4), Rendezvous()]) as session:
        session.console.expect("hello", 10)
        session.qmp.ready()
        pid = session.process.pid
    session.close()
    assert descriptors() == before
    assert threading.active_count() == threads
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_nothing_is_left_after_an_exception(hello: Path) -> None:
    pidfds: list[int] = []

    def run_and_fail() -> None:
        with QemuSession(QemuConfig(rom=hello)) as session:
            pidfds.append(os.pidfd_open(session.process.pid))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_and_fail()
    (pidfd,) = pidfds
    assert gone(pidfd)
    os.close(pidfd)


def test_nothing_is_left_when_a_step_of_the_start_fails(hello: Path) -> None:
    with QemuSession(QemuConfig(rom=hello)) as session:
        session.qmp.ready()
    before, threads = descriptors(), threading.active_count()

    def fail(ram: object) -> None:
        raise ZeroDivisionError(ram)

    with pytest.raises(ZeroDivisionError):
        QemuSession(QemuConfig(rom=hello), devices=[Doorbell()], prepare=fail)
    with pytest.raises(FileNotFoundError):
        QemuSession(QemuConfig(rom=hello), folder=hello.parent / "missing")
    assert descriptors() == before
    assert threading.active_count() == threads


CHILD = """
import signal, sys
from pathlib import Path
from dirql.qemu.command import QemuConfig
from dirql.qemu.session import QemuSession

session = QemuSession(QemuConfig(rom=Path(sys.argv[1])))
session.console.expect("hello", 10)
print(session.process.pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_qemu_dies_with_python(hello: Path, number: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(hello)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdout is not None
    pidfd = os.pidfd_open(int(child.stdout.readline()))
    child.send_signal(number)
    child.wait()
    child.stdout.close()
    assert gone(pidfd)
    os.close(pidfd)


def test_qemu_outlives_the_thread_that_asked_for_it(hello: Path) -> None:
    sessions: list[QemuSession] = []
    thread = threading.Thread(target=lambda: sessions.append(QemuSession(QemuConfig(rom=hello))))
    thread.start()
    thread.join()
    with sessions[0] as session:
        session.console.expect("hello", 10)
        assert session.qmp.execute("query-status")["running"]


def test_qemu_is_out_of_reach_of_the_terminals_signals(hello: Path) -> None:
    with QemuSession(QemuConfig(rom=hello)) as session:
        session.qmp.ready()
        assert os.getsid(session.process.pid) == session.process.pid != os.getsid(0)


def test_a_session_starts_from_a_forked_child_too(hello: Path) -> None:
    with QemuSession(QemuConfig(rom=hello)) as session:
        session.qmp.ready()
    code = (
        "import os, sys; from pathlib import Path\n"
        "from dirql.qemu.command import QemuConfig; from dirql.qemu.session import QemuSession\n"
        "def go():\n"
        "    with QemuSession(QemuConfig(rom=Path(sys.argv[1]))) as s: s.qmp.ready()\n"
        "go()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    go(); os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7\n"
    )
    subprocess.run([sys.executable, "-c", code, str(hello)], check=True, timeout=60)


def test_the_guest_can_end_the_machine_with_a_status(tmp_path: Path) -> None:
    rom = Rom().print("bye\r\n").exit(5).halt().write(tmp_path)
    with QemuSession(QemuConfig(rom=rom)) as session:
        assert session.process.wait(10) == 5 << 1 | 1
        session.console.expect("bye", 10)
        with pytest.raises((MachineLost, LaunchError), match="status 11"):
            session.console.expect("more", 10)


def test_a_wrong_argument_is_quoted(hello: Path) -> None:
    config = QemuConfig(rom=hello, extra=("-no-such-option",))
    with QemuSession(config) as session, pytest.raises(LaunchError, match="no-such-option: invalid option"):
        session.qmp.ready()


def test_files_of_a_run(hello: Path, tmp_path: Path) -> None:
    with QemuSession(QemuConfig(rom=hello), folder=tmp_path) as session:
        session.console.expect("hello", 10)
        assert session.qmp.version >= (7, 2, 0)
    assert (tmp_path / "console.log").read_bytes() == b"hello\r\n"
    assert '"greeting"' in (tmp_path / "qmp.log").read_text()
    assert (tmp_path / "qemu.log").read_text() == ""


@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("mode", ["mt", "icount"])
def test_options_are_in_ram_before_the_first_instruction(tmp_path: Path, mode: str, cpus: int) -> None:
    rom = Rom().load(0x5000).store(0x5004).print("done\r\n").halt().write(tmp_path)
    config = QemuConfig(mode=mode, cpus=cpus, rom=rom)  # type: ignore[arg-type]
    with QemuSession(config, prepare=lambda ram: ram.store32(0x5000, 0xC0FFEE)) as session:
        session.console.expect("done", 10)
        assert session.ram.load32(0x5004) == 0xC0FFEE


def test_a_stopped_machine_waits(tmp_path: Path) -> None:
    rom = Rom().print("go\r\n").halt().write(tmp_path)
    with QemuSession(QemuConfig(rom=rom, stopped=True)) as session:
        assert session.qmp.execute("query-status")["status"] == "prelaunch"
        assert session.console.text == ""
        session.cont()
        session.console.expect("go", 10)


def test_ram_above_4_gib_is_where_the_guest_sees_it(hello: Path) -> None:
    gib = 1 << 30
    with QemuSession(QemuConfig(rom=hello, ram_bytes=3 * gib)) as session:
        for physical in (0x1000, 2 * gib - 8, 4 * gib, 5 * gib - 8):
            session.qtest.writeq(physical, physical | 0xA5)
            assert session.ram.load64(physical) == physical | 0xA5
            session.ram.store64(physical, 7)
            assert session.qtest.readq(physical) == 7
        with pytest.raises(UsageError):
            session.ram.load64(2 * gib)


def test_a_held_cpu_does_not_hold_up_the_end(tmp_path: Path) -> None:
    rom = Rom().enable_device().load(BAR0).halt().write(tmp_path)
    device = Rendezvous(address=str(SLOT))
    with QemuSession(QemuConfig(rom=rom), devices=[device]) as session:
        device.wait_for_guest(10)
        session.stop()
        assert session.qmp.execute("query-status")["status"] == "paused"
