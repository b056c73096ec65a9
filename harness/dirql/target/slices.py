# SPDX-License-Identifier: Apache-2.0
"""A case's own part of the machine's trace, read straight from the rings in shared memory when the case is over.

The machine is at rest between two cases, so the part is a whole trace that begins with `QuietStart`. Most cases are
over in a few milliseconds. Of a longer one the rings are emptied while it runs, and whenever it calls the host, so that
they do not fill; a case that makes more records at a stretch than a ring holds may still lose some.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from dirql.guest.link import STATUS_NOT_IMPLEMENTED
from dirql.guest.memory import physical
from dirql.trace.clock import Clock
from dirql.trace.decode import Trace
from dirql.trace.folder import TraceMeta
from dirql.trace.live.collect import RingReader
from dirql.trace.quiet import Connection, QuietStart
from dirql.trace.schema import RingLayout, record_dtype

if TYPE_CHECKING:
    from dirql.machine import Machine
    from dirql.trace.schema import Records

ICOUNT_HZ = 1e9
SELDOM_S = 0.01
OFTEN_S = 0.001
"""Seconds between two looks at the rings of a case that lasts: while they hardly fill, and while they do."""

_FULL = 1 / 16

_SLOWEST_HZ = 1e6
"""Taken for the rate where the clock has not moved yet."""


class CaseTrace:
    """Cuts a machine's trace into cases. Made anew when the machine has been reset.

    Args:
        machine: the machine, ready; nobody else may empty its rings.
    """

    def __init__(self, machine: Machine) -> None:
        debug = machine.kernel.debug
        self._machine = machine
        self._record = debug.structure("TRACE_RECORD")
        self._events = machine.trace_events
        self._dtype = record_dtype(self._record.places, self._record.size)
        ring = debug.structure("TRACE_RING")
        layout = RingLayout.from_fields(ring.places, ring.size)
        first = physical(machine.kernel.address("TraceRing"))
        view = machine.session.ram.view()
        self._rings = [RingReader(view, first + cpu * ring.size, layout, self._dtype) for cpu in range(machine.cpus)]
        self._connected: dict[int, Connection] = {}
        self._threads = [0] * machine.cpus
        self._quiet = QuietStart()
        self._lost = [0] * machine.cpus
        self._data = [bytearray() for _ in self._rings]
        self._lock = threading.Lock()
        self._serve = machine.link.on_call
        machine.link.on_call = self._serve_call
        self._over = threading.Event()
        self._emptier: threading.Thread | None = None
        self._host_ns = time.monotonic_ns()
        self._tsc = machine.link.request("Ping")[0]

    def begin(self) -> None:
        """Forget what has been recorded up to now, except what is connected and who runs where: a case begins."""
        for cpu, ring in enumerate(self._rings):
            records = self._records(ring.take())
            for part in (self._records(self._data[cpu]), records):
                switches = part[part["Event"] == self._events["ThreadSwitch"]]
                self._threads[cpu] = int(switches["Argument0"][-1]) if len(switches) else self._threads[cpu]
            if ring.lost != self._lost[cpu]:
                self._threads[cpu] = 0
            for record in records[records["Event"] == self._events["InterruptConnect"]]:
                self._connect(int(record["Argument0"]), int(record["Argument1"]))
        taken = tuple(ring.taken & 0xFFFF_FFFF for ring in self._rings)
        self._quiet = QuietStart(taken, tuple(self._connected.values()), tuple(self._threads))
        self._lost = [ring.lost for ring in self._rings]
        self._data = [bytearray() for _ in self._rings]
        self._over.clear()
        self._emptier = threading.Thread(target=self._empty_until_over, name="dirql-case-trace", daemon=True)
        self._emptier.start()

    def end(self, *, held: bool) -> Trace:
        """Return what has been recorded since `begin`.

        Args:
            held: the machine stands still. Otherwise the trace ends with the case: at its last TraceCaseEnd, or as far
                as it is known what every CPU did.
        """
        self._stop()
        self._empty()
        horizon: int | None = None
        if not held:
            horizon = max((ring.last_time for ring in self._rings), default=0)
            unsettled = [ring for ring in self._rings if ring.pending]
            self._empty()
            parts = [self._records(part) for part in self._data]  # its thread may have moved to any CPU
            ends = [int(part["Time"][part["Event"] == self._events["CaseEnd"]].max(initial=0)) for part in parts]
            horizon = max(ends) or horizon
            horizon = min([horizon, *(ring.last_time for ring in unsettled if ring.pending)])
        lost = tuple(ring.lost - before for ring, before in zip(self._rings, self._lost, strict=True))
        meta = TraceMeta(
            events=self._events,
            record_fields=self._record.places,
            record_size=self._record.size,
            mode=self._machine.config.mode,
            cpus=self._machine.cpus,
            clock=self._clock(),
            mask=self._machine.always_traced,
            lost=lost,
            horizon=horizon,
            quiet=self._quiet,
        )
        return Trace([self._records(part) for part in self._data], meta)

    def close(self) -> None:
        """Let go of the RAM, so that it can be unmapped. Safe to call again."""
        self._stop()
        self._machine.link.on_call = self._serve
        while self._rings:
            self._rings.pop().release()

    def _stop(self) -> None:
        """Leave the rings to this thread. Safe to call again."""
        self._over.set()
        if self._emptier is not None:
            self._emptier.join()
            self._emptier = None

    def _empty(self) -> float:
        """Empty each ring; return how full the fullest was."""
        with self._lock:
            fullest = max((ring.fill for ring in self._rings), default=0.0)
            for data, ring in zip(self._data, self._rings, strict=True):
                data += ring.take()
        return fullest

    def _empty_until_over(self) -> None:
        pause = SELDOM_S
        while not self._over.wait(pause):
            pause = OFTEN_S if self._empty() > _FULL else SELDOM_S

    def _serve_call(self, code: int, arguments: tuple[int, int]) -> tuple[int, int]:
        """Do what the guest calls for, which waits meanwhile."""
        self._empty()
        return self._serve(code, arguments) if self._serve is not None else (STATUS_NOT_IMPLEMENTED, 0)

    def _records(self, data: bytes | bytearray) -> Records:
        return np.frombuffer(data, dtype=self._dtype)

    def _connect(self, interrupt: int, word: int) -> None:
        self._connected.pop(interrupt, None)
        self._connected[interrupt] = Connection.of_record(interrupt, word)

    def _clock(self) -> Clock:
        """The rate of the guest's clock since `Ping`: good enough to tell 250 ns from a microsecond."""
        if self._machine.config.mode == "icount":
            return Clock(ICOUNT_HZ)
        ticks = max((ring.last_time for ring in self._rings), default=0) - self._tsc
        seconds = (time.monotonic_ns() - self._host_ns) / 1e9
        return Clock(max(ticks / seconds, _SLOWEST_HZ))
