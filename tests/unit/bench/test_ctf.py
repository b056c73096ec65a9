# SPDX-License-Identifier: Apache-2.0
"""The CTF trace that other tools are measured on has the same events; babeltrace2, where it is, says so itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bench.ctf import write_ctf

from dirql.trace.decode import Trace
from tests.unit.trace.synth import make_meta, simulate, tile

RUN = simulate(3, 2, 700)


@pytest.fixture
def trace() -> Trace:
    arrays = tile(RUN, 14)
    arrays[0]["Time"][50] += np.uint64(5000)  # as the stamp of an event that was interrupted
    return Trace(arrays, make_meta(2))


def test_streams_are_packets_of_the_raw_records(trace: Trace, tmp_path: Path) -> None:
    assert write_ctf(trace, tmp_path) == len(trace) > 2 * 4096
    for cpu in range(2):
        data = (tmp_path / f"cpu{cpu}").read_bytes()
        records = b""
        before = 0
        while data:
            magic, stream = np.frombuffer(data, dtype="<u4", count=2)
            begin, end, content, size, number = np.frombuffer(data, dtype="<u8", count=5, offset=8)
            assert (int(magic), int(stream), int(number)) == (0xC1FC1FC1, 0, cpu)
            assert before <= begin <= end
            assert content == size
            before = int(end)
            records += data[48 : int(size) // 8]
            data = data[int(size) // 8 :]
        read = np.frombuffer(records, dtype=trace.meta.dtype)
        assert (np.diff(read["Time"].astype(np.int64)) >= 0).all()
        assert (read["Argument1"] == trace.raw(cpu)["Argument1"]).all()
        assert (read["Event"] == trace.raw(cpu)["Event"]).all()


@pytest.mark.skipif(shutil.which("babeltrace2") is None, reason="babeltrace2 is not installed")
def test_babeltrace2_reads_them(trace: Trace, tmp_path: Path) -> None:
    write_ctf(trace, tmp_path)
    text = subprocess.run(
        ["babeltrace2", "--log-level=E", "--clock-cycles", str(tmp_path)], check=True, capture_output=True, text=True
    ).stdout
    lines = re.findall(
        r"^\[0*(\d+)\].*? (\w+): \{ cpu_id = (\d) \}, \{ cpu = \d, irql = (\d+) \}, .*argument1 = 0x(\w+)", text, re.M
    )
    assert len(lines) == len(trace)
    origin = trace.origin
    assert [int(line[0]) - origin for line in lines] == trace.time.tolist()
    told = sorted((line[1], int(line[2]), int(line[3]), int(line[4], 16)) for line in lines)
    name = trace.meta.events.name
    columns = zip(trace.event.tolist(), trace.cpu.tolist(), trace.irql.tolist(), trace.arg1.tolist(), strict=True)
    assert told == sorted((name(event), cpu, irql, argument) for event, cpu, irql, argument in columns)
