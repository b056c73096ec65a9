# SPDX-License-Identifier: Apache-2.0
"""Ways to break a correct run, each with the clause that the oracle must name."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tests.unit.trace.synth import ANY_CPU, IPI_VECTOR, Row, Run

NEW_DPC = 0xFFFF_8000_0000_9000
DEVICE_VECTORS = (0x51, 0x61, 0x72, 0x92)


class CannotBreak(Exception):
    """The run has no place for this fault."""


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes:
        clause: what it breaks.
        apply: makes the faulty run.
    """

    clause: str
    apply: Callable[[Run, random.Random], Run]


MUTANTS: dict[str, Mutant] = {}


def mutant(clause: str) -> Callable[[Callable[[Run, random.Random], Run]], Callable[[Run, random.Random], Run]]:
    def register(apply: Callable[[Run, random.Random], Run]) -> Callable[[Run, random.Random], Run]:
        MUTANTS[apply.__name__] = Mutant(clause, apply)
        return apply

    return register


def places(run: Run, event: str) -> list[int]:
    return [at for at, row in enumerate(run.rows) if row.event == event]


def choose(options: list[int], chance: random.Random) -> int:
    if not options:
        raise CannotBreak
    return chance.choice(options)


def vector(row: Row) -> int:
    return row.a0 & 0xFF


def mine_after(run: Run, at: int) -> Iterator[int]:
    return (other for other in range(at + 1, len(run.rows)) if run.rows[other].cpu == run.rows[at].cpu)


def partner(run: Run, at: int, event: str, mask: int = (1 << 64) - 1) -> int:
    """The record that ends what `at` began."""
    for other in mine_after(run, at):
        if run.rows[other].event == event and run.rows[other].a0 & mask == run.rows[at].a0 & mask:
            return other
    raise CannotBreak


def change_at(run: Run, changes: dict[int, Row]) -> Run:
    return run.with_rows([changes.get(at, row) for at, row in enumerate(run.rows)])


def without(run: Run, *dropped: int) -> Run:
    return run.with_rows([row for at, row in enumerate(run.rows) if at not in dropped])


def adding(run: Run, *rows: Row) -> Run:
    return run.with_rows([*run.rows, *rows])


def another_cpu(run: Run, *busy: int) -> int:
    return next(cpu for cpu in range(run.cpus) if cpu not in busy)


def device_frames(run: Run) -> list[int]:
    return [at for at in places(run, "InterruptEnter") if vector(run.rows[at]) in DEVICE_VECTORS]


@mutant("SPIN-1")
def second_holder(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "LockAcquired"), chance)
    row = run.rows[at]
    cpu = another_cpu(run, row.cpu)
    return adding(
        run,
        row.but(time=row.time + 1, cpu=cpu, irql=2),
        row.but(time=row.time + 2, cpu=cpu, irql=2, event="LockReleased"),
    )


@mutant("SPIN-1")
def release_by_another_cpu(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "LockReleased"), chance)
    return change_at(run, {at: run.rows[at].but(cpu=another_cpu(run, run.rows[at].cpu))})


@mutant("SPIN-1")
def acquired_twice(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "LockAcquired"), chance)
    row = run.rows[at]
    return adding(run, row.but(time=row.time + 1))


@mutant("SPIN-1")
def acquired_before_released(run: Run, chance: random.Random) -> Run:
    def swaps() -> Iterator[tuple[int, int]]:
        for at in places(run, "LockReleased"):
            released = run.rows[at]
            for other in range(at + 1, len(run.rows)):
                acquired = run.rows[other]
                if acquired.event == "LockAcquired" and acquired.a0 == released.a0:
                    between = {row.cpu for row in run.rows[at + 1 : other]}
                    if acquired.cpu != released.cpu and not between & {acquired.cpu, released.cpu}:
                        yield at, other
                    break

    found = list(swaps())
    if not found:
        raise CannotBreak
    at, other = chance.choice(found)
    one, two = run.rows[at], run.rows[other]
    return change_at(run, {at: one.but(time=two.time), other: two.but(time=one.time)})


@mutant("IRQL-2")
def masked_interrupt_taken(run: Run, chance: random.Random) -> Run:
    at = choose(device_frames(run), chance)
    end = partner(run, at, "InterruptExit", 0xFF)
    level = vector(run.rows[at]) >> 4
    word = vector(run.rows[at]) | level << 8
    return change_at(run, {at: run.rows[at].but(a0=word), end: run.rows[end].but(a0=word, irql=level)})


