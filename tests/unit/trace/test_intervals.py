# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dirql.trace.export.scene_locks import lanes
from dirql.trace.export.slices import Kind, cpu_slices
from dirql.trace.history.history import History
from dirql.trace.history.intervals import contexts, pair
from dirql.trace.oracle.exclusion import overlaps
from dirql.trace.stats.summary import Percentiles, statistics
from tests.unit.trace.mutants import MUTANTS
from tests.unit.trace.synth import Row, build, simulate

RUNS = [simulate(seed, 1 + seed % 4, 500) for seed in range(6)]


def by_stack(rows: tuple[Row, ...], cpu: int, enter: str, leave: str) -> list[tuple[int, int]]:
    """Pair as a reader would: an end belongs to the latest beginning that has none."""
    stack, found = [], []
    for at, row in enumerate(rows):
        if row.cpu == cpu and row.event == enter:
            stack.append(at)
        elif row.cpu == cpu and row.event == leave:
            found.append((stack.pop(), at))
    return sorted(found)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("kind", [("InterruptEnter", "InterruptExit"), ("IsrEnter", "IsrExit"), ("DpcStart", "DpcEnd")])
def test_pairs_are_those_of_a_stack(run: object, kind: tuple[str, str]) -> None:
    from tests.unit.trace.synth import Run

    assert isinstance(run, Run)
    spans = History(run.trace()).interrupts if kind[0] == "InterruptEnter" else pair(run.trace(), *kind)
    for cpu in range(run.cpus):
        mine = spans.cpu == cpu
        found = list(zip(spans.start[mine].tolist(), spans.end[mine].tolist(), strict=True))
        assert found == by_stack(run.rows, cpu, *kind)


def test_truncated_intervals_are_open_not_guessed() -> None:
    rows = [
        Row(1, 0, "IsrExit", 5, 64),
        Row(2, 0, "IsrEnter", 5, 64),
        Row(3, 0, "IsrEnter", 5, 64),
        Row(4, 0, "IsrExit", 5, 64),
        Row(5, 0, "IsrExit", 5, 64),
        Row(6, 0, "IsrEnter", 5, 64),
    ]
    spans = pair(build(rows, 1), "IsrEnter", "IsrExit")
    assert (spans.start.tolist(), spans.end.tolist()) == ([2], [3])
    assert spans.inherited.tolist() == [0]
    assert spans.unended.tolist() == [1]
    assert spans.unstarted.tolist() == [4]
    assert spans.running.tolist() == [5]


@pytest.mark.parametrize("run", RUNS)
def test_contexts_are_those_of_a_stack(run: object) -> None:
    from tests.unit.trace.synth import Run

    assert isinstance(run, Run)
    history = History(run.trace())
    found = contexts(history.trace, history.frames, history.dpcs)
    stacks: list[list[int]] = [[] for _ in range(run.cpus)]
    last: dict[tuple[int, int], int] = {}
    for at, row in enumerate(run.rows):
        opens = row.event == "DpcStart" or (row.event == "InterruptEnter" and row.a0 >> 4 & 0xF > 2)
        closes = row.event == "DpcEnd" or (row.event == "InterruptExit" and row.a0 >> 4 & 0xF > 2)
        stack = stacks[row.cpu]
        if opens:
            assert found.parent(np.array([at]))[0] == (stack[-1] if stack else -1)
            stack.append(at)
        here = stack[-1] if stack else -1
        assert found.opener[at] == here
        assert found.depth[at] == len(stack)
        assert found.previous[at] == last.get((row.cpu, here), -1)
        last[row.cpu, here] = at
        if closes:
            stack.pop()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 12)), max_size=12), st.integers(0, 3))
def test_overlaps_are_found(intervals: list[tuple[int, int, int]], skew: int) -> None:
    group, begin, length = (np.array([row[k] for row in intervals], dtype=np.int64) for k in range(3))
    end = begin + length
    earlier, later = overlaps(group, begin, end, skew)
    for one, other in zip(earlier, later, strict=True):
        assert group[one] == group[other]
        assert begin[one] <= begin[other] < end[one] - skew
    order = np.lexsort((end, begin, group))
    late = {
        int(b)
        for at, b in enumerate(order)
        if any(group[a] == group[b] and begin[b] < end[a] - skew for a in order[:at])
    }
    assert set(later.tolist()) == late


def nest(slices: list[tuple[int, int]]) -> None:
    stack: list[int] = []
    for begin, end in slices:
        while stack and stack[-1] <= begin:
            stack.pop()
        assert not stack or end <= stack[-1]
        stack.append(end)


@pytest.mark.parametrize("name", [None, "never_left", "left_in_wrong_order", "dpc_ends_elsewhere", "isr_on_two_cpus"])
def test_slices_nest_even_on_faulty_traces(name: str | None) -> None:
    import random

    for seed in range(5):
        run = simulate(seed, 3, 4000, threads=name is None)
        if name is not None:
            run = MUTANTS[name].apply(run, random.Random(seed))
        slices = cpu_slices(History(run.trace()))
        for cpu in range(3):
            mine = np.flatnonzero(slices.cpu == cpu)
            nest(list(zip(slices.record[mine].tolist(), slices.last[mine].tolist(), strict=True)))


