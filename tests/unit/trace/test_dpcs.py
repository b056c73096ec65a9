# SPDX-License-Identifier: Apache-2.0
"""Insertions and runs of DPCs, where records are not in the order of the acts."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dirql.trace.history.dpcs import _Act, _order
from dirql.trace.history.history import History
from dirql.trace.oracle import Status, judge
from tests.unit.trace.synth import Row, build

KDPC = 64
QUEUED = 1 | 0xFF << 8


def possible(piece: list[_Act], queued: bool) -> bool:
    """Try all orders."""
    for order in permutations(piece):
        now, state = -1, queued
        for act in order:
            now = max(now, act.earliest)
            if act.inserts == state or now > act.latest:
                break
            state = act.inserts
        else:
            return True
    return False


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 8)), min_size=1, max_size=7), st.booleans())
def test_an_order_is_found_exactly_where_there_is_one(rows: list[tuple[bool, int, int]], queued: bool) -> None:
    acts = sorted((latest - width, latest, inserts) for inserts, latest, width in rows)
    piece = [_Act(at, inserts, early, late) for at, (early, late, inserts) in enumerate(acts)]
    piece.sort(key=lambda act: act.latest)
    found = _order(piece, queued=queued)
    assert (found is not None) == possible(piece, queued)
    if found is not None:
        assert sorted(act.place for act in found) == sorted(act.place for act in piece)
        assert all(act.inserts != (queued ^ bool(at % 2)) for at, act in enumerate(found))


def test_queued_again_between_leaving_the_queue_and_the_record_of_it() -> None:
    rows = [
        Row(10, 0, "DpcInsert", 15, KDPC, QUEUED),
        Row(20, 0, "InterruptEnter", 2, 0x2F),
        Row(30, 0, "InterruptEnter", 5, 0x51 | 2 << 8),  # after it left the queue, before its DpcStart
        Row(40, 0, "DpcInsert", 15, KDPC, QUEUED),
        Row(50, 0, "InterruptExit", 2, 0x51 | 2 << 8),
        Row(60, 0, "DpcStart", 2, KDPC),
        Row(70, 0, "DpcEnd", 2, KDPC),
        Row(80, 0, "DpcStart", 2, KDPC),
        Row(90, 0, "DpcEnd", 2, KDPC),
    ]
    runs = History(build(rows, 1)).dpc_runs
    assert (runs.insert.tolist(), runs.taken.tolist()) == ([0, 3], [5, 7])
    assert not len(runs.requeued)
    assert not len(runs.orphans)


def test_removed_dpc_does_not_run() -> None:
    rows = [
        Row(10, 0, "DpcInsert", 15, KDPC, QUEUED),
        Row(20, 0, "DpcRemove", 2, KDPC, 1),
        Row(30, 0, "DpcRemove", 2, KDPC, 0),
        Row(40, 0, "DpcInsert", 15, KDPC, QUEUED),
    ]
    runs = History(build(rows, 1)).dpc_runs
    assert (runs.insert.tolist(), runs.taken.tolist()) == ([0, 3], [1, -1])
    assert runs.runs(build(rows, 1))[0].tolist() == []


def test_run_queued_before_the_trace_is_inherited() -> None:
    rows = [Row(10, 0, "DpcStart", 2, KDPC), Row(20, 0, "DpcEnd", 2, KDPC), Row(30, 0, "IdleEnter", 0)]
    runs = History(build(rows, 1)).dpc_runs
    assert runs.inherited.tolist() == [0]
    assert not len(runs.orphans)


@pytest.mark.parametrize("halted", [False, True])
def test_act_whose_record_is_beyond_the_end_is_allowed_for(halted: bool) -> None:
    """CPU 1 may have taken the DPC and not said so yet, unless it is halted."""
    rows = [
        Row(5, 1, "IdleEnter" if halted else "IrqlRaise", 2, 2 << 8),
        Row(10, 0, "DpcInsert", 15, KDPC, QUEUED),
        Row(20, 0, "DpcInsert", 15, KDPC, QUEUED),
        Row(30, 0, "IdleEnter", 0),
    ]
    assert History(build(rows, 2)).dpc_runs.requeued.tolist() == ([2] if halted else [])


@pytest.mark.parametrize(("interrupted", "status"), [(0, Status.VIOLATED), (2, Status.OK)])
def test_raise_that_was_interrupted_before_its_record_proves_nothing(interrupted: int, status: Status) -> None:
    """The CPU was at DISPATCH_LEVEL when the interrupt came: the raise that is recorded after it was made before it."""
    rows = [
        Row(10, 0, "InterruptEnter", 6, 0x60 | interrupted << 8),
        Row(20, 0, "DpcInsert", 15, KDPC, QUEUED | 1 << 16),
        Row(30, 0, "InterruptExit", interrupted, 0x60 | interrupted << 8),
        Row(40, 0, "IrqlRaise", 2, 2 << 8),
        Row(50, 0, "IrqlLower", 2, 2),
        Row(60, 0, "InterruptEnter", 2, 0x2F),
        Row(70, 0, "DpcStart", 2, KDPC),
        Row(80, 0, "DpcEnd", 2, KDPC),
        Row(90, 0, "InterruptExit", 0, 0x2F),
    ]
    assert judge(build(rows, 1))["DPC-7"].status is status
