# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dirql.debug.gdb import attach, find_gdb, gdb_command, run_gdb
from dirql.errors import GuestBugCheck, UnsupportedError, UsageError
from dirql.machine import Machine
from tests.system.debug.doorbell_machine import TARGET, doorbell_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.devices.ivshmem import Doorbell

IDLE_THEN_RING = (f"tbreak KiWaitForInterrupt thread {TARGET + 1}", "continue")
"""CPU 1 is about to halt, interrupts off: a ring after this interrupts the halt."""


@contextmanager
def ring_from_gdb(folder: Path, doorbell: Doorbell) -> Iterator[str]:
    """Give a gdb command that rings, and returns when QEMU has taken it."""
    ask, done = folder / "ask", folder / "done"
    os.mkfifo(ask)
    os.mkfifo(done)

    def serve() -> None:
        ask.read_text()
        doorbell.ring()
        doorbell.wait_consumed()
        done.write_text("")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"shell echo > {ask}; cat {done}"
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("cpus", [1, 4])
@pytest.mark.parametrize("boot", ["rom", "bios"])
def test_every_cpu_is_a_thread(cpus: int, boot: str) -> None:
    with Machine(cpus=cpus, boot=boot, gdb=True) as machine:
        said = run_gdb(machine, ["info threads"])
    assert len(re.findall(r"^\*? +\d+ +Thread 1\.(\d+) \(CPU#\d+ ", said, re.MULTILINE)) == cpus


def test_the_machine_goes_on_when_gdb_has_ended() -> None:
    with Machine(cpus=2, gdb=True) as machine:
        run_gdb(machine, ["info registers rip"])
        machine.link.request("Ping")


@pytest.mark.parametrize("mode", ["mt", "icount"])
def test_a_breakpoint_in_an_isr_shows_where_every_cpu_is(mode: str, tmp_path: Path) -> None:
    with (
        doorbell_machine(cpus=3, mode=mode, gdb=True) as (machine, doorbell),
        ring_from_gdb(tmp_path, doorbell) as ring,
    ):
        said = run_gdb(
            machine, [*IDLE_THEN_RING, ring, "break DoorbellIsr", "continue", "dirql irql", "bt", "list", "print $cr8"]
        )
    assert f"Thread {TARGET + 1} hit Breakpoint" in said
    assert re.search(
        rf"^ +{TARGET} +4 DoorbellIsr\S* \(guest/drivers/doorbell/interrupt\.c:\d+\)\n"
        r" +vector 0x4\w interrupted IRQL 0 in KiWaitForInterrupt\S* \(guest/ke/idle\.c:\d+\)$",
        said,
        re.MULTILINE,
    )
    frames = re.findall(r"^#\d+ +(?:0x\w+ in )?(\w+|<signal handler called>)", said, re.MULTILINE)
    assert frames[0] == "DoorbellIsr"
    at = frames.index("<signal handler called>")
    assert frames[at - 1 : at + 3] == [
        "KiDispatchTrap",
        "<signal handler called>",
        "KiWaitForInterrupt",
        "KiIdleLoop",
    ]
    assert "BOOLEAN NTAPI DoorbellIsr(" in said
    assert "$1 = 4" in said


def test_a_breakpoint_in_the_kernels_dispatcher_sees_the_doorbell(tmp_path: Path) -> None:
    stop = "break KiDispatchTrap if frame->Vector >= 0x40 && frame->Vector < 0xd0"
    with doorbell_machine(cpus=2, gdb=True) as (machine, doorbell), ring_from_gdb(tmp_path, doorbell) as ring:
        said = run_gdb(machine, [*IDLE_THEN_RING, ring, stop, "continue", "print/x frame->Vector"])
    assert f"Thread {TARGET + 1} hit Breakpoint" in said
    assert "$1 = 0x4" in said


def test_a_dpc_routine_is_named(tmp_path: Path) -> None:
    with doorbell_machine(cpus=2, gdb=True) as (machine, doorbell), ring_from_gdb(tmp_path, doorbell) as ring:
        said = run_gdb(machine, [*IDLE_THEN_RING, ring, "break DoorbellTakePending", "continue", "dirql irql"])
    assert re.search(r" 4 DoorbellTakePending\S* .*\n +in the DPC routine DoorbellDpcForIsr ", said)


STEPS = """
def routine(frame):  # not what is inlined in it
    while frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    return frame
gdb.execute("break *{0}")
gdb.execute("continue")
frame = gdb.newest_frame()
caller, stack = frame.older().name(), int(frame.older().read_register("rsp"))
steps = 0
while routine(gdb.newest_frame()).name() == "{0}":
    frame = routine(gdb.newest_frame())
    assert (frame.older().name(), int(frame.older().read_register("rsp"))) == (caller, stack), hex(frame.pc())
    gdb.execute("nexti", to_string=True)
    steps += 1
assert int(gdb.newest_frame().read_register("rsp")) == stack
print("{0}:", "ok" if steps > 10 else steps, caller)
"""


