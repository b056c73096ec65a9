# SPDX-License-Identifier: Apache-2.0
"""QMP, QEMU's control channel, as plain blocking calls.

qemu.qmp's client speaks the protocol in a private asyncio thread. Every call here has a deadline and ends when QEMU
does; events that QEMU sent before its end are still delivered.
"""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

from dirql.errors import ProtocolError, UsageError
from dirql.qemu.loop import shared_loop
from dirql.qemu.waits import Deadline

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from qemu.qmp import Message, QMPClient

    from dirql.qemu.waits import Watch

T = TypeVar("T")

DEFAULT_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 5.0


@dataclass(frozen=True)
class QmpEvent:
    """Something that QEMU told by itself.

    Attributes:
        name: for example "SHUTDOWN", "RESET", "STOP", "GUEST_PANICKED".
        data: its arguments.
        seconds: QEMU's time stamp, since the epoch.
    """

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


# QEMU sends no events before negotiation, which a quick guest can outrun; what held it can still be seen. A guest that
# is held in "shutdown" so early has reset itself or met a triple fault: it cannot have found the power switch yet.
_EVENTS_OF_STATUS = {
    "shutdown": (QmpEvent("SHUTDOWN", {"guest": True, "reason": "guest-reset", "missed": True}), QmpEvent("STOP")),
    "guest-panicked": (QmpEvent("GUEST_PANICKED", {"action": "pause", "missed": True}), QmpEvent("STOP")),
    "internal-error": (QmpEvent("STOP"),),
}


