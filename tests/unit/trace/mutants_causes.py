# SPDX-License-Identifier: Apache-2.0
"""Faults of causes and of wake-ups: effects before their causes, forgotten threads, waits where none may be."""

from __future__ import annotations

import random

from dirql.trace.history.history import History
from dirql.trace.history.lives import Wait
from tests.unit.trace.faults import CannotBreak, adding, change_at, choose, mutant, places, vector, without
from tests.unit.trace.lockacts import CALLER, SPIN_LOCKS
from tests.unit.trace.synth import IPI_VECTOR, Row, Run

NEW_THREAD = 0xFFFF_8000_0009_0000


@mutant("THR-READY")
def ready_thread_is_forgotten(run: Run, chance: random.Random) -> Run:
    idles = places(run, "IdleEnter")
    again = [at for at in idles if sum(run.rows[o].cpu == run.rows[at].cpu and o > at for o in idles) >= 2]
    row = run.rows[choose(again, chance)]
    return adding(run, row.but(time=row.time + 1, event="ThreadReady", irql=2, a0=NEW_THREAD, a1=8 << 8 | row.cpu))


@mutant("THR-READY")
def ready_thread_is_never_switched_to(run: Run, chance: random.Random) -> Run:
    """All that becomes of a thread after one of its ThreadReady records is left out."""
    idles = [(at, run.rows[at].cpu) for at in places(run, "IdleEnter")]
    target = {at: run.rows[at].a1 & 0xFF for at in places(run, "ThreadReady")}
    readied = [at for at, cpu in target.items() if sum(o > at and idle == cpu for o, idle in idles) >= 2]
    at = choose(readied, chance)
    mine = [o for o in range(at + 1, len(run.rows)) if run.rows[o].a0 == run.rows[at].a0]
    return without(run, *(o for o in mine if run.rows[o].event.startswith("Thread")))


@mutant("WAIT-1")
def waits_in_a_dpc(run: Run, chance: random.Random) -> Run:
    return _waits_after(run, choose(places(run, "DpcStart"), chance))


@mutant("WAIT-1")
def waits_in_a_service_routine(run: Run, chance: random.Random) -> Run:
    return _waits_after(run, choose(places(run, "IsrEnter"), chance))


@mutant("WAIT-1")
def waits_under_a_spin_lock(run: Run, chance: random.Random) -> Run:
    held = [at for at in places(run, "LockAcquired") if run.rows[at].a0 in SPIN_LOCKS]
    return _waits_after(run, choose(held, chance))


@mutant("WAIT-1")
def waits_without_lowering(run: Run, chance: random.Random) -> Run:
    raises = [at for at in places(run, "IrqlRaise") if run.rows[at].a0 == 2 << 8]
    return _waits_after(run, choose(raises, chance))


def _waits_after(run: Run, at: int) -> Run:
    row = run.rows[at]
    return adding(run, row.but(time=row.time + 1, event="WaitBegin", a0=0xFFFF_8000_0002_0000, a1=1 << 8 | 1))


@mutant("CAUSE-IPI")
def interrupt_that_nobody_sent(run: Run, chance: random.Random) -> Run:
    first = run.rows[0]
    enter = Row(first.time - 20, chance.randrange(run.cpus), "InterruptEnter", 14, IPI_VECTOR)
    return adding(run, enter, enter.but(time=enter.time + 1, event="InterruptExit", irql=0))


@mutant("CAUSE-IPI")
def interrupt_before_it_is_sent(run: Run, chance: random.Random) -> Run:
    sends = [at for at in places(run, "IpiSend") if vector(run.rows[at]) == IPI_VECTOR]
    taken = [at for at in places(run, "InterruptEnter") if vector(run.rows[at]) == IPI_VECTOR]
    at = choose(taken[: run.cpus], chance)
    return change_at(run, {send: run.rows[send].but(time=run.rows[at].time + 1) for send in sends if send < at})


@mutant("CAUSE-THREAD")
def thread_runs_unready(run: Run, chance: random.Random) -> Run:
    created = [run.rows[at].a0 for at in places(run, "ThreadCreate")]
    ran = {run.rows[at].a0: at for at in reversed(places(run, "ThreadSwitch"))}
    thread = chance.choice([thread for thread in created if thread in ran])
    early = [at for at in places(run, "ThreadReady") if run.rows[at].a0 == thread and at < ran[thread]]
    return without(run, *early)


