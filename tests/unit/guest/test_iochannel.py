# SPDX-License-Identifier: Apache-2.0
"""The harness's end of the request channel, with a guest in Python at the other end."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from dirql.errors import GuestError, MachineLost, ProtocolError, RequestCancelled, RequestError, UsageError, WaitTimeout
from dirql.futures import STATUS_CANCELLED, RequestFuture, wait_any
from dirql.guest import artifacts
from dirql.guest.arena import Arena
from dirql.guest.image import KernelImage
from dirql.guest.iochannel import IoChannel, IoOutcome, IoRequest
from dirql.guest.memory import GuestMemory
from dirql.qemu.memory import MIB, GuestRam
from dirql.qemu.waits import Watch
from dirql.requests import Requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql.machine import Machine

DATA = 32 * MIB
DATA_BYTES = MIB
READ, WRITE, IOCTL = 3, 4, 14


class Guest:
    """Plays the guest: takes what is posted, ends it when told."""

    def __init__(self, memory: GuestMemory) -> None:
        self.channel = memory.variable("HostIoChannel", "HOST_IO_CHANNEL")
        self.ram = memory.ram
        self.channel.set("DataPhysical", DATA)
        self.channel.set("DataBytes", DATA_BYTES)
        self.states = memory.kernel.debug.enumeration("HOST_IO_STATE")
        self.posted, self.finished = self.channel.inner("Posted"), self.channel.inner("Finished")
        self.posted.set("Wanted", 1)

    def take(self) -> list[int]:
        """Return the entries that are new in the ring."""
        tail, head = self.posted.get("Tail"), self.posted.get("Head")
        size = self.posted.layout.field("Entry").count
        self.posted.set("Tail", head)
        return [self.posted.get("Entry", at % size) for at in range(tail, head)]

    def end(self, slot: int, status: int = 0, information: int = 0, data: bytes = b"") -> bool:
        """End a slot's request; return whether the host wants a word of it."""
        view = self.channel.inner("Slot", slot)
        assert self.states["HostIoPosted"] == view.get("State")
        self.ram.write(DATA + view.get("Output"), data)
        view.set("Status", status)
        view.set("Information", information)
        view.set("FinishedCpu", 3)
        view.set("State", self.states["HostIoFinished"])
        head = self.finished.get("Head")
        self.finished.set("Entry", slot, head % self.finished.layout.field("Entry").count)
        self.finished.set("Head", head + 1)
        wanted = self.finished.get("Wanted")
        self.finished.set("Wanted", 0)
        return bool(wanted)


@pytest.fixture
def memory() -> GuestMemory:
    return GuestMemory(GuestRam(64 * MIB), KernelImage(artifacts.kernel()))


@pytest.fixture
def guest(memory: GuestMemory) -> Guest:
    return Guest(memory)


class World:
    """A machine of which there is only what requests need."""

    def __init__(self, memory: GuestMemory) -> None:
        self.words = 0
        self.watch = Watch()
        self.machine = SimpleNamespace(
            session=SimpleNamespace(watch=self.watch),
            link=SimpleNamespace(notify=self._notify),
            memory=memory,
            rendezvous=None,
            cpus=4,
        )
        self.requests = Requests(cast("Machine", self.machine))

    def _notify(self, kind: str, timeout: float) -> None:
        assert (kind, timeout > 0) == ("Io", True)
        self.words += 1

    def begin(self, request: IoRequest, *, timeout: float = 1.0) -> RequestFuture[bytes]:
        return self.requests.submit(request, "a request", lambda outcome: outcome.data, timeout, now=False)


@pytest.fixture
def world(memory: GuestMemory, guest: Guest) -> Iterator[World]:
    del guest  # it prepares the memory
    world = World(memory)
    yield world
    world.watch.close()


def test_an_arena_gives_each_its_own_place() -> None:
    arena = Arena(64 * 1024)
    places = [arena.take(size) for size in (1, 64, 65, 4096, 5000)]
    assert places == [0, 64, 128, 4096, 8192]
    assert arena.take(64 * 1024) is None
    for place in places:
        assert place is not None
        arena.give(place)
    assert arena.free == 64 * 1024
    assert arena.take(64 * 1024) == 0
    assert arena.take(1) is None


def test_an_arena_joins_what_is_given_back_in_any_order() -> None:
    arena = Arena(4096)
    places = [arena.take(512) for _ in range(8)]
    assert arena.take(1) is None
    for at in (3, 1, 2, 7, 0, 5, 4, 6):
        place = places[at]
        assert place is not None
        arena.give(place)
    assert arena.take(4096) == 0