def test_slices_tell_idle_from_thread() -> None:
    rows = [
        Row(0, 0, "Mark", 0),
        Row(10, 0, "IdleEnter", 0),
        Row(20, 0, "InterruptEnter", 5, 0x51),
        Row(21, 0, "IdleExit", 5),
        Row(30, 0, "InterruptExit", 0, 0x51),
        Row(31, 0, "IdleEnter", 0),
        Row(50, 0, "InterruptEnter", 5, 0x51),
        Row(60, 0, "InterruptExit", 0, 0x51),
        Row(70, 0, "Mark", 0),
        Row(90, 0, "Mark", 0),
    ]
    slices = cpu_slices(History(build(rows, 1)))
    shown = list(zip(slices.kind.tolist(), slices.begin.tolist(), slices.end.tolist(), strict=True))
    assert shown == [
        (Kind.THREAD, 0, 10),
        (Kind.IDLE, 10, 70),
        (Kind.INTERRUPT, 20, 30),
        (Kind.INTERRUPT, 50, 60),
        (Kind.THREAD, 70, 90),
    ]
    assert slices.open.tolist() == [False, False, False, False, True]


def test_crossing_lock_holds_get_lanes_of_their_own() -> None:
    cpu = np.zeros(4, dtype=np.uint8)
    begin, end = np.array([0, 2, 3, 20]), np.array([10, 12, 5, 30])
    assert lanes(cpu, begin, end).tolist() == [0, 1, 0, 0]


def test_statistics() -> None:
    rows = [
        Row(0, 0, "IrqlRaise", 2, 0 | 2 << 8),
        Row(100, 0, "IrqlLower", 2, 2 | 0 << 8),
        Row(200, 0, "IdleEnter", 0),
        Row(600, 0, "InterruptEnter", 5, 0x51),
        Row(620, 0, "LockWait", 5, 64),
        Row(640, 0, "LockAcquired", 5, 64),
        Row(650, 0, "IsrEnter", 5, 96),
        Row(660, 0, "DpcInsert", 15, 128, 1 | 0xFF << 8),
        Row(700, 0, "IsrExit", 5, 96, 1),
        Row(710, 0, "LockReleased", 5, 64),
        Row(800, 0, "InterruptExit", 0, 0x51),
        Row(810, 0, "InterruptEnter", 2, 0x2F),
        Row(860, 0, "DpcStart", 2, 128),
        Row(900, 0, "DpcEnd", 2, 128),
        Row(1000, 0, "InterruptExit", 0, 0x2F),
    ]
    stats = statistics(History(build(rows, 1)))
    cpu = stats.cpus[0]
    assert (stats.records, stats.duration) == (15, 1000.0)
    assert cpu.interrupts == {0x2F: 1, 0x51: 1}
    assert (cpu.isr.total, cpu.dpc.total, cpu.contended, cpu.halted) == (50.0, 40.0, 1, 0.4)
    assert cpu.irql_share[2] == pytest.approx(0.1 + 0.19)
    assert cpu.irql_share[5] == pytest.approx(0.2)
    assert cpu.irql_share[15] == 0.0
    assert sum(cpu.irql_share) == pytest.approx(1.0)
    single = {name: times.maximum for name, times in stats.latencies.items()}
    assert single == {"isr_enter": 50.0, "dpc_latency": 200.0, "lock_wait": 20.0, "lock_hold": 70.0}
    assert stats.to_json()["cpus"][0]["interrupts"] == {"0x2f": 1, "0x51": 1}


def test_statistics_of_threads() -> None:
    rows = [
        Row(0, 0, "ThreadCreate", 2, 0x7000, 0x99),
        Row(10, 0, "ThreadReady", 2, 0x7000, 8 << 8),
        Row(100, 0, "ThreadSwitch", 2, 0x7000, 1 | 0 << 8 | 8 << 16),
        Row(300, 0, "WaitBegin", 2, 0x8000, 1 | 1 << 8),
        Row(310, 0, "ThreadSwitch", 2, 0x6000, 4 | 8 << 8 | 0 << 16),
        Row(500, 0, "Signal", 2, 0x8000, 1 | 1 << 32),
        Row(510, 0, "ThreadReady", 2, 0x7000, 9 << 8),
        Row(530, 0, "ThreadSwitch", 2, 0x7000, 1 | 0 << 8 | 9 << 16),
        Row(600, 0, "WaitEnd", 2, 0x8000, 0),
    ]
    idle, worker = statistics(History(build(rows, 1))).threads
    assert (worker.name, worker.priorities, worker.cpus, worker.switches) == ("0x99 (7000)", (8, 9), (0,), 2)
    assert (worker.running, worker.ready, worker.longest, worker.waiting) == (280.0, 110.0, 90.0, 200.0)
    assert (idle.name, idle.priorities, idle.running) == ("0x6000", (0, 0), 100.0 + 220.0)


def test_statistics_of_nothing() -> None:
    stats = statistics(History(build([], 2)))
    assert (stats.records, stats.duration, stats.cpus[1].records) == (0, 0.0, 0)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=50))
def test_percentiles_are_values_of_the_data(data: list[float]) -> None:
    found = Percentiles.of(data)
    assert found.count == len(data)
    ordered = [found.minimum, found.median, found.p90, found.p99, found.p999, found.maximum]
    assert ordered == sorted(ordered)
    assert set(ordered) <= set(data)
    assert (found.minimum, found.maximum) == (min(data), max(data))
    assert sum(value <= found.p90 for value in data) >= 0.9 * len(data)
