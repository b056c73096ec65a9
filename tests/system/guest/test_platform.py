# SPDX-License-Identifier: Apache-2.0
"""What the executive asks of the platform at its start, and what it does with interrupts that nobody expects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from dirql.errors import GuestBugCheck, GuestRequestError
from dirql.machine import Machine
from dirql.qemu.waits import Deadline
from tests.system.guest.support import TIMEOUT, command, kernel_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.driver import Driver
    from dirql.guest.memory import View

MULTIPROCESSOR_CONFIGURATION_NOT_SUPPORTED = 0x3E
CPUID_1_ECX = 1 << 8 | 2
FREE_VECTOR = 0x9E


@pytest.mark.parametrize("mode", ["mt", "icount"])
@pytest.mark.parametrize(("cpus", "fault"), [(2, 1), (4, 2)])
def test_a_cpu_with_another_feature_word_is_refused(mode: str, cpus: int, fault: int) -> None:
    with pytest.raises(GuestBugCheck) as caught:
        Machine(cpus=cpus, mode=mode, feature_fault_cpu=fault)
    error = caught.value
    assert error.code == MULTIPROCESSOR_CONFIGURATION_NOT_SUPPORTED
    number, where, boot, own = error.parameters
    assert (number, where) == (fault, CPUID_1_ECX)
    assert boot ^ own == 1
    assert error.processor == fault


def test_a_fault_of_a_cpu_that_is_not_there_is_none() -> None:
    with Machine(cpus=2, feature_fault_cpu=2) as machine:
        assert machine.link.ready_cpus == 2


def test_vectors_that_nobody_expects_are_counted_and_reported() -> None:
    with Machine(cpus=2) as machine:
        counts = machine.kernel.address("KiUnexpectedCounts")
        for total, cpu in enumerate((0, 1, 1), 1):
            machine.inject.vector(cpu, FREE_VECTOR)
            deadline = Deadline(TIMEOUT)
            while machine.memory.load64(counts + 8 * FREE_VECTOR) != total:
                machine.link.request("Ping", timeout=deadline)
        assert machine.memory.load64(counts + 8 * FREE_VECTOR) == 3
        taken = machine.kernel.address("KiInterruptCounts")
        assert [machine.memory.load64(taken + 8 * (256 * cpu + FREE_VECTOR)) for cpu in range(2)] == [1, 2]
        line = command(machine, "irq", rf"{FREE_VECTOR:#x} +9 +(\d+) +(\d+) +(\d+) +(\d+) (\d+)\r")
        assert line.groups() == ("3", "3", "0", "1", "2")
        assert kernel_word(machine, "MiFreeCount") > 0
        machine.link.request("Ping")


SLOTS = (8, 12)
"""Their INTA# lines end at one pin: q35 rotates four pins over its slots."""
PIN = 20
ROUNDS = 10


@pytest.fixture
def shared() -> Iterator[tuple[Machine, Driver]]:
    """A machine with two network cards on one pin, and their driver started on both."""
    cards = [word for slot in SLOTS for word in ("-device", f"e1000,addr={slot:x},romfile=")]
    with Machine(cpus=2, extra=tuple(cards)) as machine:
        driver = machine.load("shared.sys")
        for slot in SLOTS:
            driver.start(slot << 3)
        yield machine, driver


def records(driver: Driver) -> list[View]:
    """What the driver noted of each device."""
    test = driver.variable("SharedTest")
    return [test.inner("Device", at) for at in range(len(SLOTS))]


def test_two_devices_share_a_pin(shared: tuple[Machine, Driver]) -> None:
    machine, driver = shared
    first, second = records(driver)
    assert first.get("Vector") == second.get("Vector") != 0
    assert first.get("Irql") == second.get("Irql") == first.get("Vector") >> 4
    assert first.get("Claimed") == second.get("Claimed") == ROUNDS // 2
    assert first.get("Refused") >= ROUNDS // 2  # asked first, for the second's interrupts too
    assert second.get("Refused") == 0  # what the first claimed went no further
    home = first.get("Cpu")
    for slot in SLOTS:
        machine.link.request("Retarget", slot << 3, 1 - home)  # the pin is one: the second time changes nothing
    driver.unload()
    assert [record.get("Cpu") for record in (first, second)] == [1 - home] * 2
    assert "left vector" not in machine.session.console.text


def test_what_a_removed_device_leaves_connected_is_forced_off(shared: tuple[Machine, Driver]) -> None:
    machine, driver = shared
    vector = records(driver)[0].get("Vector")
    driver.variable("SharedTest").set("Leave", 1)
    driver.unload()
    said = re.findall(r"left vector (0x[0-9a-f]+) connected", machine.session.console.text)
    assert [int(each, 16) for each in said] == [vector] * 2
    counts = machine.kernel.address("KiInterruptCounts") + 8 * vector
    before = [machine.memory.load64(counts + 8 * 256 * cpu) for cpu in range(2)]
    machine.inject.line(PIN, raised=True)
    machine.link.request("Ping")
    assert [machine.memory.load64(counts + 8 * 256 * cpu) for cpu in range(2)] == before


def test_a_line_cannot_leave_cpu_0_where_routing_is_asymmetric() -> None:
    with Machine(
        cpus=2, interrupt_routing="asymmetric", extra=("-device", f"e1000,addr={SLOTS[0]:x},romfile=")
    ) as machine:
        machine.load("shared.sys").start(SLOTS[0] << 3)
        with pytest.raises(GuestRequestError, match="STATUS_INVALID_DEVICE_REQUEST"):
            machine.link.request("Retarget", SLOTS[0] << 3, 1)
