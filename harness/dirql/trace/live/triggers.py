# SPDX-License-Identifier: Apache-2.0
"""What ends a recording, looked for in the records as they come; `conditions` says what there is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dirql.trace.triggered import Triggered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dirql.trace.live.conditions import Condition
    from dirql.trace.schema import EventTable, Flags, Records

    Resolve = Callable[[str], Sequence[tuple[int, int]]]
    """Name of a symbol -> (address, size in bytes) of each of that name that is known by now."""


class RecordTrigger:
    """Looks for records that fit.

    Args:
        condition: of kind `address` or `event`.
        events: the guest's.
    """

    def __init__(self, condition: Condition, events: EventTable) -> None:
        self._condition = condition
        self._event = events[condition.name] if condition.kind == "event" else None
        self._target = condition.value if condition.kind == "event" else condition.name
        self._ranges: list[tuple[int, int]] = []
        self.resolve(lambda _: ())

    def resolve(self, known: Resolve) -> None:
        """Look the symbol up; to be called again when there are more."""
        start, plus, more = self._target.partition("+")
        number, offset = _number(start), _number(more)
        if number is not None and (offset is not None or not plus):
            self._ranges = [(number, number + (offset or 1))]
        elif plus and offset is not None:
            self._ranges = [(address + offset, address + offset + 1) for address, _ in known(start)]
        elif self._target:
            self._ranges = [(address, address + max(extent, 1)) for address, extent in known(self._target)]

    def calibrate(self, ticks_per_ns: float) -> None:
        """Nothing here depends on the clock."""

    def observe(self, cpu: int, records: Records) -> Triggered | None:
        """Return the first record that fits."""
        if self._target and not self._ranges:
            return None
        fits: Flags | None = None
        for first, end in self._ranges:
            low, length = np.uint64(first), np.uint64(end - first)
            for name in ("Argument0", "Argument1"):
                hit = records[name] - low < length  # modulo 2**64: one comparison for both ends
                fits = hit if fits is None else fits | hit
        if self._event is not None:
            chosen = records["Event"] == self._event
            fits = chosen if fits is None else fits & chosen
        if fits is None:
            return None
        at = int(fits.argmax())
        return _found(self._condition, cpu, records[at]) if fits[at] else None


class HoldTrigger:
    """Looks for a spin lock that is held for longer than a budget, and for one that is held so still.

    Args:
        condition: of kind `hold`.
        events: the guest's.
        cpus: how many CPUs there are.
    """

    def __init__(self, condition: Condition, events: EventTable, cpus: int) -> None:
        self._condition = condition
        self._acquired = events["LockAcquired"]
        self._released = events["LockReleased"]
        self._open: list[Records | None] = [None] * cpus
        self._budget = math.inf
        self._ticks_per_ns = 1.0

    def resolve(self, known: Resolve) -> None:
        """Nothing here has a name."""

    def calibrate(self, ticks_per_ns: float) -> None:
        """Take the rate of the clock; before that no hold is too long."""
        self._ticks_per_ns = ticks_per_ns
        self._budget = self._condition.ns * ticks_per_ns

    def observe(self, cpu: int, records: Records) -> Triggered | None:
        """Return the first hold that is too long: its release, or its acquisition if it goes on."""
        event = records["Event"]
        rows = records[(event == self._acquired) | (event == self._released)]
        older = self._open[cpu]
        if older is not None:
            rows = np.concatenate([older, rows])
        if not len(rows):
            return None
        by_lock = np.argsort(rows["Argument0"], kind="stable")
        lock, time = rows["Argument0"][by_lock], rows["Time"][by_lock].astype(np.int64)
        takes = rows["Event"][by_lock] == self._acquired
        same = lock[1:] == lock[:-1]
        held = time[1:] - time[:-1]
        late = np.flatnonzero(same & takes[:-1] & ~takes[1:] & (held > self._budget))
        still = by_lock[np.flatnonzero(takes & np.append(~same, True))]
        self._open[cpu] = rows[np.sort(still)] if len(still) else None
        if len(late):
            first = late[np.argmin(time[late])]
            return self._late(cpu, rows[by_lock[first + 1]], int(held[first]), "held for")
        if len(still):
            oldest = rows[still.min()]
            age = int(records["Time"][-1]) - int(oldest["Time"])
            if age > self._budget:
                return self._late(cpu, oldest, age, "still held after")
        return None

    def _late(self, cpu: int, record: Any, ticks: int, words: str) -> Triggered:  # noqa: ANN401 (a numpy scalar)
        return _found(self._condition, cpu, record, f"{words} {ticks / self._ticks_per_ns / 1000:.3g} us")


def _found(condition: Condition, cpu: int, record: Any, text: str = "") -> Triggered:  # noqa: ANN401
    return Triggered(
        condition.text,
        text,
        cpu,
        int(record["Sequence"]),
        int(record["Time"]),
        record=(int(record["Event"]), int(record["Argument0"]), int(record["Argument1"])),
    )


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None
