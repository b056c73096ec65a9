# SPDX-License-Identifier: Apache-2.0
"""System time as NT counts it: in units of 100 ns since 1601-01-01 UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dirql.errors import UsageError

_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_PER_MICROSECOND = 10


def to_system_time(when: datetime) -> int:
    """Return a moment in units of 100 ns since 1601.

    Args:
        when: with a time zone, after 1601.

    Raises:
        UsageError: it has no time zone, or lies before 1601.
    """
    if when.tzinfo is None:
        raise UsageError(f"a system time needs a time zone; {when.isoformat()} has none: say {when.isoformat()}+00:00")
    units = (when - _EPOCH) // timedelta(microseconds=1) * _PER_MICROSECOND
    if units <= 0:
        raise UsageError(f"system time begins in 1601; {when.isoformat()} is not after that")
    return units


def from_system_time(units: int) -> datetime:
    """Return a system time as a moment in UTC, cut to microseconds.

    Args:
        units: of 100 ns since 1601.
    """
    return _EPOCH + timedelta(microseconds=units // _PER_MICROSECOND)


def boot_system_time(asked: datetime | None, *, virtual: bool) -> int:
    """Return what a guest is told at its start: 0 for its own default, which makes runs in virtual time alike.

    Args:
        asked: for a certain time, or None.
        virtual: the machine's time is virtual.
    """
    if asked is None and virtual:
        return 0
    return to_system_time(asked or datetime.now(UTC))
