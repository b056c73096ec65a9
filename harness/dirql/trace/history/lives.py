# SPDX-License-Identifier: Apache-2.0
"""What is known of a thread, of a wait, of a signal: what the walk through a trace (`dispatcher`) fills in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dirql.trace.symbols import SymbolTable

WAIT_ALL, WAIT_ANY = range(2)
"""WAIT_TYPE of the DDK."""
ABANDONED = 0x80
"""STATUS_ABANDONED_WAIT_0."""


class State(IntEnum):
    """What a thread does."""

    RUNNING = 0
    READY = 1
    WAITING = 2


class Kind(IntEnum):
    """DISPATCHER_HEADER.Type: what kind of object is waited for."""

    NOTIFICATION_EVENT = 0
    SYNCHRONIZATION_EVENT = 1
    MUTEX = 2
    QUEUE = 4
    SEMAPHORE = 5
    THREAD = 6
    NOTIFICATION_TIMER = 8
    SYNCHRONIZATION_TIMER = 9


@dataclass(eq=False)
class Wait:
    """One WaitBegin and what followed. Up to `timed` it is what the record says.

    Attributes:
        thread: whose.
        begin: the WaitBegin.
        object: the first object; 0 for none.
        count: how many there are.
        kind: `WAIT_ALL` or `WAIT_ANY`.
        alertable, timed: its options.
        ready: the ThreadReady that ended it; -1 while it lasts.
        run: the ThreadSwitch after that; -1: not yet.
        end: the WaitEnd; -1: not yet.
        status: what it returned; -1: nothing yet.
        apc: an APC of its thread began in between, which may have ended the wait; it may have begun again.
        released: what let it go, where a Signal did.
    """

    thread: Life
    begin: int
    object: int
    count: int
    kind: int
    alertable: bool
    timed: bool
    ready: int = -1
    run: int = -1
    end: int = -1
    status: int = -1
    apc: bool = False
    released: Release | None = None

    @property
    def satisfied(self) -> bool:
        """Whether an object certainly ended it."""
        return 0 <= self.status < ABANDONED + self.count and not self.apc


@dataclass(eq=False)
class Release:
    """One Signal, and the waits that it ended.

    Attributes:
        index: the record.
        object: the object.
        kind: its type; see `Kind`.
        state: its SignalState after.
        waiting: the waits for any object, this one first of all, or for it alone, in the order in which they began.
        ended: the waits that ended, in order.
        complete: the trace has all of them: it goes on after them.
    """

    index: int
    object: int
    kind: int
    state: int
    waiting: tuple[Wait, ...]
    ended: list[Wait] = field(default_factory=list)
    complete: bool = False


@dataclass(eq=False)
class Readiness:
    """One ThreadReady.

    Attributes:
        thread: whose.
        index: the record.
        cpu: where it is to run.
        priority: its priority.
        at_once: it is to run there before what runs there.
        run: the ThreadSwitch that gave it a CPU; -1: none did before it was made ready again, or the trace ended.
    """

    thread: Life
    index: int
    cpu: int
    priority: int
    at_once: bool
    run: int = -1


@dataclass(frozen=True)
class Span:
    """A thread in one state, from one record to another; `end` is -1 if it lasts."""

    state: State
    begin: int
    end: int
    cpu: int
    wait: Wait | None


@dataclass(eq=False)
class Life:
    """One thread.

    Attributes:
        address: its KTHREAD; 0 where it is not known.
        cpu: where it runs, or ran last.
        created: its ThreadCreate; -1 if it is older than the trace.
        exited: its ThreadExit; -1.
        left_for_good: the ThreadSwitch that left it as ended; -1.
        spans: its states, in order.
        waits: its waits, in order.
        ready: the last ThreadReady.
        readied: how often it was made ready.
        switches: how often it was given a CPU.
        routine: start routine; 0 where its creation is not in the trace.
        priorities: the priorities that it was seen to run with.
    """

    address: int
    cpu: int = -1
    created: int = -1
    exited: int = -1
    left_for_good: int = -1
    spans: list[Span] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    ready: Readiness | None = None
    readied: int = 0
    switches: int = 0
    routine: int = 0
    priorities: set[int] = field(default_factory=set)
    _state: State | None = None
    _since: int = -1
    _wait: Wait | None = None
    _open: list[list[Wait]] = field(default_factory=lambda: [[]])

    def enter(self, state: State | None, index: int, cpu: int) -> None:
        """Begin another state; None: it is over."""
        if self._state is not None and self._since < index:
            self.spans.append(Span(self._state, self._since, index, self.cpu, self._wait))
        self._state, self._since = state, index
        self._wait = self.waiting if state is State.WAITING else None
        if cpu >= 0:
            self.cpu = cpu

    def finish(self) -> None:
        """Let the last state last."""
        if self._state is not None:
            self.spans.append(Span(self._state, self._since, -1, self.cpu, self._wait))

    @property
    def state(self) -> State | None:
        """What it does; None: unknown, or it has ended."""
        return self._state

    @property
    def waiting(self) -> Wait | None:
        """The wait that it is in, nobody having made it ready."""
        wait = self.waits[-1] if self.waits else None
        return wait if wait is not None and wait.ready < 0 and wait.end < 0 else None

    @property
    def unfinished(self) -> list[Wait]:
        """Waits without a WaitEnd outside the APC, if any, that it runs; the innermost level's."""
        return self._open[-1]

    def name(self, symbols: SymbolTable) -> str:
        """Return what it is called: by its start routine, else by its address."""
        if self.routine:
            return f"{symbols.name(self.routine)} ({self.address & 0xFFFF_FFFF:x})"
        return symbols.name(self.address) if self.address else "unknown"

    def nest(self, begins: bool) -> None:
        """Note that an APC begins, or ends."""
        if begins:
            self._open.append([])
        elif len(self._open) > 1:
            self._open.pop()
