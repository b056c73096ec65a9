# SPDX-License-Identifier: Apache-2.0
"""floppy.sys on the emulated controller (SYS-12): sectors as the host has them, errors, media, the motor."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dirql.devices.floppy import FLOPPY_BYTES, SECTOR_BYTES, Floppy
from dirql.errors import RequestCancelled, RequestError, UsageError
from dirql.machine import Machine
from dirql.recording import Recording
from dirql.trace.oracle import Status, judge
from tests.system.guest.floppies import CYLINDER_BYTES, motor_runs, pieces, random_image, read_all, write_all
from tests.system.guest.support import pool_in_use

if TYPE_CHECKING:
    from pathlib import Path

    from dirql.driver import Driver
    from dirql.qemu.command import Mode

DRIVE = r"\\.\A:"
QUICK = {"MotorOffMs": 5, "SpinUpMs": 1}
GET_DRIVE_GEOMETRY, CHECK_VERIFY, IS_WRITABLE, EJECT_MEDIA = 0x70000, 0x74800, 0x70024, 0x74808
STORAGE_CHECK_VERIFY = 0x2D4800
STEPS = 16
IDLE = 100_000
"""Pauses, to learn how long one takes."""


def count(driver: Driver, name: str) -> int:
    """Return one of the driver's counts."""
    return driver.variable("FloppyCounts").get(name)


def test_a_whole_image_is_read_and_another_written_from_four_cpus() -> None:
    first, second = random_image(1), random_image(2)
    floppy = Floppy(first)
    with Machine(cpus=4, devices=[floppy]) as machine:
        driver = machine.load("floppy.sys", parameters=QUICK)
        with driver.open(DRIVE) as drive:
            parts = pieces(0, FLOPPY_BYTES, 0x10000)
            assert read_all(drive, 4, parts) == first
            write_all(drive, 4, parts, second)
            assert floppy.data == second
            assert read_all(drive, 4, parts) == second
        assert count(driver, "Stalled") == count(driver, "Retries") == count(driver, "Strays") == 0
    assert floppy.data == second


@pytest.mark.parametrize(
    ("cpus", "mode"), [(1, "mt"), (2, "mt"), (8, "mt"), (1, "icount"), (2, "icount"), (4, "icount"), (8, "icount")]
)
def test_parts_are_read_and_written_on_every_machine(cpus: int, mode: Mode, tmp_path: Path) -> None:
    first, second = random_image(3), random_image(4)
    floppy = Floppy(first)
    # Within a sector's track, over both heads, over cylinders, up to the last sector.
    parts = [
        *pieces(0, SECTOR_BYTES, SECTOR_BYTES),
        *pieces(5 * SECTOR_BYTES, 20 * SECTOR_BYTES, 20 * SECTOR_BYTES),
        *pieces(30 * SECTOR_BYTES, 3 * CYLINDER_BYTES, CYLINDER_BYTES),
        *pieces(FLOPPY_BYTES - 7 * SECTOR_BYTES, 7 * SECTOR_BYTES, 3 * SECTOR_BYTES),
    ]
    with Machine(cpus=cpus, mode=mode, devices=[floppy]) as machine, Recording(machine, tmp_path) as recording:
        driver = machine.load("floppy.sys", parameters=QUICK)
        with driver.open(DRIVE) as drive:
            assert read_all(drive, cpus, parts) == b"".join(first[at : at + size] for at, size in parts)
            write_all(drive, cpus, parts, second)
            assert read_all(drive, cpus, parts) == b"".join(second[at : at + size] for at, size in parts)
        driver.unload()
    expected = bytearray(first)
    for at, size in parts:
        expected[at : at + size] = second[at : at + size]
    assert floppy.data == expected
    verdict = judge(recording.load())
    assert [clause for clause in verdict.clauses if clause.status is Status.VIOLATED] == []
    assert verdict["SPIN-1"].status is Status.OK


