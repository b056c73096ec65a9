# SPDX-License-Identifier: Apache-2.0
"""Where the judges of locks and queues must not see a fault, and what exactly they say where there is one."""

from __future__ import annotations

import pytest

from dirql.trace.oracle import Status, judge
from tests.unit.trace.synth import Row, build

A, B, GATE = 0xFFFF_8000_0000_1000, 0xFFFF_8000_0000_2000, 0xFFFF_8000_0000_3000


def nested(time: int, cpu: int, *locks: int, tried: bool = False) -> list[Row]:
    """A CPU takes locks one inside the other, the last one perhaps by a try, and releases them."""
    rows = [Row(time + at, cpu, "LockAcquired", 2, lock, 100 + at) for at, lock in enumerate(locks)]
    if tried:
        rows.append(Row(time + len(locks), cpu, "LockQueued", 2, locks[-1], 3 << 32))
    freed = [Row(time + 20 + at, cpu, "LockReleased", 2, lock) for at, lock in enumerate(reversed(locks))]
    return [*rows, *freed]


def test_opposite_orders_are_named_with_both_steps() -> None:
    verdict = judge(build(nested(100, 0, A, B) + nested(200, 1, B, A), 2))["SPIN-9"]
    assert verdict.status is Status.VIOLATED
    assert verdict.count == 1
    violation = verdict.violations[0]
    assert violation.cpus == (0, 1)
    assert set(violation.sites) == {100, 101}
    assert f"CPU 0 asked for {B:#x} while it held {A:#x}" in violation.text
    assert f"CPU 1 asked for {A:#x} while it held {B:#x}" in violation.text


@pytest.mark.parametrize("second", [nested(200, 1, A, B), nested(200, 1, B), nested(200, 1, B, A, tried=True)])
def test_one_order_no_nesting_or_a_try_is_no_deadlock(second: list[Row]) -> None:
    assert judge(build(nested(100, 0, A, B) + second, 2))["SPIN-9"].status is Status.OK


def test_opposite_orders_under_a_common_lock_are_no_deadlock() -> None:
    gated = nested(100, 0, GATE, A, B) + nested(200, 1, GATE, B, A)
    assert judge(build(gated, 2))["SPIN-9"].status is Status.OK
    ungated = [*gated, *nested(300, 0, B, A)]
    assert judge(build(ungated, 2))["SPIN-9"].status is Status.VIOLATED


def test_ring_of_three_is_found_once() -> None:
    rows = nested(100, 0, A, B) + nested(200, 1, B, GATE) + nested(300, 2, GATE, A)
    verdict = judge(build(rows, 3))["SPIN-9"]
    assert verdict.count == 1
    assert verdict.violations[0].cpus == (0, 1, 2)


def test_deadlock_that_happened_is_an_order_too() -> None:
    rows = [
        Row(10, 0, "LockAcquired", 2, A, 1),
        Row(20, 1, "LockAcquired", 2, B, 2),
        Row(30, 0, "LockWait", 2, B, 3),
        Row(40, 1, "LockWait", 2, A, 4),
    ]
    verdict = judge(build(rows, 2, cut=True))["SPIN-9"]
    assert verdict.status is Status.VIOLATED
    assert set(verdict.violations[0].sites) == {1, 2, 3, 4}


@pytest.mark.parametrize(("released", "lowered", "status"), [(0, 0, Status.OK), (1, 1, Status.VIOLATED)])
def test_level_that_was_saved_is_restored(released: int, lowered: int, status: Status) -> None:
    rows = [
        Row(10, 0, "IrqlRaise", 2, 0 | 2 << 8, 7),
        Row(20, 0, "LockAcquired", 2, A, 7),
        Row(30, 0, "LockReleased", 2, A, 8),
        Row(40, 0, "IrqlLower", 2, 2 | lowered << 8, 8),
        Row(50, 0, "Mark", released),
    ]
    assert judge(build(rows, 1))["SPIN-4"].status is status


def test_hand_over_hand_is_no_fault() -> None:
    rows = [
        Row(10, 0, "IrqlRaise", 2, 0 | 2 << 8, 7),
        Row(20, 0, "LockAcquired", 2, A, 7),
        Row(30, 0, "IrqlRaise", 2, 2 | 2 << 8, 8),
        Row(40, 0, "LockAcquired", 2, B, 8),
        Row(50, 0, "LockReleased", 2, A, 9),
        Row(60, 0, "IrqlLower", 2, 2 | 2 << 8, 9),
        Row(70, 0, "LockReleased", 2, B, 9),
        Row(80, 0, "IrqlLower", 2, 2 | 0 << 8, 9),
    ]
    assert judge(build(rows, 1))["SPIN-4"].status is Status.OK


