# SPDX-License-Identifier: Apache-2.0
"""IRQL, DPC and interrupt objects as real drivers meet them: what runs, where, at which IRQL, and in which order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from dirql.machine import Machine
from tests.system.guest.support import TIMEOUT, command, press, released

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dirql.config import DpcPlacement
    from dirql.guest.memory import View
    from dirql.machine import Driver

CPUS = 3
LEVELS = range(4, 12)

Event = tuple[str, int, int, int]
"""(what, value, CPU, IRQL)"""


def vector(level: int) -> int:
    """Return the vector that irql.sys connects at a DIRQL."""
    return level << 4 | 0xF


class Steps:
    """irql.sys on a machine, and its log.

    Args:
        machine: where it is loaded.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.driver: Driver = machine.load("irql.sys")
        self.test: View = self.driver.variable("IrqlTest")
        self._names = {
            value: name.removeprefix("IrqlEvent")
            for name, value in self.driver.image.debug.enumeration("IRQL_WHAT").items()
        }

    def press(self, order: str, *, level: int = 0, cpu: int = 0) -> int:
        """Begin an order."""
        self.test.set("Order", self.driver.image.debug.enumeration("IRQL_ORDER")[f"IrqlOrder{order}"])
        self.test.set("Level", level)
        self.test.set("Cpu", cpu)
        return press(self.driver)

    def run(self, order: str, *, level: int = 0, cpu: int = 0) -> list[Event]:
        """Do an order to its end and return what happened."""
        released(self.driver, self.press(order, level=level, cpu=cpu))
        return self.log

    def isr(self, kind: str) -> None:
        """Choose what the ISR does from now on."""
        self.test.set("Isr", self.driver.image.debug.enumeration("IRQL_ISR")[f"IrqlIsr{kind}"])

    def release(self) -> None:
        """Let go what is held."""
        self.test.set("Release", 1)

    def says(self, text: str) -> str:
        """Wait until the driver has printed a line that begins like that; return what follows."""
        return self.machine.session.console.expect(re.escape(text) + r"([^\r]*)\r\n", TIMEOUT)[1].strip()

    @property
    def log(self) -> list[Event]:
        """What has happened so far."""
        events = [self.test.inner("Event", at) for at in range(self.test.get("Count"))]
        return [(self._names[e.get("What")], e.get("Value"), e.get("Cpu"), e.get("Irql")) for e in events]

    def isrs(self) -> list[int]:
        """Return the IRQLs of the service routines that have begun, in order."""
        return [irql for what, _, _, irql in self.log if what == "Isr"]


@pytest.fixture(scope="module")
def shared() -> Iterator[Machine]:
    with Machine(cpus=CPUS) as machine:
        yield machine


@pytest.fixture
def steps(shared: Machine) -> Steps:
    shared.reset()
    command(shared, "run ipi 1", r"ipi: 1 calls.*?: ok\r\n")  # what earlier tests left unread is read
    return Steps(shared)


@pytest.mark.parametrize("held", [4, 7, 11])
@pytest.mark.parametrize("order", [list(LEVELS), list(reversed(LEVELS)), [7, 4, 11, 5, 9, 6, 10, 8]], ids=str)
def test_only_higher_interrupts_run_and_the_rest_wait_in_order(steps: Steps, held: int, order: Sequence[int]) -> None:
    sequence = steps.press("Hold", level=held)
    steps.says(f"irql: CPU 0 held at {held}")
    higher = [level for level in order if level > held]
    for level in order:
        steps.machine.inject.vector(0, vector(level))
        if level > held:  # it runs now, although CPU 0 is held
            steps.says(f"irql: isr {vector(level):#04x} on CPU 0")
    assert steps.isrs() == higher
    steps.release()
    released(steps.driver, sequence)
    waiting = [level for level in reversed(LEVELS) if level <= held]
    assert steps.isrs() == higher + waiting
    lowered: list[Event] = []  # at each step down, first the level that became free, then the step's own record
    for level in range(held, 0, -1):
        if level in LEVELS:
            lowered += [("Isr", vector(level), 0, level), ("IsrEnd", vector(level), 0, level)]
        lowered.append(("Lowered", level - 1, 0, level - 1))
    assert steps.log[2 * len(higher) :] == lowered


