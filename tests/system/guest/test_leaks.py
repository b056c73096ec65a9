# SPDX-License-Identifier: Apache-2.0
"""A driver that was loaded, used and unloaded leaves nothing: the guest's counts are what they were.

DIRQL_LOADS says how many rounds; `make soak-loads` has 1,000.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dirql import Machine, ctl_code
from dirql.devices.ivshmem import Doorbell
from dirql.errors import GuestRequestError, UsageError
from dirql.experiments.doorbell import DoorbellLine
from tests.system.guest.support import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from dirql import Driver

ROUNDS = int(os.environ.get("DIRQL_LOADS", "60"))
WARM = 3
"""Rounds before the first count: what is made once and kept."""

IVSHMEM = (0x1AF4, 0x1110)


def same_after(machine: Machine, rounds: int, once: Callable[[], None]) -> None:
    """Do something over and over; the machine holds the same before and after."""
    for _ in range(WARM):
        once()
    before = machine.inventory()
    for _ in range(rounds):
        once()
    after = machine.inventory()
    assert after.difference(before) == {}
    assert after == before
    # Addresses go round, and page tables once made stay: far below the pages of an image for each round.
    assert before.free_pages - after.free_pages <= rounds + 2, "RAM is lost"


def use(driver: Driver) -> None:
    """Send requests that end in each way; the last are cancelled by their handle."""
    with driver.open(r"\\.\IoEcho") as echo:
        kept = [echo.ioctl_async(ctl_code(0x22, 0x805), cpu=cpu) for cpu in range(2)]
        for function in (0x800, 0x802, 0x804):
            assert len(echo.ioctl(ctl_code(0x22, function), b"some", 4, cpu=1)) == 4
        while not all(future.ended for future in kept):
            echo.cancel()
            kept[0].wait(TIMEOUT)
            kept[1].wait(TIMEOUT)


def test_loads_and_unloads_leave_nothing() -> None:
    with Machine(cpus=2, trace_mask=0) as machine:

        def once() -> None:
            driver = machine.load("ioecho.sys")
            use(driver)
            driver.unload()

        same_after(machine, ROUNDS, once)


def test_a_device_that_is_started_and_removed_leaves_nothing() -> None:
    doorbell = Doorbell(vectors=2)
    with Machine(cpus=2, trace_mask=0, devices=[doorbell]) as machine:
        DoorbellLine(machine, doorbell).driver.unload()  # the device's memory is ready from now on
        same_after(machine, ROUNDS, lambda: machine.load("doorbell.sys", device=IVSHMEM).unload())


@pytest.mark.parametrize(("driver", "error"), [("refuse.sys", UsageError), ("badimport.sys", UsageError)])
def test_a_driver_that_does_not_load_leaves_nothing(driver: str, error: type[Exception]) -> None:
    with Machine(cpus=1, trace_mask=0) as machine:

        def once() -> None:
            with pytest.raises(error):
                machine.load(driver)

        same_after(machine, ROUNDS // 4, once)


def test_what_is_left_is_seen() -> None:
    with Machine(cpus=1, trace_mask=0) as machine:
        before = machine.inventory()
        driver = machine.load("ioecho.sys")
        handle = driver.open(r"\\.\IoEcho")
        handle.ioctl_async(ctl_code(0x22, 0x806))
        found = machine.inventory().difference(before)
        assert found["Drivers"][1] - found["Drivers"][0] == 1
        assert found["Devices"][1] - found["Devices"][0] == 3
        assert found["Names"][1] - found["Names"][0] >= 6
        for kind in ("Images", "Files", "Requests"):
            assert found[kind] == (0, 1), kind
        assert any(what.startswith("nonpaged pool") for what in found)
        stay = machine.load("stay.sys")
        with pytest.raises(GuestRequestError):
            stay.unload()
        assert machine.inventory().difference(before)["Images"] == (0, 2)
