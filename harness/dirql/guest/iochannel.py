# SPDX-License-Identifier: Apache-2.0
"""The slots and rings of the host's I/O requests in the guest's memory (include/hostio.h). Knows nothing of waiting."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dirql.errors import ProtocolError
from dirql.guest.arena import Arena

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dirql.guest.layout import Structure
    from dirql.guest.memory import GuestMemory

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_ASKED = ("Cpu", "MajorFunction", "MinorFunction", "Irql", "Priority", "File", "Code", "Key", "Share")
_PLACES = ("Input", "InputBytes", "Output", "OutputBytes", "Spare", "Offset")
_ANSWERED = ("Information", "Status", "Returned", "FinishedIrql", "Spare2", "FinishedCpu")
_CANCEL = 0x8000
_GUARD = b"\xd1\x9e" * 8
"""Behind each buffer: a driver that writes on past its end, by direct or neither I/O, is found out."""


@dataclass(frozen=True)
class IoRequest:
    """What the guest is asked to send to a driver.

    Attributes:
        major: IRP_MJ_...; of CREATE the data is the name in UTF-16, `code` the access, `key` the options.
        file: index of the file that the host chose when it was opened.
        data: input.
        out: bytes of output, or what is there before (METHOD_IN_DIRECT).
        code: control code, or class of information.
        minor: IRP_MN_...
        offset: in the file.
        key: of reads and writes.
        share: of an open.
        cpu: whose thread calls the driver.
        irql: that it is called at, 0 to 2.
        priority: of the thread; 0: the usual one.
    """

    major: int
    file: int
    data: bytes = b""
    out: int | bytes = 0
    code: int = 0
    minor: int = 0
    offset: int = 0
    key: int = 0
    share: int = 0
    cpu: int = 0
    irql: int = 0
    priority: int = 0

    @property
    def out_bytes(self) -> int:
        """How many bytes of output."""
        return self.out if isinstance(self.out, int) else len(self.out)


@dataclass(frozen=True)
class IoOutcome:
    """How a request ended.

    Attributes:
        status: NTSTATUS, unsigned.
        information: IoStatus.Information.
        data: the output, as much of it as `information` says.
        returned: NTSTATUS of the driver's dispatch routine; STATUS_PENDING where it completed the request later.
        cpu: where it was completed.
        irql: of its completion.
        overrun: `input` or `output`: the buffer past whose end something wrote; empty: neither.
    """

    status: int
    information: int
    data: bytes
    returned: int
    cpu: int
    irql: int
    overrun: str = ""


class IoChannel:
    """Fills slots and empties them. The caller has one lock for all calls.

    Args:
        memory: of a guest that is ready.
    """

    def __init__(self, memory: GuestMemory) -> None:
        self._ram = memory.ram
        channel = memory.variable("HostIoChannel", "HOST_IO_CHANNEL")
        slot = memory.kernel.debug.structure("HOST_IO")
        states = memory.kernel.debug.enumeration("HOST_IO_STATE")
        self._posted_state = states["HostIoPosted"]
        self.states = {value: name.removeprefix("HostIo") for name, value in states.items()}
        slots = channel.layout.field("Slot")
        self.slots = slots.count
        self._slot = [channel.at + slots.offset + at * slots.stride for at in range(slots.count)]
        self._ask_at, self._ask = packer(slot, (*_ASKED, *_PLACES))
        self._answer_at, self._answer = packer(slot, _ANSWERED)
        self._posted = channel.inner("Posted")
        self._finished = channel.inner("Finished")
        entries = self._posted.layout.field("Entry")
        self._ring = entries.count
        self._posted_entry = self._posted.at + entries.offset
        self._finished_entry = self._finished.at + entries.offset
        self._posted_head = self._posted.get("Head")
        self._finished_tail = self._finished.get("Tail")
        self._data = channel.get("DataPhysical")
        self.arena = Arena(channel.get("DataBytes"))
        self._free = deque(range(self.slots))
        self._requests: dict[int, tuple[IoRequest, int | None, int | None]] = {}
        self.files = deque(range(slots.count))
        """Indices of files that are not open."""

    def post(self, request: IoRequest) -> int | None:
        """Put a request where the guest finds it; return its slot, None where there is no room now."""
        if not self._free:
            return None
        places: list[int | None] = []
        for size in (len(request.data), request.out_bytes):
            places.append(self.arena.take(size + len(_GUARD)) if size else None)
            if size and places[-1] is None:
                for place in places[:-1]:
                    if place is not None:
                        self.arena.give(place)
                return None
        given, wanted = places
        if given is not None:
            self._ram.write(self._data + given, request.data + _GUARD)
        if wanted is not None:
            before = request.out if isinstance(request.out, bytes) else bytes(request.out)
            self._ram.write(self._data + wanted, before + _GUARD)
        slot = self._free.popleft()
        self._requests[slot] = (request, given, wanted)
        asked = (request.cpu, request.major, request.minor, request.irql, request.priority, request.file)
        words = (request.code & 0xFFFF_FFFF, request.key & 0xFFFF_FFFF, request.share)
        areas = (given or 0, len(request.data), wanted or 0, request.out_bytes, 0)
        packed = self._ask.pack(*asked, *words, *areas, request.offset & 0xFFFF_FFFF_FFFF_FFFF)
        self._ram.write(self._slot[slot] + self._ask_at, packed)
        self._ram.store32(self._slot[slot], self._posted_state)
        self._put(slot)
        return slot

    def cancel(self, slot: int) -> None:
        """Ask for the request of a slot to be cancelled."""
        self._put(slot | _CANCEL)

    def take_finished(self) -> list[tuple[int, IoOutcome]]:
        """Return (slot, outcome) of the requests that have ended since the last call. Their slots are free again.

        Raises:
            ProtocolError: the ring is not what it should be: something in the guest wrote there.
        """
        ended: list[tuple[int, IoOutcome]] = []
        while (head := self._finished.get("Head")) != self._finished_tail:
            if head - self._finished_tail & 0xFFFF_FFFF > self._ring:
                raise ProtocolError(f"the guest's ring of finished requests goes from {self._finished_tail} to {head}")
            while self._finished_tail != head:
                at = self._finished_entry + self._finished_tail % self._ring * 2
                slot = int.from_bytes(self._ram.read(at, 2), "little")
                self._finished_tail = self._finished_tail + 1 & 0xFFFF_FFFF
                if slot not in self._requests:
                    raise ProtocolError(f"the guest has finished request {slot}, which was not posted")
                ended.append((slot, self._outcome(slot)))
            self._finished.set("Tail", self._finished_tail)
        return ended

    def want_word(self) -> None:
        """Have the guest send a frame with the next request that ends; look again after it."""
        self._finished.set("Wanted", 1)

    @property
    def finished_head(self) -> int:
        """How many requests have ended, modulo 2 to the 32nd."""
        return self._finished.get("Head")

    def guest_wants_word(self) -> bool:
        """Whether the guest is to be told of what was posted. True once for each time that it asked."""
        if self._posted.get("Wanted") == 0:
            return False
        self._posted.set("Wanted", 0)
        return True

    def request_of(self, slot: int) -> IoRequest:
        """Return what was posted in a slot that is in use."""
        return self._requests[slot][0]

    def state(self, slot: int) -> str:
        """Return the state of a slot: HOST_IO_STATE without its prefix."""
        return self.states.get(self._ram.load32(self._slot[slot]), "?")

    @property
    def in_flight(self) -> list[int]:
        """The slots in use, the oldest first."""
        return list(self._requests)

    def fits(self, request: IoRequest) -> bool:
        """Whether there is ever room for a request."""
        return max(len(request.data), 1) + max(request.out_bytes, 1) + 2 * 4096 <= self.arena.size

    def _put(self, entry: int) -> None:
        self._ram.write(self._posted_entry + self._posted_head % self._ring * 2, entry.to_bytes(2, "little"))
        self._posted_head = self._posted_head + 1 & 0xFFFF_FFFF
        self._posted.set("Head", self._posted_head)

    def _outcome(self, slot: int) -> IoOutcome:
        answer = self._ram.read(self._slot[slot] + self._answer_at, self._answer.size)
        information, status, returned, irql, _, cpu = self._answer.unpack(answer)
        request, given, wanted = self._requests.pop(slot)
        data, overrun = b"", ""
        for name, place, size in (("input", given, len(request.data)), ("output", wanted, request.out_bytes)):
            if place is not None and self._ram.read(self._data + place + size, len(_GUARD)) != _GUARD:
                overrun = name
        if wanted is not None:
            data = self._ram.read(self._data + wanted, min(information, request.out_bytes))
            self.arena.give(wanted)
        if given is not None:
            self.arena.give(given)
        self._free.append(slot)
        return IoOutcome(status, information, data, returned, cpu, irql, overrun)


def packer(structure: Structure, names: Sequence[str]) -> tuple[int, struct.Struct]:
    """Return where a run of a structure's fields begins, and what packs them.

    Args:
        structure: its layout.
        names: the fields, in order, none left out; an array of bytes is one value of type bytes.
    """
    first = structure.field(names[0]).offset
    text, at = "<", first
    for name in names:
        field = structure.field(name)
        text += "x" * (field.offset - at) + (f"{field.size}s" if field.count else _CODES[field.size])
        at = field.offset + field.size
    return first, struct.Struct(text)
