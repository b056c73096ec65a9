# SPDX-License-Identifier: Apache-2.0
"""The lives of IRPs: allocated, called with, started, cancelled, completed, done, freed.

A life begins with IrpAllocate, or with the first record of an address that has none: a driver may have made an IRP of
memory of its own, or the trace began later. It ends with IrpFree; the same memory may then become another IRP.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.intervals import factorize

if TYPE_CHECKING:
    from dirql.trace.decode import Trace
    from dirql.trace.schema import Flags, Indices, Words

EVENTS = ("IrpAllocate", "IrpCall", "StartIoEnter", "IrpCancel", "IrpComplete", "IrpDone", "IrpFree")
"""What a life is made of. IrpReturn is not: the IRP may be gone when its dispatch routine returns."""
STATUS_CANCELLED = 0xC000_0120
MAJOR_FUNCTIONS = (
    *("CREATE", "CREATE_NAMED_PIPE", "CLOSE", "READ", "WRITE", "QUERY_INFORMATION", "SET_INFORMATION", "QUERY_EA"),
    *("SET_EA", "FLUSH_BUFFERS", "QUERY_VOLUME_INFORMATION", "SET_VOLUME_INFORMATION", "DIRECTORY_CONTROL"),
    *("FILE_SYSTEM_CONTROL", "DEVICE_CONTROL", "INTERNAL_DEVICE_CONTROL", "SHUTDOWN", "LOCK_CONTROL", "CLEANUP"),
    *("CREATE_MAILSLOT", "QUERY_SECURITY", "SET_SECURITY", "POWER", "SYSTEM_CONTROL", "DEVICE_CHANGE"),
    *("QUERY_QUOTA", "SET_QUOTA", "PNP"),
)
"""IRP_MJ_ of the DDK, by number."""
_ADDRESS = np.uint64((1 << 48) - 1)
_KERNEL_HALF = np.uint64(0xFFFF << 48)


def major_function(word: int) -> int:
    """Return the major function that an IrpCall's second argument names."""
    return word >> 48 & 0xFF


def major_name(major: int) -> str:
    """Return the DDK's name of a major function."""
    return f"IRP_MJ_{MAJOR_FUNCTIONS[major]}" if major < len(MAJOR_FUNCTIONS) else f"major function {major:#x}"


def device_of(word: Words) -> Words:
    """Return the device objects that IrpCall records name by their second arguments: addresses of the upper half."""
    return (word & _ADDRESS) | _KERNEL_HALF


class Irps:
    """All records of lives, IRP after IRP, in the order of the trace. Positions are indices of its columns.

    Args:
        trace: the trace.

    Attributes:
        index: the records.
        address: the IRP of each.
        life: the number of the life that each belongs to.
        first: the position of the first record of each one's life.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        index = trace.where(*EVENTS)
        address = np.where(trace.are(index, "StartIoEnter"), trace.arg1[index], trace.arg0[index])
        _, number = factorize(address)
        order = np.lexsort((index, number))
        self.index: Indices = index[order]
        self.address: Words = address[order]
        number = number[order]
        begins = np.ones(len(order), dtype=np.bool_)
        begins[1:] = number[1:] != number[:-1]
        begins |= self.of("IrpAllocate")
        begins[1:] |= self.of("IrpFree")[:-1]
        self.life: Indices = np.cumsum(begins) - 1
        starts = np.flatnonzero(begins)
        self.first: Indices = starts[self.life] if len(order) else starts
        self._last: Indices = np.append(starts[1:], len(order))[self.life] - 1 if len(order) else starts

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.index)

    def of(self, event: str) -> Flags:
        """Return which records are of the named event."""
        return self.trace.are(self.index, event)

    @cached_property
    def taken(self) -> Flags:
        """Which records are IoCancelIrp's with a cancel routine to call."""
        called: Flags = self.of("IrpCancel") & (self.trace.arg1[self.index] != 0)
        return called

    @cached_property
    def allocated(self) -> Flags:
        """Which records belong to a life that begins with IrpAllocate: the trace has all of it."""
        found: Flags = self.of("IrpAllocate")[self.first]
        return found

    def count(self, members: Flags) -> Indices:
        """Return for each record how many members its life has had by then, itself included."""
        total = np.cumsum(members)
        before = np.append(0, total)[self.first]
        return np.asarray(total - before, dtype=np.int64)

    def before(self, members: Flags) -> Indices:
        """Return for each record the position of the last member before it in its life; -1 where none."""
        place = np.where(members, np.arange(len(self)), -1)
        latest = np.append(-1, np.maximum.accumulate(place)[:-1])[: len(self)] if len(self) else place
        return np.where(latest >= self.first, latest, -1)

    def after(self, members: Flags) -> Indices:
        """Return for each record the position of the next member after it in its life; -1 where none."""
        size = len(self)
        place = np.where(members, np.arange(size), size)
        following = np.append(np.minimum.accumulate(place[::-1])[::-1][1:], size)[:size]
        return np.where(following <= self._last, following, -1)

    def completions(self) -> tuple[Indices, Indices]:
        """Return calls of drivers, and the completion that ended each: the records.

        Of several calls that end in one completion (an IRP that was passed on) it is the first. What a completion
        routine held back ends with what is done afterwards.
        """
        calls, done = self.of("IrpCall"), self.of("IrpDone")
        complete = self.of("IrpComplete")
        last = self.before(complete)
        ends = np.flatnonzero(done & (last >= 0))
        end = np.full(len(self), -1, dtype=np.int64)
        end[ends] = last[ends]
        to = self.after(done)
        held = self.after(complete)
        found = np.where(to >= 0, end[np.maximum(to, 0)], held)
        first = np.flatnonzero(calls & (found >= 0))
        _, keep = np.unique(found[first], return_index=True)
        return self.index[first[keep]], self.index[found[first[keep]]]

    def life_at(self, position: int) -> slice:
        """Return the positions of the life that a record belongs to."""
        return slice(int(self.first[position]), int(self._last[position]) + 1)
