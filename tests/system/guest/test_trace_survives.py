# SPDX-License-Identifier: Apache-2.0
"""What was recorded is there whatever ends the machine or the harness, and what is missing is counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dirql.errors import GuestBugCheck, GuestTripleFault, MachineLost
from dirql.machine import Machine
from dirql.recording import Recording
from dirql.trace.folder import load, newer_ring_file
from dirql.trace.oracle import Status, judge
from tests.system.guest.support import TIMEOUT, press

if TYPE_CHECKING:
    from dirql.errors import DirqlError
    from dirql.trace.decode import Trace

CPUS = 2
ENOUGH = 20_000
"""Records after which the end comes: the storm is in full swing."""


def start_storm(machine: Machine, most: int = 0) -> int:
    """Have all CPUs write records, without end or so many each, and return the request's number at once."""
    driver = machine.load("bench_events.sys")
    loop = driver.variable("EventLoop")
    loop.set("Cpus", machine.cpus)
    loop.set("Ticks", 1 << 62)
    loop.set("Most", most)
    routine = driver.image.debug.function("RunEventLoop") - driver.image.link_base + driver.base
    return machine.link.post("Run", (routine, 0), TIMEOUT)


def _books_close(machine: Machine, trace: Trace) -> None:
    """Whatever a CPU has reserved or dropped is in the trace, or counted as lost."""
    for cpu in range(machine.cpus):
        ring = machine.memory.variable("TraceRing", "TRACE_RING", cpu)
        assert ring.get("Head") + ring.get("Lost") == len(trace.raw(cpu)) + trace.meta.lost[cpu]
        steps = np.diff(trace.raw(cpu)["Sequence"])
        assert (steps == 1).all() or sum(trace.lost)


def _end(machine: Machine, recording: Recording, end: str) -> None:
    if end == "killed":
        start_storm(machine)
        while recording.count < ENOUGH:
            machine.session.watch.check()
        os.kill(machine.session.process.pid, signal.SIGKILL)
    else:
        fault = machine.load("fault.sys")
        kinds = fault.image.debug.enumeration("FAULT_KIND")
        fault.variable("FaultOrder").set("Kind", kinds["FaultKindBugCheck" if end == "bugcheck" else "FaultKindTriple"])
        press(fault)
    machine.session.watch.wait(lambda: None, "the end", TIMEOUT)


@pytest.mark.parametrize("end", ["killed", "bugcheck", "triple fault"])
def test_the_rings_survive_the_machine(end: str, tmp_path: Path) -> None:
    errors: dict[str, type[DirqlError]] = {
        "killed": MachineLost,
        "bugcheck": GuestBugCheck,
        "triple fault": GuestTripleFault,
    }
    with Machine(cpus=CPUS) as machine:
        recording = Recording(machine, tmp_path)
        with pytest.raises(errors[end]), recording:
            _end(machine, recording, end)
        trace = recording.load()
        assert recording.cut
        assert trace.meta.cut
        _books_close(machine, trace)
    assert len(trace) > (ENOUGH if end == "killed" else 100)
    assert all(len(trace.raw(cpu)) for cpu in range(CPUS))
    assert judge(trace).status is Status.UNKNOWN or not sum(trace.lost)
    assert not judge(trace).violations
    assert any(
        name.startswith("thread ")
        for name in map(trace.symbols.name, map(int, trace.arg0[trace.where("ThreadSwitch")]))
    )


_CHILD = """
import sys
from pathlib import Path
from dirql.machine import Machine
from dirql.recording import Recording
from tests.system.guest.test_trace_survives import CPUS, ENOUGH, start_storm

last = int(sys.argv[2]) or None
with Machine(cpus=CPUS, overwrite=last is not None) as machine:
    with Recording(machine, Path(sys.argv[1]), last=last) as recording:
        start_storm(machine)
        while recording.count < (10 if last else 1) * ENOUGH:  # each CPU's files have changed places by then
            machine.session.watch.check()
        print("storm", flush=True)
        machine.session.watch.wait(lambda: None, "nothing", 60)
"""


@pytest.mark.parametrize("last", [0, 3000])
def test_the_files_survive_the_harness(last: int, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path), str(last)],
        stdout=subprocess.PIPE,
        cwd=root,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"storm\n"
        child.kill()
        child.wait()
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    assert last or not newer_ring_file(tmp_path, 0).exists()
    trace = load(tmp_path)
    assert trace.meta.cut
    assert "did not come to its end" in trace.meta.notes[0]
    for cpu in range(CPUS):
        assert (np.diff(trace.raw(cpu)["Sequence"]) == 1).all() or last
    if last:
        assert max(len(trace.raw(cpu)) for cpu in range(CPUS)) >= last
        assert sum(trace.lost) > 0  # nobody was left to say that they were let go
    else:
        assert len(trace) >= ENOUGH
    verdict = judge(trace)
    assert not verdict.violations
    assert all(clause.status is not Status.OK for clause in verdict.clauses)
    site = int(trace.arg1[trace.where("LockAcquired")[0]]) if len(trace.where("LockAcquired")) else None
    assert last or (site is not None and trace.symbols.line(site) is not None)
