# SPDX-License-Identifier: Apache-2.0
"""Two processes that wake each other through two eventfds: what any exchange between processes costs here."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bench.pong import STOP
from dirql.errors import ProtocolError, UnsupportedError
from dirql.qemu.launcher import launch

if TYPE_CHECKING:
    from types import TracebackType

_PONG = Path(__file__).with_name("pong.py")
_FOR_EVERY_READ = 1 << 32


class PingPong:
    """The end that measures; the other is a Python process of its own.

    Reads block, as the cheapest wait there is. Should the other process end, a thread that waits for just that ends
    all reads.
    """

    def __init__(self) -> None:
        self._ping = os.eventfd(0, os.EFD_CLOEXEC)
        self._pong = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
        self._ended = False
        self._process = launch(
            [sys.executable, str(_PONG), str(self._ping), str(self._pong)],
            pass_fds=(self._ping, self._pong),
            stderr=sys.stderr.fileno(),
        )
        self._waiter = threading.Thread(target=self._wait, name="bench-pong", daemon=True)
        self._waiter.start()
        self.exchange(1)  # the other process is up

    def exchange(self, count: int) -> list[float]:
        """Return how long each of `count` exchanges took, in microseconds.

        Raises:
            ProtocolError: the other process has ended.
        """
        times = [0.0] * count
        now, ping, pong = time.perf_counter_ns, self._ping, self._pong
        for at in range(count):
            started = now()
            os.eventfd_write(ping, 1)
            os.eventfd_read(pong)
            times[at] = (now() - started) / 1000
        if self._ended:
            raise ProtocolError(f"the other end of the ping-pong ended with status {self._process.returncode}")
        return times

    def exchange_apart(self, count: int) -> list[float]:
        """As `exchange`, with the processes on two host CPUs. They tend to stay apart afterwards: measure this last.

        Raises:
            UnsupportedError: there is only one host CPU.
            ProtocolError: the other process has ended.
        """
        allowed = os.sched_getaffinity(0)
        if len(allowed) == 1:
            raise UnsupportedError("this process may use one host CPU only: two processes cannot be apart")
        here, there, *_ = sorted(allowed)
        os.sched_setaffinity(0, {here})  # of this thread
        os.sched_setaffinity(self._process.pid, {there})
        try:
            return self.exchange(count)
        finally:
            os.sched_setaffinity(0, allowed)
            os.sched_setaffinity(self._process.pid, allowed)

    def close(self) -> None:
        """End the other process."""
        os.eventfd_write(self._ping, STOP)
        self._waiter.join()
        os.close(self._ping)
        os.close(self._pong)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _wait(self) -> None:
        self._process.wait()
        self._ended = True
        os.eventfd_write(self._pong, _FOR_EVERY_READ)
