# SPDX-License-Identifier: Apache-2.0
"""The future of an I/O request: its end, its result, its cancellation. Which are in flight is `requests`' to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dirql.errors import DirqlError, GuestError, RequestCancelled, RequestError, UsageError, WaitTimeout
from dirql.guest.ntstatus import ntstatus_name, ntstatus_symbol
from dirql.qemu.waits import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dirql.guest.iochannel import IoOutcome, IoRequest
    from dirql.requests import Requests

T = TypeVar("T")

STATUS_CANCELLED = 0xC0000120
_FIRST_WARNING, _FIRST_ERROR = 0x8000_0000, 0xC000_0000
DEFAULT_TIMEOUT = 30.0
GRACE = 5.0
"""Seconds that a driver has for completing what was cancelled."""


class RequestFuture(Generic[T]):
    r"""A request that may not have ended yet.

    Attributes:
        request: what was asked for.
        name: what it is about, for messages: `ioctl 0x222000 of \\.\Echo`.
        slot: its place in the guest's table while it is in flight.
        requests: those of its machine.
    """

    def __init__(
        self, requests: Requests, request: IoRequest, name: str, convert: Callable[[IoOutcome], T], slot: int
    ) -> None:
        self.request = request
        self.name = name
        self.slot = slot
        self.requests = requests
        self._convert = convert
        self._outcome: IoOutcome | None = None
        self._error: DirqlError | None = None

    def __repr__(self) -> str:
        """Name it, and how it stands."""
        ended = self._outcome
        return f"<{self.name}: {ntstatus_name(ended.status) if ended else 'failed' if self._error else 'in flight'}>"

    @property
    def ended(self) -> bool:
        """Whether its outcome has been seen. Unlike `done` this does not look for news."""
        return self._outcome is not None or self._error is not None

    def done(self) -> bool:
        """Whether it has ended, or can no longer: the machine has failed. Under icount time does not pass meanwhile."""
        self.requests.look()
        return self.ended or self.requests.machine_failed

    def wait(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> bool:
        """Wait for its end; return whether it came. A request that did not end stays in flight.

        Args:
            timeout: seconds (icount: of virtual time), or a deadline.

        Raises:
            GuestError, MachineLost: the machine failed.
        """
        return self.ended or self.requests.wait_for([self], timeout)

    def outcome(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> IoOutcome:
        """Wait for its end and return all that is known of it, whatever its status. Otherwise as `result`."""
        if not self.wait(timeout):
            self._give_up(timeout)
        if self._error is not None:
            raise self._error
        assert self._outcome is not None
        if self._outcome.overrun:
            raise GuestError(f"{self.name}: something wrote past the end of its {self._outcome.overrun} buffer")
        return self._outcome

    def result(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> T:
        """Wait for its end and return what it was for. After the timeout it is cancelled.

        Args:
            timeout: seconds (icount: of virtual time), or a deadline.

        Raises:
            RequestError: it ended with an NTSTATUS that is no success; RequestCancelled for STATUS_CANCELLED.
            WaitTimeout: it did not end in time, and was cancelled then.
            GuestHang: nor did the driver complete it when it was cancelled; the text says where it is.
            GuestError: the driver wrote past the end of a buffer, or the machine failed.
            MachineLost: QEMU ended.
        """
        outcome = self.outcome(timeout)
        error = self._failure(outcome)
        if error is not None:
            raise error
        return self._convert(outcome)

    def exception(self, timeout: float | Deadline = DEFAULT_TIMEOUT) -> DirqlError | None:
        """Wait for its end and return the error that `result` would raise, None for none."""
        try:
            return self._failure(self.outcome(timeout))
        except DirqlError as error:
            return error

    def cancel(self) -> bool:
        """Ask for its cancellation, as IoCancelIrp does, and return at once. False: it had ended.

        What comes of it is the driver's: STATUS_CANCELLED, another end, or none.
        """
        return self.requests.cancel([self]) > 0

    def cancelled(self) -> bool:
        """Whether it ended with STATUS_CANCELLED."""
        return self._outcome is not None and self._outcome.status == STATUS_CANCELLED

    def end(self, outcome: IoOutcome | None, error: DirqlError | None = None) -> None:
        """Say how it ended. For the machine alone."""
        if not self.ended:
            self._outcome, self._error = outcome, error

    def _failure(self, outcome: IoOutcome) -> RequestError | None:
        if outcome.status < _FIRST_WARNING:
            return None
        kind = RequestCancelled if outcome.status == STATUS_CANCELLED else RequestError
        text = f"{self.name}: {ntstatus_name(outcome.status)}"
        data = outcome.data if outcome.status < _FIRST_ERROR else b""
        return kind(text, outcome.status, ntstatus_symbol(outcome.status), outcome.information, data)

    def _give_up(self, timeout: float | Deadline) -> None:
        """Cancel it after its time; return if it ended with something else than STATUS_CANCELLED after all."""
        seconds = Deadline.of(timeout).seconds
        self.cancel()
        if self.requests.wait_for([self], GRACE):
            if self.cancelled():
                raise WaitTimeout(f"{self.name} took longer than {seconds:g} s; it was cancelled")
            return
        raise self.requests.hang(
            self, f"{self.name} did not end in {seconds:g} s, nor in {GRACE:g} s more after it was cancelled"
        )


def wait_any(
    futures: Sequence[RequestFuture[Any]], timeout: float | Deadline = DEFAULT_TIMEOUT
) -> list[RequestFuture[Any]]:
    """Wait until one of them has ended; return all that have.

    Args:
        futures: of one machine, one at least.
        timeout: seconds (icount: of virtual time), or a deadline.

    Raises:
        WaitTimeout: none ended in time; they stay in flight.
        GuestError, MachineLost: the machine failed.
    """
    if not futures:
        raise UsageError("there is nothing to wait for")
    if not futures[0].requests.wait_for(futures, timeout, first=True):
        words = ", ".join(future.name for future in futures[:3])
        raise WaitTimeout(f"none of {len(futures)} requests ended in {Deadline.of(timeout).seconds:g} s: {words}, ...")
    return [future for future in futures if future.ended]
