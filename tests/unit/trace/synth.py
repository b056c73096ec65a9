# SPDX-License-Identifier: Apache-2.0
"""A small machine that makes correct traces: CPUs with IRQLs, interrupts, spin locks, DPCs, synchronised routines.

Every CPU is a stack of coroutines; a seeded scheduler advances one CPU by one step at a time, delivering pending
interrupts before each step as a local APIC would. What a coroutine does between two yields is one instant.
"""

from __future__ import annotations

import random
from typing import Any

from dirql.trace.accounting import Accounting
from tests.unit.trace.irpacts import IrpActs
from tests.unit.trace.lockacts import CALLER, SPIN_LOCKS
from tests.unit.trace.parts import (
    ANY_CPU,
    CLOCK,
    CLOCK_VECTOR,
    DISPATCH,
    DPC_VECTOR,
    HIGH,
    IPI,
    IPI_VECTOR,
    LOW,
    MEDIUM,
    PASSIVE,
    Broadcast,
    Cpu,
    Dpc,
    Interrupt,
    Steps,
)
from tests.unit.trace.rows import Row, Run, build, make_meta, tile, to_arrays
from tests.unit.trace.threadacts import ThreadActs

__all__ = [
    "ANY_CPU",
    "CLOCK_VECTOR",
    "DISPATCH",
    "DPC_VECTOR",
    "IPI_VECTOR",
    "Cpu",
    "Dpc",
    "Interrupt",
    "Machine",
    "Row",
    "Run",
    "build",
    "make_meta",
    "simulate",
    "tile",
    "to_arrays",
]

SELF_MADE_VECTOR = 0x42
BROADCAST_LOCK = 0xFFFF_8000_0000_7300
DEVICE_LOCK = 0xFFFF_8000_0000_7400


