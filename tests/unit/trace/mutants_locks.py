# SPDX-License-Identifier: Apache-2.0
"""Faults of spin locks of all kinds: levels, owners, orders, queues, readers and writers."""

from __future__ import annotations

import random

from tests.unit.trace.faults import adding, another_cpu, change_at, choose, device_frames, mutant, partner, places
from tests.unit.trace.lockacts import CALLER, QUEUED_LOCKS, READER_WRITER_LOCKS, SPIN_LOCKS
from tests.unit.trace.synth import Row, Run


def of(run: Run, event: str, locks: list[int]) -> list[int]:
    return [at for at in places(run, event) if run.rows[at].a0 in locks]


def interrupt_locks(run: Run) -> list[int]:
    return [interrupt.lock for interrupt in run.interrupts]


def third_cpu(run: Run, lock: int, busy: int, time: int) -> int:
    """A CPU that has nothing to do with the lock at that time."""
    last = {}
    for row in run.rows:
        if row.time <= time and row.a0 == lock:
            last[row.cpu] = row.event
    free = [cpu for cpu in range(run.cpus) if last.get(cpu, "").endswith("Released") or cpu not in last]
    return choose([cpu for cpu in free if cpu != busy], random.Random(time))


@mutant("IRQL-3")
def raised_to_a_lower_level(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IrqlRaise"), chance)
    return change_at(run, {at: run.rows[at].but(a0=5 | 2 << 8)})


@mutant("IRQL-4")
def lowered_to_a_higher_level(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IrqlLower"), chance)
    return change_at(run, {at: run.rows[at].but(a0=2 | 5 << 8)})


@mutant("IRQL-4")
def lowered_inside_a_dpc(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "DpcStart"), chance)]
    return adding(run, row.but(time=row.time + 1, event="IrqlLower", a0=2, a1=CALLER))


@mutant("SPIN-3")
def waits_below_dispatch(run: Run, chance: random.Random) -> Run:
    at = choose(of(run, "LockWait", SPIN_LOCKS), chance)
    return change_at(run, {at: run.rows[at].but(irql=0)})


@mutant("SPIN-3")
def taken_before_raised(run: Run, chance: random.Random) -> Run:
    at = choose(of(run, "LockAcquired", SPIN_LOCKS), chance)
    return change_at(run, {at: run.rows[at].but(irql=1)})


@mutant("SPIN-4")
def another_level_restored(run: Run, chance: random.Random) -> Run:
    """Every one, because those that release hand over hand prove nothing."""
    lowers = [at for at in places(run, "IrqlLower") if run.rows[at].a1 == CALLER + 0x48 and run.rows[at].a0 == 2]
    level = chance.choice((1, 2))
    return change_at(run, {at: run.rows[at].but(a0=2 | level << 8) for at in lowers})


@mutant("SPIN-4")
def lowered_before_released(run: Run, chance: random.Random) -> Run:
    released = [at for at in of(run, "LockReleased", SPIN_LOCKS) if run.rows[at].a1 == CALLER + 0x48]
    lower = {at: next(o for o in range(at, len(run.rows)) if run.rows[o].event == "IrqlLower") for at in released}
    mine = [at for at, other in lower.items() if run.rows[other].cpu == run.rows[at].cpu and run.rows[other].a0 == 2]
    at = choose(mine, chance)
    one, two = run.rows[at], run.rows[lower[at]]
    return change_at(run, {at: one.but(time=two.time, irql=0), lower[at]: two.but(time=one.time)})


@mutant("SPIN-6")
def released_below_dispatch(run: Run, chance: random.Random) -> Run:
    at = choose(of(run, "LockReleased", SPIN_LOCKS), chance)
    return change_at(run, {at: run.rows[at].but(irql=0)})


@mutant("SPIN-6")
def released_at_another_level(run: Run, chance: random.Random) -> Run:
    mine = [at for at in of(run, "LockReleased", SPIN_LOCKS) if run.rows[at].a1 == CALLER + 0x48]
    at = choose(mine, chance)
    return change_at(run, {at: run.rows[at].but(irql=6)})


@mutant("SPIN-13")
def dpc_while_a_lock_is_held(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(of(run, "LockAcquired", SPIN_LOCKS), chance)]
    start = row.but(time=row.time + 1, event="DpcStart", a0=run.interrupts[0].dpc.address, a1=7)
    return adding(run, start, start.but(time=row.time + 2, event="DpcEnd"))


@mutant("SPIN-13")
def idle_while_it_waits(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(of(run, "LockWait", SPIN_LOCKS), chance)]
    return adding(run, row.but(time=row.time + 1, event="IdleEnter", irql=0, a0=0, a1=0))


@mutant("SPIN-2")
def two_let_in(run: Run, chance: random.Random) -> Run:
    return _early(run, chance, SPIN_LOCKS)


@mutant("SYS-9")
def two_served(run: Run, chance: random.Random) -> Run:
    return _early(run, chance, interrupt_locks(run))


def _early(run: Run, chance: random.Random, locks: list[int]) -> Run:
    """A waiter acquires before the holder, who acquired after it came, releases."""
    found = []
    for wait in of(run, "LockWait", locks):
        end = partner(run, wait, "LockAcquired")
        lock, cpu = run.rows[wait].a0, run.rows[wait].cpu
        released = [o for o in of(run, "LockReleased", [lock]) if wait < o < end]
        between = released and {row.cpu for row in run.rows[released[-1] : end]} == {run.rows[released[-1]].cpu}
        if released and (between or cpu not in {row.cpu for row in run.rows[released[-1] : end]}):
            found.append((released[-1], end))
    at = choose(list(range(len(found))), chance)
    one, two = found[at]
    return change_at(run, {two: run.rows[two].but(time=run.rows[one].time - 2)})


