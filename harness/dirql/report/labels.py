# SPDX-License-Identifier: Apache-2.0
"""Short names of slices, for where there is little room: `DoorbellIsr`, `idle`, `int 51`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dirql.trace.export.slices import Kind
from dirql.trace.history.irps import major_function, major_name

if TYPE_CHECKING:
    from dirql.trace.export.slices import Slices
    from dirql.trace.history.history import History

LETTERS = {
    Kind.IDLE: ".",
    Kind.THREAD: "t",
    Kind.DPC_INTERRUPT: "d",
    Kind.DPC: "D",
    Kind.INTERRUPT: "i",
    Kind.ISR: "I",
    Kind.SYNC: "S",
    Kind.SYSTEM_INTERRUPT: "c",
    Kind.THREADED_DPC: "T",
    Kind.IPI_CALL: "P",
    Kind.APC: "A",
    Kind.WORK_ITEM: "W",
    Kind.DISPATCH_ROUTINE: "R",
    Kind.START_IO: "O",
}
"""One letter for each kind: small for what the system does, large for a driver's routines."""


class Labels:
    """Names the slices of a trace.

    Args:
        history: the trace's intervals.
        slices: its slices.
    """

    def __init__(self, history: History, slices: Slices) -> None:
        self._history = history
        self._slices = slices
        self._start_io: dict[int, int] | None = None

    def of(self, at: int) -> str:
        """Return the name of a slice, without the name of its module.

        Args:
            at: its number.
        """
        history, slices = self._history, self._slices
        trace, kind = history.trace, Kind(int(slices.kind[at]))
        source = int(slices.source[at])
        word = int(trace.arg1[source])
        match kind:
            case Kind.IDLE:
                return "idle"
            case Kind.THREAD:
                name = history.threads.name(int(history.threads.number[int(slices.record[at])]))
                return _short(name.removeprefix("thread ")).rpartition(" (")[0] or _short(name)
            case Kind.DPC_INTERRUPT:
                return "DPC int"
            case Kind.INTERRUPT | Kind.SYSTEM_INTERRUPT:
                return f"int {int(trace.arg0[source]) & 0xFF:02X}"
            case Kind.IPI_CALL:
                word = int(trace.arg0[source])
            case Kind.DISPATCH_ROUTINE:
                return major_name(major_function(word)).removeprefix("IRP_MJ_")
            case Kind.START_IO:
                word = self._start_io_routine(int(trace.arg0[source]))
        return _short(trace.symbols.name(word))

    def _start_io_routine(self, device: int) -> int:
        """Return the StartIo routine of a device; the device itself where none has returned."""
        if self._start_io is None:
            trace = self._history.trace
            exits = trace.where("StartIoExit")
            self._start_io = dict(zip(trace.arg0[exits].tolist(), trace.arg1[exits].tolist(), strict=True))
        return self._start_io.get(device, device)


def _short(name: str) -> str:
    return name.rpartition("!")[2]