def test_what_the_medium_has_not_or_allows_not_is_refused() -> None:
    with Machine(cpus=2, devices=[Floppy(random_image(5), read_only=True)]) as machine:
        driver = machine.load("floppy.sys", parameters=QUICK)
        with driver.open(DRIVE) as drive:
            for size, offset, name in (
                (100, 0, "STATUS_INVALID_PARAMETER"),
                (SECTOR_BYTES, 100, "STATUS_INVALID_PARAMETER"),
                (SECTOR_BYTES, FLOPPY_BYTES, "STATUS_NONEXISTENT_SECTOR"),
                (2 * SECTOR_BYTES, FLOPPY_BYTES - SECTOR_BYTES, "STATUS_NONEXISTENT_SECTOR"),
                (SECTOR_BYTES, 1 << 62, "STATUS_NONEXISTENT_SECTOR"),
            ):
                with pytest.raises(RequestError, match=name):
                    drive.read(size, offset)
            assert drive.read(0, 0) == b""
            with pytest.raises(RequestError, match="STATUS_MEDIA_WRITE_PROTECTED"):
                drive.write(bytes(SECTOR_BYTES), 0)
            with pytest.raises(RequestError, match="STATUS_MEDIA_WRITE_PROTECTED"):
                drive.ioctl(IS_WRITABLE)
            with pytest.raises(RequestError, match="STATUS_INVALID_DEVICE_REQUEST"):
                drive.ioctl(EJECT_MEDIA)
            with pytest.raises(RequestError, match="STATUS_BUFFER_TOO_SMALL"):
                drive.ioctl(GET_DRIVE_GEOMETRY, b"", 8)
            cylinders, kind, heads, sectors, size = struct.unpack("<qIIII", drive.ioctl(GET_DRIVE_GEOMETRY, b"", 24))
            assert cylinders * heads * sectors * size == FLOPPY_BYTES
            assert kind == 2  # F3_1Pt44_512
        with pytest.raises(RequestError, match="STATUS_OBJECT_NAME_NOT_FOUND"):
            driver.open("\\Device\\Floppy0\\FILE.TXT")


def test_media_are_taken_out_and_put_in() -> None:
    first, second = random_image(6), random_image(7)
    floppy = Floppy(first)
    with Machine(cpus=2, devices=[floppy]) as machine:
        driver = machine.load("floppy.sys", parameters=QUICK)
        with driver.open(DRIVE) as drive:
            assert drive.ioctl(IS_WRITABLE) == b""
            assert drive.ioctl(CHECK_VERIFY) == b""
            assert drive.read(SECTOR_BYTES, 0) == first[:SECTOR_BYTES]
            floppy.eject()
            for code in (CHECK_VERIFY, GET_DRIVE_GEOMETRY):
                with pytest.raises(RequestError, match="STATUS_NO_MEDIA_IN_DEVICE"):
                    drive.ioctl(code, b"", 24)
            with pytest.raises(RequestError, match="STATUS_NO_MEDIA_IN_DEVICE"):
                drive.read(SECTOR_BYTES, 0)
            floppy.insert(second)
            with pytest.raises(RequestError, match="STATUS_VERIFY_REQUIRED"):
                drive.ioctl(CHECK_VERIFY)
            assert drive.ioctl(CHECK_VERIFY) == b""
            assert drive.ioctl(STORAGE_CHECK_VERIFY, b"", 4) == struct.pack("<I", 2)
            assert drive.read(SECTOR_BYTES, 0) == second[:SECTOR_BYTES]


def test_an_empty_drive_is_no_error_of_the_driver_and_no_controller_is() -> None:
    floppy = Floppy(None)
    with Machine(cpus=1, devices=[floppy]) as machine:
        drive = machine.load("floppy.sys", parameters=QUICK).open(DRIVE)
        with pytest.raises(RequestError, match="STATUS_NO_MEDIA_IN_DEVICE"):
            drive.read(SECTOR_BYTES, 0)
        floppy.insert(random_image(8))
        assert drive.read(SECTOR_BYTES, SECTOR_BYTES) == floppy.data[SECTOR_BYTES : 2 * SECTOR_BYTES]
    with Machine(cpus=1) as machine, pytest.raises(UsageError, match="STATUS_NO_SUCH_DEVICE"):
        machine.load("floppy.sys")