@mutant("SPIN-8")
def waits_for_its_own_lock(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(of(run, "LockAcquired", SPIN_LOCKS), chance)]
    return adding(run, row.but(time=row.time + 1, event="LockWait"))


@mutant("SPIN-9")
def opposite_order(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "Mark"), chance)]
    first, second = (row.but(event="LockAcquired", irql=2, a0=SPIN_LOCKS[which], a1=CALLER) for which in (2, 0))
    third = row.but(event="LockAcquired", irql=2, a0=SPIN_LOCKS[1], a1=CALLER)
    taken = [first, third, second]
    released = [each.but(event="LockReleased") for each in reversed(taken)]
    return adding(run, *(each.but(time=row.time + 1 + at) for at, each in enumerate(taken + released)))


@mutant("SPIN-12")
def executive_lock_in_an_isr(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "IsrEnter"), chance)]
    taken = row.but(time=row.time + 1, event="LockAcquired", a0=SPIN_LOCKS[0], a1=CALLER)
    return adding(run, taken, taken.but(time=row.time + 2, event="LockReleased"))


@mutant("SPIN-19")
def executive_lock_at_dirql(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(device_frames(run), chance)]
    taken = row.but(time=row.time + 1, event="LockAcquired", a0=SPIN_LOCKS[0], a1=CALLER)
    return adding(run, taken, taken.but(time=row.time + 2, event="LockReleased"))


@mutant("QSL-1")
def another_was_before_it(run: Run, chance: random.Random) -> Run:
    row = run.rows[at := choose(of(run, "LockQueued", QUEUED_LOCKS), chance)]
    other = another_cpu(run, row.cpu, row.a1 & 0xFF)
    return change_at(run, {at: row.but(a1=1 << 32 | other)})


@mutant("QSL-1")
def newcomer_passes_the_queue(run: Run, chance: random.Random) -> Run:
    return _newcomer(run, chance, QUEUED_LOCKS)


@mutant("INT-11")
def newcomer_passes_the_tickets(run: Run, chance: random.Random) -> Run:
    return _newcomer(run, chance, interrupt_locks(run))


def _newcomer(run: Run, chance: random.Random, locks: list[int]) -> Run:
    row = run.rows[choose(of(run, "LockQueued", locks), chance)]
    cpu = third_cpu(run, row.a0, row.cpu, row.time)
    mark = Row(row.time + 1, cpu, "Mark", row.irql)
    taken = Row(row.time + 2, cpu, "LockAcquired", row.irql, row.a0, CALLER)
    return adding(run, mark, taken, taken.but(time=row.time + 3, event="LockReleased"))


@mutant("INT-11")
def higher_ticket_first(run: Run, chance: random.Random) -> Run:
    """Two CPUs wait; their tickets are exchanged."""
    found = []
    for one in of(run, "LockQueued", interrupt_locks(run)):
        end = partner(run, one, "LockAcquired")
        later = [o for o in of(run, "LockQueued", [run.rows[one].a0]) if one < o < end]
        found += [(one, other) for other in later]
    one, other = found[choose(list(range(len(found))), chance)]
    return change_at(
        run, {one: run.rows[one].but(a1=run.rows[other].a1), other: run.rows[other].but(a1=run.rows[one].a1)}
    )


@mutant("QSL-3")
def queued_below_dispatch(run: Run, chance: random.Random) -> Run:
    at = choose(of(run, chance.choice(("LockAcquired", "LockReleased", "LockWait")), QUEUED_LOCKS), chance)
    return change_at(run, {at: run.rows[at].but(irql=0)})


@mutant("RW-1")
def writer_among_readers(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "LockSharedAcquired"), chance)]
    cpu = third_cpu(run, row.a0, row.cpu, row.time)
    writer = row.but(time=row.time + 1, cpu=cpu, event="LockAcquired")
    return adding(run, writer, writer.but(time=row.time + 2, event="LockReleased"))


@mutant("RW-2")
def reader_passes_a_writer(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(of(run, "LockWait", READER_WRITER_LOCKS), chance)]
    cpu = third_cpu(run, row.a0, row.cpu, row.time)
    mark = Row(row.time + 1, cpu, "Mark", 2)
    reader = Row(row.time + 2, cpu, "LockSharedAcquired", 2, row.a0, CALLER)
    return adding(run, mark, reader, reader.but(time=row.time + 3, event="LockSharedReleased"))


@mutant("RW-3")
def converts_among_readers(run: Run, chance: random.Random) -> Run:
    converted = [at for at in of(run, "LockAcquired", READER_WRITER_LOCKS) if run.rows[at].a1 == CALLER + 0x68]
    row = run.rows[choose(converted, chance)]
    cpu = third_cpu(run, row.a0, row.cpu, row.time)
    reader = row.but(time=row.time - 1, cpu=cpu, event="LockSharedAcquired", a1=CALLER)
    return adding(run, reader, reader.but(time=row.time + 1, event="LockSharedReleased"))


@mutant("RW-4")
def reader_asks_again(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "LockSharedAcquired"), chance)]
    return adding(run, row.but(time=row.time + 1, event=chance.choice(("LockSharedWait", "LockWait"))))


@mutant("RW-5")
def reader_below_dispatch(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, chance.choice(("LockSharedAcquired", "LockSharedReleased"))), chance)
    return change_at(run, {at: run.rows[at].but(irql=0)})
