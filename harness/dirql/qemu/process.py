# SPDX-License-Identifier: Apache-2.0
"""The QEMU process: found, started, watched, and gone when its owner is."""

from __future__ import annotations

import functools
import os
import re
import select
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dirql.errors import DirqlError, LaunchError, MachineLost, UnsupportedError
from dirql.qemu.launcher import launch
from dirql.qemu.waits import Deadline, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from dirql.qemu.pump import Pump

DEFAULT_BINARY = "qemu-system-x86_64"
OLDEST_VERSION = (7, 2)

# QEMU's device for PCI devices in another process; from 10.0 on it crashes under TCG as soon as it is created.
PROXY_DEVICE = "x-pci-proxy-dev"
PROXY_DEVICE_BROKEN = (10, 0, 0)

_HOW_TO_GET = "install it (apt-get install qemu-system-x86) or name another one (--qemu PATH)"
_STDERR_LINES = 8


def find_qemu(binary: str = DEFAULT_BINARY) -> str:
    """Return the absolute path of a QEMU.

    Args:
        binary: a path, or a name to look for in PATH.

    Raises:
        UnsupportedError: there is none.
    """
    found = shutil.which(binary)
    if found is None:
        raise UnsupportedError(f"QEMU was not found: there is no program {binary}; {_HOW_TO_GET}")
    return str(Path(found).absolute())


def qemu_version(binary: str = DEFAULT_BINARY) -> tuple[int, int, int]:
    """Return a QEMU's version by asking it (some ten milliseconds), remembered while the file stays the same.

    Starting a machine has no need of this: the QMP greeting carries the version (`Qmp.version`).

    Raises:
        UnsupportedError: there is no such QEMU, or it does not say its version.
    """
    path = find_qemu(binary)
    status = Path(path).stat()
    return _version_of(path, status.st_mtime_ns, status.st_size)


@functools.cache
def _version_of(path: str, modified_ns: int, size: int) -> tuple[int, int, int]:  # noqa: ARG001 (they are the cache's key)
    answer = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    match = re.search(r"version (\d+)\.(\d+)\.(\d+)", answer.stdout)
    if match is None:
        raise UnsupportedError(
            f"{path} --version does not look like QEMU: {answer.stdout or answer.stderr!r}; {_HOW_TO_GET}"
        )
    return int(match[1]), int(match[2]), int(match[3])


def require_version(version: Sequence[int], binary: str) -> None:
    """Refuse a QEMU that is too old.

    Raises:
        UnsupportedError: it is older than 7.2.
    """
    if tuple(version[:2]) < OLDEST_VERSION:
        asked = ".".join(map(str, OLDEST_VERSION))
        raise UnsupportedError(
            f"{binary} is QEMU {'.'.join(map(str, version))}; dirql needs {asked} or later; {_HOW_TO_GET}"
        )


class QemuProcess:
    """One running QEMU.

    Its end, whenever it comes, is told to the machine's watch, after what its channels still held has been read.

    Args:
        argv: the command line; `argv[0]` is an absolute path.
        pass_fds: descriptors that it inherits under the same numbers.
        watch: told when the process ends.
        pump: waits for that.
        stderr_path: where its messages go; None keeps them in memory.

    Attributes:
        last_words: called in the pump's thread when the process has ended, before the watch is told: waits until the
            channels that the pump does not read have been read to their end.

    Raises:
        LaunchError: it could not be started.
        UnsupportedError: `setpriv` is missing.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        pass_fds: Iterable[int],
        watch: Watch,
        pump: Pump,
        stderr_path: Path | None = None,
    ) -> None:
        self.argv = tuple(argv)
        self._watch = watch
        self._pump = pump
        self._started = False
        self._closed = False
        self.last_words: Callable[[], None] | None = None
        if stderr_path is None:
            self._stderr = os.memfd_create("dirql-qemu-stderr", os.MFD_CLOEXEC)
        else:
            self._stderr = os.open(stderr_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            self._process = launch(argv, pass_fds=pass_fds, stderr=self._stderr)
        except DirqlError:
            os.close(self._stderr)
            raise
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)
        pump.add(self.pidfd, self._ended)

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for the signal that killed it, or None while it runs."""
        return self._process.poll()

    def answered(self) -> None:
        """Say that QEMU has begun to serve. Before this its end is a LaunchError, after it a MachineLost."""
        self._started = True

    def stderr_tail(self, lines: int = _STDERR_LINES) -> tuple[str, ...]:
        """Return the last lines that QEMU wrote to its standard output and error."""
        size = os.fstat(self._stderr).st_size
        wanted = min(size, 64 * 1024)
        text = os.pread(self._stderr, wanted, size - wanted).decode("utf-8", "replace")
        return tuple(text.splitlines()[-lines:])

    def wait(self, timeout: float | Deadline) -> int:
        """Wait until QEMU has ended.

        Returns:
            The exit status, negative for the signal that killed it.

        Raises:
            WaitTimeout: it still runs.
        """
        deadline = Deadline.of(timeout)
        if not self._closed:
            poller = select.poll()
            poller.register(self.pidfd, select.POLLIN)
            if not poller.poll(deadline.milliseconds):
                raise Watch.timeout("QEMU to end", deadline)
        return self._process.wait()

    def kill(self) -> None:
        """End it now, whatever it is doing."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Kill it if it runs, reap it, and give everything back. Safe to call again."""
        if self._closed:
            return
        self._closed = True
        self._pump.remove(self.pidfd)
        self.kill()
        self._process.wait()
        self._watch.lose(self._epitaph())
        os.close(self.pidfd)
        os.close(self._stderr)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _ended(self) -> bool:
        self._pump.remove(self.pidfd)
        self._process.wait()
        self._pump.drain()
        if self.last_words is not None:
            self.last_words()
        self._watch.lose(self._epitaph())
        return False

    def _epitaph(self) -> Callable[[], DirqlError]:
        status = self._process.returncode
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        said = self.stderr_tail()
        quoted = "; it said:" + "".join(f"\n    | {line}" for line in said) if said else ", silently"
        if self._started:
            return functools.partial(MachineLost, f"QEMU (pid {self.pid}) {how}{quoted}")
        return functools.partial(_launch_error, self.argv, f"QEMU {how} before it began to serve{quoted}")


def _launch_error(argv: Sequence[str], text: str) -> DirqlError:
    """Return what kept QEMU from starting: its version, if that explains it. Only now is it worth asking for."""
    try:
        version = qemu_version(argv[0])
        require_version(version, argv[0])
    except UnsupportedError as error:
        return error
    served = any(argument.startswith(PROXY_DEVICE) for argument in argv)
    if served and version >= PROXY_DEVICE_BROKEN:
        return UnsupportedError(
            f"this machine has a device that Python serves register by register (icount mode needs one), which takes "
            f"QEMU 7.2 to 9.2; {argv[0]} is QEMU {'.'.join(map(str, version))}. {text}"
        )
    return LaunchError(text)
