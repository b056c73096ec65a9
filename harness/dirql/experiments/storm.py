# SPDX-License-Identifier: Apache-2.0
"""Driving the interrupt storm: which vector when, never more than a window of interrupts of a vector under way.

In `mt` the host reacts to the driver's bell as fast as it can. In `icount` the guest stands still at the rendezvous
whenever the host does anything, so that the same seed gives the same run.
"""

from __future__ import annotations

import os
import random
import select
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dirql.errors import UsageError
from dirql.qemu.waits import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.experiments.doorbell import DoorbellLine

PROGRESS_TIMEOUT = 30.0
"""Seconds without any acknowledgement after which the guest is said to hang."""

_IDLE_PAUSES = 64
"""Under icount the guest executes up to so many PAUSE instructions between two visits to the host."""

_MAXIMUM_IDLE_VISITS = 100_000


@dataclass(frozen=True)
class StormParameters:
    """What to send.

    Attributes:
        count: interrupts, at least 1.
        vectors: MSI-X vectors, 1 to 64.
        seed: of the order of the vectors and, under icount, of the pauses in between.
        window: interrupts of one vector that may be under way at a time; above 1 they may merge.
        lock_per_vector: each vector has an interrupt spin lock of its own, instead of one for all.

    Raises:
        UsageError: a value is out of range.
    """

    count: int = 10_000
    vectors: int = 4
    seed: int = 0
    window: int = 1
    lock_per_vector: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        if self.count < 1:
            raise UsageError(f"a storm has at least one interrupt; --count {self.count} has none")
        if not 1 <= self.vectors <= 64:
            raise UsageError(f"the doorbell device has 1 to 64 vectors; --vectors {self.vectors} were asked for")
        if self.window < 1:
            raise UsageError(f"at least one interrupt of a vector must be allowed under way; --window is {self.window}")


@dataclass
class Sent:
    """What was sent on one vector, in order.

    Attributes:
        times: CLOCK_MONOTONIC in ns of each; under icount, the number of the host request that let the guest go on.
    """

    times: list[int] = field(default_factory=list)


class Storm:
    """A storm on one doorbell.

    Args:
        line: the device and its driver.
        parameters: what to send.
        progress: called now and then with (acknowledged, count).
        enough: asked now and then; once it says so, nothing more is sent.
    """

    def __init__(
        self,
        line: DoorbellLine,
        parameters: StormParameters,
        progress: Callable[[int, int], None] | None = None,
        enough: Callable[[], bool] | None = None,
    ) -> None:
        self.line = line
        self.parameters = parameters
        self.sent = [Sent() for _ in range(parameters.vectors)]
        self.seconds = 0.0
        self._progress = progress or _quiet
        self._enough = enough
        self._random = random.Random(parameters.seed)
        self._left = parameters.count
        self._acknowledged = [0] * parameters.vectors

    def run(self) -> None:
        """Send everything and wait until all of it is acknowledged.

        With more CPUs than vectors the storm has rounds, in which the messages go to one group of CPUs after another.

        Raises:
            GuestError, MachineLost: the guest did not acknowledge everything.
        """
        machine = self.line.machine
        rounds = -(-machine.cpus // self.parameters.vectors)
        started = time.monotonic()
        for number in range(rounds):
            if number:
                self.line.retarget(number * self.parameters.vectors)
            until = self.parameters.count * (rounds - number - 1) // rounds
            self._curtail()
            if machine.rendezvous is None:
                self._run_live(until)
            else:
                self._run_in_steps(until)
        self.seconds = time.monotonic() - started
        self.line.settle()  # a last DPC may still be on its way, to find that nothing is left for it
        self._progress(self.parameters.count, self.parameters.count)

    @property
    def total_acknowledged(self) -> int:
        """Interrupts that the driver has dealt with."""
        return sum(self._acknowledged)

    def _ready(self) -> list[int]:
        """Vectors that may be sent to: fewer under way than the window."""
        window = self.parameters.window
        return [
            vector for vector, sent in enumerate(self.sent) if len(sent.times) - self._acknowledged[vector] < window
        ]

    def _curtail(self) -> None:
        """Send nothing more, if what was sent is enough."""
        if self._enough is not None and self._enough():
            self._left = 0

    def _under_way(self) -> bool:
        return sum(len(sent.times) for sent in self.sent) > sum(self._acknowledged)

    def _look(self) -> None:
        """Read the driver's counts."""
        for vector in range(self.parameters.vectors):
            self._acknowledged[vector] = self.line.acknowledged(vector)

    def _run_live(self, until: int) -> None:
        """Send until only `until` are left and all that was sent is acknowledged; the bell wakes us."""
        watch = self.line.machine.session.watch
        bell = self.line.doorbell.rung_fds[0]
        now = time.monotonic_ns
        while self._left > until or self._under_way():
            ready = self._ready()
            while ready and self._left > until:
                vector = ready.pop(self._random.randrange(len(ready)))
                self.sent[vector].times.append(now())
                self.line.send(vector)
                self._left -= 1
            watch.poll({bell: select.POLLIN}, "the driver to acknowledge an interrupt", PROGRESS_TIMEOUT)
            with suppress(BlockingIOError):
                os.eventfd_read(bell)
            self._look()
            self._curtail()
            self._progress(self.total_acknowledged, self.parameters.count)

    def _run_in_steps(self, until: int) -> None:
        """The same under icount: at each visit of the guest to the host, send to some vectors, then let it run on."""
        machine = self.line.machine
        rendezvous = machine.rendezvous
        if rendezvous is None:
            raise UsageError("a storm in steps needs a machine with a rendezvous")
        link, deadline, idle = machine.link, Deadline(PROGRESS_TIMEOUT), 0
        while self._left > until or self._under_way():
            rendezvous.wait_for_guest(deadline)
            before = self.total_acknowledged
            self._look()
            self._curtail()
            chosen = [vector for vector in self._ready() if self._random.random() < 0.5][: max(0, self._left - until)]
            for vector in chosen:
                self.line.send(vector)
                self.line.doorbell.wait_consumed(vector)
            if chosen:
                machine.session.qtest.readl(0)  # answered by QEMU's main loop: the messages have been sent
            number = link.post("Idle", (self._random.randrange(_IDLE_PAUSES),))
            for vector in chosen:
                self.sent[vector].times.append(number)
            self._left -= len(chosen)
            idle = 0 if chosen or self.total_acknowledged != before else idle + 1
            if self.total_acknowledged != before or chosen:
                deadline = Deadline(PROGRESS_TIMEOUT)
            if idle > _MAXIMUM_IDLE_VISITS:
                watch = machine.session.watch
                watch.wait(lambda: None, "the driver to acknowledge an interrupt", 0.0)
            self._progress(self.total_acknowledged, self.parameters.count)


def _quiet(done: int, count: int) -> None:
    """Report nothing."""
