# SPDX-License-Identifier: Apache-2.0
"""`dirql top` beside a real machine: another reader of its folder while it is recorded, and a run of its own."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from dirql import Machine
from dirql.devices.ivshmem import DEVICE_ID, PEER_ID, VENDOR_ID, Doorbell
from dirql.recording import Recording
from dirql.report.sample import Said, Sample, look
from dirql.report.topview import View, picture
from dirql.trace.folder import read_meta
from dirql.trace.live.follow import Follower
from dirql.trace.live.livefile import read_live
from dirql.trace.oracle import judge

LIMIT = 60


def screen(sample: Sample) -> str:
    console = Console(file=io.StringIO(), width=150, height=40)
    with console.capture() as captured:
        console.print(picture(sample, View()))
    return captured.get()


def test_a_recording_is_followed_from_outside(tmp_path: Path) -> None:
    doorbell = Doorbell(vectors=2)
    doorbell.memory[:16] = b"doorbell" + PEER_ID.to_bytes(8, "little")
    with Machine(cpus=2, devices=[doorbell]) as machine:
        with Recording(machine, tmp_path) as recording:
            follower = Follower(tmp_path)
            machine.load("doorbell.sys", device=(VENDOR_ID, DEVICE_ID))
            before = look(follower, Said())
            for _ in range(100):
                doorbell.ring(0)
                doorbell.ring(1)
                machine.link.request("FlushDpcs")
            recording.synchronize()  # a request and its answer: whatever came before is on its way
            judged = follower.judge()
            during = look(follower, Said().and_then(judged))
        ended = look(follower, Said())
    assert (before.state, during.state, ended.state) == ("recording", "recording", "ended")
    assert before.records < during.records <= ended.records == len(recording.load())
    assert judged.whole
    assert judged.verdict.violations == ()
    assert during.lost == 0
    assert {cpu.lost for cpu in during.cpus} == {0}
    assert any("DoorbellIsr" in vector.name for vector in during.vectors)
    assert any("DoorbellDpc" in dpc.name for dpc in during.dpcs)
    text = screen(during)
    assert "recording" in text
    assert "DoorbellDpcForIsr" in text
    assert "so far: ok" in text
    assert not read_meta(tmp_path).cut
    assert read_live(tmp_path) is None
    assert judge(recording.load()).violations == ()


def test_top_starts_a_run_and_ends_it(tmp_path: Path) -> None:
    """On a terminal of its own: until the screen shows interrupts, then `q`."""
    master, slave = pty.openpty()
    command = ["top", "--every", "0.2", "run", "interrupt-storm", "--count", "1000000", "--cpus", "2", "--out", "storm"]
    with subprocess.Popen(
        [sys.executable, "-m", "dirql", *command], cwd=tmp_path, stdin=slave, stdout=slave, stderr=slave
    ) as top:
        os.close(slave)
        seen, deadline = "", time.monotonic() + LIMIT
        while "DoorbellIsr" not in seen and time.monotonic() < deadline:
            seen += os.read(master, 1 << 16).decode("utf-8", "replace")
        os.write(master, b"q")
        rest = ""
        while True:
            try:
                got = os.read(master, 1 << 16)
            except OSError:  # the terminal has nobody on its other side any more
                break
            rest += got.decode("utf-8", "replace")
            if not got:
                break
        assert top.wait(LIMIT) == 0
    os.close(master)
    assert "recording" in seen
    assert "DoorbellIsr" in seen
    assert "interrupted; nothing is left running" in rest
    assert read_live(tmp_path / "storm") is None
    assert read_meta(tmp_path / "storm").cut
