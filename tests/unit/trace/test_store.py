# SPDX-License-Identifier: Apache-2.0
"""Stored traces: parts of them are what the whole has there, and a long one is opened without being read."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dirql.errors import UsageError
from dirql.trace.decode import Trace
from dirql.trace.folder import load, ring_file, write_meta, write_records
from dirql.trace.history.history import History
from dirql.trace.oracle import Status, judge
from dirql.trace.quiet import QuietStart
from dirql.trace.schema import Records
from dirql.trace.store import open_trace
from dirql.trace.window import Window
from tests.unit.trace.synth import Row, make_meta, simulate, tile, to_arrays

RUN = simulate(5, 3, 900)
REPORT = """
import resource, sys
from pathlib import Path
from dirql.trace.store import open_trace
from dirql.trace.window import Window
import dirql.trace.decode

def touched():
    rows = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return int(rows["Rss"].split()[0]) * 1024

before = touched()
stored = open_trace(Path(sys.argv[1]))
length, last = len(stored), stored.duration_ns
middle = int(last) // 20 * 10
trace = stored.trace(Window(middle, middle + 20_000))
print(length, len(trace), int(trace.time[0]) - middle, touched() - before)
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose stamps are disordered as those of interrupted events are."""
    folder = tmp_path_factory.mktemp("run")
    arrays = tile(RUN, 40)
    for records in arrays:
        late = np.arange(50, len(records) - 20, 97)
        records["Time"][late] = records["Time"][late + 9]
    write_meta(folder, make_meta(3, accounting=RUN.accounting, horizon=int(max(a["Time"].max() for a in arrays)) - 500))
    write_records(folder, arrays)
    return folder


def rows(trace: Trace, index: np.ndarray) -> list[tuple[int, ...]]:
    return list(
        zip(*(column[index].tolist() for column in (trace.time, trace.cpu, trace.event, trace.arg0)), strict=True)
    )


def test_length_and_span_are_those_of_the_whole(stored: Path) -> None:
    opened, whole = open_trace(stored), load(stored)
    assert opened.lengths == tuple(len(whole.on_cpu(cpu)) for cpu in range(3))
    assert len(opened) == len(whole) > 20_000
    assert opened.origin == whole.origin
    assert opened.duration_ns == whole.ns(whole.time[[-1]])[0]


@pytest.mark.parametrize(
    "window",
    [
        Window(100_000, 130_001),
        Window(0, 50_000),
        Window(1_000_000),
        Window(200_000, 260_000, cpus=frozenset((1,))),
        Window(200_000, 300_000, events=frozenset(("LockAcquired", "LockReleased"))),
        Window(irqls=range(3, 16)),
        Window(77_777, 77_777),
    ],
)
def test_a_part_is_what_the_whole_has_there(stored: Path, window: Window) -> None:
    whole = load(stored)
    part = load(stored, window)
    index = window.select(whole)
    assert rows(part, np.arange(len(part))) == rows(whole, index)
    assert (part.records == whole.records[index]).all()
    assert part.gaps == (0, 0, 0)
    assert part.excerpt is not None


def test_all_of_it_is_no_part(stored: Path) -> None:
    assert load(stored, Window(0, 1 << 60)).excerpt is None
    assert load(stored, Window()).excerpt is None


def test_a_part_counts_what_is_missing_in_it_alone(tmp_path: Path) -> None:
    records = np.delete(tile(RUN, 10)[0], [100, 101, 400, 1500])
    write_meta(tmp_path, make_meta(1))
    write_records(tmp_path, [records])
    assert load(tmp_path).gaps == (4,)
    times = (records["Time"] - records["Time"][0]).astype(np.int64)
    assert load(tmp_path, Window(int(times[200]), int(times[1200]))).gaps == (1,)
    assert load(tmp_path, Window(int(times[397]) + 1)).gaps == (2,)


def test_a_part_is_never_ok_and_knows_no_quiet_start(stored: Path, tmp_path: Path) -> None:
    arrays = to_arrays(RUN.rows, 3)
    write_meta(tmp_path, make_meta(3, quiet=QuietStart(), accounting=RUN.accounting))
    write_records(tmp_path, arrays)
    assert judge(load(tmp_path)).status is Status.OK
    part = load(tmp_path, Window(2000))
    assert part.meta.quiet is None
    verdict = judge(part, history=History(part))
    assert {each.status for each in verdict.clauses} == {Status.UNKNOWN}
    assert "only a part" in verdict["SPIN-1"].reason
    locks = load(stored, Window(events=frozenset(("LockAcquired", "LockReleased"))))
    assert not locks.recorded("IsrEnter")
    assert locks.recorded("LockAcquired")


def test_torn_and_missing_files(tmp_path: Path) -> None:
    write_meta(tmp_path, make_meta(3))
    write_records(tmp_path, to_arrays(RUN.rows, 3))
    whole = len(load(tmp_path))
    with ring_file(tmp_path, 2).open("ab") as file:
        file.write(b"torn")
    ring_file(tmp_path, 0).unlink()
    opened = open_trace(tmp_path)
    assert opened.meta.cut
    assert opened.lengths[0] == 0
    assert 0 < len(opened) == len(opened.trace()) < whole
    ring_file(tmp_path, 1).write_bytes(b"")
    ring_file(tmp_path, 2).write_bytes(b"")
    assert (len(load(tmp_path)), len(load(tmp_path, Window(5, 9)))) == (0, 0)
    with pytest.raises(UsageError, match="no CPU 3"):
        load(tmp_path, Window(cpus=frozenset((3,))))


def test_an_open_trace_survives_that_its_files_are_written_anew(tmp_path: Path) -> None:
    arrays = tile(RUN, 100)
    write_meta(tmp_path, make_meta(3))
    write_records(tmp_path, arrays)
    assert ring_file(tmp_path, 0).stat().st_size > 1 << 20  # mapped, not read
    trace = load(tmp_path)
    write_records(tmp_path, [records[:1] for records in arrays])
    assert (trace.raw(0) == arrays[0]).all()
    assert len(load(tmp_path)) == 3


def test_a_long_trace_is_opened_without_being_read(tmp_path: Path) -> None:
    """What the process has touched grows by a small part of the files, all of which are in the page cache."""
    row = to_arrays([Row(0, 0, "Mark", 0)], 1)[0]
    write_meta(tmp_path, make_meta(2))
    for cpu in range(2):
        records: Records = np.repeat(row, 4_000_000)
        records["Time"] = np.arange(len(records)) * 10 + cpu
        records["Sequence"] = np.arange(1, len(records) + 1)
        records["Cpu"] = cpu
        ring_file(tmp_path, cpu).write_bytes(records.data)
    size = sum(ring_file(tmp_path, cpu).stat().st_size for cpu in range(2))
    done = subprocess.run([sys.executable, "-c", REPORT, str(tmp_path)], check=True, capture_output=True, text=True)
    length, part, first, grown = (int(each) for each in done.stdout.split())
    assert (length, part, first) == (8_000_000, 4000, 0)
    assert grown < size / 16


def test_fewer_records_than_a_block(tmp_path: Path) -> None:
    made = [Row(10 * at, 0, "Mark", 0, at) for at in range(5)]
    write_meta(tmp_path, replace(make_meta(1), horizon=35))
    write_records(tmp_path, to_arrays(made, 1))
    assert open_trace(tmp_path).lengths == (4,)
    assert load(tmp_path, Window(10, 30)).arg0.tolist() == [1, 2]
