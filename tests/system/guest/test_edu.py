# SPDX-License-Identifier: Apache-2.0
"""edu.sys: QEMU's edu device by line and by message: factorials from every CPU, DMA both ways, stop and removal."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from dirql import Driver, Handle, Machine, RequestFuture, ctl_code
from dirql.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

EDU = (0x1234, 0x11E8)
FACTORIAL = ctl_code(0x22, 0x800)
BYTES = 4095
"""Of the device's memory, its last byte left out: QEMU 7.2 aborts where a transfer reaches it."""
LARGEST = 12
MACHINES = [(cpus, mode) for cpus in (1, 2, 4) for mode in ("mt", "icount")]


def started(machine: Machine, **parameters: int) -> tuple[Driver, int]:
    """Load the driver with these parameters and start it on the device."""
    driver = machine.load("edu.sys", parameters=parameters)
    location = machine.find_pci(*EDU)
    driver.start(location)
    return driver, location


@pytest.fixture(params=MACHINES, ids=lambda machine: f"{machine[0]}-{machine[1]}")
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    cpus, mode = request.param
    with Machine(cpus=cpus, mode=mode, extra=("-device", "edu"), trace_mask=0) as made:
        yield made


def factorial_async(handle: Handle, number: int, cpu: int) -> RequestFuture[bytes]:
    return handle.ioctl_async(FACTORIAL, number.to_bytes(4, "little"), 4, cpu=cpu)


def nothing_lost(driver: Driver) -> int:
    """Check what the driver has counted, and return how many causes there were."""
    counts = driver.variable("EduCounts")
    assert counts.get("Raised") == counts.get("Taken") >= counts.get("Interrupts") > 0
    return counts.get("Raised")


@pytest.mark.parametrize("messages", [0, 1], ids=["line", "messages"])
def test_factorials_and_transfers_by_either_interrupt(machine: Machine, messages: int) -> None:
    driver, _ = started(machine, UseMessages=messages)
    content = random.Random(5).randbytes(BYTES)
    with driver.open(r"\\.\Edu0") as handle:
        numbers = [number % (LARGEST + 1) for number in range(40)]
        futures = [factorial_async(handle, number, at % machine.cpus) for at, number in enumerate(numbers)]
        results = [int.from_bytes(future.result(), "little") for future in futures]
        assert results == [math.factorial(number) for number in numbers]
        assert nothing_lost(driver) == len(numbers)
        assert handle.write(content) == BYTES
        assert handle.read(BYTES, cpu=machine.cpus - 1) == content
        assert handle.read(1000, offset=700) == content[700:1700]
    counts = driver.variable("EduCounts")
    assert counts.get("Messages") == messages
    assert counts.get("Refused") == 0  # the pin is its own
    assert nothing_lost(driver) == len(numbers) + 5  # a whole transfer takes two pieces
    assert counts.get("Copied") == 5  # by default the adapter keeps below 16 MiB, the buffers lie above
    driver.unload()


def test_an_adapter_of_32_bits_copies_nothing_of_this_memory(machine: Machine) -> None:
    driver, _ = started(machine, AddressBits=32)
    content = random.Random(6).randbytes(300)
    with driver.open(r"\\.\Edu0") as handle:
        assert handle.write(content, offset=BYTES - len(content)) == len(content)
        assert handle.read(len(content), offset=BYTES - len(content)) == content
    assert driver.variable("EduCounts").get("Copied") == 0


def test_what_the_device_does_not_have_is_refused(machine: Machine) -> None:
    driver, _ = started(machine)
    with driver.open(r"\\.\Edu0") as handle:
        for length, offset in ((1, BYTES), (BYTES, 1), (BYTES + 1, 0)):
            with pytest.raises(RequestError, match="STATUS_INVALID_PARAMETER"):
                handle.read(length, offset=offset)
        with pytest.raises(RequestError, match="STATUS_INTEGER_OVERFLOW"):
            factorial_async(handle, LARGEST + 1, 0).result()
        assert handle.ioctl(FACTORIAL, (3).to_bytes(4, "little"), 4) == (6).to_bytes(4, "little")


def test_a_stopped_device_finishes_what_it_does_and_keeps_the_rest(machine: Machine) -> None:
    driver, location = started(machine)
    with driver.open(r"\\.\Edu0") as handle:
        first = [factorial_async(handle, at % LARGEST, at % machine.cpus) for at in range(20)]
        driver.stop(location)
        late = factorial_async(handle, 10, machine.cpus - 1)
        taken = nothing_lost(driver) if driver.variable("EduCounts").get("Raised") else 0
        assert not late.done()
        driver.start(location)
        assert late.result() == math.factorial(10).to_bytes(4, "little")
        assert [int.from_bytes(one.result(), "little") for one in first] == [
            math.factorial(at % LARGEST) for at in range(20)
        ]
        assert taken <= nothing_lost(driver) == 21


@pytest.mark.parametrize("surprise", [False, True], ids=["orderly", "surprise"])
def test_a_removed_device_fails_what_waits(machine: Machine, surprise: bool) -> None:
    driver, location = started(machine)
    handle = driver.open(r"\\.\Edu0")
    futures = [handle.read_async(BYTES, cpu=at % machine.cpus) for at in range(8)]
    if surprise:
        driver.surprise_remove(location)
    driver.remove(location)
    ended = [future.exception() for future in futures]
    expected = "STATUS_NO_SUCH_DEVICE" if surprise else "STATUS_DELETE_PENDING"
    assert all(error is None or expected in str(error) for error in ended)
    assert ended[-1] is not None
    with pytest.raises(RequestError, match="STATUS_DELETE_PENDING"):
        factorial_async(handle, 1, 0).result()
    handle.close()
    driver.start(location)  # the same driver, the same device, anew
    with driver.open(r"\\.\Edu0") as again:
        assert again.ioctl(FACTORIAL, (5).to_bytes(4, "little"), 4) == (120).to_bytes(4, "little")
    nothing_lost(driver)
    driver.unload()
