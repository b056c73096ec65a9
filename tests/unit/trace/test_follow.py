# SPDX-License-Identifier: Apache-2.0
"""Reading a trace while it is recorded: what it vouches for, what is newest, and never a false alarm."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dirql.errors import UsageError
from dirql.trace.decode import Trace
from dirql.trace.folder import ring_file, trace_folder, write_meta
from dirql.trace.live.follow import Follower, newest_run
from dirql.trace.live.livefile import LiveFile, read_live
from dirql.trace.oracle import Status, judge
from tests.unit.trace.mutants import MUTANTS
from tests.unit.trace.synth import Run, make_meta, simulate, to_arrays

RUN = simulate(5, 3, 3000)
FAULTY = MUTANTS["isr_on_two_cpus"].apply(RUN, random.Random(1))


@dataclass
class Ring:
    """As much of a RingReader as the live file asks for."""

    last_time: int = 0
    pending: bool = False
    lost: int = 0


def begin(folder: Path, run: Run, counts: list[int]) -> list[np.ndarray[Any, Any]]:
    """Leave a folder as it is while a recording is under way: so many records of each CPU are in the files."""
    arrays = to_arrays(run.rows, run.cpus)
    write_meta(folder, make_meta(run.cpus, cut=True, lost=()))
    for cpu, (records, count) in enumerate(zip(arrays, counts, strict=True)):
        ring_file(folder, cpu).write_bytes(records[:count].tobytes() + b"torn"[: cpu % 4])
    return arrays


def vouch(folder: Path, horizon: int, lost: tuple[int, ...] = (0, 0, 0)) -> LiveFile:
    live = LiveFile(folder, len(lost))
    rings = [Ring(horizon, lost=each) for each in lost]
    live.passed(rings)  # type: ignore[arg-type]
    live.passed(rings)  # type: ignore[arg-type]
    return live


def test_a_recording_vouches_for_what_was_there_before_its_last_pass(tmp_path: Path) -> None:
    trace_folder(tmp_path).mkdir()
    assert read_live(tmp_path) is None
    live = LiveFile(tmp_path, 2)
    one, other = Ring(), Ring()

    def told() -> int:
        live.passed([one, other])  # type: ignore[list-item]
        found = read_live(tmp_path)
        assert found is not None
        assert found.alive
        assert found.pid == os.getpid()
        return found.horizon

    one.last_time = 100
    assert told() == 0, "a record of the other CPU from before 100 may have come after it was looked at"
    assert told() == 100
    one.last_time, other.last_time, other.pending = 200, 150, True
    assert told() == 100
    assert told() == 150, "the other CPU has a record in the making"
    other.pending = False
    assert told() == 200
    one.last_time, one.lost = 300, 7
    told()
    found = read_live(tmp_path)
    assert found is not None
    assert found.lost == (7, 0)
    live.close()
    live.close()
    assert read_live(tmp_path) is None


def test_whatever_lags_behind_there_is_no_false_alarm(tmp_path: Path) -> None:
    rng = random.Random(3)
    alarms = 0
    for number in range(12):
        moment = rng.randrange(RUN.rows[-1].time)
        arrays = to_arrays(RUN.rows, RUN.cpus)
        here = [int(np.searchsorted(records["Time"], moment)) for records in arrays]
        counts = [max(count - rng.randrange(60), 1) for count in here]
        folder = tmp_path / str(number)
        begin(folder, RUN, counts)
        horizon = min(int(records["Time"][count - 1]) for records, count in zip(arrays, counts, strict=True))
        naive = Trace([records[:count] for records, count in zip(arrays, counts, strict=True)], make_meta(3, cut=True))
        alarms += len(judge(naive).violations)
        unvouched = Follower(folder).judge()
        assert unvouched.verdict.violations == ()
        assert not unvouched.whole
        assert unvouched.verdict.status is Status.UNKNOWN
        live = vouch(folder, horizon)
        judged = Follower(folder).judge()
        assert judged.verdict.violations == ()
        assert judged.whole
        assert judged.until == horizon - RUN.rows[0].time
        live.close()
    assert alarms > 0, "these states would mislead who just judges the files"


def test_a_violation_is_found_while_it_is_recorded(tmp_path: Path) -> None:
    arrays = begin(tmp_path, FAULTY, [len(each) for each in to_arrays(FAULTY.rows, 3)])
    last = min(int(records["Time"][-1]) for records in arrays)
    live = vouch(tmp_path, last)
    judged = Follower(tmp_path).judge()
    assert "INT-1" in {each.clause for each in judged.verdict.violations}
    live.close()
    first = min(int(judged.trace.time[max(each.records)]) for each in judged.verdict.violations if each.records)
    live = vouch(tmp_path, first + RUN.rows[0].time - 1)
    assert Follower(tmp_path).judge().verdict.violations == (), "it lies beyond what is vouched for"
    live.close()


def test_of_a_lossy_recording_nothing_is_ok(tmp_path: Path) -> None:
    arrays = begin(tmp_path, RUN, [len(each) for each in to_arrays(RUN.rows, 3)])
    live = vouch(tmp_path, int(arrays[0]["Time"][-1]), lost=(0, 4, 0))
    judged = Follower(tmp_path).judge()
    assert judged.verdict.status is Status.UNKNOWN
    assert "CPU 1 lost 4 records" in judged.verdict["SPIN-1"].reason
    live.close()


def test_a_recording_that_has_ended_is_judged_as_it_is(tmp_path: Path) -> None:
    begin(tmp_path, RUN, [len(each) for each in to_arrays(RUN.rows, 3)])
    write_meta(tmp_path, make_meta(3, accounting=RUN.accounting))
    for cpu, records in enumerate(to_arrays(RUN.rows, 3)):
        ring_file(tmp_path, cpu).write_bytes(records.tobytes())
    judged = Follower(tmp_path).judge()
    assert judged.whole
    assert judged.verdict.to_json() == judge(RUN.trace()).to_json()


def test_the_newest_records_are_those_that_the_recording_vouches_for(tmp_path: Path) -> None:
    """Behind that a CPU whose file lags would seem to wait while the others go on."""
    arrays = begin(tmp_path, RUN, [400, 300, 200])
    horizon = min(int(records["Time"][count - 1]) for records, count in zip(arrays, [400, 300, 200], strict=True))
    unvouched = Follower(tmp_path).newest(500)
    assert int(unvouched.records["Time"].max()) > horizon
    live = vouch(tmp_path, horizon)
    vouched = Follower(tmp_path).newest(500)
    assert 0 < len(vouched) < len(unvouched)
    assert int(vouched.records["Time"].max()) <= horizon
    live.close()


def test_the_newest_records(tmp_path: Path) -> None:
    counts = [400, 300, 2]
    arrays = begin(tmp_path, RUN, counts)
    follower = Follower(tmp_path)
    assert follower.lengths(follower.meta()) == tuple(counts)
    trace = follower.newest(100)
    since = max(int(arrays[0]["Time"][300]), int(arrays[1]["Time"][200]))
    times = trace.time + trace.origin
    assert trace.origin == RUN.rows[0].time
    assert times[trace.cpu < 2].min() >= since
    assert trace.raw(2)["Sequence"].tolist() == [2], "a silent CPU has its last record all the same"
    assert trace.raw(0)["Sequence"][-1] == 400
    assert trace.lost == (0, 0, 0), "what is older is not lost"


def test_the_last_records_lie_in_two_files(tmp_path: Path) -> None:
    arrays = begin(tmp_path, RUN, [300, 300, 300])
    newer = ring_file(tmp_path, 0).with_name("cpu00.new.bin")
    newer.write_bytes(arrays[0][300:350].tobytes())
    follower = Follower(tmp_path)
    assert follower.lengths(follower.meta())[0] == 350
    assert follower.newest(10_000).raw(0)["Sequence"][-60:].tolist() == list(range(291, 351))


def test_folders_without_a_trace(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no trace"):
        Follower(tmp_path)
    with pytest.raises(UsageError, match="no folder below"):
        newest_run(tmp_path)
    for number, name in enumerate(("old", "new", "older")):
        write_meta(tmp_path / name, replace(make_meta(1)))
        os.utime(trace_folder(tmp_path / name) / "meta.json", (100, [20, 30, 10][number]))
    assert newest_run(tmp_path) == tmp_path / "new"
