# SPDX-License-Identifier: Apache-2.0
"""The load on a driver: requests from all CPUs, interrupts from outside, a doorbell that answers, some cancellations.

In `mt` the host looks as often as something happens, and at least once in a fraction of a millisecond. In `icount` the
machine stands still while the host acts: the same seed gives the same run.
"""

from __future__ import annotations

import random
import select
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dirql.errors import UsageError
from dirql.futures import DEFAULT_TIMEOUT, GRACE
from dirql.guest.ntstatus import ntstatus_symbol

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql.devices.ivshmem import Doorbell
    from dirql.futures import RequestFuture
    from dirql.handles import Handle
    from dirql.machine import Machine

PATIENCE = 5.0
"""Seconds (icount: of virtual time) without anything happening after which what is still in flight is cancelled."""
_LOOK = 0.0002
_STEP = 0.0005
"""icount: seconds of virtual time for which the machine runs on at most before the host acts again."""
_PAUSES = 64


@dataclass(frozen=True)
class LoadParameters:
    """What to send.

    Attributes:
        interrupts: from outside, at random vectors of the doorbell; those that answer the driver's ring come on top.
        requests: in all, from all CPUs in turn.
        window: how many of them are in flight; 0: two for each CPU.
        read: bytes of a read.
        write: bytes of a write.
        code: control code of an ioctl.
        data: its input.
        out: bytes of its output.
        cancel: percent of requests that are cancelled at some moment.
        seed: of vectors, cancellations and, under icount, of times.

    Kinds of requests that are given take turns; where none is given, reads of 8 bytes are sent.

    Raises:
        UsageError: a value is out of range.
    """

    interrupts: int = 1000
    requests: int = 200
    window: int = 0
    read: int | None = None
    write: int | None = None
    code: int | None = None
    data: bytes = b""
    out: int = 0
    cancel: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        counts = {"interrupts": self.interrupts, "requests": self.requests, "window": self.window, "out": self.out}
        for name, value in (counts | {"read": self.read or 0, "write": self.write or 0}).items():
            if value < 0:
                raise UsageError(f"--{name} is a count; {value} is none")
        if not 0 <= self.cancel <= 100:
            raise UsageError(f"--cancel is a percentage; {self.cancel} is none")


