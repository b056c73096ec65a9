# SPDX-License-Identifier: Apache-2.0
"""Vectors and NMIs from outside reach the CPU that was meant, and no other; nonsense is refused before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql.errors import UsageError
from dirql.machine import Machine
from tests.system.guest.support import command, counters

if TYPE_CHECKING:
    from collections.abc import Iterator

CPUS = 4


@pytest.fixture(scope="module")
def shared() -> Iterator[Machine]:
    with Machine(cpus=CPUS) as machine:
        yield machine


@pytest.fixture
def machine(shared: Machine) -> Machine:
    shared.reset()
    return shared


def settle(machine: Machine) -> None:
    """Wait until every CPU has taken what was sent to it: each answers an IPI, of a level above all that was sent."""
    command(machine, "run ipi 1", r"ipi: 1 calls.*?: ok\r\n")
    machine.link.request("Ping")  # CPU 0 itself


@pytest.mark.parametrize("cpu", range(CPUS))
@pytest.mark.parametrize("vector", [0x41, 0x9F, 0xCF])
def test_an_unconnected_vector_is_counted_where_it_arrived(machine: Machine, cpu: int, vector: int) -> None:
    machine.inject.vector(cpu, vector)
    settle(machine)
    expected = [int(number == cpu) for number in range(CPUS)]
    assert counters(machine, "SpuriousCount") == expected
    assert counters(machine, "NmiCount") == [0] * CPUS
    table = command(machine, "cpus", r"unexpected\r\n(.*?)xAPIC|x2APIC")[1]
    assert [int(row.split()[-1]) for row in table.splitlines() if row.strip()] == expected


@pytest.mark.parametrize("cpu", range(CPUS))
def test_an_nmi_reaches_one_cpu(machine: Machine, cpu: int) -> None:
    machine.inject.nmi(cpu)
    settle(machine)
    assert counters(machine, "NmiCount") == [int(number == cpu) for number in range(CPUS)]
    assert counters(machine, "SpuriousCount") == [0] * CPUS


def test_an_nmi_button_reaches_every_cpu(machine: Machine) -> None:
    machine.inject.nmi_all()
    settle(machine)
    assert counters(machine, "NmiCount") == [1] * CPUS


@pytest.mark.parametrize("vector", [-1, 0, 0x0F, 0x100])
def test_no_such_vector(machine: Machine, vector: int) -> None:
    with pytest.raises(UsageError, match=f"interrupt vectors are 0x10 to 0xff, not {vector:#x}"):
        machine.inject.vector(0, vector)


@pytest.mark.parametrize("cpu", [-1, CPUS, 255])
def test_no_such_cpu(machine: Machine, cpu: int) -> None:
    refusal = f"this machine has CPUs 0 to 3; there is no CPU {cpu}$"
    with pytest.raises(UsageError, match=refusal):
        machine.inject.vector(cpu, 0x41)
    with pytest.raises(UsageError, match=refusal):
        machine.inject.nmi(cpu)
    settle(machine)
    assert counters(machine, "SpuriousCount") == counters(machine, "NmiCount") == [0] * CPUS
