# SPDX-License-Identifier: Apache-2.0
"""Numbers of locks, DPCs and interrupts: of small traces known in full, and of long ones against a plain count."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from dirql.trace.history.history import History
from dirql.trace.stats.flows import Flow, matrix
from dirql.trace.stats.part import Part
from dirql.trace.stats.summary import TraceStats, statistics
from tests.unit.trace.synth import Row, build, simulate

LOCK, OTHER = 0xFFFF_8000_0000_1000, 0xFFFF_8000_0000_2000
ONE, TWO, ISR = 0xA0, 0xB0, 0xC0
SYMBOLS = ((LOCK, 8, "lab!Lock"), (ONE, 8, "lab!One"), (TWO, 8, "lab!Two"), (ISR, 8, "lab!Isr"))


@pytest.fixture(scope="module")
def busy() -> History:
    return History(simulate(7, 4, 6000).trace())


@pytest.fixture(scope="module")
def numbers(busy: History) -> TraceStats:
    return statistics(busy)


def contended() -> list[Row]:
    """CPU 0 holds; 1 and then 2 wait; 2 enters first, then 0 again without waiting, then 1."""
    return [
        Row(0, 0, "LockAcquired", 2, LOCK, ONE),
        Row(8, 1, "Mark", 2),
        Row(10, 1, "LockWait", 2, LOCK, TWO),
        Row(15, 2, "Mark", 2),
        Row(20, 2, "LockWait", 2, LOCK, TWO),
        Row(100, 0, "LockReleased", 2, LOCK, ONE),
        Row(110, 2, "LockAcquired", 2, LOCK, TWO),
        Row(150, 2, "LockReleased", 2, LOCK, TWO),
        Row(160, 0, "LockAcquired", 2, LOCK, ONE),
        Row(200, 0, "LockReleased", 2, LOCK, ONE),
        Row(210, 1, "LockAcquired", 2, LOCK, TWO),
        Row(230, 1, "LockReleased", 2, LOCK, TWO),
        Row(300, 1, "LockAcquired", 2, OTHER, ONE),
        Row(310, 1, "LockReleased", 2, OTHER, ONE),
    ]


def test_lock_statistics() -> None:
    first, second = statistics(History(build(contended(), 3, symbols=SYMBOLS))).locks
    assert (first.lock, first.name, first.kind) == (LOCK, "lab!Lock", "spin")
    assert (first.acquisitions, first.contended, first.waiting) == (4, 2, 0)
    assert (first.wait.count, first.wait.total, first.wait.maximum) == (2, 290.0, 200.0)
    assert (first.hold.count, first.hold.total, first.hold.maximum) == (4, 200.0, 100.0)
    assert (first.bypasses, first.most_bypassed) == (2, 2)
    assert first.owners == (2, 1, 1)
    assert first.handoffs == (Flow(0, 1, 1), Flow(0, 2, 1), Flow(2, 0, 1))
    assert matrix(first.handoffs, 3) == [[0, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert [(each.caller, each.acquisitions, each.contended) for each in first.callers] == [(ONE, 2, 0), (TWO, 2, 2)]
    assert first.callers[0].hold.total == 140.0
    assert (second.lock, second.name) == (OTHER, f"lock of lab!One ({OTHER & 0xFFFF_FFFF:x})")
    assert (second.acquisitions, second.contended, second.bypasses) == (1, 0, 0)


def test_a_waiter_that_never_enters_is_overtaken_too() -> None:
    lock = statistics(History(build(contended()[:10], 3))).locks[0]
    assert (lock.acquisitions, lock.contended, lock.waiting) == (3, 2, 1)
    assert (lock.bypasses, lock.most_bypassed) == (2, 2)


def test_who_may_have_asked_first_does_not_bypass() -> None:
    """CPU 2 does not wait: its last record before says that it may have asked before CPU 1 did."""
    rows = [
        Row(0, 0, "LockAcquired", 2, LOCK, ONE),
        Row(5, 2, "Mark", 2),
        Row(10, 1, "LockWait", 2, LOCK, TWO),
        Row(100, 0, "LockReleased", 2, LOCK, ONE),
        Row(110, 2, "LockAcquired", 2, LOCK, TWO),
        Row(150, 2, "LockReleased", 2, LOCK, TWO),
        Row(210, 1, "LockAcquired", 2, LOCK, TWO),
    ]
    assert statistics(History(build(rows, 3))).locks[0].bypasses == 0
    rows[1] = rows[1].but(time=15)
    assert statistics(History(build(sorted(rows, key=lambda row: row.time), 3))).locks[0].bypasses == 1


def test_kinds_of_locks() -> None:
    rows = [
        Row(0, 0, "LockAcquired", 2, LOCK, ONE),
        Row(5, 1, "LockWait", 2, LOCK, ONE),
        Row(6, 1, "LockQueued", 2, LOCK, 1 << 32 | 0),
        Row(10, 0, "LockSharedAcquired", 2, OTHER, ONE),
        Row(15, 0, "LockSharedReleased", 2, OTHER, ONE),
        Row(20, 0, "LockReleased", 2, LOCK, ONE),
        Row(25, 1, "LockAcquired", 2, LOCK, ONE),
    ]
    kinds = {lock.lock: lock for lock in statistics(History(build(rows, 2))).locks}
    assert (kinds[LOCK].kind, kinds[OTHER].kind) == ("in-stack queued", "reader/writer")
    assert (kinds[OTHER].shared, kinds[OTHER].shared_hold.total, kinds[OTHER].acquisitions) == (1, 5.0, 0)


def fight(seed: int, steps: int, cpus: int) -> tuple[list[Row], Counter[int]]:
    """CPUs fight for a lock that whoever comes next may have; counts how often each was overtaken in a wait."""
    rng = random.Random(seed)
    rows: list[Row] = []
    asked: dict[int, int] = {}
    waits: dict[int, int] = {}
    holder = -1
    overtaken: Counter[int] = Counter()
    for time in range(0, steps * 10, 10):
        cpu = rng.randrange(cpus)
        if cpu == holder:
            rows.append(Row(time, cpu, "LockReleased", 2, LOCK, ONE))
            holder = -1
        elif cpu not in asked:
            rows.append(Row(time, cpu, "Mark", 2))
            asked[cpu] = time
        elif holder < 0:
            rows.append(Row(time, cpu, "LockAcquired", 2, LOCK, ONE))
            holder, since = cpu, asked.pop(cpu)
            waits.pop(cpu, None)
            overtaken.update(other for other, begin in waits.items() if begin < since)
        elif cpu not in waits:
            rows.append(Row(time, cpu, "LockWait", 2, LOCK, ONE))
            waits[cpu] = time
    return rows, overtaken


def test_bypasses_are_counted_as_they_happen() -> None:
    rows, overtaken = fight(seed=2, steps=3000, cpus=4)
    (lock,) = statistics(History(build(rows, 4))).locks
    assert lock.bypasses == sum(overtaken.values()) > 100
    assert lock.most_bypassed > 3
    taken = [row.cpu for row in rows if row.event == "LockAcquired"]
    assert lock.owners == tuple(taken.count(cpu) for cpu in range(4))
    pairs = Counter(pairwise(taken))
    assert {(flow.source, flow.target): flow.count for flow in lock.handoffs} == dict(pairs)


def test_owners_of_a_long_trace(busy: History, numbers: TraceStats) -> None:
    trace = busy.trace
    index = trace.where("LockAcquired")
    owners = Counter(zip(trace.arg0[index].tolist(), trace.cpu[index].tolist(), strict=True))
    for each in numbers.locks:
        assert each.owners == tuple(owners[each.lock, cpu] for cpu in range(trace.cpus))
        assert sum(flow.count for flow in each.handoffs) == max(each.acquisitions - 1, 0)


def test_dpc_statistics() -> None:
    rows = [
        Row(0, 0, "DpcInsert", 15, LOCK, 1 | 1 << 8),
        Row(5, 0, "DpcInsert", 15, LOCK, 0 | 1 << 8),
        Row(40, 1, "DpcStart", 2, LOCK, TWO),
        Row(90, 1, "DpcEnd", 2, LOCK, TWO),
        Row(95, 0, "DpcInsert", 15, OTHER, 1 | 0xFF << 8),
        Row(96, 0, "DpcRemove", 15, OTHER, 1),
        Row(97, 0, "DpcInsert", 15, OTHER, 1 | 0xFF << 8),
    ]
    first, second = statistics(History(build(rows, 2, symbols=SYMBOLS))).dpcs
    assert (first.dpc, first.name, first.routine, first.threaded) == (LOCK, "lab!Two", TWO, False)
    assert (first.queued, first.refused, first.runs, first.removed, first.pending) == (1, 1, 1, 0, False)
    assert (first.latency.maximum, first.time.maximum) == (40.0, 50.0)
    assert first.flows == (Flow(0, 1, 1),)
    assert (second.queued, second.runs, second.removed, second.pending) == (2, 0, 1, True)


def test_dpcs_of_a_long_trace(busy: History, numbers: TraceStats) -> None:
    trace = busy.trace
    started = Counter(trace.arg0[trace.where("DpcStart", "ThreadedDpcStart")].tolist())
    assert {each.dpc: each.runs for each in numbers.dpcs if each.runs} == dict(started)
    assert all(sum(flow.count for flow in each.flows) == each.latency.count for each in numbers.dpcs)
    assert sum(each.latency.count for each in numbers.dpcs) == numbers.dpc_latency.count > 100


def test_vector_statistics() -> None:
    rows = [
        Row(0, 0, "InterruptEnter", 5, 0x51),
        Row(20, 0, "IsrEnter", 5, OTHER, ISR),
        Row(30, 0, "InterruptEnter", 13, 0xD1 | 5 << 8),
        Row(40, 0, "InterruptExit", 5, 0xD1 | 5 << 8),
        Row(70, 0, "IsrExit", 5, OTHER, 1),
        Row(80, 0, "InterruptExit", 0, 0x51),
        Row(85, 0, "IpiSend", 0, 0xE1, 1),
        Row(90, 1, "InterruptEnter", 14, 0xE1),
        Row(95, 1, "InterruptExit", 0, 0xE1),
        Row(97, 1, "InterruptEnter", 6, 0x61),
        Row(98, 1, "UnexpectedInterrupt", 6, 0x61),
        Row(99, 1, "InterruptExit", 0, 0x61),
    ]
    found = {each.vector: each for each in statistics(History(build(rows, 2, symbols=SYMBOLS))).vectors}
    assert list(found) == [0x51, 0x61, 0xD1, 0xE1]
    device = found[0x51]
    assert (device.what, device.name, device.irql, device.cpus, device.routines) == (
        "device",
        "lab!Isr",
        5,
        (1, 0),
        (ISR,),
    )
    assert (device.claimed, device.unclaimed, device.nested) == (1, 0, 0)
    assert (device.entry.maximum, device.isr.maximum, device.time.maximum) == (20.0, 50.0, 80.0)
    assert (found[0xD1].what, found[0xD1].nested) == ("clock", 1)
    assert (found[0xE1].what, found[0xE1].sent, found[0xE1].cpus) == ("IPI", 1, (0, 1))
    assert found[0x61].unexpected == 1


def test_parts_add_up(busy: History, numbers: TraceStats) -> None:
    """What began in one of two halves, on one of two sets of CPUs, is counted once."""
    trace = busy.trace
    middle = float(trace.ns(trace.time[-1:])[0]) // 2
    stretches = ((None, middle - 0.5), (middle + 0.5, None))
    quarters = [
        statistics(busy, Part.of(trace, each[0], each[1], cpus)) for each in stretches for cpus in ((0, 2), (1, 3))
    ]
    assert sum(each.records for each in quarters) == numbers.records
    assert sum(each.lock_hold.count for each in quarters) == numbers.lock_hold.count
    assert sum(lock.acquisitions for each in quarters for lock in each.locks) == sum(
        lock.acquisitions for lock in numbers.locks
    )
    assert sum(vector.count for each in quarters for vector in each.vectors) == sum(
        vector.count for vector in numbers.vectors
    )
    assert [cpu.cpu for cpu in quarters[1].cpus] == [1, 3]
    for each in quarters:
        assert all(sum(cpu.irql_share) == pytest.approx(1.0) for cpu in each.cpus)
        assert 0 < each.records < numbers.records


def test_a_part_cuts_times_in_a_state() -> None:
    rows = [Row(0, 0, "IrqlRaise", 2, 0 | 2 << 8), Row(100, 0, "IrqlLower", 2, 2 | 0 << 8), Row(200, 0, "Mark", 0)]
    trace = build(rows, 1)
    cpu = statistics(History(trace), Part.of(trace, 60.0, 160.0)).cpus[0]
    assert cpu.records == 1
    assert cpu.irql_share[2] == pytest.approx(0.4)
    assert cpu.irql_share[0] == pytest.approx(0.6)


def test_all_numbers_are_plain_data(numbers: TraceStats) -> None:
    import json

    data = json.loads(json.dumps(numbers.to_json()))
    assert data["locks"][0] == json.loads(json.dumps(numbers.locks[0].to_json()))
    assert data["vectors"][0]["cpus"] == list(numbers.vectors[0].cpus)
    assert data["cpus"][0]["events"]["InterruptEnter"] == sum(numbers.cpus[0].interrupts.values())