def test_a_request_is_where_the_guest_looks(memory: GuestMemory, guest: Guest) -> None:
    channel = IoChannel(memory)
    request = IoRequest(IOCTL, 9, b"input", 7, 0x222000, 1, -2, 5, 6, 3, 2, 11)
    slot = channel.post(request)
    assert slot is not None
    assert guest.take() == [slot]
    view = guest.channel.inner("Slot", slot)
    wanted = {"MajorFunction": IOCTL, "MinorFunction": 1, "File": 9, "Code": 0x222000, "Key": 5, "Share": 6}
    wanted |= {"Cpu": 3, "Irql": 2, "Priority": 11, "InputBytes": 5, "OutputBytes": 7, "Offset": (1 << 64) - 2}
    assert {name: view.get(name) for name in wanted} == wanted
    assert memory.ram.read(DATA + view.get("Input"), 5) == b"input"
    assert channel.state(slot) == "Posted"
    channel.cancel(slot)
    assert guest.take() == [slot | 0x8000]
    guest.end(slot, 0x80000005, 100, b"output!")
    assert channel.take_finished() == [(slot, IoOutcome(0x80000005, 100, b"output!", 0, 3, 0))]
    assert channel.take_finished() == []
    assert channel.in_flight == []
    assert channel.arena.free == DATA_BYTES


def test_what_is_in_the_output_before(memory: GuestMemory, guest: Guest) -> None:
    channel = IoChannel(memory)
    first = channel.post(IoRequest(IOCTL, 0, b"", b"before"))
    assert first is not None
    assert memory.ram.read(DATA + guest.channel.inner("Slot", first).get("Output"), 6) == b"before"
    guest.end(first)
    channel.take_finished()
    again = channel.post(IoRequest(READ, 0, b"", 6))
    assert again is not None
    assert memory.ram.read(DATA + guest.channel.inner("Slot", again).get("Output"), 6) == bytes(6)  # nothing of others


def test_who_writes_past_a_buffer_is_found_out(world: World, guest: Guest) -> None:
    past, whole, before = (world.begin(IoRequest(READ, 0, b"in", 4)) for _ in range(3))
    guest.end(past.slot, 0, 4, b"12345")
    guest.end(whole.slot, 0, 4, b"1234")
    view = guest.channel.inner("Slot", before.slot)
    guest.ram.write(DATA + view.get("Input"), b"any")
    guest.end(before.slot)
    with pytest.raises(GuestError, match="past the end of its output buffer"):
        past.result()
    assert isinstance(past.exception(), GuestError)
    assert whole.result() == b"1234"
    with pytest.raises(GuestError, match="past the end of its input buffer"):
        before.result()


