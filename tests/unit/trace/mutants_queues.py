# SPDX-License-Identifier: Apache-2.0
"""Faults of DPC queues, of threaded DPCs, of interrupt objects' CPUs and activity, and of calls of all CPUs."""

from __future__ import annotations

import random
from itertools import pairwise

from tests.unit.trace.faults import (
    NEW_DPC,
    CannotBreak,
    adding,
    change_at,
    choose,
    mine_after,
    mutant,
    partner,
    places,
    without,
)
from tests.unit.trace.parts import ANY_CPU, DISPATCH, HIGH
from tests.unit.trace.synth import BROADCAST_LOCK, IPI_VECTOR, Row, Run

THREADED = 1 << 24


def neighbours(run: Run, threaded: bool) -> list[tuple[int, int]]:
    """Pairs of DPCs that one CPU queued to itself one after the other at medium importance, and that both ran."""
    found = []
    for one, other in pairwise(places(run, "DpcInsert")):
        rows = run.rows[one], run.rows[other]
        medium = all(row.a1 & 0xFF00FF == 0x10001 and row.a1 >> 8 & 0xFF == row.cpu for row in rows)
        if medium and rows[0].cpu == rows[1].cpu and all(bool(row.a1 & THREADED) == threaded for row in rows):
            starts = [_start(run, at) for at in (one, other)]
            between = [row.event for row in run.rows[one:other] if row.cpu == rows[0].cpu]
            if None not in starts and between == ["DpcInsert"] and rows[0].irql == rows[1].irql:
                found.append((one, other))
    return found


def _start(run: Run, insert: int) -> int | None:
    for at in range(insert + 1, len(run.rows)):
        row = run.rows[at]
        if row.a0 == run.rows[insert].a0 and row.event in ("DpcStart", "ThreadedDpcStart", "DpcRemove"):
            return None if row.event == "DpcRemove" else at
    return None


def _swapped(run: Run, chance: random.Random, threaded: bool) -> Run:
    pairs = neighbours(run, threaded)
    one, other = pairs[choose(list(range(len(pairs))), chance)]
    rows = run.rows[one], run.rows[other]
    return change_at(run, {one: rows[0].but(a0=rows[1].a0), other: rows[1].but(a0=rows[0].a0)})


@mutant("DPC-6")
def last_in_first_out(run: Run, chance: random.Random) -> Run:
    return _swapped(run, chance, threaded=False)


@mutant("DPC-6")
def high_importance_at_the_tail(run: Run, chance: random.Random) -> Run:
    pairs = neighbours(run, threaded=False)
    _, at = pairs[choose(list(range(len(pairs))), chance)]
    return change_at(run, {at: run.rows[at].but(a1=run.rows[at].a1 & 0xFFFF | HIGH << 16)})


@mutant("DPC-15")
def threaded_out_of_order(run: Run, chance: random.Random) -> Run:
    return _swapped(run, chance, threaded=True)


@mutant("DPC-15")
def threaded_at_dispatch(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, chance.choice(("ThreadedDpcStart", "ThreadedDpcEnd"))), chance)
    return change_at(run, {at: run.rows[at].but(irql=2)})


@mutant("DPC-15")
def threaded_inside_another(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "ThreadedDpcStart"), chance)]
    insert = row.but(time=row.time + 1, event="DpcInsert", a0=NEW_DPC, a1=1 | row.cpu << 8 | 1 << 16 | THREADED)
    start = row.but(time=row.time + 2, a0=NEW_DPC)
    return adding(run, insert, start, start.but(time=row.time + 3, event="ThreadedDpcEnd"))


@mutant("DPC-15")
def threaded_inside_an_isr(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "IsrEnter"), chance)]
    insert = row.but(time=row.time + 1, event="DpcInsert", a0=NEW_DPC, a1=1 | row.cpu << 8 | 1 << 16 | THREADED)
    start = Row(row.time + 2, row.cpu, "ThreadedDpcStart", 0, NEW_DPC, 7)
    return adding(run, insert, start, start.but(time=row.time + 3, event="ThreadedDpcEnd"))


