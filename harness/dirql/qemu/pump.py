# SPDX-License-Identifier: Apache-2.0
"""The machine's one background thread: reads the channels that must never fill up, and notices QEMU's end.

A serial line whose socket is full blocks the guest's UART, and a channel that nobody reads hides what was said on it.
So one thread waits for all of them at once and hands what it reads to whoever registered.
"""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING

from dirql.errors import DirqlError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.qemu.waits import Watch


class Pump:
    """Calls a function whenever a descriptor is readable.

    Args:
        watch: told when a registered function raises: its error then ends the waits for the guest.
        name: what the thread is for, in its name.
    """

    def __init__(self, watch: Watch, name: str = "machine") -> None:
        self._watch = watch
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._readers: dict[int, Callable[[], bool]] = {}
        self._lock = threading.RLock()
        self._stopping = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"dirql-pump-{name}", daemon=True)
        self._thread.start()

    def add(self, fd: int, on_readable: Callable[[], bool]) -> None:
        """Call `on_readable` in the pump's thread each time `fd` is readable or at its end.

        Args:
            fd: the descriptor; it stays the caller's, who calls `remove` before closing it.
            on_readable: reads what there is without blocking; returns False when there will never be more.
        """
        with self._lock:
            self._readers[fd] = on_readable
            self._epoll.register(fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        """Forget `fd`. When this returns its function is not running and will not run again."""
        with self._lock:
            if self._readers.pop(fd, None) is not None:
                self._epoll.unregister(fd)

    def drain(self) -> None:
        """Read what is pending on every descriptor now. For use in the pump's own thread, when QEMU has ended."""
        for fd, _ in self._epoll.poll(0):
            self._dispatch(fd)

    def close(self) -> None:
        """Stop the thread and wait for it. Safe to call again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._stopping = True
        os.eventfd_write(self._wake, 1)
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._epoll.close()
        os.close(self._wake)

    def _run(self) -> None:
        while not self._stopping:
            for fd, _ in self._epoll.poll():
                if self._stopping:
                    break
                self._dispatch(fd)

    def _dispatch(self, fd: int) -> None:
        with self._lock:
            reader = self._readers.get(fd)
            if reader is None:
                return
            try:
                more = reader()
            except DirqlError as error:
                known = error
                self._watch.fail(lambda: known)
                more = True
            except Exception as error:  # a defect in a callback must end the waits, not this thread
                text = f"reading a channel of the machine failed: {type(error).__name__}: {error}"
                self._watch.fail(lambda: ProtocolError(text))
                more = True
            if not more:
                self.remove(fd)
