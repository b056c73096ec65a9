# SPDX-License-Identifier: Apache-2.0
"""What a trace tells about its CPUs: the intervals of each kind, found once for oracle, statistics and pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from dirql.trace.decode import Trace
from dirql.trace.history.dispatcher import Dispatcher
from dirql.trace.history.dpcs import DpcRuns, dpc_runs
from dirql.trace.history.intervals import Contexts, Depths, Intervals, contexts, cover, pair, pair_nested, pair_records
from dirql.trace.history.irps import Irps
from dirql.trace.history.threads import Threads
from dirql.trace.lookup import Lookup
from dirql.trace.schema import Bytes, Flags, Indices

PASSIVE_LEVEL = 0
DISPATCH_LEVEL = 2
FIRST_APC_VECTOR = 0x1F
"""The lowest vector that IRQL rules (x64 level map: APC 0x1F, DPC 0x2F, devices from 0x30); below are exceptions."""
CONTEXT_EVENTS = ("InterruptEnter", "InterruptExit")
"""Without these nobody knows which of a CPU's records belong together: see `History.in_frames`."""
THREAD_EVENTS = (*CONTEXT_EVENTS, "ThreadSwitch")
"""Without these nobody knows it of what is done below DISPATCH_LEVEL: see `History.previous`."""
SPURIOUS_VECTOR = 0xDF
"""The local APIC's spurious vector: it may arrive at any IRQL and is never in service."""


def vector_of(trace: Trace, index: Indices) -> Indices:
    """Return the vectors of InterruptEnter or InterruptExit records."""
    return (trace.arg0[index] & np.uint64(0xFF)).astype(np.int64)


def interrupted_irql(trace: Trace, index: Indices) -> Indices:
    """Return the interrupted IRQLs of InterruptEnter or InterruptExit records."""
    return ((trace.arg0[index] >> np.uint64(8)) & np.uint64(0xFF)).astype(np.int64)


