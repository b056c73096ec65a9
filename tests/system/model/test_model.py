# SPDX-License-Identifier: Apache-2.0
"""Random operations of six threads on dispatcher objects, done on the guest and in a plain model: the two must agree.

The same sequences each time; `make soak-model` takes others, from a seed that it prints. A sequence that fails is made
as short as it can be, and is printed as the calls of the rules below.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dirql.guest import artifacts
from dirql.guest.image import DriverImage
from dirql.machine import Machine
from tests.system.model.model import EVENTS, LIMIT, OBJECTS, SEMAPHORES, TIMERS, WORKERS, Model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.driver import Driver

FOR_EVER = 1
AN_HOUR = -36_000_000_000
SOON = -10_000
"""A millisecond, in 100 ns."""
THE_PAST = 2
"""An absolute time: long ago."""

TIMES = st.sampled_from([FOR_EVER, FOR_EVER, AN_HOUR, AN_HOUR, 0, SOON])
SEVERAL = st.lists(st.sampled_from(OBJECTS), min_size=2, max_size=4, unique=True)

EXAMPLES = {"icount": 60, "mt": 20}
STEPS = 40


def profile(mode: str) -> settings:
    """Return how many sequences to try: the same small number each time, or as many as `make soak-model` asks for."""
    soak = os.environ.get("DIRQL_SOAK_MODEL")
    return settings(
        max_examples=int(soak) if soak else EXAMPLES[mode],
        stateful_step_count=STEPS,
        derandomize=not soak,
        database=None,
        deadline=None,
        print_blob=True,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def signed(value: int, bits: int) -> int:
    """Read a word of the guest as a signed number."""
    return value - 2**bits if value >= 2 ** (bits - 1) else value


class Objects(RuleBasedStateMachine):
    """The rules. A worker that waits takes no operation; what is fatal by the rules is not done."""

    machine: Machine
    image: DriverImage

    @initialize()
    def load(self) -> None:
        """A guest just started, and the driver's objects as it made them."""
        self.machine.reset()
        self.driver: Driver = self.machine.load(self.image)
        self.test = self.driver.variable("ObjectsTest")
        self.operations = self.image.debug.enumeration("OBJECTS_OPERATION")
        self.model = Model()

    def do(self, worker: int, operation: str, **fields: int | tuple[int, ...]) -> None:
        """Have a worker do something on the guest."""
        view = self.test.inner("Worker", worker)
        given: dict[str, Any] = {"Object": 0, "Argument": 0, "Raised": 0, "Time": 0, "Await": 0, **fields}
        for name, value in given.items():
            if isinstance(value, tuple):
                for at, each in enumerate(value):
                    view.set(name, each, at)
            else:
                view.set(name, value % 2**64)
        view.set("Operation", self.operations[f"Objects{operation}"])
        left = self.driver.run("ObjectsDo", worker)
        assert left.kind in ("Nothing", "Timers"), str(left)

    def idle(self, data: st.DataObject) -> int:
        """Pick a worker that takes operations."""
        return data.draw(st.sampled_from(self.model.idle), label="worker")

    def begin_wait(self, worker: int, objects: list[int], time: int, *, every: bool) -> None:
        """A wait; the last worker that is idle does not stay in one."""
        if len(self.model.idle) == 1 and time not in (0, SOON):
            time = 0
        self.model.wait(worker, tuple(objects), every=every, ends=time in (0, SOON))
        fields: dict[str, int | tuple[int, ...]] = {"WaitCount": len(objects), "Waited": tuple(objects)}
        self.do(worker, "Wait", Time=time, Await=int(time == SOON), WaitAll=int(every), **fields)

    @rule(data=st.data(), which=st.sampled_from(OBJECTS), time=TIMES)
    def wait_for_one(self, data: st.DataObject, which: int, time: int) -> None:
        self.begin_wait(self.idle(data), [which], time, every=False)

    @rule(data=st.data(), objects=SEVERAL, every=st.booleans(), time=TIMES)
    def wait_for_several(self, data: st.DataObject, objects: list[int], every: bool, time: int) -> None:
        self.begin_wait(self.idle(data), objects, time, every=every)

    def signal(self, data: st.DataObject, which: int) -> None:
        """Raise an object's state in one of the ways that there are for it now."""
        worker, raised = self.idle(data), data.draw(st.booleans(), label="raised")
        if which in EVENTS and data.draw(st.sampled_from([False, False, True]), label="pulse"):
            self.model.pulse_event(worker, which)
            self.do(worker, "PulseEvent", Object=which, Raised=int(raised))
        elif which in EVENTS:
            self.model.set_event(worker, which)
            self.do(worker, "SetEvent", Object=which, Raised=int(raised))
        elif which in TIMERS:
            time = data.draw(st.sampled_from([SOON, THE_PAST]), label="time")
            self.model.set_timer(worker, which, expires=True)
            self.do(worker, "SetTimer", Object=which, Time=time, Await=int(time == SOON))
        elif which in SEMAPHORES and self.model.state[which] < LIMIT:
            count = data.draw(st.integers(1, LIMIT - self.model.state[which]), label="count")
            self.model.release_semaphore(worker, which, count)
            self.do(worker, "ReleaseSemaphore", Object=which, Argument=count, Raised=int(raised))
        elif self.model.owner.get(which) in self.model.idle:
            owner = self.model.owner[which]
            if data.draw(st.sampled_from([False, False, True]), label="abandon"):
                self.model.end_thread(owner)
                self.do(owner, "EndThread")
            else:
                self.model.release_mutex(owner, which)
                self.do(owner, "ReleaseMutex", Object=which, Raised=int(raised))

    @rule(data=st.data(), which=st.sampled_from(OBJECTS))
    def signal_any(self, data: st.DataObject, which: int) -> None:
        self.signal(data, which)

    @precondition(lambda self: self.model.waits)
    @rule(data=st.data())
    def signal_what_is_waited_for(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.model.waits)), label="waiter")
        self.signal(data, data.draw(st.sampled_from(self.model.waits[worker].objects), label="object"))

    @rule(data=st.data(), which=st.sampled_from((*EVENTS, *TIMERS)), told=st.booleans())
    def take_back(self, data: st.DataObject, which: int, told: bool) -> None:
        """Reset or clear an event; set a timer to much later, or cancel it."""
        worker = self.idle(data)
        if which in EVENTS:
            self.model.reset_event(worker, which, told=told)
            self.do(worker, "ResetEvent" if told else "ClearEvent", Object=which)
        elif told:
            self.model.cancel_timer(worker, which)
            self.do(worker, "CancelTimer", Object=which)
        else:
            self.model.set_timer(worker, which, expires=False)
            self.do(worker, "SetTimer", Object=which, Time=AN_HOUR)

    @invariant()
    def agree(self) -> None:
        """Who waits, what the last operation of each returned, and the state of each object."""
        if not self.model.begun and not any(self.model.done):
            return
        workers = [self.test.inner("Worker", worker) for worker in range(WORKERS)]
        assert [view.get("Done") for view in workers] == self.model.done
        assert [signed(view.get("Result"), 64) for view in workers] == self.model.result
        assert [signed(self.test.get("State", which), 32) for which in OBJECTS] == self.model.state


@pytest.fixture(params=[("icount", 2), ("icount", 1), ("mt", 4)], ids=["icount-cpus2", "icount-cpus1", "mt-cpus4"])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    mode, cpus = request.param
    # No verifier: threads take mutexes in any order here, and end while they own some.
    with Machine(cpus=cpus, mode=mode, verifier=False, clock_100ns=10_000, on_bugcheck="pause") as running:
        yield running


def test_the_guest_does_as_the_model(machine: Machine) -> None:
    class Run(Objects):
        pass

    Run.machine = machine
    Run.image = DriverImage(artifacts.driver("objects.sys"))
    run_state_machine_as_test(Run, settings=profile(machine.config.mode))


def test_the_driver_ends_its_threads(machine: Machine) -> None:
    driver = machine.load("objects.sys")
    driver.unload()
    driver = machine.load("objects.sys")
    assert not driver.run("ObjectsDo", 0)
