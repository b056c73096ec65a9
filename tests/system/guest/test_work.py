# SPDX-License-Identifier: Apache-2.0
"""A driver is not unloaded under its work (WORK-3): what its DriverUnload still queued runs while it is there."""

from __future__ import annotations

import pytest

from dirql.machine import Machine
from tests.system.guest.support import TIMEOUT


@pytest.mark.parametrize("cpus", [1, 2])
def test_an_unload_waits_for_work_that_is_queued(cpus: int) -> None:
    with Machine(cpus=cpus, trace_mask=0) as machine:
        for _ in range(3):
            machine.load("latework.sys").unload()  # without the wait the routines would run in memory that is none
            for _ in range(2):
                machine.session.console.expect("latework: done", TIMEOUT)
