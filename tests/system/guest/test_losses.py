# SPDX-License-Identifier: Apache-2.0
"""A guest that hangs, a QEMU that ends or is killed: each is told apart, promptly, and nothing is hidden."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from dirql.errors import GuestBugCheck, GuestHang, MachineLost
from dirql.guest import artifacts
from dirql.machine import Machine
from tests.system.guest.support import TIMEOUT, press


def test_a_hang_in_driver_entry_names_the_loop() -> None:
    with Machine(cpus=2) as machine:
        with pytest.raises(GuestHang, match=r"waited 0\.5 s for hang\.sys to load, which did not come") as caught:
            machine.load("hang.sys", timeout=0.5)
        first, second = caught.value.cpus
        frames = (first.where, *first.stack)  # a clock interrupt may lie above the loop
        (loop,) = [at for at, frame in enumerate(frames) if frame.startswith("hang.sys!HangForEver+")]
        assert "(tests/drivers/hang.c:" in frames[loop]
        assert frames[loop + 1].startswith("hang.sys!DriverEntry+")
        assert "halted" in second.where
        assert "hang.sys!HangForEver+" in str(caught.value)
        machine.reset()
        assert machine.load("doorbell.sys").base
        machine.link.request("Ping")


def test_a_driver_from_anywhere_has_its_symbols(tmp_path: Path) -> None:
    copy = tmp_path / "a name that is longer than the forty bytes which the guest keeps.sys"
    copy.write_bytes(artifacts.driver("hang.sys").read_bytes())
    with Machine(cpus=1) as machine, pytest.raises(GuestHang) as caught:
        machine.load(copy, timeout=0.5)
    cpu = caught.value.cpus[0]
    assert any("!HangForEver+" in frame for frame in (cpu.where, *cpu.stack))


def test_qemu_killed_in_the_middle_of_a_request() -> None:
    with Machine(cpus=1) as machine:
        image = artifacts.driver("hang.sys").read_bytes()
        machine.link.write_buffer(0, image)
        machine.link.write_buffer(len(image), b"hang.sys\0")
        sequence = machine.link.post("LoadDriver", (len(image), len(image)), TIMEOUT)
        os.kill(machine.session.process.pid, signal.SIGKILL)
        with pytest.raises(MachineLost, match="was killed by SIGKILL"):
            machine.link.wait_reply(sequence, "hang.sys to load", 600)
        with pytest.raises(MachineLost):
            machine.reset()


def test_quit_ends_the_machine_without_a_guest_error() -> None:
    with Machine(cpus=2) as machine:
        machine.session.console.sendline("quit")
        with pytest.raises(MachineLost, match="the guest ended the machine, as its console's `quit` does") as caught:
            machine.session.watch.wait(lambda: None, "the end", TIMEOUT)
        assert not isinstance(caught.value, GuestBugCheck)


def test_memory_stays_readable_after_a_bugcheck_ended_qemu() -> None:
    with Machine(cpus=2, on_bugcheck="exit") as machine:
        driver = machine.load("fault.sys")
        order = driver.variable("FaultOrder")
        order.set("Kind", driver.image.debug.enumeration("FAULT_KIND")["FaultKindBugCheck"])
        order.set("Cpu", 1)
        press(driver)
        status = machine.session.process.wait(TIMEOUT)
        assert status & 1  # isa-debug-exit's are odd
        assert machine.bugcheck.complete
        assert machine.bugcheck.code == 0xE2
        assert machine.bugcheck.parameters == (1, 2, 3, 4)
        assert machine.memory.load64(machine.kernel.address("MiFreeCount")) > 0
        with pytest.raises(GuestBugCheck) as caught:
            machine.link.request("Ping")
        assert caught.value.cpus[1].stack[0].startswith("fault.sys!FaultBugCheck+")
        assert caught.value.processor == 1
