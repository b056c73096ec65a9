# SPDX-License-Identifier: Apache-2.0
"""The DPC watchdog from outside: what the host is told, and where the DPC was that took too long."""

from __future__ import annotations

import pytest

from dirql.errors import GuestBugCheck
from dirql.machine import Machine
from dirql.target.cases import read_cases
from dirql.target.suite import built_images


def test_the_bugcheck_names_the_routine_that_took_too_long() -> None:
    image = next(path for path in built_images() if path.name == "dpc_watchdog.sys")
    case = next(case for case in read_cases(image) if case.name == "a_dpc_that_takes_too_long")
    with Machine(cpus=1, clock_100ns=10_000, dpc_watchdog_ticks=20, on_bugcheck="pause") as machine:
        driver = machine.load(image)
        with pytest.raises(GuestBugCheck, match="DPC_WATCHDOG_VIOLATION") as caught:
            machine.run(driver.base + case.routine, what="a DPC that never returns")
    assert caught.value.code == 0x133
    assert caught.value.parameters == (0, 21, 20, 0)
    assert "NeverReturn" in str(caught.value)
