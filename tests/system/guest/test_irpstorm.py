# SPDX-License-Identifier: Apache-2.0
"""IRPs from four CPUs with random cancels and interrupts: each is completed exactly once (IRP-3, IRP-8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from bench.irps import DRIVER, Storm, run_storm

from dirql.config import MachineConfig
from dirql.machine import Machine
from dirql.recording import Recording
from dirql.trace.oracle import Status, judge

if TYPE_CHECKING:
    from pathlib import Path

IRPS = 20_000
"""In two storms."""


@pytest.mark.parametrize("mode", ["mt", "icount"])
def test_each_is_completed_once(mode: Literal["mt", "icount"]) -> None:
    with Machine(MachineConfig(cpus=4, mode=mode, trace_mask=0)) as machine:
        driver = machine.load(DRIVER)
        for deferred in (True, False):
            figures = run_storm(driver, Storm(IRPS // 2, seed=7, deferred=deferred))
            assert figures.once == IRPS // 2
            assert 0 < figures.cancelled < figures.once
            assert 0 < figures.cancel_calls <= figures.cancels
            assert figures.interrupts > 0
            assert figures.started > 0
        driver.unload()


def test_the_oracle_finds_nothing_to_say(tmp_path: Path) -> None:
    config = MachineConfig(cpus=4, mode="icount", trace_records=1 << 16)
    with Machine(config, folder=tmp_path) as machine:
        driver = machine.load(DRIVER)
        with Recording(machine, tmp_path) as recording:
            run_storm(driver, Storm(600, seed=3))
        trace = recording.load()
    assert not sum(trace.lost)
    verdict = judge(trace)
    assert verdict.status is not Status.VIOLATED, verdict
    for clause in ("IRP-3", "IRP-8", "SPIN-1", "SPIN-17"):
        assert verdict[clause].status is Status.OK, clause
