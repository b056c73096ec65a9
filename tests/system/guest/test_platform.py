# SPDX-License-Identifier: Apache-2.0
"""What the executive asks of the platform at its start, and what it does with interrupts that nobody expects."""

from __future__ import annotations

import pytest

from dirql.errors import GuestBugCheck
from dirql.machine import Machine
from dirql.qemu.waits import Deadline
from tests.system.guest.support import TIMEOUT, command, kernel_word

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
