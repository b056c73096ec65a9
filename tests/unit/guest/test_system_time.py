# SPDX-License-Identifier: Apache-2.0
"""Moments as the guest counts them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from dirql.config import MachineConfig
from dirql.errors import UsageError
from dirql.guest.systemtime import boot_system_time, from_system_time, to_system_time

UNIX_EPOCH = 116444736000000000


def test_a_moment_is_units_since_1601() -> None:
    assert to_system_time(datetime(1970, 1, 1, tzinfo=UTC)) == UNIX_EPOCH
    assert to_system_time(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == UNIX_EPOCH
    assert to_system_time(datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) == UNIX_EPOCH + 10


def test_there_and_back() -> None:
    moment = datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)
    assert from_system_time(to_system_time(moment)) == moment
    assert from_system_time(UNIX_EPOCH + 9) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("when", [datetime(2020, 1, 1), datetime(1601, 1, 1, tzinfo=UTC)])
def test_what_is_no_system_time_is_refused(when: datetime) -> None:
    with pytest.raises(UsageError, match="system time"):
        MachineConfig(system_time=when)


def test_virtual_time_has_a_beginning_of_its_own() -> None:
    assert boot_system_time(None, virtual=True) == 0
    asked = datetime(2001, 1, 1, tzinfo=UTC)
    assert boot_system_time(asked, virtual=True) == to_system_time(asked)
    assert boot_system_time(None, virtual=False) >= to_system_time(datetime(2024, 1, 1, tzinfo=UTC))
