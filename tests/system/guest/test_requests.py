# SPDX-License-Identifier: Apache-2.0
"""Requests from Python to a driver: each way of passing data, of ending, of waiting; on threads and in virtual time."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest

from dirql import Driver, Handle, Machine, RequestFuture, ctl_code, wait_any
from dirql.errors import (
    GuestBugCheck,
    GuestError,
    GuestHang,
    MachineLost,
    RequestCancelled,
    RequestError,
    UsageError,
    WaitTimeout,
)
from dirql.handles import METHOD_IN_DIRECT, METHOD_NEITHER, METHOD_OUT_DIRECT
from tests.system.guest.support import TIMEOUT, command

if TYPE_CHECKING:
    from collections.abc import Iterator

CPUS = 2
BYTES = 8192  # what a device of ioecho.sys keeps
PENDING = 0x103
DISPATCH_LEVEL = 2


def code(function: int, method: int = 0) -> int:
    return ctl_code(0x22, 0x800 + function, method)


ECHO, STATUS, DPC, TIMER, WORK, HOLD, FORGET, RELEASE, BLOCK, UNBLOCK, WHERE, COUNTS, CRASH = map(code, range(13))


@pytest.fixture(scope="module", params=["mt", "icount"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    with Machine(cpus=CPUS, mode=request.param, trace_mask=0) as machine:
        yield machine.load("ioecho.sys")


@pytest.fixture
def echo(driver: Driver) -> Iterator[Handle]:
    with driver.open(r"\\.\IoEcho") as handle:
        yield handle
        handle.ioctl(RELEASE, b"", 4)


def turned(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)


@pytest.mark.parametrize("cpu", range(CPUS))
@pytest.mark.parametrize("irql", range(3))
def test_each_method_passes_its_buffers(echo: Handle, cpu: int, irql: int) -> None:
    data = bytes(range(200))
    for method in range(4):
        out: int | bytes = data if method == METHOD_IN_DIRECT else len(data)
        answer = echo.ioctl(code(0, method), data, out, cpu=cpu, irql=irql)
        assert answer == (data if method == METHOD_IN_DIRECT else turned(data)), method
    assert echo.ioctl(code(0, METHOD_OUT_DIRECT), data, 5) == turned(data[:5])
    assert echo.ioctl(ECHO, data, 5, internal=True) == turned(data[:5])
    assert echo.ioctl(ECHO) == b""


@pytest.mark.parametrize("name", ["IoEcho", "IoEchoDirect", "IoEchoNeither"])
def test_reads_and_writes_of_each_kind_of_device(driver: Driver, name: str) -> None:
    with driver.open(rf"\\.\{name}") as handle:
        data = bytes(range(256)) * 32
        assert handle.write(data) == BYTES
        assert handle.read(BYTES, cpu=1, irql=DISPATCH_LEVEL) == data
        assert handle.write(b"here", BYTES - 2) == 2
        assert handle.read(16, offset=BYTES - 3) == data[-3:-2] + b"he"
        with pytest.raises(RequestError) as caught:
            handle.read(1, offset=BYTES)
        assert caught.value.name == "STATUS_END_OF_FILE"
        assert handle.read(0) == b""
        handle.flush()


def test_a_driver_is_called_where_one_says(echo: Handle) -> None:
    for cpu in range(CPUS):
        for irql in range(3):
            assert struct.unpack("III", echo.ioctl(WHERE, b"", 12, cpu=cpu, irql=irql, priority=11)) == (cpu, irql, 11)
    assert struct.unpack("III", echo.ioctl(WHERE, b"", 12))[2] == 8  # the usual one again


@pytest.mark.parametrize("how", [DPC, WORK])
def test_requests_that_end_later(echo: Handle, how: int) -> None:
    outcome = echo.ioctl_async(how, b"later", 5, cpu=1).outcome()
    assert (outcome.returned, outcome.data) == (PENDING, turned(b"later"))
    assert outcome.irql == (DISPATCH_LEVEL if how == DPC else 0)


def test_a_request_that_a_timer_ends(echo: Handle) -> None:
    milliseconds = struct.pack("I", 20)
    assert echo.ioctl_async(TIMER, milliseconds, 4).outcome().data == turned(milliseconds)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (0xC000000D, "STATUS_INVALID_PARAMETER"),
        (0x80000005, "STATUS_BUFFER_OVERFLOW"),
        (0xC0DE1234, "NTSTATUS 0xc0de1234"),
    ],
)
def test_a_status_is_an_exception_with_its_name(echo: Handle, status: int, name: str) -> None:
    with pytest.raises(RequestError) as caught:
        echo.ioctl(STATUS, struct.pack("II", status, 3), 8)
    assert (caught.value.status, caught.value.name, caught.value.information) == (status, name, 3)
    assert name in str(caught.value)
    assert r"\\.\IoEcho" in str(caught.value)
    assert caught.value.data == (struct.pack("I", status)[:3] if status >> 30 == 2 else b"")  # a warning brings data
    assert echo.ioctl(STATUS, struct.pack("II", 0x40000000, 8), 8) == struct.pack("II", 0x40000000, 8)


def test_what_is_kept_is_cancelled(echo: Handle) -> None:
    kept = [echo.ioctl_async(HOLD, cpu=cpu) for cpu in range(CPUS)]
    other = echo.ioctl_async(HOLD)
    assert not any(future.done() for future in [*kept, other])
    assert kept[0].cancel()
    with pytest.raises(RequestCancelled):
        kept[0].result()
    assert kept[0].cancelled()
    assert not kept[0].cancel()
    assert isinstance(kept[0].exception(), RequestCancelled)
    assert echo.cancel() == 2
    assert kept[1].wait()
    assert other.wait()
    assert kept[1].cancelled()


def test_released_requests_end_well(echo: Handle) -> None:
    kept = [echo.ioctl_async(how) for how in (HOLD, FORGET, HOLD)]
    assert all(future.request.file == kept[0].request.file for future in kept)
    assert wait_any([echo.ioctl_async(ECHO, b"x", 1), *kept])[0].result() == turned(b"x")
    released = 0
    while released < len(kept):  # in mt they may not all have come there yet
        released += int.from_bytes(echo.ioctl(RELEASE, b"", 4), "little")
    assert [future.result() for future in kept] == [b"", b"", b""]
    assert kept[1].exception() is None


def test_a_timeout_cancels(echo: Handle) -> None:
    with pytest.raises(WaitTimeout, match=r"took longer than 0\.1 s; it was cancelled"):
        echo.ioctl(HOLD, timeout=0.1)
    future = echo.ioctl_async(HOLD)
    assert not future.wait(0.05)
    assert not future.done()  # a wait alone cancels nothing
    with pytest.raises(WaitTimeout, match="none of 1 requests ended"):
        wait_any([future], 0.05)
    assert future.cancel()


def test_a_driver_that_keeps_what_was_cancelled_is_named(echo: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dirql.futures.GRACE", 0.2)
    future = echo.ioctl_async(FORGET, cpu=1)
    with pytest.raises(GuestHang) as caught:
        future.result(0.1)
    text = caught.value.message
    for part in (
        r"\Driver\ioecho keeps it",
        "IRP_MJ_DEVICE_CONTROL at stack location 1 of 2",
        "marked pending",
        "IRP.Cancel set",
        "no cancel routine",
        "in the list at offset",
    ):
        assert part in text, part
    assert echo.ioctl(RELEASE, b"", 4) == b"\1\0\0\0"
    assert future.result() == b""


def test_where_requests_are(driver: Driver, echo: Handle) -> None:
    held, blocked = echo.ioctl_async(HOLD), echo.ioctl_async(BLOCK, cpu=1)
    echo.ioctl(ECHO, cpu=0)  # behind it: the driver has it
    echo.ioctl(ECHO, cpu=1)
    states = {state.request: state for state in driver.machine.irps()}
    assert len(states) == 2
    one, other = states[held.name], states[blocked.name]
    assert (one.state, one.pending, one.driver) == ("Returned", True, r"\Driver\ioecho")
    assert "IopCsqCancel" in one.cancel_routine
    assert "list" in one.queued
    assert (other.state, other.cpu, other.pending, other.cancel_routine) == ("Started", 1, False, "")
    assert "has not returned on CPU 1" in str(other)
    found = command(driver.machine, "irps", r"slot.*?2 requests")
    assert "ioecho" in found[0]
    assert "IopCsqCancel" not in found[0]  # the guest has addresses, the host names
    echo.ioctl(UNBLOCK, cpu=0)
    assert blocked.result() == b""
    assert echo.cancel() == 1
    assert held.wait()


def test_a_routine_that_waits_holds_nobody_up(echo: Handle) -> None:
    blocked = [echo.ioctl_async(BLOCK, cpu=1) for _ in range(3)]
    assert [echo.ioctl(ECHO, b"x", 1, cpu=1) for _ in range(3)] == [turned(b"x")] * 3
    assert not any(future.done() for future in blocked)
    left = blocked
    while left:
        echo.ioctl(UNBLOCK, cpu=1)
        ended = wait_any(left)
        assert len(ended) == 1
        left = [future for future in left if future not in ended]
    assert all(future.result() == b"" for future in blocked)


def test_many_in_flight_from_several_cpus(driver: Driver, echo: Handle) -> None:
    with driver.machine.requests.batch():
        futures = [
            echo.ioctl_async((ECHO, DPC, WORK)[at % 3], at.to_bytes(4, "little"), 4, cpu=at % CPUS) for at in range(200)
        ]
    assert [future.result() for future in futures] == [turned(at.to_bytes(4, "little")) for at in range(200)]
    assert driver.machine.irps() == ()


def test_cancels_that_race_with_ends(driver: Driver, echo: Handle) -> None:
    chance = random.Random(8)
    before = driver.machine.inventory()
    flying: list[RequestFuture[bytes]] = []
    ended = 0
    for begun in range(1000):
        how = chance.choice((ECHO, DPC, WORK, HOLD, HOLD))
        flying.append(echo.ioctl_async(how, b"data", 4, cpu=begun % CPUS, irql=chance.randrange(3)))
        for future in chance.sample(flying, len(flying) // 4):
            future.cancel()
        for future in [future for future in flying if future.done()]:
            outcome = future.outcome()
            assert outcome.status in (0, 0xC0000120)
            assert outcome.status or outcome.data == turned(b"data")
            flying.remove(future)
            ended += 1
    echo.cancel()
    assert {future.outcome().status for future in flying} <= {0, 0xC0000120}
    assert ended > 500
    assert driver.machine.inventory().difference(before) == {}


def test_more_than_there_is_room_for(driver: Driver, echo: Handle) -> None:
    futures = [echo.ioctl_async(WORK, bytes(4096), 4096, cpu=at % CPUS) for at in range(600)]
    assert {future.result() for future in futures} == {b"\xff" * 4096}
    assert driver.machine.requests.in_flight == ()


def test_a_driver_that_writes_past_a_buffer_is_found_out(echo: Handle) -> None:
    with pytest.raises(GuestError, match=r"ioctl 0x222037 of .*past the end of its output buffer"):
        echo.ioctl(code(13, METHOD_NEITHER), b"", 100)
    assert echo.ioctl(ECHO, b"x", 1) == turned(b"x")


def test_cleanup_and_close(driver: Driver) -> None:
    with driver.open(r"\Device\IoEcho") as watcher:
        creates, cleanups, closes, _ = struct.unpack("IIII", watcher.ioctl(COUNTS, b"", 16))
        driver.open(r"\\?\IoEcho", cpu=1).close()
        counts = struct.unpack("IIII", watcher.ioctl(COUNTS, b"", 16))
    assert counts[:3] == (creates + 1, cleanups + 1, closes + 1)


def test_what_cannot_be_is_refused(driver: Driver, echo: Handle) -> None:
    with pytest.raises(RequestError) as caught:
        driver.open(r"\\.\NoSuchThing")
    assert caught.value.name == "STATUS_OBJECT_NAME_NOT_FOUND"
    with pytest.raises(UsageError, match="opened as"):
        driver.open("IoEcho")
    with pytest.raises(UsageError, match="no CPU 7"):
        echo.read(1, cpu=7)
    with pytest.raises(UsageError, match="IRQL 0, 1 or 2"):
        echo.read(1, irql=3)
    with pytest.raises(UsageError, match="priority"):
        echo.read(1, priority=32)
    with pytest.raises(UsageError, match="divide it"):
        echo.read(64 << 20)
    with pytest.raises(UsageError, match="IRP_MJ_NONSENSE"):
        echo.request("NONSENSE")
    with pytest.raises(RequestError) as caught:
        echo.request("QUERY_INFORMATION", fields={"out": 16, "code": 5})
    assert caught.value.name == "STATUS_INVALID_DEVICE_REQUEST"
    closed = driver.open(r"\\.\IoEcho")
    closed.close()
    closed.close()
    with pytest.raises(UsageError, match="closed"):
        closed.read(1)


@pytest.mark.parametrize("mode", ["mt", "icount"])
def test_a_bugcheck_wakes_whoever_waits(mode: str) -> None:
    with Machine(cpus=CPUS, mode=mode, trace_mask=0) as machine:
        handle = machine.load("ioecho.sys").open(r"\\.\IoEcho")
        held = handle.ioctl_async(HOLD)
        with pytest.raises(GuestBugCheck) as caught:
            handle.ioctl(CRASH)
        assert (caught.value.code, caught.value.parameters) == (0xE2, (1, 2, 3, 4))
        assert held.done()
        assert isinstance(held.exception(), GuestBugCheck)
        with pytest.raises(GuestBugCheck):
            handle.read(1)


def test_qemus_end_wakes_whoever_waits() -> None:
    with Machine(cpus=CPUS, trace_mask=0) as machine:
        handle = machine.load("ioecho.sys").open(r"\\.\IoEcho")
        held = handle.ioctl_async(HOLD)
        machine.session.process.kill()
        with pytest.raises(MachineLost):
            held.result(TIMEOUT)


@pytest.mark.parametrize("mode", ["mt", "icount"])
def test_a_reset_forgets_handles_and_requests(mode: str) -> None:
    with Machine(cpus=CPUS, mode=mode, trace_mask=0) as machine:
        handle = machine.load("ioecho.sys").open(r"\\.\IoEcho")
        held = handle.ioctl_async(HOLD)
        machine.reset()
        assert handle.closed
        assert held.done()
        with pytest.raises(UsageError, match="reset before it ended"):
            held.result()
        with pytest.raises(UsageError, match="closed"):
            handle.read(1)
        with machine.load("ioecho.sys").open(r"\\.\IoEcho") as again:
            assert again.ioctl(ECHO, b"again", 5) == turned(b"again")
