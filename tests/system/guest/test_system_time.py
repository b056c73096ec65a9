# SPDX-License-Identifier: Apache-2.0
"""The guest's system time: where it begins, and that the host can set it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from dirql.errors import UsageError
from dirql.guest.systemtime import from_system_time
from dirql.machine import Machine

if TYPE_CHECKING:
    from dirql.qemu.command import Mode

MODES = ("mt", "icount")
ASKED = datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
LATER = datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC)
SYSTEM_TIME = 0x14
"""Its place in the page that drivers read."""


def shared_system_time(machine: Machine) -> datetime:
    page = machine.memory.read(machine.kernel.address("KiSharedData"), 64)
    return from_system_time(int.from_bytes(page[SYSTEM_TIME : SYSTEM_TIME + 8], "little"))


@pytest.mark.parametrize("mode", MODES)
def test_it_begins_where_it_is_told_to(mode: Mode) -> None:
    with Machine(cpus=2, mode=mode, system_time=ASKED) as machine:
        assert shared_system_time(machine) >= ASKED
        assert machine.set_system_time(LATER) >= ASKED


def test_virtual_time_always_begins_alike() -> None:
    begins = []
    for _ in range(2):
        with Machine(cpus=1, mode="icount") as machine:
            begins.append(machine.set_system_time(LATER))
    assert begins[0] == begins[1]
    assert begins[0] - datetime(2020, 1, 1, tzinfo=UTC) < timedelta(minutes=1)


def test_real_time_begins_with_the_hosts() -> None:
    before = datetime.now(UTC)
    with Machine(cpus=1) as machine:
        assert shared_system_time(machine) >= before


@pytest.mark.parametrize("mode", MODES)
def test_it_can_be_set_forward_and_back(mode: Mode) -> None:
    with Machine(cpus=2, mode=mode, system_time=ASKED) as machine:
        machine.set_system_time(LATER)
        assert shared_system_time(machine) >= LATER
        was = machine.set_system_time(ASKED)
        assert was >= LATER
        assert ASKED <= shared_system_time(machine) < LATER


def test_a_reset_takes_it_back_to_the_beginning() -> None:
    with Machine(cpus=2, mode="icount", system_time=ASKED) as machine:
        machine.set_system_time(LATER)
        machine.reset()
        assert ASKED <= shared_system_time(machine) < LATER


def test_a_time_without_a_zone_is_refused() -> None:
    with Machine(cpus=1) as machine, pytest.raises(UsageError, match="time zone"):
        machine.set_system_time(datetime(2020, 1, 1))
