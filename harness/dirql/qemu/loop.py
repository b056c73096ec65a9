# SPDX-License-Identifier: Apache-2.0
"""One asyncio loop in a daemon thread, for the one library that needs it (qemu.qmp); all machines share it.

It starts when it is first used, and imports asyncio then and there: some sixty milliseconds that pass while QEMU boots.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class LoopThread:
    """An asyncio loop in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, make: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run a coroutine in the loop.

        Args:
            make: called in the loop's thread, returns the coroutine.

        Returns:
            Its result, to wait for in any other thread.
        """
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dirql-loop", daemon=True)
                self._thread.start()
        result: Future[T] = Future()

        async def run() -> None:
            try:
                result.set_result(await make())
            except BaseException as error:
                result.set_exception(error)

        def begin(loop: asyncio.AbstractEventLoop) -> None:
            task = loop.create_task(run())
            self._tasks.add(task)  # the loop itself holds its tasks only weakly
            task.add_done_callback(self._tasks.discard)

        self._loop.add_done_callback(lambda ready: ready.result().call_soon_threadsafe(begin, ready.result()))
        return result

    @property
    def current(self) -> bool:
        """Whether the caller is this very thread."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        import asyncio

        loop = asyncio.new_event_loop()
        self._loop.set_result(loop)
        loop.run_forever()


_shared = LoopThread()


def shared_loop() -> LoopThread:
    """Return the loop thread of this process."""
    return _shared


def _forked() -> None:
    global _shared  # a forked child has no such thread; it gets its own
    _shared = LoopThread()


os.register_at_fork(after_in_child=_forked)