def _waits(run: Run) -> list[Wait]:
    """Waits that ended, by an object."""
    waits = [wait for life in History(run.trace()).dispatcher.lives for wait in life.waits if life.address]
    return [wait for wait in waits if wait.end >= 0 and wait.ready >= 0 and wait.status == 0 and wait.count == 1]


@mutant("CAUSE-WAIT")
def wait_ends_by_itself(run: Run, chance: random.Random) -> Run:
    waits = _waits(run)
    wait = waits[choose(list(range(len(waits))), chance)]
    return without(run, wait.ready)


@mutant("CAUSE-WAIT")
def wait_ends_without_a_signal(run: Run, chance: random.Random) -> Run:
    waits = _waits(run)
    wait = waits[choose(list(range(len(waits))), chance)]
    between = [at for at in places(run, "Signal") if wait.begin < at < wait.ready and run.rows[at].a0 == wait.object]
    return without(run, *between)


@mutant("CAUSE-IRP")
def irp_is_completed_before_it_is_called(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IrpAllocate"), chance)
    mine = [o for o in range(at, len(run.rows)) if run.rows[o].a0 == run.rows[at].a0]
    call, complete = (next((o for o in mine if run.rows[o].event == event), -1) for event in ("IrpCall", "IrpComplete"))
    if not at < call < complete:
        raise CannotBreak
    life = [o for o in mine if o < complete and run.rows[o].event == "IrpCall"]
    return change_at(run, {o: run.rows[o].but(time=run.rows[complete].time + 1 + n) for n, o in enumerate(life)})


@mutant("SPIN-IRQL")
def interrupted_holder_waits_for_a_lower_lock(run: Run, chance: random.Random) -> Run:
    return _nested_high(run, chance, [SPIN_LOCKS[0]])


@mutant("SPIN-IRQL")
def interrupted_holder_waits_by_way_of_another(run: Run, chance: random.Random) -> Run:
    return _nested_high(run, chance, [NEW_THREAD + 0x80, SPIN_LOCKS[1]])


def _nested_high(run: Run, chance: random.Random, inner: list[int]) -> Run:
    """A lock that is taken at DIRQL, and inside it others, the last of which is held at DISPATCH_LEVEL elsewhere."""
    row = run.rows[choose(places(run, "Mark"), chance)]
    taken = [row.but(event="LockAcquired", irql=5, a0=lock, a1=CALLER) for lock in (NEW_THREAD + 0x40, *inner)]
    freed = [each.but(event="LockReleased") for each in reversed(taken)]
    return adding(run, *(each.but(time=row.time + 1 + at) for at, each in enumerate(taken + freed)))


@mutant("SPIN-9")
def writer_and_reader_in_opposite_orders(run: Run, chance: random.Random) -> Run:
    """One holds a reader/writer lock as a reader and asks for a spin lock, another the other way round as a writer."""
    rows: list[Row] = []
    marks = places(run, "Mark")
    locks = {"LockSharedAcquired": NEW_THREAD + 0x100, "LockAcquired": NEW_THREAD + 0x140}
    for order in (("LockSharedAcquired", "LockAcquired"), ("LockAcquired", "LockAcquired")):
        row = run.rows[choose(marks, chance)]
        marks.remove(run.rows.index(row))
        first, second = locks["LockSharedAcquired"], locks["LockAcquired"]
        pair = (first, second) if order[0] == "LockSharedAcquired" else (second, first)
        taken = [row.but(event=event, irql=2, a0=lock, a1=CALLER) for event, lock in zip(order, pair, strict=True)]
        freed = [each.but(event=each.event.replace("Acquired", "Released")) for each in reversed(taken)]
        rows += [each.but(time=row.time + 1 + at) for at, each in enumerate(taken + freed)]
    return adding(run, *rows)


@mutant("SPIN-9")
def ring_of_four(run: Run, chance: random.Random) -> Run:
    marks = chance.sample(places(run, "Mark"), 4) if len(places(run, "Mark")) >= 4 else []
    if not marks:
        raise CannotBreak
    ring = [NEW_THREAD + 0x200 + 0x40 * at for at in range(4)]
    rows: list[Row] = []
    for at, mark in enumerate(marks):
        row = run.rows[mark]
        taken = [row.but(event="LockAcquired", irql=2, a0=ring[(at + n) % 4], a1=CALLER + at) for n in range(2)]
        freed = [each.but(event="LockReleased") for each in reversed(taken)]
        rows += [each.but(time=row.time + 1 + n) for n, each in enumerate(taken + freed)]
    return adding(run, *rows)