class Qmp:
    """The control channel of one machine.

    Negotiation begins in the background at once; the first call waits for it. If the guest has been held by then, the
    events that said so are made up from the machine's status; their data say "missed".

    Args:
        sock: our end of the channel; from now on this object's.
        watch: the machine's.
        log_path: where every command, answer and event goes, a line of JSON each; None keeps no file.
        on_event: called with every event, in the private thread; it must be quick and must not call QMP.
        on_ready: called with QEMU's version, in the private thread, once QEMU takes commands.
    """

    def __init__(
        self,
        sock: socket.socket,
        watch: Watch,
        *,
        log_path: Path | None = None,
        on_event: Callable[[QmpEvent], None] | None = None,
        on_ready: Callable[[tuple[int, int, int]], None] | None = None,
    ) -> None:
        self._sock = sock
        self._watch = watch
        self._on_event = on_event
        self._on_ready = on_ready
        self._events: deque[QmpEvent] = deque()
        self._seen: set[str] = set()
        self._client: QMPClient | None = None
        self._version: tuple[int, int, int] | None = None
        self._ended: str | None = None
        self._log = log_path.open("w", encoding="utf-8", buffering=1) if log_path is not None else None
        self._loop = shared_loop()
        self._serving = self._loop.submit(self._serve)

    @property
    def version(self) -> tuple[int, int, int]:
        """QEMU's version, from its greeting, for which this waits.

        Raises:
            LaunchError: QEMU ended before it greeted.
            WaitTimeout: it did not greet in time.
        """
        self.ready()
        assert self._version is not None
        return self._version

    def ready(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> None:
        """Wait until QEMU has greeted and takes commands.

        Raises:
            LaunchError: QEMU ended before it greeted.
            WaitTimeout: it did not greet in time.
        """
        self._wait(lambda: self._client, "QEMU's greeting on QMP", Deadline.of(timeout))

    def execute(
        self, command: str, arguments: Mapping[str, object] | None = None, timeout: float | Deadline = DEFAULT_TIMEOUT
    ) -> Any:  # noqa: ANN401 (each command's result has a type of its own)
        """Execute a command.

        Args:
            command: its name, for example "query-status".
            arguments: its arguments.
            timeout: seconds, or a deadline.

        Returns:
            What the command returned: usually a dict.

        Raises:
            ProtocolError: QEMU refused the command; the text has its reason.
            MachineLost: QEMU ended.
            WaitTimeout: no answer in time.
        """
        return self.execute_all([(command, arguments)], timeout)[0]

    def execute_all(
        self,
        commands: Sequence[tuple[str, Mapping[str, object] | None]],
        timeout: float | Deadline = DEFAULT_TIMEOUT,
    ) -> list[Any]:
        """Execute commands in order, all sent before the first is answered: one wait instead of many.

        A command is executed even if one before it was refused.

        Args:
            commands: name and arguments of each.
            timeout: seconds for all of them, or a deadline.

        Returns:
            What each returned.

        Raises:
            ProtocolError, MachineLost, WaitTimeout: as `execute`, for the first that failed.
        """
        if self._loop.current:
            raise UsageError(
                "QMP was called from inside an event callback, which would wait for itself; call it elsewhere"
            )
        shown = [_shown(command, arguments) for command, arguments in commands]
        deadline = Deadline.of(timeout)
        client = self._wait(lambda: self._client, "QEMU's greeting on QMP", deadline)
        answers = [self._submit(client, command, arguments) for command, arguments in commands]
        return [self._answer(answer, what, deadline) for answer, what in zip(answers, shown, strict=True)]

    def hmp(self, line: str, timeout: float | Deadline = DEFAULT_TIMEOUT) -> str:
        """Execute a line of the human monitor.

        Returns:
            What it printed, with plain line feeds. The human monitor reports its errors as text, too.

        Raises:
            ProtocolError, MachineLost, WaitTimeout: as `execute`.
        """
        return str(self.execute("human-monitor-command", {"command-line": line}, timeout)).replace("\r\n", "\n")

    def wait_event(self, names: str | Iterable[str], timeout: float | Deadline, *, guest: bool = False) -> QmpEvent:
        """Take the oldest event with one of these names, waiting for it if need be. Others stay queued.

        Args:
            names: one name, or several.
            timeout: seconds, or a deadline.
            guest: whether the guest's failure ends this wait.

        Raises:
            MachineLost: QEMU ended and had sent no such event.
            WaitTimeout: none came in time.
        """
        wanted = frozenset((names,) if isinstance(names, str) else names)

        def take() -> QmpEvent | None:
            for event in self._events:
                if event.name in wanted:
                    self._events.remove(event)
                    return event
            return None

        return self._wait(take, f"QEMU's event {' or '.join(sorted(wanted))}", Deadline.of(timeout), guest=guest)

    def clear_events(self) -> tuple[QmpEvent, ...]:
        """Empty the queue of events, and return what was in it."""
        with self._watch.changed():
            events = tuple(self._events)
            self._events.clear()
        return events

    def settle(self, timeout: float) -> None:
        """Wait until the session is over and everything on it has been delivered, or the time is up. Raises nothing."""
        with suppress(TimeoutError):
            self._serving.exception(timeout)

    def close(self) -> None:
        """End the session. Safe to call again; QEMU itself goes on."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # the session sees the end of file
        self.settle(_CLOSE_TIMEOUT)
        self._sock.close()
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    async def _serve(self) -> None:
        from qemu.qmp import QMPClient, Runstate  # slow to import, so not in a caller's thread

        client = QMPClient("dirql")
        # The library's own negotiation takes an event that comes before the answer for the answer.
        client.negotiate = False
        # A filter that takes every event and keeps none, in place of a listener, which would not notice QEMU's end.
        client.events.event_filter = self._event
        reason = "ended"
        try:
            await client.connect(self._sock)
            # The library looks at what ended its reader only if `disconnect` gets that far, which it may not when QEMU
            # ends just then; asyncio would complain on standard error.
            if client._bh_tasks is not None:
                client._bh_tasks.add_done_callback(_seen)
            try:
                await client.execute("qmp_capabilities")
                await self._greeted(client)
                while client.runstate is Runstate.RUNNING:
                    await client.runstate_changed()
            finally:
                await client.disconnect()  # raises what ended the session: EOFError when QEMU has gone
        except Exception as error:
            reason = f"{type(error).__name__} {error}".strip()
        with self._watch.changed():
            self._ended = reason

    async def _greeted(self, client: QMPClient) -> None:
        assert client.greeting is not None
        numbers: Any = client.greeting.QMP.version["qemu"]
        self._version = (numbers["major"], numbers["minor"], numbers["micro"])
        self._record("greeting", {"version": self._version})
        status: Any = await client.execute("query-status")
        for event in _EVENTS_OF_STATUS.get(status["status"], ()):
            if event.name not in self._seen:
                self._deliver(replace(event, seconds=time.time()))
        with self._watch.changed():
            self._client = client
        if self._on_ready is not None:
            self._on_ready(self._version)

    async def _execute(self, client: QMPClient, command: str, arguments: Mapping[str, object] | None) -> object:
        self._record("command", {"execute": command, "arguments": arguments or {}})
        try:
            result = await client.execute(command, arguments)
        except Exception as error:
            self._record("error", f"{type(error).__name__}: {error}")
            raise
        self._record("return", result)
        return result

    def _event(self, message: Message) -> bool:
        stamp: Any = message["timestamp"]
        data: Any = message.get("data", {})
        self._deliver(QmpEvent(str(message["event"]), data, stamp["seconds"] + stamp["microseconds"] / 1e6))
        return False

    def _deliver(self, event: QmpEvent) -> None:
        self._record("event", {"event": event.name, "data": event.data})
        self._seen.add(event.name)
        with self._watch.changed():
            self._events.append(event)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception as error:  # the caller's defect must not end the session
                text = f"a callback failed on QEMU's event {event.name}: {type(error).__name__}: {error}"
                self._watch.fail(lambda: ProtocolError(text))

    def _record(self, kind: str, content: object) -> None:
        if self._log is not None and not self._log.closed:
            self._log.write(json.dumps({"time": time.time(), kind: content}) + "\n")

    def _submit(self, client: QMPClient, command: str, arguments: Mapping[str, object] | None) -> Future[object]:
        answer = self._loop.submit(lambda: self._execute(client, command, arguments))
        answer.add_done_callback(lambda _: self._watch.notify())
        return answer

    def _answer(self, answer: Future[object], shown: str, deadline: Deadline) -> Any:  # noqa: ANN401 (as `execute`)
        what = f"QEMU's answer to {shown.split(' ', 1)[0]}"
        self._wait(lambda: _finished(answer), what, deadline)
        failure = answer.exception()
        if failure is None:
            return answer.result()
        from qemu.qmp import ExecuteError

        if isinstance(failure, ExecuteError):
            raise ProtocolError(f"QEMU refused {shown}: {failure}")
        return self._wait(_never, what, deadline)

    def _wait(self, probe: Callable[[], T | None], what: str, deadline: Deadline, *, guest: bool = False) -> T:
        """Wait as `Watch.wait` does, but also notice that QEMU has hung up."""

        def look() -> tuple[T | None] | None:
            found = probe()
            return (found,) if found is not None or self._ended else None

        (result,) = self._watch.wait(look, what, deadline, guest=guest)
        if result is not None:
            return result
        # QEMU hangs up when it ends: the machine's watch is about to say how it did.
        return self._watch.wait(probe, f"{what}; the session is over: {self._ended}", deadline, guest=guest)


def _never() -> None:
    return None


def _seen(future: asyncio.Future[Any]) -> None:
    """Look at the exception of a future, so that asyncio knows that somebody did."""
    if not future.cancelled():
        future.exception()


def _finished(future: Future[Any]) -> Future[Any] | None:
    return future if future.done() else None


def _shown(command: str, arguments: Mapping[str, object] | None) -> str:
    try:
        return f"{command} {json.dumps(arguments)}" if arguments else command
    except TypeError as error:
        raise UsageError(f"the arguments of {command} are not JSON: {error}") from error
