# SPDX-License-Identifier: Apache-2.0
"""A trace that begins in the middle of a machine's life, at a moment when the machine is known to be at rest.

At rest means: every CPU at PASSIVE_LEVEL or in an interrupt taken there, no lock held or waited for, no DPC queued or
running, no service or synchronised routine under way. What is connected then is listed, and which thread has each CPU.
Such a trace is complete: where it shows an end without a beginning, the beginning is not older than the trace, it never
was. Waits are the exception: threads of the system wait at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.trace.schema import Indices, Words

if TYPE_CHECKING:
    from dirql.trace.decode import Trace


@dataclass(frozen=True)
class Connection:
    """What one InterruptConnect record says.

    Attributes:
        interrupt: address of the KINTERRUPT.
        vector: its vector.
        irql: its Irql.
        synchronize_irql: its SynchronizeIrql.
        cpu: the CPU that it interrupts; 0xFF: any.
        mask: the CPUs that it may interrupt, a bit each; 0 where the guest does not say.
    """

    interrupt: int
    vector: int
    irql: int
    synchronize_irql: int
    cpu: int
    mask: int = 0

    @classmethod
    def of_record(cls, interrupt: int, word: int) -> Connection:
        """Read the two arguments of an InterruptConnect record."""
        vector, irql, synchronize_irql, cpu = (word >> shift & 0xFF for shift in (0, 8, 16, 24))
        return cls(interrupt, vector, irql, synchronize_irql, cpu, word >> 32)

    @property
    def word(self) -> int:
        """The record's second argument."""
        return self.vector | self.irql << 8 | self.synchronize_irql << 16 | self.cpu << 24 | self.mask << 32


@dataclass(frozen=True)
class QuietStart:
    """That a trace begins with the machine at rest, and what was connected by then.

    Attributes:
        before: per CPU, the sequence number of its last record before this trace, 0 for none: what is missing between
            that and the first record here was lost. Empty: the caller vouches that nothing is.
        connections: what was connected, in the order of connection. Objects that were disconnected since do no harm.
        threads: per CPU, the KTHREAD that has it, 0 where that is not known. Empty: none is.
    """

    before: tuple[int, ...] = ()
    connections: tuple[Connection, ...] = ()
    threads: tuple[int, ...] = ()

    @classmethod
    def after(cls, trace: Trace) -> QuietStart:
        """Return the start of the trace that follows `trace`, which must have ended with the machine at rest."""
        known = trace.meta.quiet or cls()
        before = list(known.before) + [0] * (trace.cpus - len(known.before))
        threads = list(known.threads) + [0] * (trace.cpus - len(known.threads))
        switches = trace.where("ThreadSwitch")
        for cpu in range(trace.cpus):
            mine = trace.on_cpu(cpu)
            if len(mine):
                before[cpu] = int(trace.records["Sequence"][mine[-1]])
            last = switches[trace.cpu[switches] == cpu][-1:]
            threads[cpu] = int(trace.arg0[last[0]]) if len(last) else threads[cpu]
        table = connections(trace)
        latest = {int(table.object[at]): at for at in range(len(table.index))}
        rows = tuple(table.row(at) for at in sorted(latest.values()))
        return cls(tuple(before), rows, tuple(threads) if any(threads) else ())

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        rows = [[each.interrupt, each.word] for each in self.connections]
        return {"before": list(self.before), "connections": rows, "threads": list(self.threads)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> QuietStart:
        """Read what `to_json` returned."""
        rows = tuple(Connection.of_record(*row) for row in data["connections"])
        return cls(tuple(data["before"]), rows, tuple(data.get("threads", ())))


@dataclass(frozen=True)
class Connections:
    """All connections that a trace knows, in order: those from before it began first.

    Attributes:
        index: the InterruptConnect record; -1 where it is older than the trace.
        object: address of the KINTERRUPT.
        word: the record's second argument.
    """

    index: Indices
    object: Words
    word: Words

    @property
    def vector(self) -> Indices:
        """Vectors."""
        return self._byte(0)

    @property
    def irql(self) -> Indices:
        """Irql of each."""
        return self._byte(8)

    @property
    def level(self) -> Indices:
        """SynchronizeIrql of each."""
        return self._byte(16)

    @property
    def cpu(self) -> Indices:
        """Target CPU of each; 0xFF: any."""
        return self._byte(24)

    @property
    def mask(self) -> Words:
        """CPUs that each may interrupt, a bit each; 0 where the guest does not say."""
        return self.word >> np.uint64(32)

    def row(self, at: int) -> Connection:
        """Return one as plain data."""
        return Connection.of_record(int(self.object[at]), int(self.word[at]))

    def _byte(self, shift: int) -> Indices:
        return (self.word >> np.uint64(shift)).astype(np.int64) & 0xFF


def connections(trace: Trace) -> Connections:
    """Collect the connections of a trace and of its quiet start."""
    older = trace.meta.quiet.connections if trace.meta.quiet else ()
    index = trace.where("InterruptConnect")
    return Connections(
        index=np.concatenate([np.full(len(older), -1, dtype=np.int64), index]),
        object=np.concatenate([np.array([each.interrupt for each in older], dtype=np.uint64), trace.arg0[index]]),
        word=np.concatenate([np.array([each.word for each in older], dtype=np.uint64), trace.arg1[index]]),
    )
