# SPDX-License-Identifier: Apache-2.0
"""Faults of DPCs."""

from __future__ import annotations

import random

from tests.unit.trace.faults import (
    NEW_DPC,
    adding,
    another_cpu,
    change_at,
    choose,
    device_frames,
    mutant,
    partner,
    places,
    without,
)
from tests.unit.trace.synth import ANY_CPU, Row, Run


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


@mutant("DPC-12")
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
    inserts = [
        at
        for at in places(run, "DpcInsert")
        if run.rows[at].a1 & 1 and targeted.get(run.rows[at].a0, ANY_CPU) != ANY_CPU
    ]
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
