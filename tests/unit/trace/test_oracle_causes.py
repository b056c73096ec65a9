# SPDX-License-Identifier: Apache-2.0
"""What exactly is said of rings of locks, of chains down to a lower IRQL, of forgotten threads and of causes."""

from __future__ import annotations

import pytest

from dirql.trace.oracle import Status, judge
from tests.unit.trace.synth import Row, build

A, B, C, D = (0xFFFF_8000_0000_1000 + 0x1000 * at for at in range(4))
THREAD, OBJECT = 0xFFFF_8000_0009_0000, 0xFFFF_8000_0009_1000
Step = tuple[str, int, int, int]
"""Event, IRQL, lock, call site."""


def nested(time: int, cpu: int, *steps: Step) -> list[Row]:
    """A CPU takes locks one inside the other and releases them."""
    taken = [Row(time + at, cpu, event, irql, lock, site) for at, (event, irql, lock, site) in enumerate(steps)]
    freed = [
        row.but(time=time + 20 + at, event=row.event.replace("Acquired", "Released"))
        for at, row in enumerate(reversed(taken))
    ]
    return [*taken, *freed]


def owned(lock: int, site: int, irql: int = 2) -> Step:
    return ("LockAcquired", irql, lock, site)


def shared(lock: int, site: int) -> Step:
    return ("LockSharedAcquired", 2, lock, site)


def test_ring_of_four_names_every_edge_with_both_sites() -> None:
    """An interrupt lock (held at DIRQL) and a reader/writer lock are part of it."""
    rows = [
        *nested(100, 0, owned(A, 1), owned(B, 2)),
        *nested(200, 1, owned(B, 3), shared(C, 4)),
        *nested(300, 2, owned(C, 5), owned(D, 6, 5)),
        *nested(400, 3, owned(D, 7, 5), owned(A, 8, 5)),
    ]
    verdict = judge(build(rows, 4))["SPIN-9"]
    assert verdict.count == 1
    violation = verdict.violations[0]
    assert set(violation.sites) == set(range(1, 9))
    assert violation.cpus == (0, 1, 2, 3)
    for cpu, (asked, held) in enumerate(((B, A), (C, B), (D, C), (A, D))):
        assert f"CPU {cpu} asked for {asked:#x} while it held {held:#x}" in violation.text


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ((shared(A, 1), shared(B, 2)), (shared(B, 3), shared(A, 4)), Status.OK),
        ((shared(A, 1), owned(B, 2)), (owned(B, 3), shared(A, 4)), Status.OK),
        ((shared(A, 1), owned(B, 2)), (owned(B, 3), owned(A, 4)), Status.VIOLATED),
        ((shared(A, 1), shared(B, 2)), (owned(B, 3), owned(A, 4)), Status.VIOLATED),
    ],
)
def test_readers_do_not_wait_for_readers(first: tuple[Step, ...], second: tuple[Step, ...], status: Status) -> None:
    rows = nested(100, 0, *first) + nested(200, 1, *second)
    assert judge(build(rows, 2))["SPIN-9"].status is status


def test_chain_down_to_a_lower_level_names_every_acquisition() -> None:
    """Who is interrupted while it holds C waits for A, whose holder waits for B, whose holder waits for C."""
    high = [
        Row(290, 2, "IsrEnter", 5, 0x4000, 70),
        Row(300, 2, "LockAcquired", 5, A, 7),
        Row(301, 2, "LockReleased", 5, A, 7),
        Row(302, 2, "IsrExit", 5, 0x4000, 1),
    ]
    rows = [
        Row(90, 0, "Mark", 5),
        *nested(100, 0, owned(A, 1, 5), owned(B, 2, 5)),
        Row(190, 1, "Mark", 5),
        *nested(200, 1, owned(B, 3, 5), owned(C, 4, 5)),
        *high,
        *nested(400, 3, owned(C, 9, 2)),
    ]
    violation = judge(build(rows, 4))["SPIN-IRQL"].violations[0]
    assert {1, 2, 3, 4, 9} <= set(violation.sites)
    assert f"held {C:#x} at IRQL 2" in violation.text
    level = [row.but(irql=5) if row.a0 == C else row for row in rows]
    assert judge(build(level, 4))["SPIN-IRQL"].status is Status.OK


