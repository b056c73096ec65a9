# SPDX-License-Identifier: Apache-2.0
"""A part of a trace that begins with the machine at rest is judged as a whole one."""

from __future__ import annotations

import numpy as np
import pytest

from dirql.trace.decode import Trace
from dirql.trace.folder import TraceMeta
from dirql.trace.oracle import Status, judge
from dirql.trace.quiet import Connection, QuietStart
from tests.unit.trace.synth import Row, build, make_meta, simulate, tile

RUN = simulate(4, 3, 9000)
LOCK = 0xFFFF_8000_0000_7000


def second_part(quiet: QuietStart | None) -> Trace:
    """The second of two equal runs of one machine, each of which ends at rest."""
    arrays = [array[len(array) // 2 :] for array in tile(RUN, 2)]
    return Trace(arrays, make_meta(3, accounting=RUN.accounting, quiet=quiet))


def test_part_is_judged_like_the_whole() -> None:
    first = RUN.trace()
    quiet = QuietStart.after(first)
    assert quiet.before == tuple(len(first.on_cpu(cpu)) for cpu in range(3))
    assert [each.interrupt for each in quiet.connections] == [
        *(each.address for each in RUN.interrupts),
        0xFFFF_8000_0000_4400,
    ]
    part = second_part(quiet)
    assert part.lost == (0, 0, 0)
    assert [clause for clause in judge(part).clauses if clause.status is not Status.OK] == []


def test_part_without_its_quiet_start_is_incomplete() -> None:
    assert all(second_part(None).lost)


def test_what_is_missing_before_the_part_counts_as_lost() -> None:
    quiet = QuietStart(before=tuple(count - 2 for count in QuietStart.after(RUN.trace()).before))
    assert second_part(quiet).lost == (2, 2, 2)
    assert second_part(QuietStart()).lost == (0, 0, 0)


def test_starts_chain() -> None:
    one = QuietStart.after(RUN.trace())
    two = QuietStart.after(second_part(one))
    assert two.before == tuple(2 * count for count in one.before)
    assert two.connections == one.connections


def test_level_comes_from_the_list_where_the_trace_has_no_connection() -> None:
    rows = [
        Row(10, 0, "LockAcquired", 5, LOCK),
        Row(20, 0, "IsrEnter", 5, 64, 7),
        Row(30, 0, "IsrExit", 5, 64, 1),
        Row(40, 0, "LockReleased", 5, LOCK),
    ]
    assert judge(build(rows, 1, quiet=QuietStart()))["INT-1"].status is Status.OK
    quiet = QuietStart(connections=(Connection(64, 0x51, 5, 7, 0),))
    verdict = judge(build(rows, 1, quiet=quiet))["INT-1"]
    assert verdict.status is Status.VIOLATED
    assert "SynchronizeIrql is 7" in verdict.violations[0].text


@pytest.mark.parametrize(
    ("clause", "row"),
    [
        ("SPIN-8", Row(20, 0, "LockReleased", 2, LOCK)),
        ("DPC-2", Row(20, 0, "DpcStart", 2, 64, 7)),
        ("DPC-4", Row(20, 0, "DpcEnd", 2, 64, 7)),
        ("DPC-1", Row(20, 0, "DpcInsert", 2, 64, 0xFF << 8)),
        ("INT-1", Row(20, 0, "IsrExit", 5, 64, 1)),
    ],
)
def test_end_without_a_beginning_is_a_violation_after_a_quiet_start(clause: str, row: Row) -> None:
    rows = [Row(10, 0, "Mark", 0), row, Row(30, 0, "Mark", 0), Row(40, 0, "IdleEnter", 0)]
    assert judge(build(rows, 1))[clause].status is not Status.VIOLATED
    assert judge(build(rows, 1, quiet=QuietStart()))[clause].status is Status.VIOLATED


def test_interrupt_that_was_being_served_when_the_part_began_is_none() -> None:
    rows = [Row(10, 0, "InterruptExit", 0, 0xD1, 9), Row(20, 0, "IdleEnter", 0)]
    assert judge(build(rows, 1, quiet=QuietStart()))["IRQL-6"].status is not Status.VIOLATED


@pytest.mark.parametrize(("ready", "status"), [(True, Status.OK), (False, Status.VIOLATED)])
def test_a_part_that_begins_with_a_switch_knows_who_was_switched_out(*, ready: bool, status: Status) -> None:
    idle, waiter = 0x6000, 0x7000
    made = [Row(25, 0, "ThreadReady", 2, waiter, 0 | 8 << 8 | 1 << 16)] if ready else []
    rows = [
        Row(10, 0, "ThreadSwitch", 2, idle, 4 | 8 << 8 | 0 << 16),  # the waiter's wait began before the part
        Row(20, 0, "IdleEnter", 0),
        *made,
        Row(30, 0, "ThreadSwitch", 2, waiter, 1 | 0 << 8 | 8 << 16),
        Row(40, 0, "ThreadSwitch", 2, idle, 4 | 8 << 8 | 0 << 16),
    ]
    verdict = judge(build(rows, 1, quiet=QuietStart(threads=(waiter,))))["THR-RUN"]
    assert verdict.status is status
    assert [violation.text for violation in verdict.violations] == (
        []
        if ready
        else [f"CPU 0 was given the thread {waiter:#x}, which waited since CPU 0 left it and was not made ready"]
    )


def test_meta_keeps_it() -> None:
    quiet = QuietStart.after(RUN.trace())
    meta = make_meta(3, quiet=quiet)
    assert TraceMeta.from_json(meta.to_json()).quiet == quiet
    old = meta.to_json()
    del old["quiet"]
    assert TraceMeta.from_json(old).quiet is None


def test_sequence_numbers_wrap() -> None:
    trace = build([Row(10 * at, 0, "Mark", 0) for at in range(1, 9)], 1)
    records = trace.records.copy()
    records["Sequence"] += np.uint32(0xFFFF_FFFC)
    assert Trace([records], make_meta(1, quiet=QuietStart(before=(0xFFFF_FFFC,)))).lost == (0,)