@mutant("IRQL-2")
def lowered_inside_an_interrupt(run: Run, chance: random.Random) -> Run:
    nested = [at for at in places(run, "InterruptEnter") if run.rows[at].a0 >> 8 & 0xFF > 2]
    inside = [at for at in nested if _encloses(run, at)]
    at = choose(inside, chance)
    end = partner(run, at, "InterruptExit", 0xFF)
    word = vector(run.rows[at])
    return change_at(run, {at: run.rows[at].but(a0=word), end: run.rows[end].but(a0=word, irql=0)})


def _encloses(run: Run, at: int) -> bool:
    """Whether a device interrupt is being served on the CPU at that record."""
    depth = 0
    for row in run.rows[:at]:
        if row.cpu == run.rows[at].cpu and vector(row) in DEVICE_VECTORS:
            depth += (row.event == "InterruptEnter") - (row.event == "InterruptExit")
    return depth > 0


@mutant("IRQL-2")
def lower_vector_first(run: Run, chance: random.Random) -> Run:
    """An IPI is pending; the CPU takes a device interrupt before it."""
    for at in chance.sample(device_frames(run), len(device_frames(run))):
        cpu = run.rows[at].cpu
        before = [other for other in range(at) if run.rows[other].cpu == cpu]
        later = [other for other in mine_after(run, at) if run.rows[other].event == "InterruptEnter"]
        if not any(vector(run.rows[other]) == IPI_VECTOR for other in later) or not before:
            continue
        sender = another_cpu(run, cpu)
        time = run.rows[before[-1]].time
        taken = [row for row in run.rows[:at] if row.event == "InterruptEnter" and row.cpu == cpu]
        if any(vector(row) == IPI_VECTOR and row.time >= time - 2 for row in taken):
            continue
        send = Row(time - 2, sender, "IpiSend", 15, IPI_VECTOR, cpu)
        return adding(run, send, Row(time - 1, sender, "Mark", 15))
    raise CannotBreak


@mutant("IRQL-6")
def irql_not_restored(run: Run, chance: random.Random) -> Run:
    exits = [at for at in places(run, "InterruptExit") if vector(run.rows[at]) in DEVICE_VECTORS]
    at = choose(exits, chance)
    return change_at(run, {at: run.rows[at].but(irql=vector(run.rows[at]) >> 4)})


@mutant("IRQL-6")
def entered_at_wrong_irql(run: Run, chance: random.Random) -> Run:
    at = choose(device_frames(run), chance)
    return change_at(run, {at: run.rows[at].but(irql=(run.rows[at].a0 >> 8) & 0xFF)})


@mutant("IRQL-6")
def never_left(run: Run, chance: random.Random) -> Run:
    seen = device_frames(run)
    again = [
        at
        for at in seen
        if any(
            vector(run.rows[o]) == vector(run.rows[at]) and run.rows[o].cpu == run.rows[at].cpu for o in seen if o > at
        )
    ]
    return without(run, partner(run, choose(again, chance), "InterruptExit", 0xFF))


@mutant("IRQL-6")
def never_entered(run: Run, chance: random.Random) -> Run:
    return without(run, choose(device_frames(run), chance))


@mutant("IRQL-6")
def returned_to_another_irql(run: Run, chance: random.Random) -> Run:
    at = choose(device_frames(run), chance)
    end = partner(run, at, "InterruptExit", 0xFF)
    other = 1 if run.rows[at].a0 >> 8 & 0xFF != 1 else 0
    return change_at(run, {end: run.rows[end].but(a0=vector(run.rows[at]) | other << 8, irql=other)})


@mutant("IRQL-6")
def left_in_wrong_order(run: Run, chance: random.Random) -> Run:
    for at in chance.sample(device_frames(run), len(device_frames(run))):
        end = partner(run, at, "InterruptExit", 0xFF)
        inner = [
            other
            for other in mine_after(run, at)
            if other < end
            and run.rows[other].event == "InterruptExit"
            and vector(run.rows[other]) != vector(run.rows[at])
        ]
        if inner:
            one, two = run.rows[inner[0]], run.rows[end]
            return change_at(run, {inner[0]: one.but(time=two.time), end: two.but(time=one.time)})
    raise CannotBreak


@mutant("DPC-1")
def queued_while_queued(run: Run, chance: random.Random) -> Run:
    at = choose([at for at in places(run, "DpcInsert") if run.rows[at].a1 & 1], chance)
    row = run.rows[at]
    return adding(run, row.but(time=row.time + 1), row.but(time=row.time + 2))


