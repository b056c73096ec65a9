# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from dirql.devices.ivshmem import MAXIMUM_VECTORS, Doorbell, handshake
from dirql.errors import MachineLost, UsageError, WaitTimeout
from dirql.qemu.attach import MachinePorts
from dirql.qemu.memory import MIB, GuestRam
from dirql.qemu.pump import Pump
from dirql.qemu.waits import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ports() -> Iterator[MachinePorts]:
    watch = Watch()
    pump = Pump(watch)
    with GuestRam(MIB) as ram:
        yield MachinePorts(watch, pump, ram, lambda *_: None)
    pump.close()
    watch.close()


def test_the_messages_are_in_the_order_that_the_specification_wants() -> None:
    messages = handshake(vectors=[20, 21], peer=[30, 31], memory=40)
    assert [(struct.unpack("<q", data)[0], fd) for data, fd in messages] == [
        (0, None),
        (0, None),
        (-1, 40),
        (1, 30),
        (1, 31),
        (0, 20),
        (0, 21),
    ]


@pytest.mark.parametrize("vectors", [1, MAXIMUM_VECTORS])
def test_a_client_reads_the_handshake_one_message_at_a_time(vectors: int) -> None:
    bell = Doorbell(vectors=vectors, memory_bytes=8192)
    sock = socket.socket(fileno=os.dup(bell.descriptors()[0]))
    sock.setblocking(False)
    received = []
    for _ in range(3 + 2 * vectors):
        data, fds, _, _ = socket.recv_fds(sock, 8, 1)
        received.append((struct.unpack("<q", data)[0], fds))
    assert [number for number, _ in received] == [0, 0, -1, *[1] * vectors, *[0] * vectors]
    assert [len(fds) for _, fds in received] == [0, 0, 1, *[1] * (2 * vectors)]
    assert os.fstat(received[2][1][0]).st_size == 8192
    last_vector = received[-1][1][0]
    bell.ring(vectors - 1)
    assert not bell.consumed(vectors - 1)
    os.eventfd_read(last_vector)
    assert bell.consumed(vectors - 1)
    for _, fds in received:
        for fd in fds:
            os.close(fd)
    sock.close()
    bell.close()
    bell.close()


def test_rings_merge_and_their_consumption_can_be_awaited(ports: MachinePorts) -> None:
    bell = Doorbell(vectors=2)
    bell.start(ports)
    bell.wait_consumed(0, 10)
    bell.ring(0)
    bell.ring(0)
    with pytest.raises(WaitTimeout, match="QEMU to take the ring of vector 0"):
        bell.wait_consumed(0, 0.01)
    assert bell.consumed(1)
    ports.watch.lose(lambda: MachineLost("gone"))
    with pytest.raises(MachineLost):
        bell.wait_consumed(0, 10)
    bell.close()


def test_the_guests_rings_are_counted_by_vector(ports: MachinePorts) -> None:
    bell = Doorbell(vectors=3)
    bell.start(ports)
    os.eventfd_write(bell.rung_fds[2], 1)
    os.eventfd_write(bell.rung_fds[2], 1)
    os.eventfd_write(bell.rung_fds[0], 1)
    assert bell.wait_any(10) == {0: 1, 2: 2}
    with pytest.raises(WaitTimeout, match="the guest to ring doorbell"):
        bell.wait_any(0.01)
    bell.close()


def test_the_shared_memory_is_bytes() -> None:
    bell = Doorbell(memory_bytes=4096)
    bell.memory[0:3] = b"abc"
    assert bytes(bell.memory[:4]) == b"abc\0"
    bell.close()


@pytest.mark.parametrize("vectors", [0, 65])
def test_the_number_of_vectors_is_checked(vectors: int) -> None:
    with pytest.raises(UsageError, match="1 to 64 vectors"):
        Doorbell(vectors=vectors)


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_the_size_of_the_memory_is_checked(size: int) -> None:
    with pytest.raises(UsageError, match="power of two"):
        Doorbell(memory_bytes=size)


def test_a_vector_that_is_not_there_is_refused() -> None:
    bell = Doorbell(vectors=2)
    with pytest.raises(UsageError, match="vectors 0 to 1"):
        bell.ring(2)
    with pytest.raises(UsageError, match="belongs to no machine"):
        bell.wait_any(1)
    bell.close()
