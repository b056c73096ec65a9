# SPDX-License-Identifier: Apache-2.0
"""Recording a machine: its trace collected live into the run's folder, its clock tied to the host's, its symbols kept.

with Recording(machine, folder) as recording:
    ...
trace = recording.load()
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from dirql.errors import DirqlError
from dirql.guest.memory import physical
from dirql.naming import Names
from dirql.trace.clock import Clock
from dirql.trace.collect import Collector, RingReader
from dirql.trace.folder import TraceMeta, load, write_meta
from dirql.trace.schema import EventTable, RingLayout, record_dtype

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from dirql.machine import Machine
    from dirql.trace.accounting import Accounting
    from dirql.trace.decode import Trace

ICOUNT_HZ = 1e9
"""Under icount the TSC counts nanoseconds of virtual time."""

_SYNC_PAIRS = 200
_HOLD_TIMEOUT = 30.0
_PAIR_BYTES = 16


def clock_pairs(machine: Machine) -> list[tuple[int, int]]:
    """Return pairs of host time (CLOCK_MONOTONIC, ns) and guest time (TSC) that were seen together."""
    link, ram = machine.link, machine.session.ram
    address, now = link.clock_address, time.monotonic_ns
    ram.store64(address, now())
    number = link.post("TimeSync", (_SYNC_PAIRS,))
    while not link.replied(number):
        ram.store64(address, now())
        machine.session.watch.check()
    count = link.wait_reply(number, "the guest to compare clocks", 10.0)[0]
    data = link.read_buffer(0, count * _PAIR_BYTES)
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]
    return list(zip(words[::2], words[1::2], strict=True))


class Recording:
    """Collects a machine's trace.

    Args:
        machine: the machine, ready.
        folder: the run's folder.

    Attributes:
        accounting: set it before the end: the host's counts of what it sent.
        cut: whether the machine ended under the recording.
    """

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self.folder = folder
        self.accounting: Accounting | None = None
        self.cut = False
        debug = machine.kernel.debug
        self._record = debug.structure("TRACE_RECORD")
        ring = debug.structure("TRACE_RING")
        dtype = record_dtype(self._record.places, self._record.size)
        layout = RingLayout.from_fields(ring.places, ring.size)
        first = physical(machine.kernel.address("TraceRing"))
        view = machine.session.ram.view()
        rings = [
            RingReader(view, first + cpu * ring.size, layout, dtype, overwrite=machine.config.overwrite)
            for cpu in range(machine.cpus)
        ]
        self._collector = Collector(folder, rings)
        self._pairs: list[tuple[int, int]] = []
        self._names = Names(machine)

    def synchronize(self) -> None:
        """Collect pairs of host and guest time. Done at both ends of a recording; nothing to do under icount."""
        if self.machine.config.mode != "icount":
            self._pairs += clock_pairs(self.machine)

    def load(self) -> Trace:
        """Return what was recorded, once the recording has ended."""
        return load(self.folder)

    def __enter__(self) -> Self:
        """Start."""
        self._collector.start()
        self.machine.on_removal.append(self._names.look)
        try:
            self.synchronize()
        except BaseException:
            self._finish(cut=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hold the machine, bring the rest home, write what it takes to read it. The machine stays held."""
        if error is None:
            try:
                self.synchronize()
                self._hold()
            except BaseException:
                self._finish(cut=True)
                raise
        self._finish(cut=error is not None)

    def _hold(self) -> None:
        """Bring the machine to a stand: at the rendezvous, always at the same instruction, or wherever its CPUs are."""
        if self.machine.rendezvous is not None:
            self.machine.rendezvous.wait_for_guest(_HOLD_TIMEOUT)
        else:
            self.machine.session.stop()

    def _finish(self, *, cut: bool) -> None:
        collected = self._collector.stop(cut=cut)
        self.cut = collected.cut
        debug = self.machine.kernel.debug
        if self._names.look in self.machine.on_removal:
            self.machine.on_removal.remove(self._names.look)
        self._names.look()
        self._names.write(self.folder)
        write_meta(
            self.folder,
            TraceMeta(
                events=EventTable.from_enum(debug.enumeration("TRACE_EVENT")),
                record_fields=self._record.places,
                record_size=self._record.size,
                mode=self.machine.config.mode,
                cpus=self.machine.cpus,
                clock=self._clock(),
                mask=self.machine.config.trace_mask,
                lost=collected.lost,
                cut=collected.cut,
                horizon=collected.horizon,
                accounting=self.accounting,
                notes=collected.notes,
            ),
        )

    def _clock(self) -> Clock:
        if self.machine.config.mode == "icount":
            return Clock(ICOUNT_HZ)
        with suppress(DirqlError):
            return Clock.fit(self._pairs)
        return Clock(ICOUNT_HZ)  # the machine was gone before its clock was known: times are in ticks
