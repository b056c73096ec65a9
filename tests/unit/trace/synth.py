# SPDX-License-Identifier: Apache-2.0
"""A small machine that makes correct traces: CPUs with IRQLs, interrupts, spin locks, DPCs, synchronised routines.

Every CPU is a stack of coroutines; a seeded scheduler advances one CPU by one step at a time, delivering pending
interrupts before each step as a local APIC would. What a coroutine does between two yields is one instant.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from dirql.trace.accounting import Accounting
from dirql.trace.clock import Clock
from dirql.trace.decode import Trace
from dirql.trace.folder import TraceMeta
from dirql.trace.schema import Records, record_dtype
from tests.unit.trace.header import RECORD_LAYOUT, RECORD_SIZE, events_of_header

DISPATCH = 2
DPC_VECTOR = 0x2F
CLOCK_VECTOR = 0xD1
IPI_VECTOR = 0xE1
ANY_CPU = 0xFF
TSC_HZ = 1e9

Steps = Iterator[None]


@dataclass(frozen=True)
class Row:
    """One record, as the tests handle it."""

    time: int
    cpu: int
    event: str
    irql: int
    a0: int = 0
    a1: int = 0

    def but(self, **changes: int | str) -> Row:
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass
class Interrupt:
    """A connected KINTERRUPT with its device."""

    address: int
    vector: int
    sync_irql: int
    cpu: int
    lock: int
    dpc: Dpc

    @property
    def routine(self) -> int:
        return 0xFFFF_8000_0010_0000 + (self.address & 0xFFF)


@dataclass
class Dpc:
    """A KDPC."""

    address: int
    target: int = ANY_CPU
    queued: bool = False

    @property
    def routine(self) -> int:
        return 0xFFFF_8000_0020_0000 + (self.address & 0xFFF)


@dataclass
class Cpu:
    """What a CPU is doing."""

    number: int
    irql: int = 0
    stack: list[Steps] = field(default_factory=list)
    pending: set[int] = field(default_factory=set)
    queue: list[Dpc] = field(default_factory=list)
    idle: bool = False
    wakes: int = 0


@dataclass(frozen=True)
class Run:
    """A finished run."""

    rows: tuple[Row, ...]
    cpus: int
    accounting: Accounting
    interrupts: tuple[Interrupt, ...]

    def trace(self, **meta: object) -> Trace:
        return build(self.rows, self.cpus, accounting=self.accounting, **meta)

    def with_rows(self, rows: list[Row]) -> Run:
        return replace(self, rows=tuple(sorted(rows, key=lambda row: row.time)))


class Machine:
    """The simulator.

    Args:
        seed: decides everything.
        cpus: number of CPUs.
        windows: allow other things to happen between an act and its record, as on a real CPU.
        ties: let records of different CPUs have the same time.
    """

    def __init__(self, seed: int, cpus: int = 3, *, windows: bool = True, ties: bool = False) -> None:
        self.random = random.Random(seed)
        self.time = 1000
        self.rows: list[Row] = []
        self.cpus = [Cpu(number) for number in range(cpus)]
        self.locks: dict[int, int | None] = {}
        self.windows = windows
        self.ties = ties
        self.stopping = False
        self.shared: list[Dpc] = []
        self.sent: dict[int, int] = {}
        self.merged: dict[int, int] = {}
        self.claimed = 0
        shared_lock = 0xFFFF_8000_0000_5010
        self.interrupts = [
            Interrupt(0xFFFF_8000_0000_4000, 0x51, 5, 0, 0xFFFF_8000_0000_5000, Dpc(0xFFFF_8000_0000_6000)),
            Interrupt(0xFFFF_8000_0000_4100, 0x61, 7, (1 % cpus), shared_lock, Dpc(0xFFFF_8000_0000_6040, 0)),
            Interrupt(0xFFFF_8000_0000_4200, 0x72, 7, (2 % cpus), shared_lock, Dpc(0xFFFF_8000_0000_6080, cpus - 1)),
            Interrupt(0xFFFF_8000_0000_4300, 0x92, 9, cpus - 1, 0xFFFF_8000_0000_5020, Dpc(0xFFFF_8000_0000_60C0)),
        ]
        self.spin_locks = [0xFFFF_8000_0000_7000, 0xFFFF_8000_0000_7008, 0xFFFF_8000_0000_7010]
        self.by_vector = {interrupt.vector: interrupt for interrupt in self.interrupts}

    def run(self, records: int) -> Run:
        for cpu in self.cpus:
            self.record(cpu, "CpuStart", cpu.number)
            cpu.stack.append(self.thread(cpu))
        for interrupt in self.interrupts:
            placed = interrupt.vector | (interrupt.vector >> 4) << 8 | interrupt.sync_irql << 16 | interrupt.cpu << 24
            self.record(self.cpus[0], "InterruptConnect", interrupt.address, placed)
        while len(self.rows) < records:
            self.step()
            if self.random.random() < 0.03:
                self.interrupt_somewhere()
        self.stopping = True
        while any(cpu.stack or cpu.pending or cpu.queue for cpu in self.cpus) or self.shared:
            self.step()
        accounting = Accounting(
            sent=dict(self.sent),
            merged=dict(self.merged),
            acknowledged=self.claimed,
            connects={message: interrupt.address for message, interrupt in enumerate(self.interrupts)},
        )
        return Run(tuple(self.rows), len(self.cpus), accounting, tuple(self.interrupts))

    def interrupt_somewhere(self) -> None:
        if self.random.random() < 0.1:
            self.random.choice(self.cpus).pending.add(CLOCK_VECTOR)
            return
        message = self.random.randrange(len(self.interrupts))
        interrupt = self.interrupts[message]
        pending = self.cpus[interrupt.cpu].pending
        self.sent[message] = self.sent.get(message, 0) + 1
        if interrupt.vector in pending:
            self.merged[message] = self.merged.get(message, 0) + 1
        pending.add(interrupt.vector)

    def step(self) -> None:
        cpu = self.random.choice(self.cpus)
        if (cpu.queue or self.shared) and cpu.irql < DISPATCH:
            cpu.pending.add(DPC_VECTOR)
        highest = max(cpu.pending, default=0)
        if highest >> 4 > cpu.irql:
            cpu.pending.remove(highest)
            cpu.wakes += 1
            cpu.stack.append(self.interrupt_frame(cpu, highest))
        if cpu.stack and next(cpu.stack[-1], cpu) is cpu:
            cpu.stack.pop()

    def record(self, cpu: Cpu, event: str, a0: int = 0, a1: int = 0) -> None:
        same_cpu = bool(self.rows) and self.rows[-1].cpu == cpu.number
        self.time += 0 if self.ties and not same_cpu and self.random.random() < 0.3 else self.random.randint(300, 900)
        self.rows.append(Row(self.time, cpu.number, event, cpu.irql, a0, a1))

    def pause(self, chance: float = 1.0) -> Steps:
        if self.random.random() < chance:
            yield None

    def thread(self, cpu: Cpu) -> Steps:
        while not self.stopping:
            choice = self.random.random()
            if choice < 0.25:
                yield from self.sleep(cpu)
            elif choice < 0.5:
                yield from self.hold_at_dispatch(cpu)
            elif choice < 0.75:
                yield from self.synchronize(cpu, self.random.choice(self.interrupts))
            elif choice < 0.85:
                self.record(cpu, "Mark", 1, 2)
            else:
                target = self.random.choice(self.cpus)
                if target is not cpu:
                    self.record(cpu, "IpiSend", IPI_VECTOR, target.number)
                    target.pending.add(IPI_VECTOR)
            yield None
        self.record(cpu, "IdleEnter")

    def sleep(self, cpu: Cpu) -> Steps:
        self.record(cpu, "IdleEnter")
        before = cpu.wakes
        while cpu.wakes == before and not self.stopping:
            yield None
        self.record(cpu, "IdleExit")

    def hold_at_dispatch(self, cpu: Cpu) -> Steps:
        cpu.irql = DISPATCH
        self.record(cpu, "IrqlRaise", 0 | DISPATCH << 8, 0xFFFF_8000_0030_0000)
        yield None
        locks = sorted(self.random.sample(self.spin_locks, self.random.randint(1, 2)))
        for lock in locks:
            yield from self.acquire(cpu, lock)
        yield None
        if self.random.random() < 0.4:
            yield from self.synchronize(cpu, self.random.choice(self.interrupts))
        if self.random.random() < 0.3:
            yield from self.insert(cpu, self.random.choice(self.interrupts).dpc)
        self.random.shuffle(locks)
        for lock in locks:
            self.release(cpu, lock)
            yield None
        self.record(cpu, "IrqlLower", DISPATCH, 0xFFFF_8000_0030_0010)
        cpu.irql = 0

    def acquire(self, cpu: Cpu, lock: int) -> Steps:
        if self.locks.get(lock) is not None:
            self.record(cpu, "LockWait", lock, 0xFFFF_8000_0030_0020)
        while self.locks.get(lock) is not None:
            yield None
        self.locks[lock] = cpu.number
        if self.windows:
            yield from self.pause(0.2)
        self.record(cpu, "LockAcquired", lock, 0xFFFF_8000_0030_0020)

    def release(self, cpu: Cpu, lock: int) -> None:
        self.record(cpu, "LockReleased", lock, 0xFFFF_8000_0030_0030)
        self.locks[lock] = None

    def synchronize(self, cpu: Cpu, interrupt: Interrupt) -> Steps:
        old = cpu.irql
        if old > interrupt.sync_irql:
            return
        routine = 0xFFFF_8000_0040_0000
        self.record(cpu, "SyncRequest", interrupt.address, routine)
        yield from self.pause(0.5)
        cpu.irql = interrupt.sync_irql
        yield from self.acquire(cpu, interrupt.lock)
        self.record(cpu, "SyncEnter", interrupt.address, routine)
        yield from self.pause(0.7)
        value = self.random.choice((0, 1, 2))
        self.record(cpu, "SyncExit", interrupt.address, value)
        yield from self.pause(0.3)
        self.release(cpu, interrupt.lock)
        cpu.irql = old
        yield from self.pause(0.3)
        self.record(cpu, "SyncReturn", interrupt.address, value)

    def interrupt_frame(self, cpu: Cpu, vector: int) -> Steps:
        old = cpu.irql
        cpu.irql = vector >> 4
        rip = 0xFFFF_8000_0050_0000
        self.record(cpu, "InterruptEnter", vector | old << 8, rip)
        yield None
        if vector == DPC_VECTOR:
            yield from self.retire(cpu)
        elif vector in self.by_vector:
            yield from self.service(cpu, self.by_vector[vector])
        cpu.irql = old
        self.record(cpu, "InterruptExit", vector | old << 8, rip)

    def service(self, cpu: Cpu, interrupt: Interrupt) -> Steps:
        cpu.irql = interrupt.sync_irql
        yield from self.pause(0.3)
        yield from self.acquire(cpu, interrupt.lock)
        yield from self.pause(0.3)
        self.record(cpu, "IsrEnter", interrupt.address, interrupt.routine)
        yield from self.pause(0.7)
        yield from self.insert(cpu, interrupt.dpc)
        yield from self.pause(0.3)
        self.claimed += 1
        self.record(cpu, "IsrExit", interrupt.address, 1)
        yield from self.pause(0.3)
        self.release(cpu, interrupt.lock)
        cpu.irql = interrupt.vector >> 4
        yield from self.pause(0.3)

    def insert(self, cpu: Cpu, dpc: Dpc) -> Steps:
        inserted = not dpc.queued
        if inserted:
            dpc.queued = True
            (self.shared if dpc.target == ANY_CPU else self.cpus[dpc.target].queue).append(dpc)
        if self.windows:
            yield from self.pause(0.1)
        self.record(cpu, "DpcInsert", dpc.address, int(inserted) | dpc.target << 8 | 1 << 16)

    def remove(self, cpu: Cpu, dpc: Dpc) -> None:
        removed = dpc.queued
        for queue in (self.shared, *(other.queue for other in self.cpus)):
            if dpc in queue:
                queue.remove(dpc)
        dpc.queued = False
        self.record(cpu, "DpcRemove", dpc.address, int(removed))

    def retire(self, cpu: Cpu) -> Steps:
        while cpu.queue or self.shared:
            dpc = cpu.queue.pop(0) if cpu.queue else self.shared.pop(0)
            dpc.queued = False
            if self.windows:
                yield from self.pause(0.3)
            self.record(cpu, "DpcStart", dpc.address, dpc.routine)
            yield None
            choice = 1.0 if self.stopping else self.random.random()
            if choice < 0.1:
                yield from self.insert(cpu, dpc)
            elif choice < 0.5:
                yield from self.synchronize(cpu, self.random.choice(self.interrupts))
            elif choice < 0.6:
                self.remove(cpu, self.random.choice(self.interrupts).dpc)
            yield None
            self.record(cpu, "DpcEnd", dpc.address, dpc.routine)


def simulate(seed: int, cpus: int = 3, records: int = 1500, *, windows: bool = True, ties: bool = False) -> Run:
    return Machine(seed, cpus, windows=windows, ties=ties).run(records)


def to_arrays(rows: tuple[Row, ...] | list[Row], cpus: int) -> list[Records]:
    """Turn rows, in the order of the trace, into each CPU's ring contents."""
    events = events_of_header()
    per_cpu: list[list[tuple[int, ...]]] = [[] for _ in range(cpus)]
    for row in rows:
        mine = per_cpu[row.cpu]
        mine.append((row.time, len(mine) + 1, events[row.event], row.cpu, row.irql, row.a0, row.a1))
    dtype = record_dtype(RECORD_LAYOUT, RECORD_SIZE)
    return [np.array(mine, dtype=dtype) for mine in per_cpu]


def make_meta(cpus: int, **changes: object) -> TraceMeta:
    meta = TraceMeta(
        events=events_of_header(),
        record_fields=dict(RECORD_LAYOUT),
        record_size=RECORD_SIZE,
        mode="icount",
        cpus=cpus,
        clock=Clock(tsc_hz=TSC_HZ),
        lost=(0,) * cpus,
    )
    return replace(meta, **changes)  # type: ignore[arg-type]


def build(rows: tuple[Row, ...] | list[Row], cpus: int, **meta: object) -> Trace:
    return Trace(to_arrays(rows, cpus), make_meta(cpus, **meta))


def tile(run: Run, copies: int) -> list[Records]:
    """Repeat a run, which ends with all CPUs at rest, to make a long one."""
    arrays = to_arrays(run.rows, run.cpus)
    period = run.rows[-1].time + 1000
    tiled = []
    for array in arrays:
        long = np.tile(array, copies)
        long["Time"] += np.repeat(np.arange(copies, dtype=np.uint64) * np.uint64(period), len(array))
        long["Sequence"] = np.arange(1, len(long) + 1)
        tiled.append(long)
    return tiled
