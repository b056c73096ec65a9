# SPDX-License-Identifier: Apache-2.0
"""What requests from Python leave in the trace: no broken rule, and in virtual time always the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dirql import Machine, ctl_code
from dirql.recording import Recording
from dirql.trace.oracle import Status, judge

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.trace.decode import Trace

REQUESTS = 120


def record(mode: str, folder: Path) -> Trace:
    """Record a driver's life: requests that end in every way, from all CPUs at all levels, some of them cancelled."""
    folder.mkdir()
    echo, dpc, work, hold = (ctl_code(0x22, 0x800 + at) for at in (0, 2, 4, 5))
    with Machine(cpus=4, mode=mode) as machine:
        with Recording(machine, folder) as recording:
            driver = machine.load("ioecho.sys")
            with driver.open(r"\\.\IoEcho") as handle:
                ending = [
                    handle.ioctl_async((echo, dpc, work)[at % 3], b"hi", 2, cpu=at % 4, irql=at % 3)
                    for at in range(REQUESTS)
                ]
                kept = [handle.ioctl_async(hold, cpu=cpu) for cpu in range(4)]
                assert {future.result() for future in ending} == {bytes([0x97, 0x96])}
                while not all(future.ended for future in kept):
                    handle.cancel()
                    assert kept[-1].wait()
            driver.unload()
        return recording.load()


@pytest.mark.parametrize("mode", ["mt", "icount"])
def test_requests_break_no_rule(mode: str, tmp_path: Path) -> None:
    verdict = judge(record(mode, tmp_path / "run"))
    assert verdict.violations == ()
    for clause in ("IRP-8", "IRP-CALL", "SPIN-17"):
        assert verdict[clause].status is Status.OK, clause
        assert verdict[clause].judged >= REQUESTS, clause


def test_in_virtual_time_the_same_requests_give_the_same_trace(tmp_path: Path) -> None:
    one, other = (record("icount", tmp_path / name) for name in ("one", "other"))
    assert len(one.time) == len(other.time) > 1000
    for column in ("time", "cpu", "event", "irql", "arg0", "arg1"):
        assert (getattr(one, column) == getattr(other, column)).all(), column