class History:
    """The intervals of a trace. Each is computed when it is first asked for."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    @cached_property
    def interrupts(self) -> Intervals:
        """InterruptEnter to InterruptExit by vector, those that IRQL does not rule left out."""
        trace = self.trace
        index = trace.where("InterruptEnter", "InterruptExit")
        index = index if trace.recorded("InterruptEnter", "InterruptExit") else index[:0]
        vector = vector_of(trace, index)
        index = index[(vector >= FIRST_APC_VECTOR) & (vector != SPURIOUS_VECTOR)]
        level = None
        if len(self.threaded_dpcs.start) or len(self.threaded_dpcs.running):
            # The DPC interrupt may come again on a CPU, in the threaded DPC that it has begun.
            inside = cover(trace, self.threaded_dpcs)[trace.position[index]]
            level = inside.astype(np.uint64) << np.uint64(8)
        return pair_records(trace, index, trace.meta.events["InterruptEnter"], 0xFF, level)

    @cached_property
    def frames(self) -> Intervals:
        """The interrupts above DISPATCH_LEVEL.

        Those at or below (the DPC and APC interrupts) end in another thread, or begin a threaded DPC at PASSIVE_LEVEL
        (older guests), so that what follows their entry need not belong to them; nothing above can.
        """
        spans = self.interrupts
        return _choose(self.trace, spans, DISPATCH_LEVEL + 1)

    @cached_property
    def isrs(self) -> Intervals:
        """IsrEnter to IsrExit by KINTERRUPT."""
        return pair(self.trace, "IsrEnter", "IsrExit")

    @cached_property
    def syncs(self) -> Intervals:
        """SyncEnter to SyncExit by KINTERRUPT."""
        return pair(self.trace, "SyncEnter", "SyncExit")

    @cached_property
    def dpcs(self) -> Intervals:
        """DpcStart to DpcEnd by KDPC."""
        return pair(self.trace, "DpcStart", "DpcEnd")

    @cached_property
    def holds(self) -> Intervals:
        """LockAcquired to LockReleased by lock."""
        return pair(self.trace, "LockAcquired", "LockReleased")

    @cached_property
    def waits(self) -> Intervals:
        """LockWait to LockAcquired by lock: those of locks that were waited for.

        What is `unstarted` or `inherited` are acquisitions without a wait.
        """
        trace = self.trace
        wait, acquired = trace.where("LockWait"), trace.where("LockAcquired")
        if len(wait) * 8 > len(acquired) or not trace.recorded("LockWait", "LockAcquired"):
            return pair(trace, "LockWait", "LockAcquired")
        index = np.sort(np.concatenate([wait, acquired[np.isin(trace.arg0[acquired], np.unique(trace.arg0[wait]))]]))
        return pair_records(trace, index, trace.meta.events["LockWait"], (1 << 64) - 1)

    @cached_property
    def shared_holds(self) -> Intervals:
        """LockSharedAcquired to LockSharedReleased by lock."""
        return pair(self.trace, "LockSharedAcquired", "LockSharedReleased")

    @cached_property
    def shared_waits(self) -> Intervals:
        """LockSharedWait to LockSharedAcquired by lock; see `waits`."""
        return pair(self.trace, "LockSharedWait", "LockSharedAcquired")

    @cached_property
    def threaded_dpcs(self) -> Intervals:
        """ThreadedDpcStart to ThreadedDpcEnd by KDPC."""
        return pair(self.trace, "ThreadedDpcStart", "ThreadedDpcEnd")

    @cached_property
    def apcs(self) -> Intervals:
        """ApcStart to ApcEnd by KAPC and thread. A thread may wait, and go on on another CPU, in between."""
        return pair(self.trace, "ApcStart", "ApcEnd", group=self.threads.number, order=self.threads.rank)

    @cached_property
    def work_items(self) -> Intervals:
        """WorkStart to WorkEnd by work item and thread; see `apcs`."""
        return pair(self.trace, "WorkStart", "WorkEnd", group=self.threads.number, order=self.threads.rank)

    @cached_property
    def cases(self) -> Intervals:
        """CaseBegin to CaseEnd by routine and thread; see `apcs`."""
        return pair(self.trace, "CaseBegin", "CaseEnd", group=self.threads.number, order=self.threads.rank)

    @cached_property
    def dispatches(self) -> Intervals:
        """IrpCall to IrpReturn by IRP and thread; see `apcs`. A dispatch routine may pass its IRP on."""
        return pair_nested(self.trace, "IrpCall", "IrpReturn", group=self.threads.number, order=self.threads.rank)

    @cached_property
    def start_ios(self) -> Intervals:
        """StartIoEnter to StartIoExit by device. A StartIo routine may have the next packet started."""
        return pair_nested(self.trace, "StartIoEnter", "StartIoExit")

    @cached_property
    def irps(self) -> Irps:
        """What became of each IRP."""
        return Irps(self.trace)

    @cached_property
    def ipi_calls(self) -> Intervals:
        """IpiCallEnter to IpiCallExit by routine."""
        return pair(self.trace, "IpiCallEnter", "IpiCallExit")

    @cached_property
    def threads(self) -> Threads:
        """Which thread had each CPU when."""
        return Threads(self.trace)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """What became of each thread."""
        return Dispatcher(self)

    @cached_property
    def interrupts_around(self) -> Depths:
        """How many interrupts each record is in, laid out CPU after CPU."""
        return cover(self.trace, self.interrupts)

    @cached_property
    def of_threads(self) -> Flags:
        """Which records their thread made itself, in no interrupt: all but the switches from thread to thread."""
        trace = self.trace
        own: Flags = (self.interrupts_around == 0)[trace.position]
        own[trace.where("ThreadSwitch", "InterruptEnter", "InterruptExit")] = False
        return own

    @cached_property
    def previous(self) -> Lookup:
        """For each record the one before it in the same context; -1 where none.

        At DISPATCH_LEVEL and above that is the CPU's, without what interrupted it (`frames`). Below it is the thread's
        own, on whatever CPU that was: what a record says may have been done before the thread was preempted.
        """
        return Lookup(lambda index: self._beside(index, self.in_frames.previous, lambda: self._previous_of_threads))

    @cached_property
    def following(self) -> Lookup:
        """For each record the one after it in the same context; -1 where none. See `previous`."""
        return Lookup(lambda index: self._beside(index, self.in_frames.following, lambda: self._following_of_threads))

    @cached_property
    def _previous_of_threads(self) -> Indices:
        return self.threads.previous(self.of_threads)

    @cached_property
    def _following_of_threads(self) -> Indices:
        return _inverse(self._previous_of_threads)

    def _beside(self, index: Indices, of_cpus: Indices, of_threads: Callable[[], Indices]) -> Indices:
        """Look in the threads for the neighbours of what they did below DISPATCH_LEVEL, else on the CPU."""
        found = of_cpus[index]
        if self.threads.switched:
            low = np.flatnonzero(self.trace.irql[index] < DISPATCH_LEVEL)
            if len(low):
                low = low[self.of_threads[index[low]]]
                found[low] = of_threads()[index[low]]
        return found

    @cached_property
    def previous_here(self) -> Lookup:
        """The same as `previous`; -1 where that was on another CPU, whose clock may differ."""
        cpu = self.trace.cpu

        def here(index: Indices) -> Indices:
            before = self.previous[index]
            return np.where((before >= 0) & (cpu[before] == cpu[index]), before, -1)

        return Lookup(here)

    @cached_property
    def earliest(self) -> Lookup:
        """For each record, in ticks, a time before which what it records cannot have been done.

        That is the time of the record before it in its context, less the clocks' skew.
        """
        long_ago = np.iinfo(np.int64).min // 4

        def since(index: Indices) -> Indices:
            before = self.previous[index]
            return np.where(before >= 0, self.trace.time[before], long_ago) - self.trace.skew_ticks

        return Lookup(since)

    @cached_property
    def halts(self) -> tuple[Indices, Indices]:
        """Each IdleEnter, and the next record of its CPU, which ends the halt (itself, where the trace ends first)."""
        trace = self.trace
        start = trace.where("IdleEnter")
        following = trace.by_cpu[np.minimum(trace.position[start] + 1, max(len(trace) - 1, 0))]
        return start, np.where(trace.cpu[following] == trace.cpu[start], following, start)

    @cached_property
    def in_frames(self) -> Contexts:
        """The context of each record among `frames`."""
        return contexts(self.trace, self.frames)

    @cached_property
    def in_routines(self) -> Contexts:
        """The context of each record among frames, service routines, synchronised routines and DPCs."""
        return contexts(self.trace, self.frames, self.isrs, self.syncs, self.dpcs)

    @cached_property
    def dpc_runs(self) -> DpcRuns:
        """Which insertion of a DPC led to which run."""
        return dpc_runs(self.trace, self.in_frames, self.previous)

    @cached_property
    def irql_after(self) -> Bytes:
        """The IRQL of the record's CPU from this record on, until something else is known.

        It is the record's own, except where the event announces a change (IrqlLower), is PASSIVE_LEVEL by its meaning
        (IdleEnter), or is recorded at a raised IRQL that ends with the act: queuing a DPC leaves the IRQL as it was.
        """
        trace = self.trace
        level = trace.irql.copy()
        lower = trace.where("IrqlLower")
        level[lower] = ((trace.arg0[lower] >> np.uint64(8)) & np.uint64(0xFF)).astype(np.uint8)
        level[trace.where("IdleEnter")] = PASSIVE_LEVEL
        mine = trace.by_cpu
        lasting = np.ones(len(trace), dtype=np.bool_)
        lasting[trace.where("DpcInsert", "DpcRemove", "IpiSend")] = False
        lasting[mine[np.flatnonzero(np.diff(trace.cpu[mine].astype(np.int64), prepend=-1))]] = True
        source = np.maximum.accumulate(np.where(lasting[mine], np.arange(len(mine)), 0)) if len(mine) else mine
        level[mine] = level[mine[source]]
        return level


def _inverse(before: Indices) -> Indices:
    after = np.full(len(before), -1, dtype=np.int64)
    known = np.flatnonzero(before >= 0)
    after[before[known]] = known
    return after


def _choose(trace: Trace, spans: Intervals, lowest: int) -> Intervals:
    """Keep the interrupts of IRQL `lowest` and above."""

    def above(index: Indices) -> Indices:
        return index[vector_of(trace, index) >> 4 >= lowest]

    keep = vector_of(trace, spans.start) >> 4 >= lowest
    return Intervals(
        start=spans.start[keep],
        end=spans.end[keep],
        cpu=spans.cpu[keep],
        key=spans.key[keep],
        running=above(spans.running),
        unended=above(spans.unended),
        inherited=above(spans.inherited),
        unstarted=above(spans.unstarted),
    )
