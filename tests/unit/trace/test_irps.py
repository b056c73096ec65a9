# SPDX-License-Identifier: Apache-2.0
"""IRPs: their lives, what the oracle says of orders that are legal, and their numbers."""

from __future__ import annotations

import pytest

from dirql.trace.history.history import History
from dirql.trace.history.irps import device_of, major_function, major_name
from dirql.trace.oracle import Status, judge
from dirql.trace.stats.summary import statistics
from tests.unit.trace.irpacts import CANCELLED
from tests.unit.trace.synth import Row, build, simulate

IRP, DEVICE, ROUTINE = 0xFFFF_8000_0000_1000, 0xFFFF_8000_0000_2000, 0xFFFF_8000_0000_3000
READ = DEVICE & (1 << 48) - 1 | 3 << 48


def rows(*acts: tuple[int, str, int, int]) -> list[Row]:
    """Rows of (cpu, event, first argument, second argument), 1000 ticks apart, at DISPATCH_LEVEL."""
    return [Row(1000 * at, cpu, event, 2, a0, a1) for at, (cpu, event, a0, a1) in enumerate(acts, 1)]


ALLOCATE = (0, "IrpAllocate", IRP, 1)
CALL = (0, "IrpCall", IRP, READ)
COMPLETE = (1, "IrpComplete", IRP, ROUTINE)
DONE = (1, "IrpDone", IRP, 0)
FREE = (1, "IrpFree", IRP, 0)
TAKEN = (1, "IrpCancel", IRP, ROUTINE)
START = (0, "StartIoEnter", DEVICE, IRP)
NEXT = (1, "StartIoNext", DEVICE, 0)
EXIT = (0, "StartIoExit", DEVICE, ROUTINE)


@pytest.mark.parametrize(
    "acts",
    [
        (ALLOCATE, CALL, COMPLETE, DONE, FREE),
        (ALLOCATE, CALL, COMPLETE, FREE, ALLOCATE, CALL, COMPLETE, FREE),
        (CALL, COMPLETE, CALL, COMPLETE, CALL),  # of memory of the driver's own, used again
        (ALLOCATE, CALL, CALL, COMPLETE, COMPLETE, FREE),  # a completion routine held it back, its driver goes on
        (ALLOCATE, CALL, TAKEN, COMPLETE, FREE),
        (ALLOCATE, CALL, CALL, COMPLETE, TAKEN, COMPLETE, FREE),  # the upper driver has a cancel routine of its own
        (ALLOCATE, FREE),  # never used
        (ALLOCATE, CALL, COMPLETE, DONE, FREE, CALL),  # the memory became an IRP of a driver's own
        (ALLOCATE, CALL, START, EXIT, NEXT, START, EXIT),
        (ALLOCATE, CALL, START, NEXT, START, EXIT, EXIT),  # StartIo may not have returned when the next is asked for
    ],
)
def test_legal_orders_break_nothing(acts: tuple[tuple[int, str, int, int], ...]) -> None:
    verdict = judge(build(rows(*acts), 2))
    assert [clause for clause in verdict.clauses if clause.status is Status.VIOLATED] == []


@pytest.mark.parametrize(
    ("clause", "acts", "records"),
    [
        ("IRP-8", (ALLOCATE, CALL, COMPLETE, COMPLETE), (2, 3)),
        ("IRP-8", (CALL, COMPLETE, DONE, COMPLETE), (2, 3)),
        ("IRP-8", (ALLOCATE, CALL, FREE), (1, 2)),
        ("IRP-8", (ALLOCATE, CALL, COMPLETE, TAKEN), (2, 3)),
        ("IRP-8", (ALLOCATE, CALL, TAKEN, TAKEN), (2, 3)),
        ("IRP-CALL", (ALLOCATE, CALL, COMPLETE, DONE, CALL), (3, 4)),
        ("IRP-CALL", (ALLOCATE, CALL, COMPLETE, FREE, COMPLETE), (3, 4)),
        ("IRP-CALL", (ALLOCATE, CALL, COMPLETE, FREE, FREE), (3, 4)),
        ("IRP-3", (START, EXIT, START), (0, 2)),
    ],
)
def test_violation_names_its_records(
    clause: str, acts: tuple[tuple[int, str, int, int], ...], records: tuple[int, ...]
) -> None:
    verdict = judge(build(rows(*acts), 2))[clause]
    assert verdict.status is Status.VIOLATED
    assert verdict.violations[0].records == records


def test_completion_and_call_within_the_skew_prove_nothing() -> None:
    made = rows(ALLOCATE, CALL, COMPLETE, DONE, COMPLETE, CALL)
    made[-1] = made[-1].but(time=made[-2].time + 1)
    assert judge(build(made, 2, mode="mt", skew_ns=500.0))["IRP-8"].status is not Status.VIOLATED
    assert judge(build(made, 2, mode="icount"))["IRP-8"].status is Status.VIOLATED


def test_statistics_count_requests_and_time_them() -> None:
    acts = (ALLOCATE, CALL, COMPLETE, DONE, FREE, ALLOCATE, CALL, COMPLETE, (1, "IrpDone", IRP, CANCELLED), FREE)
    write = (0, "IrpCall", IRP, DEVICE & (1 << 48) - 1 | 4 << 48)
    stats = statistics(History(build(rows(*acts, ALLOCATE, write, TAKEN, COMPLETE, FREE, ALLOCATE, write), 2))).irps
    reads, writes = sorted(stats, key=lambda each: each.major)
    assert (reads.device, reads.major, reads.calls, reads.completed, reads.cancelled) == (DEVICE, 3, 2, 2, 1)
    assert (writes.major, writes.calls, writes.completed, writes.cancelled) == (4, 2, 1, 1)
    assert reads.latency.median == 2000.0
    assert writes.latency.count == 1
    assert major_name(reads.major) == "IRP_MJ_READ"
    assert major_name(0x40) == "major function 0x40"


def test_dispatch_routines_nest_and_so_does_start_io() -> None:
    back = (0, "IrpReturn", IRP, 0)
    history = History(build(rows(ALLOCATE, CALL, CALL, START, NEXT, START, EXIT, EXIT, back, back), 2))
    spans = history.dispatches
    assert list(zip(spans.start.tolist(), spans.end.tolist(), strict=True)) == [(1, 9), (2, 8)]
    starts = history.start_ios
    assert list(zip(starts.start.tolist(), starts.end.tolist(), strict=True)) == [(3, 7), (5, 6)]
    assert {int(key) for key in starts.key} == {DEVICE}
    assert history.irps.address[history.irps.of("StartIoEnter")].tolist() == [IRP, IRP]


def test_words_of_a_call() -> None:
    assert major_function(READ) == 3
    trace = build(rows(CALL), 1)
    assert device_of(trace.arg1).tolist() == [DEVICE]


def test_simulated_requests_are_followed() -> None:
    run = simulate(7, 3, 4000)
    stats = statistics(History(run.trace())).irps
    assert sum(each.calls for each in stats) == sum(row.event == "IrpCall" for row in run.rows)
    assert sum(each.cancelled for each in stats) > 0
    assert all(each.calls == each.completed for each in stats)