@pytest.mark.parametrize(("cpus", "mode"), [(4, "mt"), (2, "icount")])
def test_what_is_cancelled_is_written_or_not_but_never_both(cpus: int, mode: Mode) -> None:
    floppy = Floppy(bytes(FLOPPY_BYTES))
    with Machine(cpus=cpus, mode=mode, devices=[floppy]) as machine:
        # In virtual time the motor still comes up when the last one is cancelled; in real time any number is written.
        driver = machine.load("floppy.sys", parameters=QUICK | {"SpinUpMs": 5000 if mode == "icount" else 100})
        with driver.open(DRIVE) as drive:
            futures = [
                drive.write_async(bytes([number + 1]) * CYLINDER_BYTES, number * CYLINDER_BYTES, cpu=number % cpus)
                for number in range(60)
            ]
            for future in futures[::-2]:
                future.cancel()
            written = []
            for future in futures:
                try:
                    future.result()
                    written.append(True)
                except RequestCancelled:
                    written.append(False)
            assert all(written[0::2])
            assert mode == "mt" or not any(written[1::2])
        assert count(driver, "Cancelled") <= written.count(False)
        driver.unload()
    for number, done in enumerate(written):
        content = floppy.data[number * CYLINDER_BYTES : (number + 1) * CYLINDER_BYTES]
        full = bytes([number + 1]) * CYLINDER_BYTES
        assert content == full if done else content in (full, bytes(CYLINDER_BYTES))


def idle_ns(machine: Machine, pauses: int) -> int:
    """Let the guest pause; return how long that took in virtual time."""
    begin = machine.link.request("Ping")[0]
    machine.link.request("Idle", pauses, what="time to pass")
    return machine.link.request("Ping")[0] - begin


@pytest.mark.parametrize("cpus", [1, 4])
def test_the_motor_stops_when_its_time_is_over_and_no_sooner(cpus: int) -> None:
    """Virtual time, in steps over the moment at which the timer expires: the next request races the motor-off DPC."""
    image = random_image(9)
    with Machine(cpus=cpus, mode="icount", clock_100ns=10_000, devices=[Floppy(image)]) as machine:
        driver = machine.load("floppy.sys", parameters=QUICK)
        stopped = 0
        with driver.open(DRIVE) as drive:
            pauses = 5_000_000 * IDLE // idle_ns(machine, IDLE)  # for 5 ms, after which the timer is to expire
            for step in range(STEPS):
                at = step * SECTOR_BYTES
                assert drive.read(SECTOR_BYTES, at, cpu=step % cpus) == image[at : at + SECTOR_BYTES]
                assert motor_runs(machine)
                idle_ns(machine, pauses * (80 + 40 * step // STEPS) // 100)
                stopped += not motor_runs(machine)
        assert 0 < stopped < STEPS
        # A step may end so near the moment that the motor still runs when looked at, and not when the next read comes.
        stops = count(driver, "MotorStops")
        assert stops in (stopped, stopped + 1)
        assert count(driver, "MotorStarts") in (stops, stops + 1)
        assert count(driver, "Stalled") == 0
        driver.unload()
        assert not motor_runs(machine)


def test_it_comes_and_goes_and_leaves_nothing() -> None:
    with Machine(cpus=2, trace_mask=0, devices=[Floppy(random_image(10))]) as machine:
        pools = []
        for _ in range(12):
            driver = machine.load("floppy.sys", parameters=QUICK)
            with driver.open(DRIVE) as drive:
                drive.read(CYLINDER_BYTES, 0)
            driver.unload()
            pools.append(pool_in_use(machine))
        assert pools[-1] == pools[1]


def test_the_same_requests_give_the_same_trace_under_icount(tmp_path: Path) -> None:
    traces = []
    for number in range(2):
        floppy = Floppy(random_image(11))
        with Machine(cpus=4, mode="icount", devices=[floppy]) as machine:
            with Recording(machine, tmp_path / str(number)) as recording:
                driver = machine.load("floppy.sys", parameters=QUICK)
                with driver.open(DRIVE) as drive:
                    parts = pieces(0, 12 * CYLINDER_BYTES, CYLINDER_BYTES)
                    read_all(drive, 4, parts)
                    write_all(drive, 4, parts[:4], random_image(12))
                driver.unload()
            traces.append(recording.load())
    for column in ("time", "cpu", "event", "irql", "arg0", "arg1"):
        assert np.array_equal(getattr(traces[0], column), getattr(traces[1], column)), column
