# SPDX-License-Identifier: Apache-2.0
"""Empties all trace rings into the run's folder, live, while the guest runs; `ringreader` says why no lock is needed.

Whoever wants to look at the records on their way is an `Observer`. What one of them finds ends the collection, after so
many more records or so long as is asked for.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

from dirql.errors import DirqlError, ProtocolError
from dirql.trace.folder import trace_folder
from dirql.trace.live.livefile import LiveFile
from dirql.trace.live.ringfile import LastRecordsFile, RecordFile
from dirql.trace.live.ringreader import RingReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dirql.trace.schema import Records
    from dirql.trace.triggered import Triggered

__all__ = ["Collected", "Collector", "Observer", "RingReader"]

FASTEST_POLL_S = 0.001
SLOWEST_POLL_S = 0.016
_BUSY = 1 / 8
_FILLING = 1 / 2
"""How full a ring is when it is looked at as often as possible, and when there is no pause at all."""


class Observer(Protocol):
    """Looks at records on their way to the files."""

    def observe(self, cpu: int, records: Records) -> Triggered | None:
        """Look at records of a CPU, in its order; they are valid during the call.

        Returns:
            What ends the collection; None: it goes on.
        """


@dataclass(frozen=True)
class Collected:
    """What a collector brought home.

    Attributes:
        records: per CPU, records in its file.
        lost: per CPU, records that are not.
        cut: the machine ended under the trace.
        horizon: TSC up to which the files hold what every CPU did; None where the machine does not run any more.
        notes: what a reader should know.
        let_go: per CPU, records that were in its file and were given up, the oldest first.
        triggered: what ended the collection; None: nothing did.
    """

    records: tuple[int, ...]
    lost: tuple[int, ...]
    cut: bool
    horizon: int | None
    notes: tuple[str, ...]
    let_go: tuple[int, ...] = ()
    triggered: Triggered | None = None


class Collector:
    """Empties all rings into the run's folder while the guest runs.

    A thread polls the rings, more often while they fill, less often while they are quiet. It needs nothing of QEMU but
    the shared RAM, so it also brings home what a killed machine left there. Use as a context manager, or call `start`
    and `stop`.

    Args:
        run: the run's folder.
        rings: one reader per CPU, in order.
        last: keep only so many records of each CPU, the last ones; None: all.
        observers: see every record.
        ended: called once, by any thread and without a lock held, when an observer has ended the collection.

    Attributes:
        after_records: records of all CPUs that are still kept after the one that ends the collection.
        after_ticks: for how long, in ticks of the TSC. Both have to be over.
    """

    def __init__(
        self,
        run: Path,
        rings: Sequence[RingReader],
        *,
        last: int | None = None,
        observers: Sequence[Observer] = (),
        ended: Callable[[], None] | None = None,
    ) -> None:
        self._run = run
        self._rings = list(rings)
        self._files: list[RecordFile] = []
        self._last = last
        self._observers = list(observers)
        self._tell_end = ended
        self.after_records = 0
        self.after_ticks = 0
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._triggered: Triggered | None = None
        self._count_then = 0
        self._ended: Collected | None = None
        self._result: Collected | None = None

    def __enter__(self) -> Collector:
        """Start."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop; an exception on its way out makes the trace a cut one."""
        self.stop(cut=kind is not None)

    @property
    def triggered(self) -> Triggered | None:
        """What ended the collection, or is about to."""
        return self._triggered

    @property
    def count(self) -> int:
        """Records taken so far."""
        return sum(file.kept + file.let_go for file in self._files)

    @property
    def seconds(self) -> float:
        """CPU time that the polling thread has taken so far, in seconds; 0 where it does not run."""
        if self._thread is None or self._thread.ident is None or not self._thread.is_alive():
            return 0.0
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident))

    def start(self) -> None:
        """Open the files and start to poll."""
        trace_folder(self._run).mkdir(parents=True, exist_ok=True)
        cpus = range(len(self._rings))
        if self._last is None:
            self._files = [RecordFile(self._run, cpu) for cpu in cpus]
        else:
            self._files = [LastRecordsFile(self._run, cpu, self._last) for cpu in cpus]
        self._live = LiveFile(self._run, len(self._rings))
        self._thread = threading.Thread(target=self._poll_until_stopped, name="dirql-trace", daemon=True)
        self._thread.start()

    def trigger(self, found: Triggered, already: int = 0) -> None:
        """End the collection, as an observer may; the first to do so counts.

        Args:
            found: the reason.
            already: so many records after it are in the files.
        """
        with self._lock:
            if self._triggered is None and self._result is None:
                self._triggered = found
                self._count_then = self.count - already

    def drain(self, look: Callable[[Collected], None] | None = None) -> Collected:
        """Take what is committed now, and go on.

        Args:
            look: called with what is returned before anything more is written.

        Raises:
            ProtocolError: if a ring is not what it should be.
            OSError: if a file cannot be written.
        """
        with self._lock:
            self._check()
            if self._ended is None:
                horizon = self._poll_to_horizon()
                collected = self._summary(cut=False, horizon=horizon)
            else:
                collected = self._ended
            if look is not None:
                look(collected)
            return collected

    def stop(self, *, cut: bool = False) -> Collected:
        """Drain a last time, close the files, let go of the RAM. Calling it again returns the same.

        Args:
            cut: the machine was killed or lost: its CPUs will not complete what they began.

        Raises:
            ProtocolError: if a ring was not what it should be; the files are closed all the same.
            OSError: if a file could not be written; likewise.
        """
        if self._result is not None:
            return self._result
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            horizon = None
            try:
                self._check()
                if self._ended is None and cut:
                    self._poll(last=True)
                elif self._ended is None:
                    horizon = self._poll_to_horizon()
            finally:
                self._result = self._ended or self._summary(cut=cut, horizon=horizon)
                self._close()
            self._result = replace(
                self._result,
                records=tuple(file.kept for file in self._files),
                let_go=tuple(file.let_go for file in self._files),
            )
        return self._result

    def _poll_to_horizon(self) -> int:
        """Poll twice, and tell up to which TSC what is now in the files is all that the CPUs did.

        What the first pass read had happened before the second began, so the second finds whatever other CPUs did up to
        then. A CPU that still has not completed a record is only known up to its last one.
        """
        self._poll()
        horizon = max((ring.last_time for ring in self._rings), default=0)
        unsettled = [ring for ring in self._rings if ring.pending]
        self._poll()
        return min([horizon, *(ring.last_time for ring in unsettled if ring.pending)])

    def _summary(self, *, cut: bool, horizon: int | None) -> Collected:
        notes = [
            f"CPU {cpu}: the guest was reset; the trace ends there"
            for cpu, ring in enumerate(self._rings)
            if ring.restarted
        ]
        found = self._triggered
        return Collected(
            records=tuple(file.kept for file in self._files),
            lost=tuple(ring.lost for ring in self._rings),
            cut=cut or bool(notes) or self._failure is not None,
            horizon=horizon,
            notes=tuple(notes),
            let_go=tuple(file.let_go for file in self._files),
            triggered=None if found is None else replace(found, kept=self.count - self._count_then),
        )

    def _close(self) -> None:
        self._live.close()
        for ring in self._rings:
            ring.release()
        for file in self._files:
            file.close()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._result is not None:
            raise ProtocolError("the trace collector is stopped")

    def _poll(self, *, last: bool = False) -> float:
        """Empty each ring once; return how full the fullest was."""
        fullest = 0.0
        for cpu, ring in enumerate(self._rings):
            fullest = max(fullest, ring.fill)
            ring.take_into(self._keepers[cpu], last=last)
        self._live.passed(self._rings)
        return fullest

    @cached_property
    def _keepers(self) -> list[Callable[[Records], None]]:
        """What takes each CPU's records: its file, and whoever looks at them."""
        if not self._observers:
            return [file.write for file in self._files]
        return [partial(self._keep_and_look, cpu, file) for cpu, file in enumerate(self._files)]

    def _keep_and_look(self, cpu: int, file: RecordFile, records: Records) -> None:
        file.write(records)
        if self._triggered is None:
            for observer in self._observers:
                found = observer.observe(cpu, records)
                if found is not None:
                    self.trigger(found, int(records["Sequence"][-1]) - found.sequence & 0xFFFF_FFFF)
                    return

    def _over(self) -> bool:
        """Whether what was to follow the record that ends the collection is there."""
        found = self._triggered
        if found is None or self.count - self._count_then < self.after_records:
            return False
        latest = max((ring.last_time for ring in self._rings), default=0)
        return latest - found.tsc >= self.after_ticks

    def _poll_until_stopped(self) -> None:
        pause = FASTEST_POLL_S
        while not self._stopping.wait(pause):
            try:
                with self._lock:
                    fullest = self._poll()
                    if self._over():
                        self._ended = self._summary(cut=False, horizon=self._poll_to_horizon())
            except (DirqlError, OSError, ValueError) as failure:
                self._failure = failure
                return
            if self._ended is not None:
                if self._tell_end is not None:
                    self._tell_end()
                return
            if fullest > _FILLING:
                pause = 0
            else:
                pause = FASTEST_POLL_S if fullest > _BUSY else min(SLOWEST_POLL_S, max(pause, FASTEST_POLL_S) * 2)
