# SPDX-License-Identifier: Apache-2.0
"""A machine's recording: event classes on and off, stopped by what it was told to stop on, the last records alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from dirql.machine import Machine
from dirql.recording import Recording
from dirql.trace.events import EVENT_CLASSES
from dirql.trace.oracle import Status, judge
from tests.system.guest.support import TIMEOUT
from tests.system.guest.test_trace_survives import start_storm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HELD = "target_run_more_than_25_microseconds_goes_on"


@pytest.fixture
def machine() -> Iterator[Machine]:
    """One CPU in virtual time: the same records in every run."""
    with Machine(cpus=1, mode="icount") as machine:
        yield machine


def test_classes_are_switched_while_the_machine_runs(machine: Machine, tmp_path: Path) -> None:
    with Recording(machine, tmp_path, classes=("irql", "locks", "threads", "waits")) as recording:
        machine.load("seed003.sys")
        recording.disable("locks")
        machine.link.request("Ping")
        machine.load("doorbell.sys")
        recording.enable("locks", "DpcStart")
        machine.load("fault.sys")
    trace = recording.load()
    masks = trace.where("MaskSet")
    off = next(at for at in masks if not int(trace.arg0[at]) >> trace.meta.events["LockAcquired"] & 1)
    on = next(at for at in masks if at > off and int(trace.arg0[at]) >> trace.meta.events["LockAcquired"] & 1)
    locks = trace.where(*EVENT_CLASSES["locks"])
    assert len(locks[locks < off])
    assert len(locks[locks > on])
    assert not len(locks[(locks > off) & (locks < on)])
    raises = trace.where("IrqlRaise")
    assert len(raises[(raises > off) & (raises < on)])
    assert (trace.recorded("IrqlRaise"), trace.recorded("LockAcquired"), trace.recorded("DpcStart")) == (
        True,
        False,
        False,
    )
    verdict = judge(trace)
    assert not verdict.violations
    assert verdict["IRQL-3"].status is Status.OK
    assert "not recorded all the time" in verdict["SPIN-1"].reason


def test_a_hold_that_is_too_long_ends_the_recording(machine: Machine, tmp_path: Path) -> None:
    with Recording(machine, tmp_path, stop_on=("hold>25us",), after="20") as recording:
        driver = machine.load("seed003.sys")
        for _ in range(3):
            driver.run(_HELD)
        found = recording.wait_stopped(TIMEOUT)
        assert found is not None
    trace = recording.load()
    assert recording.triggered == trace.meta.triggered
    assert recording.triggered is not None
    assert recording.triggered.text.startswith("LockReleased seed003!Guard by seed003!LeaveGuard")
    at = recording.triggered.index(trace)
    assert at is not None
    taken = trace.where("LockAcquired")
    begin = taken[(trace.arg0[taken] == trace.arg0[at]) & (taken < at)][-1]
    assert float(trace.ns(trace.time[[at]] - trace.time[[begin]])[0]) > 25_000
    assert recording.triggered.kept == len(trace) - at - 1 == 20
    assert not recording.cut
    assert judge(trace)["SPIN-1"].status is Status.OK  # all of it was recorded, up to where it ends


def test_a_machine_that_is_held_ends_the_block(tmp_path: Path) -> None:
    with Machine(cpus=2) as machine:
        with Recording(machine, tmp_path, stop_on=("address:bench_events!RunEventLoop",), then="hold") as recording:
            machine.link.wait_reply(start_storm(machine), "the storm, which has no end", TIMEOUT)
            pytest.fail("the machine goes on")
        assert machine.session.qmp.execute("query-status")["status"] == "paused"
    assert recording.triggered is not None
    assert "RunEventLoop" in recording.triggered.text
    assert not recording.cut


def test_the_first_violation_ends_the_recording(tmp_path: Path) -> None:
    with (
        Machine(cpus=1, mode="icount", verifier=False) as machine,
        Recording(machine, tmp_path, stop_on=("violation",)) as recording,
    ):
        with machine.load("abba.sys").open(r"\\.\abba") as handle:
            for _ in range(20):
                handle.read(8)
        found = recording.wait_stopped(TIMEOUT)
    assert found is not None
    assert found.text.startswith("SPIN-9")
    trace = recording.load()
    at = found.index(trace)
    assert at is not None
    assert trace.meta.triggered == recording.triggered
    assert judge(trace)["SPIN-9"].status is Status.VIOLATED


def test_the_last_records_of_a_long_run(tmp_path: Path) -> None:
    last = 500
    with Machine(cpus=2, overwrite=True, trace_records=4096) as machine:
        with Recording(machine, tmp_path, last=last) as recording:
            machine.link.wait_reply(start_storm(machine, 20_000), "the storm to end", TIMEOUT)
        heads = [machine.memory.variable("TraceRing", "TRACE_RING", cpu).get("Head") for cpu in range(2)]
    trace = recording.load()
    for cpu in range(2):
        records = trace.raw(cpu)
        assert len(records) == last
        assert (np.diff(records["Sequence"]) == 1).all() or trace.lost[cpu]
        assert int(records["Sequence"][-1]) == heads[cpu] & 0xFFFF_FFFF
        assert trace.let_go[cpu] + trace.lost[cpu] + len(records) == heads[cpu]
    verdict = judge(trace)
    assert not verdict.violations
    assert all(clause.status is Status.UNKNOWN for clause in verdict.clauses)


def test_every_record_that_a_flood_loses_is_counted(tmp_path: Path) -> None:
    most = 20_000
    with (
        Machine(cpus=4, trace_records=64) as machine,
        Recording(machine, tmp_path, classes=("marks",)) as recording,
    ):
        before = [machine.memory.variable("TraceRing", "TRACE_RING", cpu).get("Lost") for cpu in range(4)]
        machine.link.wait_reply(start_storm(machine, most), "the storm to end", TIMEOUT)
    trace = recording.load()
    assert sum(trace.lost) > sum(before)
    for cpu in range(4):
        marks = int(np.count_nonzero(trace.raw(cpu)["Event"] == trace.meta.events["Mark"]))
        assert marks + trace.lost[cpu] - before[cpu] in range(most, most + 3)  # a MaskSet may be lost too
    assert all(clause.status is not Status.OK for clause in judge(trace).clauses)
