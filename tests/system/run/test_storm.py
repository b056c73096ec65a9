# SPDX-License-Identifier: Apache-2.0
"""The main job on real machines: everything accounted for, judged, repeatable, and kept when the machine is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from dirql.config import MachineConfig
from dirql.errors import MachineLost, UsageError
from dirql.experiments.interrupt_storm import REQUIRED, StormResult, run_storm
from dirql.experiments.runfolder import RunFolder
from dirql.experiments.storm import StormParameters
from dirql.machine import Machine
from dirql.qemu.command import Mode
from dirql.qemu.process import QemuProcess
from dirql.trace.folder import load, read_meta
from dirql.trace.oracle import Status, judge


def storm(folder: Path, parameters: StormParameters, **options: object) -> StormResult:
    config = MachineConfig(**options)  # type: ignore[arg-type]
    return run_storm(config, parameters, RunFolder("storm", folder))


@pytest.mark.parametrize(
    ("cpus", "mode"), [(1, "mt"), (2, "mt"), (4, "mt"), (8, "mt"), (1, "icount"), (4, "icount"), (8, "icount")]
)
def test_every_interrupt_is_accounted_for_and_no_rule_is_broken(cpus: int, mode: Mode, tmp_path: Path) -> None:
    result = storm(tmp_path / "run", StormParameters(count=400, seed=3), cpus=cpus, mode=mode)
    assert result.counts["sent"] == result.counts["acknowledged"] == 400
    assert result.counts["isr"] + result.counts["merged"] == 400
    assert 0 < result.counts["dpc"] <= 400
    assert result.counts["lost"] == 0
    assert [clause for clause in REQUIRED if result.verdict[clause].status is not Status.OK] == []
    assert result.passed
    assert result.latencies["host_to_isr"].count == 400
    assert result.latencies["host_to_isr"].minimum > 0


def test_the_interrupts_reach_every_cpu_even_with_fewer_vectors(tmp_path: Path) -> None:
    result = storm(tmp_path / "run", StormParameters(count=320, vectors=2), cpus=8)
    assert [cpu.isr.count > 0 for cpu in result.stats.cpus] == [True] * 8
    assert result.passed


def test_the_stock_bios_gives_the_same(tmp_path: Path) -> None:
    assert storm(tmp_path / "run", StormParameters(count=200), boot="bios").passed


def test_a_wide_window_merges_and_loses_nothing(tmp_path: Path) -> None:
    result = storm(tmp_path / "run", StormParameters(count=2000, vectors=2, window=64), cpus=2)
    assert result.counts["merged"] > 0
    assert result.counts["isr"] + result.counts["merged"] == 2000
    assert result.passed


def test_the_same_seed_gives_the_same_trace_under_icount(tmp_path: Path) -> None:
    parameters = StormParameters(count=300, seed=11)
    first = storm(tmp_path / "1", parameters, mode="icount").history.trace
    second = storm(tmp_path / "2", parameters, mode="icount").history.trace
    other = storm(tmp_path / "3", StormParameters(count=300, seed=12), mode="icount").history.trace
    for column in ("time", "cpu", "event", "irql", "arg0", "arg1"):
        assert np.array_equal(getattr(first, column), getattr(second, column)), column
    for cpu in range(4):
        name = f"trace/cpu{cpu:02}.bin"
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert not np.array_equal(first.time, other.time)


def test_placement_on_the_current_cpu_keeps_dpcs_where_they_were_queued(tmp_path: Path) -> None:
    result = storm(tmp_path / "run", StormParameters(count=300, seed=5), dpc_placement="current")
    trace = result.history.trace
    insert, start = result.history.dpc_runs.runs(trace)
    objects, times = np.unique(trace.arg0[insert], return_counts=True)
    own = trace.arg0[insert] == objects[np.argmax(times)]  # the driver's; the others end the storm
    assert np.count_nonzero(own) == result.counts["dpc"]
    assert np.array_equal(trace.cpu[insert[own]], trace.cpu[start[own]])
    assert result.passed


def test_a_qemu_that_is_killed_leaves_its_trace_marked_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[QemuProcess] = []
    start = QemuProcess.__init__

    def remember(process: QemuProcess, *args: object, **kwargs: object) -> None:
        start(process, *args, **kwargs)  # type: ignore[arg-type]
        started.append(process)

    monkeypatch.setattr(QemuProcess, "__init__", remember)

    def kill(done: int, total: int) -> None:
        if done > total // 2:
            os.kill(started[0].pid, signal.SIGKILL)

    config, folder = MachineConfig(), RunFolder("storm", tmp_path / "run")
    with pytest.raises(MachineLost, match="SIGKILL"):
        run_storm(config, StormParameters(count=2000), folder, kill)
    assert read_meta(folder.path).cut
    trace = load(folder.path)
    assert len(trace.where("IsrEnter")) > 500
    verdict = judge(trace)
    assert verdict.status is not Status.VIOLATED
    assert verdict["INT-ACCOUNT"].status is Status.UNKNOWN


def test_two_runs_at_once_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Machine(cpus=2) as other:
        assert storm(tmp_path / "run", StormParameters(count=100), cpus=2).passed
        assert other.link.request("Ping")[0] > 0
    monkeypatch.chdir(tmp_path)
    assert len({RunFolder("same").path.name for _ in range(3)}) == 3


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        RunFolder("storm", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written.*--out"):
        RunFolder("storm", tmp_path / "file" / "run")
