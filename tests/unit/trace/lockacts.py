# SPDX-License-Identifier: Apache-2.0
"""What the simulated CPUs do with locks: each kind's records, in the order in which the guest makes them."""

from __future__ import annotations

import random
from collections import defaultdict

from tests.unit.trace.parts import DISPATCH, Cpu, ReadersWriters, Steps, Tickets

CALLER = 0xFFFF_8000_0030_0000
SPIN_LOCKS = [0xFFFF_8000_0000_7000, 0xFFFF_8000_0000_7008, 0xFFFF_8000_0000_7010]
QUEUED_LOCKS = [0xFFFF_8000_0000_7100]
READER_WRITER_LOCKS = [0xFFFF_8000_0000_7200]


class LockActs:
    """Mixed into the machine, which keeps the time and the records."""

    random: random.Random
    windows: bool

    def __init__(self) -> None:
        self.locks: dict[int, int | None] = {}
        self.tickets: dict[int, Tickets] = defaultdict(Tickets)
        self.queues: dict[int, list[int]] = defaultdict(list)
        self.shared: dict[int, ReadersWriters] = defaultdict(ReadersWriters)

    def record(self, cpu: Cpu, event: str, a0: int = 0, a1: int = 0) -> None:
        raise NotImplementedError

    def pause(self, chance: float = 1.0) -> Steps:
        if self.random.random() < chance:
            yield None

    def work(self) -> Steps:
        """Take some time, so that others come to wait."""
        for _ in range(self.random.randint(1, 12)):
            yield None

    def raise_irql(self, cpu: Cpu, level: int, caller: int) -> int:
        old, cpu.irql = cpu.irql, level
        self.record(cpu, "IrqlRaise", old | level << 8, caller)
        return old

    def lower_irql(self, cpu: Cpu, level: int, caller: int) -> Steps:
        self.record(cpu, "IrqlLower", cpu.irql | level << 8, caller)
        cpu.irql = level
        yield None  # what was pending comes first

    def lock_something(self, cpu: Cpu) -> Steps:
        """Hold one or two executive spin locks, taken from any level up to DISPATCH_LEVEL, and let them go."""
        locks = sorted(self.random.sample(SPIN_LOCKS, self.random.randint(1, 2)))
        levels = [self.raise_irql(cpu, DISPATCH, CALLER + 0x40)]
        yield from self.acquire(cpu, locks[0], CALLER + 0x40)
        if len(locks) == 2:
            levels.append(self.raise_irql(cpu, DISPATCH, CALLER + 0x44))
            yield from self.acquire(cpu, locks[1], CALLER + 0x44)
        yield None
        if self.random.random() < 0.3:
            locks.reverse()  # hand over hand: the last release restores what the first acquisition saved
        for lock in reversed(locks):
            self.release(cpu, lock, CALLER + 0x48)
            yield from self.lower_irql(cpu, levels.pop(), CALLER + 0x48)

    def acquire(self, cpu: Cpu, lock: int, caller: int = CALLER + 0x20) -> Steps:
        if self.locks.get(lock) is not None:
            self.record(cpu, "LockWait", lock, caller)
        while self.locks.get(lock) is not None:
            yield None
        self.locks[lock] = cpu.number
        if self.windows:
            yield from self.pause(0.2)
        self.record(cpu, "LockAcquired", lock, caller)

    def release(self, cpu: Cpu, lock: int, caller: int = CALLER + 0x30) -> None:
        self.record(cpu, "LockReleased", lock, caller)
        self.locks[lock] = None

    def take_ticket(self, cpu: Cpu, lock: int, caller: int) -> Steps:
        """Acquire an interrupt lock."""
        word = self.tickets[lock]
        ticket, word.next = word.next, word.next + 1 & 0xFFFF
        if word.serving != ticket:
            self.record(cpu, "LockWait", lock, caller)
            self.record(cpu, "LockQueued", lock, 2 << 32 | ticket)
        while word.serving != ticket:
            yield None
        if self.windows:
            yield from self.pause(0.2)
        self.record(cpu, "LockAcquired", lock, caller)

    def serve_next(self, cpu: Cpu, lock: int, caller: int) -> None:
        self.record(cpu, "LockReleased", lock, caller)
        word = self.tickets[lock]
        word.serving = word.serving + 1 & 0xFFFF

    def queue_up(self, cpu: Cpu) -> Steps:
        """Hold an in-stack queued spin lock."""
        lock = self.random.choice(QUEUED_LOCKS)
        old = self.raise_irql(cpu, DISPATCH, CALLER + 0x50)
        queue = self.queues[lock]
        queue.append(cpu.number)
        if len(queue) > 1:
            behind = queue[-2]
            yield from self.pause(0.3)
            self.record(cpu, "LockWait", lock, CALLER + 0x50)
            self.record(cpu, "LockQueued", lock, 1 << 32 | behind)
        while queue[0] != cpu.number:
            yield None
        self.record(cpu, "LockAcquired", lock, CALLER + 0x50)
        yield from self.work()
        self.record(cpu, "LockReleased", lock, CALLER + 0x54)
        queue.pop(0)
        yield from self.lower_irql(cpu, old, CALLER + 0x54)

    def share(self, cpu: Cpu) -> Steps:
        """Hold a reader/writer spin lock, as either."""
        lock = self.random.choice(READER_WRITER_LOCKS)
        old = self.raise_irql(cpu, DISPATCH, CALLER + 0x60)
        word = self.shared[lock]
        if self.random.random() < 0.4:
            yield from self._enter_as_writer(cpu, word, lock)
        else:
            waits = word.writer or word.writers_waiting
            if waits:
                self.record(cpu, "LockSharedWait", lock, CALLER + 0x60)
            while word.writer or word.writers_waiting:
                yield None
            word.readers += 1
            self.record(cpu, "LockSharedAcquired", lock, CALLER + 0x60)
            yield from self.work()
            if word.readers > 1 or word.writers_waiting or self.random.random() < 0.3:
                self.record(cpu, "LockSharedReleased", lock, CALLER + 0x64)
                word.readers -= 1
                yield from self.lower_irql(cpu, old, CALLER + 0x64)
                return
            word.readers, word.writer = 0, True
            self.record(cpu, "LockSharedReleased", lock, CALLER + 0x68)
            self.record(cpu, "LockAcquired", lock, CALLER + 0x68)
        yield from self.work()
        self.record(cpu, "LockReleased", lock, CALLER + 0x6C)
        word.writer = False
        yield from self.lower_irql(cpu, old, CALLER + 0x6C)

    def _enter_as_writer(self, cpu: Cpu, word: ReadersWriters, lock: int) -> Steps:
        if word.writer or word.readers or word.writers_waiting:
            word.writers_waiting += 1
            self.record(cpu, "LockWait", lock, CALLER + 0x60)
            while word.writer or word.readers:
                yield None
            word.writers_waiting -= 1
        word.writer = True
        self.record(cpu, "LockAcquired", lock, CALLER + 0x60)
