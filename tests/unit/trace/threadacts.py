# SPDX-License-Identifier: Apache-2.0
"""Threads of the simulated machine: a dispatcher with one lock, objects to wait for, a scheduler that moves threads.

A thread is a stack of coroutines too. While it has a CPU that is the bottom of the CPU's; a switch exchanges them,
under the dispatcher lock, which whoever is given the CPU lets go. Coroutines of threads know their CPU by `Here` only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dirql.trace.history.threads import READY, TERMINATED, WAITING
from tests.unit.trace.lockacts import LockActs
from tests.unit.trace.parts import DISPATCH, DPC_VECTOR, PASSIVE, Cpu, Dpc, Steps

DISPATCHER_LOCK = 0xFFFF_8000_0000_7500
THREADS = 0xFFFF_8000_0001_0000
OBJECTS = 0xFFFF_8000_0002_0000
ROUTINES = 0xFFFF_8000_0060_0000
NOTIFICATION, SYNCHRONIZATION, MUTEX, SEMAPHORE, THREAD, TIMER = 0, 1, 2, 5, 6, 8
WAIT_ALL, WAIT_ANY = range(2)
TIMEOUT = 0x102


class Here:
    """The CPU that a thread has at the moment, whichever that is."""

    thread: Thread

    def __init__(self, thread: Thread) -> None:
        object.__setattr__(self, "thread", thread)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever the CPU has)
        return getattr(self.thread.cpu, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.thread.cpu, name, value)


@dataclass(eq=False)
class Object:
    """Something to wait for."""

    address: int
    kind: int
    state: int = 0
    waiters: list[Thread] = field(default_factory=list)
    owner: Thread | None = None


@dataclass(eq=False)
class Thread:
    """A thread."""

    address: int
    priority: int
    cpu: Cpu
    affinity: frozenset[int]
    stack: list[Steps] = field(default_factory=list)
    objects: list[Object] = field(default_factory=list)
    kind: int = WAIT_ANY
    timed: bool = False
    status: int = 0
    waits: bool = False
    parked: bool = False
    ended: bool = False

    @property
    def here(self) -> Any:  # noqa: ANN401 (stands for a Cpu)
        return Here(self)

    @property
    def timer(self) -> int:
        return self.address + 0x100


class ThreadActs(LockActs):
    """Mixed into the machine."""

    cpus: list[Cpu]
    stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self.idle: list[Thread] = []
        self.dpc_threads: list[Thread] = []
        self.workers: list[Thread] = []
        self.current: dict[int, Thread] = {}
        self.ready: dict[int, list[Thread]] = {}
        kinds = (NOTIFICATION, SYNCHRONIZATION, SYNCHRONIZATION, SEMAPHORE, MUTEX)
        self.objects = [Object(OBJECTS + 0x40 * at, kind, int(kind == MUTEX)) for at, kind in enumerate(kinds)]

    def begin_threads(self) -> None:
        """The idle threads run; all others begin, made ready by CPU 0."""
        count = len(self.cpus)
        everywhere = frozenset(range(count))
        for cpu in self.cpus:
            self.ready[cpu.number] = []
            idle = Thread(THREADS + 0x1000 * cpu.number, 0, cpu, frozenset({cpu.number}))
            self.idle.append(idle)
            self.current[cpu.number] = idle
            cpu.stack.append(self.idle_loop(idle.here))
            dpc = Thread(THREADS + 0x1_0000 + 0x1000 * cpu.number, 31, cpu, frozenset({cpu.number}))
            dpc.stack.append(self.start(dpc, self.dpc_loop(dpc)))
            dpc.waits = dpc.parked = True
            self.dpc_threads.append(dpc)
        for number in range(2 * count + 1):
            affinity = everywhere if number % 3 else frozenset({number % count})
            priority = 8 + number % 3 if number else 1  # the first never waits: it lets the others go in the end
            worker = Thread(THREADS + 0x2_0000 + 0x1000 * number, priority, self.cpus[0], affinity)
            worker.stack.append(self.start(worker, self.work_loop(worker, patient=number > 0)))
            self.workers.append(worker)
        for thread in [*self.dpc_threads, *self.workers]:
            self.record(self.cpus[0], "ThreadCreate", thread.address, ROUTINES + (thread.address >> 12 & 0xFF) * 0x10)
        self.cpus[0].irql = DISPATCH
        for worker in self.workers:
            self.make_ready(self.cpus[0], worker)
        self.cpus[0].irql = PASSIVE

    @property
    def over(self) -> bool:
        return self.stopping and all(worker.ended for worker in self.workers)

    def thread_acts(self, here: Cpu) -> list[Any]:
        raise NotImplementedError

    def take_dpc(self, cpu: Cpu) -> Dpc | None:
        raise NotImplementedError

    def idle_loop(self, here: Cpu) -> Steps:
        while not self.over:
            self.record(here, "IdleEnter")
            before = here.wakes
            while here.wakes == before and not self.over:
                yield None
            self.record(here, "IdleExit")
        self.record(here, "IdleEnter")

    def work_loop(self, thread: Thread, *, patient: bool) -> Steps:
        here = thread.here
        while not self.stopping:
            act = self.random.choice(self.thread_acts(here))
            yield from act(here)
            yield None
            if patient and self.random.random() < 0.6:
                yield from self.wait_for_something(here)
        while not patient and any(not other.ended for other in self.workers if other is not thread):
            for thing in self.objects:
                if thing.waiters and thing.kind != MUTEX:
                    yield from self.set(here, thing)
            yield None

    def dpc_loop(self, thread: Thread) -> Steps:
        here = thread.here
        while True:
            dpc = self.take_dpc(here)
            if dpc is not None:
                yield from self.pause(0.3)
                self.record(here, "ThreadedDpcStart", dpc.address, dpc.routine)
                yield None
                yield from self.pause(0.5)
                self.record(here, "ThreadedDpcEnd", dpc.address, dpc.routine)
                continue
            yield from self.lock_dispatcher(here)
            if not here.threads:
                thread.waits = thread.parked = True
                yield from self.swap(thread, WAITING)
            yield from self.unlock_dispatcher(here, PASSIVE)

    def start(self, thread: Thread, body: Steps) -> Steps:
        here = thread.here
        self.locks[DISPATCHER_LOCK] = None
        here.irql = PASSIVE
        yield None
        yield from body
        yield from self.lock_dispatcher(here)
        self.record(here, "ThreadExit", thread.address)
        self.record(here, "Signal", thread.address, 1 | THREAD << 32)
        thread.ended = True
        yield from self.swap(thread, TERMINATED)

    def lock_dispatcher(self, here: Cpu) -> Steps:
        """As in the guest, nothing of it is in the trace."""
        here.irql = DISPATCH
        while self.locks.get(DISPATCHER_LOCK) is not None:
            yield None
        self.locks[DISPATCHER_LOCK] = here.number

    def unlock_dispatcher(self, here: Cpu, irql: int) -> Steps:
        if irql >= DISPATCH:
            here.pending.add(DPC_VECTOR)
        elif self.wants_switch(here.number):
            yield from self.give_way(self.current[here.number])
        self.locks[DISPATCHER_LOCK] = None
        here.irql = irql
        yield None

    def wants_switch(self, cpu: int) -> bool:
        current = self.current[cpu].priority
        return any(thread.priority > current for thread in self.ready[cpu]) or (
            any(thread.priority == current for thread in self.ready[cpu]) and self.random.random() < 0.2
        )

    def give_way(self, thread: Thread) -> Steps:
        if thread not in self.idle:
            self.make_ready(thread.here, thread)
        yield from self.swap(thread, READY)

    def preempt(self, thread: Thread, irql: int) -> Steps:
        """At the end of the DISPATCH interrupt."""
        here = thread.here
        if irql < DISPATCH and self.wants_switch(here.number):
            yield from self.lock_dispatcher(here)
            if self.wants_switch(here.number):
                yield from self.give_way(thread)
            self.locks[DISPATCHER_LOCK] = None
            here.irql = irql

    def swap(self, old: Thread, left_as: int) -> Steps:
        cpu = old.cpu
        new = max(self.ready[cpu.number], key=lambda thread: thread.priority, default=self.idle[cpu.number])
        for other in self.cpus:  # a better one of another CPU's
            for thread in self.ready[other.number]:
                if cpu.number in thread.affinity and thread.priority > new.priority and thread is not old:
                    new = thread
        for queue in self.ready.values():
            if new in queue:
                queue.remove(new)
        word = left_as | old.priority << 8 | new.priority << 16
        if new is old:
            return
        self.record(cpu, "ThreadSwitch", new.address, word)
        old.stack, cpu.stack = cpu.stack, new.stack
        new.cpu = cpu
        self.current[cpu.number] = new
        yield None

    def make_ready(self, cpu: Cpu, thread: Thread) -> None:
        target = self.random.choice(sorted(thread.affinity))
        at_once = thread.priority > self.current[target].priority
        self.record(cpu, "ThreadReady", thread.address, target | thread.priority << 8 | int(at_once) << 16)
        self.ready[target].append(thread)
        self.cpus[target].pending.add(DPC_VECTOR)

    def end_wait(self, cpu: Cpu, thread: Thread, status: int) -> None:
        for thing in thread.objects:
            thing.waiters = [waiter for waiter in thing.waiters if waiter is not thread]
        if thread.timed and status != TIMEOUT:
            self.record(cpu, "TimerCancel", thread.timer, 1)
        thread.waits, thread.timed, thread.status = False, False, status
        self.make_ready(cpu, thread)

    def take(self, thing: Object, thread: Thread) -> None:
        if thing.kind in (SYNCHRONIZATION, MUTEX):
            thing.state = 0
        elif thing.kind == SEMAPHORE:
            thing.state -= 1
        thing.owner = thread if thing.kind == MUTEX else None

    def try_wait(self, thread: Thread) -> int | None:
        free = [thing.state > 0 for thing in thread.objects]
        if thread.kind == WAIT_ANY and any(free):
            self.take(thread.objects[free.index(True)], thread)
            return free.index(True)
        if thread.kind == WAIT_ALL and all(free):
            for thing in thread.objects:
                self.take(thing, thread)
            return 0
        return None

    def signal(self, cpu: Cpu, thing: Object, state: int) -> None:
        """With the dispatcher lock."""
        thing.state = state
        self.record(cpu, "Signal", thing.address, state | thing.kind << 32)
        for waiter in list(thing.waiters):
            if thing.state > 0:
                status = self.try_wait(waiter)
                if status is not None:
                    self.end_wait(cpu, waiter, status)

    def set(self, here: Cpu, thing: Object) -> Steps:
        irql = here.irql
        yield from self.lock_dispatcher(here)
        more = self.random.randint(1, 2)
        self.signal(here, thing, thing.state + more if thing.kind == SEMAPHORE else 1)
        if thing.kind == NOTIFICATION:
            thing.state = 0  # as KePulseEvent does
        yield from self.unlock_dispatcher(here, irql)

    def wait(self, here: Any, things: list[Object], kind: int, *, timed: bool) -> Steps:  # noqa: ANN401
        thread: Thread = here.thread
        yield from self.lock_dispatcher(here)
        thread.objects, thread.kind = things, kind
        status = self.try_wait(thread)
        if status is None:
            for thing in things:
                thing.waiters.append(thread)
            thread.timed, thread.waits = timed, True
            if timed:
                self.record(here, "TimerSet", thread.timer, 1000)
            word = len(things) | kind << 8 | int(timed) << 24
            self.record(here, "WaitBegin", things[0].address, word)
            yield from self.swap(thread, WAITING)
            status = thread.status
        thread.status = status
        self.record(here, "WaitEnd", things[0].address, status)
        yield from self.unlock_dispatcher(here, PASSIVE)

    def wait_for_something(self, here: Any) -> Steps:  # noqa: ANN401
        choice = self.random.random()
        others = [thing for thing in self.objects if thing.kind != MUTEX]
        if choice < 0.3:
            yield from self.own_mutex(here)
        elif choice < 0.8:
            yield from self.wait(here, [self.random.choice(others)], WAIT_ANY, timed=self.random.random() < 0.4)
        else:
            chosen = self.random.sample(others, 2)
            yield from self.wait(here, chosen, self.random.choice((WAIT_ALL, WAIT_ANY)), timed=True)

    def own_mutex(self, here: Any) -> Steps:  # noqa: ANN401
        mutex = self.objects[-1]
        yield from self.wait(here, [mutex], WAIT_ANY, timed=self.random.random() < 0.3)
        if mutex.owner is here.thread:
            yield from self.pause(0.9)
            yield from self.work()
            yield from self.lock_dispatcher(here)
            mutex.owner = None
            self.signal(here, mutex, 1)
            yield from self.unlock_dispatcher(here, PASSIVE)

    def set_something(self, here: Cpu) -> Steps:
        yield from self.set(here, self.random.choice([thing for thing in self.objects if thing.kind != MUTEX]))

    def expire_timers(self, cpu: Cpu) -> Steps:
        """In the DISPATCH interrupt."""
        due = [worker for worker in self.workers if worker.timed and (self.stopping or self.random.random() < 0.3)]
        if not due:
            return
        yield from self.lock_dispatcher(cpu)
        for thread in due:
            if thread.timed:
                self.record(cpu, "TimerExpire", thread.timer, 1000)
                self.record(cpu, "Signal", thread.timer, 1 | TIMER << 32)
                self.end_wait(cpu, thread, TIMEOUT)
        self.locks[DISPATCHER_LOCK] = None

    def wake_dpc_thread(self, cpu: Cpu) -> Steps:
        thread = self.dpc_threads[cpu.number]
        if cpu.threads and thread.parked:
            yield from self.lock_dispatcher(cpu)
            if thread.parked:
                thread.waits = thread.parked = False
                self.make_ready(cpu, thread)
            self.locks[DISPATCHER_LOCK] = None
