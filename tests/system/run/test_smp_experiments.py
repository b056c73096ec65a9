# SPDX-License-Identifier: Apache-2.0
"""figure-16 and up-vs-smp, small: what they promise of their results holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dirql.config import MachineConfig
from dirql.experiments.figure_16 import CLAUSES, FACTS, Figure16Parameters, run_figure_16
from dirql.experiments.runfolder import RunFolder
from dirql.experiments.up_vs_smp import MODES, OVERLAPS, UpVsSmpParameters, run_up_vs_smp
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
