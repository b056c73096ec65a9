# SPDX-License-Identifier: Apache-2.0
"""Traces as frames and as Parquet files."""

from __future__ import annotations

import io
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dirql.errors import UsageError
from dirql.trace.export import parquet
from dirql.trace.export.frame import SCHEMA
from dirql.trace.export.parquet import export_parquet, parquet_file, scan
from dirql.trace.folder import load, ring_file, write_meta, write_records
from dirql.trace.history.history import History
from dirql.trace.schema import EventTable
from dirql.trace.store import open_trace
from dirql.trace.window import Window
from tests.unit.trace.synth import Row, build, make_meta, simulate, tile

RUN = simulate(7, 3, 900)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with records of the same time on several CPUs."""
    folder = tmp_path_factory.mktemp("run")
    arrays = tile(RUN, 12)
    for records in arrays:
        records["Time"] //= np.uint64(64)
    lock = next(row for row in RUN.rows if row.event == "LockAcquired")
    symbols = ((lock.a0, 8, "driver!Lock"), (lock.a1, 16, "driver!Isr"))
    write_meta(folder, make_meta(3, symbols=symbols, lines=((lock.a1, "isr.c", 7), (lock.a1 + 16, "isr.c", 0))))
    write_records(folder, arrays)
    return folder


def test_pieces_in_a_row_are_the_whole(run: Path) -> None:
    whole, opened = load(run), open_trace(run)
    pieces = list(opened.chunks(700))
    assert len(pieces) > 10
    assert max(len(piece) for piece in pieces) < 2 * 700
    for name in ("time", "cpu", "event", "sequence", "arg1"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        assert (joined == getattr(whole, name)).all()
    assert all(piece.gaps == (0, 0, 0) for piece in pieces)
    window = Window(20_000, 45_000, cpus=frozenset((0, 2)))
    joined = np.concatenate([piece.sequence for piece in opened.chunks(300, window)])
    assert (joined == whole.sequence[window.select(whole)]).all()


def test_records_of_one_time_stay_together(tmp_path: Path) -> None:
    write_meta(tmp_path, make_meta(2))
    rows = [Row(10 + (at >= 50), at % 2, "Mark", 0, at) for at in range(100)]
    write_records(tmp_path, [np.asarray(build(rows, 2).raw(cpu)) for cpu in range(2)])
    assert [len(piece) for piece in open_trace(tmp_path).chunks(10)] == [50, 50]


def test_a_frame_has_the_records_and_their_names(run: Path) -> None:
    trace = load(run)
    frame = trace.frame()
    assert frame.schema == SCHEMA
    assert len(frame) == len(trace)
    for column, values in {
        "time_ns": trace.time,
        "cpu": trace.cpu,
        "sequence": trace.sequence,
        "irql": trace.irql,
        "argument0": trace.arg0,
        "argument1": trace.arg1,
    }.items():
        assert (frame[column].to_numpy() == values).all(), column
    assert frame["event"].to_list() == [trace.meta.events.name(number) for number in trace.event.tolist()]
    held = frame.filter(pl.col("object") == "driver!Lock", pl.col("event") == "LockAcquired")
    assert len(held) > 10
    assert held["site"].drop_nulls().is_in(["driver!Isr (isr.c:7)"]).any()
    assert frame.filter(pl.col("event") == "IdleEnter")["object"].null_count() == (frame["event"] == "IdleEnter").sum()


def test_a_frame_names_the_thread_that_has_the_cpu(run: Path) -> None:
    trace = load(run)
    threads = History(trace).threads
    wanted = threads.address[threads.number[np.arange(len(trace))]].tolist()
    found = trace.frame()["thread"].to_list()
    switches = trace.where("ThreadSwitch")
    first = {cpu: int(switches[trace.cpu[switches] == cpu][0]) for cpu in range(3)}
    known = [at for at in range(len(trace)) if at >= first[int(trace.cpu[at])]]
    assert len(known) > 1000
    assert [found[at] for at in known] == [wanted[at] for at in known]
    assert all(found[at] is None for at in range(len(trace)) if at < first[int(trace.cpu[at])])


def test_the_file_is_the_frame(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load(run).frame()
    path = tmp_path / "whole.parquet"
    monkeypatch.setattr(parquet, "CHUNK", 900)  # threads and names go from piece to piece
    assert export_parquet(run, path) == len(whole)
    assert pl.read_parquet(path).equals(whole)
    window = Window(5_000, 30_000, events=frozenset(("LockAcquired", "DpcStart")), irqls=range(2, 16))
    part = tmp_path / "part.parquet"
    count = export_parquet(run, part, window)
    chosen = whole.filter(
        pl.col("time_ns").is_between(5_000, 30_000, closed="left"),
        pl.col("event").cast(pl.String).is_in(["LockAcquired", "DpcStart"]),
        pl.col("irql") >= 2,
    )
    assert pl.read_parquet(part).drop("thread").equals(chosen.drop("thread"))
    assert count == len(chosen) > 50
    assert sorted(each.name for each in tmp_path.iterdir()) == ["part.parquet", "whole.parquet"]


def test_a_scan_for_a_stretch_of_time_reads_no_other(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages of all later row groups are spoiled: who reads them fails."""
    path = tmp_path / "trace.parquet"
    monkeypatch.setattr(parquet, "ROW_GROUP", 1000)
    monkeypatch.setattr(parquet, "CHUNK", 1000)
    export_parquet(run, path)
    whole = pl.read_parquet(path)
    early = pl.col("time_ns") < int(whole["time_ns"][900])
    data = bytearray(path.read_bytes())
    footer = int.from_bytes(data[-8:-4], "little") + 8
    middle = len(data) // 2
    data[middle:-footer] = b"\xa5" * (len(data) - footer - middle)
    path.write_bytes(data)
    assert pl.scan_parquet(path).filter(early).collect().equals(whole.filter(early))
    with pytest.raises((pl.exceptions.PolarsError, OSError)):
        pl.scan_parquet(path).collect()


