# SPDX-License-Identifier: Apache-2.0
"""Interrupts leave the SSE state of what they interrupt alone, whatever ISRs and DPCs do with their own."""

from __future__ import annotations

import pytest

from dirql.machine import Machine
from dirql.qemu.command import Mode
from tests.system.guest.support import press, released

VECTOR = 0x5F


@pytest.mark.parametrize(("mode", "dpcs", "vectors"), [("mt", 1500, 2000), ("icount", 20, 0)])
def test_xmm_state_survives_interrupts(mode: Mode, dpcs: int, vectors: int) -> None:
    with Machine(cpus=2, mode=mode, clock_100ns=10_000, trace_mask=0) as machine:
        driver = machine.load("xmm.sys")
        test = driver.variable("XmmTest")
        test.set("DpcsWanted", dpcs)
        sequence = press(driver)
        for _ in range(vectors):  # each is pending when this returns; some merge with the one before
            machine.inject.vector(0, VECTOR)
        released(driver, sequence)
        assert test.get("Mismatches") == 0
        assert test.get("WrongMxCsr") == 0
        assert test.get("DpcsRun") == dpcs
        assert test.get("Rounds") > 0
        assert (test.get("IsrsRun") > 1) == (vectors > 0)
        driver.unload()