@pytest.mark.parametrize(("idles", "status"), [(1, Status.OK), (2, Status.VIOLATED)])
def test_one_halt_may_have_begun_before_the_thread_was_ready(idles: int, status: Status) -> None:
    rows = [Row(10, 0, "ThreadSwitch", 2, 1, 0x04), Row(20, 0, "ThreadReady", 2, THREAD, 8 << 8 | 1)]
    for at in range(idles):
        rows += [Row(30 + 10 * at, 1, "IdleEnter", 0), Row(35 + 10 * at, 1, "IdleExit", 0)]
    assert judge(build(rows, 2))["THR-READY"].status is status
    assert judge(build(rows, 2, cut=True))["THR-READY"].status is Status.UNKNOWN


def test_thread_that_another_cpu_took_is_not_forgotten() -> None:
    rows = [Row(20, 0, "ThreadReady", 2, THREAD, 8 << 8 | 1), Row(30, 0, "ThreadSwitch", 2, THREAD, 0x08_00_01)]
    rows += [Row(40, 1, "IdleEnter", 0), Row(50, 1, "IdleExit", 0), Row(60, 1, "IdleEnter", 0)]
    assert judge(build(rows, 2))["THR-READY"].status is Status.OK


@pytest.mark.parametrize(("lead", "status"), [(200, Status.OK), (300, Status.VIOLATED)])
def test_interrupt_that_seems_early_by_the_skew_is_not(lead: int, status: Status) -> None:
    rows = [
        Row(1000, 1, "InterruptEnter", 14, 0xE1, 9),
        Row(1000 + lead, 0, "IpiSend", 14, 0xE1, 0xFF),
        Row(2000, 1, "InterruptExit", 0, 0xE1, 9),
    ]
    assert judge(build(rows, 2, mode="mt"))["CAUSE-IPI"].status is status
    assert judge(build(rows, 2))["CAUSE-IPI"].status is Status.VIOLATED


def test_interrupts_that_merge_are_no_fault() -> None:
    rows = [Row(10 + at, 0, "IpiSend", 14, 0xE1, 1) for at in range(3)]
    rows += [Row(100, 1, "InterruptEnter", 14, 0xE1, 9), Row(110, 1, "InterruptExit", 0, 0xE1, 9)]
    assert judge(build(rows, 2))["CAUSE-IPI"].status is Status.OK
    again = [Row(200, 0, "IpiSend", 14, 0xE1, 0)]  # to another CPU
    again += [Row(300 + at, 1, "InterruptEnter", 14, 0xE1, 9) for at in (0, 20, 40)]
    again += [Row(310 + at, 1, "InterruptExit", 0, 0xE1, 9) for at in (0, 20, 40)]
    verdict = judge(build(sorted(rows + again, key=lambda row: row.time), 2))["CAUSE-IPI"]
    assert verdict.status is Status.VIOLATED
    assert verdict.count == 1


def test_wait_that_an_apc_ended_needs_no_signal() -> None:
    """The thread is made ready for the APC, waits again, and finds the object signalled at once."""

    def run(*between: Row) -> list[Row]:
        return [
            Row(5, 0, "ThreadSwitch", 2, THREAD, 0x08_00_01),
            Row(10, 0, "WaitBegin", 2, OBJECT, 1 << 8 | 1),
            Row(20, 0, "ThreadSwitch", 2, 1, 0x00_08_04),
            Row(30, 0, "ThreadReady", 2, THREAD, 8 << 8),
            Row(40, 0, "ThreadSwitch", 2, THREAD, 0x08_00_01),
            *between,
            Row(90, 0, "WaitEnd", 2, OBJECT, 0),
        ]

    apc = (Row(50, 0, "ApcStart", 1, 0x5000, 7), Row(60, 0, "ApcEnd", 1, 0x5000, 7))
    assert judge(build(run(*apc), 1))["CAUSE-WAIT"].status is Status.OK
    assert judge(build(run(), 1))["CAUSE-WAIT"].status is Status.VIOLATED