def test_what_is_no_file_stays_what_it_is(run: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    export_parquet(run, pipe)
    reader.join()
    assert pipe.is_fifo()
    assert pl.read_parquet(io.BytesIO(read[0])).equals(load(run).frame())


def test_a_file_that_cannot_be_written_leaves_nothing(run: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="folder"):
        export_parquet(run, tmp_path / "no" / "folder" / "x.parquet")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="full"):
        export_parquet(run, Path("/dev/full"))
    assert Path("/dev/full").is_char_device()


def test_scan_writes_the_file_when_it_is_missing_or_old(run: Path) -> None:
    assert not parquet_file(run).exists()
    counts = scan(run).group_by("event").len().collect()
    assert dict(counts.iter_rows()) == dict(load(run).frame()["event"].value_counts().iter_rows())
    written = parquet_file(run).stat().st_mtime_ns
    scan(run)
    assert parquet_file(run).stat().st_mtime_ns == written
    os.utime(ring_file(run, 1), ns=(written + 1, written + 1))
    scan(run)
    assert parquet_file(run).stat().st_mtime_ns != written


def test_an_empty_trace(tmp_path: Path) -> None:
    write_meta(tmp_path, make_meta(2))
    assert scan(tmp_path).collect().shape == (0, len(SCHEMA))
    assert load(tmp_path).frame().schema == SCHEMA
    with pytest.raises(UsageError, match="no trace"):
        scan(tmp_path / "none")


def test_an_event_that_this_host_does_not_know() -> None:
    trace = build([Row(1, 0, "Mark", 0), Row(2, 0, "Mark", 0)], 1)
    numbers = {name: number for name, number in trace.meta.events.numbers.items() if name != "Mark"}
    trace.meta = replace(trace.meta, events=EventTable(numbers))
    assert trace.frame()["event"].to_list() == [f"event {int(trace.event[0])}"] * 2