def test_slots_and_room_come_to_an_end_and_back(memory: GuestMemory, guest: Guest) -> None:
    channel = IoChannel(memory)
    slots = [channel.post(IoRequest(READ, 0)) for _ in range(channel.slots)]
    assert None not in slots
    assert channel.post(IoRequest(READ, 0)) is None
    for slot in guest.take():
        guest.end(slot)
    assert len(channel.take_finished()) == channel.slots
    large = IoRequest(READ, 0, bytes(DATA_BYTES // 2), DATA_BYTES // 4)
    assert channel.fits(large)
    assert channel.post(large) is not None
    free = channel.arena.free
    assert channel.post(large) is None
    assert channel.arena.free == free  # of two buffers one had found its place
    assert not channel.fits(IoRequest(READ, 0, b"", DATA_BYTES))


def test_the_rings_go_round(memory: GuestMemory, guest: Guest) -> None:
    channel = IoChannel(memory)
    for at in range(3000):
        slot = channel.post(IoRequest(WRITE, 0, at.to_bytes(2, "little")))
        assert slot is not None
        assert guest.take() == [slot]
        guest.end(slot, information=at)
        assert [outcome.information for _, outcome in channel.take_finished()] == [at]


@pytest.mark.parametrize("slot", [5, 0xFFFF])
def test_a_ring_that_somebody_wrote_to(memory: GuestMemory, guest: Guest, slot: int) -> None:
    channel = IoChannel(memory)
    channel.post(IoRequest(READ, 0))
    guest.finished.set("Entry", slot, 0)
    guest.finished.set("Head", 1)
    with pytest.raises(ProtocolError, match="not posted"):
        channel.take_finished()
    guest.finished.set("Head", 5000)
    with pytest.raises(ProtocolError, match="goes from 1 to 5000"):
        channel.take_finished()


def test_word_goes_out_once_for_many(world: World, guest: Guest) -> None:
    futures = [world.begin(IoRequest(READ, 0)) for _ in range(3)]
    assert world.words == 1  # the guest has not asked again
    assert guest.take() == [future.slot for future in futures]
    guest.posted.set("Wanted", 1)
    with world.requests.batch():
        futures += [world.begin(IoRequest(READ, 0)) for _ in range(3)]
        assert world.words == 1
    assert world.words == 2
    assert guest.end(futures[0].slot)  # the first end is told
    assert not guest.end(futures[1].slot)  # until the host has looked
    with world.watch.changed():
        world.requests.on_frame()
    assert [future.ended for future in futures[:3]] == [True, True, False]
    assert guest.end(futures[2].slot)


def test_results_and_errors(world: World, guest: Guest) -> None:
    good, bad, gone = (world.begin(IoRequest(READ, 0, b"", 4)) for _ in range(3))
    assert not good.done()
    assert "in flight" in repr(good)
    guest.end(good.slot, 0, 3, b"abcd")
    guest.end(bad.slot, 0xC000009A, 4, b"abcd")
    guest.end(gone.slot, STATUS_CANCELLED)
    assert good.done()
    assert good.result() == b"abc"
    assert good.exception() is None
    with pytest.raises(RequestError, match="a request: STATUS_INSUFFICIENT_RESOURCES") as caught:
        bad.result()
    assert (caught.value.name, caught.value.data) == ("STATUS_INSUFFICIENT_RESOURCES", b"")
    assert not isinstance(caught.value, RequestCancelled)
    assert isinstance(gone.exception(), RequestCancelled)
    assert gone.cancelled()
    assert not bad.cancelled()
    assert bad.outcome().status == 0xC000009A


def test_a_timeout_asks_for_cancellation(world: World, guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    future = world.begin(IoRequest(READ, 0))
    guest.take()
    cancel = world.requests.cancel

    def cancel_and_end(futures: list[RequestFuture[bytes]]) -> int:
        found = cancel(futures)
        guest.end(futures[0].slot, STATUS_CANCELLED)
        return found

    monkeypatch.setattr(world.requests, "cancel", cancel_and_end)
    with pytest.raises(WaitTimeout, match="it was cancelled"):
        future.result(0.01)
    assert guest.take() == [future.slot | 0x8000]


def test_a_wait_for_the_first_of_many(world: World, guest: Guest) -> None:
    futures = [world.begin(IoRequest(READ, 0)) for _ in range(4)]
    with pytest.raises(WaitTimeout, match="none of 4 requests"):
        wait_any(futures, 0.01)
    guest.end(futures[2].slot)
    assert wait_any(futures, 1) == [futures[2]]
    with pytest.raises(UsageError):
        wait_any([])


def test_a_full_table_waits_for_an_end(world: World, guest: Guest) -> None:
    futures = [world.begin(IoRequest(READ, 0)) for _ in range(256)]
    with pytest.raises(WaitTimeout, match="256 requests are in flight"):
        world.begin(IoRequest(READ, 0), timeout=0.01)
    guest.end(futures[7].slot)
    assert world.begin(IoRequest(READ, 0)).slot == futures[7].slot
    assert futures[7].ended


def test_the_machines_end_ends_every_wait(world: World) -> None:
    future = world.begin(IoRequest(READ, 0))
    world.watch.lose(lambda: MachineLost("it is gone"))
    assert future.done()
    assert isinstance(future.exception(), MachineLost)
    with pytest.raises(MachineLost):
        future.result()
    with pytest.raises(MachineLost):
        world.begin(IoRequest(READ, 0))


def test_a_reset_forgets(world: World) -> None:
    future = world.begin(IoRequest(READ, 0))
    world.requests.forget()
    assert world.requests.generation == 1
    with pytest.raises(UsageError, match="reset"):
        future.result()
    assert not future.cancel()
    assert world.requests.in_flight == ()


def test_several_threads_and_a_guest_that_answers(world: World, guest: Guest) -> None:
    answered = threading.Event()

    def serve() -> None:
        while not answered.is_set():
            for entry in guest.take():
                if guest.end(entry, 0, 2, entry.to_bytes(2, "little")):
                    with world.watch.changed():
                        world.requests.on_frame()

    results: list[bool] = []

    def ask() -> None:
        for _ in range(50):
            future = world.begin(IoRequest(READ, 0, b"", 2))
            results.append(future.result(30) == future.slot.to_bytes(2, "little"))

    server = threading.Thread(target=serve)
    server.start()
    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    answered.set()
    server.join()
    assert results == [True] * 200
