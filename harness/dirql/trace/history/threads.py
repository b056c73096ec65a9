# SPDX-License-Identifier: Apache-2.0
"""Whose each CPU is at every record: the threads of a trace, and the spells for which they had a CPU.

A ThreadSwitch record names the thread that has its CPU from then on, itself included. Before a CPU's first one its
thread is what the quiet start says; or the CPU's idle thread, which alone has priority 0, if that is left then; or
unknown: a thread of its own, without an address. Interrupts and DPCs come on top of whatever thread has the CPU.
The memory of a thread that has ended may become another one: ThreadCreate tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dirql.trace.history.intervals import factorize
from dirql.trace.lookup import Lookup

if TYPE_CHECKING:
    from dirql.trace.decode import Trace
    from dirql.trace.schema import Bytes, Flags, Indices, Words

READY, STANDBY, RUNNING, WAITING, TERMINATED = range(1, 6)
"""KI_THREAD_STATE of guest/ke/thread.h, as ThreadSwitch says what becomes of the thread that is left."""


def left_state(trace: Trace, switches: Indices) -> Indices:
    """Return what becomes of the threads that were left, by their ThreadSwitch records."""
    return (trace.arg1[switches] & np.uint64(0xFF)).astype(np.int64)


def left_priority(trace: Trace, switches: Indices) -> Indices:
    """Return the priorities of the threads that were left."""
    return ((trace.arg1[switches] >> np.uint64(8)) & np.uint64(0xFF)).astype(np.int64)


def new_priority(trace: Trace, switches: Indices) -> Indices:
    """Return the priorities of the threads that ThreadSwitch records name."""
    return ((trace.arg1[switches] >> np.uint64(16)) & np.uint64(0xFF)).astype(np.int64)


@dataclass(frozen=True)
class Spells:
    """The times for which a thread had a CPU without a break, CPU after CPU, each CPU's in its order.

    Attributes:
        begin: first record of each: the ThreadSwitch, or the CPU's first record.
        last: its last record.
        end: the ThreadSwitch that ended it; -1 while it lasts.
        cpu: its CPU.
        thread: number of its thread.
    """

    begin: Indices
    last: Indices
    end: Indices
    cpu: Bytes
    thread: Indices

    def __len__(self) -> int:
        """Return the number of spells."""
        return len(self.begin)


class Threads:
    """The threads of a trace. Numbers of threads are indices of `address`.

    Args:
        trace: the trace.

    Attributes:
        address: KTHREAD of each; 0 where the trace does not tell.
        spells: who had which CPU when.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        mine = trace.by_cpu
        switches = trace.where("ThreadSwitch")
        blocks = trace.blocks
        place = np.unique(np.concatenate([trace.position[switches], blocks[:-1][np.diff(blocks) > 0]]))
        begin = mine[place]
        cpu = trace.cpu[begin]
        address = np.where(trace.are(begin, "ThreadSwitch"), trace.arg0[begin], np.uint64(0))
        before = trace.meta.quiet.threads if trace.meta.quiet is not None else ()
        for at in np.flatnonzero(address == 0):
            known = before[int(cpu[at])] if int(cpu[at]) < len(before) else 0
            address[at] = known or self._idle_before(int(cpu[at]), switches)
        last = mine[np.append(place[1:], len(mine))[: len(place)] - 1] if len(place) else begin
        follows = np.append(cpu[1:] == cpu[:-1], False)[: len(place)]
        end = np.where(follows, np.append(begin[1:], -1)[: len(place)], -1)
        thread, self.address, self.life = self._name(begin, cpu, address)
        self.spells = Spells(begin, last, end, cpu, thread)
        self._place = place
        self._turns = np.lexsort((begin, thread))
        lengths = trace.position[last] - trace.position[begin] + 1
        self._lengths = lengths[self._turns]
        self._before = np.empty(len(begin), dtype=np.int64)
        self._before[self._turns] = np.cumsum(self._lengths) - self._lengths

    def _idle_before(self, cpu: int, switches: Indices) -> int:
        """Return the CPU's idle thread if that is what its first switch left, as far as the trace tells; else 0."""
        mine = switches[self.trace.cpu[switches] == cpu]
        if not len(mine) or left_priority(self.trace, mine[:1])[0] != 0:
            return 0
        idle = mine[new_priority(self.trace, mine) == 0][:1]
        return int(self.trace.arg0[idle[0]]) if len(idle) else 0

    def _name(self, begin: Indices, cpu: Bytes, address: Words) -> tuple[Indices, Words, Indices]:
        """Number the threads: number of each spell's, address of each thread, and which of that address it is."""
        life = self._lives(address, begin)
        known = address != 0
        row = np.stack([address, np.where(known, life, cpu).astype(np.uint64)], axis=1)
        distinct, number = np.unique(row, axis=0, return_inverse=True)
        if not len(begin):
            return begin, address, life
        return number.reshape(-1).astype(np.int64), distinct[:, 0], distinct[:, 1].astype(np.int64)

    def _lives(self, address: Words, index: Indices) -> Indices:
        """Return how many threads had been created at each address by then."""
        created = self.trace.where("ThreadCreate")
        if not len(created):
            return np.zeros(len(index), dtype=np.int64)
        names, number = factorize(np.concatenate([self.trace.arg0[created], address]))
        size = len(self.trace) + 1
        ranked = np.sort(number[: len(created)] * size + created)
        wanted = number[len(created) :]
        del names
        return np.searchsorted(ranked, wanted * size + index) - np.searchsorted(ranked, wanted * size)

    @cached_property
    def switched(self) -> bool:
        """Whether the trace shows threads at all."""
        return bool(len(self.trace.where("ThreadSwitch")))

    @cached_property
    def all_known(self) -> bool:
        """Whether every record's thread is known by its address."""
        return bool((self.address != 0).all())

    def find(self, address: Words, index: Indices) -> Indices:
        """Return the numbers of the threads that records `index` name by their KTHREAD; -1: it never had a CPU."""
        if not len(self.address) or not len(index):
            return np.full(len(index), -1, dtype=np.int64)
        life = self._lives(address, index + 1)
        names, number = factorize(np.concatenate([self.address, address]))
        del names
        most = int(max(self.life.max(), life.max(initial=0))) + 1
        ranked, wanted = number[: len(self.address)] * most + self.life, number[len(self.address) :] * most + life
        order = np.argsort(ranked)
        at = np.minimum(np.searchsorted(ranked[order], wanted), len(order) - 1)
        return np.where((ranked[order[at]] == wanted) & (address != 0), order[at], -1)

    @cached_property
    def spell(self) -> Lookup:
        """For each record the number of the spell that it was made in."""
        return Lookup(lambda index: np.searchsorted(self._place, self.trace.position[index], side="right") - 1)

    @cached_property
    def number(self) -> Lookup:
        """For each record the number of the thread that had the CPU."""
        return Lookup(lambda index: self.spells.thread[self.spell[index]])

    @cached_property
    def rank(self) -> Lookup:
        """The place of each record in `order`."""

        def find(index: Indices) -> Indices:
            spell = self.spell[index]
            rank: Indices = self._before[spell] + self.trace.position[index] - self._place[spell]
            return rank

        return Lookup(find)

    @cached_property
    def order(self) -> Indices:
        """All records, thread after thread, each thread's in the order in which it made them, on whatever CPU."""
        shift = self._place[self._turns] - self._before[self._turns]
        order: Indices = self.trace.by_cpu[np.arange(len(self.trace)) + np.repeat(shift, self._lengths)]
        return order

    def previous(self, members: Flags) -> Indices:
        """Return for each record the one before it of the same thread, among some; -1 where none, and for all others.

        Args:
            members: the records that count.
        """
        chosen = members[self.order]
        chain = self.order[chosen]
        number = np.repeat(self.spells.thread[self._turns], self._lengths)[chosen]
        before = np.full(len(self.order), -1, dtype=np.int64)
        before[chain[1:]] = np.where(number[1:] == number[:-1], chain[:-1], -1)
        return before

    @cached_property
    def start_routines(self) -> Words:
        """Start routine of each thread; 0 where its creation is not in the trace."""
        routines = np.zeros(len(self.address), dtype=np.uint64)
        created = self.trace.where("ThreadCreate")
        number = self.find(self.trace.arg0[created], created)
        routines[number[number >= 0]] = self.trace.arg1[created[number >= 0]]
        return routines

    def name(self, number: int) -> str:
        """Return what a thread is called: by its start routine, else by its address."""
        routine, address = int(self.start_routines[number]), int(self.address[number])
        if routine:
            return f"thread {self.trace.symbols.name(routine)} ({address & 0xFFFF_FFFF:x})"
        return f"thread {self.trace.symbols.name(address)}" if address else "thread"
