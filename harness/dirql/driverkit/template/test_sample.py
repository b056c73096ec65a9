"""Tests of sample.sys: `pytest` builds the driver, boots machines of 1 and 4 CPUs, and drives it. See README.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dirql.devices.ivshmem import DEVICE_ID, VENDOR_ID, Doorbell
from dirql.driverkit.build import build
from dirql.errors import RequestCancelled, RequestError
from dirql.handles import FILE_DEVICE_UNKNOWN, FILE_READ_ACCESS, ctl_code
from dirql.recording import Recording
from dirql.trace.oracle import Status, judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dirql import Driver, Machine
    from dirql.futures import RequestFuture
    from dirql.handles import Handle

SOURCE = Path(__file__).with_name("sample.c")
NAME = r"\\.\sample"
QUERY = ctl_code(FILE_DEVICE_UNKNOWN, 0x800, access=FILE_READ_ACCESS)
SECONDS = 20.0

pytestmark = pytest.mark.dirql(cpus=[1, 4], devices=lambda: [Doorbell(vectors=4)])


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver, built from its source."""
    return build(SOURCE, output=tmp_path_factory.mktemp("built") / "sample.sys")


@pytest.fixture
def doorbell(machine: Machine) -> Doorbell:
    """The device, as Python has it: `ring` interrupts the driver, `wait_any` waits until the driver rings."""
    return next(device for device in machine.session.devices if isinstance(device, Doorbell))


@pytest.fixture
def sample(machine: Machine, image: Path) -> Iterator[Driver]:
    """The driver, loaded and started on the device; unloaded at the end of the test."""
    driver = machine.load(image, device=(VENDOR_ID, DEVICE_ID))
    yield driver
    driver.unload()


@pytest.fixture
def handle(sample: Driver) -> Iterator[Handle]:
    """The driver's device, opened."""
    with sample.open(NAME) as opened:
        yield opened


def answer(doorbell: Doorbell, reads: list[RequestFuture[bytes]]) -> list[int]:
    """Be the device until all reads have ended: interrupt when the driver asks for it. Return what they returned."""
    for read in reads:
        while not read.wait(0.001):
            for vector in doorbell.take_rung():
                doorbell.ring(vector)
    return [int.from_bytes(read.result(), "little") for read in reads]


def counts(handle: Handle) -> tuple[int, int, int]:
    """Return interrupts, completed and cancelled reads, as the driver counts them."""
    words = handle.ioctl(QUERY, out_len=24)
    interrupts, completed, cancelled = (int.from_bytes(words[at : at + 8], "little") for at in (0, 8, 16))
    return interrupts, completed, cancelled


def test_a_read_waits_for_an_interrupt(handle: Handle, doorbell: Doorbell) -> None:
    read = handle.read_async(8)
    doorbell.wait_any(SECONDS)
    assert not read.done()
    doorbell.ring()
    assert int.from_bytes(read.result(SECONDS), "little") == 1
    assert counts(handle) == (1, 1, 0)


def test_no_interrupt_is_lost_and_none_counts_twice(machine: Machine, handle: Handle, doorbell: Doorbell) -> None:
    reads = [handle.read_async(8, cpu=number % machine.cpus) for number in range(100)]
    told = sum(answer(doorbell, reads))
    interrupts, completed, cancelled = counts(handle)
    assert (completed, cancelled) == (100, 0)
    assert told == interrupts


def test_a_waiting_read_and_a_queued_one_are_cancelled(handle: Handle, doorbell: Doorbell) -> None:
    waiting, queued, last = handle.read_async(8), handle.read_async(8), handle.read_async(8)
    for read in (queued, waiting):
        assert read.cancel()
        with pytest.raises(RequestCancelled):
            read.result(SECONDS)
    doorbell.wait_any(SECONDS)
    doorbell.ring()
    assert int.from_bytes(last.result(SECONDS), "little") == 1
    assert counts(handle) == (1, 1, 1)


def test_closing_cancels_what_is_under_way(sample: Driver, doorbell: Doorbell) -> None:
    with sample.open(NAME) as handle:
        reads = [handle.read_async(8) for _ in range(5)]
        doorbell.wait_any(SECONDS)
    for read in reads:
        with pytest.raises(RequestCancelled):
            read.result(SECONDS)


def test_bad_requests_are_refused(sample: Driver, handle: Handle) -> None:
    with pytest.raises(RequestError, match="STATUS_BUFFER_TOO_SMALL"):
        handle.read(4)
    with pytest.raises(RequestError, match="STATUS_INVALID_DEVICE_REQUEST"):
        handle.ioctl(QUERY + 4, out_len=24)
    with pytest.raises(RequestError, match="STATUS_ACCESS_DENIED"):
        sample.open(NAME)  # it is exclusive


def test_the_trace_shows_no_broken_rule(machine: Machine, image: Path, doorbell: Doorbell, tmp_path: Path) -> None:
    with Recording(machine, tmp_path) as recording:  # at its end the machine is stopped: all has to happen inside
        driver = machine.load(image, device=(VENDOR_ID, DEVICE_ID))
        with driver.open(NAME) as handle:
            reads = [handle.read_async(8, cpu=number % machine.cpus, irql=number % 3) for number in range(60)]
            for read in reads[::7]:
                read.cancel()
            answer(doorbell, [read for number, read in enumerate(reads) if number % 7])
        driver.unload()
    verdict = judge(recording.load())
    assert verdict.status is not Status.VIOLATED, "\n".join(each.text for each in verdict.violations)
    for clause in ("SPIN-1", "INT-1", "SYN-1", "DPC-1", "IRP-3", "IRP-8"):
        assert verdict[clause].status is Status.OK
