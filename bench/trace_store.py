# SPDX-License-Identifier: Apache-2.0
"""How fast a stored trace is decoded, merged, exported and summarised: all of one recorded storm."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.ctf import write_ctf
from bench.figures import Figure, Goal, GoalKind, Row, interleaved
from bench.plan import CPUS, MODE_ICOUNT
from dirql.errors import ProtocolError
from dirql.trace.export.perfetto import write_perfetto
from dirql.trace.folder import load
from dirql.trace.history.history import History
from dirql.trace.percpu import count_gaps

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.plan import Plan
    from dirql.trace.decode import Trace

ROUNDS = 9
"""Of each measurement; those that take long have a third of them. With three of these, 21 in all."""
_INTERRUPTS = 6
"""Times as many interrupts as in a storm of the others: a million records or two."""
_GIGA = 1e9
_SUMMARY = """
import sys
from pathlib import Path
import numpy as np
from dirql.trace.folder import load
trace = load(Path(sys.argv[1]))
pairs, counts = np.unique(trace.event.astype(np.int64) << 8 | trace.cpu, return_counts=True)
for pair, count in zip(pairs.tolist(), counts.tolist()):
    print(trace.meta.events.name(pair >> 8), pair & 0xFF, count)
"""


def store_rows(plan: Plan) -> list[Row]:
    """Record a storm, and measure what is done with its trace."""
    with tempfile.TemporaryDirectory(prefix="dirql-bench-") as name:
        run = Path(name) / "run"
        record(run, plan.effort.interrupts * _INTERRUPTS)
        trace = load(run)
        note = f"{len(trace):,} records, {len(trace) * trace.meta.record_size / 1e6:.0f} MB, in the page cache"
        rows = [*_decoding(plan, run, trace, note), _exporting(plan, run, trace, note)]
        return [*rows, _summarising(plan, run, trace, Path(name) / "ctf", note)]


def record(run: Path, interrupts: int) -> None:
    """Record a storm under icount into a folder, which is made.

    Args:
        run: the folder.
        interrupts: how many.
    """
    from dirql.config import MachineConfig
    from dirql.experiments.interrupt_storm import NAME, run_storm
    from dirql.experiments.runfolder import RunFolder
    from dirql.experiments.storm import StormParameters

    run_storm(MachineConfig(cpus=CPUS, mode="icount"), StormParameters(count=interrupts), RunFolder(NAME, run))


def _decoding(plan: Plan, run: Path, trace: Trace, note: str) -> list[Row]:
    """Measure decoding and merging beside a copy of the same bytes."""
    size = len(trace) * trace.meta.record_size
    source, target = bytearray(size), bytearray(size)
    arrays = [trace.raw(cpu) for cpu in range(trace.cpus)]

    def copy() -> None:
        target[:] = source

    def decode() -> None:
        for cpu, records in enumerate(arrays):
            count_gaps(cpu, records, 0)

    def merge() -> None:
        merged = load(run)
        for column in (merged.time, merged.cpu, merged.event, merged.irql, merged.arg0, merged.arg1):
            assert len(column) == len(trace)

    measures = [partial(_rate, size / _GIGA, action) for action in (copy, decode, merge)]
    copied, decoded, merged = interleaved(measures, ROUNDS, plan.step)
    named = (
        (
            *("trace-decode", "records as numpy structured arrays, per CPU: its own, in order, gaps counted; no copy"),
            *(decoded, Goal(GoalKind.RATIO_AT_LEAST, 0.25)),
        ),
        ("trace-merge", "a run opened, decoded and merged into one history, all columns", merged, None),
    )
    return [
        Row(
            name=name,
            title=title,
            unit="GB/s",
            ours=ours,
            comparator=copied,
            beside="memcpy of the same bytes",
            goal=goal,
            mode=MODE_ICOUNT,
            cpus=CPUS,
            note=note,
        )
        for name, title, ours, goal in named
    ]


def _exporting(plan: Plan, run: Path, trace: Trace, note: str) -> Row:
    """Measure the export to Perfetto beside the protobuf library's own packets."""
    path = run / "bench.perfetto-trace"

    def export() -> None:
        write_perfetto(History(load(run)), path)

    (exported,) = interleaved([partial(_rate, len(trace), export)], max(ROUNDS // 3, 1), plan.step)
    return Row(
        name="trace-perfetto",
        title="export to Perfetto, from the files of the run to the file",
        unit="events/s",
        ours=exported,
        comparator=Figure.of([_packets_by_the_library()]),
        beside="track events made one by one with the protobuf library",
        goal=Goal(GoalKind.VALUE_AT_LEAST, 300_000),
        mode=MODE_ICOUNT,
        cpus=CPUS,
        note=note,
    )


def _summarising(plan: Plan, run: Path, trace: Trace, ctf: Path, note: str) -> Row:
    """Measure counting by event and CPU beside babeltrace2, each as a whole process."""
    command = [sys.executable, "-c", _SUMMARY, str(run)]
    counted = sum(int(line.split()[-1]) for line in _output(command).splitlines())
    if counted != len(trace):
        raise ProtocolError(f"{counted} records were counted of {len(trace)}")
    measures = [partial(_rate, len(trace), partial(_output, command))]
    beside = "babeltrace2 is not installed here: nothing to compare with"
    if shutil.which("babeltrace2"):
        write_ctf(trace, ctf)
        other = ["babeltrace2", "--log-level=E", str(ctf), "--component=sink.utils.counter", "--params=step=+0"]
        if f"{len(trace)} Event messages" not in (text := _output(other)):
            raise ProtocolError(f"babeltrace2 counts otherwise than {len(trace)} events:\n{text}")
        measures.append(partial(_rate, len(trace), partial(_output, other)))
        beside = "babeltrace2 counting the messages of the same events in CTF 1.8 (sink.utils.counter)"
    figures = interleaved(measures, ROUNDS, plan.step)
    return Row(
        name="trace-summary",
        title="records decoded, merged and counted by event and CPU, from the start of a process to its end",
        unit="events/s",
        ours=figures[0],
        comparator=figures[-1],
        beside=beside,
        goal=None,
        mode=MODE_ICOUNT,
        cpus=CPUS,
        note=note,
    )


def _rate(amount: float, action: Callable[[], object]) -> list[float]:
    """Return how much of an amount an action does in a second."""
    started = time.perf_counter()
    action()
    return [amount / (time.perf_counter() - started)]


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _packets_by_the_library(count: int = 50_000) -> float:
    """Return how many track events a second the protobuf library makes and serialises."""
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace as Proto
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TrackEvent

    def build() -> None:
        made = Proto()
        for at in range(count):
            packet = made.packet.add(trusted_packet_sequence_id=1, timestamp=at)
            packet.track_event.type = TrackEvent.TYPE_SLICE_BEGIN
            packet.track_event.track_uuid = 7
            packet.track_event.name_iid = 9
        made.SerializeToString()

    return _rate(count, build)[0]
