# SPDX-License-Identifier: Apache-2.0
"""Starts child processes that cannot outlive this one.

The kernel kills a child whose PR_SET_PDEATHSIG is set when the *thread* that forked it ends. So one thread, which lives
as long as this process, does all the starting. The child sets the attribute by itself (`setpriv`, then a shell that
looks whether the parent is still the one that started it, for the parent may have died before the attribute was set)
before it becomes QEMU; running Python code between fork and exec of a threaded program is not safe. The two extra execs
cost about a millisecond.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING

from dirql.errors import LaunchError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CHECK_PARENT = 'test "$PPID" = "$0" && exec "$@"'

_Job = tuple["Sequence[str]", "tuple[int, ...]", int, "Future[subprocess.Popen[bytes]]"]


class _Launcher:
    """The thread, started when it is first needed and again in a forked child."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, argv: Sequence[str], pass_fds: tuple[int, ...], stderr: int) -> Future[subprocess.Popen[bytes]]:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="dirql-launcher", daemon=True)
                self._thread.start()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((argv, pass_fds, stderr, future))
        return future

    def _run(self) -> None:
        while True:
            argv, pass_fds, stderr, future = self._jobs.get()
            try:
                future.set_result(
                    subprocess.Popen(
                        argv,
                        stdin=subprocess.DEVNULL,
                        stdout=stderr,
                        stderr=stderr,
                        pass_fds=pass_fds,
                        # The terminal's Ctrl-C is for Python, which then ends the machine in order.
                        start_new_session=True,
                    )
                )
            except BaseException as error:
                future.set_exception(error)


_launcher = _Launcher()


def _forked() -> None:
    global _launcher  # a forked child has no launcher thread; it gets its own
    _launcher = _Launcher()


os.register_at_fork(after_in_child=_forked)


def launch(argv: Sequence[str], *, pass_fds: Iterable[int], stderr: int) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, to be killed when this process ends, however it ends.

    Args:
        argv: the program's absolute path and its arguments.
        pass_fds: descriptors that it inherits under the same numbers.
        stderr: descriptor for its standard output and error.

    Returns:
        The process.

    Raises:
        UnsupportedError: the host has no `setpriv`.
        LaunchError: it could not be started.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise UnsupportedError("setpriv was not found; it comes with util-linux (apt-get install util-linux)")
    command = [setpriv, "--pdeathsig", "KILL", "/bin/sh", "-c", _CHECK_PARENT, str(os.getpid()), *argv]
    started = _launcher.submit(command, tuple(pass_fds), stderr)
    try:
        return started.result()
    except OSError as error:
        raise LaunchError(f"could not start {argv[0]}: {error}") from error
    except BaseException:  # Ctrl-C while waiting: nobody will own the process
        started.add_done_callback(_abandon)
        raise


def _abandon(started: Future[subprocess.Popen[bytes]]) -> None:
    if started.exception() is None:
        process = started.result()
        process.kill()
        process.wait()
