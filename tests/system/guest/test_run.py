# SPDX-License-Identifier: Apache-2.0
"""A driver's routine runs on request; what it leaves behind is told; its calls to the host are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql.errors import BuildError, GuestBugCheck
from dirql.machine import Leftover, Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.machine import Driver

STATUS_NOT_IMPLEMENTED = 0xC0000002
STATUS_INVALID_PARAMETER = 0xC000000D
DIRQL_MISUSE = 0xD1A0BAD0


@pytest.fixture(scope="module", params=["mt", "icount"])
def shared(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with Machine(cpus=2, mode=request.param, on_bugcheck="pause") as machine:
        yield machine


@pytest.fixture
def driver(shared: Machine) -> Driver:
    shared.reset()
    return shared.load("run.sys")


def test_a_clean_routine_leaves_nothing_and_gets_its_argument(driver: Driver) -> None:
    assert not driver.run("RunNothing", 0x1234_5678_9ABC)
    assert driver.variable("RunSeen").get("Argument") == 0x1234_5678_9ABC


@pytest.mark.parametrize(
    ("routine", "kind", "difference", "words"),
    [
        ("RunLeavePool", "Pool", 2, "+2 blocks of pool with the tag 'Leak'"),
        ("RunLeaveIrql", "Irql", 7, "it returned at IRQL 7, not PASSIVE_LEVEL"),
        ("RunLeaveVector", "Vectors", 1, "+1 allocated vectors"),
        ("RunLeaveInterrupt", "Interrupts", 1, "+1 connected interrupt objects"),
        ("RunLeaveWork", "Work", 1, "CPU 1 still runs what it was given"),
        ("RunLeaveThread", "Threads", 1, "+1 threads that have not ended"),
        ("RunLeaveTimer", "Timers", 1, "+1 timers that are set"),
        ("RunLeaveHandle", "Handles", 1, "+1 open handles"),
        ("RunLeaveMutex", "Mutexes", 1, "its thread still owned 1 mutexes"),
    ],
)
def test_what_is_left_behind_is_told(
    shared: Machine, driver: Driver, routine: str, kind: str, difference: int, words: str
) -> None:
    shared.set_verifier(on=False)  # which stops the machine at some of it
    left = driver.run(routine)
    assert left
    assert (left.kind, left.after - left.before) == (kind, difference)
    assert str(left) == words


def test_the_machine_goes_on_after_a_leftover(driver: Driver) -> None:
    assert driver.run("RunLeaveIrql")
    assert driver.run("RunNothing") == Leftover("Nothing", 0, 0)


def test_calls_to_the_host_are_answered(driver: Driver) -> None:
    assert not driver.run("RunCalls")
    seen = driver.variable("RunSeen")
    assert seen.get("Value") == 0x1122334455667788
    expected = [0, STATUS_NOT_IMPLEMENTED, STATUS_INVALID_PARAMETER, STATUS_INVALID_PARAMETER]
    assert [seen.get("Status", at) for at in range(4)] == expected


@pytest.mark.parametrize(
    ("routine", "kind", "value"), [("RunDouble", 2, 1), ("RunOnBootCpu", 1, 0), ("RunBadVector", 3, 8)]
)
def test_misuse_is_a_bugcheck_that_says_what(driver: Driver, routine: str, kind: int, value: int) -> None:
    with pytest.raises(GuestBugCheck) as caught:
        driver.run(routine)
    assert caught.value.code == DIRQL_MISUSE
    assert caught.value.parameters[:2] == (kind, value)
    assert any(routine in frame for frame in caught.value.cpus[0].stack)


def test_a_routine_that_is_not_there_is_named(driver: Driver) -> None:
    with pytest.raises(BuildError, match="no functions called RunNowhere"):
        driver.run("RunNowhere")
