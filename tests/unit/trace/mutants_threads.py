# SPDX-License-Identifier: Apache-2.0
"""Faults of the dispatcher: threads, waits, signals, timers. Rows and records have the same order here."""

from __future__ import annotations

import random
from itertools import pairwise

from dirql.trace.history.history import History
from dirql.trace.history.lives import Kind, Release, Wait
from tests.unit.trace.faults import CannotBreak, adding, another_cpu, change_at, choose, mutant, places, without
from tests.unit.trace.synth import Row, Run

NEW_LOCK = 0xFFFF_8000_0000_9800


def releases(run: Run, *kinds: Kind, least: int = 1) -> list[Release]:
    """Signals that let at least so many waiters go."""
    every = History(run.trace()).dispatcher.releases
    return [each for each in every if each.kind in kinds and sum(wait.satisfied for wait in each.ended) >= least]


def some(options: list[Release], chance: random.Random) -> Release:
    if not options:
        raise CannotBreak
    return chance.choice(options)


def waits(run: Run) -> list[Wait]:
    return [wait for life in History(run.trace()).dispatcher.lives for wait in life.waits if wait.end >= 0]


def kind_of(row: Row) -> int:
    return row.a1 >> 32


@mutant("IRQL-9")
def switch_at_a_device_level(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "ThreadSwitch"), chance)
    return change_at(run, {at: run.rows[at].but(irql=5)})


@mutant("IRQL-9")
def switch_with_a_lock(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "ThreadSwitch"), chance)]
    taken = row.but(time=row.time - 1, event="LockAcquired", a0=NEW_LOCK, a1=1)
    return adding(run, taken, taken.but(time=row.time + 1, event="LockReleased"))


@mutant("IRQL-9")
def switch_inside_a_dpc(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "ThreadSwitch"), chance)]
    start = row.but(time=row.time - 1, event="DpcStart", a0=NEW_LOCK, a1=1)
    return adding(run, start, start.but(time=row.time + 1, event="DpcEnd"))


@mutant("IRQL-9")
def switched_out_at_dispatch_level(run: Run, chance: random.Random) -> Run:
    threads = History(run.trace()).threads
    spells = threads.spells
    pairs = []
    for one in range(len(spells)):
        later = [at for at in range(len(spells)) if spells.thread[at] == spells.thread[one]]
        later = [at for at in later if spells.begin[at] > spells.begin[one]]
        if spells.end[one] >= 0 and later and run.rows[spells.end[one]].a1 >> 8 & 0xFF not in (0, 31):
            pairs.append((int(spells.end[one]), int(min(spells.begin[at] for at in later))))
    if not pairs:
        raise CannotBreak
    left, back = chance.choice(pairs)
    before, after = run.rows[left], run.rows[back]
    return adding(
        run,
        before.but(time=before.time - 1, event="IrqlRaise", a0=2 << 8, a1=1),
        after.but(time=after.time + 1, event="IrqlLower", a0=2, a1=1),
    )


@mutant("THR-RUN")
def on_two_cpus(run: Run, chance: random.Random) -> Run:
    threads = History(run.trace()).threads
    spells = threads.spells
    long = [at for at in range(len(spells)) if spells.last[at] > spells.begin[at] + 4 and spells.end[at] >= 0]
    at = choose(long, chance)
    cpu = another_cpu(run, int(spells.cpu[at]))
    address = int(threads.address[spells.thread[at]])
    row = run.rows[spells.begin[at]]
    return adding(run, Row(row.time + 1, cpu, "ThreadSwitch", 2, address, 1 | 8 << 8 | 8 << 16))


@mutant("THR-RUN")
def runs_without_being_ready(run: Run, chance: random.Random) -> Run:
    ready = [wait.ready for wait in waits(run) if wait.run >= 0]
    return without(run, choose(ready, chance))


@mutant("THR-PRIORITY")
def lower_priority_first(run: Run, chance: random.Random) -> Run:
    dispatcher = History(run.trace()).dispatcher
    switches = places(run, "ThreadSwitch")
    passed = []
    for ready in dispatcher.readied:
        if ready.run < 0 or run.rows[ready.run].cpu != ready.cpu:
            continue
        between = [at for at in switches if ready.index < at < ready.run and run.rows[at].cpu == ready.cpu]
        if between and run.rows[between[0]].a1 >> 16 & 0xFF < 31:
            passed.append(ready.index)
    at = choose(passed, chance)
    return change_at(run, {at: run.rows[at].but(a1=run.rows[at].a1 & 0xFF | 31 << 8)})


@mutant("THR-1")
def end_is_not_signalled(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "ThreadExit"), chance)
    signal = next(other for other in places(run, "Signal") if other > at and run.rows[other].cpu == run.rows[at].cpu)
    return without(run, signal)


