# SPDX-License-Identifier: Apache-2.0
"""Dispatcher objects and waits as the documentation has them, in plain Python: what tests/drivers/objects.c must do."""

from __future__ import annotations

from dataclasses import dataclass, field

WORKERS = 6
NOTIFICATION_EVENTS = (0, 1)
SYNCHRONIZATION_EVENTS = (2, 3)
SEMAPHORES = (4, 5)
MUTEXES = (6, 7)
NOTIFICATION_TIMER = 8
SYNCHRONIZATION_TIMER = 9
OBJECTS = range(10)
EVENTS = (*NOTIFICATION_EVENTS, *SYNCHRONIZATION_EVENTS)
TIMERS = (NOTIFICATION_TIMER, SYNCHRONIZATION_TIMER)
LIMIT = 3

STATUS_ABANDONED_WAIT_0 = 0x80
STATUS_TIMEOUT = 0x102


@dataclass(frozen=True)
class Wait:
    """A wait that has not ended.

    Attributes:
        objects: what for.
        every: for all of them.
        order: waits that began before it have a smaller one.
    """

    objects: tuple[int, ...]
    every: bool
    order: int


@dataclass
class Model:
    """The objects and the threads.

    Attributes:
        state: SignalState of each object.
        owner: the worker that owns a mutex.
        owned: the mutexes of each worker, first acquired first.
        abandoned: mutexes whose next owner is to be told.
        armed: timers that are set.
        waits: of the workers that wait.
        done: how many operations each worker has finished.
        result: of the last one of each.
    """

    state: list[int] = field(default_factory=lambda: [0, 0, 0, 0, 0, 1, 1, 1, 0, 0])
    owner: dict[int, int] = field(default_factory=dict)
    owned: list[list[int]] = field(default_factory=lambda: [[] for _ in range(WORKERS)])
    abandoned: set[int] = field(default_factory=set)
    armed: set[int] = field(default_factory=set)
    waits: dict[int, Wait] = field(default_factory=dict)
    done: list[int] = field(default_factory=lambda: [0] * WORKERS)
    result: list[int] = field(default_factory=lambda: [0] * WORKERS)
    begun: int = 0

    @property
    def idle(self) -> list[int]:
        """The workers that do not wait."""
        return [worker for worker in range(WORKERS) if worker not in self.waits]

    def finish(self, worker: int, result: int) -> None:
        """A worker's operation has ended."""
        self.done[worker] += 1
        self.result[worker] = result

    def signalled(self, which: int, worker: int) -> bool:
        """Whether a worker's wait for an object would end."""
        return self.state[which] > 0 or self.owner.get(which) == worker

    def take(self, which: int, worker: int) -> bool:
        """A worker's wait for an object ends. Returns whether it was an abandoned mutex."""
        if which in SYNCHRONIZATION_EVENTS or which == SYNCHRONIZATION_TIMER:
            self.state[which] = 0
        elif which in SEMAPHORES:
            self.state[which] -= 1
        elif which in MUTEXES:
            self.state[which] -= 1
            if self.state[which] == 0:
                self.owner[which] = worker
                self.owned[worker].append(which)
                told = which in self.abandoned
                self.abandoned.discard(which)
                return told
        return False

    def try_wait(self, worker: int, objects: tuple[int, ...], *, every: bool) -> int | None:
        """End a wait if it can be ended. Returns its status, None if it cannot."""
        if every:
            if not all(self.signalled(which, worker) for which in objects):
                return None
            told = [at for at, which in enumerate(objects) if self.take(which, worker)]
            return STATUS_ABANDONED_WAIT_0 + told[0] if told else 0
        for at, which in enumerate(objects):
            if self.signalled(which, worker):
                return STATUS_ABANDONED_WAIT_0 + at if self.take(which, worker) else at
        return None

    def signal(self, which: int) -> None:
        """An object's state was raised: whoever waits for it longest goes first."""
        waiting = sorted((wait.order, worker) for worker, wait in self.waits.items() if which in wait.objects)
        for _, worker in waiting:
            if self.state[which] <= 0:
                break
            wait = self.waits[worker]
            objects = wait.objects if wait.every else (which,)
            status = self.try_wait(worker, objects, every=wait.every)
            if status is not None:
                del self.waits[worker]
                self.finish(worker, status if wait.every else status + wait.objects.index(which))

    def wait(self, worker: int, objects: tuple[int, ...], *, every: bool, ends: bool) -> None:
        """Wait; `ends`: with a timeout that is over before anything else happens."""
        status = self.try_wait(worker, objects, every=every)
        if status is not None:
            self.finish(worker, status)
        elif ends:
            self.finish(worker, STATUS_TIMEOUT)
        else:
            self.begun += 1
            self.waits[worker] = Wait(objects, every, self.begun)

    def set_event(self, worker: int, which: int) -> None:
        """KeSetEvent."""
        self.finish(worker, self.state[which])
        self.state[which] = 1
        self.signal(which)

    def pulse_event(self, worker: int, which: int) -> None:
        """KePulseEvent."""
        self.set_event(worker, which)
        self.state[which] = 0

    def reset_event(self, worker: int, which: int, *, told: bool) -> None:
        """KeResetEvent, or KeClearEvent, which tells nothing."""
        self.finish(worker, self.state[which] if told else 0)
        self.state[which] = 0

    def release_semaphore(self, worker: int, which: int, count: int) -> None:
        """KeReleaseSemaphore, not above the limit."""
        self.finish(worker, self.state[which])
        self.state[which] += count
        self.signal(which)

    def release_mutex(self, worker: int, which: int) -> None:
        """KeReleaseMutex, by the owner."""
        self.finish(worker, self.state[which])
        self.state[which] += 1
        if self.state[which] == 1:
            self._free(worker, which)

    def end_thread(self, worker: int) -> None:
        """The worker's thread ends, another one takes its place; what it owned is abandoned."""
        for which in list(self.owned[worker]):
            self.state[which] = 1
            self.abandoned.add(which)
            self._free(worker, which)
        self.finish(worker, 0)

    def set_timer(self, worker: int, which: int, *, expires: bool) -> None:
        """KeSetTimer; `expires`: before anything else happens."""
        self.finish(worker, int(which in self.armed))
        self.armed.add(which)
        self.state[which] = 0
        if expires:
            self.armed.discard(which)
            self.state[which] = 1
            self.signal(which)

    def cancel_timer(self, worker: int, which: int) -> None:
        """KeCancelTimer."""
        self.finish(worker, int(which in self.armed))
        self.armed.discard(which)

    def _free(self, worker: int, which: int) -> None:
        self.owned[worker].remove(which)
        del self.owner[which]
        self.signal(which)