@mutant("DPC-1")
def never_ran(run: Run, chance: random.Random) -> Run:
    starts = places(run, "DpcStart")
    at = choose(starts[: len(starts) // 2], chance)
    return without(run, at, partner(run, at, "DpcEnd"))


@mutant("DPC-1")
def last_one_never_ran(run: Run, chance: random.Random) -> Run:
    """A DPC queued for the first time half way, whose CPU goes idle again and again."""
    at = choose(places(run, "IdleEnter")[:3], chance)
    row = run.rows[at]
    return adding(run, Row(row.time - 1, row.cpu, "DpcInsert", 0, NEW_DPC, 1 | row.cpu << 8 | 1 << 16))


@mutant("DPC-1")
def refused_though_free(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "Mark"), chance)
    row = run.rows[at]
    before = Row(row.time - 3, row.cpu, "DpcInsert", 15, NEW_DPC, 1 | ANY_CPU << 8)
    start = Row(row.time - 2, row.cpu, "DpcRemove", 2, NEW_DPC, 1)
    return adding(run, before, start, before.but(time=row.time + 1, a1=ANY_CPU << 8))


@mutant("DPC-2")
def ran_twice(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "DpcStart"), chance)
    end = run.rows[partner(run, at, "DpcEnd")]
    start = run.rows[at]
    return adding(run, start.but(time=end.time + 1), end.but(time=end.time + 2))


@mutant("DPC-2")
def ran_though_removed(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "DpcStart"), chance)
    row = run.rows[at]
    return adding(run, row.but(time=row.time - 1, event="DpcRemove", a1=1))


@mutant("DPC-3")
def cannot_queue_itself(run: Run, chance: random.Random) -> Run:
    def lonely(at: int) -> bool:
        """Nobody queues it soon after: else the oracle must allow that somebody was about to."""
        near = run.rows[at : at + 60]
        return not any(row.event == "DpcInsert" and row.a0 == run.rows[at].a0 for row in near)

    at = choose([at for at in places(run, "DpcStart") if lonely(at)], chance)
    row = run.rows[at]
    return adding(run, row.but(time=row.time + 1, event="DpcInsert", irql=15, a1=ANY_CPU << 8 | 1 << 16))


@mutant("DPC-4")
def dpc_at_passive_level(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "DpcStart"), chance)
    return change_at(run, {at: run.rows[at].but(irql=0)})


@mutant("DPC-4")
def dpc_ends_raised(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "DpcEnd"), chance)
    return change_at(run, {at: run.rows[at].but(irql=5)})


@mutant("DPC-4")
def dpc_on_wrong_cpu(run: Run, chance: random.Random) -> Run:
    targeted = {interrupt.dpc.address: interrupt.dpc.target for interrupt in run.interrupts}
    inserts = [at for at in places(run, "DpcInsert") if run.rows[at].a1 & 1 and targeted[run.rows[at].a0] != ANY_CPU]
    row = run.rows[at := choose([at for at in inserts if _runs(run, at)], chance)]
    return change_at(run, {at: row.but(a1=1 | another_cpu(run, targeted[row.a0]) << 8 | 1 << 16)})


def _runs(run: Run, insert: int) -> bool:
    """Whether the DPC that was queued there ran, and was not removed."""
    later = (row for row in run.rows[insert:] if row.a0 == run.rows[insert].a0)
    return next((row.event for row in later if row.event in ("DpcStart", "DpcRemove")), "") == "DpcStart"


@mutant("DPC-4")
def dpc_ends_elsewhere(run: Run, chance: random.Random) -> Run:
    ends = places(run, "DpcEnd")
    at = choose(ends[len(ends) // 2 :], chance)
    return change_at(run, {at: run.rows[at].but(cpu=another_cpu(run, run.rows[at].cpu))})


@mutant("DPC-5")
def dpc_inside_an_isr(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "IsrEnter"), chance)]
    return _with_dpc_after(run, row)


@mutant("DPC-5")
def dpc_inside_a_dpc(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "DpcStart"), chance)]
    return _with_dpc_after(run, row)


@mutant("DPC-5")
def dpc_inside_a_dispatch_level_interrupt(run: Run, chance: random.Random) -> Run:
    frames = [at for at in device_frames(run) if run.rows[at].a0 >> 8 & 0xFF >= 2]
    row = run.rows[choose(frames, chance)]
    return _with_dpc_after(run, row)


def _with_dpc_after(run: Run, row: Row) -> Run:
    insert = Row(row.time + 1, row.cpu, "DpcInsert", 15, NEW_DPC, 1 | ANY_CPU << 8)
    start = Row(row.time + 2, row.cpu, "DpcStart", 2, NEW_DPC, 7)
    return adding(run, insert, start, start.but(time=row.time + 3, event="DpcEnd"))


