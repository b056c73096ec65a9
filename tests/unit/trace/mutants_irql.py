# SPDX-License-Identifier: Apache-2.0
"""Faults of spin locks and IRQL."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.unit.trace.faults import (
    DEVICE_VECTORS,
    CannotBreak,
    adding,
    another_cpu,
    change_at,
    choose,
    device_frames,
    mine_after,
    mutant,
    partner,
    places,
    vector,
    without,
)
from tests.unit.trace.synth import IPI_VECTOR, Row, Run


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


@mutant("SPIN-8")
def release_by_another_cpu(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "LockReleased"), chance)
    return change_at(run, {at: run.rows[at].but(cpu=another_cpu(run, run.rows[at].cpu))})


@mutant("SPIN-8")
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