class DriverLoad:
    """Sends the load and counts what comes of it.

    Args:
        machine: the machine.
        handle: the driver's device, opened; None: no requests are sent.
        doorbell: its device, where that is a doorbell.
        parameters: what to send.
        progress: called now and then with (done, of how many).
        enough: asked now and then; once it says so, nothing more is sent.

    Attributes:
        sent: requests that were sent.
        rung: interrupts that were sent, answers included.
        ended: how many requests ended with which NTSTATUS.
        unfinished: requests that did not end by themselves.
        seconds: of host time.
    """

    def __init__(
        self,
        machine: Machine,
        handle: Handle | None,
        doorbell: Doorbell | None,
        parameters: LoadParameters,
        progress: Callable[[int, int], None] | None = None,
        enough: Callable[[], bool] | None = None,
    ) -> None:
        self.machine = machine
        self.sent = self.rung = self.unfinished = 0
        self.ended: Counter[str] = Counter()
        self.seconds = 0.0
        self._handle = handle
        self._doorbell = doorbell
        self._parameters = parameters
        self._progress = progress
        self._enough = enough
        self._random = random.Random(parameters.seed)
        self._requests = parameters.requests if handle is not None else 0
        self._interrupts = parameters.interrupts if doorbell is not None else 0
        self._window = parameters.window or 2 * machine.cpus
        self._in_flight: list[RequestFuture[Any]] = []
        self._to_cancel: set[RequestFuture[Any]] = set()
        self._quiet = 0.0

    def run(self) -> None:
        """Send all of it and wait until it has ended.

        Raises:
            GuestHang: requests did not end, not even when they were cancelled.
            GuestError, MachineLost: the machine failed.
        """
        started = time.monotonic()
        total = self._requests + self._interrupts
        extra = 0  # interrupts from outside
        while True:
            if self._enough is not None and self._enough():
                self._requests, self._interrupts = self.sent, extra
            busy = self._answer()
            if extra < self._interrupts:
                self._ring(self._random.randrange(self._vectors))
                extra += 1
                busy = True
            busy |= self._send()
            busy |= self._cancel_some()
            busy |= self._reap()
            if self._progress is not None:
                self._progress(min(extra + sum(self.ended.values()), total), total)
            if extra >= self._interrupts and self.sent >= self._requests and not self._in_flight:
                break
            if self._idle(busy):
                self._give_up()
                break
        self._settle()
        self.seconds = time.monotonic() - started

    @property
    def _vectors(self) -> int:
        return self._doorbell.vectors if self._doorbell is not None else 0

    def _ring(self, vector: int) -> None:
        doorbell = self._doorbell
        assert doorbell is not None
        self._stand()
        doorbell.ring(vector)
        doorbell.wait_consumed(vector)
        if self.machine.rendezvous is not None:
            self.machine.session.qtest.readl(0)  # answered by QEMU's main loop: the message has been sent
        self.rung += 1

    def _stand(self) -> None:
        """icount: wait until the guest stands still, always at the same instruction."""
        if self.machine.rendezvous is not None:
            self.machine.rendezvous.wait_for_guest(DEFAULT_TIMEOUT)

    def _answer(self) -> bool:
        """Interrupt once for each time that the driver rang: it asked the device for something."""
        self._stand()
        rung = self._doorbell.take_rung() if self._doorbell is not None else {}
        for vector, count in rung.items():
            for _ in range(count):
                self._ring(vector)
        return bool(rung)

    def _send(self) -> bool:
        before = self.sent
        if self.sent < self._requests and len(self._in_flight) < self._window:
            with self.machine.requests.batch():
                while self.sent < self._requests and len(self._in_flight) < self._window:
                    future = self._begin(self.sent, self.sent % self.machine.cpus)
                    self._in_flight.append(future)
                    if self._random.randrange(100) < self._parameters.cancel:
                        self._to_cancel.add(future)
                    self.sent += 1
        return self.sent > before

    def _begin(self, number: int, cpu: int) -> RequestFuture[Any]:
        handle, wanted = self._handle, self._parameters
        assert handle is not None
        kinds: list[Callable[[], RequestFuture[Any]]] = []
        if wanted.read is not None or (wanted.write is None and wanted.code is None):
            kinds.append(lambda: handle.read_async(8 if wanted.read is None else wanted.read, cpu=cpu))
        if wanted.write is not None:
            text = bytes(self._random.randrange(256) for _ in range(wanted.write))
            kinds.append(lambda: handle.write_async(text, cpu=cpu))
        if (code := wanted.code) is not None:
            kinds.append(lambda: handle.ioctl_async(code, wanted.data, wanted.out, cpu=cpu))
        return kinds[number % len(kinds)]()

    def _cancel_some(self) -> bool:
        chosen = [future for future in self._in_flight if future in self._to_cancel and self._random.random() < 0.5]
        self._to_cancel.difference_update(chosen)
        return bool(chosen) and self.machine.requests.cancel(chosen) > 0

    def _reap(self) -> bool:
        self.machine.requests.look()
        over = [future for future in self._in_flight if future.ended]
        self._in_flight = [future for future in self._in_flight if not future.ended]
        self._to_cancel.difference_update(over)
        for future in over:
            self.ended[ntstatus_symbol(future.outcome().status)] += 1
        return bool(over)

    def _idle(self, busy: bool) -> bool:
        """Let some time pass where nothing is to be done; return whether nothing has happened for too long."""
        if busy:
            self._quiet = 0.0
        if self.machine.rendezvous is not None:
            if self._in_flight:
                self.machine.requests.wait_for(self._in_flight, _STEP, first=True)
            else:
                pauses = self._random.randrange(_PAUSES)
                self.machine.link.request("Idle", pauses, what="the guest to execute some PAUSEs")
            self._quiet += _STEP
        elif not busy:
            started = time.monotonic()
            if self._doorbell is not None:
                select.select(self._doorbell.rung_fds, [], [], _LOOK)
            else:
                self.machine.requests.wait_for(self._in_flight, _LOOK * 10, first=True)
            self._quiet += time.monotonic() - started
        self.machine.session.watch.check()
        return self._quiet > PATIENCE

    def _give_up(self) -> None:
        """Cancel what does not end by itself; a driver that does not complete even that hangs."""
        requests = self.machine.requests
        self.unfinished = len(self._in_flight)
        requests.cancel(self._in_flight)
        if not requests.wait_for(self._in_flight, GRACE):
            left = next(future for future in self._in_flight if not future.ended)
            raise requests.hang(left, f"{left.name} did not end for {PATIENCE:g} s, nor when it was cancelled")
        self._reap()

    def _settle(self) -> None:
        """Wait until the last interrupts and DPCs have run."""
        self.machine.link.request("FlushDpcs", what="the guest's DPCs to return")
