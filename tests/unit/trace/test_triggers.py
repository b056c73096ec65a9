# SPDX-License-Identifier: Apache-2.0
"""What a recording stops on: read, found in the records, and what is kept after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dirql.errors import UsageError
from dirql.recordingoptions import RecordingOptions
from dirql.trace.folder import ring_file, write_meta
from dirql.trace.live.collect import Collector, RingReader
from dirql.trace.live.conditions import parse_after, parse_condition
from dirql.trace.live.rounds import OracleRounds
from dirql.trace.live.triggers import HoldTrigger, RecordTrigger
from tests.unit.trace.header import RING_LAYOUT, events_of_header
from tests.unit.trace.ring import DTYPE, GuestRing, ram_bytes, ring_address
from tests.unit.trace.rows import make_meta, to_arrays
from tests.unit.trace.synth import simulate

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.trace.folder import TraceMeta
    from dirql.trace.live.collect import Collected
    from dirql.trace.schema import Records
    from dirql.trace.triggered import Triggered

_EVENTS = events_of_header()


def _records(*rows: tuple[str, int, int, int]) -> Records:
    """Records of (event, time, first argument, second argument)."""
    records = np.zeros(len(rows), dtype=DTYPE)
    records["Event"] = [_EVENTS[row[0]] for row in rows]
    records["Time"], records["Argument0"], records["Argument1"] = ([row[at] for row in rows] for at in (1, 2, 3))
    records["Sequence"] = np.arange(1, len(rows) + 1)
    return records


def test_conditions() -> None:
    assert parse_condition("hold>25us").ns == 25_000
    assert parse_condition("hold > 1.5ms").ns == 1_500_000
    assert (parse_condition("violation").name, parse_condition("violation:SPIN-1").name) == ("", "SPIN-1")
    assert parse_condition("address:doorbell!Lock+0x8").name == "doorbell!Lock+0x8"
    assert (parse_condition("event:Mark:0x10").name, parse_condition("event:Mark:0x10").value) == ("Mark", "0x10")
    assert (parse_after("100"), parse_after("2ms")) == ((100, 0.0), (0, 2e6))


@pytest.mark.parametrize(
    "text", ["", "hold", "hold>fast", "hold>25us:X", "violation:", "address:", "event:", "event:Nothing", "sometimes"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_condition(text)


@pytest.mark.parametrize(
    "options",
    [{"stop_on": ("never",)}, {"after": "soon"}, {"then": "kill"}, {"last": 0}, {"classes": ("lock",)}],
)
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        RecordingOptions(**options)  # type: ignore[arg-type]


def test_an_event_and_an_address() -> None:
    records = _records(("Mark", 1, 5, 0x1000), ("DpcStart", 2, 0x2008, 0x3000), ("Mark", 3, 0x200F, 9))
    by_event = RecordTrigger(parse_condition("event:Mark"), _EVENTS)
    found = by_event.observe(1, records)
    assert found is not None
    assert (found.cpu, found.sequence, found.tsc, found.record) == (1, 1, 1, (_EVENTS["Mark"], 5, 0x1000))
    for text, sequence in (
        ("event:Mark:0x200f", 3),
        ("event:DpcStart", 2),
        ("address:0x3000", 2),
        ("address:0x2000+0x10", 2),
        ("address:0x200f", 3),
        ("address:9", 3),
        ("event:IsrEnter", None),
        ("address:0x2010", None),
        ("address:0x2009+6", None),
    ):
        hit = RecordTrigger(parse_condition(text), _EVENTS).observe(0, records)
        assert (hit and hit.sequence) == sequence, text


def test_a_symbol_is_looked_up_when_its_driver_is_there() -> None:
    records = _records(("Mark", 1, 0x1010, 0))
    trigger = RecordTrigger(parse_condition("address:drv!Lock"), _EVENTS)
    trigger.resolve(lambda _: [])
    assert trigger.observe(0, records) is None
    trigger.resolve(lambda name: [(0x5000, 8), (0x1008, 16)] if name == "drv!Lock" else [])
    assert trigger.observe(0, records) is not None
    inside = RecordTrigger(parse_condition("address:Lock+0x8"), _EVENTS)
    inside.resolve(lambda name: [(0x1008, 16)] if name == "Lock" else [])
    assert inside.observe(0, records) is not None
    assert inside.observe(0, _records(("Mark", 1, 0x1008, 0))) is None


def _hold(budget: int) -> HoldTrigger:
    trigger = HoldTrigger(parse_condition(f"hold>{budget}"), _EVENTS, 2)
    trigger.calibrate(1.0)
    return trigger


def _longest(rows: list[tuple[str, int, int, int]], budget: int) -> set[int]:
    """Sequence numbers of the releases that are too late, one lock after the other."""
    taken: dict[int, int] = {}
    late = set()
    for at, (event, time, lock, _) in enumerate(rows):
        if event == "LockAcquired":
            taken[lock] = time
        elif event == "LockReleased" and time - taken.pop(lock, time) > budget:
            late.add(at + 1)
    return late


@settings(max_examples=120, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30)), max_size=40),
    cut=st.integers(1, 9),
    budget=st.integers(1, 60),
)
def test_holds_are_found_however_the_records_come(steps: list[tuple[int, int]], cut: int, budget: int) -> None:
    rows: list[tuple[str, int, int, int]] = []
    held: set[int] = set()
    now = 0
    for lock, later in steps:
        now += later
        rows.append(("LockReleased" if lock in held else "LockAcquired", now, lock, 0))
        held ^= {lock}
        rows.append(("Mark", now, 0, 0))
    records, trigger = _records(*rows), _hold(budget)
    found: Triggered | None = None
    for start in range(0, len(records), cut):
        found = found or trigger.observe(0, records[start : start + cut])
    late = _longest(rows, budget)
    taken = {
        lock: next(row[1] for row in reversed(rows) if row[2] == lock and row[0] == "LockAcquired") for lock in held
    }
    if found is None:
        assert not late
        assert all(now - time <= budget for time in taken.values())
    else:
        record = rows[found.sequence - 1]
        assert found.sequence in late or record[0] == "LockAcquired"
        assert found.record == (_EVENTS[record[0]], record[2], 0)


def test_a_hold_that_goes_on_is_found_by_what_follows_it() -> None:
    trigger = _hold(100)
    assert trigger.observe(0, _records(("LockAcquired", 0, 7, 0), ("Mark", 90, 0, 0))) is None
    assert trigger.observe(1, _records(("Mark", 500, 0, 0))) is None  # another CPU
    found = trigger.observe(0, _records(("Mark", 101, 0, 0)))
    assert found is not None
    assert found.text == "still held after 0.101 us"


def test_no_hold_is_too_long_before_the_clock_is_known() -> None:
    trigger = HoldTrigger(parse_condition("hold>1"), _EVENTS, 1)
    assert trigger.observe(0, _records(("LockAcquired", 0, 7, 0), ("LockReleased", 10**9, 7, 0))) is None


def test_what_follows_is_kept_and_then_nothing(tmp_path: Path) -> None:
    ram = memoryview(bytearray(ram_bytes(2, 64)))
    rings = [GuestRing(ram, cpu, 64) for cpu in range(2)]
    readers = [RingReader(ram, ring_address(cpu), RING_LAYOUT, DTYPE) for cpu in range(2)]
    told: list[str] = []
    trigger = RecordTrigger(parse_condition("address:5"), _EVENTS)  # GuestRing's records have their index
    collector = Collector(tmp_path, readers, observers=[trigger], ended=lambda: told.append("over"))
    collector.after_records, collector.after_ticks = 4, 20
    collector.start()
    for at in range(10):
        rings[0].write(at)
    collector.drain()
    assert collector.triggered is not None
    assert collector.drain().triggered is not None
    assert collector.triggered.sequence == 6
    assert not collector._over()  # four records, but not twenty ticks
    rings[1].write(30)
    while not told:  # the collector's own thread sees that it is over
        pass
    for at in range(40, 50):
        rings[0].write(at)
    result = collector.stop(cut=True)  # the machine may be gone by now
    assert (result.records, result.cut, result.horizon) == ((10, 1), False, 30)
    assert result.triggered is not None
    assert result.triggered.kept == 5
    assert len(np.frombuffer(ring_file(tmp_path, 0).read_bytes(), dtype=DTYPE)) == 10


def _judged(run_folder: Path, arrays: list[Records], condition: str) -> Triggered | None:
    """Let the oracle look at records that a guest has made so far."""
    size = 1 << max(len(array) for array in arrays).bit_length()
    ram = memoryview(bytearray(ram_bytes(len(arrays), size)))
    for cpu, array in enumerate(arrays):
        ring = GuestRing(ram, cpu, size)
        for _ in array:
            ring.reserve()
        start = ring._records
        ram[start : start + array.nbytes] = array.tobytes()
        ring.release()
    readers = [RingReader(ram, ring_address(cpu), RING_LAYOUT, DTYPE) for cpu in range(len(arrays))]

    def meta(collected: Collected) -> TraceMeta:
        return make_meta(len(arrays), lost=collected.lost, horizon=collected.horizon)

    write_meta(run_folder, make_meta(len(arrays)))
    with Collector(run_folder, readers) as collector:
        rounds = OracleRounds(collector, run_folder, meta, parse_condition(condition))
        return rounds.look()


def test_the_oracle_on_what_there_is_so_far(tmp_path: Path) -> None:
    run = simulate(3, cpus=3, records=1500)
    half = run.rows[len(run.rows) // 2].time
    good = to_arrays([row for row in run.rows if row.time <= half], run.cpus)
    assert _judged(tmp_path / "good", good, "violation") is None
    rows = [row for row in run.rows if row.time <= half and row.event != "LockReleased"]
    broken = to_arrays(rows, run.cpus)
    found = _judged(tmp_path / "broken", broken, "violation")
    assert found is not None
    assert found.text.partition(":")[0] in ("SPIN-1", "SPIN-8", "INT-1", "SPIN-4", "SPIN-3", "SYN-3", "IRQL-4")
    assert _judged(tmp_path / "other", broken, "violation:TMR-3") is None
