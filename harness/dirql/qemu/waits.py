# SPDX-License-Identifier: Apache-2.0
"""Deadlines, and the one place where the waits of a machine meet.

Every wait in dirql has an end: it succeeds, its deadline passes, QEMU ends, or the guest fails. `Watch` is one
condition variable per machine. Whatever changes the state that somebody may be waiting for (a serial byte, a QMP event,
the end of the process) happens inside `with watch.changed()`, which wakes every wait to look again; nothing polls.
"""

from __future__ import annotations

import math
import os
import select
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from dirql.errors import DirqlError, MachineLost, UsageError, WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")


class Deadline:
    """A point on the monotonic clock.

    Args:
        seconds: from now, finite and not negative.

    Raises:
        UsageError: `seconds` is negative or not finite: no wait is without an end.
    """

    __slots__ = ("_at", "seconds")

    def __init__(self, seconds: float) -> None:
        if not math.isfinite(seconds) or seconds < 0:
            raise UsageError(f"a timeout is a finite number of seconds, zero or more; this one is {seconds}")
        self.seconds = float(seconds)
        self._at = time.monotonic() + self.seconds

    @classmethod
    def of(cls, timeout: float | Deadline) -> Deadline:
        """Return `timeout` if it is a deadline already, else a new deadline that many seconds from now."""
        return timeout if isinstance(timeout, Deadline) else cls(timeout)

    @property
    def remaining(self) -> float:
        """Seconds left; zero once it has passed."""
        return max(0.0, self._at - time.monotonic())

    @property
    def milliseconds(self) -> int:
        """Whole milliseconds left, rounded up, as `select.poll` wants them."""
        return math.ceil(self.remaining * 1000)

    @property
    def expired(self) -> bool:
        """Whether it has passed."""
        return self.remaining == 0.0


class Watch:
    """What all waits of one machine share: the condition, and the reasons for which they must give up.

    There are two such reasons. QEMU's end (`lose`) is for ever and ends every wait. The guest's failure (`fail`) ends
    the waits for something that the guest does, lasts until the machine is reset (`forgive`), and leaves QMP and qtest
    working, so that the machine can be looked at.

    Attributes:
        explain: called, without the lock, with every error that a wait is about to raise; what it returns is raised.
            The layers above put in what they know (console, CPU states).
    """

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.RLock())
        self._lost: Callable[[], DirqlError] | None = None
        self._failed: Callable[[], DirqlError] | None = None
        self._lost_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._failed_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closed = False
        self.explain: Callable[[DirqlError], DirqlError] | None = None

    @contextmanager
    def changed(self) -> Iterator[None]:
        """Hold the lock for a change of state, then wake every wait."""
        with self._condition:
            try:
                yield
            finally:
                self._condition.notify_all()

    def notify(self) -> None:
        """Wake every wait to look again."""
        with self.changed():
            pass

    def lose(self, cause: Callable[[], DirqlError]) -> None:
        """Say that QEMU has ended. The first cause stays.

        Args:
            cause: makes the error, anew for each wait that raises it.
        """
        with self.changed():
            if self._lost is None:
                self._lost = cause
                os.eventfd_write(self._lost_fd, 1)

    def fail(self, cause: Callable[[], DirqlError]) -> None:
        """Say that the guest has failed. The first cause stays until `forgive`.

        Args:
            cause: makes the error, anew for each wait that raises it.
        """
        with self.changed():
            if self._failed is None and not self._closed:
                self._failed = cause
                os.eventfd_write(self._failed_fd, 1)

    def forgive(self) -> None:
        """Forget the guest's failure: the machine has been reset."""
        with self.changed():
            if self._failed is not None and not self._closed:
                os.eventfd_read(self._failed_fd)
            self._failed = None

    @property
    def lost(self) -> bool:
        """Whether QEMU has ended."""
        return self._lost is not None

    @property
    def failed(self) -> bool:
        """Whether the guest has failed since the last reset."""
        return self._failed is not None

    def check(self, *, guest: bool = True) -> None:
        """Raise what ends all waits, if there is such a thing.

        Args:
            guest: count the guest's failure too.
        """
        with self._condition:
            cause = self._cause(guest)
        if cause is not None:
            raise self._explained(cause())

    def wait(self, probe: Callable[[], T | None], what: str, timeout: float | Deadline, *, guest: bool = True) -> T:
        """Wait until `probe` returns something.

        A result is preferred to a failure: what arrived before QEMU ended is still delivered.

        Args:
            probe: called with the lock held, first at once and then after each change; None means not yet.
            what: what is awaited, for the error's text.
            timeout: seconds, or a deadline.
            guest: whether the guest's failure ends this wait.

        Returns:
            What `probe` returned.

        Raises:
            WaitTimeout: the deadline passed.
            MachineLost: QEMU ended.
            GuestError: the guest failed, and `guest` is true.
        """
        deadline = Deadline.of(timeout)
        result = self.wait_or_none(probe, deadline, guest=guest)
        if result is None:
            raise self._explained(self.timeout(what, deadline))
        return result

    def wait_or_none(self, probe: Callable[[], T | None], timeout: float | Deadline, *, guest: bool = True) -> T | None:
        """Wait until `probe` returns something; None where the time is over. Otherwise as `wait`."""
        deadline = Deadline.of(timeout)
        with self._condition:
            while True:
                result = probe()
                if result is not None:
                    return result
                cause = self._cause(guest)
                if cause is not None:
                    break
                if deadline.expired:
                    return None
                self._condition.wait(deadline.remaining)
        raise self._explained(cause())

    def poll(
        self, wanted: Mapping[int, int], what: str, timeout: float | Deadline, *, guest: bool = True
    ) -> tuple[int, ...]:
        """Wait until descriptors are ready, as `wait` does for state.

        Args:
            wanted: the events of `select.poll` to wait for, by descriptor.
            what: what is awaited, for the error's text.
            timeout: seconds, or a deadline.
            guest: whether the guest's failure ends this wait.

        Returns:
            The descriptors that are ready.

        Raises:
            WaitTimeout, MachineLost, GuestError: as `wait`.
        """
        deadline = Deadline.of(timeout)
        poller = select.poll()
        for fd, events in wanted.items():
            poller.register(fd, events)
        with self._condition:
            if self._closed:
                self.check()
            poller.register(self._lost_fd, select.POLLIN)
            if guest:
                poller.register(self._failed_fd, select.POLLIN)
        while True:
            ready = tuple(fd for fd, _ in poller.poll(deadline.milliseconds) if fd in wanted)
            if ready:
                return ready
            self.check(guest=guest)
            if deadline.expired:
                raise self._explained(self.timeout(what, deadline))

    @staticmethod
    def timeout(what: str, deadline: Deadline) -> WaitTimeout:
        """Return the error that says that `what` did not come in time."""
        return WaitTimeout(f"waited {deadline.seconds:g} s for {what}, which did not come")

    def close(self) -> None:
        """Give back the descriptor. Waits that still run end with MachineLost."""
        self.lose(lambda: MachineLost("the machine has been closed"))
        with self._condition:
            if not self._closed:
                self._closed = True
                os.close(self._lost_fd)
                os.close(self._failed_fd)

    def _cause(self, guest: bool) -> Callable[[], DirqlError] | None:
        if self._lost is not None:
            return self._lost
        return self._failed if guest else None

    def _explained(self, error: DirqlError) -> DirqlError:
        return self.explain(error) if self.explain is not None else error