def test_lowering_past_several_takes_the_highest_first(steps: Steps) -> None:
    steps.isr("Hold")
    steps.machine.inject.vector(1, vector(11))
    steps.says("irql: isr 0xbf holds CPU")
    steps.isr("Only")
    for level in (5, 8, 4, 10):
        steps.machine.inject.vector(1, vector(level))
    assert steps.isrs() == [11]
    steps.release()
    for level in (10, 8, 5, 4):
        steps.says(f"irql: isr {vector(level):#04x} on CPU 1")
    assert steps.isrs() == [11, 10, 8, 5, 4]


def test_an_interrupt_interrupts_a_lower_service_routine_only(steps: Steps) -> None:
    steps.isr("Hold")
    steps.machine.inject.vector(2, vector(6))
    steps.says("irql: isr 0x6f holds CPU")
    steps.isr("Only")
    for level in (5, 6, 9):
        steps.machine.inject.vector(2, vector(level))
    steps.says("irql: isr 0x9f on CPU 2")
    assert [event[:2] for event in steps.log if event[0] != "DpcForIsr"] == [
        ("Isr", 0x6F),
        ("Isr", 0x9F),
        ("IsrEnd", 0x9F),
    ]
    steps.release()
    steps.says("irql: isr 0x5f on CPU 2")
    assert steps.isrs() == [6, 9, 6, 5]


def test_a_queued_dpc_is_not_queued_again(steps: Steps) -> None:
    assert steps.run("DpcTwice") == [
        ("Result", 1, 0, 2),
        ("Result", 0, 0, 2),
        ("Dpc", 1 << 8 | 2, 0, 2),  # with the first arguments
        ("Lowered", 0, 0, 0),
    ]


def test_a_removed_dpc_does_not_run(steps: Steps) -> None:
    assert steps.run("DpcRemove") == [
        ("Result", 1, 0, 2),
        ("Result", 1, 0, 2),  # it was queued
        ("Result", 0, 0, 2),  # it is no longer
        ("Lowered", 0, 0, 0),
    ]


def test_high_importance_goes_to_the_head_of_the_queue(steps: Steps) -> None:
    events = steps.run("Importance")
    assert [value >> 8 for what, value, _, _ in events if what == "Dpc"] == [4, 3, 1, 2]
    assert events[-1] == ("Lowered", 0, 0, 0)


@pytest.mark.parametrize("cpu", range(CPUS))
def test_a_dpc_runs_on_its_target_processor(steps: Steps, cpu: int) -> None:
    events = steps.run("DpcTarget", cpu=cpu)
    assert sorted(events) == [("Dpc", cpu << 8, cpu, 2), ("Result", 1, 0, 0)]


@pytest.mark.parametrize("cpu", range(CPUS))
def test_a_dpc_queued_by_a_service_routine_runs_after_it(steps: Steps, cpu: int) -> None:
    steps.run("DpcRemove")  # which also initialises the DPC objects
    steps.isr("Queue")
    steps.test.set("Count", 0)
    steps.machine.inject.vector(cpu, vector(8))
    assert steps.says("irql: dpc on CPU") == str(cpu)
    assert steps.log == [
        ("Isr", 0x8F, cpu, 8),
        ("Result", 1, cpu, 8),
        ("Result", 0, cpu, 8),
        ("IsrEnd", 0x8F, cpu, 8),
        ("Dpc", 1 << 8 | 2, cpu, 2),
    ]


@pytest.mark.parametrize("level", [4, 11])
def test_synchronised_execution_runs_at_dirql_and_its_value_is_passed_on(steps: Steps, level: int) -> None:
    assert steps.run("Synchronize", level=level) == [("Sync", 7, 0, level), ("Result", 2, 0, 0)]


@pytest.mark.parametrize("placement", ["routine", "first-available", "current"])
def test_where_dpc_for_isr_runs(placement: DpcPlacement) -> None:
    with Machine(cpus=2, dpc_placement=placement) as machine:
        steps = Steps(machine)
        steps.isr("Hold")
        machine.inject.vector(1, vector(9))
        steps.says("irql: isr 0x9f holds CPU")
        if placement == "current":
            machine.link.request("Ping")  # CPU 0 is free, and does not take it
            assert [event[0] for event in steps.log] == ["Isr"]
            steps.release()
            assert steps.says("irql: dpc for isr on CPU") == "1"
            assert steps.log[-1] == ("DpcForIsr", 0, 1, 2)
        else:
            assert steps.says("irql: dpc for isr on CPU") == "0"  # while the ISR is still held
            assert steps.log == [("Isr", 0x9F, 1, 9), ("DpcForIsr", 0, 0, 2)]
            steps.release()
        steps.driver.unload()