@mutant("THR-1")
def runs_after_its_end(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "ThreadExit"), chance)
    row = run.rows[-1]
    return adding(run, row.but(time=row.time + 10, event="ThreadSwitch", irql=2, a0=run.rows[at].a0, a1=1))


@mutant("WAIT-2")
def timeout_without_one(run: Run, chance: random.Random) -> Run:
    at = choose([wait.end for wait in waits(run) if not wait.timed], chance)
    return change_at(run, {at: run.rows[at].but(a1=0x102)})


@mutant("WAIT-2")
def status_of_an_object_that_is_not_there(run: Run, chance: random.Random) -> Run:
    at = choose([wait.end for wait in waits(run)], chance)
    return change_at(run, {at: run.rows[at].but(a1=2)})


@mutant("WAIT-2")
def wait_has_no_end(run: Run, chance: random.Random) -> Run:
    ends = []
    for life in History(run.trace()).dispatcher.lives:
        for one, other in pairwise(life.waits):
            later = [at for at in places(run, "WaitEnd") if one.end < at < other.begin and one.end >= 0]
            mine = [at for at in later if run.rows[at].a0 == one.object]
            if one.end >= 0 and one.object != other.object and not mine:
                ends.append(one.end)
    return without(run, choose(ends, chance))


@mutant("EVT-1")
def waiter_is_left(run: Run, chance: random.Random) -> Run:
    release = some(releases(run, Kind.SYNCHRONIZATION_EVENT, Kind.NOTIFICATION_EVENT), chance)
    mine = [wait.ready for wait in release.ended if wait in release.waiting]
    return without(run, choose(mine, chance))


@mutant("EVT-1")
def two_for_one(run: Run, chance: random.Random) -> Run:
    at = some(releases(run, Kind.NOTIFICATION_EVENT, Kind.SEMAPHORE, least=2), chance).index
    return change_at(run, {at: run.rows[at].but(a1=1 | 1 << 32)})


@mutant("EVT-5")
def last_come_first_served(run: Run, chance: random.Random) -> Run:
    every = (Kind.NOTIFICATION_EVENT, Kind.SYNCHRONIZATION_EVENT, Kind.SEMAPHORE, Kind.MUTEX)
    found = []
    for release in releases(run, *every):
        went = [wait for wait in release.ended if wait in release.waiting and wait.satisfied]
        if len(went) >= 2:
            found.append((went[0].ready, went[1].ready))
    if not found:
        raise CannotBreak
    one, other = chance.choice(found)
    first, second = run.rows[one], run.rows[other]
    return change_at(run, {one: first.but(time=second.time), other: second.but(time=first.time)})


@mutant("MUT-1")
def two_owners(run: Run, chance: random.Random) -> Run:
    own = History(run.trace()).of_threads
    free = []
    for at in places(run, "Signal"):
        cpu = another_cpu(run, run.rows[at].cpu)
        before = next((other for other in range(at, 0, -1) if run.rows[other].cpu == cpu), 0)
        if kind_of(run.rows[at]) == Kind.MUTEX and own[before]:  # that CPU is a thread's then, not an interrupt's
            free.append(at)
    at = choose(free, chance)
    row = run.rows[at]
    cpu = another_cpu(run, row.cpu)
    got = Row(row.time - 3, cpu, "WaitEnd", 2, row.a0, 0)
    return adding(run, got, got.but(time=row.time - 1, event="Signal", a1=row.a1))


@mutant("MUT-1")
def mutex_passes_to_nobody(run: Run, chance: random.Random) -> Run:
    release = some(releases(run, Kind.MUTEX), chance)
    return without(run, release.ended[0].ready)


@mutant("SEM-3")
def more_than_the_count(run: Run, chance: random.Random) -> Run:
    release = some(releases(run, Kind.SEMAPHORE), chance)
    went = sum(wait.satisfied for wait in release.ended)
    return change_at(run, {release.index: run.rows[release.index].but(a1=went - 1 | Kind.SEMAPHORE << 32)})


@mutant("SEM-3")
def count_that_nobody_gets(run: Run, chance: random.Random) -> Run:
    release = some(releases(run, Kind.SEMAPHORE), chance)
    return without(run, *(wait.ready for wait in release.ended))


@mutant("TMR-3")
def expires_unsignalled(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "TimerExpire"), chance)
    signal = next(other for other in places(run, "Signal") if other > at and run.rows[other].cpu == run.rows[at].cpu)
    return without(run, signal)


@mutant("TMR-3")
def expires_though_cancelled(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "TimerCancel"), chance)]
    expired = row.but(time=row.time + 1, event="TimerExpire", a1=1000)
    return adding(run, expired, expired.but(time=row.time + 2, event="Signal", a1=1 | 8 << 32))
