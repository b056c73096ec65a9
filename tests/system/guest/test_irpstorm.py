# SPDX-License-Identifier: Apache-2.0
"""IRPs from four CPUs with random cancels and interrupts: each is completed exactly once (IRP-3, IRP-8)."""

from __future__ import annotations

from typing import Literal

import pytest
from bench.irps import DRIVER, Storm, run_storm

from dirql.config import MachineConfig
from dirql.machine import Machine

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