def _goes_on_after(run: Run, chance: random.Random, targets: list[int]) -> Run:
    """The CPU that queued a DPC does something below DISPATCH_LEVEL first."""
    queued = []
    for at in places(run, "DpcInsert"):
        row = run.rows[at]
        target = row.a1 >> 8 & 0xFF
        wanted = target in targets or (not targets and target == row.cpu)
        start = _start(run, at)  # another CPU may have taken it before the record that is added
        here = start is not None and run.rows[start].cpu == row.cpu
        if row.a1 & 1 and wanted and row.a1 >> 16 & 0xFF and not row.a1 & THREADED and here:
            queued.append(at)
    row = run.rows[choose(queued[: len(queued) // 2], chance)]
    return adding(run, Row(row.time + 1, row.cpu, "Mark", 0))


@mutant("DPC-7")
def shared_dpc_left_waiting(run: Run, chance: random.Random) -> Run:
    return _goes_on_after(run, chance, [ANY_CPU])


@mutant("DPC-8")
def own_dpc_left_waiting(run: Run, chance: random.Random) -> Run:
    return _goes_on_after(run, chance, [])


@mutant("DPC-12")
def removed_though_not_queued(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "Mark"), chance)]
    insert = Row(row.time + 1, row.cpu, "DpcInsert", 15, NEW_DPC, 1 | ANY_CPU << 8 | 1 << 16)
    remove = Row(row.time + 2, row.cpu, "DpcRemove", 0, NEW_DPC, 1)
    return adding(run, insert, remove, remove.but(time=row.time + 3))


@mutant("DPC-12")
def not_removed_though_queued(run: Run, chance: random.Random) -> Run:
    own = [at for at in places(run, "DpcInsert") if run.rows[at].a1 & 1 and run.rows[at].a1 >> 8 & 0xFF != ANY_CPU]
    own = [at for at in own if run.rows[at].irql <= DISPATCH]  # not from an interrupt, beside which the queue is served
    at = choose([at for at in own if _start(run, at) is not None], chance)
    row, taken = run.rows[at], run.rows[_start(run, at) or 0]
    if row.cpu != taken.cpu:
        raise CannotBreak
    return adding(run, row.but(time=row.time + 1, event="DpcRemove", a1=0))


@mutant("INT-6")
def isr_on_a_cpu_outside_the_mask(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "InterruptConnect")[:4], chance)
    word = run.rows[at].a1
    mask = (1 << run.cpus) - 1 & ~(word >> 32)
    return change_at(run, {at: run.rows[at].but(a1=word & 0xFFFF_FFFF | mask << 32)})


@mutant("INT-8")
def isr_of_an_inactive_object(run: Run, chance: random.Random) -> Run:
    marks = places(run, "Mark")
    row = run.rows[choose(marks[: len(marks) // 2], chance)]
    interrupt = chance.choice(run.interrupts)
    return adding(run, Row(row.time + 1, row.cpu, "InterruptActive", 5, interrupt.address, 0))


def calls(run: Run) -> list[int]:
    """The acquisitions that begin calls of all CPUs; the last may not be whole."""
    return [at for at in places(run, "LockAcquired") if run.rows[at].a0 == BROADCAST_LOCK]


def _of_call(run: Run, acquired: int, event: str) -> list[int]:
    end = partner(run, acquired, "LockReleased")
    return [at for at in range(acquired, end) if run.rows[at].event == event]


@mutant("IPI-1")
def called_at_another_level(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, chance.choice(("IpiCallEnter", "IpiCallExit"))), chance)
    return change_at(run, {at: run.rows[at].but(irql=13)})


@mutant("IPI-1")
def no_barrier(run: Run, chance: random.Random) -> Run:
    acquired = choose(calls(run), chance)
    cpu = run.rows[acquired].cpu
    sent = next(at for at in mine_after(run, acquired) if run.rows[at].event == "IpiSend")
    enter = next(at for at in mine_after(run, sent) if run.rows[at].event == "IpiCallEnter")
    came = [at for at in range(sent, enter) if run.rows[at].event == "InterruptEnter" and run.rows[at].cpu != cpu]
    if not any(run.rows[at].a0 & 0xFF == IPI_VECTOR for at in came):
        raise CannotBreak
    between = [at for at in range(sent + 1, enter) if run.rows[at].cpu == cpu]
    if between:
        raise CannotBreak
    return change_at(run, {enter: run.rows[enter].but(time=run.rows[sent].time + 1)})


@mutant("IPI-1")
def one_cpu_left_out(run: Run, chance: random.Random) -> Run:
    acquired = calls(run)[-1:]
    at = choose(acquired, chance)
    mine = [o for o in _of_call(run, at, "IpiCallEnter") if run.rows[o].cpu != run.rows[at].cpu]
    enter = choose(mine, chance)
    return without(run, enter, partner(run, enter, "IpiCallExit"))


@mutant("IPI-1")
def returned_before_all_had_left(run: Run, chance: random.Random) -> Run:
    for acquired in chance.sample(calls(run), len(calls(run))):
        released = partner(run, acquired, "LockReleased")
        left = _of_call(run, acquired, "IpiCallExit")
        if left and run.rows[left[-1]].cpu != run.rows[acquired].cpu:
            return change_at(run, {released: run.rows[released].but(time=run.rows[left[-1]].time - 1)})
    raise CannotBreak