@mutant("INT-1")
def isr_at_wrong_irql(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IsrEnter"), chance)
    return change_at(run, {at: run.rows[at].but(irql=3)})


@mutant("INT-1")
def isr_on_two_cpus(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IsrEnter"), chance)
    row = run.rows[at]
    cpu = another_cpu(run, row.cpu)
    end = run.rows[partner(run, at, "IsrExit")]
    late = end.time + 1
    return adding(run, row.but(time=row.time + 1, cpu=cpu), end.but(time=late, cpu=cpu))


@mutant("INT-1")
def isr_without_lock(run: Run, chance: random.Random) -> Run:
    enter = choose(places(run, "IsrEnter"), chance)
    before = [at for at in range(enter) if run.rows[at].cpu == run.rows[enter].cpu]
    acquired = next(at for at in reversed(before) if run.rows[at].event == "LockAcquired")
    return without(run, acquired, partner(run, acquired, "LockReleased"))


@mutant("INT-1")
def lock_released_before_isr_returned(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IsrExit"), chance)
    after = next(other for other in mine_after(run, at) if run.rows[other].event == "LockReleased")
    one, two = run.rows[at], run.rows[after]
    return change_at(run, {at: one.but(time=two.time), after: two.but(time=one.time)})


@mutant("SYN-1")
def sync_during_isr(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "IsrEnter"), chance)]
    return _with_sync_after(run, row)


@mutant("SYN-1")
def two_syncs_at_once(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "SyncEnter"), chance)]
    return _with_sync_after(run, row)


def _with_sync_after(run: Run, row: Row) -> Run:
    cpu = another_cpu(run, row.cpu)
    interrupt = next(each for each in run.interrupts if each.address == row.a0)
    request = Row(row.time + 1, cpu, "SyncRequest", interrupt.sync_irql, row.a0, 7)
    return adding(
        run,
        request,
        request.but(time=row.time + 2, event="SyncEnter"),
        request.but(time=row.time + 3, event="SyncExit", a1=1),
        request.but(time=row.time + 4, event="SyncReturn", a1=1),
    )


@mutant("SYN-1")
def sync_at_callers_irql(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "SyncEnter"), chance)
    return change_at(run, {at: run.rows[at].but(irql=2)})


def _whole_syncs(run: Run) -> list[int]:
    return [at for at in places(run, "SyncRequest") if run.rows[at].irql >= 2]


@mutant("SYN-1")
def sync_returns_another_value(run: Run, chance: random.Random) -> Run:
    at = partner(run, choose(_whole_syncs(run), chance), "SyncReturn")
    return change_at(run, {at: run.rows[at].but(a1=run.rows[at].a1 + 1)})


@mutant("SYN-1")
def sync_does_not_restore_irql(run: Run, chance: random.Random) -> Run:
    at = partner(run, choose(_whole_syncs(run), chance), "SyncReturn")
    return change_at(run, {at: run.rows[at].but(irql=run.rows[at].irql + 1)})


@mutant("SYN-1")
def sync_runs_another_routine(run: Run, chance: random.Random) -> Run:
    at = partner(run, choose(_whole_syncs(run), chance), "SyncEnter")
    return change_at(run, {at: run.rows[at].but(a1=run.rows[at].a1 + 8)})


@mutant("SYN-1")
def sync_runs_elsewhere(run: Run, chance: random.Random) -> Run:
    """The routine runs on a CPU that did not call, at a moment when nobody else does."""
    at = choose(_whole_syncs(run), chance)
    enter, leave = partner(run, at, "SyncEnter"), partner(run, at, "SyncExit")
    cpu = another_cpu(run, run.rows[at].cpu)
    return change_at(run, {enter: run.rows[enter].but(cpu=cpu), leave: run.rows[leave].but(cpu=cpu)})


@mutant("SYN-1")
def sync_without_lock(run: Run, chance: random.Random) -> Run:
    enter = choose(places(run, "SyncEnter"), chance)
    before = [at for at in range(enter) if run.rows[at].cpu == run.rows[enter].cpu]
    acquired = next(at for at in reversed(before) if run.rows[at].event == "LockAcquired")
    return without(run, acquired, partner(run, acquired, "LockReleased"))


@mutant("INT-ACCOUNT")
def interrupt_lost(run: Run, chance: random.Random) -> Run:
    message = chance.choice(sorted(run.accounting.sent))
    sent = {**run.accounting.sent, message: run.accounting.sent[message] + 1}
    return replace(run, accounting=replace(run.accounting, sent=sent))


@mutant("INT-ACCOUNT")
def interrupt_not_claimed(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IsrExit"), chance)
    return change_at(run, {at: run.rows[at].but(a1=0)})


@mutant("INT-ACCOUNT")
def acknowledged_too_often(run: Run, chance: random.Random) -> Run:
    acknowledged = (run.accounting.acknowledged or 0) + chance.randint(1, 3)
    return replace(run, accounting=replace(run.accounting, acknowledged=acknowledged))


@mutant("INT-ACCOUNT")
def unexpected_interrupt(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "Mark"), chance)]
    return adding(run, Row(row.time + 1, row.cpu, "UnexpectedInterrupt", 4, 0x44, 9))
