# SPDX-License-Identifier: Apache-2.0
"""The guest's serial ports. Each is read all the time, because a line that nobody reads blocks the guest's UART."""

from __future__ import annotations

import select
import socket
import threading
from typing import TYPE_CHECKING

from dirql.errors import UsageError, WaitTimeout
from dirql.qemu.waits import Deadline, Watch

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from pathlib import Path

    from dirql.qemu.expect import ConsoleExpect
    from dirql.qemu.pump import Pump

SEND_TIMEOUT = 10.0
_READ_BYTES = 65536


class ByteLine:
    """A serial port whose bytes go to a function.

    Args:
        sock: our end of the channel.
        watch: the machine's.
        pump: reads the line.
        on_bytes: called in the pump's thread, with the watch's lock held, with each piece that arrives; what it raises
            ends the waits for the guest.
    """

    def __init__(self, sock: socket.socket, watch: Watch, pump: Pump, on_bytes: Callable[[bytes], None]) -> None:
        self._sock = sock
        self._watch = watch
        self._pump = pump
        self._on_bytes = on_bytes
        self._fd = sock.fileno()
        self._ended = False
        self._sending = threading.Lock()
        pump.add(self._fd, self._readable)

    @property
    def ended(self) -> bool:
        """Whether QEMU has closed the line: nothing more will come."""
        return self._ended

    def send(self, data: bytes, timeout: float | Deadline = SEND_TIMEOUT) -> None:
        """Send bytes to the guest.

        QEMU hands them over as fast as the guest reads its UART; up to some hundred kilobytes wait in between.

        Raises:
            WaitTimeout: the guest did not read them in time.
            MachineLost: QEMU ended.
        """
        deadline = Deadline.of(timeout)
        with self._sending:
            self._send(memoryview(data), deadline)

    def close(self) -> None:
        """Stop reading. Safe to call again."""
        self._pump.remove(self._fd)

    def _send(self, rest: memoryview, deadline: Deadline) -> None:
        while rest:
            try:
                rest = rest[self._sock.send(rest, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                what = f"the guest to read {len(rest)} bytes from its serial port"
                self._watch.poll({self._fd: select.POLLOUT}, what, deadline)
            except OSError:
                self._watch.wait(lambda: None, "QEMU to end, its serial line being closed", deadline, guest=False)

    def _readable(self) -> bool:
        """Read what there is, without blocking. Returns False at the end of the line."""
        try:
            data = self._sock.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        with self._watch.changed():
            if data:
                self._on_bytes(data)
            else:
                self._ended = True
        return bool(data)


class TextLine:
    """A serial port that carries text for people. Everything that came is kept, and written to a file if there is one.

    Args:
        sock: our end of the channel.
        watch: the machine's.
        pump: reads the line.
        log_path: the file; None keeps the text in memory only.
    """

    def __init__(self, sock: socket.socket, watch: Watch, pump: Pump, log_path: Path | None = None) -> None:
        self._watch = watch
        self._data = bytearray()
        self._log = log_path.open("wb", buffering=0) if log_path is not None else None
        self._expect: ConsoleExpect | None = None
        self._line = ByteLine(sock, watch, pump, self._received)

    @property
    def data(self) -> bytes:
        """Everything that came so far, as it came."""
        return bytes(self._data)

    @property
    def text(self) -> str:
        """Everything that came so far, with plain line feeds."""
        return self._data.decode("utf-8", "replace").replace("\r\n", "\n")

    def tail(self, lines: int = 10) -> tuple[str, ...]:
        """Return the last lines that came; the last may still be growing."""
        return tuple(self._data[-512 * lines :].decode("utf-8", "replace").replace("\r\n", "\n").splitlines()[-lines:])

    def send(self, text: str, timeout: float | Deadline = SEND_TIMEOUT) -> None:
        """Send text to the guest as it is. Raises as `ByteLine.send`."""
        self._line.send(text.encode("utf-8"), timeout)

    def sendline(self, text: str, timeout: float | Deadline = SEND_TIMEOUT) -> None:
        """Send a line and a carriage return, as a terminal's Enter key does. Raises as `ByteLine.send`."""
        self.send(text + "\r", timeout)

    def expect(self, pattern: str | re.Pattern[str], timeout: float | Deadline, *, guest: bool = True) -> re.Match[str]:
        r"""Wait until the text matches, as pexpect does: each call goes on after the match of the one before.

        Args:
            pattern: a regular expression; lines end in "\r\n".
            timeout: seconds, or a deadline.
            guest: whether the guest's failure ends this wait.

        Returns:
            The match.

        Raises:
            WaitTimeout, MachineLost, GuestError: as `Watch.wait`; the text quotes the last lines.
        """
        if self._expect is None:
            from dirql.qemu.expect import ConsoleExpect

            self._expect = ConsoleExpect(self._next_piece)
        try:
            return self._expect.await_match(pattern, Deadline.of(timeout), guest)
        except WaitTimeout as error:
            quoted = "".join(f"\n    | {line}" for line in self.tail())
            raise WaitTimeout(f"{error}; {'its last lines are:' + quoted if quoted else 'it shows nothing'}") from None

    def wait_bytes(self, position: int, what: str, timeout: float | Deadline, *, guest: bool = True) -> bytes:
        """Wait until there is something after `position`, and return it.

        Args:
            position: how many bytes the caller has had.
            what: what is awaited, for the error's text.
            timeout: seconds, or a deadline.
            guest: whether the guest's failure ends this wait.

        Raises:
            WaitTimeout, MachineLost, GuestError: as `Watch.wait`.
        """
        if position < 0:
            raise UsageError(f"a position in the console's text is not negative; this one is {position}")
        return self._watch.wait(lambda: bytes(self._data[position:]) or None, what, timeout, guest=guest)

    def close(self) -> None:
        """Stop reading and close the file. What came stays readable. Safe to call again."""
        self._line.close()
        if self._log is not None:
            self._log.close()

    def _next_piece(self, position: int, pattern: str, deadline: Deadline, guest: bool) -> bytes:
        return self.wait_bytes(position, f"{pattern!r} on the console", deadline, guest=guest)

    def _received(self, data: bytes) -> None:
        self._data += data
        if self._log is not None:
            self._log.write(data)
