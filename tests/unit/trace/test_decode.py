# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dirql.errors import ProtocolError, UsageError
from dirql.trace.accounting import Accounting
from dirql.trace.clock import Clock
from dirql.trace.decode import Trace
from dirql.trace.folder import load, read_meta, ring_file, write_meta, write_records
from tests.unit.trace.synth import Row, build, make_meta, simulate, to_arrays

RUN = simulate(2, 3, 600)


def names(trace: Trace) -> list[str]:
    return [trace.meta.events.name(int(number)) for number in trace.event]


def test_history_is_the_rows_in_order() -> None:
    trace = RUN.trace()
    assert len(trace) == len(RUN.rows)
    assert names(trace) == [row.event for row in RUN.rows]
    assert trace.cpu.tolist() == [row.cpu for row in RUN.rows]
    assert trace.arg1.tolist() == [row.a1 for row in RUN.rows]
    assert (trace.records["Argument0"] == trace.arg0).all()
    assert trace.origin == RUN.rows[0].time


def test_views_of_one_cpu() -> None:
    trace = RUN.trace()
    for cpu in range(3):
        mine = trace.on_cpu(cpu)
        assert (trace.cpu[mine] == cpu).all()
        assert (np.diff(mine) > 0).all()
        assert trace.last_on(np.array([cpu], dtype=np.uint8))[0] == mine[-1]
    assert (trace.by_cpu[trace.position] == np.arange(len(trace))).all()


def test_chosen_events_come_in_order() -> None:
    trace = RUN.trace()
    chosen = trace.where("LockAcquired", "LockReleased")
    assert (np.diff(chosen) > 0).all()
    expected = [at for at, row in enumerate(RUN.rows) if row.event in ("LockAcquired", "LockReleased")]
    assert chosen.tolist() == expected
    assert trace.where("UnexpectedInterrupt").tolist() == []


def test_interrupted_event_keeps_its_place() -> None:
    """Its slot was reserved before, its time read after the interrupt that came between."""
    arrays = to_arrays(
        [Row(100, 0, "IrqlRaise", 2), Row(50, 0, "InterruptEnter", 5), Row(60, 0, "InterruptExit", 2)], 1
    )
    trace = Trace(arrays, make_meta(1))
    assert names(trace) == ["IrqlRaise", "InterruptEnter", "InterruptExit"]
    assert trace.time.tolist() == [0, 0, 10]


def test_release_precedes_acquisition_at_one_time() -> None:
    rows = [Row(5, 0, "LockAcquired", 2), Row(5, 1, "Mark", 2), Row(5, 2, "LockReleased", 2)]
    assert names(build(rows, 3)) == ["LockReleased", "Mark", "LockAcquired"]


def test_a_cpus_own_order_wins_over_that() -> None:
    rows = [Row(5, 0, "LockAcquired", 2), Row(5, 0, "LockReleased", 2), Row(5, 1, "LockReleased", 2)]
    trace = build(rows, 2)
    assert [(int(cpu), name) for cpu, name in zip(trace.cpu, names(trace), strict=True)] == [
        (1, "LockReleased"),
        (0, "LockAcquired"),
        (0, "LockReleased"),
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.sampled_from(["LockAcquired", "Mark", "LockReleased"])))
)
def test_order_respects_time_and_each_cpu(rows: list[tuple[int, int, str]]) -> None:
    made = [Row(time, cpu, event, 0, at) for at, (cpu, time, event) in enumerate(rows)]
    trace = Trace(to_arrays(made, 3), make_meta(3))
    assert (np.diff(trace.time) >= 0).all()
    for cpu in range(3):
        assert trace.arg0[trace.on_cpu(cpu)].tolist() == [row.a0 for row in made if row.cpu == cpu]


def test_records_of_another_cpu_are_refused() -> None:
    arrays = to_arrays(RUN.rows, 3)
    with pytest.raises(ProtocolError, match="hold some of CPU 1"):
        Trace([arrays[1], arrays[0], arrays[2]], make_meta(3))