def compiled_as_usual(folder: Path) -> str:
    """Build doorbell.sys as its user would: unwind tables, no frame pointers."""
    checkout = Path(__file__).resolve().parents[3]
    image = folder / "usual.sys"
    command = ["x86_64-w64-mingw32-gcc", "-O2", "-g", "-shared", "-nostdlib", "-Wl,--subsystem,native"]
    command += ["-fno-optimize-sibling-calls"]  # the steps end where the routine returns
    command += ["-Wl,-e,DriverEntry", "-Wl,--dynamicbase", "-isystem", "/usr/share/mingw-w64/include/ddk"]
    command += ["-o", str(image), *map(str, sorted((checkout / "guest/drivers/doorbell").glob("*.c")))]
    subprocess.run([*command, "-lntoskrnl", "-lhal"], check=True)
    assert b".pdata" in image.read_bytes()[:1024]
    return str(image)


@pytest.mark.parametrize("usual", [True, False], ids=["usual", "as-built"])
@pytest.mark.parametrize(
    ("routine", "caller"), [("DoorbellIsr", "KiCallServiceRoutine"), ("DoorbellDpcForIsr", "KiRunDpc")]
)
def test_the_caller_is_found_from_every_instruction_of_a_driver(
    routine: str, caller: str, usual: bool, tmp_path: Path
) -> None:
    driver = compiled_as_usual(tmp_path) if usual else "doorbell.sys"
    script = tmp_path / "steps.py"
    script.write_text("import gdb\n" + STEPS.format(routine))
    with doorbell_machine(driver, cpus=2, gdb=True) as (machine, doorbell), ring_from_gdb(tmp_path, doorbell) as ring:
        said = run_gdb(machine, [*IDLE_THEN_RING, ring, f"source {script}"])
    assert re.search(rf"^{routine}: ok {caller}$", said, re.MULTILINE), said


def test_modules_are_those_that_are_loaded() -> None:
    with Machine(cpus=1, gdb=True) as machine:
        driver = machine.load("doorbell.sys")
        said = run_gdb(machine, ["dirql modules", "info symbol DoorbellIsr"])
    assert re.search(rf"^{driver.base:#018x} .*doorbell\.sys: /.*doorbell\.sys$", said, re.MULTILINE)
    assert "DoorbellIsr in section .text" in said


def test_a_bugcheck_is_shown() -> None:
    with Machine(cpus=2, gdb=True, on_bugcheck="pause") as machine:
        machine.inject.vector(1, 0x12)  # the machine check exception's vector
        with pytest.raises(GuestBugCheck):
            machine.session.watch.wait(lambda: None, "the bugcheck", 30)
        machine.session.qmp.wait_event("GUEST_PANICKED", 30)
        said = run_gdb(machine, ["dirql bugcheck", "thread 2", "bt"])
    assert "bugcheck 0x7f UNEXPECTED_KERNEL_MODE_TRAP (0x12, " in said
    assert "  cpu 0: IRQL  0, " in said
    assert "KiException" in said or "KiDispatchTrap" in said


def test_without_a_bugcheck_there_is_none() -> None:
    with Machine(cpus=1, gdb=True) as machine:
        assert "the guest has not bugchecked" in run_gdb(machine, ["dirql bugcheck"])


@pytest.mark.parametrize("mode", ["mt", "icount"])
def test_an_interrupt_stops_the_guest_and_not_the_machine(mode: str) -> None:
    with Machine(cpus=2, mode=mode, gdb=True) as machine:
        fd = attach(machine)
        argv, environment = gdb_command(machine, fd)
        with subprocess.Popen(
            [*argv, "-nx"],
            env=environment,
            pass_fds=[fd],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as gdb:
            assert gdb.stdin is not None
            machine.session.qmp.clear_events()
            gdb.stdin.write("continue\n")
            gdb.stdin.flush()
            machine.session.qmp.wait_event("RESUME", 30)
            gdb.send_signal(signal.SIGINT)
            said, _ = gdb.communicate("dirql irql\nquit\n", 60)
        assert "received signal SIGINT" in said
        assert "cpu irql at" in said
        assert gdb.returncode == 0
        status = machine.session.qmp.execute("query-status")
    assert status["running"] is True


def test_a_host_without_gdb_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UnsupportedError, match="apt-get install gdb"):
        find_gdb()


def test_a_machine_without_a_stub_is_refused() -> None:
    with Machine(cpus=1) as machine, pytest.raises(UsageError, match="gdb=True"):
        run_gdb(machine)
