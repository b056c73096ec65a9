# SPDX-License-Identifier: Apache-2.0
"""figure-16, small: every step and both orders, in both modes, also beside CPUs that have no part in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dirql.config import MachineConfig
from dirql.experiments.figure_16 import CLAUSES, FACTS, Figure16Parameters, run_figure_16
from dirql.experiments.runfolder import RunFolder
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
