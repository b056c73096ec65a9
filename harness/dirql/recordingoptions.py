# SPDX-License-Identifier: Apache-2.0
"""What a recording keeps, and what it stops on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dirql.errors import UsageError
from dirql.trace.events import events_of
from dirql.trace.live.conditions import Condition, parse_after, parse_condition

Then = Literal["off", "hold"]


@dataclass(frozen=True)
class RecordingOptions:
    """What a recording keeps, and what it stops on.

    Attributes:
        classes: classes of events (or events) that are recorded from the recording's beginning on; None: those that the
            machine records already.
        stop_on: conditions, the first that is met counts; see `trace.conditions`.
        after: how much is kept after the record that met it: `1000` records of all CPUs, or a time such as `2ms`.
        then: what becomes of the guest: `off`, it goes on with no event recorded; `hold`, the machine is held, and the
            block of the recording ends at its next wait.
        last: only so many records of each CPU are kept, the last ones; None: all.
    """

    classes: tuple[str, ...] | None = None
    stop_on: tuple[str, ...] = ()
    after: str = "0"
    then: Then = "off"
    last: int | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: one is out of range.
        """
        events_of(self.classes or ())
        parse_after(self.after)
        if self.then not in ("off", "hold"):
            raise UsageError(f"after it has stopped, the trace is `off`, or the machine on `hold`; not {self.then!r}")
        if self.last is not None and self.last < 1:
            raise UsageError(f"a recording keeps at least the last record of each CPU, not {self.last}")
        if len(self.conditions) != len({each.text for each in self.conditions}):
            raise UsageError("a condition to stop on is given twice")

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What to stop on.

        Raises:
            UsageError: one of them is no condition.
        """
        return tuple(parse_condition(text) for text in self.stop_on)
