# SPDX-License-Identifier: Apache-2.0
"""figure-16, isr-count and up-vs-smp, small: what they promise of their results holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dirql.config import MachineConfig
from dirql.devices.ivshmem import Doorbell
from dirql.errors import DirqlError, RequestError
from dirql.experiments.figure_16 import CLAUSES, FACTS, Figure16Parameters, run_figure_16
from dirql.experiments.isr_count import CURES, DEVICE, IsrCountParameters, NaiveLine, run_isr_count
from dirql.experiments.runfolder import RunFolder
from dirql.experiments.up_vs_smp import MODES, OVERLAPS, UpVsSmpParameters, run_up_vs_smp
from dirql.machine import Machine
from dirql.qemu.command import Mode

ISR, START, DPC = (0, "ISR"), (1, "AccessDevice for StartIo"), (2, "AccessDevice for DpcForIsr")


@pytest.mark.parametrize(("mode", "cpus"), [("mt", 3), ("icount", 3), ("icount", 5)])
def test_figure_16_is_proven_step_by_step_in_both_orders(mode: Mode, cpus: int, tmp_path: Path) -> None:
    config = MachineConfig(cpus=cpus, mode=mode)
    result = run_figure_16(config, Figure16Parameters(rounds=2), RunFolder("figure", tmp_path / "run"))
    assert result.passed
    assert set(result.proven) == {(order, name) for name, _, _, orders in FACTS for order in orders}
    assert set(result.proven.values()) == {2}
    assert result.owners == ((ISR, START, DPC), (ISR, START, ISR, DPC))
    assert result.clauses == dict.fromkeys(CLAUSES, "ok")
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == json.loads(json.dumps(result.to_json()))


def test_one_cpu_does_nothing_beside_anything_and_several_do(tmp_path: Path) -> None:
    parameters = UpVsSmpParameters(cpus=(1, 3), requests=120)
    result = run_up_vs_smp(MachineConfig(), parameters, RunFolder("up", tmp_path / "run"))
    assert result.passed
    points = {(point.mode, point.cpus): point for point in result.points}
    assert set(points) == {(mode, cpus) for mode in MODES for cpus in (1, 3)}
    for (mode, cpus), point in points.items():
        assert point.requests == point.traced == point.interrupts == 120
        assert point.wrong == 0
        assert point.latency.count == 120
        assert (point.instructions is None) == (mode == "mt")
        assert set(point.calls.values()) == {120}
        if cpus == 1:
            assert not any(point.overlaps.values())
            assert point.nested == 120  # the only CPU is in StartIo when its device interrupts
    assert all(points["icount", 3].overlaps[name] > 0 for name in OVERLAPS)  # virtual time: the same in every run
    assert points["icount", 3].nested < 120


@pytest.mark.parametrize("mode", MODES)
def test_the_naive_driver_forgets_what_the_cures_remember(mode: Mode, tmp_path: Path) -> None:
    parameters = IsrCountParameters(cpus=(1, 3), modes=(mode,), rounds=10)
    result = run_isr_count(MachineConfig(), parameters, RunFolder("count", tmp_path / "run"))
    assert result.passed
    rows = {(row.cpus, row.cure, row.at_once): row for row in result.rows}
    assert set(rows) == {(cpus, cure, at_once) for cpus in (1, 3) for cure in range(len(CURES)) for at_once in (1, 8)}
    for (_, cure, at_once), row in rows.items():
        assert row.operations == row.interrupts == 80
        assert row.wrong == 0
        if cure or at_once == 1:  # each DPC runs before the next interrupt: then the naive driver is right
            assert row.lost == 0
    if mode == "icount":  # all eight are pending when the guest goes on: seven are written over on one CPU
        assert rows[1, 0, 8].lost == 70
        assert 0 < rows[3, 0, 8].lost < 70
        again = run_isr_count(MachineConfig(), parameters, RunFolder("count", tmp_path / "again"))
        assert [replace(row, seconds=0) for row in again.rows] == [replace(row, seconds=0) for row in result.rows]


def test_naive_sys_refuses_what_it_cannot_do() -> None:
    doorbell = Doorbell(vectors=2, memory_bytes=1 << 16)
    with Machine(MachineConfig(cpus=2, mode="icount"), devices=[doorbell]) as machine:
        with pytest.raises(DirqlError, match="STATUS_INVALID_PARAMETER"):
            machine.load("naive.sys", parameters={"Cure": 3})
        line = NaiveLine(machine, doorbell, 0)
        with line.driver.open(DEVICE) as handle:
            waiting = handle.read_async(8, offset=1)
            for size, offset, status in (
                (8, 1, "DEVICE_BUSY"),
                (7, 0, "BUFFER_TOO_SMALL"),
                (8, 2, "INVALID_PARAMETER"),
            ):
                with pytest.raises(RequestError, match=f"STATUS_{status}"):
                    handle.read(size, offset=offset)
            waiting.cancel()
            with pytest.raises(RequestError, match="STATUS_CANCELLED"):
                waiting.result()
            left = handle.read_async(8, offset=0)
        with pytest.raises(RequestError, match="STATUS_CANCELLED"):
            left.result()
        line.release()
