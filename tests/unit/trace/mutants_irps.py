# SPDX-License-Identifier: Apache-2.0
"""Faults of the I/O manager and of drivers: IRPs, StartIo, cancellation. Rows and records have the same order here."""

from __future__ import annotations

import random

from tests.unit.trace.faults import CannotBreak, adding, another_cpu, change_at, choose, mutant, places, without
from tests.unit.trace.synth import Row, Run

NEW_LOCK = 0xFFFF_8000_0000_9900


def next_of(run: Run, at: int, *events: str) -> int:
    """The next record of these about the same IRP."""
    for other in range(at + 1, len(run.rows)):
        if run.rows[other].event in events and run.rows[other].a0 == run.rows[at].a0:
            return other
    raise CannotBreak


def cancels(run: Run) -> list[int]:
    return [at for at in places(run, "IrpCancel") if run.rows[at].a1]


def between(run: Run, one: int, other: int) -> int:
    """A time between two records."""
    return (run.rows[one].time + run.rows[other].time) // 2


@mutant("IRP-8")
def completed_after_it_was_done(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IrpDone"), chance)
    row, freed = run.rows[at], next_of(run, at, "IrpFree")
    return adding(run, Row(between(run, at, freed), another_cpu(run, row.cpu), "IrpComplete", 2, row.a0, 1))


@mutant("IRP-8")
def completed_by_two(run: Run, chance: random.Random) -> Run:
    held = [
        at for at in places(run, "IrpComplete") if run.rows[next_of(run, at, "IrpDone", "IrpFree")].event == "IrpFree"
    ]
    at = choose(held, chance)
    row, freed = run.rows[at], next_of(run, at, "IrpFree")
    middle = between(run, at, freed)
    second = Row(middle, another_cpu(run, row.cpu), "IrpComplete", 2, row.a0, 1)
    return adding(run, second, second.but(time=middle + 1))


@mutant("IRP-8")
def freed_without_completion(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IrpComplete"), chance)
    after = next_of(run, at, "IrpDone", "IrpFree")
    return without(run, at, *([after] if run.rows[after].event == "IrpDone" else []))


@mutant("IRP-8")
def cancelled_twice(run: Run, chance: random.Random) -> Run:
    at = choose(cancels(run), chance)
    row, complete = run.rows[at], next_of(run, at, "IrpComplete")
    return adding(run, Row(between(run, at, complete), another_cpu(run, row.cpu), "IrpCancel", 2, row.a0, row.a1))


@mutant("IRP-8")
def cancelled_after_completion(run: Run, chance: random.Random) -> Run:
    done = []
    for at in places(run, "IrpDone"):
        calls, before = 0, at
        while run.rows[before].a0 != run.rows[at].a0 or run.rows[before].event != "IrpAllocate":
            before -= 1
            calls += run.rows[before].a0 == run.rows[at].a0 and run.rows[before].event == "IrpCall"
        if calls == 1:
            done.append(at)
    at = choose(done, chance)
    row, freed = run.rows[at], next_of(run, at, "IrpFree")
    return adding(run, Row(between(run, at, freed), another_cpu(run, row.cpu), "IrpCancel", 2, row.a0, 1))


@mutant("IRP-CALL")
def called_after_it_was_done(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IrpDone"), chance)
    row, freed = run.rows[at], next_of(run, at, "IrpFree")
    return adding(run, row.but(time=between(run, at, freed), event="IrpCall", a1=3 << 48))


@mutant("IRP-CALL")
def freed_twice(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IrpFree"), chance)
    row = run.rows[at]
    return adding(run, row.but(time=row.time + 1))


@mutant("IRP-CALL")
def completed_at_a_device_level(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "IrpComplete"), chance)
    return change_at(run, {at: run.rows[at].but(irql=5)})


@mutant("IRP-3")
def start_io_at_passive_level(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "StartIoEnter"), chance)
    return change_at(run, {at: run.rows[at].but(irql=0)})


@mutant("IRP-3")
def nobody_asked_for_the_next(run: Run, chance: random.Random) -> Run:
    starts = places(run, "StartIoEnter")
    later = [
        at
        for at in places(run, "StartIoNext")
        if any(other > at and run.rows[other].a0 == run.rows[at].a0 for other in starts)
        and any(other < at and run.rows[other].a0 == run.rows[at].a0 for other in starts)
    ]
    return without(run, choose(later, chance))


@mutant("IRP-3")
def two_requests_at_once(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "StartIoEnter"), chance)
    row = run.rows[at]
    return adding(run, Row(row.time + 1, another_cpu(run, row.cpu), "StartIoEnter", 2, row.a0, row.a1 + 0x10))


@mutant("SPIN-17")
def completed_under_a_lock(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "IrpComplete"), chance)]
    taken = row.but(time=row.time - 1, event="LockAcquired", a0=NEW_LOCK, a1=1)
    return adding(run, taken, taken.but(time=row.time + 1, event="LockReleased"))
