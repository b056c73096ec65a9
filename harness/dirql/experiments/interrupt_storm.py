# SPDX-License-Identifier: Apache-2.0
"""The main job: a real driver, interrupted from outside on every CPU; all accounted for, every rule judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.config import MachineConfig
from dirql.devices.ivshmem import Doorbell
from dirql.experiments.doorbell import DoorbellLine
from dirql.experiments.series import config_json, send_ticks, times_json
from dirql.experiments.storm import Storm, StormParameters
from dirql.machine import Machine
from dirql.recording import Recording
from dirql.trace.accounting import Accounting
from dirql.trace.folder import read_meta, write_meta
from dirql.trace.history.history import History
from dirql.trace.oracle import Status, Verdict, judge
from dirql.trace.stats.summary import Percentiles, TraceStats, statistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.experiments.runfolder import RunFolder
    from dirql.trace.decode import Trace

NAME = "interrupt-storm"
REQUIRED = ("SPIN-1", "IRQL-2", "IRQL-6", "DPC-1", "DPC-4", "INT-1", "SYN-1", "INT-ACCOUNT")
"""Clauses that every storm gives evidence of: for these, unknown is not good enough."""

SHARED_BYTES = 1 << 16


@dataclass(frozen=True)
class StormResult:
    """What came of it.

    Attributes:
        parameters: what was asked for.
        config: the machine.
        counts: sent, isr, dpc, acknowledged, merged, lost.
        seconds: of host time that the storm took.
        latencies: `host_to_isr`, `isr_to_dpc`, `host_to_dpc`, in ns of the trace's clock.
        stats: numbers of the trace.
        verdict: the oracle's.
        history: the trace's intervals.
        folder: the run's folder.
    """

    parameters: StormParameters
    config: MachineConfig
    counts: dict[str, int]
    seconds: float
    latencies: dict[str, Percentiles]
    stats: TraceStats
    verdict: Verdict
    history: History
    folder: RunFolder

    @property
    def status(self) -> Status:
        """`violated` if a clause is; `ok` only if every required one is; else `unknown`."""
        if self.verdict.status is Status.VIOLATED:
            return Status.VIOLATED
        kept = all(self.verdict[clause].status is Status.OK for clause in REQUIRED)
        return Status.OK if kept else Status.UNKNOWN

    @property
    def passed(self) -> bool:
        """Whether all is accounted for and no rule was broken."""
        counts = self.counts
        return self.status is Status.OK and counts["lost"] == 0 and counts["acknowledged"] == counts["sent"]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "experiment": NAME,
            **self.counts,
            "cpus": self.config.cpus,
            "mode": self.config.mode,
            "vectors": self.parameters.vectors,
            "seed": self.parameters.seed,
            "passed": self.passed,
            "verdict": self.status.value,
            "violations": self.verdict.counted(Status.VIOLATED),
            "clauses": self.verdict.to_json(self.history.trace.symbols)["clauses"],
            "latency_us": {name: times_json(times) for name, times in self.latencies.items()},
            "seconds": round(self.seconds, 6),
            "trace_records": self.stats.records,
            "trace_lost": sum(cpu.lost for cpu in self.stats.cpus),
            "notes": list(self.history.trace.meta.remarks),
            "per_cpu": self.stats.to_json()["cpus"],
            "run_folder": str(self.folder.path),
        }


def run_storm(
    config: MachineConfig,
    parameters: StormParameters,
    folder: RunFolder,
    progress: Callable[[int, int], None] | None = None,
) -> StormResult:
    """Boot, load doorbell.sys, send the storm, collect and judge.

    Args:
        config: the machine.
        parameters: what to send.
        folder: the run's folder; the trace and `result.json` go there.
        progress: called now and then with (acknowledged, count).

    Raises:
        DirqlError: the machine failed; what was recorded by then is in the folder, marked cut.
    """
    doorbell = Doorbell(vectors=parameters.vectors, memory_bytes=SHARED_BYTES)
    with Machine(config, devices=[doorbell], folder=folder.path) as machine:
        folder.describe(NAME, asdict(parameters) | config_json(config), machine)
        with Recording(machine, folder.path) as recording:
            line = DoorbellLine(machine, doorbell, lock_per_vector=parameters.lock_per_vector)
            storm = Storm(line, parameters, progress, lambda: recording.stopped)
            try:
                storm.run()
            finally:
                counted, counts = _account(line, storm)
                recording.accounting = counted
                line.release()
    trace = recording.load()
    interrupts = _interrupts(trace, parameters.vectors)
    accounting = Accounting(
        sent=counted.sent,
        merged=counted.merged,
        connects=dict(enumerate(interrupts)),
    )
    write_meta(folder.path, replace(read_meta(folder.path), accounting=accounting))
    history = History(trace)
    result = StormResult(
        parameters=parameters,
        config=config,
        counts=counts,
        seconds=storm.seconds,
        latencies=_latencies(history, storm, interrupts),
        stats=statistics(history),
        verdict=judge(trace, accounting, history=history),
        history=history,
        folder=folder,
    )
    folder.write("result.json", result.to_json())
    return result


def _account(line: DoorbellLine, storm: Storm) -> tuple[Accounting, dict[str, int]]:
    vectors = range(storm.parameters.vectors)
    sent = {vector: len(storm.sent[vector].times) for vector in vectors}
    merged = {vector: line.merged(vector) for vector in vectors}
    delivered = sum(line.delivered(vector) for vector in vectors)
    acknowledged = sum(line.acknowledged(vector) for vector in vectors)
    counts = {
        "sent": sum(sent.values()),
        "isr": delivered,
        "dpc": line.dpc_runs,
        "acknowledged": acknowledged,
        "merged": sum(merged.values()),
        "lost": sum(sent.values()) - delivered - sum(merged.values()),
    }
    return Accounting(sent=sent, merged=merged), counts


def _interrupts(trace: Trace, vectors: int) -> list[int]:
    """The KINTERRUPT of each message: they are connected in the order of the messages."""
    connected = trace.arg0[trace.where("InterruptConnect")].tolist()
    return list(dict.fromkeys(int(interrupt) for interrupt in connected))[:vectors]


def _latencies(history: History, storm: Storm, interrupts: list[int]) -> dict[str, Percentiles]:
    """Times from sending to ISR to DPC. Known where each interrupt came alone: the n-th sent is the n-th ISR."""
    trace = history.trace
    whole = trace.meta.triggered is None and not any(trace.lost) and not any(trace.let_go)
    if not whole or not trace.recorded(
        "IsrEnter", "DpcStart", "RendezvousEnter", "Rendezvous"
    ):  # nothing tells which ISR is whose
        return {name: Percentiles.of(np.zeros(0)) for name in ("host_to_isr", "isr_to_dpc", "host_to_dpc")}
    enter = trace.where("IsrEnter")
    starts = np.sort(trace.time[trace.where("DpcStart")])
    to_isr, to_dpc, both = [], [], []
    for vector, interrupt in enumerate(interrupts):
        isr = trace.time[enter[trace.arg0[enter] == np.uint64(interrupt)]]
        sent = send_ticks(trace, storm.sent[vector].times)
        after = np.searchsorted(starts, isr)
        known = after < len(starts)
        to_dpc.append(trace.ns(starts[after[known]] - isr[known]))
        if len(sent) == len(isr):
            to_isr.append(trace.ns(isr - sent))
            both.append(trace.ns(starts[after[known]] - sent[known]))
    empty = np.zeros(0)
    return {
        "host_to_isr": Percentiles.of(np.concatenate([empty, *to_isr])),
        "isr_to_dpc": Percentiles.of(np.concatenate([empty, *to_dpc])),
        "host_to_dpc": Percentiles.of(np.concatenate([empty, *both])),
    }
