# SPDX-License-Identifier: Apache-2.0
"""Traces that lack something: the beginning, the end, records in between, whole kinds of events. Nothing is ok then of
what depends on it, and nothing is called broken that is not."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dirql.trace.decode import Trace
from dirql.trace.events import ALWAYS, EVENT_CLASSES
from dirql.trace.oracle import Status, judge
from tests.unit.trace.effort import examples
from tests.unit.trace.header import events_of_header
from tests.unit.trace.synth import Row, build, make_meta, simulate, to_arrays

SEEDS = st.integers(0, 1 << 32)
LATE = [
    Row(100, 0, "LockReleased", 2, 0x4000, 1),
    Row(110, 0, "LockAcquired", 2, 0x4000, 2),
    Row(120, 1, "LockAcquired", 2, 0x4000, 3),
    Row(130, 0, "LockReleased", 2, 0x4000, 4),
    Row(140, 1, "LockReleased", 2, 0x4000, 5),
]


@settings(max_examples=examples(16, 10), deadline=None)
@given(seed=SEEDS, data=st.data())
def test_last_records_raise_no_alarm(seed: int, data: st.DataObject) -> None:
    """Each CPU's beginning is missing, as far as its own ring had to let it go."""
    run = simulate(seed, 3, 400)
    arrays = to_arrays(run.rows, 3)
    gone = tuple(data.draw(st.integers(0, len(array) - 1)) for array in arrays)
    kept = [array[first:] for array, first in zip(arrays, gone, strict=True)]
    trace = Trace(kept, make_meta(3, accounting=run.accounting, let_go=gone))
    verdict = judge(trace)
    wanted = {Status.UNKNOWN} if any(gone) else {Status.OK, Status.UNKNOWN}
    assert {clause.status for clause in verdict.clauses} <= wanted


@settings(max_examples=examples(16, 10), deadline=None)
@given(seed=SEEDS, data=st.data())
def test_events_that_are_off_raise_no_alarm(seed: int, data: st.DataObject) -> None:
    """Of a whole trace without some events, what does not need them is judged as ever, and the rest is unknown."""
    run = simulate(seed, 3, 400)
    numbers = events_of_header()
    classes = data.draw(st.sets(st.sampled_from([name for name in EVENT_CLASSES if name != ALWAYS])))
    names = data.draw(st.sets(st.sampled_from(sorted(numbers.numbers)), max_size=5))
    off = names.union(*(EVENT_CLASSES[name] for name in classes))
    mask = ~sum(1 << numbers[name] for name in off)
    rows = [row for row in run.rows if row.event not in off]
    verdict = judge(build(rows, 3, accounting=run.accounting, mask=mask))
    for clause in verdict.clauses:
        assert clause.status is not Status.VIOLATED, clause
        assert clause.status is Status.UNKNOWN or not off.intersection(clause.clause.needs)


@settings(max_examples=examples(12, 10), deadline=None)
@given(seed=SEEDS, data=st.data())
def test_lost_stretches_raise_no_alarm(seed: int, data: st.DataObject) -> None:
    """Rings that were full for a while, each at its own time; and the machine ended under the trace."""
    run = simulate(seed, 3, 400)
    arrays, lost = [], []
    for array in to_arrays(run.rows, 3):
        first = data.draw(st.integers(0, len(array)))
        count = data.draw(st.integers(0, 60))
        arrays.append(np.delete(array, slice(first, first + count)))
        lost.append(len(array) - len(arrays[-1]))
    trace = Trace(arrays, make_meta(3, accounting=run.accounting, lost=tuple(lost), cut=data.draw(st.booleans())))
    wanted = {Status.UNKNOWN} if any(lost) or trace.meta.cut else {Status.OK, Status.UNKNOWN}
    assert {clause.status for clause in judge(trace).clauses} <= wanted


def test_two_holders_are_two_holders_though_the_beginning_is_missing() -> None:
    """What lies between the records that show it is whole, whatever was let go before."""
    verdict = judge(Trace(to_arrays(LATE, 2), make_meta(2, let_go=(0, 0))))
    assert verdict["SPIN-1"].status is Status.VIOLATED
    kept = [array[first:] for array, first in zip(to_arrays(LATE, 2), (1, 0), strict=True)]
    verdict = judge(Trace(kept, make_meta(2, let_go=(1, 0))))
    assert verdict["SPIN-1"].status is Status.VIOLATED
    assert verdict["SPIN-8"].status is Status.UNKNOWN
    assert verdict["SPIN-8"].reason == "CPU 0's first 1 records were let go"
    lossy = judge(Trace(kept, make_meta(2, let_go=(1, 0), lost=(0, 1))))
    assert lossy["SPIN-1"].status is Status.UNKNOWN
