# SPDX-License-Identifier: Apache-2.0
"""The harness's end of the link to the guest: frames on COM2; requests, replies and calls in the mailbox."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from dirql.errors import GuestRequestError, UsageError
from dirql.guest.memory import View
from dirql.guest.ntstatus import ntstatus_name
from dirql.qemu.waits import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dirql.devices.rendezvous import Rendezvous
    from dirql.guest.memory import GuestMemory
    from dirql.qemu.session import QemuSession

FRAME_MAGIC = 0x4C515244
_FRAME_BYTES = 16
_ARGUMENTS = 6
STATUS_NOT_IMPLEMENTED = 0xC0000002


class FrameParser:
    """Cuts the byte stream of COM2 into frames. Bytes that are not part of a good frame are passed over and counted.

    Args:
        on_frame: gets (type, CPU, sequence) of each good frame.
    """

    def __init__(self, on_frame: Callable[[int, int, int], None]) -> None:
        self._on_frame = on_frame
        self._pending = bytearray()
        self.skipped = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._pending += data
        magic = FRAME_MAGIC.to_bytes(4, "little")
        while len(self._pending) >= _FRAME_BYTES:
            frame = bytes(self._pending[:_FRAME_BYTES])
            if frame[:4] == magic and zlib.crc32(frame[:12]) == int.from_bytes(frame[12:], "little"):
                del self._pending[:_FRAME_BYTES]
                self._on_frame(frame[4], frame[5], int.from_bytes(frame[8:12], "little"))
            else:
                del self._pending[:1]
                self.skipped += 1


def encode_frame(kind: int, sequence: int) -> bytes:
    """Return a frame from the host.

    Args:
        kind: HOST_FRAME_TYPE.
        sequence: the request's number.
    """
    head = FRAME_MAGIC.to_bytes(4, "little") + bytes([kind, 0, 0, 0]) + sequence.to_bytes(4, "little")
    return head + zlib.crc32(head).to_bytes(4, "little")


class HostLink:
    """Sends requests to the guest and waits for its answers. One request at a time.

    Args:
        memory: the guest's memory.
        rendezvous: where the guest asks for requests, under icount; None: requests are announced on COM2.
    """

    def __init__(self, memory: GuestMemory, rendezvous: Rendezvous | None = None) -> None:
        self._memory = memory
        self._rendezvous = rendezvous
        self._types = memory.kernel.debug.enumeration("HOST_FRAME_TYPE")
        self._codes = memory.kernel.debug.enumeration("HOST_REQUEST_CODE")
        self._mailbox = memory.variable("HostMailbox", "HOST_MAILBOX")
        self._request = self._mailbox.inner("Request")
        self._reply = self._mailbox.inner("Reply")
        self._call = self._mailbox.inner("Call")
        self._parser = FrameParser(self._frame)
        self._session: QemuSession | None = None
        self._sequence = 0
        self.ready_cpus = 0
        self.bugchecked = False
        self.on_bugcheck: Callable[[], None] | None = None
        self.on_call: Callable[[int, tuple[int, int]], tuple[int, int]] | None = None
        """Does what the guest calls for: gets HOST_CALL_CODE and two arguments, returns NTSTATUS and a value."""
        self.on_io: Callable[[], None] | None = None
        """Takes in I/O requests that have ended; called with the watch's lock held."""

    def attach(self, session: QemuSession) -> None:
        """Begin to use a machine."""
        self._session = session

    def feed(self, data: bytes) -> None:
        """Take bytes from COM2; called with the watch's lock held."""
        self._parser.feed(data)

    def forget(self) -> None:
        """Start anew: the machine is being reset."""
        self.ready_cpus = 0
        self.bugchecked = False
        self._parser = FrameParser(self._frame)

    @property
    def buffer_bytes(self) -> int:
        """Size of the bulk buffer."""
        return self._mailbox.get("BufferBytes")

    def write_buffer(self, offset: int, data: bytes) -> None:
        """Put bulk data into the mailbox's buffer.

        Raises:
            UsageError: it does not fit.
        """
        if offset + len(data) > self.buffer_bytes:
            raise UsageError(
                f"{len(data)} bytes do not fit the guest's buffer of {self.buffer_bytes}; give it more RAM"
            )
        self._memory.ram.write(self._mailbox.get("BufferPhysical") + offset, data)

    def read_buffer(self, offset: int, size: int) -> bytes:
        """Return bulk data from the mailbox's buffer."""
        return self._memory.ram.read(self._mailbox.get("BufferPhysical") + offset, size)

    def buffer_view(self, structure: str) -> View:
        """Return what the guest has put into the mailbox's buffer, as a structure."""
        kernel = self._memory.kernel
        return View(self._memory.ram, self._mailbox.get("BufferPhysical"), kernel.debug.structure(structure), kernel)

    def set_clock(self, value: int) -> None:
        """Store the host's clock for HostRequestTimeSync."""
        self._mailbox.set("HostClock", value)

    @property
    def clock_address(self) -> int:
        """Physical address of the word that `set_clock` stores to."""
        return self._mailbox.at + self._mailbox.layout.field("HostClock").offset

    def wait_ready(self, timeout: float | Deadline) -> int:
        """Wait until the guest has started; return its number of CPUs."""
        return self._live.watch.wait(lambda: self.ready_cpus or None, "the guest to be ready", timeout)

    def post(self, code: str, arguments: Sequence[int] = (), timeout: float | Deadline = 10.0) -> int:
        """Give the guest a request and return at once.

        Args:
            code: the request's name without `HostRequest`.
            arguments: at most 6 words.
            timeout: for the guest to come to the rendezvous, where it uses one.

        Returns:
            The request's number, for `wait_reply`.
        """
        deadline = Deadline.of(timeout)
        if self._rendezvous is not None:
            self._rendezvous.wait_for_guest(deadline)
        self._sequence = self._sequence % 0x7FFF_FFFF + 1
        for at in range(_ARGUMENTS):
            self._request.set("Argument", arguments[at] if at < len(arguments) else 0, at)
        self._request.set("Code", self._codes[f"HostRequest{code}"])
        self._request.set("Sequence", self._sequence)
        if self._rendezvous is not None:
            self._rendezvous.answer(self._sequence)
        else:
            self._live.frames.send(encode_frame(self._types["HostFrameRequest"], self._sequence), deadline)
        return self._sequence

    def notify(self, kind: str, timeout: float | Deadline) -> None:
        """Send a frame that has no answer.

        Args:
            kind: its type without `HostFrame`.
            timeout: for it to leave.
        """
        self._live.frames.send(encode_frame(self._types[f"HostFrame{kind}"], 0), Deadline.of(timeout))

    def replied(self, sequence: int) -> bool:
        """Whether the answer to a request is there."""
        return self._reply.get("Sequence") == sequence

    def wait_reply(self, sequence: int, what: str, timeout: float | Deadline) -> list[int]:
        """Wait for the answer to a request; serve the calls that the guest makes meanwhile.

        Returns:
            Its six values.

        Raises:
            GuestRequestError: the guest refused it.
            WaitTimeout, MachineLost, GuestError: as `Watch.wait`.
        """
        deadline = Deadline.of(timeout)
        while self._live.watch.wait(lambda: self._news(sequence), what, deadline) != "reply":
            self._serve_call()
        status = self._reply.get("Status")
        if status & 0x8000_0000:
            raise GuestRequestError(f"{what}: the guest answered {ntstatus_name(status)}", status=status)
        return [self._reply.get("Value", at) for at in range(_ARGUMENTS)]

    def request(self, code: str, *arguments: int, what: str = "", timeout: float | Deadline = 10.0) -> list[int]:
        """Give the guest a request and wait for its answer. Arguments, result and errors as `post` and `wait_reply`."""
        deadline = Deadline.of(timeout)
        return self.wait_reply(self.post(code, arguments, deadline), what or f"request {code}", deadline)

    def _news(self, sequence: int) -> str | None:
        """What there is to do for somebody who waits for a request's answer; None: nothing yet."""
        if self.replied(sequence):
            return "reply"
        called = self._call.get("Sequence") != self._call.get("Done")
        return "call" if called and (self._rendezvous is None or self._rendezvous.waiting) else None

    def _serve_call(self) -> None:
        """Do what the guest calls for. It waits until its call's number is stored."""
        sequence = self._call.get("Sequence")
        arguments = (self._call.get("Argument", 0), self._call.get("Argument", 1))
        status, value = STATUS_NOT_IMPLEMENTED, 0
        if self.on_call is not None:
            status, value = self.on_call(self._call.get("Code"), arguments)
        self._call.set("Status", status)
        self._call.set("Value", value)
        self._call.set("Done", sequence)
        if self._rendezvous is not None:
            self._rendezvous.answer(sequence)

    @property
    def _live(self) -> QemuSession:
        if self._session is None:
            raise UsageError("there is no machine behind this link")
        return self._session

    def _frame(self, kind: int, cpu: int, sequence: int) -> None:
        del cpu
        if kind == self._types["HostFrameReady"]:
            self.ready_cpus = sequence
        elif kind == self._types["HostFrameBugCheck"]:
            self.bugchecked = True
            if self.on_bugcheck is not None:
                self.on_bugcheck()
        elif kind == self._types["HostFrameIo"] and self.on_io is not None:
            self.on_io()
        # A reply or a call only wakes the wait: what it says is in the mailbox.