def test_lock_that_interlocked_routines_hold_at_high_level_is_no_lock_of_that_level() -> None:
    """They raise themselves: what counts is who called them."""
    rows = [
        Row(10, 0, "LockAcquired", 2, A, 1),
        Row(20, 0, "LockReleased", 2, A, 1),
        Row(30, 0, "IrqlRaise", 15, 2 | 15 << 8, 9),
        Row(40, 0, "LockAcquired", 15, A, 9),
        Row(50, 0, "LockReleased", 15, A, 9),
    ]
    assert judge(build(rows, 1))["SPIN-19"].status is Status.OK
    rows[2] = rows[2].but(a0=5 | 15 << 8)
    assert judge(build(rows, 1))["SPIN-19"].status is Status.VIOLATED


def test_tickets_count_modulo_two_to_the_sixteenth() -> None:
    def wait(time: int, cpu: int, ticket: int) -> list[Row]:
        return [Row(time, cpu, "LockWait", 5, A, 1), Row(time + 1, cpu, "LockQueued", 5, A, 2 << 32 | ticket)]

    def served(time: int, cpu: int) -> list[Row]:
        return [Row(time, cpu, "LockAcquired", 5, A, 1), Row(time + 5, cpu, "LockReleased", 5, A, 1)]

    first = served(0, 0)
    first[1] = first[1].but(time=40)
    waits = wait(10, 1, 0xFFFF) + wait(20, 2, 0)
    good = first + waits + served(50, 1) + served(60, 2)
    bad = first + waits + served(50, 2) + served(60, 1)
    for rows, status in ((good, Status.OK), (bad, Status.VIOLATED)):
        trace = build(sorted(rows, key=lambda row: row.time), 3)
        assert judge(trace)["INT-11"].status is status
        assert judge(trace)["SYS-9"].status is status


def test_order_within_the_skew_is_not_judged() -> None:
    rows = [
        Row(1000, 0, "LockAcquired", 2, A, 1),
        Row(2000, 1, "LockWait", 2, A, 1),
        Row(2100, 1, "LockQueued", 2, A, 1 << 32 | 0),
        Row(5000, 0, "LockReleased", 2, A, 1),
        Row(6000, 2, "LockAcquired", 2, A, 1),
        Row(6050, 2, "LockReleased", 2, A, 1),
        Row(6100, 1, "LockAcquired", 2, A, 1),
        Row(9000, 1, "LockReleased", 2, A, 1),
    ]
    assert judge(build(rows, 3, mode="mt"))["QSL-1"].status is Status.OK
    assert judge(build(rows, 3))["QSL-1"].status is Status.VIOLATED


def test_reader_that_was_already_on_its_way_does_not_pass_the_writer() -> None:
    """Its record comes late, but what it did may have been before the writer announced itself."""
    rows = [
        Row(10, 0, "LockSharedAcquired", 2, A, 1),
        Row(20, 2, "IrqlRaise", 2, 2 << 8, 2),
        Row(30, 1, "LockWait", 2, A, 3),
        Row(40, 2, "LockSharedAcquired", 2, A, 2),
        Row(50, 0, "LockSharedReleased", 2, A, 1),
        Row(60, 2, "LockSharedReleased", 2, A, 2),
        Row(70, 1, "LockAcquired", 2, A, 3),
        Row(80, 1, "LockReleased", 2, A, 3),
    ]
    assert judge(build(rows, 3))["RW-2"].status is Status.OK
    rows[1] = rows[1].but(time=35)
    rows[1], rows[2] = rows[2], rows[1]
    assert judge(build(rows, 3))["RW-2"].status is Status.VIOLATED


def test_request_that_another_cpu_may_have_made_excuses_a_late_dpc() -> None:
    rows = [
        Row(10, 0, "DpcInsert", 15, 64, 1 | 0 << 8 | 1 << 16),
        Row(20, 0, "Mark", 0),
        Row(40, 0, "InterruptEnter", 2, 0x2F, 9),
        Row(50, 0, "DpcStart", 2, 64, 7),
        Row(60, 0, "DpcEnd", 2, 64, 7),
        Row(70, 0, "InterruptExit", 0, 0x2F, 9),
    ]
    assert judge(build(rows, 2))["DPC-8"].status is Status.VIOLATED
    asked = [*rows[:2], Row(30, 1, "IpiSend", 15, 0x2F, 0), *rows[2:]]
    assert judge(build(asked, 2))["DPC-8"].status is Status.OK
    low = [rows[0].but(a1=1), *rows[1:]]
    assert judge(build(low, 2))["DPC-8"].status is Status.UNKNOWN


def test_memory_that_became_another_lock_proves_nothing() -> None:
    low = [Row(10, 0, "LockAcquired", 3, A, 1), Row(20, 0, "LockReleased", 3, A, 1)]
    high = [row.but(time=row.time + 100, irql=7) for row in low]
    assert judge(build(low + high, 1))["SPIN-19"].status is Status.VIOLATED
    anew = [*low, Row(50, 0, "InterruptConnect", 0, 64, 0x71), *high]
    assert judge(build(anew, 1))["SPIN-19"].status is Status.OK
    opposite = [*nested(100, 0, A, B), Row(150, 0, "ImageUnload", 0, 64, 64), *nested(200, 1, B, A)]
    assert judge(build(opposite, 2))["SPIN-9"].status is Status.OK
