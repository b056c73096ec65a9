# SPDX-License-Identifier: Apache-2.0
"""Faults of service routines, synchronised routines and of the account of interrupts."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.unit.trace.faults import adding, another_cpu, change_at, choose, mine_after, mutant, partner, places, without
from tests.unit.trace.lockacts import CALLER
from tests.unit.trace.synth import Row, Run


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


@mutant("SYN-3")
def sync_during_isr(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(places(run, "IsrEnter"), chance)]
    return _with_sync_after(run, row)


@mutant("SYN-3")
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


def _spins(run: Run) -> list[int]:
    """The waits of KeSynchronizeExecution."""
    return [at for at in places(run, "LockWait") if run.rows[at].a1 == CALLER + 0xB0]


@mutant("SYN-2")
def sync_spins_at_callers_irql(run: Run, chance: random.Random) -> Run:
    at = choose(_spins(run), chance)
    return change_at(run, {at: run.rows[at].but(irql=2)})


@mutant("SYN-2")
def device_interrupts_a_spinning_sync(run: Run, chance: random.Random) -> Run:
    row = run.rows[choose(_spins(run), chance)]
    enter = row.but(time=row.time + 1, event="InterruptEnter", irql=4, a0=0x42 | row.irql << 8)
    return adding(run, enter, enter.but(time=row.time + 2, event="InterruptExit", irql=row.irql))


@mutant("SYN-4")
def sync_called_from_above(run: Run, chance: random.Random) -> Run:
    at = choose(places(run, "SyncRequest"), chance)
    return change_at(run, {at: run.rows[at].but(irql=11)})


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
