# SPDX-License-Identifier: Apache-2.0
"""Recording a machine: its trace collected live into the run's folder, its clock tied to the host's, its names kept.

with Recording(machine, folder, stop_on=("violation",), after="2ms") as recording:
    ...
trace = recording.load()

A trace can be read whatever ends it: from the beginning on, `meta.json` is there and says that the trace is cut, and
what has been collected is in the files.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from dirql.errors import DirqlError, RecordingStopped
from dirql.guest.memory import physical
from dirql.naming import Names
from dirql.qemu.waits import Deadline
from dirql.trace.clock import Clock
from dirql.trace.events import mask_of
from dirql.trace.folder import TraceMeta, load, trace_folder, write_meta
from dirql.trace.live.collect import Collected, Collector, RingReader
from dirql.trace.live.conditions import parse_after, parse_condition
from dirql.trace.live.triggers import HoldTrigger, RecordTrigger
from dirql.trace.namefiles import read_names
from dirql.trace.schema import RingLayout, record_dtype
from dirql.trace.symbols import SymbolTable

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from dirql.machine import Machine
    from dirql.recordingoptions import RecordingOptions
    from dirql.trace.accounting import Accounting
    from dirql.trace.decode import Trace
    from dirql.trace.live.rounds import OracleRounds
    from dirql.trace.triggered import Triggered

ICOUNT_HZ = 1e9
"""Under icount the TSC counts nanoseconds of virtual time."""

_SYNC_PAIRS = 200
_SYNC_TIMEOUT = 10.0
_HOLD_TIMEOUT = 30.0
_PAIR_BYTES = 16


def clock_pairs(machine: Machine) -> list[tuple[int, int]]:
    """Return pairs of host time (CLOCK_MONOTONIC, ns) and guest time (TSC) that were seen together."""
    link, ram = machine.link, machine.session.ram
    address, now = link.clock_address, time.monotonic_ns
    ram.store64(address, now())
    deadline = Deadline(_SYNC_TIMEOUT)
    number = link.post("TimeSync", (_SYNC_PAIRS,), deadline)
    while not link.replied(number) and not deadline.expired:
        ram.store64(address, now())
        machine.session.watch.check()
    count = link.wait_reply(number, "the guest to compare clocks", deadline)[0]
    data = link.read_buffer(0, count * _PAIR_BYTES)
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]
    return list(zip(words[::2], words[1::2], strict=True))


class Recording:
    """Records a machine into a run's folder, from here until the block ends or it stops on what it was told to.

    Args:
        machine: the machine, ready.
        folder: the run's folder.
        options: what to keep, what to stop on; None: as the machine's configuration says. `changes` are fields of it.

    Raises:
        UsageError: an option is out of range.

    Attributes:
        accounting: set it before the end: the host's counts of what it sent.
        cut: whether the machine ended under the recording.
    """

    def __init__(
        self, machine: Machine, folder: Path, options: RecordingOptions | None = None, **changes: object
    ) -> None:
        self.machine = machine
        self.folder = folder
        self.options = replace(options or machine.config.recording, **changes)  # type: ignore[arg-type]
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
        self._triggers = [
            HoldTrigger(each, machine.trace_events, machine.cpus)
            if each.kind == "hold"
            else RecordTrigger(each, machine.trace_events)
            for each in self.options.conditions
            if each.kind != "violation"
        ]
        self._collector = Collector(
            folder, rings, last=self.options.last, observers=self._triggers, ended=self._ended_early
        )
        self._collector.after_records, self._after_ns = parse_after(self.options.after)
        self._rounds: list[OracleRounds] = []
        self._stopped = threading.Event()
        self._always: int | None = None
        self._result: Collected | None = None
        self._pairs: list[tuple[int, int]] = []
        self._names = Names(machine)

    @property
    def triggered(self) -> Triggered | None:
        """What it stopped on, or is about to stop on; None: nothing yet."""
        if self._result is not None:
            return self._result.triggered
        return self._collector.triggered

    @property
    def stopped(self) -> bool:
        """Whether it has stopped on what it was told to, with all that was to follow."""
        return self._stopped.is_set()

    @property
    def count(self) -> int:
        """Records collected so far, of all CPUs."""
        return self._collector.count

    @property
    def collector_seconds(self) -> float:
        """CPU time, in seconds, that its collector has taken so far."""
        return self._collector.seconds

    def wait_stopped(self, timeout: float) -> Triggered | None:
        """Wait until it has stopped on what it was told to, with all that was to follow.

        Args:
            timeout: seconds.

        Returns:
            What it stopped on; None: it has not.
        """
        return self.triggered if self._stopped.wait(timeout) else None

    def enable(self, *names: str) -> None:
        """Record these classes of events (or events), too, from now on."""
        self._switch(self.machine.trace_mask | mask_of(self.machine.trace_events, names))

    def disable(self, *names: str) -> None:
        """Record these classes of events (or events) no more. The oracle cannot judge what would need them."""
        self._switch(self.machine.trace_mask & ~mask_of(self.machine.trace_events, names))

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
        self.machine.on_load.append(self._loaded)
        try:
            if self.options.classes is not None:
                self.machine.trace(*self.options.classes)
            self.synchronize()
            self._provisional()
            self._arm()
        except BaseException:
            self._finish(cut=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Hold the machine, bring the rest home, write what it takes to read it. The machine stays held.

        Returns:
            True, so that nothing is raised, where the block ended because the recording holds the machine.
        """
        if error is None:
            try:
                if not self._held:
                    self.synchronize()
                    self._hold()
            except BaseException:
                self._finish(cut=True)
                raise
        stopped = isinstance(error, RecordingStopped)
        self._finish(cut=error is not None and not stopped)
        return stopped

    @property
    def _held(self) -> bool:
        """Whether it has stopped, and the machine stands still."""
        return self._stopped.is_set() and self.options.then == "hold"

    def _arm(self) -> None:
        """Begin to look for what it is to stop on."""
        rate = self._clock().ticks_per_ns
        self._collector.after_ticks = round(self._after_ns * rate)
        for trigger in self._triggers:
            trigger.calibrate(rate)
            trigger.resolve(self.machine.symbols.places)
        conditions = [each for each in self.options.conditions if each.kind == "violation"]
        if conditions:
            from dirql.trace.live.rounds import OracleRounds  # the oracle is only loaded where it is asked

            for condition in conditions:
                self._rounds.append(OracleRounds(self._collector, self.folder, self._meta, condition))
                self._rounds[-1].start()

    def _loaded(self) -> None:
        """A driver has been loaded: its names may be those that are waited for, and are kept in case we are killed."""
        for trigger in self._triggers:
            trigger.resolve(self.machine.symbols.places)
        self._names.write(self.folder)

    def _switch(self, mask: int) -> None:
        self.machine.set_trace_mask(mask)
        self._provisional()

    def _ended_early(self) -> None:
        """The collection has ended before its time (in the collector's thread)."""
        if self.options.then == "hold":
            found = self.triggered
            with suppress(DirqlError):
                self.machine.session.stop()
            self._stopped.set()
            self.machine.session.watch.fail(lambda: RecordingStopped(f"the recording stopped: {found}"))
        else:
            self._always = self.machine.always_traced  # the trace ends here: what is recorded later does not count
            self.machine.silence_trace()
            self._stopped.set()

    def _hold(self) -> None:
        """Bring the machine to a stand: at the rendezvous, always at the same instruction, or wherever its CPUs are."""
        if self.machine.rendezvous is not None:
            self.machine.rendezvous.wait_for_guest(_HOLD_TIMEOUT)
        else:
            self.machine.session.stop()

    def _provisional(self) -> None:
        """Write what it takes to read the trace if nobody comes to do so at the end."""
        nothing = Collected((), (), cut=True, horizon=None, notes=("the recording did not come to its end",))
        trace_folder(self.folder).mkdir(parents=True, exist_ok=True)
        write_meta(self.folder, self._meta(nothing))
        self._names.write(self.folder)

    def _finish(self, *, cut: bool) -> None:
        for rounds in self._rounds:
            rounds.stop()
        for listeners, mine in ((self.machine.on_removal, self._names.look), (self.machine.on_load, self._loaded)):
            if mine in listeners:
                listeners.remove(mine)
        collected = self._collector.stop(cut=cut)
        self._names.look()
        self._names.write(self.folder)
        failures = [f"the oracle could not judge while it ran: {each.failure}" for each in self._rounds if each.failure]
        meta = self._meta(replace(collected, notes=(*collected.notes, *failures)))
        if collected.triggered is not None:
            meta = self._trimmed(replace(meta, triggered=self._in_words(collected.triggered)))
            collected = replace(collected, triggered=meta.triggered)
        self._result = collected
        self.cut = collected.cut
        write_meta(self.folder, meta)

    def _meta(self, collected: Collected) -> TraceMeta:
        """What it takes to read what has been collected."""
        return TraceMeta(
            events=self.machine.trace_events,
            record_fields=self._record.places,
            record_size=self._record.size,
            mode=self.machine.config.mode,
            cpus=self.machine.cpus,
            clock=self._clock(),
            mask=self.machine.always_traced if self._always is None else self._always,
            lost=collected.lost,
            cut=collected.cut,
            horizon=collected.horizon,
            accounting=self.accounting,
            notes=collected.notes,
            let_go=collected.let_go,
            triggered=collected.triggered,
        )

    def _trimmed(self, meta: TraceMeta) -> TraceMeta:
        """Let the trace end where it was asked to: the collector comes now and then, and has taken more by then.

        Not after a violation, which was found later still: what happened meanwhile may be what shows it.
        """
        found = meta.triggered
        if found is None or parse_condition(found.condition).kind == "violation":
            return meta
        from dirql.trace.store import StoredTrace  # only where something was found
        from dirql.trace.window import Window

        stored = StoredTrace(self.folder, meta)
        since = int((found.tsc - stored.origin) / meta.clock.ticks_per_ns)
        part = stored.trace(Window(since=max(since - 1, 0)))
        times = part.time[part.time > found.tsc - stored.origin] + stored.origin
        end = found.tsc + self._collector.after_ticks
        wanted = self._collector.after_records
        if wanted:
            end = max(end, int(times[min(wanted, len(times)) - 1]) if len(times) else end)
        horizon = end if meta.horizon is None else min(end, meta.horizon)
        kept = int((times <= horizon).sum())
        return replace(meta, horizon=horizon, triggered=replace(found, kept=kept))

    def _in_words(self, found: Triggered) -> Triggered:
        """Say what the record was, with the names that are known by now."""
        if found.record is None:
            return found
        from dirql.trace.history.describe import describe_arguments  # only where something was found

        number, argument0, argument1 = found.record
        symbols = SymbolTable((), (), *read_names(trace_folder(self.folder)))
        words = describe_arguments(self.machine.trace_events.name(number), argument0, argument1, symbols)
        return replace(found, text=f"{words}: {found.text}" if found.text else words)

    def _clock(self) -> Clock:
        if self.machine.config.mode == "icount":
            return Clock(ICOUNT_HZ)
        with suppress(DirqlError):
            return Clock.fit(self._pairs)
        return Clock(ICOUNT_HZ)  # the machine was gone before its clock was known: times are in ticks