def test_backward_sequence_is_refused() -> None:
    arrays = to_arrays(RUN.rows, 3)
    with pytest.raises(ProtocolError, match="backwards"):
        Trace([arrays[0][::-1], arrays[1], arrays[2]], make_meta(3))


@pytest.mark.parametrize("at", [0, 1, 8191, 8192, 19_999])
def test_one_wrong_record_of_many_is_found(at: int) -> None:
    """They are checked in pieces; a wrong one may be anywhere in a piece."""
    many = np.repeat(to_arrays([Row(0, 0, "Mark", 0)], 1)[0], 20_000)
    many["Sequence"] = np.arange(1, len(many) + 1)
    assert Trace([many], make_meta(1)).gaps == (0,)
    foreign, back, gap = many.copy(), many.copy(), many.copy()
    foreign["Cpu"][at] = 1
    with pytest.raises(ProtocolError, match="hold some of CPU 1"):
        Trace([foreign], make_meta(1))
    if at:
        back["Sequence"][at] = back["Sequence"][at - 1]
        with pytest.raises(ProtocolError, match="backwards"):
            Trace([back], make_meta(1))
    gap["Sequence"][at:] += np.uint32(3)
    assert Trace([gap], make_meta(1)).gaps == (3,)


def test_sequence_may_wrap() -> None:
    arrays = to_arrays([Row(at, 0, "Mark", 0) for at in range(6)], 1)
    arrays[0]["Sequence"] = [0xFFFF_FFFD, 0xFFFF_FFFE, 0xFFFF_FFFF, 0, 1, 2]
    arrays[0] = arrays[0][2:]
    trace = Trace(arrays, make_meta(1))
    assert trace.gaps == (0xFFFF_FFFE,)


def test_horizon_cuts_what_is_not_known_of_all_cpus() -> None:
    rows = [Row(10, 0, "Mark", 0), Row(20, 1, "Mark", 0), Row(30, 0, "Mark", 0)]
    trace = build(rows, 2, horizon=20)
    assert trace.time.tolist() == [0, 10]


def test_folder_gives_back_what_was_put_in(tmp_path: Path) -> None:
    accounting = Accounting({0: 5}, {0: 1}, 4, {0: 0xFFFF_8000_0000_0001}, frozenset({7}))
    meta = make_meta(
        3,
        accounting=accounting,
        symbols=((0xFFFF_8000_0000_0000, 16, "a!b"),),
        notes=("n",),
        clock=Clock(2.5e9, 77, 88),
        horizon=1 << 40,
        cut=True,
        skew_ns=3.5,
    )
    write_meta(tmp_path, meta)
    write_records(tmp_path, to_arrays(RUN.rows, 3))
    assert read_meta(tmp_path) == meta
    trace = load(tmp_path)
    assert names(trace) == names(RUN.trace())
    assert trace.symbols.name(0xFFFF_8000_0000_0004) == "a!b+0x4"


def test_half_a_record_makes_a_cut_trace(tmp_path: Path) -> None:
    write_meta(tmp_path, make_meta(3))
    write_records(tmp_path, to_arrays(RUN.rows, 3))
    with ring_file(tmp_path, 1).open("ab") as file:
        file.write(b"torn")
    trace = load(tmp_path)
    assert trace.meta.cut
    assert len(trace) == len(RUN.rows)


def test_folder_without_a_trace(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no trace"):
        load(tmp_path)


def test_trace_of_another_version(tmp_path: Path) -> None:
    write_meta(tmp_path, make_meta(1))
    path = tmp_path / "trace" / "meta.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 99'))
    with pytest.raises(UsageError, match="version 99"):
        load(tmp_path)


def test_skew_depends_on_the_mode() -> None:
    meta = make_meta(1)
    assert (meta.skew, replace(meta, mode="mt").skew, replace(meta, skew_ns=7.0).skew) == (0.0, 250.0, 7.0)
    with pytest.raises(UsageError, match="tcg"):
        replace(meta, mode="tcg")