class Machine(ThreadActs, IrpActs):
    """The simulator.

    Args:
        seed: decides everything.
        cpus: number of CPUs.
        windows: allow other things to happen between an act and its record, as on a real CPU.
        ties: let records of different CPUs have the same time.
        threads: as guests have them today; without, each CPU does one thing after the other, as older guests did.
    """

    def __init__(
        self, seed: int, cpus: int = 3, *, windows: bool = True, ties: bool = False, threads: bool = True
    ) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.time = 1000
        self.rows: list[Row] = []
        self.cpus = [Cpu(number) for number in range(cpus)]
        self.windows = windows
        self.ties = ties
        self.threads = threads
        self.stopping = False
        self.shared_dpcs: list[Dpc] = []
        self.sent: dict[int, int] = {}
        self.merged: dict[int, int] = {}
        self.claimed = 0
        self.broadcast: Broadcast | None = None
        shared_lock = 0xFFFF_8000_0000_5010
        self.interrupts = [
            Interrupt(0xFFFF_8000_0000_4000, 0x51, 5, 0, 0xFFFF_8000_0000_5000, Dpc(0xFFFF_8000_0000_6000)),
            Interrupt(0xFFFF_8000_0000_4100, 0x61, 7, (1 % cpus), shared_lock, Dpc(0xFFFF_8000_0000_6040, 0)),
            Interrupt(0xFFFF_8000_0000_4200, 0x72, 7, (2 % cpus), shared_lock, Dpc(0xFFFF_8000_0000_6080, cpus - 1)),
            Interrupt(0xFFFF_8000_0000_4300, 0x92, 9, cpus - 1, 0xFFFF_8000_0000_5020, Dpc(0xFFFF_8000_0000_60C0)),
        ]
        # No device has this one: the CPUs themselves send its vector, and it is not always active.
        everywhere = (1 << cpus) - 1
        self.self_made = Interrupt(
            0xFFFF_8000_0000_4400, SELF_MADE_VECTOR, 4, 0, 0xFFFF_8000_0000_5030, Dpc(0), mask=everywhere
        )
        self.by_vector = {interrupt.vector: interrupt for interrupt in [*self.interrupts, self.self_made]}
        self.own_dpcs = [
            [
                Dpc(0xFFFF_8000_0000_6100 + 0x1000 * cpu + 0x40 * number, cpu, importance=importance)
                for number, importance in enumerate((MEDIUM, MEDIUM, HIGH, LOW))
            ]
            for cpu in range(cpus)
        ]
        self.thread_dpcs = [
            [
                Dpc(0xFFFF_8000_0000_6300 + 0x1000 * cpu + 0x40 * number, cpu, importance=importance, threaded=True)
                for number, importance in enumerate((MEDIUM, MEDIUM, HIGH))
            ]
            for cpu in range(cpus)
        ]

    def run(self, records: int) -> Run:
        for cpu in self.cpus:
            self.record(cpu, "CpuStart", cpu.number)
            if not self.threads:
                cpu.stack.append(self.thread(cpu))
        for interrupt in self.by_vector.values():
            self.record(self.cpus[0], "InterruptConnect", interrupt.address, interrupt.placed)
        if self.threads:
            self.begin_threads()
        while len(self.rows) < records:
            self.step()
            if self.random.random() < 0.03:
                self.interrupt_somewhere()
        self.stopping = True
        while self.busy or any(cpu.stack or cpu.pending or cpu.queue or cpu.threads for cpu in self.cpus):
            if any(device.busy for device in self.devices) and self.random.random() < 0.03:
                self.send_interrupt(0)  # its DPC finishes what the devices do
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
        self.send_interrupt(self.random.randrange(len(self.interrupts)))

    @property
    def busy(self) -> bool:
        return bool(self.shared_dpcs) or any(device.busy for device in self.devices)

    def send_interrupt(self, message: int) -> None:
        interrupt = self.interrupts[message]
        pending = self.cpus[interrupt.cpu].pending
        self.sent[message] = self.sent.get(message, 0) + 1
        if interrupt.vector in pending:
            self.merged[message] = self.merged.get(message, 0) + 1
        pending.add(interrupt.vector)

    def step(self) -> None:
        cpu = self.random.choice(self.cpus)
        waiting = cpu.queue or self.shared_dpcs or (cpu.threads and not self.is_threaded(cpu))
        if waiting and cpu.irql < DISPATCH:
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

    def thread(self, cpu: Cpu) -> Steps:
        acts = [*[self.sleep] * 4, *self.acts]
        while not self.stopping:
            yield from self.random.choice(acts)(cpu)
            yield None
        self.record(cpu, "IdleEnter")

    def thread_acts(self, here: Cpu) -> list[Any]:
        del here
        return [*self.acts, *[self.set_something] * 12]

    def is_threaded(self, cpu: Cpu) -> bool:
        """Whether something is at the threaded DPCs of that CPU."""
        return not self.dpc_threads[cpu.number].parked if self.threads else cpu.in_thread

    def take_dpc(self, cpu: Cpu) -> Dpc | None:
        if not cpu.threads:
            return None
        dpc: Dpc = cpu.threads.pop(0)
        dpc.queued = False
        return dpc

    @property
    def acts(self) -> list[Any]:
        return [
            *[self.hold_at_dispatch] * 4,
            *[self.lock_something] * 3,
            *[self.queue_up] * 7,
            *[self.share] * 5,
            *[self.queue_dpcs] * 2,
            *[self.synchronize_somewhere] * 5,
            *[self.mark] * 2,
            *[self.send] * 3,
            *[self.send_requests] * 3,
            self.switch,
            self.call_everybody,
        ]

    def mark(self, cpu: Cpu) -> Steps:
        self.record(cpu, "Mark", 1, 2)
        yield from ()

    def send(self, cpu: Cpu) -> Steps:
        target = self.random.choice(self.cpus)
        if target.number != cpu.number:
            vector = self.random.choice((IPI_VECTOR, SELF_MADE_VECTOR))
            self.record(cpu, "IpiSend", vector, target.number)
            target.pending.add(vector)
        yield from ()

    def sleep(self, cpu: Cpu) -> Steps:
        self.record(cpu, "IdleEnter")
        before = cpu.wakes
        while cpu.wakes == before and not self.stopping:
            yield None
        self.record(cpu, "IdleExit")

    def hold_at_dispatch(self, cpu: Cpu) -> Steps:
        self.raise_irql(cpu, DISPATCH, CALLER)
        yield None
        locks = sorted(self.random.sample(SPIN_LOCKS, self.random.randint(1, 2)))
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
        yield from self.lower_irql(cpu, PASSIVE, CALLER + 0x10)

    def queue_dpcs(self, cpu: Cpu) -> Steps:
        """Queue DPCs of the CPU itself, ordinary and threaded, at DISPATCH_LEVEL; remove one again, or not."""
        self.raise_irql(cpu, DISPATCH, CALLER)
        dpcs = self.random.sample(self.own_dpcs[cpu.number], 3) + self.random.sample(self.thread_dpcs[cpu.number], 2)
        self.random.shuffle(dpcs)
        for dpc in dpcs:
            yield from self.insert(cpu, dpc)
        if self.random.random() < 0.3:
            self.remove(cpu, self.random.choice(dpcs))
        yield from self.lower_irql(cpu, PASSIVE, CALLER + 0x10)

    def switch(self, cpu: Cpu) -> Steps:
        """Make the interrupt that no device has inactive, or active again."""
        interrupt = self.self_made
        old = self.raise_irql(cpu, interrupt.sync_irql, CALLER + 0x80)
        yield from self.take_ticket(cpu, interrupt.lock, CALLER + 0x80)
        interrupt.active = not interrupt.active
        self.record(cpu, "InterruptActive", interrupt.address, int(interrupt.active))
        self.serve_next(cpu, interrupt.lock, CALLER + 0x80)
        yield from self.lower_irql(cpu, old, CALLER + 0x80)

    def call_everybody(self, cpu: Cpu) -> Steps:
        cpu.irql = CLOCK
        yield from self.acquire(cpu, BROADCAST_LOCK, CALLER + 0x90)
        everybody = set(range(len(self.cpus)))
        self.broadcast = Broadcast(set(everybody), everybody - {cpu.number}, CALLER + 0xA0, self.time)
        self.record(cpu, "IpiSend", IPI_VECTOR, ANY_CPU)
        for other in self.cpus:
            if other.number != cpu.number:
                other.pending.add(IPI_VECTOR)
        cpu.irql = IPI
        yield from self.take_part(cpu, self.broadcast)
        while self.broadcast.running:
            yield None
        self.broadcast = None
        self.release(cpu, BROADCAST_LOCK, CALLER + 0x94)
        cpu.irql = PASSIVE
        yield None

    def take_part(self, cpu: Cpu, call: Broadcast) -> Steps:
        call.missing.discard(cpu.number)
        while call.missing:
            yield None
        self.record(cpu, "IpiCallEnter", call.routine, call.context)
        yield from self.pause(0.5)
        self.record(cpu, "IpiCallExit", call.routine, cpu.number)
        yield from self.pause(0.5)

    def synchronize_somewhere(self, cpu: Cpu) -> Steps:
        yield from self.synchronize(cpu, self.random.choice(self.interrupts))

    def synchronize(self, cpu: Cpu, interrupt: Interrupt) -> Steps:
        old = cpu.irql
        if old > interrupt.sync_irql:
            return
        routine = 0xFFFF_8000_0040_0000
        self.record(cpu, "SyncRequest", interrupt.address, routine)
        yield from self.pause(0.5)
        self.raise_irql(cpu, interrupt.sync_irql, CALLER + 0xB0)
        yield from self.take_ticket(cpu, interrupt.lock, CALLER + 0xB0)
        self.record(cpu, "SyncEnter", interrupt.address, routine)
        yield from self.pause(0.7)
        value = self.random.choice((0, 1, 2))
        self.record(cpu, "SyncExit", interrupt.address, value)
        yield from self.pause(0.3)
        self.serve_next(cpu, interrupt.lock, CALLER + 0xB0)
        yield from self.lower_irql(cpu, old, CALLER + 0xB0)
        yield from self.pause(0.3)
        self.record(cpu, "SyncReturn", interrupt.address, value)

    def interrupt_frame(self, cpu: Cpu, vector: int) -> Steps:
        old = cpu.irql
        cpu.irql = vector >> 4
        rip = 0xFFFF_8000_0050_0000
        self.record(cpu, "InterruptEnter", vector | old << 8, rip)
        yield None
        if vector == DPC_VECTOR:
            if self.threads:
                yield from self.expire_timers(cpu)
            yield from self.retire(cpu)
            yield from self.wake_dpc_thread(cpu) if self.threads else self.run_threaded(cpu)
        elif vector == IPI_VECTOR and self.broadcast is not None and cpu.number in self.broadcast.running:
            call = self.broadcast
            if cpu.number in call.missing:
                yield from self.take_part(cpu, call)
                call.running.discard(cpu.number)
        elif vector in self.by_vector:
            yield from self.service(cpu, self.by_vector[vector])
        cpu.irql = old
        self.record(cpu, "InterruptExit", vector | old << 8, rip)
        if vector == DPC_VECTOR and self.threads:
            yield from self.preempt(self.current[cpu.number], old)

    def service(self, cpu: Cpu, interrupt: Interrupt) -> Steps:
        cpu.irql = interrupt.sync_irql
        yield from self.pause(0.3)
        yield from self.take_ticket(cpu, interrupt.lock, CALLER + 0xC0)
        if interrupt.active:
            yield from self.call_service_routine(cpu, interrupt)
        yield from self.pause(0.3)
        self.serve_next(cpu, interrupt.lock, CALLER + 0xC0)
        cpu.irql = interrupt.vector >> 4
        yield from self.pause(0.3)

    def call_service_routine(self, cpu: Cpu, interrupt: Interrupt) -> Steps:
        yield from self.pause(0.3)
        self.record(cpu, "IsrEnter", interrupt.address, interrupt.routine)
        yield from self.pause(0.7)
        if interrupt is self.self_made:
            self.record(cpu, "IsrExit", interrupt.address, 0)
            return
        if interrupt is self.interrupts[-1]:
            yield from self.acquire(cpu, DEVICE_LOCK)  # a spin lock that is only ever taken at this level
            self.release(cpu, DEVICE_LOCK)
        yield from self.insert(cpu, interrupt.dpc)
        yield from self.pause(0.3)
        self.claimed += 1
        self.record(cpu, "IsrExit", interrupt.address, 1)

    def insert(self, cpu: Cpu, dpc: Dpc) -> Steps:
        inserted = not dpc.queued
        if inserted:
            dpc.queued = True
            queue = self.shared_dpcs if dpc.target == ANY_CPU else self.cpus[dpc.target].queue
            queue = self.cpus[dpc.target].threads if dpc.threaded else queue
            queue.insert(0 if dpc.importance == HIGH else len(queue), dpc)
        if self.windows:
            yield from self.pause(0.1)
        word = int(inserted) | dpc.target << 8 | dpc.importance << 16 | int(dpc.threaded) << 24
        self.record(cpu, "DpcInsert", dpc.address, word)

    def remove(self, cpu: Cpu, dpc: Dpc) -> None:
        removed = dpc.queued
        for queue in (self.shared_dpcs, *(q for other in self.cpus for q in (other.queue, other.threads))):
            if dpc in queue:
                queue.remove(dpc)
        dpc.queued = False
        self.record(cpu, "DpcRemove", dpc.address, int(removed))

    def retire(self, cpu: Cpu) -> Steps:
        while cpu.queue or self.shared_dpcs:
            dpc = cpu.queue.pop(0) if cpu.queue else self.shared_dpcs.pop(0)
            dpc.queued = False
            if self.windows:
                yield from self.pause(0.3)
            self.record(cpu, "DpcStart", dpc.address, dpc.routine)
            yield None
            if dpc is self.interrupts[0].dpc or dpc is self.interrupts[-1].dpc:
                yield from self.finish(cpu)
            choice = 1.0 if self.stopping else self.random.random()
            if choice < 0.1:
                yield from self.insert(cpu, dpc)
            elif choice < 0.5:
                yield from self.synchronize(cpu, self.random.choice(self.interrupts))
            elif choice < 0.6:
                self.remove(cpu, self.random.choice(self.interrupts).dpc)
            yield None
            self.record(cpu, "DpcEnd", dpc.address, dpc.routine)

    def run_threaded(self, cpu: Cpu) -> Steps:
        if cpu.in_thread:
            return
        cpu.in_thread = True
        while cpu.threads:
            dpc = cpu.threads.pop(0)
            dpc.queued = False
            cpu.irql = PASSIVE
            self.record(cpu, "ThreadedDpcStart", dpc.address, dpc.routine)
            yield None
            yield from self.pause(0.5)
            self.record(cpu, "ThreadedDpcEnd", dpc.address, dpc.routine)
            cpu.irql = DISPATCH
        cpu.in_thread = False


def simulate(
    seed: int, cpus: int = 3, records: int = 1500, *, windows: bool = True, ties: bool = False, threads: bool = True
) -> Run:
    return Machine(seed, cpus, windows=windows, ties=ties, threads=threads).run(records)
