# SPDX-License-Identifier: Apache-2.0
"""I/O requests in flight: many at once, from any CPUs, each a future.

In `mt` and `kvm` word of posted requests goes to the guest once for many, and word of ended ones comes back likewise.
In `icount` the machine stands still between the calls of the harness: it runs on while one waits for a request, and for
as long as a driver's routine needs to return after one was begun. What is done in one order gives one trace.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from dirql.errors import GuestHang, UsageError, WaitTimeout
from dirql.futures import DEFAULT_TIMEOUT, RequestFuture
from dirql.guest.iochannel import IoChannel, IoOutcome, IoRequest
from dirql.irps import where_is
from dirql.qemu.waits import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dirql.errors import DirqlError
    from dirql.machine import Machine

T = TypeVar("T")

_RETURN = 0.05
"""icount: seconds of virtual time for a driver's routine to return before the harness goes on without it."""
_UNITS = 10_000_000
"""Of 100 ns in a second."""


class Requests:
    """The requests of one machine.

    Args:
        machine: whose.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._lock = threading.Lock()  # of all below; taken inside the watch's lock, never around it
        self._turn = threading.RLock()  # icount: who has the machine run
        self._made: IoChannel | None = None
        self._futures: dict[int, RequestFuture[Any]] = {}
        self._holding = 0
        self.generation = 0
        """Counts the resets: what was opened before is gone."""

    @property
    def machine_failed(self) -> bool:
        """Whether the machine has ended or failed."""
        return self._machine.session.watch.failed or self._machine.session.watch.lost

    @property
    def in_flight(self) -> tuple[RequestFuture[Any], ...]:
        """Those that have not ended, the oldest first."""
        self.look()
        with self._lock:
            return tuple(self._futures.values())

    def submit(
        self, request: IoRequest, name: str, convert: Callable[[IoOutcome], T], timeout: float | Deadline, *, now: bool
    ) -> RequestFuture[T]:
        """Begin a request.

        Args:
            request: what.
            name: what it is about, for messages.
            convert: makes its result.
            timeout: seconds for a place to become free, or a deadline.
            now: the caller waits for it next.

        Raises:
            UsageError: there is no such CPU or IRQL, or never room for as many bytes.
            WaitTimeout: there are too many in flight.
            GuestError, MachineLost: the machine failed.
        """
        self._machine.session.watch.check()
        self._check(request, name)
        deadline = Deadline.of(timeout)
        future = self._try(request, name, convert)
        while future is None:
            self._push()
            if not self._progress(deadline):
                raise WaitTimeout(f"{name}: {len(self._futures)} requests are in flight, and none ended in time")
            future = self._try(request, name, convert)
        if not self._holding and not (now and self._machine.rendezvous is not None):
            self._push(None if self._machine.rendezvous is None else future)
        return future

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Post what is begun inside all at once: the guest is told when the block ends, or somebody waits."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            self._push()

    def cancel(self, futures: Sequence[RequestFuture[Any]]) -> int:
        """Ask for cancellation of those that are in flight; return how many that were."""
        with self._lock:
            self._take()
            found = [future for future in futures if self._futures.get(future.slot) is future]
            for future in found:
                self._channel.cancel(future.slot)
        if found:
            self._push()
        return len(found)

    def wait_for(
        self, futures: Sequence[RequestFuture[Any]], timeout: float | Deadline, *, first: bool = False
    ) -> bool:
        """Wait for the end of all of them, or of the first.

        Returns:
            Whether it came in time.

        Raises:
            GuestError, MachineLost: the machine failed.
        """
        enough = any if first else all
        deadline = Deadline.of(timeout)
        self.look()
        if self._machine.rendezvous is not None:
            return self._run_for(futures, deadline, first=first)
        self._push()

        def probe() -> bool | None:
            self.look()
            return enough(future.ended for future in futures) or None

        return bool(self._machine.session.watch.wait_or_none(probe, deadline))

    def look(self) -> None:
        """Take in what has ended."""
        with self._lock:
            self._take()

    def on_frame(self) -> None:
        """Take in what has ended, at the guest's word; the next brings another."""
        with self._lock:
            if self._made is not None:
                self._take()
                self._made.want_word()
                self._take()

    def forget(self) -> None:
        """Start anew: the machine is being reset."""
        with self._lock:
            futures, self._futures, self._made = tuple(self._futures.values()), {}, None
            self.generation += 1
        for future in futures:
            future.end(None, UsageError(f"{future.name}: the machine was reset before it ended"))

    def take_file(self) -> int:
        """Return an index for a file that is about to be opened.

        Raises:
            UsageError: there are none left.
        """
        with self._lock:
            files = self._channel.files
            if not files:
                raise UsageError("too many files are open on this machine; close some")
            return files.popleft()

    def give_file(self, file: int) -> None:
        """Give back the index of a file that is closed."""
        with self._lock:
            self._channel.files.append(file)

    def state(self, slot: int) -> str:
        """Return how a slot that is in use stands: HOST_IO_STATE without its prefix."""
        return self._channel.state(slot)

    def hang(self, future: RequestFuture[Any], text: str) -> DirqlError:
        """Return the error that says where a request is that does not end."""
        return self._machine.explain(GuestHang(f"{text}; {where_is(self._machine, future)}"))

    def _check(self, request: IoRequest, name: str) -> None:
        if not 0 <= request.cpu < self._machine.cpus:
            raise UsageError(f"{name}: the machine has no CPU {request.cpu}; it has {self._machine.cpus}")
        if not 0 <= request.irql <= 2:
            raise UsageError(f"{name}: drivers are called at IRQL 0, 1 or 2; not {request.irql}")
        if not 0 <= request.priority <= 31:
            raise UsageError(f"{name}: a thread has priority 1 to 31, or 0 for the usual one; not {request.priority}")
        if not self._channel.fits(request):
            raise UsageError(
                f"{name}: {len(request.data)} + {request.out_bytes} bytes are more than the {self._channel.arena.size} "
                "that there are for all requests; divide it"
            )

    @property
    def _channel(self) -> IoChannel:
        if self._made is None:
            self._made = IoChannel(self._machine.memory)
            if self._machine.rendezvous is None:
                self._made.want_word()
        return self._made

    def _take(self) -> None:
        """Take in what has ended. The lock is held."""
        if self._made is not None:
            for slot, outcome in self._made.take_finished():
                self._futures.pop(slot).end(outcome)

    def _try(self, request: IoRequest, name: str, convert: Callable[[IoOutcome], T]) -> RequestFuture[T] | None:
        """Post a request; None where there is no room now."""
        with self._lock:
            self._take()
            slot = self._channel.post(request)
            if slot is None:
                return None
            future = RequestFuture(self, request, name, convert, slot)
            self._futures[slot] = future
            return future

    def _push(self, future: RequestFuture[Any] | None = None) -> None:
        """Tell the guest what has been posted. icount: let it run until the driver's routine has returned."""
        if self._machine.rendezvous is not None:
            if future is None:
                self._run("Nothing", 0, 0.0)
            else:
                self._run("Return", future.slot, _RETURN)
            return
        with self._lock:
            told = self._channel.guest_wants_word()
        if told:
            self._machine.link.notify("Io", DEFAULT_TIMEOUT)

    def _progress(self, deadline: Deadline) -> bool:
        """Wait until any request ends; False: none did."""
        with self._lock:
            futures = tuple(self._futures.values())
        return bool(futures) and self.wait_for(futures, deadline, first=True)

    def _run(self, what: str, which: int, seconds: float) -> bool:
        """icount: have the guest take what is posted, and run until something is there."""
        kinds = self._machine.kernel.debug.enumeration("HOST_IO_WAIT")
        units = max(int(seconds * _UNITS), 1)
        with self._turn:
            came = self._machine.link.request(
                "Io",
                kinds[f"HostIoWait{what}"],
                which,
                units,
                what="a request to end",
                timeout=seconds + 2 * DEFAULT_TIMEOUT,
            )[0]
        self.look()
        return bool(came)

    def _run_for(self, futures: Sequence[RequestFuture[Any]], deadline: Deadline, *, first: bool) -> bool:
        """icount: run until they have ended. The time is the machine's: each step has as much as was given in all."""
        while waiting := [future for future in futures if not future.ended]:
            if first and len(waiting) < len(futures):
                return True
            if first and len(waiting) > 1:
                with self._lock:
                    head = self._channel.finished_head
                came = self._run("Any", head, deadline.seconds)
            else:
                came = self._run("Slot", waiting[0].slot, deadline.seconds)
            if not came:
                return False
        return True
