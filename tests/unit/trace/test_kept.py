# SPDX-License-Identifier: Apache-2.0
"""The last records of each CPU, event classes left out: nothing is claimed of what the trace does not have."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dirql.trace.decode import Trace
from dirql.trace.events import ALWAYS, EVENT_CLASSES, mask_of
from dirql.trace.folder import load, newer_ring_file, ring_file, write_meta
from dirql.trace.live.collect import Collector, RingReader
from dirql.trace.live.ringfile import LastRecordsFile
from dirql.trace.oracle import Status, judge
from tests.unit.trace.header import RING_LAYOUT, events_of_header
from tests.unit.trace.ring import DTYPE, GuestRing, check, ram_bytes, ring_address
from tests.unit.trace.rows import build, make_meta, to_arrays
from tests.unit.trace.synth import simulate

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.trace.schema import Records
    from tests.unit.trace.rows import Run

_RUN = simulate(7, cpus=3, records=4000)


def _numbered(first: int, count: int) -> Records:
    records = np.zeros(count, dtype=DTYPE)
    records["Sequence"] = np.arange(first + 1, first + count + 1)
    records["Time"] = records["Sequence"]
    return records


@pytest.mark.parametrize("closed", [True, False])
@settings(max_examples=30, deadline=None)
@given(limit=st.integers(1, 40), parts=st.lists(st.integers(1, 50), max_size=12))
def test_the_last_records_are_kept_and_the_others_counted(
    tmp_path_factory: pytest.TempPathFactory, closed: bool, limit: int, parts: list[int]
) -> None:
    run = tmp_path_factory.mktemp("last")
    (run / "trace").mkdir()
    write_meta(run, make_meta(1))
    file, total = LastRecordsFile(run, 0, limit), 0
    for count in parts:
        file.write(_numbered(total, count))
        total += count
    if closed:  # otherwise as a killed harness leaves it
        file.close()
        assert file.kept == min(limit, total)
        assert not newer_ring_file(run, 0).exists()
    trace = load(run)
    assert len(trace) == file.kept
    assert file.kept + file.let_go == total
    assert file.kept >= min(limit, total)
    assert file.kept <= 2 * (limit + max(parts, default=0))
    assert trace.sequence.tolist() == list(range(total - file.kept + 1, total + 1))


def test_a_collector_of_the_last_records(tmp_path: Path) -> None:
    ram = memoryview(bytearray(ram_bytes(2, 32)))
    rings = [GuestRing(ram, cpu, 32, overwrite=True) for cpu in range(2)]
    readers = [RingReader(ram, ring_address(cpu), RING_LAYOUT, DTYPE, overwrite=True) for cpu in range(2)]
    with Collector(tmp_path, readers, last=10) as collector:
        for at in range(100):
            rings[0].write(at)
            if at % 5 == 4:
                collector.drain()
        for at in range(50):  # more than the ring holds: some are overwritten before anybody comes
            rings[1].write(at)
    result = collector.stop()
    assert result.records == (10, 10)
    assert [sum(each) for each in zip(result.records, result.lost, result.let_go, strict=True)] == [100, 50]
    assert result.let_go[0] == 90
    for cpu, last in ((0, 99), (1, 49)):
        records = np.frombuffer(ring_file(tmp_path, cpu).read_bytes(), dtype=DTYPE)
        check(records)
        assert records["Time"].tolist() == list(range(last - 9, last + 1))
    write_meta(tmp_path, make_meta(2, lost=result.lost, let_go=result.let_go))
    trace = load(tmp_path)
    assert (trace.lost, trace.let_go) == (result.lost, result.let_go)


@pytest.mark.parametrize("last", [30, 200, 700])
def test_the_oracle_claims_nothing_of_what_was_let_go(last: int) -> None:
    arrays = to_arrays(_RUN.rows, _RUN.cpus)
    gone = tuple(max(0, len(array) - last) for array in arrays)
    assert any(gone)
    meta = replace(_RUN.trace().meta, let_go=gone, lost=(0,) * _RUN.cpus)
    verdict = judge(Trace([array[-last:] for array in arrays], meta))
    assert {clause.status for clause in verdict.clauses} == {Status.UNKNOWN}
    assert any("let go" in clause.reason for clause in verdict.clauses)


def test_the_oracle_judges_what_the_last_records_prove() -> None:
    """KeRaiseIrql to a lower level: a violation by its own record, whatever came before."""
    at = max(at for at, row in enumerate(_RUN.rows) if row.event == "IrqlRaise")
    rows = [*_RUN.rows[:at], _RUN.rows[at].but(a0=5 | 2 << 8), *_RUN.rows[at + 1 :]]
    arrays = [array[-200:] for array in to_arrays(rows, _RUN.cpus)]
    verdict = judge(Trace(arrays, replace(_RUN.trace().meta, let_go=tuple(int(a["Sequence"][0]) - 1 for a in arrays))))
    assert verdict["IRQL-3"].status is Status.VIOLATED


@pytest.mark.parametrize("name", sorted(set(EVENT_CLASSES) - {ALWAYS}))
def test_a_class_that_is_not_recorded_breaks_nothing(name: str) -> None:
    rows = [row for row in _RUN.rows if row.event not in EVENT_CLASSES[name]]
    mask = ~mask_of(events_of_header(), [name]) & (1 << 128) - 1
    verdict = judge(build(rows, _RUN.cpus, accounting=_RUN.accounting, mask=mask))
    assert [clause for clause in verdict.clauses if clause.status is Status.VIOLATED] == []


_SWITCHED = [(name, _RUN, 0.3, 0.6) for name in sorted(set(EVENT_CLASSES) - {ALWAYS})]
_MISLEADING = ("irql", simulate(53, cpus=3, records=1500), 0.5, 0.8)
"""A raised IRQL whose lowering is not there, and a thread switch that may take place below DISPATCH_LEVEL only."""


@pytest.mark.parametrize(("name", "run", "begin", "end"), [*_SWITCHED, _MISLEADING])
def test_a_class_that_is_switched_off_for_a_while_breaks_nothing(name: str, run: Run, begin: float, end: float) -> None:
    first, last = (run.rows[int(len(run.rows) * part)] for part in (begin, end))
    without = ~mask_of(events_of_header(), [name]) & (1 << 128) - 1
    rows = [row for row in run.rows if row.event not in EVENT_CLASSES[name] or not first.time <= row.time <= last.time]
    rows.append(first.but(event="MaskSet", cpu=0, a0=without & (1 << 64) - 1, a1=without >> 64))
    rows.sort(key=lambda row: row.time)
    trace = build(rows, run.cpus, accounting=run.accounting)
    assert not trace.recorded(EVENT_CLASSES[name][0])
    assert [clause for clause in judge(trace).clauses if clause.status is Status.VIOLATED] == []
